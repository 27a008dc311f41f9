// SPDX-License-Identifier: MIT
// observe: what people read of a budget and of a run.
#include <felix/observe/usage.hpp>

#include <felix/budget/token_budget.hpp>
#include "support/catch.hpp"

#include <fmt/format.h>

#include <chrono>
#include <string>

using namespace std::chrono_literals;

TEST_CASE("usage: a budget is its sums, then a line a role", "[observe][usage]") {
  felix::strict_budget budget;
  CHECK(fmt::format("{}", budget.system_status()) == "0 of 2000 tokens used, 0 reserved, 2000 left");

  auto first = budget.reserve({.agent = "research_001", .role = "research", .prompt_tokens_at_most = 200});
  first.settle({.prompt_tokens = 80, .completion_tokens = 120, .total_tokens = 200});
  auto second = budget.reserve({.agent = "research_002", .role = "research", .prompt_tokens_at_most = 200});
  second.settle({.prompt_tokens = 80, .completion_tokens = 20, .total_tokens = 100});
  auto open = budget.reserve({.agent = "synthesis_001", .role = "synthesis", .prompt_tokens_at_most = 200});
  CHECK(fmt::format("{}", budget.system_status()) ==
        "300 of 2000 tokens used, 300 reserved, 1400 left"
        "\n  research      300 tokens in  2 requests, answers   140 of   800 allotted"
        "\n  synthesis       0 tokens in  0 requests, answers     0 of   300 allotted");
  open.release();
}

TEST_CASE("usage: an overrun is told with its causes", "[observe][usage]") {
  felix::budget_status status;
  status.cap = 1'000;
  status.settled = 1'100;
  status.answer_overrun = 70;
  status.prompt_overrun = 30;
  CHECK(fmt::format("{}", status) ==
        "1100 of 1000 tokens used, 0 reserved, 0 left; the server charged 100 more than was reserved (answers 70, "
        "prompts 30)");
}

TEST_CASE("usage: numbers and names wider than their columns are not cut", "[observe][usage]") {
  felix::budget_status status;
  status.cap = 10'000'000;
  status.roles["a_role_with_a_long_name"] = {
      .base_tokens = 1'234'567, .answer_tokens = 765'432, .settled = 9'999'999, .stages = 1'000};
  CHECK(fmt::format("{}", status) ==
        "0 of 10000000 tokens used, 0 reserved, 10000000 left"
        "\n  a_role_with_a_long_name 9999999 tokens in 1000 requests, answers 765432 of 1234567 allotted");
}

TEST_CASE("usage: a session's result is one line", "[observe][usage]") {
  felix::session_result result;
  CHECK(fmt::format("{}", result) ==
        "not complete: 0 requests (0 failed, 0 stages dropped), 0 tokens, 0.0 s, of which the team 0.0 s");
  result.complete = true;
  result.requests = 12;
  result.failed = 1;
  result.dropped = 2;
  result.usage.total_tokens = 3'456;
  result.duration = 12'340ms;
  result.team_duration = 9'960ms;
  CHECK(fmt::format("{}", result) ==
        "complete: 12 requests (1 failed, 2 stages dropped), 3456 tokens, 12.3 s, of which the team 10.0 s");
}

TEST_CASE("usage: requests in nobody's name have no allotment, and are shown beside what they were granted",
          "[observe][usage]") {
  felix::strict_budget budget;
  auto slice = budget.reserve({.prompt_tokens_at_most = 100, .answer_tokens = 60});
  slice.settle({.prompt_tokens = 80, .completion_tokens = 20, .total_tokens = 100});
  CHECK(budget.agent_status("").base_tokens == 0);
  CHECK(budget.agent_status("").left() == 40);
  CHECK(fmt::format("{}", budget.system_status()) ==
        "100 of 2000 tokens used, 0 reserved, 1900 left"
        "\n  -             100 tokens in  1 requests, answers    20 of    60 granted");
}

TEST_CASE("usage: an agent's share, a scope and an amount of money are a line each", "[observe][usage]") {
  felix::budget_scope company{"company", {.tokens = 5'000, .nano_cost = felix::money{"0.25"}.nano_units()}};
  auto held = company.reserve({.tokens = 100, .nano_cost = felix::money{"0.05"}.nano_units()});
  CHECK(fmt::format("{}", company.status()) ==
        "company: 0 of 5000 tokens used, 100 reserved, 4900 left; 0 of 0.25 in money, 0.05 reserved, 0.2 left");
  held.release();
  felix::budget_scope team{company, "team", 500};
  CHECK(fmt::format("{}", team.status()) == "team: 0 of 500 tokens used, 0 reserved, 500 left");
  CHECK(fmt::format("{}", felix::money{"1.5"}) == "1.5");

  felix::strict_budget budget;
  auto slice = budget.reserve({.agent = "research_001", .role = "research", .prompt_tokens_at_most = 100});
  slice.settle({.prompt_tokens = 130, .completion_tokens = 160, .total_tokens = 290});
  CHECK(fmt::format("{}", budget.agent_status("research_001")) ==
        "160 of 400 answer tokens used, 0 reserved; 290 tokens in 1 requests; 1 were charged more than was reserved "
        "(answers 10, prompts 30)");
}

TEST_CASE("usage: a post is one line", "[observe][usage]") {
  felix::central_post_stats post{.agents = 3, .published = 12, .processed = 10, .queued = 2, .most_queued = 5};
  post.busy = 2s;
  post.waits.record(8ms);
  post.deliveries.record(4ms);
  CHECK(fmt::format("{}", post) ==
        "3 agents, 12 messages published, 10 processed (5/s), 2 queued (at most 5); waits 8.0 ms, deliveries 4.0 ms "
        "(p99)");
  post.subscribers = 1;
  post.delivered = 9;
  post.dropped = 1;
  CHECK(fmt::format("{}", post).find("(at most 5); 1 subscribers, 9 delivered; 1 dropped, 0 rejected; waits") !=
        std::string::npos);
}

TEST_CASE("usage: what an agent has done is one line", "[observe][usage]") {
  const felix::agent_usage used{.answers = 3,
                                .failed = 1,
                                .usage = {.total_tokens = 420},
                                .time = 8s,
                                .confidence = 0.625,
                                .confidence_trend = -0.05};
  CHECK(fmt::format("{}", used) == "3 answers, 1 failed, 420 tokens, 2.0 s a task, confidence 0.62 (-0.05)");
}
