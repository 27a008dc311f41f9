// SPDX-License-Identifier: MIT
// telemetry: how long many things took, in 13 KiB however many they are.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace felix::inline v1 {

namespace detail {

template <class Count>
constexpr void add_up_to_most(Count& counter, Count more) noexcept {
  const Count room = std::numeric_limits<Count>::max() - counter;
  counter += std::min(room, more);
}

}  // namespace detail

/// Counts durations in buckets of two significant digits, from 1 µs to 1 h.
///     histogram waits;
///     waits.record(clock::now() - begin);
///     waits.percentile(99);                 // 99 in 100 took no longer than this
///     total += waits;                       // the same as if `total` had recorded them all
/// A duration outside the range counts as the end of the range that it lies beyond. count(), sum(), min() and max() are
/// exact for what is then left; a percentile is at most 1/128 above the duration, rounded up to 1 µs, that it stands for.
/// Threads: a value like an int, guarded by its owner. A copy taken under the owner's lock is a snapshot.
/// Cost:    record() is O(1); percentile() and += read all 3,328 counters. No allocation.
/// See:     HdrHistogram (hdr_histogram.c): the layout of its buckets for 2 significant digits.
class histogram {
 public:
  using duration = std::chrono::nanoseconds;

  static constexpr duration shortest = std::chrono::microseconds{1};
  static constexpr duration longest = std::chrono::hours{1};

  constexpr void record(duration length) noexcept {
    length = std::clamp(length, shortest, longest);
    detail::add_up_to_most(counts_[bucket_of(whole_units(length))], 1U);
    detail::add_up_to_most(count_, std::uint64_t{1});
    sum_ = sum_of(sum_, length);
    min_ = std::min(min_, length);
    max_ = std::max(max_, length);
  }

  /// Adds all that `other` counted; it may be *this. A counter that is full stays full: after 2^32 − 1 durations a
  /// bucket weighs no more in percentiles, and sum() ends at 292 years.
  constexpr histogram& operator+=(const histogram& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) detail::add_up_to_most(counts_[i], other.counts_[i]);
    detail::add_up_to_most(count_, other.count_);
    sum_ = sum_of(sum_, other.sum_);
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
    return *this;
  }

  // Without any duration, all of these are 0.
  [[nodiscard]] constexpr std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] constexpr duration sum() const noexcept { return sum_; }
  [[nodiscard]] constexpr duration min() const noexcept { return count_ == 0 ? duration::zero() : min_; }
  [[nodiscard]] constexpr duration max() const noexcept { return max_; }
  [[nodiscard]] constexpr duration mean() const noexcept {
    if (count_ == 0) return duration::zero();
    return duration{static_cast<duration::rep>(static_cast<std::uint64_t>(sum_.count()) / count_)};
  }

  /// The duration that ⌈p / 100 · count⌉ of all, at least one, did not exceed: the upper edge of its bucket, but never
  /// above max(). `p` outside 0..100 counts as the nearer end, and what is no number as 0.
  [[nodiscard]] constexpr duration percentile(double p) const noexcept {
    std::uint64_t all = 0;  // not count_: a full counter has lost some
    for (const std::uint32_t count : counts_) all += count;
    const std::uint64_t rank = rank_of(p, all);
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      passed += counts_[i];
      if (passed >= rank) return std::min(upper_edge(i), max_);
    }
    return max_;
  }

  [[nodiscard]] friend constexpr bool operator==(const histogram&, const histogram&) noexcept = default;

 private:
  // Below 2^8 units a bucket is one unit wide. From there each power of two is cut into 2^7, so that a bucket's width is
  // at most 1/128 of what lies in it. 2^8 is the least power of two that tells 2 · 10^2 steps apart: two digits.
  static constexpr int half_bits = 7;
  static constexpr std::uint64_t half = std::uint64_t{1} << half_bits;
  static constexpr duration unit = shortest;

  static constexpr std::uint64_t whole_units(duration length) noexcept {  // rounded up
    return static_cast<std::uint64_t>((length + unit - duration{1}) / unit);
  }
  static constexpr int shift_of(std::uint64_t units) noexcept {
    return std::max(0, static_cast<int>(std::bit_width(units)) - half_bits - 1);
  }
  static constexpr std::size_t bucket_of(std::uint64_t units) noexcept {
    const int shift = shift_of(units);
    return static_cast<std::size_t>((static_cast<std::uint64_t>(shift) << half_bits) + (units >> shift));
  }
  static constexpr duration upper_edge(std::size_t bucket) noexcept {
    const std::uint64_t shift = bucket < 2 * half ? 0 : bucket / half - 1;
    const std::uint64_t last = ((bucket - shift * half + 1) << shift) - 1;
    return unit * static_cast<duration::rep>(last);
  }

  static constexpr std::uint64_t rank_of(double p, std::uint64_t all) noexcept {
    if (!(p > 0)) return 1;
    if (p >= 100) return all;
    // Less 4 units of the last place, more than the roundings of p and of this product add: 99.9 % of 1,000 is 999.
    const double exact = p / 100 * static_cast<double>(all) * (1 - 4 * std::numeric_limits<double>::epsilon());
    const auto below = static_cast<std::uint64_t>(exact);
    return std::max<std::uint64_t>(1, below + (static_cast<double>(below) < exact ? 1 : 0));
  }

  static constexpr duration sum_of(duration a, duration b) noexcept {  // of two that are not negative
    return b > duration::max() - a ? duration::max() : a + b;
  }

  std::array<std::uint32_t, ((std::bit_width(std::uint64_t{longest / unit}) - half_bits + 1) << half_bits)> counts_{};
  std::uint64_t count_ = 0;
  duration sum_{0};
  duration min_ = duration::max();
  duration max_{0};
};

}  // namespace felix::inline v1
