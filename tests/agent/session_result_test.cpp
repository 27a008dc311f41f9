// SPDX-License-Identifier: MIT
#include <felix/agent/session_result.hpp>

#include "support/catch.hpp"

TEST_CASE("session_result: says nothing before there is anything to say", "[agent][session_result]") {
  const felix::session_result none;
  CHECK_FALSE(none.complete);
  CHECK_FALSE(none.accepted);
  CHECK(none.final_text.empty());
  CHECK(none.usage == felix::token_usage{});
  CHECK(felix::agent_report{}.state == felix::agent_state::waiting);
}
