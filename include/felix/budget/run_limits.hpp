// SPDX-License-Identifier: MIT
// budget: how far one run of an agent may go, and when it is to hand back what it has.
#pragma once

#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace felix::inline v1 {

/// What a run has used, or one of its turns.
struct run_usage {
  token_count tokens = 0;            ///< prompts and answers
  std::int64_t nano_cost = 0;        ///< in billionths of a currency
  std::chrono::nanoseconds time{0};  ///< since the run began; a turn tells when it ended, not how long it took
  std::int64_t tool_calls = 0;
};

/// What a run may use. An empty field is no limit; 0 is none left: such a run does not begin, or has no tools.
struct run_limits {
  std::optional<token_count> tokens = {};
  std::optional<std::int64_t> nano_cost = {};
  std::optional<std::chrono::nanoseconds> time = {};
  std::optional<std::int64_t> tool_calls = {};
  /// The soft line: from this share of any limit on, the run gets one more turn, without tools, to hand back what it has.
  /// 0: its first turn is that one. 1: only a run without tool calls left gets it.
  double hand_back_at = 0.8;

  /// Throws error (invalid_option) that names the field.
  inline void validate() const;

  /// The limits of a run inside a run with these: where `inner` is wider, these hold.
  [[nodiscard]] inline run_limits narrowed_by(const run_limits& inner) const noexcept;
};

/// A limit by its name. In this order they are named when several are reached at once.
enum class run_limit : unsigned char { tokens, cost, time, tool_calls };

/// The line of a limit: `soft` is its share `hand_back_at`, `hard` the whole.
enum class limit_line : unsigned char { soft, hard };

/// Why a run ends.
struct run_end {
  run_limit limit = {};
  limit_line line = {};
  friend constexpr bool operator==(const run_end&, const run_end&) noexcept = default;
};

/// What a run may do next.
enum class next_turn : unsigned char {
  go_on,      ///< a turn like those before
  hand_back,  ///< its last: without tools, and no larger than left()
  stop        ///< none
};

[[nodiscard]] constexpr std::string_view to_string(run_limit limit) noexcept {
  constexpr std::array<std::string_view, 4> names{"tokens", "cost", "time", "tool_calls"};
  return names[static_cast<std::size_t>(limit)];
}

/// Counts the turns of one run, one after the other, against its limits. It has no clock: the caller tells the time.
///     felix::run_meter meter{{.tokens = 4'000, .time = 2min, .tool_calls = 10}};
///     while (meter.next() != felix::next_turn::stop) {
///       const auto left = meter.left();   // for max_tokens, the time limit, and how many tool calls are carried out
///       …                                 // a turn; without tools when next() is hand_back
///       meter.add({.tokens = usage.total_tokens, .time = now - begin, .tool_calls = calls});
///     }
///     auto why = meter.reason();          // which limit, and whether the run could hand back what it had
/// A run inside a turn of another gets outer.left_for_inner().narrowed_by(its_own); the outer one is told what it used, with
/// a time of its own.
/// With several turns in flight: begin no other once next() is not go_on. When all have ended, left() bounds the last one,
/// also if next() has come to say stop meanwhile.
/// Threads: none of its own; the owner guards it. A value.
class run_meter {
 public:
  /// Throws error (invalid_option) as run_limits::validate does.
  explicit run_meter(const run_limits& limits) : limits_{limits} {
    limits.validate();
    judge();
  }

  /// A turn has ended. Returns next(). What comes after the end is counted, and changes nothing else. A negative count is
  /// 0, and time does not go back.
  next_turn add(const run_usage& turn) noexcept {
    const auto more = [](std::int64_t a, std::int64_t b) {
      return detail::saturating_sum(a, std::max<std::int64_t>(0, b));
    };
    used_ = {.tokens = more(used_.tokens, turn.tokens),
             .nano_cost = more(used_.nano_cost, turn.nano_cost),
             .time = std::max(used_.time, turn.time),
             .tool_calls = more(used_.tool_calls, turn.tool_calls)};
    if (next_ == next_turn::go_on) {
      judge();
    } else if (next_ == next_turn::hand_back) {
      end();
    }
    return next_;
  }

  [[nodiscard]] next_turn next() const noexcept { return next_; }
  /// Why the run has to hand back or stop; nothing while it goes on. After the turn that hands back it stays what led to it,
  /// unless that turn used more than was left: then it is the limit that it broke, and its text may be cut short.
  [[nodiscard]] const std::optional<run_end>& reason() const noexcept { return reason_; }
  [[nodiscard]] const run_usage& used() const noexcept { return used_; }
  [[nodiscard]] const run_limits& limits() const noexcept { return limits_; }

  /// What the next turn may use at most. A turn that uses all of it ends the run, without another to hand back.
  [[nodiscard]] run_limits left() const noexcept { return left_of(1.0); }
  /// The same up to the soft line: what uses no more leaves a turn to hand back. For runs inside this one.
  [[nodiscard]] run_limits left_for_inner() const noexcept { return left_of(limits_.hand_back_at); }

 private:
  using amount = std::optional<std::int64_t>;
  static constexpr std::array all{run_limit::tokens, run_limit::cost, run_limit::time, run_limit::tool_calls};

  [[nodiscard]] amount limit_of(run_limit which) const noexcept {
    switch (which) {
      case run_limit::tokens: return limits_.tokens;
      case run_limit::cost: return limits_.nano_cost;
      case run_limit::time: return limits_.time ? amount{limits_.time->count()} : std::nullopt;
      case run_limit::tool_calls: return limits_.tool_calls;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::int64_t used_of(run_limit which) const noexcept {
    switch (which) {
      case run_limit::tokens: return used_.tokens;
      case run_limit::cost: return used_.nano_cost;
      case run_limit::time: return used_.time.count();
      case run_limit::tool_calls: return used_.tool_calls;
    }
    return 0;
  }

  /// The least whole number that is at least `share` of `limit`. A hair more is the same: 0.07 * 100 is 7.000000000000001.
  [[nodiscard]] static std::int64_t line_at(std::int64_t limit, double share) noexcept {
    if (share >= 1) return limit;
    const double line = std::ceil(share * (1 - 1e-12) * static_cast<double>(limit));
    return line < static_cast<double>(limit) ? static_cast<std::int64_t>(line) : limit;
  }
  [[nodiscard]] amount left_of(run_limit which, double share) const noexcept {
    const amount limit = limit_of(which);
    if (!limit) return std::nullopt;
    return std::max<std::int64_t>(0, line_at(*limit, share) - used_of(which));
  }
  [[nodiscard]] run_limits left_of(double share) const noexcept {
    const amount time = left_of(run_limit::time, share);
    run_limits left{.tokens = left_of(run_limit::tokens, share),
                    .nano_cost = left_of(run_limit::cost, share),
                    .tool_calls = left_of(run_limit::tool_calls, share),
                    .hand_back_at = limits_.hand_back_at};
    if (time) left.time = std::chrono::nanoseconds{*time};
    if (next_ != next_turn::go_on) left.tool_calls = 0;
    return left;
  }

  /// The first limit whose line at `share` is reached.
  [[nodiscard]] std::optional<run_limit> reached(double share) const noexcept {
    for (const run_limit which : all) {
      if (const amount left = left_of(which, share); left && *left == 0) return which;
    }
    return std::nullopt;
  }

  void judge() noexcept {
    if (const auto hard = reached(1.0)) {
      reason_ = {*hard, limit_line::hard};
      // The last in the order, so no other is reached; and a turn without tools takes none of it.
      next_ = *hard == run_limit::tool_calls ? next_turn::hand_back : next_turn::stop;
    } else if (const auto soft = reached(limits_.hand_back_at)) {
      reason_ = {*soft, limit_line::soft};
      next_ = next_turn::hand_back;
    }
  }

  /// After the turn that handed back.
  void end() noexcept {
    next_ = next_turn::stop;
    for (const run_limit which : all) {
      const amount limit = limit_of(which);
      if (!limit || which == run_limit::tool_calls || used_of(which) <= *limit) continue;
      reason_ = {which, limit_line::hard};
      return;
    }
  }

  run_limits limits_;
  run_usage used_ = {};
  next_turn next_ = next_turn::go_on;
  std::optional<run_end> reason_ = {};
};

inline void run_limits::validate() const {
  const auto refuse = [](const std::string& what) { throw error{errc::invalid_option, "run_limits: " + what}; };
  const auto at_least_0 = [&](const char* field, std::int64_t value) {
    if (value < 0)
      refuse(std::string{field} + " is " + std::to_string(value) + "; use 0 or more, or leave it out for no limit");
  };
  at_least_0("tokens", tokens.value_or(0));
  at_least_0("nano_cost", nano_cost.value_or(0));
  at_least_0("time", time.value_or(std::chrono::nanoseconds{0}).count());
  at_least_0("tool_calls", tool_calls.value_or(0));
  if (!(hand_back_at >= 0 && hand_back_at <= 1))  // written so that NaN is refused too
    refuse("hand_back_at is " + std::to_string(hand_back_at) + "; use a share from 0 to 1, 0.8 is usual");
}

inline run_limits run_limits::narrowed_by(const run_limits& inner) const noexcept {
  const auto less = [](const auto& outer, const auto& own) {
    return outer && own ? std::min(outer, own) : outer ? outer : own;
  };
  return {.tokens = less(tokens, inner.tokens),
          .nano_cost = less(nano_cost, inner.nano_cost),
          .time = less(time, inner.time),
          .tool_calls = less(tool_calls, inner.tool_calls),
          .hand_back_at = std::min(hand_back_at, inner.hand_back_at)};
}

}  // namespace felix::inline v1
