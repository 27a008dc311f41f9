// SPDX-License-Identifier: MIT
// agent: sessions that add agents while they run, and choose among prompts.
#include <felix/agent/session.hpp>

#include <felix/agent/prompt_variants.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/retrying.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"
#include "support/simulated_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::test::simulated_server;
using kind = felix::session_event::kind;
using schedule = felix::session_schedule;

namespace {

struct outcome {
  felix::session_result result;
  felix::budget_status budget;
  felix::token_usage spent;
  std::vector<felix::session_event> events;

  [[nodiscard]] std::size_t added() const {
    return static_cast<std::size_t>(std::count_if(result.agents.begin(), result.agents.end(),
                                                  [](const auto& each) { return each.added_for.has_value(); }));
  }
  [[nodiscard]] std::vector<std::string> story() const {
    std::vector<std::string> all;
    for (const auto& each : result.agents)
      all.push_back(std::string{each.id.name()} + " " + each.focus + " " + std::to_string(each.spawn_time));
    for (const auto& made : result.contributions)
      all.push_back(std::string{made.agent.name()} + " " + std::to_string(made.stage) + " " + made.text);
    for (const auto& message : result.messages) all.push_back(std::string{message.from.name()} + message.text);
    all.push_back(result.final_text);
    return all;
  }
};

outcome run(const felix::team& who, std::uint64_t seed, felix::session_options options, std::size_t limit = 4,
            const felix::test::server_manners& manners = {}) {
  felix::simulated_loop loop{seed};
  simulated_server server{loop, manners, seed};
  auto llm = felix::model_ref{server} | felix::limit{limit} | felix::retry{}.seed(seed);
  felix::normal_budget budget;
  outcome got;
  options.seed = seed;
  options.on_event = [&](const felix::session_event& event) { got.events.push_back(event); };
  felix::session session{llm, who, budget, std::move(options)};
  got.result = loop.run(session.run("Write about tea"));
  got.budget = budget.system_status();
  got.spent = server.spent();
  return got;
}

/// Research, analysis and a writer whom research makes doubt.
outcome run_doubtful(felix::session_options options, const std::string& finding) {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply(finding).after(1s);
  felix::normal_budget budget;
  outcome got;
  options.seed = 3;
  options.on_event = [&](const felix::session_event& event) { got.events.push_back(event); };
  felix::session session{model, felix::teams::simple(), budget, std::move(options)};
  got.result = loop.run(session.run("Write about tea"));
  got.budget = budget.system_status();
  return got;
}

}  // namespace

TEST_CASE("session: no agent is added unless it is asked for", "[agent][session][session_spawning]") {
  const outcome got = run_doubtful({}, "However, that is wrong.");
  CHECK(got.result.agents.size() == 3);
  CHECK(got.added() == 0);
}

TEST_CASE("session: findings that contradict each other bring a critic, who works and is published",
          "[agent][session][session_spawning]") {
  const auto when = GENERATE(schedule::lockstep, schedule::eager);
  const std::string sure =
      "The data show growth of 12 percent. However, the study suggests limits. For example, costs rose, prices fell, "
      "and demand stayed flat.";
  const outcome got = run_doubtful({.schedule = when, .spawning = {{.may_add = {felix::roles::critic}}}}, sure);
  REQUIRE(got.added() >= 1);
  const auto critic = std::find_if(got.result.agents.begin(), got.result.agents.end(),
                                   [](const auto& each) { return each.added_for.has_value(); });
  CHECK(critic->id == felix::agent_id{"critic_001"});
  CHECK(critic->added_for == felix::spawn_reason::contradictions);
  CHECK(critic->focus == "contradictions");
  CHECK(critic->stages >= 1);
  CHECK(std::any_of(got.result.messages.begin(), got.result.messages.end(),
                    [](const auto& message) { return message.from == felix::agent_id{"critic_001"}; }));
  const auto told = std::find_if(got.events.begin(), got.events.end(),
                                 [](const auto& event) { return event.what == kind::agent_added; });
  REQUIRE(told != got.events.end());
  CHECK(told->agent == critic->id);
  CHECK(told->message == "findings contradict each other");
  CHECK(felix::detail::spawn_tick(critic->spawn_time, 1.0) == told->tick);
}

// D42: the original's analyser read nothing, and what it decided late spawned after the end.
TEST_CASE("session: D42, whoever is added spawns after what has begun and within the run",
          "[agent][session][session_spawning]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{41}));
  const auto when = seed % 2 == 0 ? schedule::lockstep : schedule::eager;
  const double time = seed % 3 == 0 ? 0.5 : 1.0;
  CAPTURE(seed);
  const outcome got = run(felix::teams::simple(), seed, {.simulation_time = time, .schedule = when, .spawning = {{}}});
  felix::tick_count begun = 0;
  std::set<felix::agent_id> there;
  for (const auto& member : felix::teams::simple().draw(seed)) there.insert(member.id);
  for (const auto& event : got.events) {
    if (event.what == kind::stage_started) {
      begun = std::max(begun, event.tick);
      CHECK(there.contains(event.agent));
    }
    if (event.what != kind::agent_added) continue;
    if (when == schedule::lockstep) CHECK(event.tick > begun);
    CHECK(event.tick <= felix::detail::last_tick(time));
    CHECK(there.insert(event.agent).second);
  }
  CHECK(got.result.complete);
  CHECK(got.budget.settled <= got.budget.cap);
}

TEST_CASE("session: the team grows to its limit, and no further", "[agent][session][session_spawning]") {
  std::size_t most = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const outcome got = run(felix::teams::simple(), seed, {.spawning = {{.max_agents = 4}}});
    CHECK(got.result.agents.size() <= 4);
    most = std::max(most, got.result.agents.size());
    CHECK(run(felix::teams::simple(), seed, {.spawning = {{.max_agents = 3}}}).added() == 0);
  }
  CHECK(most == 4);
}

TEST_CASE("session: what an added agent spends in all is bounded", "[agent][session][session_spawning]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{21}));
  CAPTURE(seed);
  const auto when = seed % 2 == 0 ? schedule::lockstep : schedule::eager;
  const outcome got = run(felix::teams::simple(), seed, {.simulation_time = 3, .schedule = when, .spawning = {{}}});
  for (const auto& each : got.result.agents) {
    if (each.added_for) CHECK(each.usage.total_tokens <= 1'200);
  }
}

TEST_CASE("session: a growing team is the same at any limit, in lockstep", "[agent][session][session_spawning]") {
  std::size_t added = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const felix::test::server_manners manners{.refuses = 0.05, .loses = 0.05, .breaks_off = 0.05};
    const outcome one = run(felix::teams::medium(), seed, {.spawning = {{}}}, 1, manners);
    const outcome four = run(felix::teams::medium(), seed, {.spawning = {{}}}, 4, manners);
    CHECK(one.story() == four.story());
    added += one.added();
  }
  CHECK(added > 0);
}

TEST_CASE("session: a growing team keeps its caps with servers that lie and fail",
          "[agent][session][session_spawning]") {
  using report = felix::test::server_manners::report;
  std::size_t added = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const felix::test::server_manners manners{.honours_max_tokens = seed % 3 != 0,
                                              .reports = seed % 4 == 0 ? report::none : report::honest,
                                              .refuses = 0.1,
                                              .loses = 0.05};
    const auto when = seed % 2 == 0 ? schedule::lockstep : schedule::eager;
    const outcome got = run(felix::teams::medium(), seed, {.schedule = when, .spawning = {{}}}, 4, manners);
    CHECK_FALSE(got.result.final_text.empty());
    CHECK(got.budget.reserved == 0);
    std::set<std::pair<felix::agent_id, std::uint64_t>> published;
    for (const auto& message : got.result.messages) CHECK(published.insert({message.from, message.order}).second);
    const auto found = std::count_if(got.result.contributions.begin(), got.result.contributions.end(),
                                     [](const auto& made) { return !made.final_text; });
    CHECK(static_cast<std::size_t>(found) == got.result.messages.size());
    added += got.added();
  }
  CHECK(added > 0);
}

TEST_CASE("session: a role that is none cannot be added", "[agent][session][session_spawning]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::normal_budget budget;
  const felix::session_options wrong{.spawning = {{.may_add = {felix::role{.prompt = nullptr}}}}};
  CHECK_THROWS_AS((felix::session{model, felix::teams::simple(), budget, wrong}), felix::error);
}

TEST_CASE("session: prompts of a role are tried and learned from, the same at any limit",
          "[agent][session][session_spawning]") {
  const auto research = felix::with_variants(felix::roles::research, {"Be concise.", "Check your facts."});
  const auto who = felix::team{}
                       .add(research, 3, {.spawn = {0, 0.2}})
                       .add(felix::roles::analysis, 2, {.spawn = {0.2, 0.6}})
                       .add(felix::roles::synthesis, 1, {.spawn = {0.8, 0.9}});
  const auto when = GENERATE(schedule::lockstep, schedule::eager);
  const auto records = [](const outcome& of) {
    std::vector<std::string> all;
    for (const auto& each : of.result.prompts)
      all.push_back(std::string{each.kind.role.name()} + std::to_string(each.kind.third) + " " +
                    std::to_string(each.kind.text) + " " + std::to_string(each.answers) + " " +
                    std::to_string(each.worth));
    return all;
  };
  const outcome got = run(who, 5, {.schedule = when, .prompts = felix::prompt_optimiser{}});
  std::map<felix::role_id, std::uint32_t> answers;
  std::set<std::uint64_t> texts;
  for (const auto& each : got.result.prompts) {
    answers[each.kind.role] += each.answers;
    if (each.kind.role == felix::roles::research.name && each.kind.third == 0) texts.insert(each.kind.text);
  }
  CHECK(texts.size() == 3);
  std::map<felix::role_id, std::uint32_t> made;
  for (const auto& each : got.result.contributions) ++made[each.role];
  CHECK(answers == made);
  CHECK(run(who, 5, {.schedule = when}).result.prompts.empty());
  if (when == schedule::lockstep) {
    const outcome alone = run(who, 5, {.prompts = felix::prompt_optimiser{}}, 1);
    CHECK(alone.story() == got.story());
    CHECK(records(alone) == records(got));
  }

  // What a former session has learned goes on.
  const outcome next = run(who, 6, {.schedule = when, .prompts = felix::prompt_optimiser{got.result.prompts}});
  std::uint32_t before = 0, after = 0;
  for (const auto& each : got.result.prompts) before += each.answers;
  for (const auto& each : next.result.prompts) after += each.answers;
  CHECK(after == before + static_cast<std::uint32_t>(next.result.contributions.size()));
}

TEST_CASE("session: a request that failed is not waited for by the optimiser", "[agent][session][session_spawning]") {
  const auto research = felix::with_variants(felix::roles::research, {"Be concise."});
  const auto who = felix::team{}.add(research, 3, {.spawn = {0, 0.1}}).add(felix::roles::synthesis, 1);
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const outcome got = run(who, seed, {.prompts = felix::prompt_optimiser{}}, 4, {.loses = 0.3});
    std::size_t answers = 0;
    for (const auto& each : got.result.prompts) answers += each.answers;
    CHECK(answers == got.result.contributions.size());
  }
}
