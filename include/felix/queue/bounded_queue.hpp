// SPDX-License-Identifier: MIT
// queue: first in, first out between threads, without locks.
#pragma once

#include <felix/queue/atomics.hpp>
#include <felix/queue/detail/cell_pool.hpp>
#include <felix/queue/detail/slot_ring.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <utility>

namespace felix::inline v1 {

/// A first-in-first-out queue of at most `capacity` values between any number of threads.
///     felix::bounded_queue<job> jobs{1024};
///     if (!jobs.try_push(std::move(work))) reject(work);       // full: work is untouched
///     while (auto next = jobs.try_pop()) next->run();          // empty
/// Order:    linearizable to a sequential queue. "Empty" is exact: at one instant inside the call nothing was in.
///           "Full" is weak: what was in, and the calls that overlapped this one, made up the capacity; so a thread that
///           stops in the middle of a call costs the others one place.
/// Threads:  try_push, try_pop, size_approx: from any, all at once. Lock-free: when a call has to repeat a step, another
///           call has got on; a thread that stops, wherever, stops nobody else.
/// Lifetime: what is left is destroyed with it; by then, no call is under way.
/// Throws:   `error` (invalid_option) if the capacity is not from 1 to 2^24 - 1. What T's constructor throws: nothing
///           was pushed then, and no place is lost.
/// Cost:     O(1) amortised: a thread that stopped in the middle of a call may leave a stale hint behind when it goes on,
///           and one later call then steps over what was used meanwhile, at most the whole capacity. All memory is
///           allocated by the constructor: bytes(capacity). A T over 64 bytes is better queued as a std::unique_ptr.
/// See:      detail/slot_ring.hpp for the algorithm and its memory orders; priority_queue for levels and cancelling.
template <class T, class Atomics = std_atomics>
class bounded_queue {
 public:
  explicit bounded_queue(std::size_t capacity) : cells_{capacity, "bounded_queue"}, ring_{capacity} {}
  bounded_queue(bounded_queue&&) = delete;
  ~bounded_queue() {
    ring_.for_each_live([this](auto cell) { cells_.destroy(cell); });
  }

  /// False: full, and `value` is untouched.
  template <class U = T>
    requires std::constructible_from<T, U>
  [[nodiscard("false: the queue is full, and the value was not pushed")]] bool try_push(U&& value) {
    const auto end = ring_.prepare_to_push();
    const auto cell = cells_.take();
    if (cell == cells_.none) return false;
    cells_.construct(cell, std::forward<U>(value));
    ring_.push(cell, end);
    return true;
  }

  /// Nothing: empty.
  [[nodiscard]] std::optional<T> try_pop() noexcept {
    for (;;) {
      auto front = ring_.front([](auto) noexcept {});  // nothing is cancelled here
      if (!front.live) return std::nullopt;
      cells_.prepare_to_move_out(ring_.cell_of(front.word));
      if (const auto cell = ring_.take(front); cell != cells_.none) return cells_.move_out_and_put(cell);
    }
  }

  /// Exact while no call is under way.
  [[nodiscard]] std::size_t size_approx() const noexcept { return ring_.length(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return cells_.capacity(); }

  /// What a queue of that capacity allocates: a cell for each place, 8 bytes for each place rounded up to a power of
  /// two, and a cache line for each of up to 16 stacks of free cells; without what new[] itself needs.
  [[nodiscard]] static constexpr std::size_t bytes(std::size_t capacity) noexcept {
    return pool::bytes(capacity) + fifo::bytes(capacity);
  }

 private:
  using pool = detail::cell_pool<T, Atomics>;
  using fifo = detail::slot_ring<Atomics>;

  pool cells_;
  fifo ring_;
};

}  // namespace felix::inline v1
