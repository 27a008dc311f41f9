// SPDX-License-Identifier: MIT
// llm: the slots of a simulated server are found and kept, with and without its queue time; and what each event does.
#include <felix/llm/gradient_limit.hpp>

#include <felix/random.hpp>

#include "support/catch.hpp"
#include "support/slot_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::gradient_limit;
using felix::gradient_limit_options;
using felix::limit_outcome;
using felix::test::slot_server;
using felix::test::slot_server_options;
using felix::test::slot_server_report;

namespace {

constexpr std::uint64_t seeds = 20;

/// Of one run for each seed.
std::vector<slot_server_report> runs(const slot_server_options& options, const gradient_limit_options& limits = {},
                                     std::size_t answers = 500) {
  std::vector<slot_server_report> reports;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    gradient_limit limit{limits};
    reports.push_back(slot_server{options, seed}.run(limit, answers));
  }
  return reports;
}
/// The slots are others after 300 answers: how many more it took until the limit was right and stayed, the third
/// longest of twenty.
std::size_t answers_to_settle(bool shows_queue, std::size_t before, std::size_t after) {
  std::vector<std::size_t> settled;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    gradient_limit limit;
    slot_server server{{.shows_queue = shows_queue}, seed};
    server.slots = [=](std::size_t answers) { return answers < 300 ? before : after; };
    settled.push_back(server.run(limit, 600).settled(after, after + 1, 300));
  }
  std::sort(settled.begin(), settled.end());
  return settled[settled.size() - 3];
}
double mean_limit(const std::vector<slot_server_report>& reports) {
  double sum = 0;
  for (const auto& each : reports) sum += each.limit;
  return sum / static_cast<double>(reports.size());
}
void check_all_right(const std::vector<slot_server_report>& reports, double slots, double missing = 0) {
  for (const auto& each : reports) {
    CAPTURE(each.limit, each.busy, each.queue);
    CHECK(each.limit >= slots - missing);
    CHECK(each.limit <= slots + 0.3);
    CHECK(each.busy >= 0.98);
    CHECK(each.queue <= 0.3);
  }
}

/// A limit, and requests on a clock of their own.
struct traffic {
  gradient_limit limit;
  std::uint64_t next = 0;
  gradient_limit::time_point now = gradient_limit::time_point{} + 1h;

  std::uint64_t send(felix::token_count prompt = 100) {
    limit.sent(++next, prompt, now);
    return next;
  }
  void first(std::uint64_t request, std::optional<std::chrono::nanoseconds> queued = std::nullopt) {
    limit.first_token(request, queued, now);
  }
  void answer(std::uint64_t request, std::optional<std::chrono::nanoseconds> queued = std::nullopt,
              felix::token_count tokens = 100) {
    limit.ended(request, limit_outcome::answered, {.prompt_tokens = 100, .completion_tokens = tokens}, queued, now);
  }
  void end(std::uint64_t request, limit_outcome outcome) { limit.ended(request, outcome, {}, std::nullopt, now); }
  /// Requests of 4 s, one after the other, that each waited for `queued` as if they were the last of as many as may be.
  void wait(int requests, std::chrono::nanoseconds queued) {
    for (; requests > 0; --requests) {
      std::vector<std::uint64_t> open;
      while (open.size() < limit.limit()) open.push_back(send());
      now += queued;
      first(open.back(), queued);
      now += 4s;
      answer(open.back());
      open.pop_back();
      for (const std::uint64_t each : open) end(each, limit_outcome::nothing);
    }
  }
};
/// Streams with queue times, which were seen to be 0 at the least and 4 s of service, at a proven level.
traffic holding(std::size_t level, std::size_t max = 64) {
  traffic made{gradient_limit{{.initial = level, .max = max}}};
  made.wait(1, 0s);
  return made;
}

}  // namespace

TEST_CASE("gradient_limit: finds the slots of a server, keeps them busy and its queue empty", "[llm][gradient_limit]") {
  for (const bool shows_queue : {true, false}) {
    for (const std::size_t slots : {1U, 2U, 4U, 8U, 16U}) {
      CAPTURE(shows_queue, slots);
      check_all_right(runs({.slots = slots, .slowed_by = 0.1, .shows_queue = shows_queue}), static_cast<double>(slots));
    }
  }
}

TEST_CASE("gradient_limit: the same under ten times the noise", "[llm][gradient_limit]") {
  for (const bool shows_queue : {true, false}) {
    for (const std::size_t slots : {4U, 16U}) {
      CAPTURE(shows_queue, slots);
      check_all_right(runs({.slots = slots, .jitter = 0.050, .spikes = 0.05, .shows_queue = shows_queue}),
                      static_cast<double>(slots), 0.03);  // a false alarm takes a slot for 16 answers
    }
  }
}

TEST_CASE("gradient_limit: the same with a server far away, and prompts that are slowed down",
          "[llm][gradient_limit]") {
  for (const bool shows_queue : {true, false}) {
    CAPTURE(shows_queue);
    check_all_right(runs({.slots = 4, .latency = 0.150, .shows_queue = shows_queue}), 4);
    check_all_right(runs({.slots = 4, .slowed_by = 0.1, .prompts_slowed = true, .shows_queue = shows_queue}), 4);
  }
}

TEST_CASE("gradient_limit: short answers, whose waits are hardly more than noise", "[llm][gradient_limit]") {
  for (const bool shows_queue : {true, false}) {
    for (const std::size_t slots : {1U, 4U, 16U}) {
      CAPTURE(shows_queue, slots);
      for (const auto& each : runs({.slots = slots, .answer_tokens = 20, .shows_queue = shows_queue})) {
        CHECK(each.limit >= static_cast<double>(slots) - 0.3);
        CHECK(each.limit <= static_cast<double>(slots) + 2);
        CHECK(each.busy >= 0.97);
      }
    }
  }
}

TEST_CASE("gradient_limit: follows a server that has fewer or more slots from now on", "[llm][gradient_limit]") {
  for (const bool shows_queue : {true, false}) {
    CAPTURE(shows_queue);
    CHECK(answers_to_settle(shows_queue, 16, 4) <= 80);
    CHECK(answers_to_settle(shows_queue, 8, 2) <= 80);
    CHECK(answers_to_settle(shows_queue, 4, 1) <= 80);
    CHECK(answers_to_settle(shows_queue, 4, 16) <= 130);
    CHECK(answers_to_settle(shows_queue, 2, 8) <= 130);
    CHECK(answers_to_settle(shows_queue, 1, 4) <= 130);
  }
}

TEST_CASE("gradient_limit: a server that declares its slots wrongly is found out", "[llm][gradient_limit]") {
  for (const bool shows_queue : {true, false}) {
    for (const auto& [declared, slots] : {std::pair<std::size_t, std::size_t>{8, 4}, {16, 4}, {4, 8}, {4, 2}, {4, 4}}) {
      CAPTURE(shows_queue, declared, slots);
      check_all_right(runs({.slots = slots, .shows_queue = shows_queue}, {.initial = declared}),
                      static_cast<double>(slots));
    }
  }
}

TEST_CASE("gradient_limit: leaves the slots that another client uses, and takes its share of a full server",
          "[llm][gradient_limit]") {
  for (const bool shows_queue : {true, false}) {
    CAPTURE(shows_queue);
    CHECK(mean_limit(runs({.slots = 8, .shows_queue = shows_queue, .others = 4})) == Approx(4.1).margin(0.2));
    const double share = mean_limit(runs({.slots = 8, .shows_queue = shows_queue, .others = 8}));
    CHECK(share > 2);  // measured: 4.2, 3.5
    CHECK(share < 8);
  }
}

TEST_CASE("gradient_limit: a server that batches all gets as many as the slowdown allows", "[llm][gradient_limit]") {
  const auto mean = [](double slowed_by, double slowdown) {
    return mean_limit(
        runs({.slots = 256, .slowed_by = slowed_by, .shows_queue = false}, {.slowdown = slowdown}, 1'000));
  };
  CHECK(mean(0.02, 3) == Approx(64).margin(0.2));  // the bound
  CHECK(mean(0.05, 3) == Approx(41).margin(5));    // 1 + 2 / 0.05, but for a dip every 200 answers
  CHECK(mean(0.20, 3) == Approx(11).margin(1));    // 1 + 2 / 0.2
  CHECK(mean(0.20, 2) == Approx(6).margin(1));     // 1 + 1 / 0.2
}

TEST_CASE("gradient_limit: no growth without demand", "[llm][gradient_limit]") {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    for (const bool shows_queue : {true, false}) {
      gradient_limit limit;
      slot_server server{{.slots = 16, .shows_queue = shows_queue}, seed};
      server.demand = [](std::size_t) { return 2U; };
      CHECK(server.run(limit, 500).most_limit <= 4);  // twice as many, once
    }
  }
}

TEST_CASE("gradient_limit: demand that comes and goes changes nothing", "[llm][gradient_limit]") {
  for (const bool shows_queue : {true, false}) {
    std::vector<slot_server_report> reports;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      gradient_limit limit;
      slot_server server{{.slots = 4, .shows_queue = shows_queue}, seed};
      server.demand = [](std::size_t answers) { return answers / 25 % 2 == 0 ? 12U : 1U; };
      reports.push_back(server.run(limit, 500));
      CHECK(reports.back().queue <= 0.3);
    }
    CHECK(mean_limit(reports) == Approx(4.1).margin(0.2));
  }
}

TEST_CASE("gradient_limit: never more in flight than its bounds, never a limit outside of them",
          "[llm][gradient_limit]") {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    gradient_limit limit{{.min = 2, .max = 6}};
    const auto report = slot_server{{.slots = 1 + seed % 10, .jitter = 0.050}, seed}.run(limit, 300);
    CHECK(report.least_limit >= 2);
    CHECK(report.most_limit <= 6);
    CHECK(report.most_in_flight <= report.most_limit);
  }
}

TEST_CASE("gradient_limit: any events leave it within its bounds, and a copy decides as it does",
          "[llm][gradient_limit]") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    felix::seeded_random random{seed};
    const auto number = [&](std::size_t from, std::size_t to) {
      return from + static_cast<std::size_t>(random.next() % (to - from + 1));
    };
    const std::size_t min = number(1, 5);
    const std::size_t max = number(min, 12);
    traffic any{gradient_limit{{.initial = number(0, 1) * number(min, max), .min = min, .max = max}}};
    gradient_limit copy = any.limit;
    std::vector<std::pair<std::uint64_t, bool>> open;  // and whether its first token has come
    for (int i = 0; i < 2'000; ++i) {
      any.now += std::chrono::milliseconds{number(0, 200)};
      std::optional<std::chrono::nanoseconds> queued;
      if (number(0, 3) > 0) queued = std::chrono::milliseconds{number(0, 1) * number(0, 5'000)};
      const std::size_t at = open.empty() ? 0 : number(0, open.size() - 1);
      if (open.size() < any.limit.limit()) {
        const auto tokens = static_cast<felix::token_count>(number(0, 2'000));
        copy.sent(any.next + 1, tokens, any.now);
        open.emplace_back(any.send(tokens), false);
      } else if (!open[at].second && number(0, 3) > 0) {
        open[at].second = true;
        copy.first_token(open[at].first, queued, any.now);
        any.first(open[at].first, queued);
      } else {
        const auto outcome = static_cast<limit_outcome>(number(0, 9) < 8 ? 0 : number(1, 2));
        const felix::token_usage usage{.prompt_tokens = static_cast<felix::token_count>(number(0, 2'000)),
                                       .completion_tokens = static_cast<felix::token_count>(number(0, 200))};
        copy.ended(open[at].first, outcome, usage, queued, any.now);
        any.limit.ended(open[at].first, outcome, usage, queued, any.now);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
      }
      REQUIRE(any.limit.limit() >= min);
      REQUIRE(any.limit.limit() <= max);
      REQUIRE(copy.limit() == any.limit.limit());
    }
  }
}

TEST_CASE("gradient_limit: rises with the first answer that did not wait", "[llm][gradient_limit]") {
  traffic queue_shown{gradient_limit{}};
  CHECK(queue_shown.limit.limit() == 1);
  queue_shown.first(queue_shown.send(), 0s);
  CHECK(queue_shown.limit.limit() == 2);
  queue_shown.first(queue_shown.send(), 1s);
  CHECK(queue_shown.limit.limit() == 1);
}

TEST_CASE("gradient_limit: of queue times, the least is no wait", "[llm][gradient_limit]") {
  traffic far_away{gradient_limit{}};
  for (std::size_t level = 1; level <= 5; ++level) {
    CHECK(far_away.limit.limit() == level);
    far_away.first(far_away.send(), 300ms);
  }
}

TEST_CASE("gradient_limit: three that waited lower it, by as many as wait", "[llm][gradient_limit]") {
  traffic queued = holding(8);
  queued.wait(2, 1s);
  CHECK(queued.limit.limit() == 8);
  queued.wait(1, 1s);
  CHECK(queued.limit.limit() == 6);
}

TEST_CASE("gradient_limit: one that waited does not", "[llm][gradient_limit]") {
  traffic spike = holding(8, 8);
  for (int i = 0; i < 50; ++i) {
    spike.wait(1, 20s);
    spike.wait(3, 0s);
    REQUIRE(spike.limit.limit() == 8);
  }
}

TEST_CASE("gradient_limit: one that is overdue counts at the next event, before it is answered",
          "[llm][gradient_limit]") {
  traffic late = holding(8);
  late.wait(2, 1s);
  std::vector<std::uint64_t> open;
  while (open.size() < 8) open.push_back(late.send());
  late.now += 20s;
  CHECK(late.limit.limit() == 8);  // no timers
  SECTION("another ends") { late.end(open.front(), limit_outcome::nothing); }
  SECTION("another is answered") { late.first(open.front(), 0s); }
  SECTION("another is sent") { late.send(); }
  CHECK(late.limit.limit() < 8);
}

TEST_CASE("gradient_limit: one that is overdue counts once", "[llm][gradient_limit]") {
  traffic late = holding(8);
  late.wait(1, 1s);
  std::vector<std::uint64_t> open;
  while (open.size() < 8) open.push_back(late.send());
  for (int i = 0; i < 7; ++i) {
    late.now += 20s;
    late.end(open[static_cast<std::size_t>(i)], limit_outcome::nothing);
  }
  late.first(open.back(), 140s);
  late.answer(open.back());
  CHECK(late.limit.limit() == 8);
}

TEST_CASE("gradient_limit: an answer that is not streamed counts by its queue time", "[llm][gradient_limit]") {
  traffic whole{gradient_limit{}};
  const auto fill = [&](std::chrono::nanoseconds queued) {
    std::vector<std::uint64_t> open;
    while (open.size() < whole.limit.limit()) open.push_back(whole.send());
    whole.now += 3s + queued;
    whole.answer(open.back(), queued);
    open.pop_back();
    for (const auto each : open) whole.end(each, limit_outcome::nothing);
  };
  for (std::size_t level = 1; level <= 5; ++level) {
    CHECK(whole.limit.limit() == level);
    fill(0s);
  }
  fill(2s);
  CHECK(whole.limit.limit() == 5);
}

TEST_CASE("gradient_limit: an answer that is not streamed tells nothing without its queue time",
          "[llm][gradient_limit]") {
  traffic blind{gradient_limit{{.initial = 4}}};
  for (int i = 0; i < 200; ++i) {
    std::vector<std::uint64_t> open;
    while (open.size() < 4) open.push_back(blind.send());
    blind.now += 10s;
    for (const auto each : open) blind.answer(each);
  }
  CHECK(blind.limit.limit() == 4);
}

TEST_CASE("gradient_limit: one that may not be streamed is not overdue", "[llm][gradient_limit]") {
  traffic mixed = holding(8);
  mixed.answer(mixed.send());  // not streamed
  for (int i = 0; i < 20; ++i) {
    std::vector<std::uint64_t> open;
    while (open.size() < 8) open.push_back(mixed.send());
    mixed.now += 20s;
    for (const auto each : open) mixed.end(each, limit_outcome::nothing);
  }
  CHECK(mixed.limit.limit() == 8);
}

TEST_CASE("gradient_limit: time to the first token that the prompt explains is no wait", "[llm][gradient_limit]") {
  traffic streams{gradient_limit{}};
  const auto take = [&](felix::token_count prompt, std::chrono::nanoseconds until_first) {
    const auto request = streams.send(prompt);
    streams.now += until_first;
    streams.first(request);
    streams.now += 2s;
    streams.limit.ended(request, limit_outcome::answered, {.prompt_tokens = prompt, .completion_tokens = 100},
                        std::nullopt, streams.now);
  };
  take(140, 2s);  // 10 ms a token, and 60 tokens for the fixed part
  CHECK(streams.limit.limit() == 1);
  take(540, 6s);
  CHECK(streams.limit.limit() == 2);
}

TEST_CASE("gradient_limit: where a prompt takes long, its estimate may be wrong by more", "[llm][gradient_limit]") {
  traffic streams{gradient_limit{}};
  const auto take = [&](std::chrono::nanoseconds until_first, bool answered) {
    const auto request = streams.send();
    streams.now += until_first;
    streams.first(request);
    streams.now += 2s;
    if (answered)
      streams.answer(request);
    else
      streams.end(request, limit_outcome::nothing);
  };
  take(2s, true);
  for (int i = 0; i < 10; ++i) take(2s, false);
  for (int i = 0; i < 60; ++i) take(2'040ms, false);  // 2 % late
  take(2s, true);
  REQUIRE(streams.limit.limit() == 2);
  streams.send();
  const auto last = streams.send();
  streams.now += 2'200ms;
  streams.first(last);
  CHECK(streams.limit.limit() == 2);  // within eight times 40 ms
}

TEST_CASE("gradient_limit: once the queue time shows, an answer without it tells nothing", "[llm][gradient_limit]") {
  traffic streams{gradient_limit{}};
  streams.first(streams.send(), 0s);
  REQUIRE(streams.limit.limit() == 2);
  streams.first(streams.send());
  CHECK(streams.limit.limit() == 2);
}

TEST_CASE("gradient_limit: by estimates, doubles when two answers have shown the time of a token",
          "[llm][gradient_limit]") {
  for (const felix::token_count tokens : {1, 3, 100}) {  // shorter answers take more of them
    CAPTURE(tokens);
    traffic streams{gradient_limit{}};
    int answers = 0;
    while (streams.limit.limit() < 2 && answers < 100) {
      const auto request = streams.send();
      streams.now += 300ms;
      streams.first(request);
      streams.now += tokens > 1 ? 20ms * (tokens - 1) : 0ms;
      streams.answer(request, std::nullopt, tokens);
      ++answers;
    }
    CHECK(answers == (tokens == 3 ? 8 : 2));
  }
}

TEST_CASE("gradient_limit: a burst that the server refuses lowers it once", "[llm][gradient_limit]") {
  traffic burst = holding(10);
  std::vector<std::uint64_t> open;
  while (open.size() < 10) open.push_back(burst.send());
  for (int i = 0; i < 9; ++i) burst.end(open[static_cast<std::size_t>(i)], limit_outcome::overloaded);
  CHECK(burst.limit.limit() == 7);
  burst.end(burst.send(), limit_outcome::overloaded);
  CHECK(burst.limit.limit() == 4);
  burst.end(open.back(), limit_outcome::overloaded);
  CHECK(burst.limit.limit() == 4);
}

TEST_CASE("gradient_limit: failures and cancelled requests tell nothing", "[llm][gradient_limit]") {
  traffic failing{gradient_limit{}};
  for (int i = 0; i < 100; ++i) {
    const auto request = failing.send();
    failing.now += 1s;
    failing.end(request, limit_outcome::nothing);
  }
  CHECK(failing.limit.limit() == 1);
}

TEST_CASE("gradient_limit: a request that it does not know is none", "[llm][gradient_limit]") {
  gradient_limit limit;
  limit.first_token(7, 0s, {});
  limit.ended(7, limit_outcome::overloaded, {}, std::nullopt, {});
  CHECK(limit.limit() == 1);
}

TEST_CASE("gradient_limit: options that are none are refused, by name", "[llm][gradient_limit]") {
  const auto refused = [](const gradient_limit_options& options, const std::string& why) {
    CHECK_THROWS_WITH(gradient_limit{options}, ContainsSubstring("gradient_limit: ") && ContainsSubstring(why));
  };
  refused({.min = 0}, "min is 0");
  refused({.min = 5, .max = 4}, "max is 4; use min (5) to 1024");
  refused({.max = 1'025}, "max is 1025");
  refused({.initial = 65}, "initial is 65; use 0 for unknown, or min (1) to max (64)");
  refused({.initial = 1, .min = 2}, "initial is 1");
  refused({.slowdown = 1}, "slowdown is 1");
  refused({.slowdown = 1'001}, "slowdown");
  refused({.slowdown = std::numeric_limits<double>::quiet_NaN()}, "slowdown");
  try {
    gradient_limit{{.min = 0}};
    FAIL();
  } catch (const felix::error& refusal) {
    CHECK(refusal.code() == felix::errc::invalid_option);
  }
  CHECK(gradient_limit{{.initial = 7, .min = 7, .max = 7}}.limit() == 7);
  CHECK(gradient_limit{{.min = 3}}.limit() == 3);
}
