// SPDX-License-Identifier: MIT
// agent: sessions that move tokens to the stages that bring most, and models of little room or speed.
#include <felix/agent/session.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/limited.hpp>
#include "support/catch.hpp"
#include "support/simulated_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::test::simulated_server;
using kind = felix::session_event::kind;

namespace {

struct outcome {
  felix::session_result result;
  felix::budget_status budget;
  felix::token_usage spent;
  std::vector<std::string> dropped;
};

template <class Budget>
outcome run(Budget& budget, std::uint64_t seed, felix::session_options options, std::size_t limit = 4,
            const felix::test::server_manners& manners = {}) {
  felix::simulated_loop loop{seed};
  simulated_server server{loop, manners, seed};
  auto llm = felix::model_ref{server} | felix::limit{limit};
  outcome got;
  options.seed = seed;
  options.on_event = [&](const felix::session_event& event) {
    if (event.what == kind::stage_dropped) got.dropped.push_back(event.message);
  };
  felix::session session{llm, felix::teams::complex(), budget, std::move(options)};
  got.result = loop.run(session.run("Write about tea"));
  got.budget = budget.system_status();
  got.spent = server.spent();
  return got;
}

std::vector<std::string> stages_of(const felix::session_result& result) {
  std::vector<std::string> all;
  for (const auto& made : result.contributions)
    all.push_back(std::string{made.agent.name()} + " " + std::to_string(made.stage) + " " + made.text);
  return all;
}

}  // namespace

TEST_CASE("session: adaptive, it keeps to its cap, has a final text, and every role is at work",
          "[agent][session][session_adaptive]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{41}));
  CAPTURE(seed);
  felix::normal_budget normal{{.session_cap_tokens = 6'000, .min_stage_tokens = 50}};
  const outcome got = run(normal, seed, {.adaptive = felix::adaptive_allotment{}});
  CHECK(got.result.complete);
  CHECK(got.spent.total_tokens <= 6'000);
  CHECK(got.budget.settled == got.spent.total_tokens);
  CHECK(got.budget.reserved == 0);
  for (const char* role : {"research", "analysis", "critic", "synthesis"}) {
    CAPTURE(role);
    CHECK(std::any_of(got.result.contributions.begin(), got.result.contributions.end(),
                      [&](const auto& made) { return made.role == felix::role_id{role} && !made.final_text; }));
  }
  felix::strict_budget strict;
  const outcome small = run(strict, seed, {.adaptive = felix::adaptive_allotment{}});
  CHECK(small.result.complete);
  CHECK(small.spent.total_tokens <= 2'000);
}

TEST_CASE("session: adaptive, the limit changes the time and nothing else", "[agent][session][session_adaptive]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{11}));
  CAPTURE(seed);
  felix::normal_budget one{{.session_cap_tokens = 6'000, .min_stage_tokens = 50}}, four{one.options()};
  const outcome alone = run(one, seed, {.adaptive = felix::adaptive_allotment{}}, 1);
  const outcome parallel = run(four, seed, {.adaptive = felix::adaptive_allotment{}}, 4);
  CHECK(stages_of(alone.result) == stages_of(parallel.result));
  CHECK(alone.result.final_text == parallel.result.final_text);
  CHECK(alone.dropped == parallel.dropped);
  CHECK(alone.result.learned.size() == parallel.result.learned.size());
  CHECK(parallel.result.duration < alone.result.duration);
}

TEST_CASE("session: adaptive, what a session has learned changes the next one", "[agent][session][session_adaptive]") {
  felix::normal_budget first{{.session_cap_tokens = 6'000, .min_stage_tokens = 50}}, second{first.options()};
  const outcome before = run(first, 1, {.adaptive = felix::adaptive_allotment{}});
  REQUIRE_FALSE(before.result.learned.empty());
  double tokens = 0;
  for (const auto& record : before.result.learned) tokens += record.tokens;
  CHECK(tokens > 1'000);
  const outcome after = run(second, 1, {.adaptive = felix::adaptive_allotment{before.result.learned}});
  CHECK(stages_of(before.result) != stages_of(after.result));
  CHECK(std::count(after.dropped.begin(), after.dropped.end(), "what is left goes to stages that have brought more") >
        0);

  felix::normal_budget other{first.options()};
  CHECK(run(other, 1, {}).result.learned.empty());  // nothing is learned that nobody has asked for
}

TEST_CASE("session: a small model gets prompts and answers that it has room for",
          "[agent][session][session_adaptive]") {
  felix::normal_budget budget{{.min_stage_tokens = 50}};
  const outcome got = run(budget, 1, {.capacity = {.context_tokens = 512}});
  CHECK(got.result.complete);
  for (const auto& made : got.result.contributions) CHECK(made.usage.total_tokens <= 512);
  felix::normal_budget none{{.min_stage_tokens = 50}};
  const outcome tiny = run(none, 1, {.capacity = {.context_tokens = 64}});
  CHECK(tiny.result.contributions.empty());
  CHECK_FALSE(tiny.result.complete);
  CHECK(tiny.result.dropped > 0);
  CHECK(tiny.dropped.front() == "the model has no room or no time for an answer");
}

TEST_CASE("session: a stage that its run's time has cut before anything came does not fail its agent",
          "[agent][session][session_adaptive]") {
  felix::normal_budget budget;
  const outcome got = run(budget, 1, {.limits = {.time = 5s}}, 4, {.latency = 900ms});  // the soft line is at 4 s
  CHECK(got.result.failed == 0);
  CHECK(std::count(got.dropped.begin(), got.dropped.end(), "the time of the run was over before anything came") > 0);
  for (const auto& agent : got.result.agents) CHECK(agent.state != felix::agent_state::failed);
}
