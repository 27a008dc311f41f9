// SPDX-License-Identifier: MIT
// agent: what an agent gives back says nothing until it has answered.
#include <felix/agent/contribution.hpp>

#include "support/catch.hpp"

TEST_CASE("contribution: is blank at first, and called no tools", "[agent][contribution]") {
  const felix::contribution none;
  CHECK(none.agent.empty());
  CHECK(none.text.empty());
  CHECK(none.stage == 1);
  CHECK(none.confidence == 0);
  CHECK_FALSE(none.final_text);
  CHECK(none.tool_calls.empty());
  CHECK(none.tools_ended_by == felix::tool_loop_end::answered);
  CHECK(none.finish_reason == felix::finish_reason::stop);
}
