// SPDX-License-Identifier: MIT
#include <felix/agent/post_message.hpp>

#include "support/catch.hpp"

TEST_CASE("post_message: is blank until something is published", "[agent][post_message]") {
  const felix::post_message none;
  CHECK(none.from.empty());
  CHECK(none.text.empty());
  CHECK(none.confidence == 0);
  CHECK(none.order == 0);
  CHECK(none.type == felix::message_type::status_update);
  CHECK(none.urgency == felix::request_priority::normal);
  CHECK(to_string(none.type) == "status_update");
  CHECK(to_string(felix::message_type::error_report) == "error_report");
}
