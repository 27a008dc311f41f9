// SPDX-License-Identifier: MIT
#include <felix/llm/chat_message.hpp>

#include "support/catch.hpp"

TEST_CASE("chat_message: roles are written as servers read them", "[llm][chat_message]") {
  CHECK(to_string(felix::chat_role::system) == "system");
  CHECK(to_string(felix::chat_role::user) == "user");
  CHECK(to_string(felix::chat_role::assistant) == "assistant");
  CHECK(to_string(felix::chat_role::tool) == "tool");
}

TEST_CASE("chat_message: calls are equal when all of them is", "[llm][chat_message]") {
  const felix::tool_call call{"id", "name", "{}"};
  CHECK(call == felix::tool_call{"id", "name", "{}"});
  CHECK_FALSE(call == felix::tool_call{"id", "name", ""});
}
