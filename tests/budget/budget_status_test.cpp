// SPDX-License-Identifier: MIT
#include <felix/budget/budget_status.hpp>

#include "support/catch.hpp"

#include <limits>

using felix::budget_share;
using felix::budget_status;
using felix::token_count;

TEST_CASE("budget_share: tells what is left, how much was used, and how often it was kept to",
          "[budget][budget_status]") {
  budget_share share{.base_tokens = 400, .answer_tokens = 100, .stages = 4, .answer_reserved = 50, .overruns = 1};
  CHECK(share.allotted() == 400);
  CHECK(share.used() == 100);
  CHECK(share.left() == 250);
  CHECK(share.efficiency() == Approx(0.25));
  CHECK(share.compliance() == Approx(0.75));
  share.answer_tokens = 500;
  CHECK(share.left() == 0);
}

TEST_CASE("budget_share: where nothing was allotted, what was granted stands for it", "[budget][budget_status]") {
  const budget_share stage{.answer_tokens = 60, .granted = 240};
  CHECK(stage.allotted() == 240);
  CHECK(stage.efficiency() == Approx(0.25));
  const budget_share nothing;
  CHECK(nothing.efficiency() == 0);
  CHECK(nothing.compliance() == 1);
}

TEST_CASE("budget_share: adds up, and stays at the most that can be said", "[budget][budget_status]") {
  const budget_share one{.base_tokens = 1,
                         .answer_tokens = 2,
                         .settled = 3,
                         .reserved = 4,
                         .stages = 5,
                         .answer_reserved = 6,
                         .granted = 7,
                         .answers_beyond = 8,
                         .overruns = 9,
                         .answer_overrun = 10,
                         .prompt_overrun = 11};
  budget_share sum = one;
  sum += one;
  CHECK(sum.base_tokens == 2);
  CHECK(sum.answer_tokens == 4);
  CHECK(sum.settled == 6);
  CHECK(sum.reserved == 8);
  CHECK(sum.stages == 10);
  CHECK(sum.answer_reserved == 12);
  CHECK(sum.granted == 14);
  CHECK(sum.answers_beyond == 16);
  CHECK(sum.overruns == 18);
  CHECK(sum.answer_overrun == 20);
  CHECK(sum.prompt_overrun == 22);
  constexpr token_count most = std::numeric_limits<token_count>::max();
  sum.settled = most;
  sum += one;
  CHECK(sum.settled == most);
}

TEST_CASE("budget_status: is about all tokens of the session", "[budget][budget_status]") {
  budget_status status{.cap = 1'000, .settled = 300, .reserved = 200};
  CHECK(status.allotted() == 1'000);
  CHECK(status.used() == 300);
  CHECK(status.left() == 500);
  CHECK(status.efficiency() == Approx(0.3));
  CHECK(status.compliance() == 1);
  CHECK(budget_status{}.efficiency() == 0);
  status.agents["a"] = {.stages = 3, .overruns = 1};
  status.agents["b"] = {.stages = 1};
  CHECK(status.compliance() == Approx(0.75));
  status.settled = 1'500;
  CHECK(status.left() == 0);
}
