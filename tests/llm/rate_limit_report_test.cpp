// SPDX-License-Identifier: MIT
// llm: what servers say about limits per minute, and the nonsense that they could say.
#include <felix/llm/rate_limit_report.hpp>

#include <felix/random.hpp>

#include "support/catch.hpp"
#include "support/sent_headers.hpp"

#include <chrono>
#include <iterator>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using felix::test::sent_headers;
using bucket = felix::rate_limit_report::bucket;

namespace {

constexpr std::chrono::sys_seconds now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 25} + 12h;

std::optional<felix::rate_limit_report> read(const sent_headers& sent) { return felix::read_rate_limits(sent, now); }

}  // namespace

TEST_CASE("rate_limit_report: nothing said is nothing", "[llm][rate_limit_report]") {
  CHECK_FALSE(felix::read_rate_limits(felix::no_headers{}, now));
  CHECK_FALSE(read({{"retry-after", "3"}, {"content-type", "application/json"}}));
  CHECK(felix::rate_limit_report{}.empty());
  CHECK_FALSE(felix::rate_limit_report{.tokens = {.reset = 0s}}.empty());
  CHECK_FALSE(felix::rate_limit_report{.requests = {.remaining = 0}}.empty());
}

TEST_CASE("rate_limit_report: OpenAI", "[llm][rate_limit_report]") {
  const auto report = read({{"x-ratelimit-limit-requests", "5000"},
                            {"x-ratelimit-remaining-requests", "4999"},
                            {"x-ratelimit-reset-requests", "12ms"},
                            {"x-ratelimit-limit-tokens", "160000"},
                            {"x-ratelimit-remaining-tokens", "159976"},
                            {"x-ratelimit-reset-tokens", "9ms"}});
  REQUIRE(report);
  CHECK(report->requests == bucket{5000, 4999, 12ms});
  CHECK(report->tokens == bucket{160'000, 159'976, 9ms});
}

TEST_CASE("rate_limit_report: a 429 of a test server (aimock)", "[llm][rate_limit_report]") {
  const auto report = read({{"x-ratelimit-limit-requests", "60"},
                            {"x-ratelimit-limit-tokens", "150000"},
                            {"x-ratelimit-remaining-requests", "0"},
                            {"x-ratelimit-remaining-tokens", "0"},
                            {"x-ratelimit-reset-requests", "1s"},
                            {"x-ratelimit-reset-tokens", "6m0s"}});
  REQUIRE(report);
  CHECK(report->requests == bucket{60, 0, 1s});
  CHECK(report->tokens == bucket{150'000, 0, 6min});
}

TEST_CASE("rate_limit_report: each part may be missing", "[llm][rate_limit_report]") {
  CHECK(read({{"x-ratelimit-limit-requests", "60"}})->requests == bucket{60, {}, {}});
  CHECK(read({{"x-ratelimit-limit-requests", "60"}})->tokens.empty());
  CHECK(read({{"x-ratelimit-remaining-tokens", "0"}})->tokens == bucket{{}, 0, {}});
  CHECK(read({{"x-ratelimit-reset-tokens", "2h"}})->tokens == bucket{{}, {}, 1h});
}

TEST_CASE("rate_limit_report: of two kinds of tokens, the lower limit and the less that is left",
          "[llm][rate_limit_report]") {
  const auto both = [](bucket a, bucket b) {
    const auto text = [](double number) { return std::to_string(number); };
    sent_headers sent{{"x-ratelimit-limit-tokens", text(a.limit.value())},
                      {"x-ratelimit-remaining-tokens", text(a.remaining.value())},
                      {"x-ratelimit-reset-tokens", "5s"},
                      {"x-ratelimit-limit-tokens_usage_based", text(b.limit.value())},
                      {"x-ratelimit-remaining-tokens_usage_based", text(b.remaining.value())},
                      {"x-ratelimit-reset-tokens_usage_based", "7s"}};
    return read(sent)->tokens;
  };
  CHECK(both({400, 300, {}}, {500, 350, {}}) == bucket{400, 300, 5s});
  CHECK(both({500, 350, {}}, {400, 300, {}}) == bucket{400, 300, 7s});
  CHECK(both({400, 300, {}}, {500, 100, {}}) == bucket{400, 100, {}});  // 5 s is not of these 100
  CHECK(both({500, 100, {}}, {400, 300, {}}) == bucket{400, 100, {}});
  CHECK(both({400, 300, {}}, {400, 300, {}}) == bucket{400, 300, 5s});
  CHECK(read({{"x-ratelimit-limit-tokens_usage_based", "9"}, {"x-ratelimit-reset-tokens_usage_based", "7s"}})->tokens ==
        bucket{9, {}, 7s});
  CHECK(read({{"x-ratelimit-limit-tokens", "9"}, {"x-ratelimit-remaining-tokens_usage_based", "4"}})->tokens ==
        bucket{9, 4, {}});
  CHECK(read({{"x-ratelimit-remaining-tokens", "4"}, {"x-ratelimit-limit-tokens_usage_based", "9"}})->tokens ==
        bucket{9, 4, {}});
}

TEST_CASE("rate_limit_report: a limit of 0 or less is none (Azure)", "[llm][rate_limit_report]") {
  for (const char* none : {"0", "-1", "0.0", "-0"}) {
    CAPTURE(none);
    CHECK_FALSE(read({{"x-ratelimit-limit-requests", none},
                      {"x-ratelimit-remaining-requests", "0"},
                      {"x-ratelimit-reset-requests", "1s"}}));
    CHECK_FALSE(read({{"anthropic-ratelimit-tokens-limit", none}, {"anthropic-ratelimit-tokens-remaining", "0"}}));
  }
  CHECK(read({{"x-ratelimit-limit-requests", "60"}, {"x-ratelimit-remaining-requests", "-1"}})->requests ==
        bucket{60, {}, {}});
  CHECK(read({{"x-ratelimit-limit-tokens", "-1"},
              {"x-ratelimit-remaining-tokens", "-1"},
              {"x-ratelimit-limit-tokens_usage_based", "60"}})
            ->tokens == bucket{60, {}, {}});
}

TEST_CASE("rate_limit_report: Anthropic, whose reset is a time by its own clock", "[llm][rate_limit_report]") {
  sent_headers sent{{"anthropic-ratelimit-requests-limit", "50"},
                    {"anthropic-ratelimit-requests-remaining", "49"},
                    {"anthropic-ratelimit-requests-reset", "2026-11-25T12:00:02Z"},
                    {"anthropic-ratelimit-tokens-limit", "48000"},
                    {"anthropic-ratelimit-tokens-remaining", "47000"},
                    {"anthropic-ratelimit-tokens-reset", "2026-11-25T13:00:01.5+01:00"}};
  const auto report = read(sent);
  REQUIRE(report);
  CHECK(report->requests == bucket{50, 49, 2s});
  CHECK(report->tokens == bucket{48'000, 47'000, 1500ms});
  CHECK(felix::read_rate_limits(sent, now + 999ms) == report);  // a part of a second of our clock shortens nothing
  sent.lines["date"] = "Wed, 25 Nov 2026 11:59:00 GMT";
  CHECK(read(sent)->requests.reset == 62s);
  sent.lines["date"] = "Wed, 25 Nov 2026 12:00:05 GMT";
  CHECK(read(sent)->requests.reset == 0s);
  sent.lines["date"] = "Wed, 25 Nov 2026 09:00:00 GMT";
  CHECK(read(sent)->requests.reset == 1h);
  sent.lines["date"] = "soon";
  CHECK(read(sent) == report);
  for (const char* year : {"0000", "9999"}) {
    sent.lines["anthropic-ratelimit-requests-reset"] = std::string{year} + "-01-01T00:00:00Z";
    CHECK(read(sent)->requests.reset == (year[0] == '0' ? 0s : 3600s));
  }
}

TEST_CASE("rate_limit_report: limits of prompts and of answers are one, their sum", "[llm][rate_limit_report]") {
  sent_headers sent{{"anthropic-ratelimit-input-tokens-limit", "40000"},
                    {"anthropic-ratelimit-input-tokens-remaining", "39000"},
                    {"anthropic-ratelimit-input-tokens-reset", "2026-11-25T12:00:02Z"},
                    {"anthropic-ratelimit-output-tokens-limit", "8000"},
                    {"anthropic-ratelimit-output-tokens-remaining", "7500"},
                    {"anthropic-ratelimit-output-tokens-reset", "2026-11-25T12:00:04Z"}};
  CHECK(read(sent)->tokens == bucket{48'000, 46'500, {}});
  sent.lines["anthropic-ratelimit-output-tokens-remaining"] = "many";
  CHECK(read(sent)->tokens == bucket{48'000, {}, {}});
  sent.lines["anthropic-ratelimit-tokens-limit"] = "30000";
  CHECK(read(sent)->tokens == bucket{30'000, {}, {}});
  CHECK_FALSE(read({{"anthropic-ratelimit-input-tokens-limit", "40000"}}));
}

TEST_CASE("rate_limit_report: OpenAI's names go first, bucket by bucket", "[llm][rate_limit_report]") {
  const auto report = read({{"x-ratelimit-limit-requests", "60"},
                            {"anthropic-ratelimit-requests-limit", "50"},
                            {"anthropic-ratelimit-tokens-limit", "70"}});
  CHECK(report->requests.limit == 60.0);
  CHECK(report->tokens.limit == 70.0);
}

TEST_CASE("rate_limit_report: garbage is absent", "[llm][rate_limit_report]") {
  for (const char* odd :
       {"soon", "1e3", "nan", "inf", "60;w=60", "60, 1000;window=60", "0x10", "--1", "-5s", "", " "}) {
    CAPTURE(odd);
    CHECK_FALSE(read({{"x-ratelimit-limit-requests", odd},
                      {"x-ratelimit-remaining-requests", odd},
                      {"x-ratelimit-reset-requests", odd},
                      {"anthropic-ratelimit-tokens-limit", odd},
                      {"anthropic-ratelimit-tokens-remaining", odd},
                      {"anthropic-ratelimit-tokens-reset", odd}}));
  }
  CHECK_FALSE(read({{"x-ratelimit-limit-tokens", std::string(400, '9')}}));
}

TEST_CASE("rate_limit_report: whatever a server sends, each number is in its range", "[llm][rate_limit_report]") {
  const std::string pieces[] = {"0", "1",    "9", "60",           "-",           ".",       "e", "s", "ms",
                                "m", "6m0s", "h", "999999999999", "2026-11-25T", "12:00:0", "Z", "+", "nan",
                                " "};
  felix::seeded_random random{20'261'125};
  const auto text = [&] {
    std::string made;
    for (auto parts = random.next() % 4; parts > 0; --parts)
      if (random.next() % 16 == 0)
        made += static_cast<char>(random.next() % 256);
      else
        made += pieces[random.next() % std::size(pieces)];
    return made;
  };
  int given = 0;
  for (int round = 0; round < 30'000; ++round) {
    sent_headers sent{{"date", text()}};
    for (const char* name : {"requests", "tokens"})
      for (const char* what : {"limit", "remaining", "reset"}) {
        sent.lines["x-ratelimit-" + std::string{what} + "-" + name] = text();
        sent.lines["anthropic-ratelimit-" + std::string{name} + "-" + what] = text();
      }
    const auto report = read(sent);
    if (!report) continue;
    ++given;
    for (const bucket& one : {report->requests, report->tokens}) {
      const bool right = (!one.limit || (*one.limit > 0 && *one.limit < 1e300)) &&
                         (!one.remaining || (*one.remaining >= 0 && *one.remaining < 1e300)) &&
                         (!one.reset || (*one.reset >= 0s && *one.reset <= 1h));
      if (!right) FAIL(round);
    }
  }
  CHECK(given > 10'000);
}
