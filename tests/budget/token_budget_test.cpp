// SPDX-License-Identifier: MIT
// budget: the guide's sequences, stage by stage, and budgets of users' own policies.
#include <felix/budget/token_budget.hpp>

#include "support/catch.hpp"

#include <array>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

using felix::agent_id;
using felix::allotment;
using felix::role_id;
using felix::token_count;

namespace {

// As in the documentation of budgets: two policies of a user's own.
struct flat_allotment {
  constexpr felix::allotment operator()(felix::role_id) const noexcept {
    return {.base_tokens = 300, .stage_max_tokens = 75};
  }
};
struct halving_taper {
  constexpr double operator()(int stage) const noexcept { return 1.0 / (1 << (stage - 1)); }
};
// A policy with a default of its own for one of the two.
struct own_allotment {
  static constexpr felix::budget_options defaults{.session_cap_tokens = 700};
  constexpr felix::allotment operator()(const felix::role_id&) const noexcept { return {50, 10}; }
};
using pocket_budget = felix::token_budget<flat_allotment, halving_taper, felix::hard_cap>;

// Policies with values of their own.
class fixed_allotment {
 public:
  constexpr explicit fixed_allotment(allotment each) : each_{each} {}
  constexpr allotment operator()(const role_id&) const noexcept { return each_; }

 private:
  allotment each_;
};
class fixed_taper {
 public:
  constexpr explicit fixed_taper(double share) : share_{share} {}
  constexpr double operator()(int) const noexcept { return share_; }

 private:
  double share_;
};
using fixed_budget = felix::token_budget<fixed_allotment, fixed_taper, felix::hard_cap>;

struct says_nothing {};

// What the stages of one agent get when each answer is as long as it may be; 0 ends the list.
std::vector<token_count> used_in_full(felix::ledger& budget, const agent_id& agent, const role_id& role) {
  std::vector<token_count> granted;
  for (int stage = 1;; ++stage) {
    const token_count expected = budget.stage_tokens(agent, role, stage);
    auto slice = budget.try_reserve({.agent = agent, .role = role, .stage = stage});
    granted.push_back(slice ? slice->max_tokens() : 0);
    CHECK(granted.back() == expected);
    if (!slice) return granted;
    slice->settle({.completion_tokens = slice->max_tokens(), .total_tokens = slice->max_tokens()});
  }
}

}  // namespace

static_assert(!std::is_copy_constructible_v<felix::strict_budget> &&
                  !std::is_move_constructible_v<felix::strict_budget>,
              "reservations point to it");
static_assert(std::is_base_of_v<felix::ledger, felix::strict_budget>);
static_assert(felix::enforcement_policy<felix::hard_cap> && felix::enforcement_policy<felix::planned_cap>);
static_assert(!felix::enforcement_policy<says_nothing> && !felix::enforcement_policy<int>);

TEST_CASE("strict_budget: the guide's sequence when each allotment is fully used", "[budget][token_budget]") {
  felix::strict_budget budget;  // one for all: no agent's limit may move another's
  struct row {
    std::string agent, role;
    std::vector<token_count> granted;
  };
  const std::vector<row> rows{{"research_001", "research", {150, 150, 100, 0}},
                              {"analysis_001", "analysis", {120, 120, 90, 20, 0}},
                              {"synthesis_001", "synthesis", {100, 100, 75, 25, 0}},
                              {"critic_001", "critic", {80, 80, 60, 30, 0}}};
  for (const auto& [agent, role, granted] : rows) {
    CAPTURE(agent);
    CHECK(used_in_full(budget, agent, role) == granted);
  }
  const auto status = budget.system_status();
  CHECK(status.settled == 400 + 350 + 300 + 250);
  CHECK(status.reserved == 0);
  CHECK(status.left() == 700);
  CHECK(status.agents.at("analysis_001").stages == 4);
}

TEST_CASE("strict_budget: the stage maxima by taper", "[budget][token_budget][D9]") {
  struct row {
    std::string role;
    std::array<token_count, 6> maxima;
  };
  const auto [role, maxima] = GENERATE(values<row>({{"research", {150, 150, 112, 112, 75, 75}},
                                                    {"analysis", {120, 120, 90, 90, 60, 60}},
                                                    {"synthesis", {100, 100, 75, 75, 50, 50}},
                                                    {"critic", {80, 80, 60, 60, 40, 40}}}));
  CAPTURE(role);
  const felix::strict_budget budget;
  for (int stage = 1; stage <= 6; ++stage)
    CHECK(budget.stage_tokens("fresh", role, stage) == maxima[static_cast<std::size_t>(stage) - 1]);
}

TEST_CASE("normal_budget: the table, without a taper, and no stage below 150", "[budget][token_budget]") {
  struct row {
    std::string role;
    std::vector<token_count> granted;
  };
  const auto [role, granted] = GENERATE(values<row>({{"research", {150, 150, 150, 150, 150, 150, 150, 150, 150, 0}},
                                                     {"analysis", {150, 150, 150, 150, 150, 150, 150, 150, 0}},
                                                     {"synthesis", {200, 200, 200, 200, 160, 0}},
                                                     {"critic", {150, 150, 150, 150, 150, 150, 150, 0}}}));
  CAPTURE(role);
  felix::normal_budget budget;
  CHECK(used_in_full(budget, "only", role) == granted);
}

TEST_CASE("token_budget: starts with its policy's defaults, else the general ones", "[budget][token_budget]") {
  const felix::strict_budget strict;
  CHECK(strict.options().session_cap_tokens == 2'000);
  CHECK(strict.options().min_stage_tokens == 20);
  CHECK(strict.is_hard());
  const felix::normal_budget normal;
  CHECK(normal.options().session_cap_tokens == 10'000);
  CHECK(normal.options().min_stage_tokens == 150);
  CHECK_FALSE(normal.is_hard());
  const pocket_budget pocket;
  CHECK(pocket.options().session_cap_tokens == 10'000);
  CHECK(pocket.options().min_stage_tokens == 1);
  const felix::strict_budget larger{{.session_cap_tokens = 3'000, .min_stage_tokens = 10}};
  CHECK(larger.options().session_cap_tokens == 3'000);
  CHECK(larger.options().min_stage_tokens == 10);
  CHECK(larger.system_status().cap == 3'000);
}

TEST_CASE("token_budget: a user's policies are a budget like the others", "[budget][token_budget]") {
  pocket_budget pocket{{.session_cap_tokens = 1'500, .min_stage_tokens = 25}};
  CHECK(pocket.allotment_of("anyone").base_tokens == 300);
  CHECK(used_in_full(pocket, "first", "anyone") == std::vector<token_count>{75, 37, 0});  // 18 are below the minimum
  CHECK(pocket.is_hard());

  fixed_budget fixed{
      {.session_cap_tokens = 1'000}, fixed_allotment{{.base_tokens = 10, .stage_max_tokens = 7}}, fixed_taper{0.5}};
  CHECK(used_in_full(fixed, "first", "anyone") == std::vector<token_count>{3, 3, 3, 1, 0});
}

TEST_CASE("token_budget: one role's or agent's limit does not move another's", "[budget][token_budget][D5]") {
  felix::strict_budget budget;
  CHECK(used_in_full(budget, "critic_001", "critic") == std::vector<token_count>{80, 80, 60, 30, 0});
  CHECK(budget.stage_tokens("research_001", "research", 1) == 150);
  CHECK(budget.stage_tokens("critic_002", "critic", 1) == 80);
  CHECK(budget.stage_tokens("critic_001", "critic", 1) == 0);
  {
    auto held = budget.reserve({.agent = "research_001", .role = "research", .stage = 1});
    auto again = budget.reserve({.agent = "research_001", .role = "research", .stage = 2});
    CHECK(budget.stage_tokens("research_001", "research", 3) == 100);  // what is reserved is not left
    CHECK(budget.stage_tokens("research_002", "research", 1) == 150);
    held.release();
    CHECK(budget.stage_tokens("research_001", "research", 3) == 112);
    again.release();
  }
  CHECK(budget.stage_tokens("research_001", "research", 1) == 150);
}

TEST_CASE("token_budget: 0 tokens mean no call, never no limit", "[budget][token_budget]") {
  struct row {
    allotment given;
    double taper;
  };
  const auto [given, taper] =
      GENERATE(values<row>({{{.base_tokens = 0, .stage_max_tokens = 100}, 1.0},
                            {{.base_tokens = 100, .stage_max_tokens = 0}, 1.0},
                            {{.base_tokens = 0, .stage_max_tokens = 0}, 1.0},
                            {{.base_tokens = -100, .stage_max_tokens = 100}, 1.0},
                            {{.base_tokens = 100, .stage_max_tokens = -5}, 1.0},
                            {{.base_tokens = 100, .stage_max_tokens = 100}, 0.0},
                            {{.base_tokens = 100, .stage_max_tokens = 100}, 0.009},  // less than one token
                            {{.base_tokens = 100, .stage_max_tokens = 100}, -1.0}}));
  CAPTURE(given.base_tokens, given.stage_max_tokens, taper);
  fixed_budget budget{{.session_cap_tokens = 1'000}, fixed_allotment{given}, fixed_taper{taper}};
  CHECK(budget.stage_tokens("a", "r", 1) == 0);
  CHECK_FALSE(budget.try_reserve({.agent = "a", .role = "r"}));
  CHECK_FALSE(budget.try_reserve({.agent = "a", .role = "r", .size = felix::reservation_size::what_is_left}));
  CHECK_THROWS_AS(budget.reserve({.agent = "a", .role = "r"}), felix::budget_exceeded);
  CHECK(budget.system_status().agents.empty());
}

TEST_CASE("token_budget: a cap or a minimum below 1 is refused", "[budget][token_budget]") {
  const auto refusal = [](felix::budget_options options) -> std::string {
    try {
      const felix::strict_budget budget{options};
    } catch (const felix::error& refused) {
      CHECK(refused.code() == felix::errc::invalid_option);
      return refused.what();
    }
    return "accepted";
  };
  CHECK(refusal({.session_cap_tokens = 1, .min_stage_tokens = 1}) == "accepted");
  CHECK(refusal({.session_cap_tokens = 0}) == "budget: session_cap_tokens is 0; it has to be at least 1");
  CHECK(refusal({.session_cap_tokens = -5}) == "budget: session_cap_tokens is -5; it has to be at least 1");
  CHECK(refusal({.min_stage_tokens = 0}) ==
        "budget: min_stage_tokens is 0; it has to be at least 1: 0 tokens mean no call, never no limit");
  CHECK(refusal({.min_stage_tokens = -1}) ==
        "budget: min_stage_tokens is -1; it has to be at least 1: 0 tokens mean no call, never no limit");
}

TEST_CASE("token_budget: a refused stage is told what it could have had", "[budget][token_budget]") {
  const auto refusal = [](felix::ledger& budget, const felix::reservation_request& request) -> std::string {
    try {
      auto slice = budget.reserve(request);
      slice.release();
    } catch (const felix::budget_exceeded& refused) {
      CHECK(refused.asked() > refused.left());
      return refused.what();
    }
    return "granted";
  };
  felix::strict_budget budget;
  CHECK(used_in_full(budget, "research_001", "research").back() == 0);
  CHECK(
      refusal(budget, {.agent = "research_001", .role = "research", .stage = 4}) ==
      "budget: research_001 asked for 20 answer tokens, 0 of the 400 of its allotment are left; ask another agent, or "
      "give its role a larger one");
  pocket_budget pocket{{.session_cap_tokens = 1'500, .min_stage_tokens = 25}};
  CHECK(refusal(pocket, {.agent = "a", .role = "r", .stage = 3}) ==
        "budget: a asked for 25 answer tokens, 18 of the 300 of its allotment are left; ask another agent, or give its "
        "role a larger one");
}

TEST_CASE("token_budget: an option changes what it names, and nothing else", "[budget][token_budget]") {
  const auto of = [](const felix::ledger& budget) {
    return std::make_pair(budget.options().session_cap_tokens, budget.options().min_stage_tokens);
  };
  CHECK(of(felix::strict_budget{}) == std::make_pair(token_count{2'000}, token_count{20}));
  CHECK(of(felix::strict_budget{{.session_cap_tokens = 900}}) == std::make_pair(token_count{900}, token_count{20}));
  CHECK(of(felix::strict_budget{{.min_stage_tokens = 5}}) == std::make_pair(token_count{2'000}, token_count{5}));
  CHECK(of(felix::normal_budget{{.session_cap_tokens = 900}}) == std::make_pair(token_count{900}, token_count{150}));
  using own_budget = felix::token_budget<own_allotment, felix::no_taper, felix::hard_cap>;
  CHECK(of(own_budget{}) == std::make_pair(token_count{700}, token_count{1}));
  CHECK(of(own_budget{{.min_stage_tokens = 2}}) == std::make_pair(token_count{700}, token_count{2}));
}
