// SPDX-License-Identifier: MIT
// agent: agents that a session adds while it runs.
#include <felix/agent/detail/team_growth.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <string>
#include <utility>
#include <vector>

namespace {

struct rig {
  explicit rig(felix::session_options chosen = {.spawning = {{}}}, felix::token_count cap = 10'000)
      : options{std::move(chosen)}, budget{{.session_cap_tokens = cap}} {
    result.task = "Write about tea";
    options.on_event = [this](const felix::session_event& event) { told.push_back(event.message); };
  }
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::session_options options;
  felix::normal_budget budget;
  felix::session_result result;
  felix::detail::crew agents{model, felix::teams::simple(), options};
  felix::detail::session_funds funds{budget, options};
  felix::detail::team_growth growth{agents, funds, options, result};
  std::vector<std::string> told;

  void learn(int answers, const char* text = "However, that is wrong.") {
    for (int i = 0; i < answers; ++i) {
      felix::contribution made;
      made.agent = "research_001";
      made.role = felix::roles::research.name;
      made.text = text;
      made.confidence = 0.6;
      made.tick = i;
      result.contributions.push_back(made);
    }
  }
};

}  // namespace

TEST_CASE("team_growth: asks once for each answer, and adds whom it is told", "[agent][team_growth]") {
  rig with;
  CHECK(with.growth.advise(1).empty());
  with.learn(2);
  CHECK(with.growth.advise(1).empty());  // too few
  with.learn(1);
  const auto stages = with.growth.advise(2);
  REQUIRE_FALSE(stages.empty());
  CHECK(stages.front().member == 3);
  CHECK(stages.front().tick > 2);
  CHECK(with.agents.role_of(3) == felix::roles::critic.name);
  CHECK(with.told == std::vector<std::string>{"findings contradict each other"});
  CHECK(with.growth.advise(12).empty());  // nothing new was said
  with.learn(1);
  CHECK_FALSE(with.growth.advise(12).empty());
}

TEST_CASE("team_growth: how sure an answer is counts by the curve of its role", "[agent][team_growth]") {
  rig with;
  // As sure as a researcher ever is, of one domain or none, with reasons: nobody is missing.
  with.learn(3, "Because the data indicates it, therefore the analysis shows an approach, a framework and findings.");
  CHECK(with.growth.advise(2).empty());
  CHECK(with.agents.size() == 3);
}

TEST_CASE("team_growth: nobody without tokens, and nobody without the option", "[agent][team_growth]") {
  rig poor{{.spawning = {{}}}, 400};
  poor.funds.set_aside({.planned = 250, .worst = 250});
  poor.learn(3);
  CHECK(poor.growth.advise(2).empty());
  rig off{felix::session_options{}};
  off.learn(3);
  CHECK(off.growth.advise(2).empty());
  CHECK(off.told.empty());
}
