// SPDX-License-Identifier: MIT
// benchmarks: what the program `budget` asks, a file each.
#pragma once

#include "support/suite.hpp"

namespace questions {

void reserve_and_settle(bench::suite& suite);

}  // namespace questions
