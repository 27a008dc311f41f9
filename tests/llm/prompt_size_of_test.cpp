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
  CHECK(tools.text_bound == prompt_size{}.add("w").add_tool("weather", "of a city", schema).text_bound);
  CHECK(tools.bytes == static_cast<felix::token_count>(1 + 7 + 9 + schema.size()));

  const prompt_size calls =
      prompt_size_of(chat_request{}
                         .user("w")
                         .assistant("", {{.id = "c1", .name = "weather", .arguments = R"({"a":[1]})"}})
                         .tool_result("c1", "rain"));
  CHECK(calls.messages == 3);
  CHECK(calls.bytes == 1 + 2 + 7 + 9 + 4 + 2);
  const prompt_size as_texts =
      prompt_size{}.add("w").add("").add_part("c1").add_part("weather").add("rain").add_part("c1");
  CHECK(calls.text_bound == as_texts.text_bound + prompt_size{}.add_json(R"({"a":[1]})").text_bound);

  const prompt_size formed = prompt_size_of(chat_request{}.user("w").json_schema("place", schema));
  CHECK(formed.bytes == static_cast<felix::token_count>(1 + 5 + schema.size()));
  CHECK(formed.text_bound == prompt_size{}.add("w").add_part("place").add_json(schema).text_bound);
}
