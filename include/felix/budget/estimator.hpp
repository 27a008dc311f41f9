// SPDX-License-Identifier: MIT
// budget: how many tokens a prompt takes, before a server has counted them: what to plan with, and the most it can be.
#pragma once

#include <felix/budget/estimation.hpp>
#include <felix/budget/prompt_bound.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace felix::inline v1 {

/// The estimator that sessions use: a rule of thumb to plan with, and the bound to reserve.
///     token_count worst = estimator.at_most(size);                    // before sending: what to reserve
///     estimator.learn(size, answer.usage().prompt_tokens);            // in the order in which answers are settled
/// Threads: none of its own; the owner guards it. Cost: a dozen numbers, copied freely.
class prompt_estimator {
 public:
  static constexpr token_count first_template_per_message = prompt_bound::first_template_per_message;
  static constexpr token_count first_template_once = prompt_bound::first_template_once;
  static constexpr int agreement = prompt_bound::agreement;
  static constexpr token_count highest = prompt_bound::highest;

  constexpr prompt_estimator() noexcept = default;
  constexpr explicit prompt_estimator(prompt_bound bound) noexcept : bound_{bound} {}

  /// What to plan with: half the bytes before the first answer, then 1.5 times the most tokens per byte seen; never more
  /// than the bytes. What images took comes on top. Never above at_most().
  [[nodiscard]] token_count planned(const prompt_size& size) const noexcept {
    const token_count bytes = std::clamp<token_count>(size.bytes, 0, highest);
    const token_count text = answers_seen() == 0 ? bytes - bytes / 2 : from_ratio(bytes);
    return std::min(text + bound_.planned_images(size), at_most(size));
  }
  [[nodiscard]] token_count at_most(const prompt_size& size) const noexcept { return bound_.at_most(size); }

  void learn(const prompt_size& size, token_count prompt_tokens) noexcept {
    bound_.learn(size, prompt_tokens);
    if (size.bytes <= 0 || size.images > 0) return;
    prompt_tokens = std::min(prompt_tokens, highest);
    // Cross-multiplied, so that no quotient is rounded; exact as long as the products are below 2^53. No usage is never more.
    if (as_double(prompt_tokens) * as_double(densest_bytes_) > as_double(densest_tokens_) * as_double(size.bytes)) {
      densest_tokens_ = prompt_tokens;
      densest_bytes_ = size.bytes;
    }
  }

  /// None is stated: how often 1.5 times the most is too little, nobody has measured.
  [[nodiscard]] estimate_confidence confidence(const prompt_size&) const noexcept { return {}; }
  [[nodiscard]] bool one_at_a_time() const noexcept { return bound_.one_at_a_time(); }
  [[nodiscard]] std::int64_t answers_seen() const noexcept { return bound_.answers_seen(); }
  [[nodiscard]] token_count template_tokens() const noexcept { return bound_.template_tokens(); }

 private:
  static constexpr double as_double(token_count n) noexcept { return static_cast<double>(n); }

  // ⌈1.5 · densest · bytes⌉. One division at the end: a quotient of integers below 2^53 is never rounded across an integer,
  // so this is exact for prompts up to 50 MB, and beyond that it cannot overflow.
  [[nodiscard]] token_count from_ratio(token_count bytes) const noexcept {
    const double estimate = 3 * as_double(densest_tokens_) * as_double(bytes) / (2 * as_double(densest_bytes_));
    return estimate < as_double(bytes) ? static_cast<token_count>(std::ceil(estimate)) : bytes;
  }

  prompt_bound bound_;
  token_count densest_tokens_ = 0;  // of the answer with the most tokens per byte; 0 / 1 is below any answer
  token_count densest_bytes_ = 1;
};

static_assert(estimation_policy<prompt_estimator>);

}  // namespace felix::inline v1
