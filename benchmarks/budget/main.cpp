// SPDX-License-Identifier: MIT
// What does it cost to reserve tokens and to settle them, alone and with other threads, beside a mutex?
#include "questions.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) try {
  bench::suite suite{
      argc, argv, "budget",
      "What it costs to reserve tokens and to settle them: in a scope, in three of them, in a planned and\n"
      "in a hard budget, beside the same under a mutex, in turns. More than a minute, with --quick a\n"
      "tenth of that. A missed goal is reported and does not change the exit status."};
  questions::reserve_and_settle(suite);
  return suite.finish();
} catch (const std::exception& failure) {
  fmt::print(stderr, "budget: {}\n", failure.what());
  return 1;
}
