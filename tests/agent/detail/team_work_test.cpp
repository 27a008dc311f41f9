// SPDX-License-Identifier: MIT
// agent: which stage begins when, and what it may read. Whole runs are in session_test.cpp and session_eager_test.cpp.
#include <felix/agent/detail/team_work.hpp>

#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::session_schedule;
using kind = felix::session_event::kind;

namespace {

felix::session_options with_seed(felix::session_options chosen) {
  chosen.seed = 7;
  return chosen;
}

struct rig {
  rig(const felix::team& who, felix::session_options chosen)
      : options{with_seed(std::move(chosen))}, agents{model, who, options} {
    options.on_event = [this](const felix::session_event& event) {
      if (event.what == kind::stage_started) ++in_flight;
      if (event.what == kind::stage_ended) --in_flight;
      most_in_flight = std::max(most_in_flight, in_flight);
    };
    model.on("").reply("Tea is old.").after(1s);
  }
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::normal_budget budget;
  felix::session_options options;
  felix::session_result result;
  std::string task = "Write about tea";
  const std::string known = {};
  felix::detail::crew agents;
  std::vector<felix::detail::planned_stage> stages = agents.stages();
  felix::detail::session_funds funds{budget, options};
  felix::detail::stage_grants grants{agents, stages, funds, options, task, known};
  felix::detail::stage_runner runner{model, agents, funds, grants, options, result};
  felix::detail::team_growth growth{agents, funds, options, result};
  felix::detail::team_work work{agents, stages, funds, grants, runner, growth, options, result};
  int in_flight = 0, most_in_flight = 0;

  std::chrono::nanoseconds run() {
    const felix::detail::final_text text{agents, funds, task, known, grants.share_of_final_text()};
    funds.set_aside(text.cost());
    loop.run([](rig& with, const felix::detail::final_text& last) -> felix::task<void> {
      co_await felix::with_nursery([&](felix::nursery& running) -> felix::task<void> {
        running.spawn(with.agents.post().process());
        co_await with.work.run(running, last);
        with.agents.post().close();
      });
    }(*this, text));
    return loop.now() - felix::simulated_loop::start;
  }
};

felix::team three() { return felix::team{}.add(felix::roles::research, 3, {.spawn = {0, 0}}); }

}  // namespace

TEST_CASE("team_work: in lockstep as many stages run side by side as the window has, one of each agent",
          "[agent][team_work]") {
  rig wide{three(), {.simulation_time = 0.75}}, narrow{three(), {.simulation_time = 0.75, .window = 2}};
  CHECK(wide.run() == 4s);  // four stages each, one after the other
  CHECK(wide.most_in_flight == 3);
  CHECK(narrow.run() == 6s);
  CHECK(narrow.most_in_flight == 2);
  CHECK(wide.result.contributions.size() == 12);
  CHECK(wide.work.readable() == 12);
}

TEST_CASE("team_work: eagerly as many as there are slots", "[agent][team_work]") {
  rig wide{three(), {.simulation_time = 0.75, .schedule = session_schedule::eager}};
  rig narrow{three(), {.simulation_time = 0.75, .schedule = session_schedule::eager, .slots = 2}};
  CHECK(wide.run() == 4s);
  CHECK(wide.most_in_flight == 3);
  CHECK(narrow.run() == 6s);
  CHECK(narrow.most_in_flight == 2);
  CHECK(narrow.work.readable() == 12);
}

TEST_CASE("team_work: agents complete at the bottom of the helix, and have no stage there", "[agent][team_work]") {
  const auto schedule = GENERATE(session_schedule::lockstep, session_schedule::eager);
  rig with{three(), {.simulation_time = 3.0, .schedule = schedule}};
  static_cast<void>(with.run());
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(with.agents[i].state == felix::agent_state::completed);
    CHECK(with.agents[i].stages >= 4);
    CHECK(with.agents[i].stages < 16);
  }
}
