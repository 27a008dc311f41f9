// SPDX-License-Identifier: MIT
// tests: threads that push to a queue and pop from it, and what has to come out.
#pragma once

#include "support/catch.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

namespace felix::test {

/// `producers` threads push the numbers below producers * each, in turns, each its own in their order; two threads pop.
/// Each number arrives once, and of those that are the same modulo `kinds` no thread gets a smaller one after a greater.
/// `push` comes back when its number is in; `pop` never waits.
inline void everything_arrives_in_order(int producers, int each, int kinds, const std::function<void(int)>& push,
                                        const std::function<std::optional<int>()>& pop) {
  std::atomic<int> left{producers * each};
  std::vector<std::vector<int>> got(2);
  std::vector<std::thread> threads;
  for (int p = 0; p < producers; ++p)
    threads.emplace_back([&, p] {
      for (int i = 0; i < each; ++i) push(i * producers + p);
    });
  for (auto& mine : got)
    threads.emplace_back([&] {
      while (left.load() > 0) {
        if (const auto number = pop()) {
          mine.push_back(*number);
          --left;
        } else {
          std::this_thread::yield();
        }
      }
    });
  for (auto& thread : threads) thread.join();

  std::vector<int> times(static_cast<std::size_t>(producers * each));
  for (const auto& mine : got) {
    std::vector<int> last(static_cast<std::size_t>(kinds), -1);
    for (const int number : mine) {
      ++times[static_cast<std::size_t>(number)];
      int& before = last[static_cast<std::size_t>(number % kinds)];
      REQUIRE(before < number);
      before = number;
    }
  }
  CHECK(times == std::vector<int>(times.size(), 1));
}

}  // namespace felix::test
