// SPDX-License-Identifier: MIT
// What does the lock-free priority queue cost between threads, beside locked ones, Boost.Lockfree and oneTBB?
#include "contenders.hpp"
#include "questions.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) try {
  bench::suite suite{
      argc, argv, "queue",
      "What felix::priority_queue costs between threads, beside locked queues, Boost.Lockfree and oneTBB,\n"
      "in turns. About three minutes, with --quick a quarter of one. A missed goal is reported and does not\n"
      "change the exit status."};
  questions::memory(suite);  // first: its process inherits the heap
  questions::pairs(suite);
  questions::split(suite);
  questions::push_heavy(suite);
  questions::pop_heavy(suite);
  contenders::note_absent(suite);
  return suite.finish();
} catch (const std::exception& failure) {
  fmt::print(stderr, "queue: {}\n", failure.what());
  return 1;
}
