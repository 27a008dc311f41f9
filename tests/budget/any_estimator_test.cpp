// SPDX-License-Identifier: MIT
// budget: an erased estimator answers like the one in it, and copies learn on their own.
#include <felix/budget/any_estimator.hpp>

#include <felix/budget/calibrated_estimator.hpp>
#include "support/catch.hpp"

#include <utility>

using felix::any_estimator;
using felix::token_count;

namespace {

felix::prompt_size sized(token_count bytes) { return {.bytes = bytes, .text_bound = bytes + 1, .messages = 1}; }

}  // namespace

TEST_CASE("any_estimator: is a prompt_estimator if nothing else", "[budget][any_estimator]") {
  any_estimator estimator;
  felix::prompt_estimator other;
  for (const token_count answer : {100, 90, 2'000}) {
    CHECK(estimator.planned(sized(400)) == other.planned(sized(400)));
    CHECK(estimator.at_most(sized(400)) == other.at_most(sized(400)));
    CHECK(estimator.one_at_a_time() == other.one_at_a_time());
    CHECK(estimator.answers_seen() == other.answers_seen());
    estimator.learn(sized(400), answer);
    other.learn(sized(400), answer);
  }
  CHECK(estimator.one_at_a_time());
}

TEST_CASE("any_estimator: answers like the one in it", "[budget][any_estimator]") {
  any_estimator estimator = felix::calibrated_estimator{};
  CHECK(estimator.planned(sized(1'000)) == estimator.at_most(sized(1'000)));
  for (int answer = 0; answer < 8; ++answer) estimator.learn(sized(1'000), 255);
  CHECK(estimator.planned(sized(1'000)) == 255);
  CHECK(estimator.at_most(sized(1'000)) == 1'001);
  CHECK(estimator.answers_seen() == 8);
  CHECK(estimator.confidence(sized(1'000)).answers == 8);
  estimator = felix::prompt_bound{};
  CHECK(estimator.planned(sized(1'000)) == 1'001 + 144);
}

TEST_CASE("any_estimator: a copy learns on its own", "[budget][any_estimator]") {
  any_estimator original;
  original.learn(sized(400), 100);
  any_estimator copy = original;
  copy.learn(sized(400), 200);
  CHECK(original.planned(sized(400)) == 150);
  CHECK(copy.planned(sized(400)) == 300);
  original = copy;
  copy.learn(sized(400), 250);
  CHECK(original.planned(sized(400)) == 300);
  const any_estimator moved = std::move(original);
  CHECK(moved.planned(sized(400)) == 300);
}
