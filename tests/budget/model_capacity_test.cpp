// SPDX-License-Identifier: MIT
#include <felix/budget/model_capacity.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <limits>

using felix::model_capacity;
using namespace std::chrono_literals;

namespace {

constexpr auto most = std::numeric_limits<felix::token_count>::max();
constexpr auto least = std::numeric_limits<felix::token_count>::min();
constexpr model_capacity small{.context_tokens = 500};
constexpr model_capacity slow{.tokens_per_second = 20};

}  // namespace

TEST_CASE("model_capacity: what is not known limits nothing", "[budget][model_capacity]") {
  STATIC_REQUIRE(model_capacity{}.answer_tokens(200, most) == 200);
  STATIC_REQUIRE(model_capacity{}.answer_tokens(200, 100, 0ns) == 200);
  STATIC_REQUIRE(small.answer_tokens(10, 0, 0ns) == 10);      // its speed is not known
  STATIC_REQUIRE(slow.answer_tokens(200, most, 10s) == 200);  // its context is not known, and it has just the time
  STATIC_REQUIRE(slow.answer_tokens(most, 100) == most);      // for ever
}

TEST_CASE("model_capacity: an answer takes half of what the prompt leaves of the context", "[budget][model_capacity]") {
  STATIC_REQUIRE(small.answer_tokens(200, 100) == 200);  // just
  STATIC_REQUIRE(small.answer_tokens(200, 102) == 199);
  STATIC_REQUIRE(small.answer_tokens(200, 300) == 100);
  STATIC_REQUIRE(small.answer_tokens(200, 499) == 0);
  STATIC_REQUIRE(small.answer_tokens(200, 500) == 0);
  STATIC_REQUIRE(small.answer_tokens(200, most) == 0);
  STATIC_REQUIRE(small.answer_tokens(400, least) == 250);  // no prompt is shorter than none
}

TEST_CASE("model_capacity: an answer is no longer than there is time to write it", "[budget][model_capacity]") {
  STATIC_REQUIRE(slow.answer_tokens(200, 100, 5s) == 100);
  STATIC_REQUIRE(slow.answer_tokens(200, 100, 49ms) == 0);
  STATIC_REQUIRE(slow.answer_tokens(200, 100, -5s) == 0);
  STATIC_REQUIRE(model_capacity{.context_tokens = 500, .tokens_per_second = 20}.answer_tokens(200, 300, 3s) == 60);
}

TEST_CASE("model_capacity: nothing is wanted", "[budget][model_capacity]") {
  STATIC_REQUIRE(model_capacity{}.answer_tokens(-5, 0) == 0);
  STATIC_REQUIRE(slow.answer_tokens(0, 0, 5s) == 0);
}
