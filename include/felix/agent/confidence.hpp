// SPDX-License-Identifier: MIT
// agent: how sure an agent may be of a text, from its depth, its stage, its record and the look of the text.
#pragma once

#include <felix/agent/helix.hpp>  // detail::checked_depth
#include <felix/error.hpp>
#include <felix/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace felix::inline v1 {

namespace detail {

constexpr char ascii_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
constexpr bool ascii_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool ascii_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Anywhere in the text, also inside a longer word. `words` are lower case.
constexpr bool mentions_any(std::string_view text, std::initializer_list<std::string_view> words) noexcept {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return std::search(text.begin(), text.end(), word.begin(), word.end(),
                       [](char c, char wanted) { return ascii_lower(c) == wanted; }) != text.end();
  });
}

constexpr std::ptrdiff_t word_count(std::string_view text) noexcept {
  std::ptrdiff_t words = 0;
  bool inside = false;
  for (const char c : text) {
    if (!inside && !ascii_space(c)) ++words;
    inside = !ascii_space(c);
  }
  return words;
}

}  // namespace detail

/// What a text looks like, from 0 (blank) to 1: the mean of length, structure, depth and specificity. It judges the
/// form only. ASCII letters match in either case, words also inside longer ones, lengths are in code points.
[[nodiscard]] constexpr double quality(std::string_view text) noexcept {
  if (std::all_of(text.begin(), text.end(), detail::ascii_space)) return 0;
  const auto has = [&](std::string_view part) { return text.find(part) != std::string_view::npos; };
  const auto times = [&](char c) { return std::count(text.begin(), text.end(), c); };
  const auto share = [](std::initializer_list<bool> satisfied) {
    return static_cast<double>(std::count(satisfied.begin(), satisfied.end(), true)) /
           static_cast<double>(satisfied.size());
  };

  const auto characters = static_cast<double>(code_point_count(text));
  const double length = characters < 100    ? characters / 100
                        : characters > 2000 ? std::max(0.3, 2000 / characters)
                                            : 1.0;
  const double structure = share({has("\n\n"), has("."), times('.') >= 3,
                                  detail::mentions_any(text, {"analysis", "research", "conclusion", "summary"})});
  const double depth = share(
      {detail::mentions_any(text, {"because", "therefore", "however", "moreover", "furthermore"}),
       detail::mentions_any(text, {"data", "evidence", "study", "research", "analysis"}),
       detail::mentions_any(text, {"consider", "suggest", "indicate", "demonstrate"}), detail::word_count(text) > 50});
  const double specificity =
      share({std::any_of(text.begin(), text.end(), detail::ascii_digit), times(',') > 2,
             detail::mentions_any(text, {"specific", "particular", "detail", "example"}), has("\"") || has("'")});
  return 0.25 * (length + structure + depth + specificity);
}

/// How steady the last three of an agent's earlier confidences are, from 0 to 1; 0.5 while there are fewer.
[[nodiscard]] constexpr double consistency(std::span<const double> earlier) noexcept {
  if (earlier.size() < 3) return 0.5;
  const auto recent = earlier.last<3>();
  const double mean = (recent[0] + recent[1] + recent[2]) / 3;
  double variance = 0;
  for (const double value : recent) variance += (value - mean) * (value - mean) / 3;
  return std::clamp(1 - 10 * variance, 0.0, 1.0);
}

/// What a role's confidence is made of: `base` at the top, `base + span` at the bottom, never above `cap`.
struct confidence_curve {
  double base = 0;
  double span = 0;
  double cap = 1;
};

/// The confidence of an agent in `text`, its answer of `stage` (counted from 1), given its earlier ones, oldest first:
///     confidence({.base = 0.6, .span = 0.35, .cap = 0.95}, motion.depth(), answer.text(), stage, history)
/// Throws: error (invalid_argument) for a depth outside [0, 1] or NaN, or a stage below 1.
[[nodiscard]] inline double confidence(const confidence_curve& curve, double depth, std::string_view text, int stage,
                                       std::span<const double> earlier) {
  detail::checked_depth("confidence", depth);
  if (stage < 1)
    throw error{errc::invalid_argument,
                "confidence: stage is " + std::to_string(stage) + "; an agent's first answer is that of stage 1"};
  const double experience = std::min(0.005 * stage, 0.05);
  const double sum = curve.base + curve.span * depth + 0.1 * quality(text) + experience + 0.05 * consistency(earlier);
  return std::min(curve.cap, std::max(0.0, sum));
}

}  // namespace felix::inline v1
