// SPDX-License-Identifier: MIT
#include <felix/llm/client_usage.hpp>

#include "support/catch.hpp"

#include <chrono>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("client_usage: prints a line, and one for each histogram that has something", "[llm][client_usage]") {
  felix::client_usage usage;
  usage.requests = 3;
  usage.failed = 1;
  usage.in_flight = 2;
  usage.retries.retries = 4;
  usage.slots = {.limit = 4, .in_use = 1};
  usage.answers.record(3s);
  usage.server.connections = {.in_use = 1, .idle = 2, .opened = 7};
  CHECK(fmt::format("{}", usage) ==
        "3 requests, 1 failed, 4 retried, 2 in flight, 0 tokens (0 prompt, 0 answer); 1 of 4 slots in use, 0 waiting; "
        "3 connections (2 idle, 7 opened); mean wait 0.00 s, mean answer 3.00 s\n"
        "  answers:     p50 3000.0 ms, p90 3000.0, p99 3000.0, max 3000.0");
  CHECK_THAT(fmt::format("{}", usage),
             ContainsSubstring("\n  answers:     p50 3000.0 ms") && !ContainsSubstring("waits:"));
}
