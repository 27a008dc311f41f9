// SPDX-License-Identifier: MIT
#include <felix/llm/chat_request.hpp>

#include <felix/llm/chat_response.hpp>

#include "support/catch.hpp"

#include <limits>
#include <type_traits>

using felix::chat_request;

static_assert(!std::is_aggregate_v<chat_request>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<felix::chat_response>, "g++ 12 would destroy it twice");
static_assert(std::is_same_v<decltype(chat_request{}.user("x")), chat_request>,
              "a temporary gives a value: nothing dangles");
static_assert(std::is_same_v<decltype(std::declval<chat_request&>().user("x")), chat_request&>);

TEST_CASE("chat_request: is built fluently, and is a value", "[llm][chat_request]") {
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

TEST_CASE("chat_request: what no server understands is refused where it is written", "[llm][chat_request]") {
  CHECK_THROWS_AS(chat_request{}.max_tokens(0), felix::error);  // "no limit" to some servers, one token to others
  CHECK_THROWS_AS(chat_request{}.max_tokens(-1), felix::error);
  for (double bad : {-0.1, 2.1, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    CHECK_THROWS_AS(chat_request{}.temperature(bad), felix::error);
  CHECK(chat_request{}.temperature(0.0).temperature() == 0.0);
  CHECK(chat_request{}.temperature(2.0).temperature() == 2.0);
  CHECK(*chat_request{}.seed(~std::uint64_t{0}).seed() == 0x7fffffffU);
}

TEST_CASE("chat_request: names of roles and reasons are those of the wire", "[llm][chat_request]") {
  CHECK(to_string(felix::chat_role::assistant) == "assistant");
  CHECK(to_string(felix::finish_reason::length) == "length");
}

TEST_CASE("chat_request: what no server could accept is refused by its setter", "[llm][chat_request]") {
  felix::chat_request request;
  CHECK_THROWS_AS(request.top_p(1.1), felix::error);
  CHECK_THROWS_AS(request.presence_penalty(-2.1), felix::error);
  CHECK_THROWS_AS(request.frequency_penalty(3), felix::error);
  CHECK_THROWS_AS(request.n(0), felix::error);
  CHECK_THROWS_AS(request.n(129), felix::error);
  CHECK_THROWS_AS(request.logprobs(21), felix::error);
  CHECK_THROWS_AS(request.stop(""), felix::error);
  for (int i = 0; i < 4; ++i) request.stop("s");
  CHECK_THROWS_AS(request.stop("s"), felix::error);
  CHECK_THROWS_AS(request.extra("", "1"), felix::error);
  for (const char* name : {"", "two words", "ümlaut"}) CHECK_THROWS_AS(request.tool({name}), felix::error);
  CHECK_THROWS_AS(request.tool({std::string(65, 'a')}), felix::error);
  CHECK_THROWS_AS(request.json_schema("", "{}"), felix::error);
}

TEST_CASE("chat_request: a copy has its own rare fields", "[llm][chat_request]") {
  const auto first = felix::chat_request{}.user("x").top_p(0.5).stop("a");
  auto second = first;
  second.top_p(0.9).stop("b").n(3);
  CHECK(first.top_p() == 0.5);
  CHECK(first.stop().size() == 1);
  CHECK(first.n() == 1);
  CHECK(second.stop().size() == 2);
  auto third = felix::chat_request{};
  third = second;
  CHECK(third.n() == 3);
  CHECK_FALSE(felix::chat_request{}.temperature().has_value());
  CHECK_FALSE(felix::chat_request{}.seed().has_value());
}

TEST_CASE("chat_request: copies share their texts until one is changed", "[llm][chat_request]") {
  const auto first = chat_request{}.user(std::string(10'000, 'x')).stop("end");
  chat_request second = first;
  CHECK(&second.messages().front() == &first.messages().front());
  CHECK(&second.stop() == &first.stop());
  second.user("more");
  CHECK(first.messages().size() == 1);
  CHECK(second.messages().size() == 2);
  CHECK(&second.stop() == &first.stop());
  CHECK(sizeof(chat_request) == sizeof(void*));  // a thousand of them may wait
}
