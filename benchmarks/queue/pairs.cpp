// SPDX-License-Identifier: MIT
// Each thread pushes and then pops, and half a room of others is in all the time, as it is where more comes than can be
// served: how fast is that, and how long does the pair of them take at most?
#include "contenders.hpp"
#include "questions.hpp"

#include <fmt/core.h>

#include <cstddef>
#include <string>

namespace {

struct pair {
  static constexpr std::size_t inside = contenders::room / 2;
  template <class Queue>
  static void run(Queue& queue, bench::member& me) {
    me.repeat([&]() -> unsigned {
      peers::item value{me.two_bits(), me.number()};
      benchmark::DoNotOptimize(queue.push(value));
      benchmark::DoNotOptimize(queue.pop(value));
      return 2;
    });
  }
};

}  // namespace

void questions::pairs(bench::suite& suite) {
  for (unsigned threads : {1u, 2u, 4u, 8u}) {
    const std::string name = fmt::format("pair_{}", threads);
    const auto [time, p99_9] = contenders::ask<pair>(suite, name, threads);
    if (threads != 2 && threads != 4) continue;
    // How many times as many operations felix does in a second.
    suite.goal(name + " / mutex_priority_queue", bench::at_least{3}, "times",
               time.ratio("mutex_priority_queue", "felix"));
    suite.goal(name + " / tbb", bench::at_least{2}, "times", time.ratio("tbb", "felix"));
    suite.goal(name + " / boost_lockfree", bench::at_least{1.4}, "times", time.ratio("boost_lockfree", "felix"));
    suite.goal(name + " / mutex_deques", bench::at_least{1.2}, "times", time.ratio("mutex_deques", "felix"));
    suite.goal(name + " p99.9 / mutex_deques", bench::at_most{0.2}, "times", p99_9.ratio("felix", "mutex_deques"));
  }
}
