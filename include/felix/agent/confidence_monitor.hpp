// SPDX-License-Identifier: MIT
// agent: how sure a team is, and whether that gets better.
#pragma once

#include <felix/agent/helix.hpp>  // detail::checked_depth, detail::shortest, detail::third_of
#include <felix/agent/motion.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>

#include <cmath>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <utility>

namespace felix::inline v1 {

/// How sure one answer was.
struct confidence_sample {
  role_id role = {};
  double depth = 0;       ///< 0 at the top of the helix to 1 at the bottom
  double confidence = 0;  ///< 0 to 1
  tick_count tick = 0;    ///< logical time
};

/// Where confidence goes.
enum class confidence_trend : unsigned char {
  stable,      ///< also while there are fewer than three answers, or all are of one tick
  improving,   ///< by more than 0.3 in a unit of logical time, that is, in a run of the usual length
  declining,   ///< by as much
  fluctuating  ///< answers lie so far from any line that its slope says nothing: volatile
};

/// The last hundred answers of a team: mean, spread and trend, and the means of each role and third of the helix.
///     monitor.add({.role = "research", .depth = 0.2, .confidence = 0.5, .tick = 7});   // each answer once
///     if (monitor.is_worrying()) …
/// A function of the samples, in their order, and nothing else; the same on every machine.
/// Threads: none of its own; the owner guards it. A value.
/// Cost:    add is logarithmic in the roles; what the trend needs is linear in the samples.
class confidence_monitor {
 public:
  static constexpr std::size_t kept = 100;           ///< samples
  static constexpr std::size_t kept_of_role = 10;    ///< samples of a role in a third, for mean_of
  static constexpr double low = 0.7;                 ///< a mean below this is worrying
  static constexpr double low_when_declining = 0.8;  ///< and below this while it falls
  static constexpr double much_scatter = 0.15;       ///< a scatter above this is a fluctuation
  static constexpr double steep = 0.3;               ///< a slope beyond this, per unit of logical time, is a trend

  /// Throws error (invalid_argument) for a depth or a confidence outside [0, 1].
  void add(const confidence_sample& sample) {
    const double depth = detail::checked_depth("confidence_monitor", sample.depth);
    if (!(sample.confidence >= 0 && sample.confidence <= 1))
      throw error{errc::invalid_argument, "confidence_monitor: confidence is " + detail::shortest(sample.confidence) +
                                              "; it is a share, from 0 to 1"};
    samples_.push_back(sample);
    if (samples_.size() > kept) samples_.pop_front();
    auto& alike = by_role_[{sample.role, detail::third_of(depth)}];
    alike.push_back(sample.confidence);
    if (alike.size() > kept_of_role) alike.pop_front();
  }

  [[nodiscard]] std::size_t size() const noexcept { return samples_.size(); }
  /// 0 without samples.
  [[nodiscard]] double mean() const noexcept {
    return mean_over(samples_, [](const confidence_sample& each) { return each.confidence; });
  }
  /// The sample standard deviation: over n − 1. 0 with fewer than two.
  [[nodiscard]] double deviation() const noexcept {
    return samples_.size() < 2 ? 0 : root_mean_square(line{mean(), 0, 0}, samples_.size() - 1);
  }
  /// Of the line through the samples by least squares, per unit of logical time; 0 when there is none.
  [[nodiscard]] double slope() const noexcept { return fit().slope / tick_length; }
  /// How far samples lie from that line: the root of their squared distances over n − 2. Where there is no line, deviation().
  [[nodiscard]] double scatter() const noexcept {
    const line fitted = fit();
    return fitted.exists ? root_mean_square(fitted, samples_.size() - 2) : deviation();
  }
  [[nodiscard]] confidence_trend trend() const noexcept {
    if (samples_.size() < 3) return confidence_trend::stable;
    // Not the deviation: a steady rise or fall has a large one.
    if (scatter() > much_scatter) return confidence_trend::fluctuating;
    const double rise = slope();
    return rise > steep    ? confidence_trend::improving
           : rise < -steep ? confidence_trend::declining
                           : confidence_trend::stable;
  }
  /// Whether the team could do with help: unsure, on the way down, or now sure and now not.
  [[nodiscard]] bool is_worrying() const noexcept {
    if (samples_.empty()) return false;
    const confidence_trend now = trend();
    const double sure = mean();
    return sure < low || (now == confidence_trend::declining && sure < low_when_declining) ||
           now == confidence_trend::fluctuating;
  }

  /// Of the last ten of the role in each third of the helix; nothing when there is none.
  [[nodiscard]] std::optional<double> mean_of(const role_id& role) const {
    std::deque<double> all;
    for (int third = 0; third < 3; ++third) {
      const auto found = by_role_.find({role, third});
      if (found != by_role_.end()) all.insert(all.end(), found->second.begin(), found->second.end());
    }
    if (all.empty()) return std::nullopt;
    return mean_over(all, [](double each) { return each; });
  }
  /// Of the last ten of the role in one third: 0 down to depth 0.3, 1 to 0.7, 2 to the bottom.
  [[nodiscard]] std::optional<double> mean_of(const role_id& role, int third) const {
    const auto found = by_role_.find({role, third});
    if (found == by_role_.end()) return std::nullopt;
    return mean_over(found->second, [](double each) { return each; });
  }
  /// The role with the least mean below `low`, of equals the first by name; none when all are above.
  [[nodiscard]] std::optional<role_id> weakest_role() const {
    std::optional<role_id> weakest;
    double least = low;
    for (const auto& [place, values] : by_role_) {
      const double sure = *mean_of(place.first);
      if (!(sure < least)) continue;
      least = sure;
      weakest = place.first;
    }
    return weakest;
  }

 private:
  // Through (middle, height), that is, with the times centred: taken from their mean before they are squared. Otherwise large
  // times take all the digits, and every slope is 0.
  struct line {
    double height = 0;
    double middle = 0;
    double slope = 0;  // per tick
    bool exists = false;
  };

  template <class Values, class Value>
  [[nodiscard]] static double mean_over(const Values& values, Value&& value) noexcept {
    double sum = 0;
    for (const auto& each : values) sum += value(each);
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
  }
  [[nodiscard]] static double time_of(const confidence_sample& sample, tick_count from) noexcept {
    return static_cast<double>(sample.tick - from);
  }

  [[nodiscard]] line fit() const noexcept {
    if (samples_.size() < 3) return {};
    const tick_count first = samples_.front().tick;
    line fitted{.height = mean(),
                .middle = mean_over(samples_, [&](const confidence_sample& each) { return time_of(each, first); })};
    double spread = 0;
    double common = 0;
    for (const auto& each : samples_) {
      const double time = time_of(each, first) - fitted.middle;
      // fma: one rounding on every machine, where a + b * c would have one or two, as the compiler likes.
      spread = std::fma(time, time, spread);
      common = std::fma(time, each.confidence - fitted.height, common);
    }
    if (!(spread > 0)) return {};
    fitted.slope = common / spread;
    fitted.exists = true;
    return fitted;
  }
  [[nodiscard]] double root_mean_square(const line& from, std::size_t count) const noexcept {
    double sum = 0;
    for (const auto& each : samples_) {
      const double time = time_of(each, samples_.front().tick) - from.middle;
      const double distance = std::fma(-from.slope, time, each.confidence - from.height);
      sum = std::fma(distance, distance, sum);
    }
    return std::sqrt(sum / static_cast<double>(count));
  }

  std::deque<confidence_sample> samples_;
  std::map<std::pair<role_id, int>, std::deque<double>> by_role_;  // by third
};

}  // namespace felix::inline v1
