// SPDX-License-Identifier: MIT
// agent: how far an agent has come along the helix, in logical time that is counted in whole ticks.
#pragma once

#include <felix/agent/helix.hpp>  // detail::shortest
#include <felix/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>

namespace felix::inline v1 {

/// A point of logical time, in ticks since the start of a run. Whole numbers, because sums of 0.05 drift.
using tick_count = std::int64_t;

/// The logical time of one tick.
inline constexpr double tick_length = 0.05;

/// The progress of one agent: velocity × acceleration, integrated over the ticks since its spawn, up to 1.
///     helix_motion motion{spawn_tick, 1.3};
///     motion.advance_to(now);
///     motion.adapt(confidences);   // after each stage
/// Progress never jumps and never falls: a change of speed or a pause counts from the tick at which it happens, and how
/// often the motion was advanced or read on the way changes no bit of it.
/// Throws:  error (invalid_option) at construction, nothing later.
/// Threads: none of its own; the owner guards it.
class helix_motion {
 public:
  static constexpr double min_velocity = 0.1;
  static constexpr double max_velocity = 3.0;
  static constexpr double min_acceleration = 0.5;
  static constexpr double max_acceleration = 1.5;

  /// `velocity` is progress per unit of logical time, that is, per 20 ticks.
  helix_motion(tick_count spawn_tick, double velocity)
      : now_{spawn_tick}, moving_since_{spawn_tick}, velocity_{velocity} {
    if (spawn_tick < 0)
      throw error{errc::invalid_option, "helix_motion: spawn_tick is " + std::to_string(spawn_tick) +
                                            "; ticks count from 0, the start of the run"};
    if (!(velocity >= min_velocity && velocity <= max_velocity))
      throw error{errc::invalid_option,
                  "helix_motion: velocity is " + detail::shortest(velocity) + "; choose one from 0.1 to 3, 1 is usual"};
  }

  /// Moves on to `tick`. One that lies in the past, or before the spawn, changes nothing.
  void advance_to(tick_count tick) noexcept { now_ = std::max(now_, tick); }

  /// Once per stage, with the confidences that the agent keeps, oldest first: speeds up by a tenth when the last two
  /// are better than all before them by more than 0.1, slows down by a tenth when they are as much worse. Fewer than
  /// three show no trend.
  void adapt(std::span<const double> confidences) noexcept {
    if (confidences.size() < 3) return;
    const double trend = mean(confidences.last(2)) - mean(confidences.first(confidences.size() - 2));
    if (trend > trend_threshold)
      accelerate(1.1);
    else if (trend < -trend_threshold)
      accelerate(0.9);
  }

  /// Stands still until `tick`, then goes on by itself; the time lost is not made up. Of two pauses the later end holds.
  void pause(tick_count tick) noexcept {
    settle();
    moving_since_ = std::max(moving_since_, tick);
  }

  [[nodiscard]] double depth() const noexcept {
    const auto moved = static_cast<double>(std::max<tick_count>(0, now_ - moving_since_));
    // fma: one rounding on every machine, where a + b * c would have one or two, as the compiler likes.
    const double reached = std::fma(velocity_ * acceleration_, tick_length * moved, settled_depth_);
    return reached >= 1 - arrival_tolerance ? 1 : reached;
  }
  [[nodiscard]] bool completed() const noexcept { return depth() >= 1; }
  [[nodiscard]] bool paused() const noexcept { return now_ < moving_since_; }
  [[nodiscard]] double velocity() const noexcept { return velocity_; }
  [[nodiscard]] double acceleration() const noexcept { return acceleration_; }

 private:
  static constexpr double trend_threshold = 0.1;
  // Legs that add up to the whole way may fall short of 1 by their roundings; that must not cost another stage.
  static constexpr double arrival_tolerance = 1e-9;

  static double mean(std::span<const double> values) noexcept {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  }

  void accelerate(double factor) noexcept {
    settle();
    acceleration_ = std::clamp(acceleration_ * factor, min_acceleration, max_acceleration);
  }

  // What was covered at the present speed is kept, so that a change applies to later ticks only.
  void settle() noexcept {
    settled_depth_ = depth();
    moving_since_ = std::max(moving_since_, now_);
  }

  tick_count now_;
  tick_count moving_since_;   // later than now_ exactly while paused
  double settled_depth_ = 0;  // the depth at moving_since_; from there on the speed is constant
  double velocity_;
  double acceleration_ = 1;
};

}  // namespace felix::inline v1
