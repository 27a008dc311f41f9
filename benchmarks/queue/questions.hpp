// SPDX-License-Identifier: MIT
// benchmarks: what the program `queue` asks, a file each.
#pragma once

#include "support/suite.hpp"

namespace questions {

void memory(bench::suite& suite);
void pairs(bench::suite& suite);
void split(bench::suite& suite);
void push_heavy(bench::suite& suite);
void pop_heavy(bench::suite& suite);

}  // namespace questions
