// SPDX-License-Identifier: MIT
// queue: what goes first, between threads, without locks.
#pragma once

#include <felix/queue/atomics.hpp>
#include <felix/queue/detail/cell_pool.hpp>
#include <felix/queue/detail/slot_ring.hpp>
#include <felix/queue/pop_order.hpp>

#include <array>
#include <atomic>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace felix::inline v1 {

namespace detail {

template <class Order, std::size_t Levels>
inline constexpr bool serves = [] {
  if constexpr (requires { Order::max_levels; }) return Levels <= Order::max_levels;
  return true;
}();

}  // namespace detail

/// At most `capacity` values between any number of threads; level 0 goes first, and within a level whoever came first.
/// (A level is a rank, unlike request_priority, of which the greatest goes first.)
///     felix::priority_queue<job, 4> queue{1024};
///     auto ticket = queue.try_push(0, std::move(urgent));                  // optional<ticket>; nothing when full
///     while (auto next = queue.try_pop()) next->run();
///     if (auto back = queue.cancel(*ticket)) reuse(std::move(*back));      // taken out, unless someone popped it
/// Order:    linearizable to a sequential queue of `Levels` lists. A pop takes the front of the first list, in the order
///           in which it looks (`Order`; level 0 first by default), that had a value at one instant inside the call. It
///           cannot mean "the first when the caller gets it": something more urgent may come in between. So by
///           strict_order, if a push of an urgent value returned before that of another began, no pop gets the other
///           while the urgent one is in.
///           "Empty" is exact: at one instant inside the call nothing was in, on any level.
///           "Full" is weak: what was in, and the calls that overlapped this one, made up the capacity. A thread that
///           stops in the middle of a call costs the others one place. So does a cancelled value, for as long as one
///           that was pushed before it to its level is in.
/// Threads:  all members but constructor and destructor: from any, all at once. Lock-free: when a call has to repeat a
///           step, another call has got on; a thread that stops, wherever, stops nobody else.
/// Lifetime: what is left is destroyed with it; by then, no call is under way.
/// Throws:   `error` (invalid_option) if the capacity is not from 1 to 2^24 - 1. What T's constructor throws: nothing
///           was pushed then, and no place is lost.
/// Cost:     push and cancel O(1), pop O(Levels), amortised: each cancelled value costs one later call one more step; and
///           a thread that stopped in the middle of a call may leave a stale hint behind when it goes on, and one later
///           call then steps over what was used meanwhile, at most the whole capacity. All memory is allocated by the
///           constructor: bytes(capacity). A T over 64 bytes is better queued as a unique_ptr.
/// See:      detail/slot_ring.hpp for the algorithm and its memory orders; pop_order.hpp for other orders, key_levels.hpp
///           for deadlines and costs.
template <class T, std::size_t Levels, pop_order Order = strict_order, class Atomics = std_atomics>
class priority_queue {
  static_assert(Levels >= 1 && Levels <= 64,
                "felix::priority_queue: 1 to 64 levels; map deadlines or costs to them with key_levels.hpp");
  static_assert(detail::serves<Order, Levels>,
                "felix::priority_queue: its Order serves fewer levels (Order::max_levels); aging_order<N> up to N + 1");

 public:
  /// Names one pushed value for ever: it is never given to another one (positions wrap at 2^62).
  class ticket {
   public:
    friend bool operator==(const ticket&, const ticket&) = default;

   private:
    friend class priority_queue;
    ticket(std::uint64_t position, std::size_t level) noexcept : position_{position}, level_{level} {}
    std::uint64_t position_;
    std::size_t level_;
  };

  /// `name` is who the error is said to be of: what the user has made, if the queue is a part of it.
  explicit priority_queue(std::size_t capacity, const char* name = "priority_queue")
      : cells_{capacity, name}, rings_{make_rings(capacity, std::make_index_sequence<Levels>{})} {}
  priority_queue(priority_queue&&) = delete;
  ~priority_queue() {
    for (auto& level : rings_) level.ring.for_each_live([this](auto cell) { cells_.destroy(cell); });
  }

  /// Nothing: full, and `value` is untouched.
  template <class U = T>
    requires std::constructible_from<T, U>
  [[nodiscard("nothing: the queue is full, and the value was not pushed")]] std::optional<ticket> try_push(
      std::size_t level, U&& value) {
    assert(level < Levels && "felix::priority_queue: no such level; they count from 0");
    auto& ring = rings_[level].ring;
    const auto end = ring.prepare_to_push();
    auto cell = cells_.take();
    if (cell == cells_.none) {
      pass_tombstones();  // and try again, even if it found none: another call may just have passed them
      cell = cells_.take();
      if (cell == cells_.none) return std::nullopt;
    }
    cells_.construct(cell, std::forward<U>(value));
    return ticket{ring.push(cell, end), level};
  }

  /// Nothing: empty.
  [[nodiscard]] std::optional<T> try_pop() noexcept {
    const std::size_t first = order_.first_level(Levels);
    assert(first < Levels && "felix::priority_queue: its Order chose a level that does not exist");
    for (;;) {
      // Two collects. A level that is not filled at a position, now and later, was empty all the time between; so all
      // that were passed have been empty at the instant at which the last one was read: the linearization point.
      std::array<passed, Levels> empty;
      std::size_t count = 0;
      typename fifo::view front{};
      std::size_t level = first;
      for (;;) {
        front = front_of(level);
        if (front.live) break;
        empty[count++] = {level, front};
        if (count == Levels) break;
        level = count == 1 && first != 0 ? 0 : level + 1;
        if (level == first && count > 1) ++level;
      }
      if (front.live) cells_.prepare_to_move_out(rings_[level].ring.cell_of(front.word));
      const std::size_t before = front.live ? count : count - 1;
      bool still = true;
      for (std::size_t i = 0; i < before && still; ++i) still = rings_[empty[i].level].ring.unchanged(empty[i].seen);
      if (!still) continue;  // a push has got on
      if (!front.live) return std::nullopt;
      // The front was in at that instant, and if the exchange succeeds, nobody has taken it since.
      if (const auto cell = rings_[level].ring.take(front); cell != cells_.none) return cells_.move_out_and_put(cell);
    }
  }

  /// The value of that push, unless it has been popped or cancelled. A ticket of another queue is the caller's mistake.
  std::optional<T> cancel(const ticket& of) noexcept {
    auto& [ring, tombstones] = rings_[of.level_];
    const auto cell = ring.begin_cancel(of.position_);
    if (cell == cells_.none) return std::nullopt;
    tombstones.fetch_add(1, std::memory_order_relaxed);
    std::optional<T> value = cells_.move_out(cell);
    if (!ring.finish_cancel(of.position_, cell)) cells_.put(cell);
    return value;
  }

  /// Exact while no call is under way.
  [[nodiscard]] std::size_t size_approx() const noexcept {
    std::size_t sum = 0;
    for (std::size_t level = 0; level < Levels; ++level) sum += size_approx(level);
    return sum;
  }
  [[nodiscard]] std::size_t size_approx(std::size_t level) const noexcept {
    assert(level < Levels && "felix::priority_queue: no such level; they count from 0");
    const auto& [ring, tombstones] = rings_[level];
    const std::size_t dead = tombstones.load(std::memory_order_relaxed);
    const std::size_t length = ring.length();
    return length > dead ? length - dead : 0;
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return cells_.capacity(); }
  [[nodiscard]] static constexpr std::size_t levels() noexcept { return Levels; }

  /// What a queue of that capacity allocates: a cell for each place, for each level 8 bytes for each place rounded up
  /// to a power of two, and a cache line for each of up to 16 stacks of free cells; without what new[] itself needs.
  [[nodiscard]] static constexpr std::size_t bytes(std::size_t capacity) noexcept {
    return pool::bytes(capacity) + Levels * fifo::bytes(capacity);
  }

 private:
  using pool = detail::cell_pool<T, Atomics>;
  using fifo = detail::slot_ring<Atomics>;

  struct list {
    explicit list(std::size_t capacity) : ring{capacity} {}
    fifo ring;
    // Cancelled and not yet passed, for size_approx only, hence relaxed. A walker may count down before we count up:
    // then it is for a moment more than anything.
    typename Atomics::template atomic<std::size_t> tombstones{0};
  };
  struct passed {
    std::size_t level;
    typename fifo::view seen;
  };

  template <std::size_t... I>
  static std::array<list, Levels> make_rings(std::size_t capacity, std::index_sequence<I...>) {
    return {(static_cast<void>(I), list{capacity})...};
  }

  typename fifo::view front_of(std::size_t level) noexcept {
    auto& [ring, tombstones] = rings_[level];
    return ring.front([&, &dead = tombstones](auto cell) noexcept {
      dead.fetch_sub(1, std::memory_order_relaxed);
      if (cell != cells_.none) cells_.put(cell);
    });
  }

  /// Gives back what cancelled values hold at the front of any level.
  void pass_tombstones() noexcept {
    for (std::size_t level = 0; level < Levels; ++level) static_cast<void>(front_of(level));
  }

  pool cells_;
  std::array<list, Levels> rings_;
  [[no_unique_address]] Order order_;
};

}  // namespace felix::inline v1
