// SPDX-License-Identifier: MIT
// What do coroutines, their scopes, timers and queues cost, beside what one would write by hand, and beside Boost.Asio?
#include "questions.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) try {
  bench::suite suite{
      argc, argv, "async",
      "What felix's coroutines cost, beside floors written by hand and Boost.Asio, in turns. About two\n"
      "minutes, with --quick a quarter of one. A missed goal is reported and does not change the exit status."};
  questions::suspended_memory(suite);  // these two first: their processes inherit the heap
  questions::sleepers(suite);
  questions::ready_task(suite);
  questions::when_all(suite);
  questions::stop_callback(suite);
  questions::timers(suite);
  questions::post(suite);
  questions::semaphore(suite);
  questions::channel(suite);
  questions::simulated_loop(suite);
  return suite.finish();
} catch (const std::exception& failure) {
  fmt::print(stderr, "async: {}\n", failure.what());
  return 1;
}
