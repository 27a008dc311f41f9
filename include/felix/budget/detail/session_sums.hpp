// SPDX-License-Identifier: MIT
// budget: what a session holds: prompts as planned, prompts at their bounds, and the same in the scopes around it.
#pragma once

#include <felix/budget/budget_scope.hpp>
#include <felix/budget/detail/held_sum.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace felix::inline v1::detail {

/// Tokens with prompts at their probable size, and at their bounds.
struct session_tokens {
  token_count planned = 0;
  token_count worst = 0;
  std::int64_t nano_cost = 0;  // only of what is set aside: a request says what it costs at most
};

/// What a request asks of a session. Its answer gets `wanted` tokens, or as many as are there, but not below `least`.
struct session_request {
  session_tokens prompt = {};
  token_count wanted = 0;
  token_count least = 0;
  std::int64_t nano_cost = 0;
};

/// The sums that a ledger keeps under its cap. Which scope has refused, if one has, is in the refusals.
class session_sums {
 public:
  using refusal = budget_scope::refusal;

  session_sums(token_count cap, bool keeps_worst_case, budget_scope* within) noexcept
      : cap_{std::min(cap, 2 * most_tokens)}, keeps_worst_case_{keeps_worst_case}, within_{within} {}

  /// Whether the worst case is kept under the cap, too.
  [[nodiscard]] bool is_hard() const noexcept { return keeps_worst_case_; }
  [[nodiscard]] budget_scope* within() const noexcept { return within_; }
  /// Of the two sums, the one that the cap is kept for: the worst case of a hard budget, else the planned one.
  [[nodiscard]] token_count kept(session_tokens held) const noexcept {
    return keeps_worst_case_ ? held.worst : held.planned;
  }
  /// Settled and reserved.
  [[nodiscard]] token_count held() const noexcept { return keeps_worst_case_ ? worst_.held() : planned_.held(); }
  /// By the sum that leaves less; below 0 when an overrun has gone beyond the cap.
  [[nodiscard]] token_count left() const noexcept {
    const token_count by_plan = cap_ - planned_.held();
    return keeps_worst_case_ ? std::min(by_plan, cap_ - worst_.held()) : by_plan;
  }
  /// Whether it would fit if nothing but this was held.
  [[nodiscard]] bool can_ever_hold(token_count tokens, token_count settled) const noexcept {
    return tokens <= cap_ - settled;
  }

  /// Holds prompt and answer, or nothing; gives the answer. Out of `aside` first, of which the rest is left there.
  inline token_count take(const session_request& asked, session_tokens* aside, std::uint64_t pass,
                          refusal& refused_by) noexcept;
  inline void settle(session_tokens held, std::int64_t held_cost, token_count charged, std::int64_t cost) noexcept;

  /// Holds this, or nothing. What is 0 fits whatever there is.
  [[nodiscard]] inline bool grow(session_tokens more, refusal& refused_by) noexcept;
  inline void shrink(session_tokens less) noexcept;

  /// In a pass of the line: whether somebody who goes before lacks something here or in a scope around.
  [[nodiscard]] bool is_closed_in(std::uint64_t pass) const noexcept {
    return closed_in_ == pass || (within_ != nullptr && within_->is_closed_in(pass));
  }

 private:
  using sum = held_sum<>;

  const token_count cap_;  // within range of what can be added to it
  const bool keeps_worst_case_;
  budget_scope* const within_;
  std::uint64_t closed_in_ = 0;  // the pass in which a waiter was refused by the session's cap; guarded by the line
  sum planned_;
  sum worst_;  // only under a hard cap
};

inline token_count session_sums::take(const session_request& asked, session_tokens* aside, std::uint64_t pass,
                                      refusal& refused_by) noexcept {
  const session_tokens covered = aside != nullptr ? *aside : session_tokens{};

  const sum_request planned{asked.prompt.planned, asked.wanted, asked.least, covered.planned};
  sum_grant as_planned = planned_.take(cap_, planned, sum::cover::trimmed);
  if (!as_planned) {
    if (pass != 0) closed_in_ = pass;
    return 0;
  }
  const sum_request worst{asked.prompt.worst, as_planned.granted, asked.least, covered.worst};
  sum_grant at_worst{.granted = as_planned.granted};
  if (keeps_worst_case_) {
    at_worst = worst_.take(cap_, worst, sum::cover::trimmed);
    if (!at_worst) {
      planned_.undo(planned, as_planned);
      if (pass != 0) closed_in_ = pass;
      return 0;
    }
    planned_.shrink(planned, as_planned, at_worst.granted);
  }
  if (within_ != nullptr) {
    sum_request around{kept(asked.prompt), at_worst.granted, asked.least, kept(covered)};
    refused_by = within_->hold(around, asked.nano_cost, covered.nano_cost);
    if (refused_by.by != nullptr) {
      if (keeps_worst_case_) worst_.undo(worst, at_worst);
      planned_.undo(planned, as_planned);
      if (pass != 0) refused_by.by->closed_in_ = pass;
      return 0;
    }
    planned_.shrink(planned, as_planned, around.wanted);
    if (keeps_worst_case_) worst_.shrink(worst, at_worst, around.wanted);
    // What is set aside is the same there: what is left of it here.
    within_->let_go(kept({as_planned.trimmed, at_worst.trimmed}), 0);
  }
  if (aside != nullptr)
    *aside = {as_planned.left_of_cover(planned), keeps_worst_case_ ? at_worst.left_of_cover(worst) : 0,
              std::max<std::int64_t>(0, covered.nano_cost - asked.nano_cost)};
  return as_planned.granted;
}

inline void session_sums::settle(session_tokens held, std::int64_t held_cost, token_count charged,
                                 std::int64_t cost) noexcept {
  planned_.change(held.planned, charged);
  if (keeps_worst_case_) worst_.change(held.worst, charged);
  if (within_ != nullptr) within_->settle({kept(held), held_cost}, {charged, cost});
}

inline bool session_sums::grow(session_tokens more, refusal& refused_by) noexcept {
  const auto take = [this](sum& from, token_count tokens) { return tokens == 0 || from.take(cap_, {.fixed = tokens}); };
  if (!take(planned_, more.planned)) return false;
  const bool fits = !keeps_worst_case_ || take(worst_, more.worst);
  if (!fits) {
    planned_.let_go(more.planned);
    return false;
  }
  if (within_ == nullptr || (kept(more) == 0 && more.nano_cost == 0)) return true;
  sum_request around{.fixed = kept(more)};
  refused_by = within_->hold(around, more.nano_cost);
  if (refused_by.by == nullptr) return true;
  planned_.let_go(more.planned);
  if (keeps_worst_case_) worst_.let_go(more.worst);
  return false;
}

inline void session_sums::shrink(session_tokens less) noexcept {
  planned_.let_go(less.planned);
  if (keeps_worst_case_) worst_.let_go(less.worst);
  if (within_ != nullptr) within_->let_go(kept(less), less.nano_cost);
}

}  // namespace felix::inline v1::detail
