// SPDX-License-Identifier: MIT
// budget: what was spent, by whom, and how well it was kept to.
#pragma once

#include <felix/budget/role_id.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <map>

namespace felix::inline v1 {

namespace detail {

[[nodiscard]] constexpr double share_of(token_count part, token_count whole) noexcept {
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace detail

/// What an agent, a role, or the n-th stage of all agents has used.
struct budget_share {
  token_count base_tokens = 0;      ///< answer tokens allotted in all: an agent's, a role's of its agents; else 0
  token_count answer_tokens = 0;    ///< of these, settled
  token_count settled = 0;          ///< prompts and answers
  token_count reserved = 0;         ///< by requests in flight
  int stages = 0;                   ///< requests that were charged
  token_count answer_reserved = 0;  ///< answer tokens of requests in flight
  token_count granted = 0;          ///< max_tokens, summed up over the requests that were charged and those in flight
  token_count answers_beyond = 0;   ///< what was answered beyond max_tokens, whoever has paid for it
  int overruns = 0;                 ///< requests that cost more than their reservation
  token_count answer_overrun = 0;   ///< what they cost beyond it, by its cause: an answer longer than max_tokens,
  token_count prompt_overrun = 0;   ///< or a prompt above its bound

  /// Answer tokens: what was allotted, or for a stage, which has no allotment, what was granted.
  [[nodiscard]] token_count allotted() const noexcept { return base_tokens > 0 ? base_tokens : granted; }
  [[nodiscard]] token_count used() const noexcept { return answer_tokens; }
  [[nodiscard]] token_count left() const noexcept {
    return std::max<token_count>(0, allotted() - answer_tokens - answer_reserved);
  }
  /// used / allotted; 0 when nothing was.
  [[nodiscard]] double efficiency() const noexcept {
    return allotted() > 0 ? detail::share_of(answer_tokens, allotted()) : 0;
  }
  /// The share of requests that stayed within their reservations.
  [[nodiscard]] double compliance() const noexcept { return stages > 0 ? 1 - detail::share_of(overruns, stages) : 1; }

  budget_share& operator+=(const budget_share& other) noexcept;
};

struct budget_status {
  token_count cap = 0;
  token_count settled = 0;         ///< prompts and answers, as servers reported them
  token_count reserved = 0;        ///< by requests in flight, and set aside
  token_count answer_overrun = 0;  ///< what servers answered beyond max_tokens
  token_count prompt_overrun = 0;  ///< what prompts cost beyond their reservation
  std::map<role_id, budget_share> roles = {};
  std::map<agent_id, budget_share> agents = {};
  std::map<int, budget_share> stages = {};  ///< by the number of the stage; the last counted one stands for later ones

  /// What can still be granted.
  [[nodiscard]] token_count left() const noexcept { return std::max<token_count>(0, cap - settled - reserved); }
  [[nodiscard]] token_count allotted() const noexcept { return cap; }
  [[nodiscard]] token_count used() const noexcept { return settled; }
  [[nodiscard]] double efficiency() const noexcept { return cap > 0 ? detail::share_of(settled, cap) : 0; }
  /// The share of requests that stayed within their reservations.
  [[nodiscard]] double compliance() const noexcept {
    budget_share all;
    for (const auto& [id, share] : agents) all += share;
    return all.compliance();
  }
};

inline budget_share& budget_share::operator+=(const budget_share& other) noexcept {
  const auto add = [](token_count& sum, token_count more) { sum = detail::saturating_sum(sum, more); };
  add(base_tokens, other.base_tokens);
  add(answer_tokens, other.answer_tokens);
  add(settled, other.settled);
  add(reserved, other.reserved);
  stages += other.stages;
  add(answer_reserved, other.answer_reserved);
  add(granted, other.granted);
  add(answers_beyond, other.answers_beyond);
  overruns += other.overruns;
  add(answer_overrun, other.answer_overrun);
  add(prompt_overrun, other.prompt_overrun);
  return *this;
}

}  // namespace felix::inline v1
