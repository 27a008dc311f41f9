// SPDX-License-Identifier: MIT
#include <felix/llm/prompt_size_of.hpp>

#include "support/catch.hpp"

#include <string>

using felix::chat_request;
using felix::prompt_size;
using felix::prompt_size_of;

TEST_CASE("prompt_size_of: all that a server makes tokens of", "[llm][prompt_size_of]") {
  const prompt_size texts = prompt_size_of(chat_request{}.system("terse").user("a river", "in the north"));
  CHECK(texts.bytes == 5 + 7 + 12);
  CHECK(texts.messages == 2);
  CHECK(texts.text_bound >= texts.bytes);

  const prompt_size picture = prompt_size_of(chat_request{}.user("what?", felix::image::from_url("http://a.b/c.png")));
  CHECK(picture.images == 1);
  CHECK(picture.bytes == 5);

  const std::string schema = R"({"type":"object","properties":{"city":{"type":"string"}}})";
  const prompt_size tools = prompt_size_of(chat_request{}.user("w").tool({"weather", "of a city", schema}));
  CHECK(tools.tools == 1);
  CHECK(tools.text_bound > static_cast<felix::token_count>(2 * schema.size()));

  const prompt_size calls = prompt_size_of(chat_request{}
                                               .user("w")
                                               .assistant("", {{.id = "c1", .name = "weather", .arguments = "{}"}})
                                               .tool_result("c1", "rain"));
  CHECK(calls.messages == 3);
  CHECK(calls.bytes == 1 + 2 + 7 + 2 + 4 + 2);

  const prompt_size formed = prompt_size_of(chat_request{}.user("w").json_schema("place", schema));
  CHECK(formed.bytes == static_cast<felix::token_count>(1 + 5 + schema.size()));
}
