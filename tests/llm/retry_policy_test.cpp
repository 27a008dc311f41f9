// SPDX-License-Identifier: MIT
// llm: which failures are tried again, when, and how often; and that an outage is not multiplied.
#include <felix/llm/retry_policy.hpp>

#include <felix/random.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <limits>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::decide_retry;
using felix::error_kind;
using felix::failed_attempt;
using felix::retry_decision;
using felix::retry_options;
using felix::retry_progress;
using felix::retry_reason;

namespace {

constexpr double nearly_one = 1 - 0x1p-53;

/// What is decided about the last of these, one after the other.
retry_decision decide(std::vector<failed_attempt> failures, double random = 0.5, const retry_options& options = {},
                      retry_progress so_far = {}) {
  for (const auto& each : failures) so_far.add(each);
  return decide_retry(failures.back(), so_far, random, options);
}
/// How often a failure is tried again when it comes each time.
int retries(const failed_attempt& failure, const retry_options& options) {
  retry_progress so_far;
  for (int made = 0; made < 1'000; ++made) {
    so_far.add(failure);
    if (!decide_retry(failure, so_far, 0.5, options)) return made;
  }
  return 1'000;
}

constexpr error_kind every_kind(std::size_t i) { return static_cast<error_kind>(i); }

}  // namespace

TEST_CASE("retry_policy: how often each kind is tried again, however many attempts there are", "[llm][retry_policy]") {
  const retry_options many{.attempts = 9};
  for (std::size_t i = 0; i < felix::error_kind_count; ++i) {
    const auto kind = every_kind(i);
    CAPTURE(to_string(kind));
    int expected = 0;
    switch (kind) {
      case error_kind::timeout_connect:
      case error_kind::transport_refused:
      case error_kind::transport_reset:
      case error_kind::rate_limited:
      case error_kind::overloaded:
      case error_kind::server_error: expected = 8; break;
      case error_kind::transport_stale: expected = 9; break;  // the first is free
      case error_kind::timeout_first_byte:
      case error_kind::timeout_first_token:
      case error_kind::timeout_idle:
      case error_kind::transport_dns:
      case error_kind::protocol_error:
      case error_kind::truncated_stream: expected = 1; break;
      case error_kind::model_loading: expected = 1'000; break;  // by its time only, which nobody adds up here
      default: break;
    }
    CHECK(retries({.kind = kind}, many) == expected);
  }
  CHECK(retries({.kind = error_kind::server_error, .status = 500}, many) == 1);
  CHECK(retries({.kind = error_kind::server_error, .status = 502}, many) == 8);
  CHECK(retries({.kind = error_kind::transport_tls, .native = 35}, many) == 1);
  CHECK(retries({.kind = error_kind::transport_tls, .native = 60}, many) == 0);
}

TEST_CASE("retry_policy: why not", "[llm][retry_policy]") {
  CHECK(decide({{.kind = error_kind::authentication}}) == retry_decision{.why = retry_reason::no_use});
  CHECK(decide({{.kind = error_kind::protocol_error}, {.kind = error_kind::protocol_error}}).why ==
        retry_reason::only_once);
  const failed_attempt busy{.kind = error_kind::overloaded};
  CHECK(decide({busy, busy}));
  CHECK(decide({busy, busy, busy}) == retry_decision{.why = retry_reason::attempts_used});
  CHECK(decide({busy}, 0.5, {.attempts = 1}).why == retry_reason::attempts_used);
  CHECK(decide({busy}, 0.5, {}, {.delivered = true}).why == retry_reason::delivered);
  CHECK(decide({{.kind = error_kind::transport_stale}}, 0.5, {}, {.delivered = true}).why == retry_reason::delivered);
}

TEST_CASE("retry_policy: attempts of different kinds count together, once is per kind", "[llm][retry_policy]") {
  CHECK(decide({{.kind = error_kind::protocol_error}, {.kind = error_kind::timeout_first_byte}}));
  CHECK(decide({{.kind = error_kind::protocol_error},
                {.kind = error_kind::timeout_first_byte},
                {.kind = error_kind::overloaded}})
            .why == retry_reason::attempts_used);
  const failed_attempt gateway{.kind = error_kind::server_error, .status = 502};
  const failed_attempt internal{.kind = error_kind::server_error, .status = 500};
  CHECK(decide({gateway, internal}));  // the first 500
  CHECK(decide({internal, gateway}));
  CHECK(decide({internal, internal}).why == retry_reason::only_once);
  CHECK(decide({internal, gateway, internal}, 0.5, {.attempts = 9}).why == retry_reason::only_once);
}

TEST_CASE("retry_policy: anywhere up to a bound that doubles up to the cap", "[llm][retry_policy]") {
  const retry_options many{.attempts = 2'000};
  std::vector<failed_attempt> failures;
  for (const auto bound : {500ms, 1'000ms, 2'000ms, 4'000ms, 8'000ms, 8'000ms, 8'000ms}) {
    failures.push_back({.kind = error_kind::overloaded});
    CAPTURE(failures.size());
    CHECK(decide(failures, 0, many) == retry_decision{true, retry_reason::may_pass, 0ns, true});
    CHECK(decide(failures, 0.5, many).after == bound / 2);
    CHECK(decide(failures, nearly_one, many).after <= bound);
    CHECK(decide(failures, nearly_one, many).after > bound - 1us);
  }
  failures.resize(1'500, failures.back());
  CHECK(decide(failures, 0.5, many).after == 4s);  // no power overflows
  CHECK(decide({failures.back()}, 0.5, {.base = 0ms, .cap = 0ms}).after == 0ns);
  CHECK(decide({failures.back()}, 0.5, {.base = 3s, .cap = 4s}).after == 1500ms);
}

TEST_CASE("retry_policy: who limits rates is not asked again in the lower half", "[llm][retry_policy]") {
  const failed_attempt limited{.kind = error_kind::rate_limited, .status = 429};
  CHECK(decide({limited}, 0).after == 250ms);
  CHECK(decide({limited}, 0.5).after == 375ms);
  CHECK(decide({limited, limited}, 0).after == 500ms);
  CHECK(decide({limited}, nearly_one).after <= 500ms);
}

TEST_CASE("retry_policy: a hint is kept to, and spread", "[llm][retry_policy]") {
  for (const auto kind : {error_kind::rate_limited, error_kind::overloaded, error_kind::server_error}) {
    const failed_attempt asked{.kind = kind, .status = 503, .hint = 10s};
    CHECK(decide({asked}, 0) == retry_decision{true, retry_reason::may_pass, 10s, true});
    CHECK(decide({asked}, 0.5).after == 10'500ms);
    CHECK(decide({asked}, nearly_one).after <= 11s);
  }
  felix::seeded_random random{1};
  for (int i = 0; i < 10'000; ++i) {
    const std::chrono::milliseconds hint{1 + static_cast<int>(random.next() % 120'000)};
    const auto next = decide({{.kind = error_kind::rate_limited, .hint = hint}}, random.uniform(0, 1));
    if (!next || next.after < hint || next.after > hint + hint / 10 + 1ms) FAIL(hint.count());
  }
  CHECK(decide({{.kind = error_kind::rate_limited, .hint = 120s}}));
  CHECK(decide({{.kind = error_kind::rate_limited, .hint = 120'001ms}}) ==
        retry_decision{.why = retry_reason::hint_too_long});
  CHECK(decide({{.kind = error_kind::rate_limited, .hint = 2s}}, 0.5, {.longest_hint = 1s}).why ==
        retry_reason::hint_too_long);
}

TEST_CASE("retry_policy: x-should-retry", "[llm][retry_policy]") {
  for (std::size_t i = 0; i < felix::error_kind_count; ++i) {
    CAPTURE(to_string(every_kind(i)));
    CHECK_FALSE(decide({{.kind = every_kind(i), .should_retry = false}}));
  }
  CHECK(decide({{.kind = error_kind::overloaded, .should_retry = false}}).why == retry_reason::server_refuses);
  CHECK(decide({{.kind = error_kind::model_loading, .should_retry = false}}).why == retry_reason::server_refuses);
  for (const auto kind : {error_kind::bad_request, error_kind::authentication, error_kind::context_overflow,
                          error_kind::permission, error_kind::quota_exhausted, error_kind::content_filtered})
    CHECK(decide({{.kind = kind, .should_retry = true}}).why == retry_reason::no_use);
  const failed_attempt internal{.kind = error_kind::server_error, .status = 500, .should_retry = true};
  CHECK(decide({internal, internal}));
  CHECK(decide({internal, internal, internal}).why == retry_reason::attempts_used);
  const failed_attempt odd{.kind = error_kind::protocol_error, .should_retry = true};
  CHECK(decide({odd, odd}).why == retry_reason::only_once);
  CHECK(decide({{.kind = error_kind::rate_limited, .hint = 200s, .should_retry = true}}).why ==
        retry_reason::hint_too_long);
}

TEST_CASE("retry_policy: a stale connection is replaced at once, for nothing, once", "[llm][retry_policy]") {
  const failed_attempt stale{.kind = error_kind::transport_stale, .native = 52};
  const failed_attempt busy{.kind = error_kind::overloaded};
  CHECK(decide({stale}, 0.5, {.attempts = 1}).why == retry_reason::attempts_used);
  CHECK(decide({stale}, 0.5, {.attempts = 2}) == retry_decision{true, retry_reason::stale_connection, 0ns, false});
  CHECK(decide({busy, stale}) == retry_decision{true, retry_reason::stale_connection, 0ns, false});
  CHECK(decide({stale, stale}) == retry_decision{true, retry_reason::may_pass, 250ms, true});
  CHECK(decide({stale, busy}).after == 250ms);  // the first attempt that counts
  CHECK(decide({stale, busy, busy}));
  CHECK(decide({stale, busy, busy, busy}).why == retry_reason::attempts_used);
}

TEST_CASE("retry_policy: a model that loads has waits of its own, until its time is over", "[llm][retry_policy]") {
  const failed_attempt loading{.kind = error_kind::model_loading, .status = 503};
  const retry_options one{.attempts = 2};
  retry_progress so_far;
  std::chrono::nanoseconds before{0};
  int polls = 0;
  for (;;) {
    so_far.add(loading);
    const auto next = decide_retry(loading, so_far, 0.9, one);
    if (!next) {
      CHECK(next.why == retry_reason::loading_too_long);
      break;
    }
    CHECK(next.why == retry_reason::model_loading);
    CHECK_FALSE(next.takes_budget);
    if (polls == 0) CHECK(next.after == 500ms);
    if (polls == 1) CHECK(next.after == 750ms);
    if (polls == 2) CHECK(next.after == 1125ms);
    CHECK(next.after >= before);
    CHECK(next.after <= 5s);
    before = next.after;
    so_far.loading_waited += next.after;
    ++polls;
  }
  CHECK(before == 5s);
  CHECK(so_far.loading_waited <= 120s);
  CHECK(so_far.loading_waited > 115s);
  CHECK(so_far.counted() == 0);
  CHECK(decide({loading}, 0.5, {.model_loading = 499ms}).why == retry_reason::loading_too_long);
  CHECK(decide({loading}, 0.5, {.model_loading = 500ms}));
  CHECK(decide({loading, {.kind = error_kind::overloaded}}).after == 250ms);  // loading did not count
  const failed_attempt asked{.kind = error_kind::model_loading, .hint = 3s};
  CHECK(decide({asked}, 0).after == 3s);
  const failed_attempt hasty{.kind = error_kind::model_loading, .hint = 1ms};
  CHECK(decide({hasty}, 0).after == 500ms);
}

TEST_CASE("retry_policy: no wait goes beyond the time that is left", "[llm][retry_policy]") {
  const failed_attempt busy{.kind = error_kind::overloaded};
  CHECK(decide({busy}, 0.5, {}, {.time_left = 250ms}) == retry_decision{.why = retry_reason::no_time});
  CHECK(decide({busy}, 0.5, {}, {.time_left = 250ms + 1ns}));
  CHECK(decide({busy}, 0.5, {}, {.time_left = -1s}).why == retry_reason::no_time);
  CHECK(decide({{.kind = error_kind::transport_stale}}, 0.5, {}, {.time_left = 0s}).why == retry_reason::no_time);
  CHECK(decide({{.kind = error_kind::model_loading}}, 0.5, {}, {.time_left = 500ms}).why == retry_reason::no_time);
  CHECK(decide({{.kind = error_kind::rate_limited, .hint = 10s}}, 0, {}, {.time_left = 10s}).why ==
        retry_reason::no_time);
}

TEST_CASE("retry_policy: what an error says decides", "[llm][retry_policy]") {
  const auto answer = failed_attempt::of(felix::api_error{
      "x", {.status = 503, .retry_after = 7s, .kind = error_kind::model_loading, .should_retry = true}});
  CHECK(answer.kind == error_kind::model_loading);
  CHECK(answer.status == 503);
  CHECK(answer.hint == 7s);
  CHECK(answer.should_retry == true);
  const auto transport = failed_attempt::of(felix::transport_error{"x", 35, error_kind::transport_tls});
  CHECK(transport.kind == error_kind::transport_tls);
  CHECK(transport.native == 35);
  CHECK(transport.status == 0);
  const auto stopped = failed_attempt::of(felix::cancelled{"x"});
  CHECK(stopped.kind == error_kind::cancelled);
  CHECK_FALSE(decide({stopped}));
  CHECK_FALSE(decide({failed_attempt::of(felix::error{felix::errc::budget_exceeded, "x"})}));
}

TEST_CASE("retry_policy: options that are none name their field", "[llm][retry_policy]") {
  const auto message = [](const retry_options& options) -> std::string {
    try {
      options.validate();
    } catch (const felix::error& refused) {
      CHECK(refused.code() == felix::errc::invalid_option);
      return refused.what();
    }
    return "accepted";
  };
  CHECK(message({}) == "accepted");
  CHECK(message({.attempts = 1, .base = 0ms, .cap = 0ms, .longest_hint = 0ms, .model_loading = 0ms}) == "accepted");
  CHECK(message({.attempts = 0}) == "retry: attempts is 0; use at least 1, the first attempt counts");
  CHECK_THAT(message({.base = -1ms}), ContainsSubstring("base is -1 ms"));
  CHECK_THAT(message({.cap = 499ms}), ContainsSubstring("cap is 499 ms; use 500 ms to"));
  CHECK_THAT(message({.cap = 24h + 1ms}), ContainsSubstring("cap is 86400001 ms"));
  CHECK_THAT(message({.longest_hint = -1ms}), ContainsSubstring("longest_hint"));
  CHECK_THAT(message({.model_loading = -1ms}), ContainsSubstring("model_loading"));
  CHECK_THAT(message({.model_loading = std::chrono::milliseconds::max()}), ContainsSubstring("model_loading"));
}

TEST_CASE("retry_policy: each reason has its own words", "[llm][retry_policy]") {
  std::vector<std::string_view> words;
  for (int i = 0; i <= static_cast<int>(retry_reason::no_budget); ++i) {
    const auto text = to_string(static_cast<retry_reason>(i));
    CHECK(text != "unknown");
    for (const auto earlier : words) CHECK(text != earlier);
    words.push_back(text);
  }
}

TEST_CASE("retry_budget: full at the start, and no fuller", "[llm][retry_policy]") {
  const felix::retry_budget::time_point start{1h};
  felix::retry_budget budget;
  for (int i = 0; i < 100; ++i) budget.add_request(start);
  CHECK(budget.level(start) == 10);
  for (int i = 0; i < 10; ++i) CHECK(budget.try_take(start));
  CHECK_FALSE(budget.try_take(start));
  CHECK(budget.level(start) == 0);
  CHECK(budget.level(start + 24h) == 10);
}

TEST_CASE("retry_budget: five requests earn a retry, and ten seconds do", "[llm][retry_policy]") {
  const felix::retry_budget::time_point start{1h};
  felix::retry_budget budget;
  while (budget.try_take(start)) {}
  for (int i = 0; i < 4; ++i) budget.add_request(start);
  CHECK_FALSE(budget.try_take(start));
  budget.add_request(start);
  CHECK(budget.try_take(start));
  CHECK_FALSE(budget.try_take(start));
  CHECK_FALSE(budget.try_take(start + 9s));
  CHECK(budget.try_take(start + 10s));
  CHECK_FALSE(budget.try_take(start + 5s));   // a clock that is behind gives nothing
  CHECK_FALSE(budget.try_take(start + 19s));  // nor does it count twice
  CHECK(budget.try_take(start + 20s));
}

TEST_CASE("retry_budget: however it is used, retries stay below the line", "[llm][retry_policy]") {
  felix::seeded_random random{7};
  for (int run = 0; run < 20; ++run) {
    felix::retry_budget::time_point now{};
    const auto begin = now;
    felix::retry_budget budget;
    int requests = 0, taken = 0;
    for (int step = 0; step < 5'000; ++step) {
      now += std::chrono::milliseconds{static_cast<int>(random.next() % 200)};
      if (random.next() % 2 == 0) {
        budget.add_request(now);
        ++requests;
      }
      taken += budget.try_take(now) ? 1 : 0;
      const double bound = 10 + 0.2 * requests + 0.1 * std::chrono::duration<double>{now - begin}.count();
      if (taken > bound + 1e-6) FAIL(taken);
    }
    CHECK(taken > 10);
  }
}

TEST_CASE("retry_budget: many threads take no more than there is", "[llm][retry_policy]") {
  const felix::retry_budget::time_point start{1h};
  felix::retry_budget budget{{.most = 1'000}};
  std::array<int, 4> taken{};
  std::vector<std::thread> threads;
  for (int& mine : taken)
    threads.emplace_back([&] {
      for (int i = 0; i < 1'000; ++i) mine += budget.try_take(start) ? 1 : 0;
    });
  for (auto& thread : threads) thread.join();
  CHECK(taken[0] + taken[1] + taken[2] + taken[3] == 1'000);
}

TEST_CASE("retry_budget: options", "[llm][retry_policy]") {
  const auto message = [](const felix::retry_budget_options& options) -> std::string {
    try {
      const felix::retry_budget made{options};
    } catch (const felix::error& refused) {
      CHECK(refused.code() == felix::errc::invalid_option);
      return refused.what();
    }
    return "accepted";
  };
  CHECK(message({.most = 0, .per_request = 0, .per_second = 0}) == "accepted");
  CHECK_THAT(message({.most = -1}), ContainsSubstring("retry_budget: most is -1"));
  CHECK_THAT(message({.per_request = std::numeric_limits<double>::quiet_NaN()}), ContainsSubstring("per_request"));
  CHECK_THAT(message({.per_second = std::numeric_limits<double>::infinity()}), ContainsSubstring("per_second"));
  felix::retry_budget none{{.most = 0, .per_request = 1, .per_second = 1}};
  none.add_request({});
  CHECK_FALSE(none.try_take({}));
}
