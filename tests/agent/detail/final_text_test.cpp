// SPDX-License-Identifier: MIT
// agent: who writes the final text, in how many parts, and what it may cost.
#include <felix/agent/detail/final_text.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

using felix::token_count;
using felix::detail::crew;
using felix::detail::final_text;
using felix::detail::running_stage;
using felix::detail::session_funds;

namespace {

struct rig {
  explicit rig(const felix::team& who, token_count share = 2'000, token_count cap = 10'000)
      : agents{model, who, options}, budget{{.session_cap_tokens = cap, .min_stage_tokens = 150}} {
    text.emplace(agents, funds, task, known, share);
    funds.set_aside(text->cost());
  }
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::session_options options{.seed = 7};
  crew agents;
  felix::normal_budget budget;
  session_funds funds{budget, options};
  const std::string task = "Write about tea";
  const std::string known = {};
  std::optional<final_text> text;
};

// Places 8 and 9 are the writers.
constexpr std::size_t report = 8, summary = 9;

}  // namespace

TEST_CASE("final_text: each writer has a part, as long as the share pays for all of them", "[agent][final_text]") {
  CHECK(rig{felix::teams::complex()}.text->writers() == std::vector{report, summary});
  CHECK(rig{felix::teams::complex(), 500}.text->writers().size() == 1);
  CHECK(rig{felix::teams::complex(), 0}.text->writers().size() == 1);  // one always does
}

TEST_CASE("final_text: the share is set aside, or more if the smallest text needs it", "[agent][final_text]") {
  const rig rich{felix::teams::simple()}, poor{felix::teams::simple(), 10};
  CHECK(rich.text->cost().planned == 2'000);
  CHECK(poor.text->cost().planned > 150);
  CHECK(poor.text->cost().worst == rich.text->cost().worst);
  CHECK(poor.text->cost().worst > 150);
}

TEST_CASE("final_text: the deepest writes, and who has failed only when no other can", "[agent][final_text]") {
  rig with{felix::teams::complex(), 0};
  CHECK(with.text->writers() == std::vector{report});
  with.agents[summary].motion.advance_to(20);
  CHECK(with.text->writers() == std::vector{summary});
  with.agents[summary].state = felix::agent_state::failed;
  CHECK(with.text->writers() == std::vector{report});
  with.agents[report].state = felix::agent_state::failed;
  CHECK(with.text->writers() == std::vector{summary});
}

TEST_CASE("final_text: a part is asked for by its name, urgently, and as long as there is room",
          "[agent][final_text]") {
  rig with{felix::teams::complex()};
  running_stage part;
  part.member = summary;
  REQUIRE(with.loop.run(with.text->reserve(part, 2, 0, {})));
  CHECK(part.request.priority() == felix::request_priority::urgent);
  CHECK(part.about.final_text);
  CHECK(part.about.part == "executive summary");
  CHECK(part.about.depth == 1);
  CHECK(part.request.max_tokens() == 640);  // two thirds of the role's 960
  part.reservation->release();
  part.reservation.reset();

  running_stage alone;
  rig one{felix::teams::simple()};
  alone.member = 2;
  REQUIRE(one.loop.run(one.text->reserve(alone, 1, 0, {})));
  CHECK(alone.about.part.empty());
  CHECK(alone.request.max_tokens() == 960);
  alone.reservation->release();
  alone.reservation.reset();
}

TEST_CASE("final_text: a small model is asked for no more than it has room for", "[agent][final_text]") {
  rig with{felix::teams::simple()};
  running_stage part;
  part.member = 2;
  REQUIRE(with.loop.run(with.text->reserve(part, 1, 0, {.context_tokens = part.planned_prompt + 1'000})));
  CHECK(part.request.max_tokens() == (1'000 - part.planned_prompt) / 2);
  part.reservation->release();
  part.reservation.reset();
  running_stage none;
  none.member = 2;
  CHECK_FALSE(with.loop.run(with.text->reserve(none, 1, 0, {.context_tokens = 200})));
}
