// SPDX-License-Identifier: MIT
// budget: what an estimator of prompts is: it plans, it bounds, it learns, and it says how sure it is.
#pragma once

#include <felix/budget/prompt_size.hpp>
#include <felix/usage.hpp>

#include <cmath>
#include <concepts>
#include <cstdint>
#include <string>

namespace felix::inline v1 {

/// How sure a plan is.
struct estimate_confidence {
  double share = 0;  ///< of prompts that take no more than was planned; 1: all; 0: it cannot be said
  int answers = 0;   ///< how many it rests on: it holds for text like theirs

  friend constexpr bool operator==(const estimate_confidence&, const estimate_confidence&) noexcept = default;

  /// "confidence 99 % for text like the last 64".
  [[nodiscard]] std::string statement() const {
    if (share <= 0) return "no confidence stated";
    const auto percent = "confidence " + std::to_string(std::lround(100 * share)) + " %";
    return answers == 0 ? percent : percent + " for text like the last " + std::to_string(answers);
  }
};

/// Estimates the prompts for one server and model. A value: a copy learns on its own, and what it knows depends on what it
/// learned and in which order, on nothing else. So a session can let it learn exactly what its window lets it see.
///     planned(size)      what to plan with; never above at_most(size)
///     at_most(size)      what to reserve: a bound, whatever planned() says
///     learn(size, n)     an answer to such a prompt reported n prompt tokens; 0: the server sent no usage
///     confidence(size)   how sure planned(size) is
///     one_at_a_time()    a server has counted more than at_most() said: send it one request at a time, so that no more
///                        than one can do so unseen, until eight in a row were within
///     answers_seen()     what it has learned from; 0: at_most() knows nothing of the server's template yet
/// Pure but for learn(), and noexcept, because reservations ask in their middle.
template <class E>
concept estimation_policy =
    std::copyable<E> && requires(E& estimator, const E& known, const prompt_size& size, token_count prompt_tokens) {
      { known.planned(size) } noexcept -> std::same_as<token_count>;
      { known.at_most(size) } noexcept -> std::same_as<token_count>;
      { estimator.learn(size, prompt_tokens) } noexcept;
      { known.confidence(size) } noexcept -> std::same_as<estimate_confidence>;
      { known.one_at_a_time() } noexcept -> std::same_as<bool>;
      { known.answers_seen() } noexcept -> std::same_as<std::int64_t>;
    };

}  // namespace felix::inline v1
