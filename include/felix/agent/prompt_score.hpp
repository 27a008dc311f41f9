// SPDX-License-Identifier: MIT
// agent: how good an answer to a prompt was.
#pragma once

#include <felix/agent/confidence.hpp>
#include <felix/agent/contribution.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/usage.hpp>
#include <felix/utf8.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

namespace felix::inline v1 {

/// What an answer is judged by.
struct prompt_measure {
  double quality = 0;     ///< of its text, 0 to 1
  double confidence = 0;  ///< of its agent, 0 to 1
  double efficiency = 0;  ///< 0 to 1
  bool truncated = false;
  std::optional<double> seconds = {};  ///< it took; none: time does not count, so that a score knows no clock
};

/// From 0 to 1: four tenths quality, three confidence, two efficiency, one for the time up to ten seconds; less two tenths
/// when it is truncated.
[[nodiscard]] inline double prompt_score(const prompt_measure& measured) noexcept {
  const double speed = measured.seconds ? std::max(0.0, 1 - *measured.seconds / 10) : 0;
  // fma: one rounding on every machine, where a + b * c would have one or two, as the compiler likes.
  double score = std::fma(0.4, measured.quality, measured.truncated ? -0.2 : 0.0);
  score = std::fma(0.3, measured.confidence, score);
  score = std::fma(0.2, measured.efficiency, score);
  return std::clamp(std::fma(0.1, speed, score), 0.0, 1.0);
}

/// Whether an answer looks cut off, or as good as empty: the server says so, it took 95 % of `max_tokens` (0: no limit) or
/// more, it ends in an ellipsis, or has fewer than 50 characters.
[[nodiscard]] inline bool looks_truncated(const contribution& made, token_count max_tokens) noexcept {
  std::string_view text = made.text;
  while (!text.empty() && detail::ascii_space(text.back())) text.remove_suffix(1);
  const bool is_full = max_tokens > 0 && made.usage.completion_tokens >= max_tokens - max_tokens / 20;
  return made.finish_reason == finish_reason::length || is_full || text.ends_with("...") || text.ends_with("…") ||
         code_point_count(text) < 50;
}

/// What the contribution is judged by, without the time. Efficiency is confidence up to 0.8: what is beyond is not worth more.
[[nodiscard]] inline prompt_measure measure_of(const contribution& made, token_count max_tokens) {
  return {.quality = quality(made.text),
          .confidence = made.confidence,
          .efficiency = std::min(made.confidence, 0.8),
          .truncated = looks_truncated(made, max_tokens)};
}

}  // namespace felix::inline v1
