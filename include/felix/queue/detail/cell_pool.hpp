// SPDX-License-Identifier: MIT
// queue: the cells that hold what is queued, and the stacks of those that are free.
#pragma once

#include <felix/error.hpp>
#include <felix/queue/atomics.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace felix::inline v1::detail {

// Not std::hardware_destructive_interference_size: g++ warns that it depends on -mtune, and a layout must not.
inline constexpr std::size_t cache_line = 64;

/// Fetches a cache line that is about to be read and then changed, as a whole and meanwhile: else the read brings a copy
/// that the others share, and the change has to ask them again. A hint: it changes nothing.
inline void prepare_to_change(const volatile void* place) noexcept {
#if defined(__x86_64__)
  // The builtin would do the first half only, unless one compiles for a processor that has this instruction for certain.
  // Every one of 64 bits executes it, the oldest without an effect.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const volatile char*>(place)));
#else
  __builtin_prefetch(const_cast<const void*>(place), 1);
#endif
}

using cell_index = std::uint32_t;
inline constexpr cell_index no_cell = ~cell_index{0};

/// `capacity` places for a T. A place belongs to whoever took it, until it is put back.
/// Free cells lie on stacks, after Treiber; one stack would be the busiest word of the queue, so there are several, and
/// a thread prefers the one it used last. Threads that only put (consumers) move on to the next stack now and then, and
/// those that only take (producers) when theirs is empty: so they seldom meet on the same one.
/// Orders: a put releases what was done to the cell, and its `next`; a take acquires it. Every change of a stack is a
/// read-modify-write, so the put stays the head of a release sequence whatever is stacked above it and taken again. They
/// are seq_cst beyond that, so that a take that finds nothing has missed no put that returned before it began: "full" is
/// then what it is said to be. The load before a put guards nothing.
/// A word is (tag | cell + 1); each put counts the tag up. ABA would need a thread that stands still between the load
/// and the exchange of take() while its stack sees an exact multiple of 2^40 puts (the least width of the tag).
template <class T, class Atomics>
class cell_pool {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "felix: what is queued is moved out on behalf of another thread, which must not fail; queue a "
                "std::unique_ptr<T> instead");

 public:
  using index = cell_index;
  static constexpr index none = no_cell;
  static constexpr std::size_t max_capacity = (std::size_t{1} << 24) - 1;

  cell_pool(std::size_t capacity, const char* owner)
      : capacity_{checked(capacity, owner)},
        mask_{std::bit_ceil(std::uint64_t{capacity} + 1) - 1},
        stripe_mask_{stripes_for(capacity) - 1},
        cells_{new place[capacity]},
        stripes_{new stripe[stripes_for(capacity)]} {
    for (std::size_t i = capacity; i-- > 0;) {  // so that each stack begins with its first cell
      auto& top = stripes_[i * (stripe_mask_ + 1) / capacity].top;
      cells_[i].next.store(static_cast<index>(top.load(std::memory_order_relaxed)), std::memory_order_relaxed);
      top.store(i + 1, std::memory_order_relaxed);
    }
  }

  /// Nothing is free: none, and then a cell that was free when the call began has been taken by another call.
  [[nodiscard]] index take() noexcept {
    queue_lane& lane = Atomics::lane();
    lane.puts = 0;
    for (std::uint32_t tried = 0; tried <= stripe_mask_; ++tried, ++lane.stripe) {
      auto& top = stripes_[lane.stripe & stripe_mask_].top;
      std::uint64_t seen = top.load(std::memory_order_seq_cst);
      while ((seen & mask_) != 0) {
        const auto cell = static_cast<index>((seen & mask_) - 1);
        prepare_to_change(&cells_[cell]);
        const std::uint64_t next = cells_[cell].next.load(std::memory_order_relaxed);  // stale: the exchange fails
        if (top.compare_exchange_weak(seen, (seen & ~mask_) | next, std::memory_order_seq_cst,
                                      std::memory_order_seq_cst))
          return cell;
      }
    }
    return none;
  }

  void put(index cell) noexcept {
    queue_lane& lane = Atomics::lane();
    if (++lane.puts > puts_in_a_row) {
      lane.puts = 0;
      ++lane.stripe;
    }
    auto& top = stripes_[lane.stripe & stripe_mask_].top;
    std::uint64_t seen = top.load(std::memory_order_relaxed);
    do {
      cells_[cell].next.store(static_cast<index>(seen & mask_), std::memory_order_relaxed);
    } while (!top.compare_exchange_weak(seen, ((seen | mask_) + 1) | (std::uint64_t{cell} + 1),
                                        std::memory_order_seq_cst, std::memory_order_relaxed));
  }

  /// If T's constructor throws, the cell is free again.
  template <class U>
  void construct(index cell, U&& value) noexcept(std::is_nothrow_constructible_v<T, U>) {
    if constexpr (std::is_nothrow_constructible_v<T, U>) {
      std::construct_at(std::addressof(cells_[cell].value), std::forward<U>(value));
    } else {
      try {
        std::construct_at(std::addressof(cells_[cell].value), std::forward<U>(value));
      } catch (...) {
        put(cell);
        throw;
      }
    }
  }
  /// A hint: move_out_and_put comes soon.
  void prepare_to_move_out(index cell) const noexcept { prepare_to_change(&cells_[cell]); }
  [[nodiscard]] std::optional<T> move_out(index cell) noexcept {
    std::optional<T> value{std::move(cells_[cell].value)};
    destroy(cell);
    return value;
  }
  [[nodiscard]] std::optional<T> move_out_and_put(index cell) noexcept {
    std::optional<T> value{std::move(cells_[cell].value)};
    destroy(cell);
    put(cell);
    return value;
  }
  void destroy(index cell) noexcept { std::destroy_at(std::addressof(cells_[cell].value)); }

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// What the constructor allocates.
  [[nodiscard]] static constexpr std::size_t bytes(std::size_t capacity) noexcept {
    return capacity * sizeof(place) + stripes_for(capacity) * sizeof(stripe);
  }

 private:
  // More: a stack and its cells change their owner more seldom. Less: its bottom is reached more seldom.
  static constexpr std::uint32_t puts_in_a_row = 32;

  struct place {
    place() noexcept {}
    place(place&&) = delete;
    ~place() {}
    union {
      T value;
    };
    // The one below, + 1. Atomic, because a thread may read it that lost its race for the cell long ago.
    typename Atomics::template atomic<index> next{0};
  };
  struct alignas(cache_line) stripe {
    typename Atomics::template atomic<std::uint64_t> top{0};
  };

  static constexpr std::uint32_t stripes_for(std::size_t capacity) noexcept {
    return static_cast<std::uint32_t>(std::bit_floor(std::clamp<std::size_t>(capacity / 8, 1, 16)));
  }
  static std::size_t checked(std::size_t capacity, const char* owner) {
    if (capacity == 0 || capacity > max_capacity)
      throw error{errc::invalid_option, std::string{owner} + ": a capacity is from 1 to " +
                                            std::to_string(max_capacity) + ", not " + std::to_string(capacity)};
    return capacity;
  }

  std::size_t capacity_;
  std::uint64_t mask_;  // of cell + 1 in a stripe's word
  std::uint32_t stripe_mask_;
  std::unique_ptr<place[]> cells_;
  std::unique_ptr<stripe[]> stripes_;
};

}  // namespace felix::inline v1::detail
