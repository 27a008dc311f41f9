// SPDX-License-Identifier: MIT
// budget: a ledger with policies: what a role gets, how it tapers, and how hard the cap is.
#pragma once

#include <felix/budget/allotment.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/budget/stage_taper.hpp>

#include <concepts>
#include <utility>

namespace felix::inline v1 {

/// No request is sent unless its worst case fits under the cap: prompts count at their bounds.
struct hard_cap {
  static constexpr bool keeps_worst_case = true;
};

/// No request is sent unless what it will probably cost fits under the cap: prompts count as planned.
struct planned_cap {
  static constexpr bool keeps_worst_case = false;
};

template <class E>
concept enforcement_policy = requires {
  { E::keeps_worst_case } -> std::convertible_to<bool>;
};

/// Tokens of one session, by role, agent and stage.
///     felix::strict_budget budget;                          // the guide's table, 2,000 tokens for the whole session
///     auto slice = budget.reserve({.agent = id, .role = "research", .stage = 1, .prompt_tokens_at_most = bound});
///     auto answer = co_await llm.complete(request.max_tokens(slice.max_tokens()));
///     slice.settle(answer.usage());                         // the rest goes back; unsettled, it counts as spent
/// Threads, Lifetime: as ledger.
template <allotment_policy Allotment, taper_policy Taper, enforcement_policy Enforcement>
class token_budget final : public ledger {
 public:
  /// Options that are not set are what the policies say. Throws error (invalid_option) for a cap or a minimum below 1.
  explicit token_budget(budget_options options = {}, Allotment allotments = {}, Taper taper = {})
      : ledger{with_defaults(options), Enforcement::keeps_worst_case ? worst_case_sum::kept : worst_case_sum::not_kept},
        allotments_{std::move(allotments)},
        taper_{std::move(taper)} {}

  [[nodiscard]] allotment allotment_of(const role_id& role) const noexcept override { return allotments_(role); }

 private:
  static constexpr budget_options with_defaults(budget_options options) noexcept {
    const auto fill_in = [&options](const budget_options& from) {
      constexpr token_count unset = budget_options::by_policy;
      if (options.session_cap_tokens == unset) options.session_cap_tokens = from.session_cap_tokens;
      if (options.min_stage_tokens == unset) options.min_stage_tokens = from.min_stage_tokens;
    };
    if constexpr (requires { Allotment::defaults; }) fill_in(Allotment::defaults);
    fill_in({.session_cap_tokens = 10'000, .min_stage_tokens = 1});
    return options;
  }
  [[nodiscard]] double taper_at(int stage) const noexcept override { return taper_(stage); }

  Allotment allotments_;
  Taper taper_;
};

/// The guide's table and taper, for lightweight models: 2,000 tokens a session.
using strict_budget = token_budget<strict_allotment, strict_taper, hard_cap>;
/// 10,000 tokens a session.
using normal_budget = token_budget<normal_allotment, no_taper, planned_cap>;

}  // namespace felix::inline v1
