// SPDX-License-Identifier: MIT
// agent: finding phrases in a text, by whole words.
#pragma once

#include <felix/agent/confidence.hpp>  // detail::ascii_lower

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// All words of a text in lower case, short ones as well. Words are of ASCII letters, digits and whatever is not ASCII, without the dashes,
/// quotes and dots of Unicode's general punctuation. An empty word stands for a sign between two: no phrase goes across.
[[nodiscard]] inline std::vector<std::string> phrase_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = ascii_lower(text[i]);
    const bool is_unicode_sign = text.substr(i, 2) == "\xE2\x80" || text.substr(i, 2) == "\xE2\x81";
    const bool is_ascii = static_cast<unsigned char>(c) < 0x80;
    if (!is_unicode_sign && (!is_ascii || (c >= 'a' && c <= 'z') || ascii_digit(c))) {
      word += c;
      continue;
    }
    end_word();
    if (!ascii_space(c) && c != '-') words.emplace_back();
    if (is_unicode_sign) i += 2;
  }
  end_word();
  return words;
}

/// A phrase, such as "missing information|data": words in a row, each with its alternatives. "conflict*" is every word that
/// begins so.
class phrase {
 public:
  explicit phrase(std::string_view pattern) {
    for (const auto place : split(pattern, ' ')) places_.push_back(split(place, '|'));
  }

  /// How often it stands in a text.
  [[nodiscard]] std::ptrdiff_t count_in(std::span<const std::string> words) const {
    std::ptrdiff_t hits = 0;
    for (; words.size() >= places_.size(); words = words.subspan(1))
      hits += std::equal(places_.begin(), places_.end(), words.begin(), matches_any) ? 1 : 0;
    return hits;
  }

 private:
  using alternatives = std::vector<std::string_view>;

  static alternatives split(std::string_view text, char separator) {
    alternatives parts;
    for (;;) {
      const std::size_t end = text.find(separator);
      parts.push_back(text.substr(0, end));
      if (end == std::string_view::npos) return parts;
      text.remove_prefix(end + 1);
    }
  }
  static bool matches_any(const alternatives& wanted, std::string_view word) {
    return std::any_of(wanted.begin(), wanted.end(), [&](std::string_view each) {
      return each.ends_with('*') ? word.starts_with(each.substr(0, each.size() - 1)) : word == each;
    });
  }

  std::vector<alternatives> places_;  // of the pattern, which outlives it
};

/// What of `patterns` stands in a text: how many are there at all, and how often all of them.
struct phrase_hits {
  std::ptrdiff_t distinct = 0;
  std::ptrdiff_t all = 0;
};

[[nodiscard]] inline phrase_hits find_phrases(std::span<const std::string> words,
                                              std::span<const std::string_view> patterns) {
  phrase_hits found;
  for (const auto pattern : patterns) {
    const std::ptrdiff_t hits = phrase{pattern}.count_in(words);
    found.all += hits;
    found.distinct += hits > 0 ? 1 : 0;
  }
  return found;
}

}  // namespace detail
}  // namespace felix::inline v1
