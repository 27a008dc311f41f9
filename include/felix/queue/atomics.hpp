// SPDX-License-Identifier: MIT
// queue: where its atomic words come from, so that tests can stand between any two steps.
#pragma once

#include <atomic>
#include <cstdint>

namespace felix::inline v1 {

/// Where a thread looks first for a free cell. A hint: any value is right.
struct queue_lane {
  std::uint32_t stripe = 0;
  std::uint32_t puts = 0;  // since the last take
};

/// The `Atomics` of the queues: the words they are made of, and a lane for each thread. Tests put words in their place
/// that stop, count, or choose what runs next.
///     struct counted { template <class T> using atomic = my_atomic<T>;  static queue_lane& lane() noexcept; };
///     felix::bounded_queue<job, counted> queue{8};
struct std_atomics {
  template <class T>
  using atomic = std::atomic<T>;

  [[nodiscard]] static queue_lane& lane() noexcept {
    static std::atomic<std::uint32_t> threads{0};
    // Neighbours start apart. The order is free: a number that is given twice costs speed only.
    thread_local queue_lane mine{threads.fetch_add(1, std::memory_order_relaxed) * 5, 0};
    return mine;
  }
};

}  // namespace felix::inline v1
