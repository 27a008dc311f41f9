// SPDX-License-Identifier: MIT
// llm: the rate that a report tells, and the sums of one bucket.
#include <felix/llm/detail/per_minute_limit.hpp>

#include <felix/random.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cmath>
#include <optional>

using namespace std::chrono_literals;
using felix::detail::per_minute_limit;
using felix::detail::reported_rate;
using report = felix::rate_limit_report::bucket;

namespace {

constexpr per_minute_limit::time_point start{1h};
constexpr double any = per_minute_limit::unlimited;  // seconds at once: as many as burst

/// What an answer says, while requests of `later` are on their way.
void hear(per_minute_limit& limit, const report& said, double later, per_minute_limit::time_point now) {
  limit.learn(said, now);
  if (said.remaining) limit.correct(*said.remaining - later, false, now);
}

}  // namespace

TEST_CASE("per_minute_limit: OpenAI's resets are those of a minute", "[llm][per_minute_limit]") {
  CHECK(reported_rate(5000, {{}, 4999, 12ms}) == 5000.0 / 60);
  CHECK(reported_rate(160'000, {{}, 159'976, 9ms}) == 160'000.0 / 60);
  CHECK(reported_rate(60, {{}, 59, 1s}) == 1.0);
}

TEST_CASE("per_minute_limit: a reset of another time tells another rate", "[llm][per_minute_limit]") {
  CHECK(*reported_rate(150'000, {{}, 0, 6min}) == Approx(150'000.0 / 360));
  CHECK(*reported_rate(100, {{}, 40, 30s}) == Approx(2));                  // 100 in 50 s
  CHECK(reported_rate(150'000, {{}, 149'984, 6min}) == 150'000.0 / 3600);  // made up; no slower than in an hour
  CHECK(reported_rate(60, {{}, 0, 1s}) == 6.0);                            // no faster than in 10 s
  CHECK(reported_rate(14'400, {{}, 14'370, 180s}) == 4.0);                 // a limit per day
}

TEST_CASE("per_minute_limit: what rounding can do to a short reset tells nothing", "[llm][per_minute_limit]") {
  CHECK(reported_rate(1000, {{}, 999, 1s}) == 1000.0 / 60);       // 60 ms as a date
  CHECK(reported_rate(1000, {{}, 985, 2s}) == 1000.0 / 60);       // 0.9 s, and the dates at their worst
  CHECK(reported_rate(30e6, {{}, 30e6 - 24, 1ms}) == 30e6 / 60);  // 48 us
  CHECK(*reported_rate(1000, {{}, 800, 9s}) == Approx(200.0 / 9));
  CHECK(*reported_rate(1000, {{}, 800, 9500ms}) == Approx(200 / 9.5));
  CHECK(*reported_rate(1000, {{}, 999, 65ms}) == Approx(1 / 0.065));
}

TEST_CASE("per_minute_limit: a report that does not tell the rate", "[llm][per_minute_limit]") {
  CHECK_FALSE(reported_rate(60, {}));
  CHECK_FALSE(reported_rate(60, {60, 30, {}}));
  CHECK_FALSE(reported_rate(60, {60, {}, 1s}));
  CHECK_FALSE(reported_rate(60, {60, 30, 0s}));
  CHECK_FALSE(reported_rate(60, {60, 60, 1s}));
  CHECK_FALSE(reported_rate(60, {60, 61, 1s}));
}

TEST_CASE("per_minute_limit: full at the start, filled by time, no fuller than full", "[llm][per_minute_limit]") {
  per_minute_limit bucket{600, 60s, any};
  CHECK(bucket.capacity() == 600);
  CHECK(bucket.wait(600, start) == 0ns);
  bucket.take(600, start);
  CHECK(bucket.level_at(start) == 0);
  CHECK(bucket.wait(1, start) == 100ms);
  CHECK(bucket.wait(600, start) == 60s);
  CHECK(bucket.wait(600, start + 15s) == 45s);
  CHECK(bucket.level_at(start + 15s) == Approx(150));
  CHECK(bucket.level_at(start + 24h) == 600);
  CHECK(bucket.wait(0, start) == 0ns);
  CHECK(per_minute_limit(600, 30s, any).capacity() == 300);
  CHECK(per_minute_limit(600, 30s, 1).capacity() == 10);
  CHECK(per_minute_limit(6, 30s, 1).capacity() == 1);
}

TEST_CASE("per_minute_limit: no limit is reached by taking exactly that", "[llm][per_minute_limit]") {
  for (int limit = 1; limit <= 100'000; ++limit) {
    const per_minute_limit bucket{static_cast<double>(limit), 60s, any};
    if (bucket.own_capacity() != limit || bucket.capacity() != limit || bucket.is_learned()) FAIL(limit);
  }
}

TEST_CASE("per_minute_limit: a wait of whole microseconds is enough too, however its sum is rounded",
          "[llm][per_minute_limit]") {
  for (int limit = 60; limit <= 3'000; limit += 10) {
    per_minute_limit bucket{static_cast<double>(limit), 60s, any};
    bucket.take(limit, start);
    for (int need = 1; need <= limit; need += 7) {
      const auto wait = bucket.wait(need, start);
      if (bucket.wait(need, start + wait) != 0ns) FAIL(need << " of " << limit);
    }
  }
}

TEST_CASE("per_minute_limit: a clock that is behind", "[llm][per_minute_limit]") {
  per_minute_limit bucket{600, 60s, any};
  bucket.take(600, start);
  CHECK(bucket.level_at(start - 10s) == 0);
  CHECK(bucket.wait(10, start - 10s) == 11s);
  bucket.take(0, start - 10s);
  CHECK(bucket.level_at(start + 1s) == Approx(10));
}

TEST_CASE("per_minute_limit: bottomless until a limit is learned", "[llm][per_minute_limit]") {
  per_minute_limit bucket{any, 60s, any};
  bucket.take(1e9, start);
  bucket.lower(0, start);
  hear(bucket, {{}, 0, 1s}, 7, start);
  CHECK(std::isinf(bucket.servers_bucket(0, start).level_at(start)));
  CHECK(std::isinf(bucket.capacity()));
  CHECK_FALSE(bucket.is_learned());
  CHECK(bucket.wait(1e15, start) == 0ns);
  hear(bucket, {600, 300, {}}, 100, start);
  CHECK(bucket.is_learned());
  CHECK(bucket.per_minute() == Approx(600));
  CHECK(bucket.capacity() == 600);
  CHECK(bucket.level_at(start) == 200);
  per_minute_limit other{any, 60s, any};
  hear(other, {600, {}, {}}, 100, start);
  CHECK(other.level_at(start) == 600);
}

TEST_CASE("per_minute_limit: no header changes what the user set", "[llm][per_minute_limit]") {
  per_minute_limit bucket{600, 60s, any};
  bucket.take(400, start);
  hear(bucket, {1000, 900, {}}, 0, start);
  CHECK(bucket.level_at(start) == 200);
  CHECK(bucket.per_minute() == Approx(600));
  CHECK_FALSE(bucket.is_learned());
  hear(bucket, {{}, 150, {}}, 0, start);
  CHECK(bucket.level_at(start) == 150);
  hear(bucket, {{}, 150, {}}, 170, start + 1s);
  CHECK(bucket.level_at(start + 1s) == -20);
  CHECK(bucket.wait(10, start + 1s) == 1800ms);  // at the server's rate
  bucket.correct(900, true, start + 1s);
  CHECK(bucket.level_at(start + 1s) == Approx(210));
}

TEST_CASE("per_minute_limit: a server's level is lowered, and raised only by what is newest",
          "[llm][per_minute_limit]") {
  per_minute_limit bucket{any, 60s, any};
  hear(bucket, {600, 300, {}}, 0, start);
  bucket.correct(400, false, start);
  CHECK(bucket.level_at(start) == 300);
  bucket.correct(400, true, start);
  CHECK(bucket.level_at(start) == 400);
  bucket.correct(1e9, true, start);
  CHECK(bucket.level_at(start) == 600);
  bucket.correct(200, true, start + 1s);
  CHECK(bucket.level_at(start + 1s) == 200);
}

TEST_CASE("per_minute_limit: a refusal empties the server's bucket, or the user's if that is all there is",
          "[llm][per_minute_limit]") {
  per_minute_limit bucket{600, 60s, any};
  bucket.lower(0, start);
  CHECK(bucket.level_at(start) == 0);
  CHECK(bucket.level_at(start + 1s) == Approx(10));
  per_minute_limit both{600, 60s, any};
  hear(both, {6'000, {}, {}}, 0, start);
  both.lower(0, start);
  CHECK(both.level_at(start) == 0);
  CHECK(both.level_at(start + 6s) == 600);  // the user's was full
}

TEST_CASE("per_minute_limit: the server's bucket as it was", "[llm][per_minute_limit]") {
  per_minute_limit bucket{any, 6s, 1};
  hear(bucket, {600, 300, {}}, 0, start);
  CHECK(bucket.capacity() == 10);
  auto server = bucket.servers_bucket(300, start);
  CHECK(server.capacity() == 600);
  server.take(200, start + 10s);
  CHECK(server.level_at(start + 10s) == Approx(200));
  CHECK(server.level_at(start + 20s) == Approx(300));
  server.take(1, start + 2h);
  CHECK(server.level_at(start + 2h) == 599);
}

TEST_CASE("per_minute_limit: a learned limit is replaced, and its rate kept until another is told",
          "[llm][per_minute_limit]") {
  per_minute_limit bucket{any, 60s, any};
  hear(bucket, {150'000, 0, 6min}, 0, start);
  CHECK(bucket.per_minute() == Approx(25'000));
  CHECK(bucket.capacity() == 150'000);
  hear(bucket, {150'000, {}, {}}, 0, start);
  CHECK(bucket.per_minute() == Approx(25'000));
  hear(bucket, {90'000, {}, {}}, 0, start);
  CHECK(bucket.per_minute() == Approx(90'000));
  CHECK(bucket.capacity() == 90'000);
  hear(bucket, {200'000, {}, {}}, 0, start);
  CHECK(bucket.per_minute() == Approx(200'000));
  CHECK(bucket.capacity() == 200'000);
  CHECK(bucket.level_at(start) == 0);
  hear(bucket, {1e-300, {}, {}}, 0, start);
  CHECK(bucket.per_minute() == Approx(1));
  hear(bucket, {-5, {}, {}}, 0, start);
  hear(bucket, {std::nan(""), {}, {}}, 0, start);
  CHECK(bucket.per_minute() == Approx(1));
}

TEST_CASE("per_minute_limit: what a server's bucket holds is its limit, and of requests a second's worth",
          "[llm][per_minute_limit]") {
  per_minute_limit tokens{any, 600s, any};
  hear(tokens, {600, 0, 20s}, 0, start);  // 30 per second
  CHECK(tokens.per_minute() == Approx(1800));
  CHECK(tokens.capacity() == 600);
  per_minute_limit requests{any, 600s, 1};
  hear(requests, {600, 0, 20s}, 0, start);
  CHECK(requests.capacity() == Approx(30));
  per_minute_limit small{any, 6s, any};
  hear(small, {600, {}, {}}, 0, start);
  CHECK(small.capacity() == 60);
}

TEST_CASE("per_minute_limit: the time before a change counts as before", "[llm][per_minute_limit]") {
  per_minute_limit bucket{any, 60s, any};
  hear(bucket, {600, 0, {}}, 0, start);
  hear(bucket, {60, {}, {}}, 0, start + 3s);  // 30 by then
  CHECK(bucket.level_at(start + 3s) == Approx(30));
  CHECK(bucket.level_at(start + 4s) == Approx(31));
}

TEST_CASE("per_minute_limit: no debt is longer than an hour", "[llm][per_minute_limit]") {
  per_minute_limit bucket{600, 60s, any};
  hear(bucket, {600, 0, {}}, 1e18, start);
  CHECK(bucket.wait(600, start) == 1h + 60s);
}

TEST_CASE("per_minute_limit: what needs more than the capacity waits for all of it", "[llm][per_minute_limit]") {
  per_minute_limit bucket{any, 60s, any};
  hear(bucket, {600, 300, {}}, 0, start);
  CHECK(bucket.wait(10'000, start) == 30s);
  bucket.take(10'000, start + 30s);
  CHECK(bucket.level_at(start + 30s) == 0);
}

TEST_CASE("per_minute_limit: a wait is enough, and no longer than it must be", "[llm][per_minute_limit]") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    felix::seeded_random random{seed};
    const double limit = std::exp(random.uniform(std::log(per_minute_limit::least), std::log(per_minute_limit::most)));
    const std::chrono::seconds burst{1 + static_cast<int>(random.next() % 3600)};
    per_minute_limit bucket{seed % 4 == 0 ? any : limit, burst, seed % 2 == 0 ? any : 1};
    if (seed % 4 == 0) hear(bucket, {limit, {}, {}}, 0, start);
    auto now = start;
    for (int round = 0; round < 300; ++round) {
      const double need = random.uniform(0, 1.1) * bucket.capacity();
      const auto wait = bucket.wait(need, now);
      if (wait < 0ns || wait > std::chrono::hours{24 * 365}) FAIL(seed);
      if (wait > 0ns) {
        if (bucket.wait(need, now + wait) != 0ns || bucket.wait(need, now + wait + 1ns) != 0ns) FAIL(seed);
        // Up to 1 us is rounding up; and 10^-12 of the time the arithmetic.
        const auto early = 2us + std::chrono::nanoseconds{wait.count() / 1'000'000'000};
        if (wait > early && bucket.wait(need, now + wait - early) == 0ns) FAIL(seed << ' ' << wait.count());
        now += wait;
      }
      bucket.take(need, now);
      now += std::chrono::nanoseconds{static_cast<std::int64_t>(random.uniform(0, 1e9))};
      if (round % 50 == 49) hear(bucket, {{}, random.uniform(0, 1) * limit, {}}, random.uniform(0, 5) * limit, now);
    }
  }
}
