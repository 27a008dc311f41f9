// SPDX-License-Identifier: MIT
// budget: counts that a server gave beforehand, where they hold and where they do not.
#include <felix/budget/counted_estimator.hpp>

#include <felix/budget/calibrated_estimator.hpp>
#include "support/catch.hpp"

#include <limits>

using felix::counted_estimator;
using felix::prompt_count;
using felix::token_count;

namespace {

constexpr felix::server_key here = 7, elsewhere = 8;

felix::prompt_size sized(token_count bytes, int messages = 2) {
  return {.bytes = bytes, .text_bound = bytes + messages, .messages = messages};
}
felix::prompt_size whole(token_count tokens, felix::server_key by = here) {
  auto size = sized(1'000);
  size.counted = {.tokens = tokens, .of = prompt_count::scope::whole, .by = by};
  return size;
}
felix::prompt_size texts(token_count tokens, int messages = 2, felix::server_key by = here) {
  auto size = sized(1'000, messages);
  size.counted = {.tokens = tokens, .of = prompt_count::scope::texts, .by = by};
  return size;
}

}  // namespace

TEST_CASE("counted_estimator: without a count, what the other says", "[budget][counted_estimator]") {
  counted_estimator estimator{here};
  felix::prompt_estimator other;
  for (const token_count answer : {300, 400, 1'500}) {
    CHECK(estimator.planned(sized(1'000)) == other.planned(sized(1'000)));
    CHECK(estimator.at_most(sized(1'000)) == other.at_most(sized(1'000)));
    CHECK(estimator.confidence(sized(1'000)) == other.confidence(sized(1'000)));
    CHECK(estimator.one_at_a_time() == other.one_at_a_time());
    CHECK(estimator.answers_seen() == other.answers_seen());
    estimator.learn(sized(1'000), answer);
    other.learn(sized(1'000), answer);
  }
  CHECK(estimator.one_at_a_time());
}

TEST_CASE("counted_estimator: the count of a whole prompt is plan and bound", "[budget][counted_estimator]") {
  counted_estimator estimator{here};
  CHECK(estimator.planned(whole(250)) == 250);
  CHECK(estimator.at_most(whole(250)) == 250);
  CHECK(estimator.confidence(whole(250)).share == 1);
  estimator.learn(whole(250), 250);
  CHECK(estimator.at_most(whole(260)) == 260);
  CHECK_FALSE(estimator.one_at_a_time());
  CHECK(estimator.answers_seen() == 1);
  CHECK(estimator.at_most(whole(2'000)) == 2'000);  // above the bound of the text: the server knows
}

TEST_CASE("counted_estimator: another server's count plans, and does not bound", "[budget][counted_estimator]") {
  counted_estimator estimator{here};
  CHECK(estimator.planned(whole(250, elsewhere)) == 250);
  CHECK(estimator.at_most(whole(250, elsewhere)) == 1'002 + 160);
  CHECK(estimator.planned(whole(5'000, elsewhere)) == 1'002 + 160);
  CHECK(estimator.confidence(whole(250, elsewhere)) == felix::estimate_confidence{});
  CHECK(estimator.at_most(whole(250, 0)) == 1'002 + 160);
  CHECK(counted_estimator{0}.at_most(whole(250, 0)) == 1'002 + 160);  // no name is nobody's
  estimator.learn(whole(250, elsewhere), 300);                        // nor does it show that a count was wrong
  CHECK(estimator.at_most(whole(250)) == 250);
}

TEST_CASE("counted_estimator: what an answer is above the count is added from then on", "[budget][counted_estimator]") {
  counted_estimator estimator{here};
  estimator.learn(whole(250), 262);
  CHECK(estimator.one_at_a_time());
  CHECK(estimator.at_most(whole(250)) == 250 + 2 * 12);
  CHECK(estimator.planned(whole(250)) == 262);
  for (int answer = 0; answer < 7; ++answer) estimator.learn(whole(250), 262);
  CHECK(estimator.one_at_a_time());
  estimator.learn(whole(250), 262);
  CHECK_FALSE(estimator.one_at_a_time());
  CHECK(estimator.at_most(whole(250)) == 262);
}

TEST_CASE("counted_estimator: counted texts lack the template", "[budget][counted_estimator]") {
  counted_estimator estimator{here};
  CHECK(estimator.planned(texts(250)) == 250 + 2 * 5);
  CHECK(estimator.at_most(texts(250)) == 250 + 2 * 16 + 128);
  CHECK(estimator.confidence(texts(250)) == felix::estimate_confidence{});
  estimator.learn(texts(250), 280);  // 30
  CHECK(estimator.planned(texts(250)) == 280);
  CHECK(estimator.at_most(texts(250)) == 250 + 2 * 30 + 2);              // twice, and a token a message
  CHECK(estimator.at_most(texts(250, 5)) == 250 + 2 * 30 + 5 + 3 * 16);  // three messages more than seen
  for (int answer = 0; answer < 8; ++answer) estimator.learn(texts(250), 279);
  CHECK(estimator.at_most(texts(250)) == 250 + 30 + 2);
  CHECK_FALSE(estimator.one_at_a_time());
  estimator.learn(texts(250, 5), 250 + 40);
  CHECK(estimator.at_most(texts(250, 5)) == 250 + 2 * 40 + 5);
  CHECK(estimator.at_most(texts(250, 2)) == 250 + 2 * 40 + 2);
  CHECK(estimator.at_most(whole(250)) == 250);  // another kind of count
}

TEST_CASE("counted_estimator: an answer without usage teaches nothing", "[budget][counted_estimator]") {
  counted_estimator estimator{here};
  estimator.learn(texts(250), 0);
  estimator.learn(texts(250), -1);
  CHECK(estimator.at_most(texts(250)) == 250 + 160);
  CHECK(estimator.planned(texts(250)) == 260);
}

TEST_CASE("counted_estimator: images, and tools beside counted texts, are in no count", "[budget][counted_estimator]") {
  counted_estimator estimator{here};
  auto image = whole(250);
  image.images = 1;
  CHECK(estimator.at_most(image) == 1'002 + 160 + 2'048);
  auto tools = texts(250);
  tools.tools = 1;
  CHECK(estimator.at_most(tools) == 1'002 + 160);
  auto all = whole(250);
  all.tools = 1;
  CHECK(estimator.at_most(all) == 250);
}

TEST_CASE("counted_estimator: counts teach the other estimator too", "[budget][counted_estimator]") {
  counted_estimator estimator{here, felix::calibrated_estimator{}};
  for (int answer = 0; answer < 8; ++answer) estimator.learn(whole(260), 260);
  CHECK(estimator.planned(sized(1'000)) == 260);
  CHECK(estimator.confidence(sized(1'000)).statement() == "confidence 99 % for text like the last 8");
}

TEST_CASE("counted_estimator: nonsense overflows nothing", "[budget][counted_estimator]") {
  constexpr auto most = std::numeric_limits<token_count>::max();
  counted_estimator estimator{here};
  CHECK(estimator.at_most(whole(most)) == felix::prompt_bound::highest);
  CHECK(estimator.planned(texts(most)) == felix::prompt_bound::highest);
  estimator.learn(texts(1), most);
  estimator.learn(whole(1), most);
  CHECK(estimator.at_most(texts(most, std::numeric_limits<int>::max())) == felix::prompt_bound::highest);
  CHECK(estimator.at_most(whole(most)) == felix::prompt_bound::highest);
  CHECK(estimator.planned(whole(most)) == felix::prompt_bound::highest);
  CHECK(estimator.at_most(whole(-5)) <= felix::prompt_bound::highest);
}
