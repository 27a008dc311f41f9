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
  CHECK(
      fmt::format("{}", usage) ==
      "3 requests, 1 failed, 0 left, 4 retried, 0 refused, 2 in flight, 0 tokens (0 prompt, 0 answer); 1 of 4 slots in "
      "use, 0 waiting; "
      "3 connections (2 idle, 7 opened); mean wait 0.00 s, mean answer 3.00 s\n"
      "  answers:     p50 3000.0 ms, p90 3000.0, p99 3000.0, max 3000.0");
  CHECK_THAT(fmt::format("{}", usage),
             ContainsSubstring("\n  answers:     p50 3000.0 ms") && !ContainsSubstring("waits:"));
}

TEST_CASE("client_usage: what each layer has done prints too", "[llm][client_usage]") {
  felix::retry_usage retries;
  retries.requests = 5;
  retries.retries = 2;
  retries.given_up = 1;
  retries.waited = 1500ms;
  retries.budget = 9.5;
  CHECK(fmt::format("{}", retries) == "5 requests, 2 retried, 1 given up; waited 1.50 s, budget 9.5");
  felix::limit_usage limit;
  limit.admitted = 7;
  limit.slots = {.limit = 4, .in_use = 3, .waiting = {4, 3, 2, 1}};
  CHECK_THAT(fmt::format("{}", limit),
             ContainsSubstring("7 admitted, 0 refused; 3 of 4 slots in use, waiting 1 urgent, "
                               "2 high, 3 normal, 4 low; waits: p50 0.0 ms"));
  felix::server_usage server;
  server.requests = 3;
  server.connections = {.in_use = 1, .idle = 2, .opened = 4};
  CHECK_THAT(fmt::format("{}", server), ContainsSubstring("3 requests, 0 failed, 0 left, 0 in flight, 0 tokens; 1 "
                                                          "connections in use, 2 idle, 4 opened; answers: p50 0.0 ms"));
  felix::client_usage whole;
  whole.tokens.estimated = true;
  CHECK_THAT(fmt::format("{}", whole), ContainsSubstring("in part estimated"));
}
