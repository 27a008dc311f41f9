// SPDX-License-Identifier: MIT
#include <felix/llm/detail/request_body.hpp>

#include <felix/llm/detail/json_element.hpp>
#include "support/catch.hpp"

#include <string>
#include <string_view>

using Catch::Matchers::ContainsSubstring;

namespace {

std::string encode(const felix::chat_request& request, std::string_view model = "m",
                   const felix::dialect& spoken = felix::dialects::plain) {
  return felix::detail::request_body::of(request, spoken, model, false);
}

}  // namespace

TEST_CASE("request_body: what is written can be read back by the parser", "[llm][request_body]") {
  std::string text;
  for (unsigned char c = 0; c < 128; ++c) text += static_cast<char>(c);
  text += "ß€🙂";
  const auto body =
      encode(felix::chat_request{}.system(text).user("u\"").temperature(0.1).max_tokens(7).seed(3), "model\"x");
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  REQUIRE(parser.parse(body).get(root) == simdjson::SUCCESS);
  std::string_view got;
  REQUIRE(root["messages"].at(0)["content"].get(got) == simdjson::SUCCESS);
  CHECK(got == text);
  REQUIRE(root["model"].get(got) == simdjson::SUCCESS);
  CHECK(got == "model\"x");
  CHECK(root["temperature"].get_double().value() == 0.1);
  CHECK(root["max_tokens"].get_int64().value() == 7);
  CHECK(root["seed"].get_int64().value() == 3);
  CHECK(root["stream"].get_bool().value() == false);
}

TEST_CASE("request_body: what was not asked for is not sent, and no messages are refused", "[llm][request_body]") {
  const auto body = encode(felix::chat_request{}.user("x"), "m");
  CHECK(body == R"({"model":"m","messages":[{"role":"user","content":"x"}],"stream":false})");
  CHECK_THAT(encode(felix::chat_request{}.user("x").model("other"), "m"), ContainsSubstring(R"("model":"other")"));
  CHECK_THROWS_AS(encode(felix::chat_request{}, "m"), felix::error);
}
