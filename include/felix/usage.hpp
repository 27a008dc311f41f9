// SPDX-License-Identifier: MIT
// What a request cost: one type from the server's answer to the final report.
#pragma once

#include <cstdint>
#include <limits>

namespace felix::inline v1 {

/// A number of tokens. Signed, so that a difference is a number too.
using token_count = std::int64_t;

namespace detail {

/// As near to the sum as can be said: some servers invent counts.
[[nodiscard]] constexpr token_count saturating_sum(token_count a, token_count b) noexcept {
  using limits = std::numeric_limits<token_count>;
  if (b > 0 && a > limits::max() - b) return limits::max();
  if (b < 0 && a < limits::min() - b) return limits::min();
  return a + b;
}

}  // namespace detail

/// The tokens of one request or of many, as the server reported them.
struct token_usage {
  token_count prompt_tokens = 0;
  token_count completion_tokens = 0;
  token_count total_tokens = 0;
  token_count cached_prompt_tokens = 0;  ///< of the prompt's, those that were not read anew
  token_count reasoning_tokens = 0;      ///< of the answer's, those that were thought and not said
  bool estimated = false;                ///< at least a part was estimated, because a server sent no usage

  /// A count stays at the most that can be said.
  constexpr token_usage& operator+=(const token_usage& other) noexcept {
    prompt_tokens = detail::saturating_sum(prompt_tokens, other.prompt_tokens);
    completion_tokens = detail::saturating_sum(completion_tokens, other.completion_tokens);
    total_tokens = detail::saturating_sum(total_tokens, other.total_tokens);
    cached_prompt_tokens = detail::saturating_sum(cached_prompt_tokens, other.cached_prompt_tokens);
    reasoning_tokens = detail::saturating_sum(reasoning_tokens, other.reasoning_tokens);
    estimated = estimated || other.estimated;
    return *this;
  }
  friend constexpr token_usage operator+(token_usage a, const token_usage& b) noexcept { return a += b; }
  friend constexpr bool operator==(const token_usage&, const token_usage&) noexcept = default;
};

}  // namespace felix::inline v1
