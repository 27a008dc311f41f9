// SPDX-License-Identifier: MIT
#include <felix/llm/format.hpp>

#include "support/catch.hpp"

#include <chrono>

using namespace std::chrono_literals;

TEST_CASE("format: what has a name prints as it", "[llm][format]") {
  CHECK(fmt::format("{}", felix::error_kind::rate_limited) == "rate_limited");
  CHECK(fmt::format("{}", felix::request_priority::urgent) == "urgent");
  CHECK(fmt::format("{}", felix::finish_reason::tool_calls) == "tool_calls");
  CHECK(fmt::format("{}", felix::chat_role::assistant) == "assistant");
}

TEST_CASE("format: tokens, and what of them was special", "[llm][format]") {
  felix::token_usage usage{.prompt_tokens = 8, .completion_tokens = 4, .total_tokens = 12};
  CHECK(fmt::format("{}", usage) == "12 tokens (8 prompt, 4 answer)");
  usage.cached_prompt_tokens = 3;
  usage.reasoning_tokens = 2;
  usage.estimated = true;
  CHECK(fmt::format("{}", usage) ==
        "12 tokens (8 prompt, of which 3 cached, 4 answer, of which 2 reasoning, in part estimated)");
}

TEST_CASE("format: how a limit stands", "[llm][format]") {
  CHECK(fmt::format("{}", felix::limit_status{.limit = 4, .in_use = 3, .waiting = {1, 0, 2, 0}}) ==
        "3 of 4 slots in use, 3 waiting");
  const auto now = std::chrono::steady_clock::time_point{1h};
  felix::rate_limiter limiter{{.requests_per_minute = 120}};
  REQUIRE(limiter.try_take(10, now));
  CHECK(fmt::format("{}", limiter.status(now)) == "1.0 of 2.0 requests left, 120.0 a minute; tokens not limited");
  felix::rate_limit_status status = limiter.status(now);
  status.tokens = {.per_minute = 1000, .capacity = 500, .level = -20.5, .learned = true};
  status.blocked_until = now;
  CHECK(fmt::format("{}", status) ==
        "1.0 of 2.0 requests left, 120.0 a minute; -20.5 of 500.0 tokens left, 1000.0 a minute as the server says; "
        "the server asked to wait");
}

TEST_CASE("format: a histogram prints its percentiles", "[llm][format]") {
  felix::histogram lengths;
  lengths.record(3s);
  CHECK(fmt::format("{}", lengths) == "p50 3000.0 ms, p90 3000.0, p99 3000.0, max 3000.0");
}
