// SPDX-License-Identifier: MIT
// agent: phrases are found by whole words.
#include <felix/agent/detail/phrases.hpp>

#include "support/catch.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

using felix::detail::phrase_words;

namespace {

std::ptrdiff_t count(std::string_view pattern, std::string_view text) {
  return felix::detail::phrase{pattern}.count_in(phrase_words(text));
}

}  // namespace

TEST_CASE("phrase_words: lower case, by spaces and hyphens, with an empty word for a sign", "[agent][phrases]") {
  using words = std::vector<std::string>;
  CHECK(phrase_words("").empty());
  CHECK(phrase_words(" Low-quality  DATA\n2") == words{"low", "quality", "data", "2"});
  CHECK(phrase_words("no. It") == words{"no", "", "it"});
  CHECK(phrase_words("na\xC3\xAFve") == words{"na\xC3\xAFve"});
  CHECK(phrase_words("small but\xE2\x80\x94or so") == words{"small", "but", "", "or", "so"});
  CHECK(phrase_words("\xE2\x80") == words{""});  // cut off
}

TEST_CASE("phrase: whole words, in a row", "[agent][phrases]") {
  CHECK(count("but", "But small, BUT steady") == 2);
  CHECK(count("but", "attribute, butter, rebut, distribution") == 0);
  CHECK(count("on the contrary", "On the\ncontrary; on the other hand, on the contrary") == 2);
  CHECK(count("gaps in", "it has gaps. In fact") == 0);
  CHECK(count("gap|gaps in", "a gap in it, gaps in that, and gap-in") == 3);
  CHECK(count("missing data", "missing") == 0);
  CHECK(count("missing data", "") == 0);
  CHECK(count("a a", "a a a") == 2);
}

TEST_CASE("phrase: a star is the rest of a word", "[agent][phrases]") {
  CHECK(count("conflict*", "conflicting views conflict; the conflict. Nonconflicting, conflic") == 3);
  CHECK(count("in*correct|wrong", "in*correct") == 0);  // a star inside is a letter that no word has
}

TEST_CASE("find_phrases: how many are there, and how often", "[agent][phrases]") {
  constexpr std::array<std::string_view, 3> patterns{"because", "data indicates", "therefore"};
  const auto found = felix::detail::find_phrases(phrase_words("because, because, data indicates"), patterns);
  CHECK(found.distinct == 2);
  CHECK(found.all == 3);
}
