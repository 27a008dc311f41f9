// SPDX-License-Identifier: MIT
// llm: whether an attempt that failed is made again, and when. Decided by values alone: no clock, no state, no waiting.
#pragma once

#include <felix/error.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace felix::inline v1 {

/// When to try again. The defaults are openai-python's, but for the jitter. No time is over 24 hours.
struct retry_options {
  std::size_t attempts = 3;              ///< in all, the first one too; at least 1, which is never another
  std::chrono::milliseconds base{500};   ///< the longest wait before the second attempt; doubles with each; at least 0
  std::chrono::milliseconds cap{8'000};  ///< the longest of these waits; at least `base`
  /// A server that asks for more than this is not asked again, and the error carries what it said. At least 0.
  std::chrono::milliseconds longest_hint{120'000};
  /// For how long a server may go on loading its model, counted in waits; 0: not at all.
  std::chrono::milliseconds model_loading{120'000};
  /// For all attempts: none is begun later than this after the first was, and so no wait for one either. Above 0.
  std::chrono::milliseconds total{std::chrono::hours{24}};

  /// Throws error (invalid_option) that names the field.
  void validate() const {
    if (attempts < 1) refuse("attempts", "0", "at least 1, the first attempt counts");
    check("base", base, std::chrono::milliseconds{0});
    check("cap", cap, base);
    check("longest_hint", longest_hint, std::chrono::milliseconds{0});
    check("model_loading", model_loading, std::chrono::milliseconds{0});
    check("total", total, std::chrono::milliseconds{1});
  }

 private:
  [[noreturn]] static void refuse(std::string_view field, const std::string& value, const std::string& fix) {
    throw error{errc::invalid_option, "retry: " + std::string{field} + " is " + value + "; use " + fix};
  }
  static void check(std::string_view field, std::chrono::milliseconds value, std::chrono::milliseconds least) {
    constexpr std::chrono::milliseconds most = std::chrono::hours{24};  // sums of a few in nanoseconds fit
    if (value < least || value > most)
      refuse(field, std::to_string(value.count()) + " ms",
             std::to_string(least.count()) + " ms to " + std::to_string(most.count()) + " ms");
  }
};

/// What one attempt came to: the part of its error that decides.
struct failed_attempt {
  error_kind kind = error_kind::other;
  int status = 0;  ///< 0: there was none
  int native = 0;  ///< libcurl's code; 0: there was none
  std::optional<std::chrono::milliseconds> hint = {};
  std::optional<bool> should_retry = {};

  [[nodiscard]] static failed_attempt of(const error& failure) noexcept {
    failed_attempt made{.kind = failure.kind()};
    if (const auto* answer = dynamic_cast<const api_error*>(&failure)) {
      made.status = answer->status();
      made.hint = answer->retry_after();
      made.should_retry = answer->should_retry();
    } else if (const auto* transport = dynamic_cast<const transport_error*>(&failure)) {
      made.native = transport->native_code();
    }
    return made;
  }
};

/// What one request has been through. Threads: none of its own; it belongs to its request.
struct retry_progress {
  std::array<std::uint16_t, error_kind_count> failures = {};             ///< by kind; no more than 65,535 count
  std::uint16_t failures_500 = 0;                                        ///< of those, the ones with status 500
  std::chrono::nanoseconds loading_waited{0};                            ///< while the server loaded its model
  bool delivered = false;                                                ///< a part of the answer was handed on
  std::chrono::nanoseconds time_left = std::chrono::nanoseconds::max();  ///< of the whole request

  /// The latest failure, before it is decided about.
  void add(const failed_attempt& failure) noexcept {
    const auto count = [](std::uint16_t& one) { one = static_cast<std::uint16_t>(std::min(one + 1, 65'535)); };
    count(failures[static_cast<std::size_t>(failure.kind)]);
    if (failure.status == 500) count(failures_500);
  }
  [[nodiscard]] std::uint32_t of(error_kind kind) const noexcept { return failures[static_cast<std::size_t>(kind)]; }
  /// Attempts that count against retry_options::attempts. A model that loads is no fault, and a connection that the
  /// server had closed is nobody's, once.
  [[nodiscard]] std::uint32_t counted() const noexcept {
    std::uint32_t sum = 0;
    for (const std::uint16_t each : failures) sum += each;
    return sum - of(error_kind::model_loading) - std::min(of(error_kind::transport_stale), std::uint32_t{1});
  }
};

/// Why another attempt is made, or is not. The last two are not decide_retry's: they depend on others.
enum class retry_reason : unsigned char {
  may_pass,          ///< yes: the failure may pass by itself
  stale_connection,  ///< yes, at once: the server had closed an idle connection
  model_loading,     ///< yes: the server will be ready soon
  no_use,            ///< no: the next attempt would end the same way, or cost too much
  only_once,         ///< no: a failure of this kind is tried again once
  attempts_used,     ///< no: that was the last attempt
  delivered,         ///< no: a part of the answer was handed on
  server_refuses,    ///< no: the server said x-should-retry: false
  hint_too_long,     ///< no: the server asks for a wait over longest_hint
  loading_too_long,  ///< no: the server has been loading its model for too long
  no_time,           ///< no: the request's time would be over
  no_budget,         ///< no: the server's retry_budget is used up
  not_paid           ///< no: it may have cost something, and whoever pays does not pay twice (chat_request::repeat_if)
};

[[nodiscard]] constexpr std::string_view to_string(retry_reason reason) noexcept {
  switch (reason) {
    case retry_reason::may_pass: return "it may pass";
    case retry_reason::stale_connection: return "the server had closed an idle connection";
    case retry_reason::model_loading: return "the model is still loading";
    case retry_reason::no_use: return "another attempt would be of no use";
    case retry_reason::only_once: return "it was tried again once";
    case retry_reason::attempts_used: return "no attempts are left";
    case retry_reason::delivered: return "a part of the answer was handed on";
    case retry_reason::server_refuses: return "the server wants no other attempt";
    case retry_reason::hint_too_long: return "the server asks for too long a wait";
    case retry_reason::loading_too_long: return "the model has been loading for too long";
    case retry_reason::no_time: return "no time is left";
    case retry_reason::no_budget: return "too many requests to this server were tried again";
    case retry_reason::not_paid: return "the attempt may have cost tokens, and there are none for another";
  }
  return "unknown";
}

/// Whether to try again.
struct retry_decision {
  bool retry = false;
  retry_reason why = retry_reason::no_use;
  std::chrono::nanoseconds after{0};  ///< how long to wait before
  bool takes_budget = false;          ///< first take a retry from the server's retry_budget

  [[nodiscard]] explicit constexpr operator bool() const noexcept { return retry; }
  friend constexpr bool operator==(const retry_decision&, const retry_decision&) noexcept = default;
};

namespace detail {

enum class retry_class : unsigned char { never, once, always };

/// How often a failure is worth another attempt, as far as the failure itself says.
[[nodiscard]] constexpr retry_class retry_class_of(const failed_attempt& failure) noexcept {
  constexpr int tls_handshake = 35;  // CURLE_SSL_CONNECT_ERROR: also what a server says that is about to restart
  switch (failure.kind) {
    case error_kind::timeout_connect:
    case error_kind::transport_refused:
    case error_kind::transport_stale:
    case error_kind::transport_reset:
    case error_kind::model_loading:
    case error_kind::rate_limited:
    case error_kind::overloaded: return retry_class::always;
    case error_kind::server_error: return failure.status == 500 ? retry_class::once : retry_class::always;
    case error_kind::timeout_first_byte:
    case error_kind::timeout_first_token:
    case error_kind::timeout_idle:
    case error_kind::transport_dns:
    case error_kind::protocol_error:
    case error_kind::truncated_stream: return retry_class::once;
    case error_kind::transport_tls: return failure.native == tls_handshake ? retry_class::once : retry_class::never;
    default: return retry_class::never;
  }
}

[[nodiscard]] inline std::chrono::nanoseconds seconds_to_wait(double seconds) noexcept {
  return std::chrono::nanoseconds{static_cast<std::int64_t>(std::ceil(seconds * 1e9))};
}
[[nodiscard]] inline double in_seconds(std::chrono::nanoseconds time) noexcept {
  return std::chrono::duration<double>{time}.count();
}

/// 0.5 s, and half as much again each time, at most 5 s: a model takes seconds to minutes.
[[nodiscard]] inline std::chrono::nanoseconds loading_wait(std::uint32_t polls_before) noexcept {
  return seconds_to_wait(std::min(0.5 * std::pow(1.5, polls_before), 5.0));
}

/// Full jitter: anywhere up to the bound, which doubles with each attempt that counts. A server that limits rates says
/// "not now", so there the lower half is left out.
/// See: "Exponential backoff and jitter", AWS architecture blog, 2015.
[[nodiscard]] inline std::chrono::nanoseconds backoff(error_kind kind, std::uint32_t attempts_made, double random,
                                                      const retry_options& options) noexcept {
  const double upper =
      std::min(in_seconds(options.cap),
               std::ldexp(in_seconds(options.base), static_cast<int>(std::min(attempts_made, 1'000U)) - 1));
  const double lower = kind == error_kind::rate_limited ? upper / 2 : 0;
  return seconds_to_wait(lower + (upper - lower) * random);
}

}  // namespace detail

/// Whether the attempt that just failed is made again. `so_far` has this failure already (retry_progress::add); `random`
/// is uniform over [0, 1), seeded_random's uniform(0, 1) say; `options` are valid. Pure; for each request:
///     const auto failure = felix::failed_attempt::of(caught);
///     so_far.add(failure);
///     so_far.time_left = deadline - now;
///     const auto next = felix::decide_retry(failure, so_far, random.uniform(0, 1), options);
///     if (!next || (next.takes_budget && !budget.try_take(now))) throw;
///     if (next.why == felix::retry_reason::model_loading) so_far.loading_waited += next.after;
///     co_await felix::sleep_for(next.after);
[[nodiscard]] inline retry_decision decide_retry(const failed_attempt& failure, const retry_progress& so_far,
                                                 double random, const retry_options& options) noexcept {
  const auto no = [](retry_reason why) { return retry_decision{.retry = false, .why = why}; };
  const auto yes = [&](retry_reason why, std::chrono::nanoseconds after, bool takes_budget) {
    // A wait that ends with the time itself would leave none for the attempt.
    if (after >= so_far.time_left) return no(retry_reason::no_time);
    return retry_decision{.retry = true, .why = why, .after = after, .takes_budget = takes_budget};
  };
  if (so_far.delivered) return no(retry_reason::delivered);
  if (options.attempts <= 1) return no(retry_reason::attempts_used);

  const auto worth = detail::retry_class_of(failure);
  if (worth == detail::retry_class::never) return no(retry_reason::no_use);
  if (failure.should_retry == false) return no(retry_reason::server_refuses);
  if (failure.hint && *failure.hint > options.longest_hint) return no(retry_reason::hint_too_long);
  const auto hinted = [&](std::chrono::milliseconds hint) {  // spread, but never before the time that was asked for
    return std::max<std::chrono::nanoseconds>(hint,
                                              detail::seconds_to_wait(detail::in_seconds(hint) * (1 + 0.1 * random)));
  };

  if (failure.kind == error_kind::model_loading) {
    auto wait = detail::loading_wait(so_far.of(failure.kind) - 1);
    if (failure.hint) wait = std::max(wait, hinted(*failure.hint));
    if (so_far.loading_waited + wait > options.model_loading) return no(retry_reason::loading_too_long);
    return yes(retry_reason::model_loading, wait, false);
  }
  if (failure.kind == error_kind::transport_stale && so_far.of(failure.kind) == 1)
    return yes(retry_reason::stale_connection, std::chrono::nanoseconds{0}, false);

  // x-should-retry: true lifts what is a matter of judgement, never what the caller set.
  const auto failures = failure.status == 500 ? so_far.failures_500 : so_far.of(failure.kind);
  if (worth == detail::retry_class::once && failures > 1 &&
      !(failure.kind == error_kind::server_error && failure.should_retry == true))
    return no(retry_reason::only_once);
  if (so_far.counted() >= options.attempts) return no(retry_reason::attempts_used);
  return yes(retry_reason::may_pass,
             failure.hint ? hinted(*failure.hint) : detail::backoff(failure.kind, so_far.counted(), random, options),
             true);
}

struct retry_budget_options {
  double most = 10;          ///< retries that may come at once; also what there is at the start; 0: never any
  double per_request = 0.2;  ///< retries that a first attempt earns: a server that fails sees a fifth more at most
  double per_second = 0.1;   ///< retries that time earns: a server that is hardly used may be tried again too

  /// Throws error (invalid_option) that names the field.
  void validate() const {
    const auto check = [](std::string_view field, double value) {
      constexpr double limit = 1e6;
      if (!(value >= 0 && value <= limit))
        throw error{errc::invalid_option, "retry_budget: " + std::string{field} + " is " + std::to_string(value) +
                                              "; use a number from 0 to a million"};
    };
    check("most", most);
    check("per_request", per_request);
    check("per_second", per_second);
  }
};

/// What may be tried again at one server, by all requests to it together: when all fail, most are not made again, so
/// that a server in trouble is not buried. Retries <= most + per_request * requests + per_second * seconds.
/// Threads: every member, from any thread; time comes from the caller, and one that is behind changes nothing.
/// Cost:    one lock, O(1).
/// See: finagle's RetryBudget; gRPC's retry throttling (proposal A6).
class retry_budget {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Throws error (invalid_option) for options that are none.
  explicit retry_budget(const retry_budget_options& options = {}) : options_{options}, level_{options.most} {
    options.validate();
  }
  retry_budget(retry_budget&&) = delete;

  /// A first attempt begins.
  void add_request(time_point now) {
    const std::lock_guard lock{mutex_};
    pass_time(now);
    earn(options_.per_request);
  }
  /// Takes one retry, if there is one.
  [[nodiscard]] bool try_take(time_point now) {
    const std::lock_guard lock{mutex_};
    pass_time(now);
    constexpr double rounding = 1e-9;  // five times 0.2 shall be 1
    if (level_ + rounding < 1) return false;
    level_ = std::max(level_ - 1, 0.0);
    return true;
  }
  /// How many retries there are.
  [[nodiscard]] double level(time_point now) {
    const std::lock_guard lock{mutex_};
    pass_time(now);
    return level_;
  }

 private:
  void pass_time(time_point now) noexcept {
    if (latest_ && now <= *latest_) return;
    if (latest_) earn(options_.per_second * detail::in_seconds(now - *latest_));
    latest_ = now;
  }
  void earn(double tokens) noexcept { level_ = std::min(level_ + tokens, options_.most); }

  std::mutex mutex_;
  retry_budget_options options_;
  double level_;  // from 0 to most
  std::optional<time_point> latest_;
};

}  // namespace felix::inline v1
