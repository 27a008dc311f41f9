// SPDX-License-Identifier: MIT
#include <felix/agent/post_message.hpp>

#include "support/catch.hpp"

TEST_CASE("post_message: is blank until something is published", "[agent][post_message]") {
  const felix::post_message none;
  CHECK(none.from.empty());
  CHECK(none.finding.empty());
  CHECK(none.confidence == 0);
  CHECK(none.order == 0);
}
