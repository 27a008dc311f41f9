// SPDX-License-Identifier: MIT
// budget: the calibrated plan, its kinds of text, and what it says of itself.
#include <felix/budget/calibrated_estimator.hpp>

#include <felix/random.hpp>
#include "support/catch.hpp"

#include <limits>
#include <type_traits>

using felix::calibrated_estimator;
using felix::token_count;

static_assert(std::is_trivially_copyable_v<calibrated_estimator> && sizeof(calibrated_estimator) <= 1'024);

namespace {

felix::prompt_size prose(token_count bytes, int messages = 2) {
  return {.bytes = bytes, .text_bound = bytes + messages, .messages = messages};
}
felix::prompt_size code(token_count bytes) {
  auto size = prose(bytes);
  size.symbol_bytes = bytes / 4;
  return size;
}
felix::prompt_size world(token_count bytes) {
  auto size = prose(bytes);
  size.non_ascii_bytes = bytes;
  return size;
}
// 8 answers with 5 tokens a message and `per_thousand` tokens for 1,000 bytes
void teach(calibrated_estimator& estimator, const felix::prompt_size& size, token_count per_thousand) {
  for (int answer = 0; answer < 8; ++answer)
    estimator.learn(size, per_thousand * size.bytes / 1'000 + 5 * size.messages);
}

}  // namespace

TEST_CASE("calibrated_estimator: the bound before eight answers", "[budget][calibrated_estimator]") {
  calibrated_estimator estimator;
  for (int answer = 0; answer < 7; ++answer) {
    CHECK(estimator.planned(prose(400)) == estimator.at_most(prose(400)));
    CHECK(estimator.confidence(prose(400)) == felix::estimate_confidence{.share = 1});
    estimator.learn(prose(1'000), 260);
  }
  CHECK(estimator.planned(prose(400)) == estimator.at_most(prose(400)));
  estimator.learn(prose(1'000), 260);
  CHECK(estimator.planned(prose(400)) == 110);  // 0.25 · 400 + 2 · 5
  CHECK(estimator.at_most(prose(400)) == 402);
  CHECK(estimator.answers_seen() == 8);
  CHECK(estimator.planned(prose(401)) == 111);  // rounded up
}

TEST_CASE("calibrated_estimator: what the answers differ by is allowed for", "[budget][calibrated_estimator]") {
  calibrated_estimator estimator;
  for (int answer = 0; answer < 8; ++answer) estimator.learn(prose(1'000), 210 + (answer % 2) * 100);
  // 0.25 ± 0.05: s = 0.05345, 2.998 · s · √(9/8) = 0.16997
  CHECK(estimator.planned(prose(1'000)) == 420 + 10);
}

TEST_CASE("calibrated_estimator: says what its confidence holds for", "[budget][calibrated_estimator]") {
  calibrated_estimator estimator;
  teach(estimator, prose(1'000), 250);
  CHECK(estimator.confidence(prose(400)).statement() == "confidence 99 % for text like the last 8");
  for (int answer = 0; answer < 100; ++answer) estimator.learn(prose(1'000), 260);
  CHECK(estimator.confidence(prose(400)).statement() == "confidence 99 % for text like the last 64");
  CHECK(estimator.confidence(world(400)).statement() == "confidence 100 %");  // the bound
}

TEST_CASE("calibrated_estimator: each kind of text has its own ratio", "[budget][calibrated_estimator]") {
  calibrated_estimator estimator;
  teach(estimator, prose(1'000), 250);
  CHECK(estimator.planned(code(1'000)) == estimator.at_most(code(1'000)));
  CHECK(estimator.planned(world(1'000)) == estimator.at_most(world(1'000)));
  teach(estimator, code(1'000), 375);
  teach(estimator, world(1'000), 625);
  CHECK(estimator.planned(prose(1'000)) == 260);
  CHECK(estimator.planned(code(1'000)) == 385);
  CHECK(estimator.planned(world(1'000)) == 635);
}

TEST_CASE("calibrated_estimator: never above the bound", "[budget][calibrated_estimator]") {
  calibrated_estimator estimator;
  for (int answer = 0; answer < 8; ++answer) estimator.learn(prose(10), 30 + 30 * answer);
  CHECK(estimator.planned(prose(1'000)) == estimator.at_most(prose(1'000)));
  calibrated_estimator dense;
  for (int answer = 0; answer < 9; ++answer) dense.learn(prose(1'000), 1'009);  // a template of 7 is seen, not of 10
  CHECK(dense.planned(prose(1'000)) == dense.at_most(prose(1'000)));
  CHECK(dense.confidence(prose(1'000)).share == 1);
}

TEST_CASE("calibrated_estimator: images are in no ratio", "[budget][calibrated_estimator]") {
  calibrated_estimator estimator;
  teach(estimator, prose(1'000), 250);
  auto image = prose(1'000);
  image.images = 1;
  CHECK(estimator.planned(image) == 260 + 2'048);
  estimator.learn(image, 900);
  CHECK(estimator.planned(image) == 260 + 900);
  CHECK(estimator.planned(prose(1'000)) == 260);
}

TEST_CASE("calibrated_estimator: an answer without usage, or to no text, teaches nothing",
          "[budget][calibrated_estimator]") {
  calibrated_estimator estimator;
  for (int answer = 0; answer < 8; ++answer) {
    estimator.learn(prose(100), 0);
    estimator.learn(prose(100), -3);
    estimator.learn(prose(0), 40);
  }
  CHECK(estimator.planned(prose(100)) == estimator.at_most(prose(100)));
  CHECK(estimator.answers_seen() == 0);
}

TEST_CASE("calibrated_estimator: a server that counts more", "[budget][calibrated_estimator]") {
  calibrated_estimator estimator;
  teach(estimator, prose(1'000), 250);
  estimator.learn(prose(1'000), 1'300);
  CHECK(estimator.one_at_a_time());
  CHECK(estimator.at_most(prose(1'000)) == 1'954);  // ⌈1.95 · 1,002⌉
  CHECK(estimator.planned(prose(1'000)) > 260);
  CHECK(estimator.planned(prose(1'000)) <= 1'954);
}

TEST_CASE("calibrated_estimator: the bound is the one it was given", "[budget][calibrated_estimator]") {
  calibrated_estimator estimator{felix::prompt_bound{felix::template_allowance::always}};
  teach(estimator, prose(1'000), 250);
  CHECK(estimator.at_most(prose(10)) == 12 + 160);
}

TEST_CASE("calibrated_estimator: nonsense overflows nothing", "[budget][calibrated_estimator]") {
  constexpr auto most = std::numeric_limits<token_count>::max();
  calibrated_estimator estimator;
  for (int answer = 0; answer < 8; ++answer) estimator.learn(prose(1), most);
  CHECK(estimator.planned({.bytes = most, .text_bound = most, .messages = 1, .images = 2'000'000'000}) ==
        felix::prompt_bound::highest);
  teach(estimator, code(1'000), 250);
  auto image = code(1'000);
  image.images = 2'000'000'000;
  CHECK(estimator.planned(image) <= estimator.at_most(image));
}
