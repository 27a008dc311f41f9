// SPDX-License-Identifier: MIT
// model_server: fills sentence templates with words, by a seed, so that no sentence comes twice in a text.
#pragma once

#include "model_server/phrases.hpp"
#include "model_server/reading.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace model_server::detail {

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the distributions of the standard library differ between platforms.
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) noexcept : state_{seed} {}
  std::uint64_t next() noexcept;
  /// Uniform over 0 .. count - 1, but for a bias of count / 2^64. count > 0.
  std::size_t below(std::size_t count) noexcept { return static_cast<std::size_t>(next() % count); }

 private:
  std::uint64_t state_;
};

inline constexpr std::size_t any_length = std::numeric_limits<std::size_t>::max();

/// Writes the sentences of one text.
class writer {
 public:
  writer(const assignment& work, std::uint64_t seed);

  [[nodiscard]] const assignment& work() const noexcept { return work_; }
  [[nodiscard]] std::size_t below(std::size_t count) noexcept { return random_.below(count); }

  /// A sentence that this text does not have yet, of at most `room` bytes; none if no template gives one. A template is
  /// used again only when all of its list have been used.
  [[nodiscard]] std::optional<std::string> sentence(phrase_list templates, std::size_t room = any_length);
  /// Any of them, as it is. Comes again only when all have come, and never twice in a row.
  [[nodiscard]] std::string_view one_of(phrase_list phrases);

 private:
  struct deck {
    std::vector<std::string_view> cards{};
    std::size_t left = 0;  // the first ones, which have not been drawn in this round
  };
  struct quotation {
    std::string_view author = "an earlier note";
    std::string_view words = "earlier work";
  };
  static std::string_view put_away(deck& from, std::size_t at);
  std::string_view draw(deck& from);
  deck& deck_of(phrase_list phrases);
  quotation next_quotation();
  std::string fill(std::string_view text);
  std::string word_for(std::string_view blank, const quotation& quoted);

  const assignment& work_;
  random_numbers random_;
  std::map<const std::string_view*, deck> decks_;  // by where the list begins
  deck aspects_;
  std::size_t findings_used_ = 0;
  std::set<std::string, std::less<>> written_;
};

}  // namespace model_server::detail
