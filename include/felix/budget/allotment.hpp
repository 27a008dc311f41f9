// SPDX-License-Identifier: MIT
// budget: how many answer tokens a role gets, in all and for one stage.
#pragma once

#include <felix/budget/role_id.hpp>
#include <felix/usage.hpp>

#include <concepts>
#include <limits>

namespace felix::inline v1 {

class budget_scope;

/// Answer tokens of one agent of a role: what max_tokens can enforce. Prompts count against the session's cap only.
struct allotment {
  token_count base_tokens = 0;       ///< in all its stages; a session's final text comes on top, from the session's cap
  token_count stage_max_tokens = 0;  ///< in one stage, before the taper
};

/// Limits of a session that a budget starts with.
struct budget_options {
  /// What the allotment's `defaults` say; without any, a cap of 10,000 and a minimum of 1.
  static constexpr token_count by_policy = std::numeric_limits<token_count>::min();

  token_count session_cap_tokens = by_policy;  ///< prompts and answers of all requests, as the server counts them
  token_count min_stage_tokens = by_policy;    ///< a stage that would get fewer answer tokens is not called
  budget_scope* within = nullptr;              ///< what is reserved counts there too; null: in the session alone
};

/// What a role gets. Pure and noexcept, because the ledger asks in the middle of a reservation. A policy may carry
/// `static constexpr budget_options defaults`, which its budget then starts with.
template <class A>
concept allotment_policy = std::copyable<A> && requires(const A& policy, const role_id& role) {
  { policy(role) } noexcept -> std::same_as<allotment>;
};

/// The guide's table for lightweight models. A role that is not in it gets what analysis gets.
struct strict_allotment {
  static constexpr budget_options defaults{.session_cap_tokens = 2'000, .min_stage_tokens = 20};

  [[nodiscard]] constexpr allotment operator()(const role_id& role) const noexcept {
    if (role.name() == "research") return {.base_tokens = 400, .stage_max_tokens = 150};
    if (role.name() == "synthesis") return {.base_tokens = 300, .stage_max_tokens = 100};
    if (role.name() == "critic") return {.base_tokens = 250, .stage_max_tokens = 80};
    return {.base_tokens = 350, .stage_max_tokens = 120};
  }
};

/// The guide's multipliers 1.2, 1.0, 0.8 and 0.9 on a base of 1,200.
struct normal_allotment {
  static constexpr budget_options defaults{.session_cap_tokens = 10'000, .min_stage_tokens = 150};

  [[nodiscard]] constexpr allotment operator()(const role_id& role) const noexcept {
    if (role.name() == "research") return {.base_tokens = 1'440, .stage_max_tokens = 150};
    if (role.name() == "synthesis") return {.base_tokens = 960, .stage_max_tokens = 200};
    if (role.name() == "critic") return {.base_tokens = 1'080, .stage_max_tokens = 150};
    return {.base_tokens = 1'200, .stage_max_tokens = 150};
  }
};

static_assert(allotment_policy<strict_allotment> && strict_allotment{}("critic").stage_max_tokens == 80);
static_assert(allotment_policy<normal_allotment> && normal_allotment{}("research").base_tokens == 1'440);

}  // namespace felix::inline v1
