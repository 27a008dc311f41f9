// SPDX-License-Identifier: MIT
// llm: how long a server takes to read a prompt, so that what is left of the time to the first token is a wait.
#pragma once

#include <felix/usage.hpp>

#include <algorithm>

namespace felix::inline v1::detail {

/// A prompt takes its uncached tokens and 60 more (the fixed part), times the time for one, times the slowdown by other
/// requests. The time for one is the least that was seen, and rises by 1 % a prompt, because servers change.
/// How many tokens were read is known only when an answer has ended: before, it is the estimate, times how much of
/// earlier estimates was read.
/// Times are in seconds; `slowdown` is the present time a token over the one of a request that is alone, 1 if unknown.
class expected_prefill {
 public:
  [[nodiscard]] bool known() const noexcept { return per_token_ > 0; }
  /// 0 while nothing is known.
  [[nodiscard]] double of(token_count estimated_prompt_tokens, double slowdown) const noexcept {
    return per_token_ * (share_read_ * static_cast<double>(estimated_prompt_tokens) + overhead) * slowdown;
  }
  /// The mean of what was expected lately.
  [[nodiscard]] double mean() const noexcept { return mean_; }
  /// By how much more prompts took than was expected, in the mean.
  [[nodiscard]] double error() const noexcept { return error_; }

  /// The first token of a prompt came `seconds` after the server had taken it, or after it was sent.
  void add(token_count estimated_prompt_tokens, const token_usage& usage, double seconds, double slowdown) noexcept {
    if (known()) error_ += 0.1 * (std::max(0.0, seconds - of(estimated_prompt_tokens, slowdown)) - error_);
    const auto estimated = static_cast<double>(std::max<token_count>(estimated_prompt_tokens, 1));
    double read = share_read_ * estimated;
    if (usage.prompt_tokens > 0) {
      read = static_cast<double>(std::max<token_count>(usage.prompt_tokens - usage.cached_prompt_tokens, 0));
      share_read_ += (std::min(read / estimated, 4.0) - share_read_) * (known() ? 0.1 : 1.0);
    }
    const double per_token = std::max(seconds / (read + overhead) / slowdown, 1e-6);  // 0 is unknown
    per_token_ = known() ? std::min(1.01 * per_token_, per_token) : per_token;
    const double expected = of(estimated_prompt_tokens, slowdown);
    mean_ += (expected - mean_) * (mean_ > 0 ? 0.1 : 1.0);
  }

 private:
  static constexpr double overhead = 60;
  double per_token_ = 0;
  double share_read_ = 1;  // of the estimated tokens
  double mean_ = 0;
  double error_ = 0;
};

}  // namespace felix::inline v1::detail
