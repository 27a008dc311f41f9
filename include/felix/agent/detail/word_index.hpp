// SPDX-License-Identifier: MIT
// agent: which texts have to do with which, by their words.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// The words of a text: runs of letters and digits, small (ASCII); all that is not ASCII is a letter. Of more than two
/// bytes, so that "is" and "of" say nothing.
[[nodiscard]] inline std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (word.size() > 2) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool upper = c >= 'A' && c <= 'Z';
    if (byte >= 0x80 || upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += upper ? static_cast<char>(c + ('a' - 'A')) : c;
    } else {
      end_word();
    }
  }
  end_word();
  return words;
}

/// Okapi BM25 with k1 = 1.2 and b = 0.75. The same texts in the same order give the same scores.
/// See: S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3.
class word_index {
 public:
  struct hit {
    std::size_t document = 0;  // in the order of add()
    double score = 0;
  };

  void add(std::string_view text) {
    std::map<std::string, std::uint32_t> counts;
    const auto words = words_of(text);
    for (const auto& word : words) ++counts[word];
    for (const auto& [word, count] : counts) postings_[word].push_back({lengths_.size(), count});
    lengths_.push_back(words.size());
    all_words_ += words.size();
  }

  /// Those that share a word with `query`, in their order.
  [[nodiscard]] std::vector<hit> find(std::string_view query) const {
    std::map<std::string, int> asked;
    for (const auto& word : words_of(query)) asked[word] = 1;
    std::map<std::size_t, double> scores;
    const auto documents = static_cast<double>(lengths_.size());
    const double mean_length = static_cast<double>(all_words_) / std::max(1.0, documents);
    for (const auto& [word, once] : asked) {
      const auto found = postings_.find(word);
      if (found == postings_.end()) continue;
      const auto with = static_cast<double>(found->second.size());
      const double rarity = std::log(1 + (documents - with + 0.5) / (with + 0.5));
      for (const auto& [document, count] : found->second) {
        const double length = static_cast<double>(lengths_[document]) / mean_length;
        const double times = static_cast<double>(count);
        scores[document] += rarity * times * (k1 + 1) / (times + k1 * (1 - b + b * length));
      }
    }
    std::vector<hit> hits;
    hits.reserve(scores.size());
    for (const auto& [document, score] : scores) hits.push_back({document, score});
    return hits;
  }

 private:
  static constexpr double k1 = 1.2;
  static constexpr double b = 0.75;
  struct posting {
    std::size_t document;
    std::uint32_t count;
  };
  std::unordered_map<std::string, std::vector<posting>> postings_;
  std::vector<std::size_t> lengths_;  // in words, by document
  std::size_t all_words_ = 0;
};

}  // namespace detail
}  // namespace felix::inline v1
