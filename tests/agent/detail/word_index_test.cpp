// SPDX-License-Identifier: MIT
// agent: which texts have to do with which, by their words.
#include <felix/agent/detail/word_index.hpp>

#include "support/catch.hpp"

#include <string>
#include <vector>

TEST_CASE("word_index: scores are Okapi BM25's", "[agent][word_index]") {
  felix::detail::word_index index;
  index.add("alpha beta");
  index.add("alpha alpha gamma delta");
  index.add("beta gamma");
  const auto hits = index.find("alpha");
  REQUIRE(hits.size() == 2);
  // Of 3 texts of 8/3 words on average 2 have it: ln(1 + 1.5 / 2.5).
  const double rarity = 0.47000362924573558;
  CHECK(hits[0].document == 0);
  CHECK(hits[0].score == Approx(rarity * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / (8.0 / 3)))));
  CHECK(hits[1].document == 1);
  CHECK(hits[1].score == Approx(rarity * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 4 / (8.0 / 3)))));
  const auto both = index.find("gamma beta");
  REQUIRE(both.size() == 3);
  CHECK(both[2].score > both[0].score);
  CHECK(index.find("alpha alpha").at(0).score == hits[0].score);
}

TEST_CASE("word_index: words are small letters and digits, in any script, of three bytes or more",
          "[agent][word_index]") {
  using felix::detail::words_of;
  CHECK(words_of("It's Tea-time, at 1776!") == std::vector<std::string>{"tea", "time", "1776"});
  CHECK(words_of("茶は 古い.Été") == std::vector<std::string>{"茶は", "古い", "Été"});
  CHECK(words_of("").empty());
}
