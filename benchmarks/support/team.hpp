// SPDX-License-Identifier: MIT
// benchmarks: threads that do the same thing at the same time, for a given time.
#pragma once

#include "support/histogram.hpp"
#include "support/processor.hpp"
#include "support/turn.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <thread>
#include <vector>

namespace bench {

/// What a thread of a team knows, does, and remembers.
class alignas(64) member {
 public:
  member(unsigned number, unsigned team, const std::atomic<bool>& over) noexcept
      : number_{number}, team_{team}, random_{number * 0x9e37'79b9'7f4a'7c15u + 1}, over_{&over} {}

  [[nodiscard]] unsigned number() const noexcept { return number_; }
  [[nodiscard]] unsigned team() const noexcept { return team_; }
  /// Two random bits.
  std::size_t two_bits() noexcept {
    random_ = random_ * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    return static_cast<std::size_t>(random_ >> 62);
  }

  /// Calls `step` until the time is over, and takes the time of one in 17 (a prime: no pattern of steps that hides from
  /// it). `step` says how many operations it was; 0 is a vain attempt, which is not counted.
  template <class Step>
  void repeat(Step step) {
    while (!over_->load(std::memory_order_relaxed)) {
      const std::uint64_t begun = ticks();
      if (const unsigned done = step(); done != 0) {
        latency_.add(ticks() - begun);
        operations_ += done;
      }
      for (int i = 1; i < 17; ++i) operations_ += step();
    }
  }
  /// After a vain attempt: pause; after each 32 of them in a row, let another thread have the processor. Said before the
  /// next success by going_on().
  void wait() noexcept {
    if (++vain_ % 32 == 0) std::this_thread::yield();
#if defined(__x86_64__)
    else
      _mm_pause();
#endif
  }
  void going_on() noexcept { vain_ = 0; }

  [[nodiscard]] const histogram& latency() const noexcept { return latency_; }
  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }

 private:
  unsigned number_, team_, vain_ = 0;
  std::uint64_t random_;
  const std::atomic<bool>* over_;
  std::uint64_t operations_ = 0;
  histogram latency_;
};

/// Runs `work(member&)` on so many threads, started together, thread i on processor i modulo their number. The time of an
/// operation is the CPU time of a thread that is alone, else what passes on the wall, divided by what all of them did.
template <class Work>
turn run_team(unsigned threads, std::chrono::duration<double> length, Work work) {
  std::atomic<bool> over{false};
  std::vector<member> members;
  for (unsigned i = 0; i < threads; ++i) members.emplace_back(i, threads, over);
  std::barrier start{static_cast<std::ptrdiff_t>(threads) + 1};
  double processor_seconds = 0;  // of thread 0
  std::vector<std::thread> running;
  for (member& each : members) {
    running.emplace_back([&start, &each, &work, &processor_seconds] {
      const on_processor mine{each.number() % std::max(1u, std::thread::hardware_concurrency())};
      const auto now = [] {
        std::timespec used{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
      };
      start.arrive_and_wait();
      const double begun = now();
      work(each);
      if (each.number() == 0) processor_seconds = now() - begun;
    });
  }
  start.arrive_and_wait();
  using steady = std::chrono::steady_clock;
  const auto begun = steady::now();
  const std::uint64_t first_tick = ticks();
  std::this_thread::sleep_until(begun + std::chrono::duration_cast<steady::duration>(length));
  over.store(true, std::memory_order_relaxed);
  const std::chrono::duration<double, std::nano> passed = steady::now() - begun;
  const double per_tick = passed.count() / static_cast<double>(ticks() - first_tick);
  for (std::thread& each : running) each.join();

  histogram latency;
  std::uint64_t operations = 0;
  for (const member& each : members) {
    latency.add(each.latency());
    operations += each.operations();
  }
  return {(threads == 1 ? processor_seconds * 1e9 : passed.count()) / static_cast<double>(operations),
          {latency.quantile(0.5) * per_tick, latency.quantile(0.99) * per_tick, latency.quantile(0.999) * per_tick,
           latency.longest() * per_tick}};
}

}  // namespace bench
