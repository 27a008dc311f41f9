// SPDX-License-Identifier: MIT
// agent: a long text in pieces: all of it, in order, whole characters.
#include <felix/agent/text_chunks.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <string>
#include <string_view>

using felix::chunks_of;

// D40: the original's continuation skipped every other piece, and an empty text had none.
TEST_CASE("chunks_of: D40, pieces are 0, 1, 2, and the last one says so", "[agent][text_chunks][D40]") {
  const auto three = chunks_of("0123456789abcdefghijABCDEFGHIJ", 10);
  REQUIRE(three.size() == 3);
  CHECK(three[0].text == "0123456789");
  CHECK(three[1].text == "abcdefghij");
  CHECK(three[2].text == "ABCDEFGHIJ");
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(three[i].index == i);
    CHECK(three[i].is_last == (i == 2));
  }
  const auto none = chunks_of("", 10);
  REQUIRE(none.size() == 1);
  CHECK(none[0].text.empty());
  CHECK(none[0].is_last);
  CHECK(chunks_of("abc", 10).size() == 1);
  CHECK_THROWS_AS(chunks_of("abc", 0), felix::error);
}

TEST_CASE("chunks_of: no character is cut, and nothing is lost, at any size", "[agent][text_chunks]") {
  const std::string text = "Tee äöü 茶 🍵 ab" + std::string(9, '\x80') + "\xFF end";
  for (std::size_t bytes = 1; bytes <= text.size() + 1; ++bytes) {
    CAPTURE(bytes);
    std::string all;
    for (const auto& chunk : chunks_of(text, bytes)) {
      CHECK(chunk.text.size() <= bytes);
      CHECK_FALSE(chunk.text.empty());
      all += chunk.text;
    }
    CHECK(all == text);
  }
  for (const auto& chunk : chunks_of("äöüß", 3)) CHECK(chunk.text.size() == 2);
  for (const auto& chunk : chunks_of("🍵🍵", 7)) CHECK(chunk.text == "🍵");
}
