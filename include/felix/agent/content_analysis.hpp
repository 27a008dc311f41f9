// SPDX-License-Identifier: MIT
// agent: what the words of a team's findings tell: contradictions, gaps, how hard the matter is, and how well it is covered.
#pragma once

#include <felix/agent/detail/phrases.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// What was found in a few texts. It judges words, not what they mean: a hint where to look, and no proof.
struct content_analysis {
  static constexpr double high_complexity = 0.3;  ///< above it
  static constexpr double low_quality = 0.7;      ///< below it
  static constexpr double low_depth = 0.3;        ///< below it

  std::ptrdiff_t contradictions = 0;  ///< words such as "however" and "conflicting"
  std::ptrdiff_t gaps = 0;            ///< phrases such as "missing data" and "unclear"
  double complexity = 0;              ///< 0 to 1: a tenth for each "ambiguous", "multiple factors", …
  double quality = 1;                 ///< 1 to 0: a fifth less for each "draft analysis", "needs improvement", …
  double depth = 0;                   ///< 0 to 1: an eighth for each kind of reasoning: "because", "data indicates", …
  /// When the texts speak of one domain only: the others, as string literals.
  std::vector<std::string_view> missing_domains = {};

  [[nodiscard]] bool is_complex() const noexcept { return complexity > high_complexity; }
  [[nodiscard]] bool is_poor() const noexcept { return quality < low_quality; }
  [[nodiscard]] bool is_shallow() const noexcept { return depth < low_depth; }
};

namespace detail {

// Plurals and participles are spelled out or starred: whole words are compared, so that "but" is not found in "attribute".
inline constexpr std::array<std::string_view, 14> contradiction_words{
    "however",     "but",       "although",     "despite",      "conversely", "on the contrary", "disagree*",
    "contradict*", "conflict*", "inconsisten*", "not accurate", "incorrect*", "wrong",           "false"};
inline constexpr std::array<std::string_view, 5> gap_words{
    "need|needs|require|requires|lack|lacks more information|data|research|details",
    "insufficient data|information|evidence|analysis", "gap|gaps in", "missing information|data|analysis|coverage",
    "unknown|unclear|unspecified|undefined"};
inline constexpr std::array<std::string_view, 4> complexity_words{
    "complex|complicated|intricate|sophisticated|multifaceted",
    "require|requires further|additional|more analysis|research|investigation", "unclear|ambiguous|uncertain|confusing",
    "multiple factors|aspects|dimensions|considerations"};
inline constexpr std::array<std::string_view, 4> poor_words{
    "preliminary|draft|initial|rough|basic analysis|research|findings",
    "need|needs improvement|refinement|enhancement|development", "low|poor|insufficient quality",
    "incomplete|partial|limited analysis|coverage|scope"};
inline constexpr std::array<std::string_view, 11> depth_words{
    "because",    "therefore", "analysis shows", "data indicates", "research suggests", "evidence supports",
    "conclusion", "findings",  "methodology",    "approach",       "framework"};

struct domain_words {
  std::string_view name;
  std::string_view words;
};
inline constexpr std::array<domain_words, 5> domains{{
    {"technical", "technical|technology|system|systems|software|implementation|architecture"},
    {"business", "business|market|markets|cost|costs|customer|customers|revenue"},
    {"scientific", "scientific|science|hypothesis|experiment|experiments|study|studies|theory"},
    {"creative", "creative|creativity|design|story|style|imagination"},
    {"analytical", "analytical|statistics|statistical|trend|trends|comparison|metrics"},
}};

}  // namespace detail

/// The last ten texts, oldest first, as one. None at all say nothing: no gap, no lack of quality.
///     auto seen = felix::analyse_content(texts);
///     if (seen.contradictions > 0) call_a_critic();
/// Cost: linear in the text, for each of some forty phrases.
[[nodiscard]] inline content_analysis analyse_content(std::span<const std::string_view> texts) {
  std::vector<std::string> words;
  for (const auto text : texts.last(std::min<std::size_t>(texts.size(), 10))) {
    for (auto& word : detail::phrase_words(text)) words.push_back(std::move(word));
    words.emplace_back();  // no phrase goes across two texts
  }
  const auto share = [](std::ptrdiff_t hits, int whole) {
    return std::min(1.0, static_cast<double>(hits) / static_cast<double>(whole));
  };
  content_analysis found;
  found.contradictions = detail::find_phrases(words, detail::contradiction_words).all;
  found.gaps = detail::find_phrases(words, detail::gap_words).all;
  found.complexity = share(detail::find_phrases(words, detail::complexity_words).all, 10);
  found.quality = 1 - share(detail::find_phrases(words, detail::poor_words).all, 5);
  found.depth = share(detail::find_phrases(words, detail::depth_words).distinct, 8);
  for (const auto& domain : detail::domains)
    if (detail::phrase{domain.words}.count_in(words) == 0) found.missing_domains.push_back(domain.name);
  if (found.missing_domains.size() + 1 != detail::domains.size()) found.missing_domains.clear();
  return found;
}

}  // namespace felix::inline v1
