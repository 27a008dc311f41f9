// SPDX-License-Identifier: MIT
#include <felix/llm/chat_response.hpp>

#include "support/catch.hpp"

#include <type_traits>

static_assert(!std::is_aggregate_v<felix::chat_response>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<felix::chat_delta>, "g++ 12 would destroy it twice");

TEST_CASE("chat_response: has one answer from the start, and others as they are named", "[llm][chat_response]") {
  felix::chat_response answer{"first"};
  CHECK(answer.choices().size() == 1);
  CHECK(answer.finish_reason() == felix::finish_reason::stop);
  answer.choice(2).text = "third";
  REQUIRE(answer.choices().size() == 3);
  CHECK(answer.text() == "first");
  CHECK(answer.choices()[1].text.empty());
  CHECK(answer.choices()[2].text == "third");
  CHECK_FALSE(answer.timing_of_server());
}

TEST_CASE("chat_response: a whole choice is one delta", "[llm][chat_response]") {
  felix::chat_choice choice{
      .text = "t", .reasoning = "r", .refusal = "n", .tool_calls = {{"a", "f", "{}"}, {"b", "g", ""}}};
  const auto delta = felix::as_delta(choice, 4);
  CHECK(delta.choice() == 4);
  CHECK(delta.text() == "t");
  CHECK(delta.reasoning() == "r");
  CHECK(delta.refusal() == "n");
  REQUIRE(delta.tool_calls().size() == 2);
  CHECK(delta.tool_calls()[1].index == 1);
  CHECK(delta.tool_calls()[1].name == "g");
  CHECK_FALSE(delta.empty());
  CHECK(felix::as_delta({}, 0).empty());
}

TEST_CASE("chat_response: the reasons of an end have names", "[llm][chat_response]") {
  CHECK(to_string(felix::finish_reason::length) == "length");
  CHECK(to_string(felix::finish_reason::tool_calls) == "tool_calls");
  CHECK(to_string(felix::finish_reason::content_filter) == "content_filter");
}
