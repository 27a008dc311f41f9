// SPDX-License-Identifier: MIT
// queue: deadlines, costs and other keys as levels of a priority_queue.
#pragma once

#include <felix/error.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace felix::inline v1 {

namespace detail {

/// Of a time point or a duration the number of its ticks; else the value itself.
template <class Key>
constexpr auto ticks(const Key& key) {
  if constexpr (requires { key.time_since_epoch().count(); }) {
    return key.time_since_epoch().count();
  } else if constexpr (requires { key.count(); }) {
    return key.count();
  } else {
    return key;
  }
}

}  // namespace detail

/// Levels of equal width from `first` on: a calendar.
///     const felix::even_levels<64, clock::time_point> by_deadline{start, 50ms};
///     if (!queue.try_push(by_deadline(job.deadline), std::move(job))) reject(job);
/// Order: a smaller key never gets a lower-ranking level, so two keys in different levels pop in the order of the keys.
///        Keys in one level, which are less than `width` apart, pop in the order of their pushes; so do all before
///        `first` and what is not a number (level 0), and all from `first + (Levels - 1) * width` on, up to the
///        greatest key (the last level).
/// Cost:  one division. Start anew with a later `first` once the queue is empty, or choose the width for the whole run.
template <std::size_t Levels, std::totally_ordered Key>
class even_levels {
  static_assert(Levels >= 1, "felix::even_levels: at least one level");

 public:
  using width_type = decltype(std::declval<const Key&>() - std::declval<const Key&>());

  constexpr even_levels(Key first, width_type width) : first_{std::move(first)}, width_{std::move(width)} {
    if (!(width_ > width_type{}))  // so that NaN is refused too
      throw error{errc::invalid_option, "even_levels: a width of 0 or less; use one above 0"};
  }
  [[nodiscard]] constexpr std::size_t operator()(const Key& key) const {
    if (!(first_ < key)) return 0;
    const auto from = detail::ticks(first_);
    const auto to = detail::ticks(key);
    const auto width = detail::ticks(width_);
    if constexpr (std::integral<decltype(from)> && sizeof(from) <= sizeof(std::uint64_t)) {
      // Unsigned, because from the first key to the last may be more than a signed number holds.
      return at((static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from)) /
                static_cast<std::uint64_t>(width));
    } else {
      return at((to - from) / width);
    }
  }

 private:
  template <class Steps>
  [[nodiscard]] static constexpr std::size_t at(Steps steps) {
    return steps < static_cast<Steps>(Levels - 1) ? static_cast<std::size_t>(steps) : Levels - 1;
  }

  Key first_;
  width_type width_;
};

/// Levels that double: below `least`, below 2 * least, 4 * least, ... For costs, sizes, and the time that is left.
///     const felix::doubling_levels<16, clock::duration> by_slack{10ms};
///     if (!queue.try_push(by_slack(job.deadline - clock::now()), std::move(job))) reject(job);
/// Order: a smaller amount never gets a lower-ranking level. Amounts in one level pop in the order of their pushes: they
///        differ by less than a factor of 2, but for those below `least` (level 0) and those from
///        least * 2^(Levels - 2) on, and what is not a number (the last level). The time that is left is measured at
///        the push and does not age: with `aging_order` what was pushed with much time left still gets its turn.
/// Cost:  at most Levels comparisons.
template <std::size_t Levels, std::totally_ordered Amount>
class doubling_levels {
  static_assert(Levels >= 1, "felix::doubling_levels: at least one level");

 public:
  constexpr explicit doubling_levels(Amount least) : least_{std::move(least)} {
    if (!(least_ > Amount{}))
      throw error{errc::invalid_option, "doubling_levels: a least amount of 0 or less; use one above 0"};
  }
  [[nodiscard]] constexpr std::size_t operator()(const Amount& amount) const {
    std::size_t level = 0;
    Amount bound = least_;
    while (level < Levels - 1 && !(amount < bound)) {
      ++level;
      if (amount - bound < bound) break;  // below the double of it, which need not be an Amount
      bound = bound + bound;
    }
    return level;
  }

 private:
  Amount least_;
};

}  // namespace felix::inline v1
