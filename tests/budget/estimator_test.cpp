// SPDX-License-Identifier: MIT
// budget: the estimator's two sums, answer by answer.
#include <felix/budget/estimator.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>

using felix::token_count;

static_assert(std::is_trivially_copyable_v<felix::prompt_estimator>);

namespace {

constexpr token_count gibi = token_count{1} << 30;

felix::prompt_size sized(token_count bytes, token_count text_bound, int messages = 1) {
  return {.bytes = bytes, .text_bound = text_bound, .messages = messages};
}

}  // namespace

TEST_CASE("prompt_estimator: before the first answer", "[budget][estimator]") {
  const felix::prompt_estimator fresh;
  CHECK(fresh.answers_seen() == 0);
  CHECK(fresh.planned(sized(100, 101)) == 50);
  CHECK(fresh.planned(sized(101, 102)) == 51);
  CHECK(fresh.planned(sized(1, 2)) == 1);
  CHECK(fresh.planned({}) == 0);
  CHECK(fresh.at_most(sized(100, 101, 1)) == 101 + 16 + 128);
  CHECK(fresh.at_most(sized(100, 103, 3)) == 103 + 48 + 128);
  CHECK(fresh.at_most({}) == 128);
}

TEST_CASE("prompt_estimator: plans with 1.5 times the most tokens per byte seen", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  estimator.learn(sized(400, 401), 100);
  CHECK(estimator.planned(sized(400, 401)) == 150);
  CHECK(estimator.planned(sized(8, 9)) == 3);   // 1.5 · 0.25 · 8, exactly
  CHECK(estimator.planned(sized(9, 10)) == 4);  // 3.375, rounded up
  CHECK(estimator.planned(sized(1, 2)) == 1);
  CHECK(estimator.planned(sized(0, 1)) == 0);
  estimator.learn(sized(400, 401), 80);  // fewer: the most holds
  CHECK(estimator.planned(sized(400, 401)) == 150);
  estimator.learn(sized(30, 31), 10);  // more per byte, though fewer in all
  CHECK(estimator.planned(sized(400, 401)) == 200);
  CHECK(estimator.planned(sized(3, 4)) == 2);  // 1.5 · (1/3) · 3 = 1.5; a rounded third must not make 4 of 2 bytes
  CHECK(estimator.planned(sized(2, 3)) == 1);  // exactly 1
  estimator.learn(sized(3, 4), 2);
  CHECK(estimator.planned(sized(400, 401)) == 400);  // 1.5 · 2/3 is the bytes
  estimator.learn(sized(10, 11), 12);
  CHECK(estimator.planned(sized(400, 401)) == 400);
  estimator.learn(sized(10, 11), 90);
  CHECK(estimator.planned(sized(400, 401)) == 400);  // never more
}

TEST_CASE("prompt_estimator: the plan is exact wherever the product is a whole number", "[budget][estimator]") {
  for (token_count bytes = 1; bytes < 200; ++bytes)
    for (token_count tokens = 1; 3 * tokens < 2 * bytes; tokens += 7) {
      felix::prompt_estimator estimator;
      estimator.learn(sized(bytes, bytes + 1), tokens);
      for (const token_count next : {bytes, 2 * bytes, 4 * bytes, bytes + 1, 3 * bytes - 1}) {
        const token_count expected = (3 * tokens * next + 2 * bytes - 1) / (2 * bytes);
        if (estimator.planned(sized(next, next + 1)) != expected)
          FAIL(tokens << " of " << bytes << " bytes, next " << next);
      }
    }
  SUCCEED();
}

TEST_CASE("prompt_estimator: the first answer shows the template, doubled until eight agree", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  const auto size = sized(10, 11);
  estimator.learn(size, 31);  // 20 above the bound of the text
  CHECK(estimator.template_tokens() == 20);
  CHECK(estimator.at_most(size) == 11 + 2 * 20);
  CHECK(estimator.at_most(sized(10, 11, 50)) == 11 + 2 * 20);  // the allowance for each message is over
  for (int answer = 0; answer < 7; ++answer) estimator.learn(size, 31);
  CHECK(estimator.at_most(size) == 11 + 2 * 20);
  estimator.learn(size, 5);  // the eighth that did not raise it
  CHECK(estimator.at_most(size) == 11 + 20);

  estimator.learn(size, 32);  // raised again: the eight start anew
  CHECK(estimator.template_tokens() == 21);
  CHECK(estimator.at_most(size) == 11 + 2 * 21);
  for (int answer = 0; answer < 8; ++answer) estimator.learn(size, 32);
  CHECK(estimator.at_most(size) == 11 + 21);
  for (int answer = 0; answer < 100; ++answer) estimator.learn(size, 1);
  CHECK(estimator.at_most(size) == 11 + 21);  // the most, not the last
  CHECK(estimator.answers_seen() == 118);
}

TEST_CASE("prompt_estimator: an answer within the bound shows a template of 0", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  estimator.learn(sized(1000, 1001), 300);
  CHECK(estimator.template_tokens() == 0);
  CHECK(estimator.at_most(sized(1000, 1001, 4)) == 1001);
}

TEST_CASE("prompt_estimator: an answer without usage, or to no text, teaches nothing", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  estimator.learn(sized(100, 101), 0);
  estimator.learn(sized(100, 101), -5);
  estimator.learn(sized(100, 101), std::numeric_limits<token_count>::min());
  estimator.learn(sized(0, 1), 40);
  CHECK(estimator.answers_seen() == 0);
  CHECK(estimator.planned(sized(100, 101)) == 50);
  CHECK(estimator.at_most(sized(100, 101)) == 245);
  estimator.learn(sized(400, 401), 100);
  CHECK(estimator.planned(sized(400, 401)) == 150);
}

TEST_CASE("prompt_estimator: what is a maximum does not depend on the order of the answers", "[budget][estimator]") {
  struct answer {
    felix::prompt_size size;
    token_count prompt_tokens;
    bool operator<(const answer& other) const { return prompt_tokens < other.prompt_tokens; }
  };
  std::array answers{answer{sized(400, 401), 90}, answer{sized(10, 11), 25}, answer{sized(77, 78), 26},
                     answer{sized(3, 4), 40}, answer{sized(5000, 5001), 4999}};
  std::sort(answers.begin(), answers.end());
  do {
    felix::prompt_estimator estimator;
    for (const auto& a : answers) estimator.learn(a.size, a.prompt_tokens);
    CHECK(estimator.template_tokens() == 36);
    CHECK(estimator.planned(sized(100, 101)) == 100);
    CHECK(estimator.at_most(sized(100, 101)) == 101 + 2 * 36);
  } while (std::next_permutation(answers.begin(), answers.end()));
}

TEST_CASE("prompt_estimator: a plan is never above the worst case", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  for (const token_count reported : {0, 1, 7, 10, 40, 4000}) {
    estimator.learn(sized(10, 11), reported);
    for (const token_count bytes : {0, 1, 2, 10, 127, 128, 129, 400, 100'000})
      for (const token_count bound : {token_count{0}, bytes / 4, bytes, bytes + 1, 3 * bytes})
        CHECK(estimator.planned(sized(bytes, bound)) <= estimator.at_most(sized(bytes, bound)));
  }
}

TEST_CASE("prompt_estimator: a tebibyte, and a server that reports nonsense, overflow nothing", "[budget][estimator]") {
  const auto huge = sized(1024 * gibi, 3 * 1024 * gibi + 1, 1'000'000);
  felix::prompt_estimator estimator;
  CHECK(estimator.planned(huge) == 512 * gibi);
  CHECK(estimator.at_most(huge) == 3 * 1024 * gibi + 1 + 16'000'000 + 128);
  estimator.learn(huge, 256 * gibi);
  CHECK(estimator.planned(huge) == 384 * gibi);
  CHECK(estimator.at_most(huge) == 3 * 1024 * gibi + 1);

  constexpr auto most = std::numeric_limits<token_count>::max();
  estimator.learn(sized(1, 2), most);
  CHECK(estimator.planned(huge) == 1024 * gibi);
  CHECK(estimator.at_most(huge) == felix::prompt_estimator::highest);
  CHECK(estimator.at_most(sized(most, most)) == felix::prompt_estimator::highest);
  CHECK(estimator.planned(sized(most, most)) == felix::prompt_estimator::highest);
  CHECK(felix::prompt_estimator{}.at_most(sized(most, most, std::numeric_limits<int>::max())) ==
        felix::prompt_estimator::highest);
  estimator.learn(sized(most, most), most);
  CHECK(estimator.at_most(sized(1, 2)) <= felix::prompt_estimator::highest);
}

TEST_CASE("prompt_estimator: a copy learns on its own", "[budget][estimator]") {
  felix::prompt_estimator original;
  original.learn(sized(400, 401), 100);
  felix::prompt_estimator copy = original;
  copy.learn(sized(10, 11), 50);
  CHECK(original.planned(sized(400, 401)) == 150);
  CHECK(original.answers_seen() == 1);
  CHECK(copy.planned(sized(400, 401)) == 400);
}

TEST_CASE("prompt_estimator: images come on top", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  auto size = sized(100, 101);
  size.images = 2;
  CHECK(estimator.planned(size) == 50 + 2 * 2'048);
  CHECK(estimator.at_most(size) == 101 + 144 + 2 * 2'048);
  estimator.learn(sized(400, 401), 100);
  estimator.learn(size, 1'200);
  CHECK(estimator.planned(size) == 38 + 1'200);  // 600 each; nothing is learned of the text
  CHECK(estimator.planned(sized(400, 401)) == 150);
  CHECK(estimator.at_most(size) == 101 + 2 * 2 * 600);
  size.bytes = size.text_bound = 0;
  CHECK(estimator.planned(size) == 1'200);
}

TEST_CASE("prompt_estimator: its bound is the one it was given", "[budget][estimator]") {
  felix::prompt_estimator estimator{felix::prompt_bound{felix::template_allowance::always}};
  estimator.learn(sized(1000, 1001), 300);
  CHECK(estimator.at_most(sized(10, 11)) == 11 + 144);
  CHECK_FALSE(estimator.one_at_a_time());
  estimator.learn(sized(10, 11), 156);
  CHECK(estimator.one_at_a_time());
  CHECK(estimator.confidence(sized(10, 11)) == felix::estimate_confidence{});
}
