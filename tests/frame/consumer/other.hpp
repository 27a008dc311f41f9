// SPDX-License-Identifier: MIT
// tests: what the consumer's two translation units share.
#pragma once

#include <felix/async/task.hpp>

felix::task<int> half_of(int number);
