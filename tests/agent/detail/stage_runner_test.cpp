// SPDX-License-Identifier: MIT
// agent: the requests of a session: sent, and made part of its view when they have ended.
#include <felix/agent/detail/stage_runner.hpp>

#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <string>
#include <vector>

using felix::detail::running_stage;
using felix::detail::stage_runner;
using namespace std::chrono_literals;
using kind = felix::session_event::kind;

namespace {

struct rig {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::normal_budget budget;
  std::vector<felix::session_event> events;
  felix::session_options options{.on_event = [this](const felix::session_event& event) { events.push_back(event); }};
  felix::session_result result;
  felix::detail::crew agents{model, felix::teams::simple(), options};
  std::vector<felix::detail::planned_stage> stages = agents.stages();
  felix::detail::session_funds funds{budget, options};
  std::string task = "Write about tea";
  const std::string known = {};
  felix::detail::stage_grants grants{agents, stages, funds, options, task, known};
  stage_runner runner{model, agents, funds, grants, options, result};

  rig() { funds.set_aside({500, 500}); }

  void reserve(running_stage& stage) {
    const auto for_ever = std::chrono::nanoseconds::max();
    REQUIRE(loop.run(grants.reserve(stage, 0, felix::reservation_size::whole, for_ever)) ==
            felix::detail::shortage::none);
    agents[stage.member].in_flight.push_back(stage.index);
  }
  void run(running_stage& stage) {
    reserve(stage);
    loop.run([](rig& with, running_stage& sent) -> felix::task<void> {
      co_await felix::with_nursery([&](felix::nursery& running) -> felix::task<void> {
        running.spawn(with.agents.post().process());
        running.spawn(with.runner.ask(sent));
        co_await with.runner.settle(sent);
        with.agents.post().close();
      });
    }(*this, stage));
  }
};

}  // namespace

TEST_CASE("stage_runner: an answer is charged, judged, told and published", "[agent][stage_runner]") {
  rig with;
  with.model.on("tea").reply("Tea is old. It comes from China.").after(2s);
  running_stage stage;
  with.run(stage);
  CHECK(stage.settled);
  CHECK_FALSE(stage.reservation.has_value());
  CHECK(with.agents[0].in_flight.empty());
  CHECK(with.agents[0].stages == 1);
  CHECK(with.result.requests == 1);
  REQUIRE(with.result.contributions.size() == 1);
  CHECK(with.result.contributions[0].text == "Tea is old. It comes from China.");
  CHECK(with.agents[0].best_confidence == with.result.contributions[0].confidence);
  CHECK(with.result.usage == with.result.contributions[0].usage);
  CHECK(with.budget.system_status().settled == with.result.usage.total_tokens);
  REQUIRE(with.result.timeline.size() == 1);
  CHECK(with.result.timeline[0].end - with.result.timeline[0].begin == 2s);
  CHECK(with.result.timeline[0].usage == with.result.usage);
  REQUIRE(with.agents.post().messages().size() == 1);
  CHECK(with.agents.post().messages()[0].text == "Tea is old. It comes from China.");
  REQUIRE(with.events.size() == 2);
  CHECK(with.events[0].what == kind::stage_started);
  CHECK(with.events[1].what == kind::stage_ended);
  CHECK(with.events[1].tokens == with.result.usage.total_tokens);
}

TEST_CASE("stage_runner: a failure is told, and ends the agent", "[agent][stage_runner]") {
  rig with;
  with.model.on("tea").fail(felix::api_error{"no", {.status = 400}});
  running_stage stage;
  with.run(stage);
  CHECK(with.result.failed == 1);
  CHECK(with.agents[0].state == felix::agent_state::failed);
  CHECK(with.runner.last_failure());
  CHECK(with.agents.post().messages().empty());
  CHECK(with.budget.system_status().settled == 0);
  REQUIRE(with.events.size() == 2);
  CHECK(with.events[1].what == kind::stage_failed);
  CHECK_THAT(with.events[1].message, Catch::Matchers::ContainsSubstring("no"));
}

TEST_CASE("stage_runner: what was lost is paid and asked once more, and not twice", "[agent][stage_runner]") {
  rig with;
  running_stage stage;
  with.reserve(stage);
  const auto planned = stage.planned();
  stage.answer =
      felix::result<felix::chat_response>::failure(std::make_exception_ptr(felix::transport_error{"reset", 56}));
  CHECK_FALSE(with.runner.pay_again(stage));  // nobody has wanted to
  stage.repeat_wanted = true;
  stage.ended.set();
  CHECK(with.runner.pay_again(stage));
  CHECK_FALSE(stage.ended.is_set());
  CHECK(with.budget.system_status().settled == planned);
  CHECK(with.result.timeline.size() == 1);
  CHECK_FALSE(with.runner.pay_again(stage));
  static_cast<void>(with.runner.account(stage));
  CHECK(with.budget.system_status().settled == 2 * planned);
}

TEST_CASE("stage_runner: a stage that is left out is counted and told", "[agent][stage_runner]") {
  rig with;
  with.runner.drop(running_stage{}, "there is no time");
  CHECK(with.result.dropped == 1);
  REQUIRE(with.events.size() == 1);
  CHECK(with.events[0].what == kind::stage_dropped);
  CHECK(with.events[0].message == "there is no time");
}
