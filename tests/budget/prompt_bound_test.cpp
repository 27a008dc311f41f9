// SPDX-License-Identifier: MIT
// budget: the worst case of a prompt, and what a server that counts more does to it.
#include <felix/budget/prompt_bound.hpp>

#include "support/catch.hpp"

#include <limits>
#include <type_traits>

using felix::prompt_bound;
using felix::token_count;

static_assert(std::is_trivially_copyable_v<prompt_bound>);

namespace {

felix::prompt_size sized(token_count bytes, int messages = 1) {
  return {.bytes = bytes, .text_bound = bytes + 1, .messages = messages};
}
felix::prompt_size with_images(token_count bytes, int images) {
  auto size = sized(bytes);
  size.images = images;
  return size;
}

}  // namespace

TEST_CASE("prompt_bound: plans with its bound", "[budget][prompt_bound]") {
  prompt_bound bound;
  CHECK(bound.at_most(sized(100, 2)) == 101 + 2 * 16 + 128);
  CHECK(bound.planned(sized(100, 2)) == bound.at_most(sized(100, 2)));
  CHECK(bound.confidence(sized(100)).share == 1);
  bound.learn(sized(100), 40);
  CHECK(bound.at_most(sized(100, 2)) == 101);
  CHECK(bound.planned(sized(100, 2)) == 101);
  CHECK(bound.answers_seen() == 1);
}

TEST_CASE("prompt_bound: a template may be allowed for always", "[budget][prompt_bound]") {
  prompt_bound bound{felix::template_allowance::always};
  bound.learn(sized(1'000), 300);
  CHECK(bound.at_most(sized(2)) == 3 + 144);  // "Hi" in a template of 30 tokens
  CHECK(bound.at_most(sized(2, 3)) == 3 + 48 + 128);
  bound.learn(sized(2), 103);
  CHECK(bound.at_most(sized(2)) == 3 + 200);  // twice what was seen is more
  for (int answer = 0; answer < 8; ++answer) bound.learn(sized(2), 103);
  CHECK(bound.at_most(sized(2)) == 3 + 144);
}

TEST_CASE("prompt_bound: a tokenizer that is worse than the bound", "[budget][prompt_bound]") {
  prompt_bound bound;
  CHECK(bound.tokens_per_byte() == 1);
  bound.learn(sized(1'000), 1'300);  // above 1,001 + 144
  CHECK(bound.one_at_a_time());
  CHECK(bound.tokens_per_byte() == Approx(1.95));
  CHECK(bound.at_most(sized(1'000)) == 1'952);  // ⌈1.95 · 1,001⌉, and no template
  CHECK(bound.template_tokens() == 0);
  CHECK(bound.at_most(sized(10'000)) == 19'502);

  SECTION("until eight are within, one request at a time") {
    for (int answer = 0; answer < 7; ++answer) bound.learn(sized(1'000), 1'952);
    CHECK(bound.one_at_a_time());
    bound.learn(sized(1'000), 1'400);
    CHECK_FALSE(bound.one_at_a_time());
    CHECK(bound.at_most(sized(1'000)) == 1'952);  // what was seen is not forgotten
  }
  SECTION("one that is not within starts the eight anew, and raises it again") {
    for (int answer = 0; answer < 7; ++answer) bound.learn(sized(1'000), 1'400);
    bound.learn(sized(1'000), 4'000);
    CHECK(bound.tokens_per_byte() == Approx(6));
    for (int answer = 0; answer < 7; ++answer) bound.learn(sized(1'000), 4'000);
    CHECK(bound.one_at_a_time());
    bound.learn(sized(1'000), 4'000);
    CHECK_FALSE(bound.one_at_a_time());
  }
  SECTION("an answer without usage is none of the eight") {
    for (int answer = 0; answer < 20; ++answer) bound.learn(sized(1'000), 0);
    CHECK(bound.one_at_a_time());
  }
}

TEST_CASE("prompt_bound: what can grow is raised with the rest", "[budget][prompt_bound]") {
  prompt_bound bound;
  bound.learn(sized(1'000), 1'300);
  CHECK(bound.at_most({.bytes = 100, .text_bound = 301, .messages = 1}) == 587);  // ⌈1.95 · 301⌉
}

TEST_CASE("prompt_bound: what a template can be is the template's", "[budget][prompt_bound]") {
  prompt_bound bound;
  bound.learn(sized(100), 101 + 144);
  CHECK(bound.tokens_per_byte() == 1);
  CHECK(bound.template_tokens() == 144);
  CHECK_FALSE(bound.one_at_a_time());
  bound.learn(sized(100), 101 + 288);  // twice 144 were allowed for
  CHECK(bound.tokens_per_byte() == 1);
  CHECK(bound.template_tokens() == 288);
  CHECK_FALSE(bound.one_at_a_time());
  bound.learn(sized(100), 101 + 577);  // twice 288 were
  CHECK(bound.one_at_a_time());
  CHECK(bound.tokens_per_byte() == Approx(1.5 * 678 / 100));
  CHECK(bound.template_tokens() == 288);
}

TEST_CASE("prompt_bound: a template that the first answer did not show counts as above the bound once",
          "[budget][prompt_bound]") {
  prompt_bound bound;
  bound.learn(sized(1'000), 300);
  bound.learn(sized(2), 33);
  CHECK(bound.one_at_a_time());
  CHECK(bound.tokens_per_byte() == 1);
  CHECK(bound.at_most(sized(2)) == 3 + 60);
}

TEST_CASE("prompt_bound: eleven tokens a byte are the worst tokenizer, the rest is a template",
          "[budget][prompt_bound]") {
  prompt_bound bound;
  bound.learn(sized(100), 1'099);
  CHECK(bound.tokens_per_byte() == Approx(16.485));
  prompt_bound most;
  most.learn(sized(100), 1'109);
  CHECK(most.tokens_per_byte() == 16.5);
  prompt_bound beyond;
  beyond.learn(sized(2), 5'000);  // a long system text around "Hi"
  CHECK(beyond.tokens_per_byte() == 16.5);
  CHECK(beyond.template_tokens() == 5'000 - 50);  // ⌈16.5 · 3⌉
  CHECK(beyond.at_most(sized(2)) == 50 + 2 * 4'950);
}

TEST_CASE("prompt_bound: an image is 2,048 tokens until usage tells", "[budget][prompt_bound]") {
  prompt_bound bound;
  CHECK(bound.at_most(with_images(100, 3)) == 101 + 144 + 3 * 2'048);
  CHECK(bound.planned_images(with_images(100, 3)) == 3 * 2'048);
  bound.learn(with_images(100, 3), 2'000);
  CHECK(bound.image_tokens() == 667);                                // rounded up
  CHECK(bound.at_most(with_images(100, 1)) == 101 + 144 + 2 * 667);  // no template is seen yet
  CHECK(bound.answers_seen() == 0);
  for (int answer = 0; answer < 8; ++answer) bound.learn(with_images(100, 1), 300);
  CHECK(bound.at_most(with_images(100, 2)) == 101 + 144 + 2 * 667);
  CHECK_FALSE(bound.one_at_a_time());
  bound.learn(with_images(100, 1), 9'000);
  CHECK(bound.one_at_a_time());
  CHECK(bound.tokens_per_byte() == 1);
  CHECK(bound.image_tokens() == 9'000);
}

TEST_CASE("prompt_bound: an image alone teaches, nothing at all does not", "[budget][prompt_bound]") {
  prompt_bound bound;
  felix::prompt_size image;
  image.images = 1;
  bound.learn(image, 300);
  CHECK(bound.image_tokens() == 300);
  bound.learn({}, 5'000);
  bound.learn(image, -1);
  CHECK(bound.answers_seen() == 0);
  CHECK_FALSE(bound.one_at_a_time());
}

TEST_CASE("prompt_bound: nonsense overflows nothing", "[budget][prompt_bound]") {
  constexpr auto most = std::numeric_limits<token_count>::max();
  prompt_bound bound;
  auto size = with_images(most - 1, std::numeric_limits<int>::max());
  CHECK(bound.at_most(size) == prompt_bound::highest);
  bound.learn(with_images(1, std::numeric_limits<int>::max()), most);
  bound.learn(with_images(1, 1), most);
  CHECK(bound.at_most(size) == prompt_bound::highest);
  CHECK(bound.planned_images(size) == prompt_bound::highest);
  bound.learn(sized(1), most);
  CHECK(bound.at_most(sized(1)) == prompt_bound::highest);
  CHECK(bound.at_most(sized(most - 1)) == prompt_bound::highest);
  prompt_bound worse;
  worse.learn(sized(100), 1'100);
  CHECK(worse.at_most(sized(prompt_bound::highest / 4)) == prompt_bound::highest);
}
