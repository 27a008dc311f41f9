// SPDX-License-Identifier: MIT
// budget: three numbers and a mode: the guide's example, the original's multipliers, and what is refused.
#include <felix/budget/custom_budget.hpp>

#include <felix/budget/token_budget.hpp>
#include "support/catch.hpp"

#include <limits>
#include <string>
#include <vector>

using felix::custom_allotment;
using felix::custom_budget;
using felix::custom_budget_options;
using felix::token_count;

namespace {

const std::vector<std::string> all_roles{"research", "analysis", "synthesis", "critic", "translator"};

// What the stages of one agent get when each answer is as long as it may be; 0 ends the list.
std::vector<token_count> used_in_full(felix::ledger& budget, const std::string& role) {
  std::vector<token_count> granted;
  for (int stage = 1;; ++stage) {
    auto slice = budget.try_reserve({.agent = role + "_001", .role = role, .stage = stage});
    granted.push_back(slice ? slice->max_tokens() : 0);
    if (!slice) return granted;
    slice->settle({.completion_tokens = slice->max_tokens(), .total_tokens = slice->max_tokens()});
  }
}

std::string refusal(const custom_budget_options& options) {
  try {
    const custom_budget budget{options};
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    return refused.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("custom_budget: the guide's 300, 25, 75, strict", "[budget][custom_budget]") {
  custom_budget tight{{.base_budget = 300, .min_budget = 25, .max_budget = 75, .strict = true}};
  CHECK(tight.is_hard());
  CHECK(tight.options().session_cap_tokens == 2'000);
  CHECK(tight.options().min_stage_tokens == 25);
  for (const auto& role : all_roles) {
    CAPTURE(role);
    CHECK(tight.stage_tokens("fresh", role, 1) == 75);
    CHECK(tight.stage_tokens("fresh", role, 3) == 56);  // the taper comes after the maximum
    CHECK(tight.stage_tokens("fresh", role, 5) == 37);
  }
  CHECK(used_in_full(tight, "analysis") == std::vector<token_count>{75, 75, 56, 56, 37, 0});  // 1 left of 300
  CHECK(used_in_full(tight, "critic") == std::vector<token_count>{75, 75, 56, 56, 0});        // 8 left of 270
}

TEST_CASE("custom_budget: the original's multipliers on the base, in both modes", "[budget][custom_budget]") {
  struct row {
    token_count base, research, analysis, synthesis, critic;
  };
  const auto [base, research, analysis, synthesis, critic] =
      GENERATE(values<row>({{1'200, 1'440, 1'200, 960, 1'080}, {300, 360, 300, 240, 270}, {7, 8, 7, 5, 6}}));
  const bool strict = GENERATE(false, true);
  CAPTURE(base, strict);
  const custom_allotment given{{.base_budget = base, .min_budget = 1, .max_budget = 75, .strict = strict}};
  CHECK(given("research").base_tokens == research);
  CHECK(given("analysis").base_tokens == analysis);
  CHECK(given("synthesis").base_tokens == synthesis);
  CHECK(given("critic").base_tokens == critic);
  CHECK(given("translator").base_tokens == analysis);
}

TEST_CASE("custom_budget: as it stands it is a normal budget", "[budget][custom_budget]") {
  const custom_budget custom;
  const felix::normal_budget normal;
  for (const auto& role : all_roles) {
    CAPTURE(role);
    CHECK(custom.allotment_of(role).base_tokens == normal.allotment_of(role).base_tokens);
    CHECK(custom.allotment_of(role).stage_max_tokens == normal.allotment_of(role).stage_max_tokens);
    CHECK(custom.stage_tokens("fresh", role, 9) == normal.stage_tokens("fresh", role, 9));  // no taper
  }
  CHECK(custom.options().session_cap_tokens == normal.options().session_cap_tokens);
  CHECK(custom.options().min_stage_tokens == normal.options().min_stage_tokens);
  CHECK_FALSE(custom.is_hard());
}

TEST_CASE("custom_budget: a role's stage maximum is inside minimum and maximum", "[budget][custom_budget]") {
  struct row {
    token_count min, max;
    bool strict;
    token_count research, synthesis, critic;
  };
  const auto [min, max, strict, research, synthesis, critic] =
      GENERATE(values<row>({{1, 10'000, true, 150, 100, 80},      // the guide's table
                            {1, 10'000, false, 150, 200, 150},    // the normal one
                            {1, 100, true, 100, 100, 80},         // cut off
                            {90, 10'000, true, 150, 100, 90},     // raised
                            {180, 190, false, 180, 190, 180},     // both
                            {300, 300, false, 300, 300, 300}}));  // one size
  CAPTURE(min, max, strict);
  const custom_allotment given{{.base_budget = 5'000, .min_budget = min, .max_budget = max, .strict = strict}};
  CHECK(given("research").stage_max_tokens == research);
  CHECK(given("synthesis").stage_max_tokens == synthesis);
  CHECK(given("critic").stage_max_tokens == critic);
}

TEST_CASE("custom_budget: the minimum never lifts a stage over its tapered maximum", "[budget][custom_budget]") {
  // 60 in stage 1, 45 in stage 3: below the minimum there is no call, where the original gave 60.
  const custom_budget budget{{.base_budget = 500, .min_budget = 50, .max_budget = 60, .strict = true}};
  CHECK(budget.stage_tokens("a", "research", 1) == 60);
  CHECK(budget.stage_tokens("a", "research", 3) == 0);
}

TEST_CASE("custom_budget: a cap of the session's own", "[budget][custom_budget]") {
  const custom_budget budget{{.strict = true, .session_cap_tokens = 777}};
  CHECK(budget.options().session_cap_tokens == 777);
  CHECK(refusal({.session_cap_tokens = 0}) == "budget: session_cap_tokens is 0; it has to be at least 1");
}

TEST_CASE("custom_budget: arguments are checked", "[budget][custom_budget]") {
  CHECK(refusal({.base_budget = 0}) == "custom_budget: base_budget is 0; it has to be at least 1");
  CHECK(refusal({.base_budget = -5}) == "custom_budget: base_budget is -5; it has to be at least 1");
  CHECK(refusal({.min_budget = 0}) ==
        "custom_budget: min_budget is 0; it has to be at least 1: 0 tokens mean no call, never no limit");
  CHECK(refusal({.base_budget = 1'000, .min_budget = 100, .max_budget = 75}) ==
        "custom_budget: max_budget is 75; it has to be at least min_budget, 100");
  CHECK(
      refusal({.base_budget = 100, .min_budget = 81, .max_budget = 90}) ==
      "custom_budget: min_budget is 81; no synthesis agent, with 0.8 of base_budget, could be called; use at most 80");
  CHECK(refusal({.base_budget = 100, .min_budget = 80, .max_budget = 80}) == "accepted");
  CHECK(refusal({.base_budget = 2, .min_budget = 1, .max_budget = 1}) == "accepted");
}

TEST_CASE("custom_budget: a base beyond all use does not overflow", "[budget][custom_budget]") {
  constexpr token_count most = std::numeric_limits<token_count>::max();
  const custom_allotment given{{.base_budget = most, .min_budget = 1, .max_budget = most}};
  CHECK(given("research").base_tokens > most / 2);
  CHECK(given("synthesis").base_tokens > most / 4);
}
