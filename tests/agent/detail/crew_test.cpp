// SPDX-License-Identifier: MIT
// agent: the agents of a session, and how far each of them is.
#include <felix/agent/detail/crew.hpp>

#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

using felix::detail::crew;

namespace {

felix::contribution said(const felix::agent_id& who, const char* role, const char* text) {
  felix::contribution made;
  made.agent = who;
  made.role = role;
  made.text = text;
  return made;
}

felix::task<void> publish(crew& agents) {
  co_await felix::with_nursery([&](felix::nursery& running) -> felix::task<void> {
    running.spawn(agents.post().process());
    co_await agents.post().publish(said("research_001", "research", "Tea is old."), 0);
    co_await agents.post().publish(said("synthesis_001", "synthesis", "Drink tea."), 1);
    co_await agents.post().publish(said("research_002", "research", "Tea is green."), 2);
    agents.post().close();
  });
}

}  // namespace

TEST_CASE("crew: each member is an agent that spawns in its time", "[agent][crew]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  const auto who = felix::teams::medium();
  crew agents{model, who, 7, 1.0};
  REQUIRE(agents.size() == 6);
  const auto members = who.draw(7);
  for (std::size_t i = 0; i < agents.size(); ++i) {
    CHECK(agents[i].agent.id() == members[i].id);
    CHECK(agents[i].agent.focus() == members[i].focus);
    CHECK(agents.role_of(i) == members[i].role.name);
    CHECK(agents[i].state == felix::agent_report::state::waiting);
    CHECK(agents.is_writer(i) == (members[i].role.name == felix::role_id{"synthesis"}));
  }
  CHECK(agents.post().stats().agents == 6);
  std::size_t stages_of_writer = 0;
  for (const auto& stage : agents.stages(1.0)) stages_of_writer += agents.is_writer(stage.member) ? 1U : 0U;
  CHECK(stages_of_writer > 0);
}

TEST_CASE("crew: a team without a writer gets one, which has no stage", "[agent][crew]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  crew agents{model, felix::team{}.add(felix::roles::research, 2, {.spawn = {0, 0}}), 7, 1.0};
  REQUIRE(agents.size() == 3);
  CHECK(agents.is_writer(2));
  const auto stages = agents.stages(1.0);
  CHECK(stages.size() == 12);
  for (const auto& stage : stages) CHECK(stage.member < 2);
}

TEST_CASE("crew: an agent reads what its role reads, of others, up to where it may look", "[agent][crew]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  crew agents{
      model,
      felix::team{}.add(felix::roles::research, 2).add(felix::roles::analysis, 1).add(felix::roles::synthesis, 1), 7,
      1.0};
  loop.run(publish(agents));
  const std::size_t analyst = 2, writer = 3;
  CHECK(agents.findings_for(analyst, 0, 300).empty());
  CHECK(agents.findings_for(analyst, 2, 300) == "- [research_001] Tea is old.");  // reads no synthesis
  const std::string all = agents.findings_for(analyst, 3, 300);
  CHECK(all.find("Tea is old.") != std::string::npos);
  CHECK(all.find("Tea is green.") != std::string::npos);
  CHECK(agents.findings_for(writer, 2, 300) == "- [research_001] Tea is old.");  // not its own
  CHECK(agents.findings_for(0, 3, 300).find("Tea is old.") == std::string::npos);
}

TEST_CASE("crew: reports what became of each", "[agent][crew]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  crew agents{model, felix::teams::simple(), 7, 1.0};
  agents[1].stages = 3;
  agents[1].usage = {.prompt_tokens = 5, .completion_tokens = 6, .total_tokens = 11};
  agents[1].state = felix::agent_report::state::failed;
  const auto reports = agents.reports();
  REQUIRE(reports.size() == 3);
  CHECK(reports[1].id == felix::agent_id{"analysis_001"});
  CHECK(reports[1].role == felix::role_id{"analysis"});
  CHECK(reports[1].focus == "general");
  CHECK(reports[1].spawn_time >= 0.3);
  CHECK(reports[1].stages == 3);
  CHECK(reports[1].usage.total_tokens == 11);
  CHECK(reports[1].last_state == felix::agent_report::state::failed);
  CHECK(reports[0].last_state == felix::agent_report::state::waiting);
}
