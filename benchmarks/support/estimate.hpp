// SPDX-License-Identifier: MIT
// benchmarks: a measured figure with its 95 % interval, and whether it lies on the right side of a bound.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace bench {

struct estimate {
  double value, low, high;
};

/// A figure that is counted, not timed: it has no interval.
inline estimate exactly(double value) noexcept { return {value, value, value}; }

/// In another unit.
inline estimate scaled(const estimate& measured, double factor) noexcept {
  return {measured.value * factor, measured.low * factor, measured.high * factor};
}

struct at_most {
  double value;
};
struct at_least {
  double value;
};

class bound {
 public:
  // Implicit, so that a goal reads: suite.goal("name", at_most{1.25}, …).
  bound(at_most most) noexcept : value_{most.value}, side_{side::above} {}
  bound(at_least least) noexcept : value_{least.value}, side_{side::below} {}

  [[nodiscard]] double value() const noexcept { return value_; }
  [[nodiscard]] const char* sign() const noexcept { return side_ == side::above ? "<=" : ">="; }
  [[nodiscard]] bool holds(double measured) const noexcept {
    return side_ == side::above ? measured <= value_ : measured >= value_;
  }

 private:
  enum class side : unsigned char { above, below };  // where it must not lie
  double value_;
  side side_;
};

enum class verdict : unsigned char { met, missed, not_resolved };

/// Resolved when the whole interval lies on one side.
inline verdict judge(const bound& goal, const estimate& measured) noexcept {
  const bool low = goal.holds(measured.low), high = goal.holds(measured.high), value = goal.holds(measured.value);
  if (low && high && value) return verdict::met;
  return low || high || value ? verdict::not_resolved : verdict::missed;
}

inline double median(std::vector<double> values) {
  assert(!values.empty());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

/// The percentile bootstrap: what `statistic(indices)` gives for all repetitions, and between which two values 95 % of
/// what it gives for repetitions drawn with replacement lie. With few repetitions that is nearly the range of them all.
/// The draws are the same in each run.
/// See: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
template <class Statistic>
estimate bootstrap(std::size_t repetitions, Statistic statistic) {
  assert(repetitions > 0);
  constexpr std::size_t resamples = 10'000;
  std::vector<std::size_t> drawn(repetitions);
  for (std::size_t i = 0; i < repetitions; ++i) drawn[i] = i;
  const double value = statistic(std::as_const(drawn));

  std::mt19937_64 random{20};
  std::vector<double> values(resamples);
  for (double& each : values) {
    for (std::size_t& index : drawn) index = static_cast<std::size_t>(random() % repetitions);
    each = statistic(std::as_const(drawn));
  }
  std::sort(values.begin(), values.end());
  return {value, values[resamples / 40], values[resamples - 1 - resamples / 40]};
}

namespace detail {
inline std::vector<double> pick(const std::vector<double>& from, const std::vector<std::size_t>& indices) {
  std::vector<double> picked;
  picked.reserve(indices.size());
  for (std::size_t index : indices) picked.push_back(from[index]);
  return picked;
}
}  // namespace detail

/// The median of `per_item` nanoseconds, as a number of items a second.
inline estimate items_per_second(const std::vector<double>& per_item) {
  return bootstrap(per_item.size(), [&](const std::vector<std::size_t>& indices) {
    return 1e9 / median(detail::pick(per_item, indices));
  });
}

/// How the medians of two alternatives relate that took turns. They are resampled in pairs, the i-th repetition of one
/// with the i-th of the other: what slowed the machine meanwhile slowed both.
inline estimate ratio_of_medians(const std::vector<double>& numerator, const std::vector<double>& denominator) {
  assert(numerator.size() == denominator.size());
  return bootstrap(numerator.size(), [&](const std::vector<std::size_t>& indices) {
    return median(detail::pick(numerator, indices)) / median(detail::pick(denominator, indices));
  });
}

}  // namespace bench
