// SPDX-License-Identifier: MIT
// llm: the search for the number of requests that a server takes at once, from how long they wait there.
#pragma once

#include <felix/llm/detail/token_pace.hpp>
#include <felix/llm/detail/wait_evidence.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace felix::inline v1::detail {

/// A limit that starts low and rises while nobody waits, then stays at the level that is proven and watches. Now and
/// then it tries one request more. It is given
///   - labels: the wait of a request that was sent as the n-th in flight. Only those count which were sent as the last
///     that may be: they wait if and only if the limit is above the slots;
///   - readings: how many times slower than alone the requests are at a level, where that shall bound the limit too.
/// The evidence is summed up until it is 19 to 1 for a probe, and rather more against a level that is proven; no single
/// wait decides. Times are in seconds.
/// See: Page, "Continuous inspection schemes", Biometrika 41, 1954.
class slot_search {
 public:
  struct bounds {
    std::size_t initial;  // proven already; 0: unknown
    std::size_t min;
    std::size_t max;
    double slowdown;  // the highest that is worth it
  };

  explicit slot_search(const bounds& within) noexcept
      : bounds_{within},
        limit_{within.initial != 0 ? within.initial : within.min},
        proven_{within.initial},
        phase_{within.initial != 0 ? phase::hold : phase::ramp} {}

  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
  /// The mean wait where there is no queue.
  [[nodiscard]] double noise() const noexcept { return noise_.mean(); }
  /// Whether readings are asked for: a server that shows its slots or its queue tells enough.
  [[nodiscard]] bool reads_pace() const noexcept { return !exact_ && bounds_.initial == 0; }

  /// From now on waits are what the server says, and no estimate.
  void waits_are_exact() noexcept { exact_ = true; }
  /// While waits are estimates: the noise may be as much, however low it was.
  void allow_noise(double seconds) noexcept { allowed_ = seconds; }
  /// What a request took but for its wait.
  void served(double seconds) noexcept { service_ += (seconds - service_) * (service_ > 0 ? 0.1 : 1); }

  /// How long a request may wait before it counts, though it still waits. `margin`: by how much its wait may be less
  /// than it seems.
  [[nodiscard]] double patience(std::size_t in_flight, double margin) const noexcept {
    constexpr double endless = std::numeric_limits<double>::infinity();
    if (phase_ == phase::ramp) return in_flight > proven_ ? 4 * (ramp_bound() + margin) : endless;
    if (phase_ == phase::dip || in_flight != limit_ || service_ <= 0) return endless;
    return 1.5 * headway(in_flight) + 4 * (noise_.mean() + margin);
  }

  void label(double wait, std::size_t in_flight) noexcept {
    if (phase_ == phase::ramp) return label_in_ramp(wait, in_flight);
    if (in_flight != limit_) return;
    if (phase_ == phase::dip || service_ <= 0) return learn_noise(wait);
    waits_.add(wait);
    const double evidence = queue_evidence(wait, noise_.mean(), headway(limit_));
    const double queue = waits_.waiting(limit_, noise_.mean(), service_);
    if (phase_ == phase::hold)
      label_in_hold(wait, evidence, queue);
    else
      label_in_probe(evidence, queue);
  }
  /// A request that was labelled while it waited has waited for so long.
  void correct(double wait, std::size_t in_flight) noexcept {
    if (in_flight == limit_) waits_.correct(wait);
  }

  /// `slowdown`: at the limit as it is; counts if the mean number in flight was the limit.
  void read(std::size_t in_flight, double slowdown) noexcept {
    if (phase_ == phase::dip) {
      if (4 * in_flight <= 3 * proven_ && ++readings_ >= 4) hold(proven_, interval_);
      return;
    }
    if (in_flight != limit_) return;
    ++readings_;
    slowdown_ = slowdown;
    const bool decides = readings_ == 4 || readings_ == 8 || readings_ == 16 || readings_ == 32 || readings_ == 64;
    if (decides && slowdown > bounds_.slowdown) return too_slow();
    if (phase_ == phase::ramp && proven_ == limit_ && may_rise()) return ramp_on(2 * limit_);
    if (phase_ == phase::probe && probed_ <= -certain && may_rise()) accept_probe();
  }

  /// Another answer has come. When slowness binds, every 200 answers the limit is half for a moment, to see how fast the
  /// server is with fewer.
  void answered() noexcept {
    ++answers_;
    if (phase_ == phase::dip && answers_ >= std::max<std::size_t>(16, 2 * proven_)) return hold(proven_, interval_);
    if (phase_ != phase::hold || !slowness_binds_ || answers_ < 200 || limit_ == bounds_.min) return;
    answers_ = 0;
    go_to(limit_ / 2, phase::dip);
  }
  /// The server had too much to do.
  void overloaded() noexcept {
    step_ = 1;
    hold(limit_ * 7 / 10, labels_between_probes);
  }

 private:
  enum class phase : unsigned char {
    ramp,   // up from the least, as long as nobody waits
    hold,   // at the proven level, watching
    probe,  // at a higher one
    dip     // at half of it for a moment
  };

  static constexpr double certain = 2.9444389791664403;  // ln 19
  static constexpr double queue_that_counts = 0.4;       // requests
  static constexpr std::size_t labels_between_probes = 16;
  static constexpr std::size_t most_between_probes = 64;

  /// The mean time between two answers.
  [[nodiscard]] double headway(std::size_t in_flight) const noexcept {
    return service_ / static_cast<double>(in_flight);
  }
  [[nodiscard]] double ramp_bound() const noexcept { return std::max(0.050, 8 * noise_.mean()); }
  void learn_noise(double wait) noexcept {
    noise_.add(wait, service_ > 0 ? headway(limit_) : ramp_bound(), exact_ ? 0 : allowed_);
  }

  void label_in_ramp(double wait, std::size_t in_flight) noexcept {
    if (in_flight > proven_ && wait > ramp_bound()) return hold(std::max(proven_, in_flight - 1), 1);
    if (in_flight != limit_) return;
    proven_ = limit_;
    learn_noise(wait);
    if (exact_) ramp_on(limit_ + 1);
  }
  void ramp_on(std::size_t next) noexcept {
    if (limit_ == bounds_.max)
      hold(limit_, labels_between_probes);
    else
      go_to(next, phase::ramp);
  }

  void label_in_hold(double wait, double evidence, double queue) noexcept {
    if (queued_ == 0) noise_before_ = noise_;
    queued_ = std::max(0.0, queued_ + evidence);
    if (queued_ >= 1.5 * certain) {
      if (queue >= queue_that_counts && limit_ > bounds_.min) return lower(queue);
      if (queue < queue_that_counts) noise_.widen(1.5, waits_.mean());
      queued_ = 0;
    }
    // At first the noise may be anything, and would take a queue for it.
    if (queued_ == 0 || noise_.known()) learn_noise(wait);
    if (until_probe_ > 0) --until_probe_;
    if (until_probe_ == 0 && limit_ < bounds_.max) go_to(limit_ + step_, phase::probe);
  }
  void lower(double queue) noexcept {
    noise_ = noise_before_;  // what it learned since was a queue
    slowness_binds_ = false;
    step_ = 1;
    const auto left = std::lround(std::max(1.0, static_cast<double>(limit_) - queue));
    hold(std::min(limit_ - 1, static_cast<std::size_t>(left)), labels_between_probes);
  }

  void label_in_probe(double evidence, double queue) noexcept {
    probed_ += evidence;
    if (probed_ >= certain) {
      if (queue >= queue_that_counts || waits_.count() >= 12) return refuse_probe();
      noise_.widen(1.3, waits_.mean());
      probed_ = 0;
    }
    if (probed_ <= -certain && may_rise()) accept_probe();
  }
  void refuse_probe() noexcept {
    const bool far = limit_ - proven_ > std::max<std::size_t>(1, proven_ / 8);
    step_ = 1;
    hold(proven_, far ? 4 : std::clamp(2 * interval_, labels_between_probes, most_between_probes));
  }
  void accept_probe() noexcept {
    proven_ = limit_;
    slowness_binds_ = false;
    step_ = std::min(2 * step_, limit_);
    interval_ = labels_between_probes;
    if (limit_ == bounds_.max)
      hold(limit_, interval_);
    else
      go_to(limit_ + step_, phase::probe);
  }

  /// A level that is too slow as it is now is not left upwards: the fourth reading decides about it.
  [[nodiscard]] bool may_rise() const noexcept {
    return !reads_pace() || (readings_ >= 2 && slowdown_ <= bounds_.slowdown);
  }
  void too_slow() noexcept {
    if (phase_ == phase::probe) {
      slowness_binds_ = true;
      refuse_probe();
      step_ = std::max<std::size_t>(1, limit_ / 8);
    } else if (phase_ == phase::ramp || slowdown_ > 1.1 * bounds_.slowdown) {
      slowness_binds_ = true;
      step_ = 1;
      hold(std::min(limit_ - 1, level_of_slowdown(limit_, slowdown_, bounds_.slowdown)), labels_between_probes);
    }
  }

  void hold(std::size_t level, std::size_t labels) noexcept {
    go_to(level, phase::hold);
    proven_ = limit_;
    interval_ = labels;
    until_probe_ = labels;
  }
  void go_to(std::size_t level, phase next) noexcept {
    phase_ = next;
    limit_ = std::clamp(level, bounds_.min, bounds_.max);
    waits_ = {};
    queued_ = 0;
    probed_ = 0;
    readings_ = 0;
    slowdown_ = 1;
  }

  bounds bounds_;
  std::size_t limit_;
  std::size_t proven_;  // the last level where nobody waits, as far as is known
  phase phase_;
  std::size_t until_probe_ = labels_between_probes;  // labels
  std::size_t interval_ = labels_between_probes;     // what until_probe_ began with
  std::size_t step_ = 1;                             // of the next probe

  wait_noise noise_;
  wait_noise noise_before_;  // as it was when the evidence for a queue began
  double allowed_ = 0;
  double service_ = 0;  // mean time of a request but for its wait; 0: unknown
  bool exact_ = false;

  // Of the present level.
  level_wait waits_;
  double queued_ = 0;         // the evidence that the proven level is too high
  double probed_ = 0;         // the evidence that the probed one is; below 0: that it is not
  std::size_t readings_ = 0;  // how many
  double slowdown_ = 1;       // at the last one

  bool slowness_binds_ = false;
  std::size_t answers_ = 0;  // since the last dip began
};

}  // namespace felix::inline v1::detail
