// SPDX-License-Identifier: MIT
#include <felix/llm/chat.hpp>

#include "support/catch.hpp"

#include <limits>
#include <type_traits>

using felix::chat_request;

static_assert(!std::is_aggregate_v<chat_request>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<felix::chat_response>, "g++ 12 would destroy it twice");
static_assert(std::is_same_v<decltype(chat_request{}.user("x")), chat_request>,
              "a temporary gives a value: nothing dangles");
static_assert(std::is_same_v<decltype(std::declval<chat_request&>().user("x")), chat_request&>);

TEST_CASE("chat_request: is built fluently, and is a value", "[llm][chat]") {
  auto request = chat_request{}.system("s").user("u").max_tokens(150).temperature(0.7).seed(7).model("m").priority(
      felix::request_priority::high);
  CHECK(request.messages().size() == 2);
  CHECK(request.messages()[0].role == felix::chat_role::system);
  CHECK(request.max_tokens() == 150);
  CHECK(request.temperature() == 0.7);
  CHECK(request.seed() == 7U);
  CHECK(request.model() == "m");
  CHECK(request.priority() == felix::request_priority::high);
  const auto copy = request;
  request.assistant("a").user("again");
  CHECK(request.messages().size() == 4);
  CHECK(copy.messages().size() == 2);
}

TEST_CASE("chat_request: what no server understands is refused where it is written", "[llm][chat]") {
  CHECK_THROWS_AS(chat_request{}.max_tokens(0), felix::error);  // "no limit" to some servers, one token to others
  CHECK_THROWS_AS(chat_request{}.max_tokens(-1), felix::error);
  for (double bad : {-0.1, 2.1, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    CHECK_THROWS_AS(chat_request{}.temperature(bad), felix::error);
  CHECK(chat_request{}.temperature(0.0).temperature() == 0.0);
  CHECK(chat_request{}.temperature(2.0).temperature() == 2.0);
  CHECK(*chat_request{}.seed(~std::uint64_t{0}).seed() == 0x7fffffffU);
}

TEST_CASE("chat: names of roles and reasons are those of the wire", "[llm][chat]") {
  CHECK(to_string(felix::chat_role::assistant) == "assistant");
  CHECK(to_string(felix::finish_reason::length) == "length");
}
