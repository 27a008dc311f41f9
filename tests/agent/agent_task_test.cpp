// SPDX-License-Identifier: MIT
// agent: what an agent is asked to do reaches its request.
#include <felix/agent/agent_task.hpp>

#include <felix/agent/agent.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <string>

TEST_CASE("agent_task: is what the request says", "[agent][agent_task]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply("Fine.");
  felix::agent critic{model, felix::roles::critic};
  felix::agent_task work = "Judge this";
  work.priority(felix::request_priority::high).at(0.5).findings("- [a] Tea is old.").max_tokens(77);
  const auto made = loop.run(critic.process(work));
  CHECK(made.depth == 0.5);
  REQUIRE(model.requests().size() == 1);
  const felix::chat_request& sent = model.requests().front();
  CHECK(sent.priority() == felix::request_priority::high);
  CHECK(sent.max_tokens() == 77);
  CHECK(sent.messages().back().content.find("Tea is old.") != std::string::npos);
  CHECK_THROWS_AS(felix::agent_task{"x"}.at(1.5), felix::error);
  CHECK_THROWS_AS(felix::agent_task{"x"}.max_tokens(0), felix::error);
}
