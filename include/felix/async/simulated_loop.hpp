// SPDX-License-Identifier: MIT
// async: a loop whose clock jumps to the next timer, and whose order a seed decides: an hour of agents in a millisecond.
#pragma once

#include <felix/async/basic_event_loop.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace felix::inline v1 {

namespace detail {

/// Time stands still until nothing is ready, then it is that of the next timer.
class virtual_clock_source {
 public:
  static constexpr std::chrono::steady_clock::time_point start{std::chrono::hours{24}};
  [[nodiscard]] std::chrono::steady_clock::time_point now() const noexcept { return now_; }
  void skip_to(std::chrono::steady_clock::time_point later) noexcept { now_ = later; }

 private:
  std::chrono::steady_clock::time_point now_ = start;
};

/// No input or output. With a seed it picks which of the ready coroutines runs next.
class seeded_reactor {
 public:
  seeded_reactor() = default;
  explicit seeded_reactor(std::uint64_t seed) noexcept : state_{seed} {}

  void wait(std::optional<std::chrono::nanoseconds>) const noexcept {}
  void poll() const noexcept {}
  void wake() const noexcept {}

  work_item* next(work_list& posted) {
    if (!state_) return posted.pop_front();
    while (work_item* const item = posted.pop_front()) ready_.push_back(item);
    if (ready_.empty()) return nullptr;
    work_item*& chosen = ready_[static_cast<std::size_t>(random() % ready_.size())];
    work_item* const item = std::exchange(chosen, ready_.back());
    ready_.pop_back();
    return item;
  }

 private:
  /// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
  std::uint64_t random() noexcept {
    std::uint64_t z = (*state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }

  std::optional<std::uint64_t> state_;
  std::vector<work_item*> ready_;
};

}  // namespace detail

/// For tests: no network, no sleeping, the same each run. Without a seed what is ready runs first in, first out; with
/// one it runs in an order that the seed decides, so that seeds explore interleavings and a failing one repeats.
///     felix::simulated_loop loop{42};
///     CHECK_THROWS_AS(loop.run(tell_story(model)), felix::timed_out);   // an hour passes in a microsecond
///     CHECK(loop.now() == felix::simulated_loop::start + 5s);
/// A task that nothing can wake ends with deadlock_error instead of hanging. It does not wait for other threads, so a task
/// that is away on a thread_pool looks like one that nothing can wake: write the program for a scheduler&, and pass the
/// loop itself where it passes the pool.
class simulated_loop : public basic_event_loop<detail::seeded_reactor, detail::virtual_clock_source> {
 public:
  static constexpr time_point start = detail::virtual_clock_source::start;

  simulated_loop() = default;
  explicit simulated_loop(std::uint64_t seed) : basic_event_loop{std::in_place, seed} {}
};

}  // namespace felix::inline v1
