// SPDX-License-Identifier: MIT
// agent: a text in fewer bytes, without a model: its best sentences, in their order.
#pragma once

#include <felix/agent/confidence.hpp>  // detail::ascii_lower, detail::ascii_digit
#include <felix/agent/prompt.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace felix::inline v1 {

namespace detail {

/// What of a text begins where: `word` in any case, as a part of a word too.
[[nodiscard]] inline std::size_t count_of(std::string_view text, std::string_view word) noexcept {
  const auto same = [](char a, char b) { return ascii_lower(a) == ascii_lower(b); };
  std::size_t hits = 0;
  if (word.empty()) return hits;
  for (auto at = text.begin();; at += static_cast<std::ptrdiff_t>(word.size())) {
    at = std::search(at, text.end(), word.begin(), word.end(), same);
    if (at == text.end()) return hits;
    ++hits;
  }
}

/// Good for keeping: of a usual length, with keywords, with a number, with a word in capitals.
[[nodiscard]] inline double sentence_score(std::string_view sentence,
                                           std::span<const std::string_view> keywords) noexcept {
  std::size_t words = 0, capitals = 0;
  bool has_capitals = false, has_digit = false;
  for (std::size_t i = 0; i <= sentence.size(); ++i) {
    const char c = i < sentence.size() ? sentence[i] : ' ';
    has_digit = has_digit || ascii_digit(c);
    capitals = c >= 'A' && c <= 'Z' ? capitals + 1 : 0;
    has_capitals = has_capitals || capitals > 1;
    const bool ends_word = ascii_space(c) && i > 0 && !ascii_space(sentence[i - 1]);
    words += ends_word ? 1U : 0U;
  }
  double score = words >= 10 && words <= 25 ? 0.2 : 0;
  for (const auto keyword : keywords) score += count_of(sentence, keyword) > 0 ? 0.3 : 0;
  return score + (has_digit ? 0.1 : 0) + (has_capitals ? 0.1 : 0);
}

}  // namespace detail

/// How much `text` has to do with `topics`, from 0 to 1: the share of them that it has, in any case, and a tenth more each time
/// it has one again. 0.5 without topics: nothing is known.
[[nodiscard]] inline double relevance(std::string_view text, std::span<const std::string_view> topics) noexcept {
  if (topics.empty()) return 0.5;
  std::size_t present = 0, again = 0;
  for (const auto topic : topics) {
    const std::size_t hits = detail::count_of(text, topic);
    present += hits > 0 ? 1U : 0U;
    again += hits > 1 ? hits - 1 : 0U;
  }
  return std::min(1.0,
                  static_cast<double>(present) / static_cast<double>(topics.size()) + 0.1 * static_cast<double>(again));
}

/// At most `max_bytes` of `text`: as many whole sentences as have room, those first that are of a usual length or have
/// keywords, numbers or words in capitals; they stay in their order, with a blank between. When not even the first of the text
/// has room, it is cut as clip() does. Never ends inside a UTF-8 sequence.
///     auto shorter = felix::compress_text(report, report.size() * 6 / 10, keywords);
/// Cost: O(n log n) in the text, for each keyword.
[[nodiscard]] inline std::string compress_text(std::string_view text, std::size_t max_bytes,
                                               std::span<const std::string_view> keywords = {}) {
  if (text.size() <= max_bytes) return std::string{text};
  struct sentence {
    std::string_view words;
    double score;
    bool is_kept;
  };
  std::vector<sentence> all;
  std::size_t begin = 0;
  const auto add = [&](std::size_t end) {
    std::string_view words = text.substr(begin, end - begin);
    words.remove_prefix(std::min(words.find_first_not_of(" \n\t\r"), words.size()));
    if (!words.empty()) all.push_back({words, detail::sentence_score(words, keywords), false});
    begin = end;
  };
  detail::for_each_sentence_end(text, text.size(), add);
  if (begin < text.size()) add(text.size());

  std::vector<std::size_t> best(all.size());
  for (std::size_t i = 0; i < best.size(); ++i) best[i] = i;
  // By index too: of equals the earlier one.
  std::sort(best.begin(), best.end(), [&](std::size_t a, std::size_t b) {
    return all[a].score != all[b].score ? all[a].score > all[b].score : a < b;
  });
  std::size_t used = 0;
  for (const std::size_t i : best) {
    const std::size_t more = all[i].words.size() + (used > 0 ? 1U : 0U);
    if (used + more > max_bytes) continue;
    used += more;
    all[i].is_kept = true;
  }
  if (used == 0) return clip(text, max_bytes);
  std::string kept;
  for (const auto& each : all) {
    if (!each.is_kept) continue;
    if (!kept.empty()) kept += ' ';
    kept += each.words;
  }
  return kept;
}

}  // namespace felix::inline v1
