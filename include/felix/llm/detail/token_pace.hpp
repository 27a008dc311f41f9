// SPDX-License-Identifier: MIT
// llm: how much slower each request gets with every other one in flight.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace felix::inline v1::detail {

/// The time a token of an answer takes, by how many requests are in flight: a line through the levels that were seen.
/// Times are in seconds. Cost: linear in `max`; allocates when it is built.
class token_pace {
 public:
  explicit token_pace(std::size_t max) : levels_(max + 1) {}

  void add(std::size_t level, double seconds) noexcept {
    auto& seen = levels_[std::clamp<std::size_t>(level, 1, levels_.size() - 1)];
    seen.readings = std::min(seen.readings + 1, most_readings);
    seen.mean += (seconds - seen.mean) / static_cast<double>(seen.readings);
    fit();
  }

  /// The time a token takes a request that is alone; 0 while nothing is known.
  [[nodiscard]] double alone() const noexcept { return alone_; }
  /// The time a token takes at `level`, over the one alone; 1 while nothing is known. At most `level`: that would be a
  /// server which does one request after the other.
  [[nodiscard]] double slowdown(std::size_t level) const noexcept {
    if (level < 2 || alone_ <= 0) return 1;
    const bool seen = level < levels_.size() && levels_[level].readings > 0;
    const auto n = static_cast<double>(level);
    const double present = seen ? levels_[level].mean : alone_ + each_ * (n - 1);
    return std::clamp(present / alone_, 1.0, n);
  }

 private:
  struct seen_level {
    double mean = 0;
    std::size_t readings = 0;
  };
  static constexpr std::size_t most_readings = 16;

  /// Least squares, each level weighs as many readings as its mean is made of.
  void fit() noexcept {
    double weight = 0;
    double n_mean = 0;
    double t_mean = 0;
    for (std::size_t n = 1; n < levels_.size(); ++n) {
      const auto readings = static_cast<double>(levels_[n].readings);
      weight += readings;
      n_mean += readings * static_cast<double>(n);
      t_mean += readings * levels_[n].mean;
    }
    n_mean /= weight;
    t_mean /= weight;
    double variance = 0;
    double covariance = 0;
    double fastest = t_mean;
    for (std::size_t n = 1; n < levels_.size(); ++n) {
      const auto& seen = levels_[n];
      if (seen.readings == 0) continue;
      const double off = static_cast<double>(n) - n_mean;
      variance += static_cast<double>(seen.readings) * off * off;
      covariance += static_cast<double>(seen.readings) * off * (seen.mean - t_mean);
      fastest = std::min(fastest, seen.mean / static_cast<double>(n));
    }
    each_ = variance > 0 ? std::max(0.0, covariance / variance) : 0;
    alone_ = std::max(t_mean - each_ * (n_mean - 1), fastest);
  }

  std::vector<seen_level> levels_;  // by how many are in flight
  double alone_ = 0;
  double each_ = 0;  // what every other request adds
};

/// How many requests a server takes when none may be slowed down more than `most`-fold, from what `level` of them are
/// slowed down by, when it grows linearly.
[[nodiscard]] inline std::size_t level_of_slowdown(std::size_t level, double slowdown, double most) noexcept {
  return 1 + static_cast<std::size_t>(std::lround(static_cast<double>(level - 1) * (most - 1) / (slowdown - 1)));
}

}  // namespace felix::inline v1::detail
