// SPDX-License-Identifier: MIT
// budget: the guide's budget of three numbers and a mode, where its tables do not fit.
#pragma once

#include <felix/budget/allotment.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/budget/stage_taper.hpp>
#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

namespace felix::inline v1 {

/// What a custom budget is made of: a normal one as it stands. For a strict one set all three numbers.
struct custom_budget_options {
  token_count base_budget = 1'200;  ///< of an agent in all: research gets 1.2 times it, synthesis 0.8, a critic 0.9
  token_count min_budget = 150;     ///< a stage that would get fewer answer tokens is not called
  token_count max_budget = 800;     ///< no stage gets more
  bool strict = false;              ///< a hard cap, the guide's taper and its strict stage maxima
  std::optional<token_count> session_cap_tokens = {};  ///< nothing: the mode's, 2,000 when strict, else 10,000
};

/// The policy of custom_budget. A role's stage maximum is what the mode's table says, inside min_budget and max_budget.
/// It comes before the taper, so that no stage gets more than the tapered maximum, whatever the minimum is.
class custom_allotment {
 public:
  /// Throws error (invalid_option) that names the field: a number below 1, a minimum above the maximum, or above what an
  /// agent has in all.
  explicit custom_allotment(const custom_budget_options& options = {}) : options_{options} {
    const auto refuse = [](const char* field, token_count value, const std::string& advice) {
      throw error{errc::invalid_option,
                  "custom_budget: " + std::string{field} + " is " + std::to_string(value) + "; " + advice};
    };
    const token_count base = options.base_budget, min = options.min_budget, max = options.max_budget;
    if (base < 1) refuse("base_budget", base, "it has to be at least 1");
    if (min < 1) refuse("min_budget", min, "it has to be at least 1: 0 tokens mean no call, never no limit");
    if (max < min) refuse("max_budget", max, "it has to be at least min_budget, " + std::to_string(min));
    if (const token_count least = tenths(8); min > least)
      refuse("min_budget", min,
             "no synthesis agent, with 0.8 of base_budget, could be called; use at most " + std::to_string(least));
  }

  [[nodiscard]] allotment operator()(const role_id& role) const noexcept {
    const allotment table = options_.strict ? strict_allotment{}(role) : normal_allotment{}(role);
    const int multiplier = role.name() == "research"    ? 12
                           : role.name() == "synthesis" ? 8
                           : role.name() == "critic"    ? 9
                                                        : 10;
    return {.base_tokens = tenths(multiplier),
            .stage_max_tokens = std::clamp(table.stage_max_tokens, options_.min_budget, options_.max_budget)};
  }

  [[nodiscard]] bool is_strict() const noexcept { return options_.strict; }
  /// What a budget with this policy starts with.
  [[nodiscard]] budget_options limits() const noexcept {
    const budget_options mode = options_.strict ? strict_allotment::defaults : normal_allotment::defaults;
    return {.session_cap_tokens = options_.session_cap_tokens.value_or(mode.session_cap_tokens),
            .min_stage_tokens = options_.min_budget};
  }

 private:
  // So many tenths of the base, truncated; in integers, because 1.2 is none of binary's numbers.
  [[nodiscard]] token_count tenths(int count) const noexcept {
    const token_count base = std::min(options_.base_budget, std::numeric_limits<token_count>::max() / 2);
    return base / 10 * count + base % 10 * count / 10;
  }

  custom_budget_options options_;
};

static_assert(allotment_policy<custom_allotment>);

/// A budget as the guide's `TokenBudgetManager(base_budget, min_budget, max_budget, strict_mode)` makes it. Its mode may be
/// decided while the program runs; a token_budget decides it when it is compiled.
///     felix::custom_budget tight{{.base_budget = 300, .min_budget = 25, .max_budget = 75, .strict = true}};
/// Threads, Lifetime: as ledger.
class custom_budget final : public ledger {
 public:
  /// Throws error (invalid_option) as custom_allotment does, and for a cap below 1.
  explicit custom_budget(const custom_budget_options& options = {}) : custom_budget{custom_allotment{options}} {}

  [[nodiscard]] allotment allotment_of(const role_id& role) const noexcept override { return allotments_(role); }

 private:
  explicit custom_budget(const custom_allotment& allotments)
      : ledger{allotments.limits(), allotments.is_strict() ? worst_case_sum::kept : worst_case_sum::not_kept},
        allotments_{allotments} {}

  [[nodiscard]] double taper_at(int stage) const noexcept override {
    return allotments_.is_strict() ? strict_taper{}(stage) : no_taper{}(stage);
  }

  custom_allotment allotments_;
};

}  // namespace felix::inline v1
