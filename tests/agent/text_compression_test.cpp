// SPDX-License-Identifier: MIT
// agent: a text in fewer bytes: the size holds, sentences keep their order, the best of them stay.
#include <felix/agent/text_compression.hpp>

#include <felix/utf8.hpp>
#include "support/catch.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

using felix::compress_text;
using felix::relevance;

namespace {

constexpr std::string_view prose =
    "Tea is old. It was drunk in China some 5,000 years ago, as people there like to tell. Nobody knows. The WHO has "
    "much "
    "to say of it. Water matters.";

}  // namespace

TEST_CASE("relevance: topics that are there, and how often", "[agent][text_compression]") {
  constexpr std::array<std::string_view, 3> topics{"quantum", "qubits", "noise"};
  CHECK(relevance("quantum quantum qubits", topics) == Approx(0.7666666667).epsilon(1e-9));
  CHECK(relevance("Quantum NOISE of qubits", topics) == 1.0);
  CHECK(relevance("quantum quantum quantum quantum quantum quantum quantum qubits", topics) == 1.0);
  CHECK(relevance("bread", topics) == 0.0);
  CHECK(relevance("bread", {}) == 0.5);
}

TEST_CASE("compress_text: the best sentences stay, in their order", "[agent][text_compression]") {
  CHECK(compress_text(prose, 1'000) == prose);
  // A usual length and a number: 0.3; capitals: 0.1; of the rest the first.
  CHECK(compress_text(prose, 75) == "It was drunk in China some 5,000 years ago, as people there like to tell.");
  CHECK(compress_text(prose, 112) ==
        "It was drunk in China some 5,000 years ago, as people there like to tell. The WHO has much to say of it.");
  CHECK(compress_text(prose, 20) == "Tea is old.");
  CHECK(compress_text("The first one ends. The second, with 42, has no end", 40) == "The second, with 42, has no end");
  constexpr std::array<std::string_view, 2> keywords{"WATER", "nobody"};
  CHECK(compress_text(prose, 30, keywords) == "Nobody knows. Water matters.");
}

// D39: the original's compression ended in a type error, ignored its size, and turned sentences around.
TEST_CASE("compress_text: D39, any size is kept, by sentences of the text in their order",
          "[agent][text_compression][D39]") {
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += "Sentence " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 7), 'x') + " über Tee. ";
  for (std::size_t bytes = 0; bytes <= text.size(); bytes += 13) {
    CAPTURE(bytes);
    const std::string shorter = compress_text(text, bytes);
    CHECK(shorter.size() <= bytes);
    if (bytes >= 40) CHECK(2 * shorter.size() + 80 >= bytes);  // and used
    CHECK(felix::valid_utf8_end(shorter) == shorter.size());
    std::size_t at = 0;
    std::string_view rest = shorter;
    while (bytes >= 40 && !rest.empty()) {
      const std::size_t end = rest.find(". ");
      const std::string_view sentence = rest.substr(0, end == std::string_view::npos ? rest.size() : end + 1);
      const std::size_t found = text.find(sentence, at);
      REQUIRE(found != std::string::npos);
      at = found + sentence.size();
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
    }
  }
}

TEST_CASE("compress_text: what has no sentences, or no room for one, is cut between words",
          "[agent][text_compression]") {
  CHECK(compress_text("one two three four five six", 15) == felix::clip("one two three four five six", 15));
  CHECK(compress_text(prose, 9) == felix::clip(prose, 9));
  CHECK(compress_text(prose, 0).empty());
  CHECK(compress_text("", 10).empty());
}
