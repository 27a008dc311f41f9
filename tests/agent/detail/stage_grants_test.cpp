// SPDX-License-Identifier: MIT
// agent: how many tokens a stage of the team gets.
#include <felix/agent/detail/stage_grants.hpp>

#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using felix::reservation_size;
using felix::token_count;
using felix::detail::crew;
using felix::detail::running_stage;
using felix::detail::session_funds;
using felix::detail::shortage;
using felix::detail::stage_grants;
using namespace std::chrono_literals;

namespace {

constexpr auto for_ever = std::chrono::nanoseconds::max();

felix::session_options with_seed(felix::session_options chosen) {
  chosen.seed = 7;
  return chosen;
}

struct rig {
  explicit rig(token_count cap, felix::session_options chosen = {}, const felix::team& who = felix::teams::simple())
      : options{with_seed(std::move(chosen))},
        agents{model, who, options},
        stages{agents.stages()},
        budget{{.session_cap_tokens = cap, .min_stage_tokens = 100}},
        grants{agents, stages, funds, options, task, known} {
    funds.set_aside({500, 500});
  }
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::session_options options;
  crew agents;
  std::vector<felix::detail::planned_stage> stages;
  felix::normal_budget budget;
  session_funds funds{budget, options};
  const std::string task = "Write about tea";
  std::string known = {};
  stage_grants grants;

  void publish(const std::string& text) {
    loop.run([this](std::string finding) -> felix::task<void> {
      co_await felix::with_nursery([&](felix::nursery& running) -> felix::task<void> {
        running.spawn(agents.post().process());
        felix::contribution made;
        made.agent = agents.members().front().id;
        made.role = agents.role_of(0);
        made.text = finding;
        co_await agents.post().publish(std::move(made), 0);
        agents.post().close();
      });
    }(text));
  }
  /// The first of a member.
  running_stage& of(running_stage& stage, std::size_t member) const {
    stage.member = member;
    while (stages[stage.index].member != member) ++stage.index;
    return stage;
  }
  shortage reserve(running_stage& stage, reservation_size size = reservation_size::whole,
                   std::chrono::nanoseconds time = for_ever) {
    return loop.run(grants.reserve(stage, 1, size, time));
  }
};

void let_go(running_stage& stage) {
  stage.reservation->release();
  stage.reservation.reset();
}

}  // namespace

TEST_CASE("stage_grants: a stage gets what the policies give", "[agent][stage_grants]") {
  rig with{10'000};
  running_stage stage;
  CHECK(with.grants.judge(with.of(stage, 0)) == shortage::none);
  REQUIRE(with.reserve(stage) == shortage::none);
  CHECK(stage.request.max_tokens() == with.budget.allotment_of("research").stage_max_tokens);
  CHECK(stage.request.priority() == felix::request_priority::normal);
  CHECK(stage.about.findings.empty());  // its own is none
  let_go(stage);
}

TEST_CASE("stage_grants: says whose tokens are missing", "[agent][stage_grants]") {
  rig poor{600};
  running_stage stage;
  CHECK(poor.reserve(poor.of(stage, 0)) == shortage::of_role);
  CHECK(std::string{to_text(shortage::of_role)} == "its role has used its share of the cap");

  rig with{10'000};
  auto held = with.budget.reserve({.agent = "a", .prompt_tokens_at_most = 9'000, .answer_tokens = 400});
  running_stage other;
  CHECK(with.reserve(with.of(other, 0)) == shortage::of_session);
  held.release();

  auto all = with.budget.reserve({.agent = with.agents.members()[0].id, .role = "research", .answer_tokens = 1'440});
  CHECK(with.reserve(with.of(other, 0)) == shortage::of_agent);
  all.release();
}

TEST_CASE("stage_grants: what is left is enough for a shorter answer, and then for fewer findings",
          "[agent][stage_grants]") {
  rig with{10'000};
  with.publish(std::string(250, 'x') + ". " + std::string(250, 'y') + ".");
  running_stage whole;
  REQUIRE(with.reserve(with.of(whole, 1)) == shortage::none);
  const token_count prompt = whole.planned_prompt;
  REQUIRE(whole.about.findings.size() > 200);
  let_go(whole);

  const auto with_left = [&](token_count left) {
    return with.budget.reserve({.agent = "a", .prompt_tokens_at_most = 10'000 - 500 - left - 1, .answer_tokens = 1});
  };
  {
    auto held = with_left(prompt + 120);
    running_stage shorter;
    CHECK(with.reserve(with.of(shorter, 1)) == shortage::of_session);
    REQUIRE(with.reserve(with.of(shorter, 1), reservation_size::what_is_left) == shortage::none);
    CHECK(shorter.request.max_tokens() == 120);
    CHECK(shorter.about.findings.size() == whole.about.findings.size());
    let_go(shorter);
    held.release();
  }
  {
    auto held = with_left(prompt + 50);  // no answer has less than 100
    running_stage fewer;
    REQUIRE(with.reserve(with.of(fewer, 1), reservation_size::what_is_left) == shortage::none);
    CHECK(fewer.about.findings.size() < whole.about.findings.size());
    CHECK(fewer.request.max_tokens() >= 100);
    let_go(fewer);
    held.release();
  }
  auto held = with_left(100);
  running_stage none;
  CHECK(with.reserve(with.of(none, 1), reservation_size::what_is_left) == shortage::of_session);
  held.release();
}

TEST_CASE("stage_grants: a model is asked for what it has room and time for", "[agent][stage_grants]") {
  rig with{10'000, {.capacity = {.context_tokens = 400, .tokens_per_second = 20}}};
  running_stage stage;
  REQUIRE(with.reserve(with.of(stage, 0)) == shortage::none);
  CHECK(stage.request.max_tokens() == (400 - stage.planned_prompt) / 2);
  let_go(stage);
  REQUIRE(with.reserve(stage, reservation_size::whole, 5500ms) == shortage::none);
  CHECK(stage.request.max_tokens() == 110);
  let_go(stage);
  CHECK(with.reserve(stage, reservation_size::whole, 4s) == shortage::of_capacity);
}

TEST_CASE("stage_grants: late stages of an agent give way, strict ones are all urgent", "[agent][stage_grants]") {
  rig with{10'000};
  running_stage stage;
  for (int i = 0; i < 4; ++i) with.agents[0].agent.take({}, felix::chat_response{""});
  REQUIRE(with.reserve(with.of(stage, 0)) == shortage::none);
  CHECK(stage.request.priority() == felix::request_priority::low);
  let_go(stage);
}

TEST_CASE("stage_grants: what was charged is no longer there for the role", "[agent][stage_grants]") {
  rig with{10'000};
  running_stage stage;
  REQUIRE(with.reserve(with.of(stage, 0)) == shortage::none);
  let_go(stage);
  with.grants.charge(stage, 10'000);
  CHECK(with.reserve(stage) == shortage::of_role);
}

TEST_CASE("stage_grants: with an adaptive allotment it depends on what stages have brought", "[agent][stage_grants]") {
  // Research has brought much, analysis nothing; both have had their first calls.
  felix::adaptive_allotment learned;
  for (const char* role : {"research", "analysis", "synthesis"}) learned.started({.role = role, .third = 2});
  for (int i = 0; i < 50; ++i) {
    learned.learn({.role = "research"}, 0.5, 300);
    learned.learn({.role = "analysis"}, 0.0, 300);
  }
  // Under this cap there is room for some stages of all.
  rig with{3'000, {.adaptive = learned}};
  running_stage research, analysis;
  CHECK(with.grants.judge(with.of(research, 0)) == shortage::none);
  REQUIRE(research.kind.has_value());
  CHECK(research.kind->role == felix::role_id{"research"});
  CHECK(research.most_tokens.value() > 0);
  CHECK(with.grants.judge(with.of(analysis, 1)) == shortage::of_worth);
  research.most_tokens = 110;
  CHECK(with.reserve(research) == shortage::none);  // its role's share would have been too small
  CHECK(research.request.max_tokens() == 110);
  with.grants.learn(research, 0.6, 100);
  CHECK(with.grants.learned().size() == 2);
  let_go(research);
  // Skipped three times, it gets a turn whatever it is worth.
  for (int i = 0; i < 3; ++i) with.grants.drop(analysis);
  CHECK(with.grants.judge(analysis) == shortage::none);
}

TEST_CASE("stage_grants: stages of agents that have failed or arrived are none to come", "[agent][stage_grants]") {
  felix::adaptive_allotment learned;
  for (const char* role : {"research", "analysis", "synthesis"}) learned.started({.role = role, .third = 2});
  for (int i = 0; i < 50; ++i) {
    learned.learn({.role = "research"}, 0.5, 300);
    learned.learn({.role = "analysis"}, 0.0, 300);
  }
  rig with{3'000, {.adaptive = learned}};
  running_stage analysis;
  REQUIRE(with.grants.judge(with.of(analysis, 1)) == shortage::of_worth);
  with.agents[0].state = felix::agent_state::failed;
  with.agents[2].motion.advance_to(1'000);
  CHECK(with.grants.judge(analysis) == shortage::none);
}
