// SPDX-License-Identifier: MIT
// budget: how long an answer a model has room and time for.
#pragma once

#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>

namespace felix::inline v1 {

/// What one request may have of a model. 0: it is not known, and no limit.
struct model_capacity {
  token_count context_tokens = 0;  ///< of its prompt and answer together, as in server_info
  double tokens_per_second = 0;    ///< at which it writes

  /// The answer tokens of `wanted` that are of use: at most half of what the prompt leaves of the context, so that the
  /// prompts of later requests have room, too, and no more than are written in `time` (max: for ever). 0: it cannot
  /// answer.
  [[nodiscard]] constexpr token_count answer_tokens(
      token_count wanted, token_count prompt_tokens,
      std::chrono::nanoseconds time = std::chrono::nanoseconds::max()) const noexcept {
    token_count most = std::max<token_count>(0, wanted);
    if (context_tokens > 0)
      most = std::min(most, std::max<token_count>(0, context_tokens - std::max<token_count>(0, prompt_tokens)) / 2);
    if (tokens_per_second > 0 && time != std::chrono::nanoseconds::max()) {
      const double in_time = tokens_per_second * std::max(0.0, std::chrono::duration<double>{time}.count());
      if (in_time < static_cast<double>(most)) most = static_cast<token_count>(in_time);
    }
    return most;
  }
};

}  // namespace felix::inline v1
