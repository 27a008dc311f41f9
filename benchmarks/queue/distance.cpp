// SPDX-License-Identifier: MIT
// How far are the two processors from each other? On shared hosts that changes from one minute to the next, and with it
// every figure of two threads: only the ratios within one run count.
#include "questions.hpp"
#include "support/processor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace {

/// Nanoseconds for a cache line to get from one processor to the other, if nobody comes between.
double one_way() {
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

}  // namespace

void questions::distance(bench::suite& suite, const std::string& when) {
  if (!suite.asks("distance")) return;
  suite.headline("distance: a cache line goes from the first processor to the second, " + when);
  double best = one_way();
  for (int i = 0; i < 50; ++i) best = std::min(best, one_way());
  suite.report("one way, the best of 51, " + when, best, "ns");
}
