// SPDX-License-Identifier: MIT
// agent: several prompts for one role.
#include <felix/agent/prompt_variants.hpp>

#include <felix/agent/agent.hpp>
#include <felix/agent/team.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/llm/scripted_model.hpp>

#include "support/catch.hpp"

#include <functional>
#include <string>

using Catch::Matchers::ContainsSubstring;

namespace {

felix::brief with_variant(std::size_t variant) {
  felix::brief about;
  about.task = "bread";
  about.depth = 0.5;
  about.variant = variant;
  return about;
}

const felix::role& varied() {
  static const felix::role role = felix::with_variants(
      felix::roles::research,
      {"Be concise.", [](const felix::brief& about) { return "Tell all about " + about.task + "."; }});
  return role;
}

}  // namespace

TEST_CASE("with_variants: the brief says which prompt", "[agent][prompt_variants]") {
  const std::string own = felix::prompts::research(with_variant(0));
  CHECK(felix::roles::research.variants == 1);
  CHECK(varied().variants == 3);
  CHECK(varied().name == felix::role_id{"research"});
  CHECK(varied().prompt(with_variant(0)) == own);
  CHECK(varied().prompt(with_variant(1)) == own + " Be concise.");
  CHECK(varied().prompt(with_variant(2)) == "Tell all about bread.");
  CHECK(varied().prompt(with_variant(3)) == own);
}

TEST_CASE("with_variants: more of them come after those that are there", "[agent][prompt_variants]") {
  const felix::role more = felix::with_variants(varied(), {"Give examples."});
  const std::string own = felix::prompts::research(with_variant(0));
  CHECK(more.variants == 4);
  CHECK(more.prompt(with_variant(1)) == own + " Be concise.");
  CHECK(more.prompt(with_variant(2)) == "Tell all about bread.");
  CHECK(more.prompt(with_variant(3)) == own + " Give examples.");
}

TEST_CASE("with_variants: the request says the variant's text, not its number", "[agent][prompt_variants][D41][D41]") {
  // The original sends the id of a good prompt, "research_early_stage_1", as the system message, and its specialised agents
  // send none of the prompts under test.
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  const felix::agent researcher{model, varied()};
  const auto request = researcher.request_for(with_variant(1));
  CHECK(request.messages().front().content == felix::prompts::research(with_variant(0)) + " Be concise.");
  CHECK(researcher.request_for(with_variant(2)).messages().front().content == "Tell all about bread.");
  CHECK(researcher.request_for(with_variant(1)).messages().front().content == request.messages().front().content);
}

TEST_CASE("with_variants: no prompt is an empty function", "[agent][prompt_variants]") {
  felix::role mute = felix::roles::research;
  mute.prompt = nullptr;
  CHECK_THROWS_WITH(felix::with_variants(mute, {"Be concise."}), ContainsSubstring("role \"research\""));
  CHECK_THROWS_WITH(felix::with_variants(felix::roles::research, {std::function<std::string(const felix::brief&)>{}}),
                    ContainsSubstring("empty function"));
}

TEST_CASE("team::set_prompt: takes the place of all variants", "[agent][prompt_variants]") {
  auto team = felix::team{}.add(varied(), 1);
  team.set_prompt("research", [](const felix::brief&) { return std::string{"Mine"}; });
  CHECK(team.draw(1).front().role.variants == 1);
  CHECK(team.draw(1).front().role.prompt(with_variant(1)) == "Mine");
}
