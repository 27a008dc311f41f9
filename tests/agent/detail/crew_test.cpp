// SPDX-License-Identifier: MIT
// agent: the agents of a session, and how far each of them is.
#include <felix/agent/detail/crew.hpp>

#include <felix/agent/prompt_variants.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

using felix::detail::crew;

namespace {

const felix::session_options seven{.seed = 7};

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
  crew agents{model, who, seven};
  REQUIRE(agents.size() == 6);
  const auto members = who.draw(7);
  for (std::size_t i = 0; i < agents.size(); ++i) {
    CHECK(agents[i].agent.id() == members[i].id);
    CHECK(agents[i].agent.focus() == members[i].focus);
    CHECK(agents.role_of(i) == members[i].role.name);
    CHECK(agents[i].state == felix::agent_state::waiting);
    CHECK(agents.is_writer(i) == (members[i].role.name == felix::role_id{"synthesis"}));
  }
  CHECK(agents.post().stats().agents == 6);
  std::size_t stages_of_writer = 0;
  for (const auto& stage : agents.stages()) stages_of_writer += agents.is_writer(stage.member) ? 1U : 0U;
  CHECK(stages_of_writer > 0);
}

TEST_CASE("crew: a team without a writer gets one, which has no stage", "[agent][crew]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  crew agents{model, felix::team{}.add(felix::roles::research, 2, {.spawn = {0, 0}}), seven};
  REQUIRE(agents.size() == 3);
  CHECK(agents.is_writer(2));
  const auto stages = agents.stages();
  CHECK(stages.size() == 12);
  for (const auto& stage : stages) CHECK(stage.member < 2);
}

TEST_CASE("crew: an agent reads what its role reads, of others, up to where it may look", "[agent][crew]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  crew agents{
      model,
      felix::team{}.add(felix::roles::research, 2).add(felix::roles::analysis, 1).add(felix::roles::synthesis, 1),
      seven};
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
  crew agents{model, felix::teams::simple(), seven};
  agents[1].stages = 3;
  agents[1].usage = {.prompt_tokens = 5, .completion_tokens = 6, .total_tokens = 11};
  agents[1].state = felix::agent_state::failed;
  const auto reports = agents.reports();
  REQUIRE(reports.size() == 3);
  CHECK(reports[1].id == felix::agent_id{"analysis_001"});
  CHECK(reports[1].role == felix::role_id{"analysis"});
  CHECK(reports[1].focus == "general");
  CHECK(reports[1].spawn_time >= 0.3);
  CHECK(reports[1].stages == 3);
  CHECK(reports[1].usage.total_tokens == 11);
  CHECK(reports[1].state == felix::agent_state::failed);
  CHECK(reports[0].state == felix::agent_state::waiting);
}

TEST_CASE("crew: one more gets its stages, and is in the reports with the reason", "[agent][crew]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  crew agents{model, felix::teams::simple(), {.seed = 7, .spawning = {{.max_agents = 4}}}};
  const felix::spawn_advice advice{
      .reason = felix::spawn_reason::gaps,
      .member =
          felix::team_member{.id = "critic_001", .role = felix::roles::critic, .focus = "gaps", .spawn_time = 0.5},
      .tick = 10,
      .tokens = 600};
  const auto stages = agents.add(advice);
  REQUIRE(stages.size() == 3);  // ticks 10, 14 and 18 of 20
  CHECK(stages[0].member == 3);
  CHECK(stages[0].tick == 10);
  CHECK(stages[2].tick == 18);
  CHECK(agents.size() == 4);
  CHECK(agents[3].agent.id() == felix::agent_id{"critic_001"});
  CHECK(agents[3].most_tokens == 600);
  CHECK(agents[0].most_tokens > 1'000'000);
  CHECK(agents.post().stats().agents == 4);
  const auto reports = agents.reports();
  CHECK(reports[3].added_for == felix::spawn_reason::gaps);
  CHECK(reports[3].focus == "gaps");
  CHECK_FALSE(reports[0].added_for);
}

TEST_CASE("crew: with an optimiser a role's prompts are chosen from, without one it is the first", "[agent][crew]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  const auto who = felix::team{}.add(felix::with_variants(felix::roles::research, {"Be brief."}), 1);
  crew plain{model, who, seven};
  crew choosing{model, who, {.seed = 7, .prompts = felix::prompt_optimiser{}}};
  felix::brief about;
  choosing.prompts()->started(choosing[0].agent.role(), about);
  plain.choose_prompt(0, about);
  CHECK(about.variant == 0);
  choosing.choose_prompt(0, about);
  CHECK(about.variant == 1);  // the first is tried already
}
