// SPDX-License-Identifier: MIT
// budget: what tokens cost, which model a price is for, and how a list of prices is read.
#include <felix/budget/price.hpp>

#include <felix/error.hpp>
#include <felix/random.hpp>
#include "support/catch.hpp"

#include <limits>
#include <string>

using felix::model_price;
using felix::money;
using felix::price_table;
using felix::token_count;
using felix::token_usage;

namespace {

constexpr auto most = std::numeric_limits<token_count>::max();
constexpr model_price mini{.prompt = "0.15", .answer = "0.60", .cached_prompt = "0.075"};

static_assert(mini.cost({.prompt_tokens = 1'000'000}) == money{"0.15"});

token_usage used(token_count prompt, token_count answer, token_count cached = 0) {
  return {.prompt_tokens = prompt,
          .completion_tokens = answer,
          .total_tokens = prompt + answer,
          .cached_prompt_tokens = cached};
}
std::int64_t nanos(const model_price& price, const token_usage& usage) { return price.cost(usage).nano_units(); }

std::string refusal_of(std::string_view text) {
  try {
    (void)price_table::parse(text);
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_argument);
    return refused.what();
  }
  return "";
}

}  // namespace

TEST_CASE("model_price: prompt, cached prompt and answer each have their price", "[budget][price]") {
  CHECK(nanos(mini, used(1'000, 0)) == 150'000);
  CHECK(nanos(mini, used(0, 1'000)) == 600'000);
  CHECK(nanos(mini, used(1'000, 500, 400)) == 600 * 150 + 400 * 75 + 500 * 600);
  CHECK(nanos(mini, {}) == 0);
  const model_price without{.prompt = "0.15", .answer = "0.60"};
  CHECK(nanos(without, used(1'000, 500, 400)) == 1'000 * 150 + 500 * 600);
  CHECK(nanos({.prompt = "0.15", .answer = "0.60", .cached_prompt = "0"}, used(1'000, 0, 1'000)) == 0);
}

TEST_CASE("model_price: rounded up once a request", "[budget][price]") {
  const model_price fine{.prompt = "0.000000001", .answer = "0.000000001", .cached_prompt = "0.000000001"};
  CHECK(nanos(fine, used(1, 0)) == 1);
  CHECK(nanos(fine, used(500'000, 500'000)) == 1);
  CHECK(nanos(fine, used(500'000, 500'001)) == 2);
  CHECK(nanos(fine, used(600'000, 400'000, 300'000)) == 1);
  CHECK(nanos({.prompt = "0.0000015", .answer = "0"}, used(2, 0)) == 1);
  CHECK(nanos({.prompt = "0.1500005", .answer = "0"}, used(3, 0)) == 451);  // 450.0015
}

TEST_CASE("model_price: more cached tokens than the prompt has are no tokens", "[budget][price]") {
  CHECK(nanos(mini, used(100, 0, 500)) == 100 * 75);
  CHECK(nanos(mini, used(100, 0, -500)) == 100 * 150);
  CHECK(nanos(mini, used(-100, -100, 50)) == 0);
}

TEST_CASE("model_price: what only the total has is charged as the dearest", "[budget][price]") {
  auto thought = used(100, 100);
  thought.total_tokens = 250;
  CHECK(nanos(mini, thought) == 100 * 150 + 150 * 600);
  thought.total_tokens = 10;  // below its parts: they count
  CHECK(nanos(mini, thought) == 100 * 150 + 100 * 600);
  CHECK(nanos({.prompt = "2", .answer = "1"}, {.total_tokens = 10}) == 20'000);
  CHECK(nanos({.prompt = "2", .answer = "1", .cached_prompt = "3"}, {.total_tokens = 10}) == 30'000);
}

TEST_CASE("model_price: the worst cost of a reservation", "[budget][price]") {
  CHECK(mini.at_most(1'000, 500).nano_units() == 1'000 * 150 + 500 * 600);
  CHECK(mini.at_most(0, 0) == money{});
  CHECK(mini.at_most(-5, -5) == money{});
  const model_price dear_to_cache{.prompt = "1", .answer = "1", .cached_prompt = "1.25"};
  CHECK(dear_to_cache.at_most(1'000, 0).nano_units() == 1'250'000);
}

TEST_CASE("model_price: no usage within a reservation costs more than it", "[budget][price]") {
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    felix::seeded_random random{seed};
    const auto up_to = [&](token_count n) {
      return static_cast<token_count>(random.next() % static_cast<std::uint64_t>(n + 1));
    };
    const auto price = [&] { return money::of_nano_units(up_to(token_count{1} << (seed % 62))); };
    const model_price model{.prompt = price(), .answer = price(), .cached_prompt = price()};
    const token_count prompt = up_to(token_count{1} << (seed % 40)), answer = up_to(token_count{1} << (seed % 37));
    const token_count in_prompt = up_to(prompt), in_answer = up_to(answer);
    const auto usage = used(in_prompt, in_answer, up_to(in_prompt));
    CAPTURE(seed);
    CHECK(model.cost(usage) <= model.at_most(prompt, answer));
    // Exact: beside long double, which holds these products to 64 bits.
    const auto exact = (static_cast<long double>(in_prompt) * static_cast<long double>(model.prompt.nano_units()) +
                        static_cast<long double>(in_answer) * static_cast<long double>(model.answer.nano_units())) /
                       1e6L;
    const auto cost = static_cast<long double>(model.cost(used(in_prompt, in_answer)).nano_units());
    if (exact < 9e18L)
      CHECK(std::abs(cost - exact) <= 1.001L + exact * 1e-18L);
    else
      CHECK(cost > 9e18L);
  }
}

TEST_CASE("model_price: costs that do not fit stay at the most", "[budget][price]") {
  const model_price dear{.prompt = "8999999999", .answer = "8999999999"};
  CHECK(nanos(dear, used(most / 2, most / 2)) == most);
  CHECK(dear.at_most(most, most).nano_units() == most);
  CHECK(nanos(dear, {.prompt_tokens = most, .completion_tokens = most, .total_tokens = most}) == most);
  CHECK(nanos(dear, used(1'000'000, 0)) == 8'999'999'999'000'000'000);
  CHECK(nanos(dear, used(1'000'000, 1'000'000)) == most);
  CHECK(nanos({.prompt = "0.000000999", .answer = "0"}, used(most, 0)) ==
        9'214'148'664'817'922);  // ⌈999·(2^63-1)/10^6⌉
}

TEST_CASE("price_table: the longest name that a model begins with", "[budget][price]") {
  const price_table prices{{"gpt-4", {.prompt = "30", .answer = "60"}},
                           {"gpt-4o", {.prompt = "2.5", .answer = "10"}},
                           {"gpt-4o-mini", mini},
                           {"local/", {.prompt = "0", .answer = "0"}}};
  CHECK(prices.size() == 4);
  CHECK(prices.find("gpt-4o-mini-2024-07-18") == mini);
  CHECK(prices.find("gpt-4o-mini") == mini);
  CHECK(prices.find("gpt-4o-2024-08-06")->prompt == money{"2.5"});
  CHECK(prices.find("gpt-4-0613")->prompt == money{"30"});
  for (const char* model : {"gpt-4:x", "gpt-4@x", "gpt-4/x", "gpt-4_x"})
    CHECK(prices.find(model)->prompt == money{"30"});
  CHECK(prices.find("local/llama-3")->answer == money{});
}

TEST_CASE("price_table: a model that is not in it has no price, and not 0", "[budget][price]") {
  const price_table prices{{"gpt-4", {.prompt = "30", .answer = "60"}}};
  for (const char* model : {"", "gpt", "gpt-", "gpt-4.1", "gpt-4o", "gpt-45", "GPT-4", "openai/gpt-4", "-"}) {
    CAPTURE(model);
    CHECK_FALSE(prices.find(model).has_value());
    CHECK_FALSE(prices.cost(model, used(1, 1)).has_value());
    CHECK_FALSE(prices.at_most(model, 1, 1).has_value());
  }
  CHECK(prices.cost("gpt-4", used(1'000, 0)) == money{"0.03"});
  CHECK(prices.at_most("gpt-4", 0, 1'000) == money{"0.06"});
  CHECK_FALSE(price_table{}.find("gpt-4").has_value());
}

TEST_CASE("price_table: a later price replaces an earlier one", "[budget][price]") {
  price_table prices{{"a", mini}};
  prices.add("a", {.prompt = "1", .answer = "1"}).add("b", mini);
  CHECK(prices.find("a")->prompt == money{"1"});
  CHECK(prices.size() == 2);
  CHECK_THROWS_AS(prices.add("", mini), felix::error);
}

TEST_CASE("price_table: read from text", "[budget][price]") {
  const auto prices = price_table::parse(
      "\xEF\xBB\xBF# dollars per million tokens\n"
      "\n"
      "gpt-4o-mini  0.15 0.60\t0.075   # cached\r\n"
      "  local#1 0 0\n"
      "   # nothing\n"
      "last 1 2");
  CHECK(prices.size() == 3);
  CHECK(prices.find("gpt-4o-mini") == mini);
  CHECK(prices.find("local#1") == model_price{});
  CHECK(prices.find("last") == model_price{.prompt = "1", .answer = "2"});
  CHECK(price_table::parse("").size() == 0);
  CHECK(price_table::parse("\n\r\n # x").size() == 0);
}

TEST_CASE("price_table: an error names the line", "[budget][price]") {
  CHECK(refusal_of("# a\n\na 1\n") == "price_table, line 3: has 2 words; write: model prompt answer [cached]");
  CHECK(refusal_of("a 1 2 3 4") == "price_table, line 1: has 5 words; write: model prompt answer [cached]");
  CHECK(refusal_of("a 1 2\nb 1 0,15 2") ==
        "price_table, line 2: \"0,15\" is not a price; write a decimal number like 0.15");
  CHECK(refusal_of("a x 2") == "price_table, line 1: \"x\" is not a price; write a decimal number like 0.15");
  CHECK(refusal_of("a 1 2 x") == "price_table, line 1: \"x\" is not a price; write a decimal number like 0.15");
  CHECK(refusal_of("a 1 2#3") == "price_table, line 1: \"2#3\" is not a price; write a decimal number like 0.15");
  CHECK(refusal_of("a 1 2\n\na 1 2\n") == "price_table, line 3: \"a\" has a price already; remove one");
  CHECK(refusal_of("a 1 \x1B[2J") == "price_table, line 1: \"[2J\" is not a price; write a decimal number like 0.15");
  CHECK(refusal_of("a 1 " + std::string(1'000, 'z')).size() < 150);
  CHECK(refusal_of("\n\xEF\xBB\xBF# x").size() > 0);  // a mark is one at the beginning only
}
