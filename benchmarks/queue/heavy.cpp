// SPDX-License-Identifier: MIT
// What do pushes cost while the queue grows, and pops that find it empty?
#include "contenders.hpp"
#include "questions.hpp"

#include <fmt/core.h>

#include <cstddef>

namespace {

/// 64 times push, push, pop; then the 64 that are left are popped.
struct push_heavy {
  static constexpr std::size_t inside = 0;
  template <class Queue>
  static void run(Queue& queue, bench::member& me) {
    peers::item value{0, me.number()};
    me.repeat([&, step = 0u]() mutable -> unsigned {
      if (step < 192 && step % 3 != 2) {
        value.level = me.two_bits();
        benchmark::DoNotOptimize(queue.push(value));
      } else {
        benchmark::DoNotOptimize(queue.pop(value));
      }
      step = (step + 1) % 256;
      return 1;
    });
  }
};

/// One push, four pops.
struct pop_heavy {
  static constexpr std::size_t inside = 0;
  template <class Queue>
  static void run(Queue& queue, bench::member& me) {
    peers::item value{0, me.number()};
    me.repeat([&, step = 0u]() mutable -> unsigned {
      if (step == 0) {
        value.level = me.two_bits();
        benchmark::DoNotOptimize(queue.push(value));
      } else {
        benchmark::DoNotOptimize(queue.pop(value));
      }
      step = (step + 1) % 5;
      return 1;
    });
  }
};

template <class Work>
void ask(bench::suite& suite, const char* name) {
  for (unsigned threads : {1u, 2u, 4u, 8u}) {
    const auto asked = fmt::format("{}_{}", name, threads);
    static_cast<void>(suite.take_turns(asked, contenders::what(threads), contenders::all<Work>(threads)));
  }
}

}  // namespace

void questions::push_heavy(bench::suite& suite) { ask<::push_heavy>(suite, "push_heavy"); }
void questions::pop_heavy(bench::suite& suite) { ask<::pop_heavy>(suite, "pop_heavy"); }
