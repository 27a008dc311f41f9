// SPDX-License-Identifier: MIT
// What do pushes cost while the queue grows, and pops that find it empty?
#include "contenders.hpp"
#include "questions.hpp"

#include <fmt/core.h>

#include <cstddef>

namespace {

/// In each round of so many steps those that `pushes` names push, and the others pop.
template <unsigned Round, bool (*pushes)(unsigned step)>
struct mix {
  static constexpr std::size_t inside = 0;
  template <class Queue>
  static void run(Queue& queue, bench::member& me) {
    peers::item value{0, me.number()};
    me.repeat([&, step = 0u]() mutable -> unsigned {
      if (pushes(step)) {
        value.level = me.two_bits();
        benchmark::DoNotOptimize(queue.push(value));
      } else {
        benchmark::DoNotOptimize(queue.pop(value));
      }
      step = (step + 1) % Round;
      return 1;
    });
  }
};

// 64 times push, push, pop; then the 64 that are left are popped.
constexpr bool two_in_three(unsigned step) { return step < 192 && step % 3 != 2; }
constexpr bool the_first(unsigned step) { return step == 0; }

template <class Work>
void ask(bench::suite& suite, const char* name) {
  for (unsigned threads : {1u, 2u, 4u, 8u})
    static_cast<void>(contenders::ask<Work>(suite, fmt::format("{}_{}", name, threads), threads));
}

}  // namespace

void questions::push_heavy(bench::suite& suite) { ask<mix<256, two_in_three>>(suite, "push_heavy"); }
void questions::pop_heavy(bench::suite& suite) { ask<mix<5, the_first>>(suite, "pop_heavy"); }
