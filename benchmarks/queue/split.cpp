// SPDX-License-Identifier: MIT
// Half of the threads push and half of them pop: how many items get through?
#include "contenders.hpp"
#include "questions.hpp"

#include <fmt/core.h>

#include <cstddef>
#include <string>

namespace {

struct split {
  static constexpr std::size_t inside = 0;
  template <class Queue>
  static void run(Queue& queue, bench::member& me) {
    const auto tried = [&me](bool succeeded) -> unsigned {
      succeeded ? me.going_on() : me.wait();
      return succeeded ? 1 : 0;
    };
    peers::item value{0, me.number()};
    if (me.number() < me.team() / 2) {
      me.repeat([&] {
        value.level = me.two_bits();
        return tried(queue.push(value));
      });
    } else {
      me.repeat([&] { return tried(queue.pop(value)); });
    }
  }
};

}  // namespace

void questions::split(bench::suite& suite) {
  for (unsigned threads : {2u, 4u, 8u}) {
    const std::string name = fmt::format("split_{}", threads);
    const auto time = contenders::ask<::split>(suite, name, threads).per_item;
    suite.goal(name + " / tbb", bench::at_least{1.5}, "times", time.ratio("tbb", "felix"));
    suite.goal(name + " / mutex_deques", bench::at_least{1}, "times", time.ratio("mutex_deques", "felix"));
  }
}
