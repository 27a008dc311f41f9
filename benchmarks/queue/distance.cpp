// SPDX-License-Identifier: MIT
#include "distance.hpp"

#include "support/processor.hpp"

#include <atomic>
#include <chrono>
#include <thread>

double contenders::one_way() {
  constexpr int rounds = 1'000;
  alignas(64) std::atomic<int> ball{0};
  const auto play = [&ball](unsigned mine) {
    const bench::on_processor here{mine};
    std::chrono::steady_clock::time_point middle;
    for (int i = 0; i < rounds; ++i) {
      for (int vain = 1; ball.load() != 2 * i + static_cast<int>(mine); ++vain)
        if (vain % 1'000 == 0) std::this_thread::yield();
      if (i == rounds / 2) middle = std::chrono::steady_clock::now();
      ball.store(2 * i + static_cast<int>(mine) + 1);
    }
    return std::chrono::steady_clock::now() - middle;
  };
  std::thread other{[&play] { play(1); }};
  const std::chrono::duration<double, std::nano> half = play(0);
  other.join();
  return half.count() / rounds;  // half of the rounds, and two ways in each
}
