// SPDX-License-Identifier: MIT
// agent: the states of an agent in a session are real ones.
#include <felix/agent/agent_state.hpp>

#include <felix/agent/session.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/timeout.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>

using felix::agent_state;
using namespace std::chrono_literals;

TEST_CASE("agent_state: has names", "[agent][agent_state]") {
  CHECK(to_string(agent_state::waiting) == "waiting");
  CHECK(to_string(agent_state::spawning) == "spawning");
  CHECK(to_string(agent_state::active) == "active");
  CHECK(to_string(agent_state::completed) == "completed");
  CHECK(to_string(agent_state::failed) == "failed");
}

namespace {

/// The states in a session that is stopped after so long.
std::map<std::string, agent_state> states_after(std::chrono::nanoseconds time, bool research_fails = false) {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  if (research_fails) model.on("research agent").fail(felix::transport_error{"no answer", 7}).after(1s);
  model.on("").reply("Tea is old.").after(1s);
  felix::normal_budget budget;
  felix::session session{model, felix::teams::simple(), budget, {.seed = 3}};
  try {
    loop.run(felix::timeout(time, session.run("Write about tea")));
  } catch (const felix::timed_out&) {  // so it was meant
  }
  std::map<std::string, agent_state> states;
  for (const auto& agent : session.so_far().agents) states[std::string{agent.role.name()}] = agent.state;
  return states;
}

}  // namespace

// D18, D20: the original never set "spawning" and "failed", and asked a failed agent again at every tick.
TEST_CASE("agent_state: D18, waiting until it is asked, spawning until it has answered, then active",
          "[agent][agent_state]") {
  auto states = states_after(500ms);
  CHECK(states["research"] == agent_state::spawning);
  CHECK(states["synthesis"] == agent_state::waiting);
  states = states_after(1500ms);
  CHECK(states["research"] == agent_state::active);
  std::set<agent_state> later;
  for (const auto& [role, state] : states_after(1h)) later.insert(state);
  CHECK_FALSE(later.contains(agent_state::spawning));
  CHECK_FALSE(later.contains(agent_state::waiting));
}

TEST_CASE("agent_state: D20, an agent whose request failed for good is failed, and is asked no more",
          "[agent][agent_state]") {
  CHECK(states_after(1h, true)["research"] == agent_state::failed);
}
