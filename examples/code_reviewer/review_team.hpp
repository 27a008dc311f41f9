// SPDX-License-Identifier: MIT
// code_reviewer: who reviews, what each of them is told, and what it may spend.
#pragma once

#include <felix/agent/team.hpp>
#include <felix/budget/allotment.hpp>
#include <felix/budget/token_budget.hpp>

#include <cstddef>
#include <string>

namespace code_reviewer {

/// Nine agents, one request each: three look around, three look closely, two judge, one writes the report.
felix::team review_team();

/// What all are asked about a piece.
std::string task_of(const std::string& file, std::size_t first_line, std::size_t last_line,
                    const std::string& numbered);

/// An agent's first stage may take all that it gets; there is no second one.
struct once {
  constexpr double operator()(int stage) const noexcept { return stage == 1 ? 1.0 : 0.0; }
};
struct review_allotment {
  constexpr felix::allotment operator()(felix::role_id role) const noexcept {
    const felix::token_count most = role == felix::role_id{"synthesis"} ? 600 : 250;
    return {.base_tokens = most, .stage_max_tokens = most};
  }
};
using review_budget = felix::token_budget<review_allotment, once, felix::planned_cap>;
using strict_review_budget = felix::token_budget<review_allotment, once, felix::hard_cap>;

/// Enough for all nine and the report on a piece of so many bytes: a token has at least a byte.
felix::token_count usual_tokens(std::size_t bytes);

}  // namespace code_reviewer
