// SPDX-License-Identifier: MIT
// llm: how long requests wait at a server that is not full, and what a wait says about its being full.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace felix::inline v1::detail {

/// The mean wait where there is no queue: network, scheduling, and what the estimate of the prefill is wrong by. It is
/// learned at levels that are proven, and yet may not follow the waits wherever they go, or it would take a queue for
/// noise: a wait counts at most as `headway` more than the mean, and the mean stays below three times its lowest.
/// Times are in seconds, `headway` is the mean time between two answers.
class wait_noise {
 public:
  [[nodiscard]] double mean() const noexcept { return mean_; }
  /// Whether enough waits were learned from, that the mean may not go anywhere.
  [[nodiscard]] bool known() const noexcept { return waits_ >= 8; }

  /// `allowed`: the mean may be as much, however low it was.
  void add(double wait, double headway, double allowed = 0) noexcept {
    const double gain = std::max(0.03, 1.0 / (static_cast<double>(waits_) + 2));
    raw_ = std::max(raw_ + (std::min(wait, mean_ + headway) - raw_) * gain, 0.002);
    ++waits_;
    if (known()) lowest_ = std::min(1.002 * lowest_, raw_);
    mean_ = std::min(raw_, std::max(3 * lowest_, allowed));
  }

  /// The waits at a level turned out to be noise, of the mean `observed`.
  void widen(double factor, double observed) noexcept {
    lowest_ *= factor;
    if (observed > mean_) mean_ = std::min(factor * std::max(mean_, raw_), observed);
  }

 private:
  double mean_ = 0.010;
  double raw_ = 0.010;
  double lowest_ = std::numeric_limits<double>::infinity();  // of raw_, rises slowly
  std::size_t waits_ = 0;
};

/// How much more likely a wait is with one request too many than with none, as a logarithm: both exponential, with the
/// means `noise` and `noise + headway`. No single wait decides: at most 2 either way.
/// See: Page, "Continuous inspection schemes", Biometrika 41, 1954 (the sums of it).
[[nodiscard]] inline double queue_evidence(double wait, double noise, double headway) noexcept {
  const double queued = noise + headway;
  return std::clamp(std::log(noise / queued) + wait * (1 / noise - 1 / queued), -2.0, 2.0);
}

/// The mean of the waits at the present level, the last eight above all.
class level_wait {
 public:
  void add(double wait) noexcept { mean_ += (wait - mean_) / static_cast<double>(std::min<std::size_t>(++waits_, 8)); }
  /// A wait that was counted when it was too long already has ended.
  void correct(double wait) noexcept {
    if (waits_ > 0) mean_ += 0.3 * (wait - mean_);
  }
  [[nodiscard]] double mean() const noexcept { return mean_; }
  [[nodiscard]] std::size_t count() const noexcept { return waits_; }

  /// How many of `limit` requests wait, by Little's law: in flight times the share of the time that is spent waiting.
  /// One request too many gives 1, whatever the limit and the time of service are.
  [[nodiscard]] double waiting(std::size_t limit, double noise, double service) const noexcept {
    const double wait = std::max(0.0, mean_ - noise);
    return wait > 0 ? static_cast<double>(limit) * wait / (wait + service) : 0;
  }

 private:
  double mean_ = 0;
  std::size_t waits_ = 0;
};

}  // namespace felix::inline v1::detail
