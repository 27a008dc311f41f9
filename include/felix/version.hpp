// SPDX-License-Identifier: MIT
// The version of these headers.
#pragma once

#define FELIX_VERSION_MAJOR 0
#define FELIX_VERSION_MINOR 1
#define FELIX_VERSION_PATCH 0
#define FELIX_VERSION_STRING "0.1.0"
