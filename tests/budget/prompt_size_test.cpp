// SPDX-License-Identifier: MIT
// budget: what a prompt is made of.
#include <felix/budget/prompt_size.hpp>

#include "support/catch.hpp"
#include "support/utf8.hpp"

#include <string>
#include <string_view>

using felix::prompt_size;
using felix::text_kind;
using felix::test::utf8;

TEST_CASE("prompt_size: adds up texts and messages", "[budget][prompt_size]") {
  const auto size = prompt_size{}.add("You are terse.").add(utf8(0x0344)).add_part("[]").add("");
  CHECK(size.bytes == 14 + 2 + 2);
  CHECK(size.text_bound == 15 + 7 + 3 + 1);
  CHECK(size.messages == 3);
  CHECK(size.counted.tokens == 0);
}

TEST_CASE("prompt_size: JSON counts as a template may write it", "[budget][prompt_size]") {
  const auto size = prompt_size{}.add_json(R"({"a":"<"})");
  CHECK(size.bytes == 9);
  CHECK(size.text_bound == felix::json_token_bound(R"({"a":"<"})"));
  CHECK(size.messages == 0);
  CHECK(prompt_size{}.add_json("[]", 7).text_bound == felix::json_token_bound("[]", 7));
}

TEST_CASE("prompt_size: a tool is its texts, its frame, and once the instructions", "[budget][prompt_size]") {
  const std::string_view name = "weather", about = "Of a city", parameters = R"({"type":"object"})";
  const auto texts =
      felix::json_token_bound(name) + felix::json_token_bound(about) + felix::json_token_bound(parameters, 3);
  const auto one = prompt_size{}.add_tool(name, about, parameters);
  CHECK(one.bytes == 7 + 9 + 17);
  CHECK(one.tools == 1);
  CHECK(one.text_bound == texts + prompt_size::tool_instructions + prompt_size::tool_frame);
  CHECK(prompt_size{one}.add_tool(name, about, parameters).text_bound ==
        one.text_bound + texts + prompt_size::tool_frame);
}

TEST_CASE("prompt_size: images are no bytes", "[budget][prompt_size]") {
  const auto size = prompt_size{}.add("Which is older?").add_image().add_image();
  CHECK(size.images == 2);
  CHECK(size.bytes == 15);
  CHECK(size.text_bound == 16);
}

TEST_CASE("prompt_size: its kind is what an eighth of it is", "[budget][prompt_size]") {
  CHECK(prompt_size{}.kind() == text_kind::prose);
  CHECK(prompt_size{}.add("Why is the sky blue, and the sea?\n").kind() == text_kind::prose);
  CHECK(prompt_size{}.add("WHY IS THE SKY BLUE, AND THE SEA?").kind() == text_kind::prose);
  CHECK(prompt_size{}.add("for (int i = 0; i < n; ++i) sum += a[i];").kind() == text_kind::code);
  CHECK(prompt_size{}.add_json(R"({"type":"object"})").kind() == text_kind::code);
  CHECK(prompt_size{}.add("2026 1984 1066").kind() == text_kind::code);
  CHECK(prompt_size{}.add("\xE4\xBD\xA0\xE5\xA5\xBD").kind() == text_kind::world);
  CHECK(prompt_size{}.add("aaaaaaa+").kind() == text_kind::code);  // exactly an eighth
  CHECK(prompt_size{}.add("aaaaaaaaaaaaaaa+").kind() == text_kind::prose);
  CHECK(prompt_size{}.add("aaaaaaaaaaaaaa\xC3\xA4").kind() == text_kind::world);
  CHECK(prompt_size{}.add("aaaaaaaaaaaaaaaaaaaaaa\xC3\xA4").kind() == text_kind::prose);
  CHECK(prompt_size{}.add("a~\x7F{}@[`").kind() == text_kind::code);
}

TEST_CASE("prompt_size: what is added last is not all that counts", "[budget][prompt_size]") {
  const auto size = prompt_size{}.add("a+b\xC3\xA4").add("c=1\xC3\xA4\xC3\xA4");
  CHECK(size.symbol_bytes == 3);
  CHECK(size.non_ascii_bytes == 6);
}
