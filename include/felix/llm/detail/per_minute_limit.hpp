// SPDX-License-Identifier: MIT
// llm: a limit per minute as two token buckets: what the user set, and what a server says.
#pragma once

#include <felix/llm/rate_limit_report.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

namespace felix::inline v1 {
namespace detail {

/// What a server's bucket gets per second: its limit per minute, unless the time until it is full again says otherwise.
/// That time is rounded, to seconds or to milliseconds, and dates are rounded twice: two such steps say nothing, else a
/// short time would give any rate. From limit/3600 to limit/10; nothing when the report does not tell.
/// See: OpenAI's 12 ms for 1 of 5000 is a minute; limits of longer times are seen by it too.
[[nodiscard]] inline std::optional<double> reported_rate(double limit,
                                                         const rate_limit_report::bucket& report) noexcept {
  if (!report.remaining || !report.reset || report.reset->count() <= 0) return std::nullopt;
  const double used = limit - *report.remaining;
  if (!(used > 0)) return std::nullopt;
  const double reset = std::chrono::duration<double>{*report.reset}.count();
  const double two_steps = *report.reset % std::chrono::seconds{1} == std::chrono::seconds{0} ? 2 : 0.002;
  if (std::abs(used * 60 / limit - reset) <= two_steps) return limit / 60;
  return std::clamp(used / reset, limit / 3600, limit / 10);
}

/// level(t) = min(capacity, level + rate * seconds). Full at the start, and bottomless until it is set.
/// Time that is behind counts as the latest. Cost: O(1). Threads: one call at a time.
class rate_bucket {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::nanoseconds;

  static constexpr double bottomless = std::numeric_limits<double>::infinity();

  /// `rate`: per second. It is full when it was bottomless, else it holds what it held, if that fits.
  void set(double rate, double capacity, time_point now) noexcept {
    pass_time(now);
    rate_ = rate;
    capacity_ = capacity;
    level_ = std::min(level_, capacity_);
  }
  /// How long until `need` is there, rounded up to microseconds; zero: it is. Asking again after that, or later, gives
  /// zero if nothing was taken, lowered or set in between. What needs more than the capacity waits until that is there.
  [[nodiscard]] duration wait(double need, time_point now) const noexcept {
    need = std::min(need, capacity_);
    const time_point from = std::max(now, at_);
    const double missing = need - level_at(from);
    if (!(missing > 0)) return duration{0};
    using std::chrono::microseconds;
    microseconds wait{static_cast<std::int64_t>(std::ceil(missing / rate_ * 1e6))};
    // The very sum that is made then, so that its rounding is known. No level is so high that a step would not count.
    while (level_at(from + wait) < need) wait += microseconds{1};
    return from - now + wait;
  }
  /// Takes it, whether it is there or not, but no more than the capacity.
  void take(double need, time_point now) noexcept {
    pass_time(now);
    level_ -= std::min(need, capacity_);
  }
  void fill(time_point now) noexcept {
    pass_time(now);
    level_ = capacity_;
  }
  /// There is no more than this. Below 0 it is a debt, of at most an hour.
  void lower(double level, time_point now) noexcept {
    if (capacity_ == bottomless) return;
    pass_time(now);
    constexpr double longest_debt = 3600;  // seconds
    level_ = std::min(level_, std::max(level, -longest_debt * rate_));
  }

  [[nodiscard]] double rate() const noexcept { return rate_; }
  [[nodiscard]] double capacity() const noexcept { return capacity_; }
  [[nodiscard]] double level_at(time_point now) const noexcept {
    if (now <= at_) return level_;
    return std::min(level_ + rate_ * std::chrono::duration<double>{now - at_}.count(), capacity_);
  }

 private:
  void pass_time(time_point now) noexcept {
    level_ = level_at(now);
    at_ = std::max(at_, now);
  }

  double rate_ = bottomless;
  double capacity_ = bottomless;
  double level_ = bottomless;  // at at_
  time_point at_{};
};

/// A limit per minute that the user set, and one that a server named; each by a bucket of its own, so that no header
/// changes what the user set. Threads: one call at a time. Time that is behind counts as the latest. Cost: O(1).
class per_minute_limit {
 public:
  using time_point = rate_bucket::time_point;
  using duration = rate_bucket::duration;

  static constexpr double unlimited = std::numeric_limits<double>::infinity();
  static constexpr double least = 1e-3;
  static constexpr double most = 1e12;

  /// `own`: from `least` to `most`, or unlimited. A bucket holds what comes in `burst`, but not more than what comes in
  /// `at_once` seconds, and at least 1.
  per_minute_limit(double own, std::chrono::seconds burst, double at_once) noexcept
      : burst_{static_cast<double>(burst.count())}, at_once_{at_once} {
    if (own != unlimited) own_.set(own / 60, std::max(own * std::min(burst_, at_once_) / 60, 1.0), {});
  }

  /// How long until `need` may go, as rate_bucket::wait. More than a server lets through goes when all of that is
  /// there.
  [[nodiscard]] duration wait(double need, time_point now) const noexcept {
    return std::max(own_.wait(need, now), servers_.wait(need, now));
  }
  void take(double need, time_point now) noexcept {
    own_.take(need, now);
    servers_.take(need, now);
  }
  /// The server has no more than this. As long as its limit is not known, that is less of the user's.
  void lower(double level, time_point now) noexcept {
    (servers_limit_ == unlimited ? own_ : servers_).lower(level, now);
  }
  /// What a server says about its limit. The rate that was told last stays until another is, or another limit.
  void learn(const rate_limit_report::bucket& report, time_point now) noexcept {
    if (!report.limit || !(*report.limit > 0)) return;
    const double limit = std::clamp(*report.limit, 1.0, most);
    const auto rate = reported_rate(limit, report);
    if (!rate && limit == servers_limit_) return;
    servers_limit_ = limit;
    const double per_second = rate.value_or(limit / 60);
    // It holds its limit, however long that takes to fill.
    const double held = std::min(limit * std::min(burst_, 60.0) / 60, per_second * at_once_);
    servers_.set(per_second, std::max(held, 1.0), now);
  }
  /// The server's bucket as it was when `remaining` was left. Bottomless when its limit is not known.
  [[nodiscard]] rate_bucket servers_bucket(double remaining, time_point then) const noexcept {
    rate_bucket bucket;
    if (servers_limit_ == unlimited) return bucket;
    bucket.set(servers_.rate(), servers_limit_, then);
    bucket.lower(remaining, then);
    return bucket;
  }
  /// The server has no more than this now, or, when nothing that is known of it is newer, just this.
  void correct(double level, bool newest, time_point now) noexcept {
    if (newest) servers_.fill(now);
    servers_.lower(level, now);
  }

  /// What the user's limit lets through at once.
  [[nodiscard]] double own_capacity() const noexcept { return own_.capacity(); }
  /// Whether the server's limit is the lower one in any way.
  [[nodiscard]] bool is_learned() const noexcept {
    return servers_.capacity() < own_.capacity() || servers_.rate() < own_.rate();
  }
  [[nodiscard]] double per_minute() const noexcept { return std::min(own_.rate(), servers_.rate()) * 60; }
  [[nodiscard]] double capacity() const noexcept { return std::min(own_.capacity(), servers_.capacity()); }
  [[nodiscard]] double level_at(time_point now) const noexcept {
    return std::min(own_.level_at(now), servers_.level_at(now));
  }

 private:
  double burst_;    // seconds
  double at_once_;  // seconds
  rate_bucket own_;
  rate_bucket servers_;
  double servers_limit_ = unlimited;  // the latest
};

}  // namespace detail
}  // namespace felix::inline v1
