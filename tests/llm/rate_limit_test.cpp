// SPDX-License-Identifier: MIT
// llm: limits per minute hold whatever comes, and a wait that is told is enough.
#include <felix/llm/rate_limit.hpp>

#include <felix/random.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::rate_limit_options;
using felix::rate_limit_report;
using felix::rate_limiter;
using time_point = rate_limiter::time_point;

namespace {

constexpr time_point start{1h};

/// The ticket of a request that goes at once.
std::uint64_t taken(rate_limiter& limiter, felix::token_count tokens, time_point now) {
  const auto take = limiter.try_take(tokens, now);
  REQUIRE(take);
  CHECK(take.wait == 0ns);
  return take.ticket;
}
/// The wait of one that does not.
std::chrono::nanoseconds wait_of(rate_limiter& limiter, felix::token_count tokens, time_point now) {
  const auto take = limiter.try_take(tokens, now);
  CHECK_FALSE(take);
  CHECK(take.wait > 0ns);
  return take.wait;
}

template <class Call>
std::string message_of(Call call, felix::errc expected) {
  try {
    call();
  } catch (const felix::error& refused) {
    CHECK(refused.code() == expected);
    CHECK(refused.cost() == felix::request_cost::none);
    return refused.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("rate_limit: without limits every request goes at once", "[llm][rate_limit]") {
  rate_limiter limiter;
  for (std::uint64_t i = 1; i <= 1'000; ++i)
    if (taken(limiter, std::numeric_limits<felix::token_count>::max(), start) != i) FAIL(i);
  const auto status = limiter.status(start);
  CHECK(std::isinf(status.requests.per_minute));
  CHECK(std::isinf(status.tokens.level));
  CHECK_FALSE(status.tokens.learned);
  CHECK_FALSE(status.blocked_until);
  CHECK(status.unanswered == 1'000);
}

TEST_CASE("rate_limit: requests per minute, at most a second's worth at once", "[llm][rate_limit]") {
  rate_limiter limiter{{.requests_per_minute = 120}};
  taken(limiter, 0, start);
  taken(limiter, 1'000'000, start);
  CHECK(wait_of(limiter, 0, start) == 500ms);
  CHECK(wait_of(limiter, 0, start + 400ms) == 100ms);
  taken(limiter, 0, start + 500ms);
  CHECK(wait_of(limiter, 0, start + 500ms) == 500ms);
  for (int i = 0; i < 2; ++i) taken(limiter, 0, start + 1h);
  CHECK(wait_of(limiter, 0, start + 1h) == 500ms);
  rate_limiter slow{{.requests_per_minute = 6}};
  taken(slow, 0, start);
  CHECK(wait_of(slow, 0, start) == 10s);
}

TEST_CASE("rate_limit: tokens per minute, a minute's worth at once", "[llm][rate_limit]") {
  rate_limiter limiter{{.tokens_per_minute = 60'000}};
  taken(limiter, 60'000, start);
  CHECK(wait_of(limiter, 1, start) == 1ms);
  CHECK(wait_of(limiter, 60'000, start) == 1min);
  taken(limiter, 0, start);
  taken(limiter, -5, start);
  CHECK(limiter.status(start).tokens.level == 0);
  taken(limiter, 30'000, start + 30s);
  CHECK(wait_of(limiter, 10, start + 30s) == 10ms);
  rate_limiter bursty{{.tokens_per_minute = 60'000, .burst = 6s}};
  taken(bursty, 6'000, start);
  CHECK(wait_of(bursty, 500, start) == 500ms);
}

TEST_CASE("rate_limit: both limits hold, and who waits for one takes nothing of the other", "[llm][rate_limit]") {
  rate_limiter limiter{{.requests_per_minute = 60, .tokens_per_minute = 600}};
  taken(limiter, 600, start);
  CHECK(wait_of(limiter, 5, start) == 1s);   // the request
  CHECK(wait_of(limiter, 50, start) == 5s);  // the tokens
  CHECK(wait_of(limiter, 50, start + 4s) == 1s);
  CHECK(limiter.status(start + 4s).requests.level == 1);
  CHECK(limiter.status(start + 4s).tokens.level == Approx(40));
  taken(limiter, 50, start + 5s);
  CHECK(limiter.status(start + 5s).requests.level == 0);
}

TEST_CASE("rate_limit: a request that never fits is refused at once", "[llm][rate_limit]") {
  rate_limiter limiter{{.tokens_per_minute = 2'000, .burst = 30s}};
  CHECK(message_of([&] { (void)limiter.try_take(1'001, start); }, felix::errc::invalid_argument) ==
        "rate_limit: the request is for 1001 tokens, its prompt and max_tokens; tokens_per_minute of 2000 never lets "
        "more than 1000 through at once; lower max_tokens, or raise tokens_per_minute or burst");
  taken(limiter, 1'000, start);
  CHECK_THROWS_AS(limiter.try_take(1'001, start), felix::error);  // not after a wait either
  CHECK(limiter.status(start).unanswered == 1);
}

TEST_CASE("rate_limit: a server's limit is for the server to refuse by", "[llm][rate_limit]") {
  rate_limiter limiter;
  limiter.answered(taken(limiter, 100, start), {.tokens = {.limit = 600, .remaining = 500}}, start);
  CHECK(wait_of(limiter, 10'000, start) == 10s);
  taken(limiter, 10'000, start + 10s);
  CHECK(limiter.status(start + 10s).tokens.level == 0);
}

TEST_CASE("rate_limit: what OpenAI says is what it means", "[llm][rate_limit]") {
  rate_limiter limiter;
  const rate_limit_report report{.requests = {5'000, 4'999, 12ms}, .tokens = {160'000, 159'976, 9ms}};
  limiter.answered(taken(limiter, 24, start), report, start);
  const auto status = limiter.status(start);
  CHECK(status.requests.per_minute == Approx(5'000));
  CHECK(status.requests.capacity == Approx(5'000.0 / 60));
  CHECK(status.tokens.per_minute == Approx(160'000));
  CHECK(status.tokens.capacity == 160'000);
  CHECK(status.tokens.level == 159'976);
  CHECK(status.tokens.learned);
  CHECK(status.requests.learned);
  CHECK(status.unanswered == 0);
  taken(limiter, 159'976, start);
  const auto wait = wait_of(limiter, 24, start);  // as it said
  CHECK(wait >= 9ms);
  CHECK(wait <= 9ms + 1us);
}

TEST_CASE("rate_limit: what is left is less by what was sent later and is unanswered", "[llm][rate_limit]") {
  rate_limiter limiter{{.tokens_per_minute = 10'000}};
  const auto first = taken(limiter, 100, start);
  const auto second = taken(limiter, 200, start);
  const auto third = taken(limiter, 300, start);
  const auto fourth = taken(limiter, 400, start);
  CHECK(limiter.status(start).tokens.level == 9'000);
  limiter.ended(fourth);
  limiter.answered(second, {.tokens = {.limit = 20'000, .remaining = 5'000}}, start);
  CHECK(limiter.status(start).tokens.level == 4'700);  // without the third
  limiter.answered(first, {.tokens = {.remaining = 4'800}}, start);
  CHECK(limiter.status(start).tokens.level == 4'500);  // the second is answered
  limiter.answered(third, {.tokens = {.remaining = 4'900}}, start);
  CHECK(limiter.status(start).tokens.level == 4'900);  // nothing newer is known
  CHECK(limiter.status(start).unanswered == 0);
}

TEST_CASE("rate_limit: requests that were sent later count too", "[llm][rate_limit]") {
  rate_limiter limiter;
  const auto first = taken(limiter, 100, start);
  for (int i = 0; i < 3; ++i) taken(limiter, 100, start);
  limiter.answered(first, {.requests = {.limit = 600, .remaining = 5}}, start);
  CHECK(limiter.status(start).requests.level == 2);
}

TEST_CASE("rate_limit: what was sent while an answer came has been filled up meanwhile", "[llm][rate_limit]") {
  rate_limiter limiter;
  const auto first = taken(limiter, 100, start);
  const auto second = taken(limiter, 300, start + 10s);
  limiter.answered(first, {.tokens = {.limit = 600, .remaining = 100}}, start + 20s);
  CHECK(limiter.status(start + 20s).tokens.level == Approx(0));  // 100 + 100 - 300 + 100
  limiter.answered(second, {.tokens = {.limit = 600, .remaining = 50}}, start + 50s);
  CHECK(limiter.status(start + 50s).tokens.level == Approx(50));  // perhaps that was counted just now
}

TEST_CASE("rate_limit: an answer that is behind raises nothing", "[llm][rate_limit]") {
  rate_limiter limiter;
  const auto first = taken(limiter, 100, start);
  const auto second = taken(limiter, 100, start);
  const auto third = taken(limiter, 100, start);
  limiter.answered(second, {.tokens = {.limit = 600, .remaining = 200}}, start);
  CHECK(limiter.status(start).tokens.level == 100);
  limiter.answered(first, {.tokens = {.limit = 600, .remaining = 500}}, start);
  CHECK(limiter.status(start).tokens.level == 100);
  limiter.answered(third, {}, start);
  CHECK(limiter.status(start).tokens.level == 100);
}

TEST_CASE("rate_limit: requests that were refused are no debt for ever", "[llm][rate_limit]") {
  rate_limiter limiter;
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 400; ++i) all.push_back(taken(limiter, 1'000, start));
  for (const auto each : all) {
    limiter.answered(each, {.tokens = {.limit = 60'000, .remaining = 0}}, start + 100ms);
    limiter.refused(each, std::nullopt, start + 100ms);
  }
  CHECK(wait_of(limiter, 1'000, start + 100ms) == 1s);
}

TEST_CASE("rate_limit: nothing is learned where nothing is to be", "[llm][rate_limit]") {
  const rate_limit_report report{.requests = {60, 0, 60s}, .tokens = {600, 0, 60s}};
  rate_limiter limiter{{.tokens_per_minute = 1'000, .learn = false}};
  limiter.answered(taken(limiter, 100, start), report, start);
  CHECK(limiter.status(start).tokens.level == 900);
  CHECK(limiter.status(start).tokens.per_minute == Approx(1'000));
  CHECK(std::isinf(limiter.status(start).requests.level));
  rate_limiter other;
  other.answered(taken(other, 100, start), {}, start);
  CHECK(std::isinf(other.status(start).tokens.level));
}

TEST_CASE("rate_limit: a 429 with limits, made up (aimock)", "[llm][rate_limit]") {
  rate_limiter limiter;
  const auto ticket = taken(limiter, 1'000, start);
  limiter.answered(ticket, {.requests = {60, 0, 1s}, .tokens = {150'000, 0, 6min}}, start);
  limiter.refused(ticket, 1s, start);
  const auto status = limiter.status(start);
  CHECK(status.requests.per_minute == Approx(360));   // 60 in 10 s, not in 1
  CHECK(status.tokens.per_minute == Approx(25'000));  // 150,000 in 6 min
  CHECK(status.tokens.level == 0);
  CHECK(status.blocked_until == start + 1s);
  CHECK(wait_of(limiter, 1, start) == 1s);
  CHECK(wait_of(limiter, 2'500, start) == 6s);
}

TEST_CASE("rate_limit: a server that asks to wait is not asked before", "[llm][rate_limit]") {
  rate_limiter limiter;
  const auto first = taken(limiter, 1, start);
  const auto second = taken(limiter, 1, start);
  const auto third = taken(limiter, 1, start);
  limiter.refused(first, 10s, start);
  limiter.refused(second, 3s, start + 1s);  // does not shorten it
  CHECK(wait_of(limiter, 0, start + 1s) == 9s);
  limiter.refused(third, std::nullopt, start + 1s);
  CHECK(wait_of(limiter, 0, start + 10s - 1ns) == 1ns);
  CHECK(limiter.status(start + 9s).blocked_until == start + 10s);
  CHECK_FALSE(limiter.status(start + 10s).blocked_until);
  limiter.refused(taken(limiter, 0, start + 10s), 0ms, start + 10s);
  limiter.refused(taken(limiter, 0, start + 10s), -1ms, start + 10s);
  const auto last = taken(limiter, 0, start + 10s);
  limiter.refused(last, std::chrono::milliseconds::max(), start + 10s);
  CHECK(wait_of(limiter, 0, start + 10s) == 1h);
  CHECK(limiter.status(start).unanswered == 0);
}

TEST_CASE("rate_limit: a refusal with a hint empties the buckets, one without does not", "[llm][rate_limit]") {
  rate_limiter limiter{{.requests_per_minute = 600, .tokens_per_minute = 600, .learn = false}};
  limiter.refused(taken(limiter, 100, start), std::nullopt, start);
  CHECK(limiter.status(start).tokens.level == 500);
  CHECK(limiter.status(start).requests.level == 9);
  limiter.refused(taken(limiter, 100, start), 2s, start);
  CHECK(limiter.status(start).tokens.level == 0);
  CHECK(limiter.status(start).requests.level == 0);
  CHECK(wait_of(limiter, 10, start) == 2s);
  CHECK(wait_of(limiter, 100, start) == 10s);  // filled meanwhile
}

TEST_CASE("rate_limit: a ticket is closed once, and none is closed that is not there", "[llm][rate_limit]") {
  rate_limiter limiter{{.tokens_per_minute = 1'000}};
  const auto first = taken(limiter, 100, start);
  const auto second = taken(limiter, 100, start);
  limiter.ended(second);
  limiter.ended(second);
  limiter.ended(0);
  limiter.ended(77);
  CHECK(limiter.status(start).unanswered == 1);
  limiter.answered(first, {.tokens = {.limit = 1'000, .remaining = 500}}, start);
  limiter.answered(first, {.tokens = {.limit = 1'000, .remaining = 100}}, start);
  CHECK(limiter.status(start).tokens.level == 500);
  CHECK(limiter.status(start).unanswered == 0);
}

TEST_CASE("rate_limit: options that are none name their field", "[llm][rate_limit]") {
  const auto message = [](const rate_limit_options& options) {
    return message_of([&] { rate_limiter{options}; }, felix::errc::invalid_option);
  };
  CHECK(message({}) == "accepted");
  CHECK(message({.requests_per_minute = 0.001, .tokens_per_minute = 1e12, .burst = 1h}) == "accepted");
  CHECK_THAT(message({.requests_per_minute = 0}), ContainsSubstring("requests_per_minute is 0.000000; use a number"));
  CHECK_THAT(message({.tokens_per_minute = -1}), ContainsSubstring("tokens_per_minute is -1.0"));
  CHECK_THAT(message({.tokens_per_minute = std::nan("")}), ContainsSubstring("tokens_per_minute"));
  CHECK_THAT(message({.tokens_per_minute = 2e12}), ContainsSubstring("or leave it out for no limit"));
  CHECK_THAT(message({.requests_per_minute = -rate_limit_options::unlimited}), ContainsSubstring("requests"));
  CHECK(message({.burst = 0s}) == "rate_limit: burst is 0 s; use 1 s to 3600 s");
  CHECK_THAT(message({.burst = 3601s}), ContainsSubstring("burst is 3601 s"));
}

namespace {

/// A limiter used at random for a while by many that wait as told, and answers of a server that says anything.
struct random_use {
  struct sent {
    time_point at;
    double tokens;
  };
  std::vector<sent> all;
  int waits = 0;

  random_use(const rate_limit_options& options, felix::seeded_random random) {
    rate_limiter limiter{options};
    const double most = std::min(options.tokens_per_minute * static_cast<double>(options.burst.count()) / 60, 1e6);
    const double tokens = random.uniform(0.001, 1) * most;
    std::vector<std::uint64_t> open;
    time_point now = start;
    time_point blocked = start;
    for (int round = 0; round < 2'000; ++round) {
      if (random.next() % 3 == 0)
        now += std::chrono::nanoseconds{static_cast<std::int64_t>(std::exp(random.uniform(0, 23)))};
      const auto need = static_cast<felix::token_count>(random.uniform(0, tokens));
      auto take = limiter.try_take(need, now);
      if (!take) {
        ++waits;
        if (random.next() % 2 == 0) continue;  // gives up
        now += take.wait;
        take = limiter.try_take(need, now);
        if (!take) FAIL("a wait of " << take.wait.count() << " ns more");
      }
      if (now < blocked) FAIL("not before the hint");
      all.push_back({now, static_cast<double>(need)});
      open.push_back(take.ticket);
      if (random.next() % 2 == 0) continue;
      const auto at = static_cast<std::size_t>(random.next() % open.size());
      const auto ticket = std::exchange(open[at], open.back());
      open.pop_back();
      const auto maybe = [&](double value) { return random.next() % 3 == 0 ? std::nullopt : std::optional{value}; };
      const auto bucket = [&](double limit) {
        return rate_limit_report::bucket{
            maybe(limit * random.uniform(0, 3)), maybe(limit * random.uniform(0, 1)),
            std::chrono::nanoseconds{static_cast<std::int64_t>(std::exp(random.uniform(0, 28)))}};
      };
      switch (random.next() % 8) {
        case 0: limiter.ended(ticket); break;
        case 1: {
          const std::chrono::milliseconds hint{random.next() % 5'000};
          blocked = std::max(blocked, now + hint);
          limiter.refused(ticket, hint, now);
          break;
        }
        default: {
          limiter.answered(ticket, {bucket(1'000), bucket(50'000)}, now);
          const auto after = limiter.status(now);
          if (after.tokens.per_minute > options.tokens_per_minute * (1 + 1e-12) ||
              after.requests.per_minute > options.requests_per_minute * (1 + 1e-12) ||
              after.tokens.capacity > options.tokens_per_minute * static_cast<double>(options.burst.count()) / 60)
            FAIL("a server raised what is set");
        }
      }
    }
  }
  /// The most that any window has over what it may have; at most about 0.
  [[nodiscard]] double worst(double per_minute, double capacity, bool tokens) const {
    // A window from i to j has (S_j - rate t_j) - (S_i-1 - rate t_i) more than its time gives: keep the least of these.
    double sum = 0;
    double least = std::numeric_limits<double>::infinity();
    double most = -least;
    for (const sent& each : all) {
      const double line = per_minute / 60 * std::chrono::duration<double>{each.at - start}.count();
      least = std::min(least, sum - line);
      sum += tokens ? each.tokens : 1;
      most = std::max(most, sum - line - least - capacity);
    }
    return most;
  }
};

}  // namespace

TEST_CASE("rate_limit: in no window more than the limit, whatever servers say", "[llm][rate_limit]") {
  int waits = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    felix::seeded_random random{seed};
    rate_limit_options options;
    if (seed % 3 != 0) options.requests_per_minute = std::exp(random.uniform(0, 10));
    if (seed % 3 != 1) options.tokens_per_minute = std::exp(random.uniform(4, 14));
    options.burst = std::chrono::seconds{1 + static_cast<int>(random.next() % 120)};
    options.learn = seed % 2 == 0;
    const random_use use{options, random};
    waits += use.waits;
    const double burst = options.tokens_per_minute * static_cast<double>(options.burst.count()) / 60;
    if (seed % 3 != 0) {
      const double at_once = std::max(options.requests_per_minute / 60, 1.0);
      CHECK(use.worst(options.requests_per_minute, at_once, false) <= 1e-6 * at_once);
    }
    if (seed % 3 != 1) CHECK(use.worst(options.tokens_per_minute, burst, true) <= 1e-6 * burst);
  }
  CHECK(waits > 10'000);
}

namespace {

/// What comes through to a server with a limit of 60,000 tokens per minute in an hour, of a client that learns it.
struct learned_use {
  double share = 0;  ///< of the limit
  int refused = 0;

  learned_use(std::chrono::nanoseconds latency, bool counts_at_end) {
    struct answer {
      time_point at;
      std::uint64_t ticket;
      double left;
      bool ok;
    };
    constexpr double limit = 60'000;
    constexpr double need = 1'000;
    constexpr std::size_t at_once = 200;
    rate_limiter limiter;
    std::deque<answer> waiting;  // by time
    double level = limit;
    time_point now = start;
    time_point ask = start;
    const auto pass_to = [&](time_point next) {
      level = std::min(limit, level + limit / 60 * std::chrono::duration<double>{next - now}.count());
      now = next;
    };
    int ok = 0;
    while (now < start + 1h) {
      if (!waiting.empty() && (waiting.front().at <= ask || waiting.size() == at_once)) {
        const answer next = waiting.front();
        waiting.pop_front();
        pass_to(std::max(now, next.at));
        const double left = counts_at_end ? level : next.left;
        const std::chrono::milliseconds reset{static_cast<int>((limit - left) / limit * 60'000)};
        limiter.answered(next.ticket, {.tokens = {limit, left, reset}}, now);
        if (!next.ok) limiter.refused(next.ticket, 1s, now);
        ask = now;
      }
      pass_to(std::max(now, ask));
      const auto take = limiter.try_take(static_cast<felix::token_count>(need), now);
      ask = now + take.wait;
      if (!take) continue;
      const bool fits = level >= need;
      if (fits) level -= need;
      ++(fits ? ok : refused);
      const answer made{now + (fits ? latency : 100ms), take.ticket, level, fits};
      waiting.insert(std::upper_bound(waiting.begin(), waiting.end(), made,
                                      [](const answer& a, const answer& b) { return a.at < b.at; }),
                     made);
    }
    share = ok * need / (limit * 61);
  }
};

}  // namespace

TEST_CASE("rate_limit: a limit that is learned is used, however long answers take", "[llm][rate_limit]") {
  for (const bool at_end : {false, true})
    for (const auto latency : {1s, 10s, 30s, 60s, 90s, 150s}) {
      CAPTURE(at_end, latency.count());
      const learned_use use{latency, at_end};
      CHECK(use.share > (latency <= 60s ? 0.9 : 0.75));
      CHECK(use.share <= 1);
      CHECK(use.refused <= 140);  // of the 200 at the start
    }
}

TEST_CASE("rate_limit: all that may be sent is sent by who always waits as told", "[llm][rate_limit]") {
  for (const double limit : {1.0, 7.0, 60.0, 333.3, 5'000.0, 160'000.0, 12'345'678.0}) {
    CAPTURE(limit);
    rate_limiter limiter{{.requests_per_minute = limit}};
    time_point now = start;
    int sent = 0;
    for (int asked = 0; asked < 10'000; ++asked) {
      const auto take = limiter.try_take(0, now);
      if (take) ++sent;
      now += take.wait;
    }
    const double may = limit / 60 * std::chrono::duration<double>{now - start}.count() + std::max(limit / 60, 1.0);
    CHECK(sent <= may + 1e-6);
    CHECK(sent >= 4'999);  // a wait is followed by a request
    CHECK(now - start >= std::chrono::nanoseconds{0});
    CHECK(std::chrono::duration<double>{now - start}.count() * limit / 60 <= sent + limit / 60 * 1e-6 * sent + 1);
  }
}
