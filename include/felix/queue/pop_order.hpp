// SPDX-License-Identifier: MIT
// queue: which level a pop looks at first.
#pragma once

#include <felix/queue/atomics.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace felix::inline v1 {

/// How a `priority_queue` chooses. Each pop asks once, when it begins, which of `levels` levels it shall look at first;
/// if that one is empty it goes on with level 0, 1, 2, and so on. Asked by all threads at once. If it cannot serve any
/// number of levels, it says so by a constant `max_levels`.
///     struct fair_order {                             // each level in turn
///       std::atomic<std::size_t> pops{0};
///       std::size_t first_level(std::size_t levels) noexcept { return pops.fetch_add(1) % levels; }
///     };
template <class Order>
concept pop_order = std::default_initializable<Order> && requires(Order& order, std::size_t levels) {
  { order.first_level(levels) } noexcept -> std::same_as<std::size_t>;
};

/// Level 0 always goes first; a lower one waits for as long as there is anything above it.
struct strict_order {
  [[nodiscard]] static constexpr std::size_t first_level(std::size_t) noexcept { return 0; }
};

/// Each level below the first has one pop in N + 1 that begins with it, so nothing waits for ever: what has i values
/// before it in its level is taken, at the latest, by the (i + 1) * (N + 1)-th pop that begins after its push returned.
/// For each of these i + 1 positions it waits for at most N pops of other levels. The other pops are strict.
///     felix::priority_queue<job, 4, felix::aging_order<15>> queue{1024};   // 3 pops in 16 begin with level 1, 2 or 3
/// It serves up to N + 1 levels: then each has every (N + 1)-th pop, the first one too. A pop that has begun and not yet
/// returned counts as begun: a thread that stops in there leaves its turn to the next one, N + 1 pops later.
template <std::size_t N>
class aging_order {
 public:
  static constexpr std::size_t max_levels = N + 1;  // a turn in N + 1 for each

  [[nodiscard]] std::size_t first_level(std::size_t levels) noexcept {
    // relaxed: it guards nothing; the pops have one order because each is a read-modify-write of the same word.
    return turn(pops_.fetch_add(1, std::memory_order_relaxed), levels);
  }
  /// Whose turn the pop with that number is, counted from 0: the lower levels are spread evenly over N + 1 pops.
  [[nodiscard]] static constexpr std::size_t turn(std::uint64_t pop, std::size_t levels) noexcept {
    const std::uint64_t in_round = pop % (N + 1);
    const std::uint64_t lower = levels - 1;
    const std::uint64_t level = (in_round + 1) * lower / (N + 1);
    return level != in_round * lower / (N + 1) ? static_cast<std::size_t>(level) : 0;
  }

 private:
  alignas(64) std::atomic<std::uint64_t> pops_{0};  // a cache line of its own
};

static_assert(pop_order<strict_order> && pop_order<aging_order<15>>);
static_assert(aging_order<3>::turn(2, 2) == 0 && aging_order<3>::turn(3, 2) == 1);

}  // namespace felix::inline v1
