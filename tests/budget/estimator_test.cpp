// SPDX-License-Identifier: MIT
// budget: the bound of a text against measured normal forms, and the estimator's two sums answer by answer.
#include <felix/budget/estimator.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

using felix::text_token_bound;
using felix::token_count;

static_assert(noexcept(text_token_bound("")));
static_assert(std::is_trivially_copyable_v<felix::prompt_estimator>);

namespace {

constexpr token_count gibi = token_count{1} << 30;

std::string utf8(char32_t code_point) {
  const auto trail = [&](unsigned shift) { return static_cast<char>(0x80U | (code_point >> shift & 0x3FU)); };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {static_cast<char>(0xC0U | code_point >> 6U), trail(0)};
  if (code_point < 0x10000) return {static_cast<char>(0xE0U | code_point >> 12U), trail(6), trail(0)};
  return {static_cast<char>(0xF0U | code_point >> 18U), trail(12), trail(6), trail(0)};
}

std::string utf8(std::initializer_list<char32_t> code_points) {
  std::string text;
  for (const char32_t code_point : code_points) text += utf8(code_point);
  return text;
}

// The tokens that a text can be beyond its bytes and the one of its segment.
token_count growth(std::string_view text) { return text_token_bound(text) - static_cast<token_count>(text.size()) - 1; }

felix::prompt_size sized(token_count bytes, token_count text_bound, int messages = 1) {
  return {.bytes = bytes, .text_bound = text_bound, .messages = messages};
}

}  // namespace

TEST_CASE("text_token_bound: ordinary text is its bytes + 1", "[budget][estimator]") {
  CHECK(text_token_bound("") == 1);
  CHECK(text_token_bound(" ") == 2);
  CHECK(text_token_bound(std::string_view{"\0", 1}) == 2);
  CHECK(text_token_bound("\x7F") == 2);
  CHECK(text_token_bound("Why is the sky blue?") == 21);
  CHECK(growth("Gr\xC3\xBC\xC3\x9F Gott, \xE4\xBD\xA0\xE5\xA5\xBD, \xED\x95\x9C, \xF0\x9F\x98\x80") == 0);
  CHECK(text_token_bound(std::string(100'000, 'a')) == 100'001);
}

TEST_CASE("text_token_bound: exactly 92 code points grow, each to three times its bytes", "[budget][estimator]") {
  int growing = 0;
  for (char32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    const std::string text = utf8(code_point);
    const token_count more = growth(text);
    if (more == 0) continue;
    ++growing;
    if (more != 2 * static_cast<token_count>(text.size()))
      FAIL("U+" << std::hex << static_cast<std::uint32_t>(code_point));
  }
  CHECK(growing == 92);
}

TEST_CASE("text_token_bound: the ends of the growing ranges, and what lies just outside", "[budget][estimator]") {
  struct row {
    char32_t first, last;
  };
  const auto [first, last] = GENERATE(values<row>(
      {{0x344, 0x344},   {0x958, 0x95F},     {0x9DC, 0x9DD},    {0x9DF, 0x9DF},   {0xA33, 0xA33},   {0xA36, 0xA36},
       {0xA59, 0xA5B},   {0xA5E, 0xA5E},     {0xB5C, 0xB5D},    {0xF43, 0xF43},   {0xF4D, 0xF4D},   {0xF52, 0xF52},
       {0xF57, 0xF57},   {0xF5C, 0xF5C},     {0xF69, 0xF69},    {0xF73, 0xF73},   {0xF75, 0xF76},   {0xF78, 0xF78},
       {0xF81, 0xF81},   {0xF93, 0xF93},     {0xF9D, 0xF9D},    {0xFA2, 0xFA2},   {0xFA7, 0xFA7},   {0xFAC, 0xFAC},
       {0xFB9, 0xFB9},   {0x2ADC, 0x2ADC},   {0xFA6C, 0xFA6C},  {0xFACF, 0xFAD1}, {0xFAD5, 0xFAD7}, {0xFB1D, 0xFB1D},
       {0xFB1F, 0xFB1F}, {0xFB2A, 0xFB36},   {0xFB38, 0xFB3C},  {0xFB3E, 0xFB3E}, {0xFB40, 0xFB41}, {0xFB43, 0xFB44},
       {0xFB46, 0xFB4E}, {0x1D15E, 0x1D164}, {0x1D1BB, 0x1D1C0}}));
  CAPTURE(static_cast<std::uint32_t>(first));
  CHECK(growth(utf8(first)) == 2 * static_cast<token_count>(utf8(first).size()));
  CHECK(growth(utf8(last)) == 2 * static_cast<token_count>(utf8(last).size()));
  CHECK(growth(utf8(first - 1)) == 0);
  CHECK(growth(utf8(last + 1)) == 0);
}

TEST_CASE("text_token_bound: never below the bytes of the text's NFC form", "[budget][estimator]") {
  struct row {
    std::string text;
    token_count nfc_bytes;  // measured with the normaliser of Python 3.11, Unicode 14
  };
  const auto [text, nfc_bytes] = GENERATE(values<row>({{utf8({0x0344}), 4},
                                                       {utf8({0x0958}), 6},
                                                       {utf8({0x2ADC}), 5},
                                                       {utf8({0xFB2C}), 6},
                                                       {utf8({0x1D160}), 12},
                                                       {utf8({0xF2, 0x0323}), 5},  // ò and a dot below
                                                       {utf8({0x01D5, 0x031B}), 6},
                                                       {utf8({0x01D5, 0x0323}), 7},
                                                       {utf8({0x01D5, 0x0324}), 7},
                                                       {utf8({0x01DE, 0x0325}), 7},
                                                       {utf8({0x1E64, 0x0326}), 6},
                                                       {utf8({0x010E, 0x0327}), 5},
                                                       {utf8({0x01D5, 0x0328}), 6},
                                                       {utf8({0x01D5, 0x032D}), 7},
                                                       {utf8({0x0124, 0x032E}), 5},
                                                       {utf8({0x01D5, 0x0330}), 7},
                                                       {utf8({0x00D1, 0x0331}), 5},
                                                       {utf8({0x01D5, 0x0316, 0x0323}), 9},  // through another mark
                                                       {utf8({0x01D5, 0x0301, 0x0323}), 9},
                                                       {utf8({0x01D5, 0x0344, 0x0323}), 11}}));
  CAPTURE(text);
  CHECK(text_token_bound(text) > nfc_bytes);
  CHECK(text_token_bound(text + text + 'a' + text) > 3 * nfc_bytes + 1);
  CHECK(text_token_bound(text) <= 3 * static_cast<token_count>(text.size()) + 1);  // no form is longer than that
}

TEST_CASE("text_token_bound: a mark takes a letter apart once, and an ASCII letter never", "[budget][estimator]") {
  CHECK(growth(utf8({0xF2, 0x0323})) == 3);
  CHECK(growth(utf8({0xF2, 0x0323, 0x0328})) == 3);
  CHECK(growth(utf8({0xF2, 0x0323, 0xF2, 0x0323})) == 6);
  CHECK(growth(utf8({0xF2, 'o', 0x0323})) == 0);
  CHECK(growth(utf8({'o', 0x0323})) == 0);
  CHECK(growth(utf8({'o', 0x0300, 0x0323})) == 0);  // decomposed Latin text: its marks are in their own block
  CHECK(growth(utf8({0x0323})) == 0);
  CHECK(growth(utf8({0xF2, 0x0301})) == 0);
  for (const char32_t outside : std::initializer_list<char32_t>{0x031A, 0x031C, 0x0322, 0x0329, 0x032C, 0x032F, 0x0332})
    CHECK(growth(utf8({0xF2, outside})) == 0);
}

TEST_CASE("text_token_bound: a byte that is not UTF-8 counts as the three of U+FFFD", "[budget][estimator]") {
  struct row {
    std::string_view text;
    int invalid;
  };
  const auto [text, invalid] =
      GENERATE(values<row>({{"\x80", 1},
                            {"\x80\xBF\x80", 3},
                            {"\xC0\x80", 2},  // overlong
                            {"\xC1\xBF", 2},
                            {"\xE0\x9F\xBF", 3},
                            {"\xF0\x8F\xBF\xBF", 4},
                            {"\xED\xA0\x80", 3},  // a surrogate
                            {"\xED\xBF\xBF", 3},
                            {"\xF4\x90\x80\x80", 4},  // above U+10FFFF
                            {"\xF5\x80\x80\x80", 4},
                            {"\xFE\xFF", 2},
                            {"\xC3", 1},  // cut short by the end
                            {"\xE2\x82", 2},
                            {"\xF0\x9F\x98", 3},
                            {"\xC3z", 1},  // cut short by a letter
                            {"z\xE2\x82z", 2},
                            {"\xE2\xC3\xA9", 1},  // by another sequence
                            {"\xF0\x9F\xE2\x82\xAC", 2},
                            {"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 0}}));
  CAPTURE(text);
  CHECK(growth(text) == 2 * invalid);
}

TEST_CASE("text_token_bound: the fast path over ASCII steps over nothing", "[budget][estimator]") {
  for (std::size_t before = 0; before < 20; ++before)
    for (std::size_t after = 0; after < 20; ++after) {
      CAPTURE(before, after);
      CHECK(growth(std::string(before, 'a') + utf8(0x1D160) + std::string(after, 'z')) == 8);
      CHECK(growth(std::string(before, 'a') + '\xFF' + std::string(after, 'z') + '\x80') == 4);
      CHECK(growth(std::string(before, 'a') + utf8({0xF2, 0x0323}) + std::string(after, 'z') + utf8(0x0323)) == 3);
    }
}

TEST_CASE("text_token_bound: the bound of two texts together is at most the sum of theirs", "[budget][estimator]") {
  const std::vector<std::string> parts{"", "a", "\x80", "\xE2\x82", "\xAC", utf8(0xF2), utf8(0x0344), utf8(0xFB4E)};
  for (const auto& a : parts)
    for (const auto& b : parts) CHECK(text_token_bound(a + b) <= text_token_bound(a) + text_token_bound(b) - 1);
}

TEST_CASE("prompt_size: adds up texts and messages", "[budget][estimator]") {
  const auto size = felix::prompt_size{}.add("You are terse.").add(utf8(0x0344)).add_part("[]").add("");
  CHECK(size.bytes == 14 + 2 + 2);
  CHECK(size.text_bound == 15 + 7 + 3 + 1);
  CHECK(size.messages == 3);
}

TEST_CASE("prompt_estimator: before the first answer", "[budget][estimator]") {
  const felix::prompt_estimator fresh;
  CHECK(fresh.answers_seen() == 0);
  CHECK(fresh.planned(sized(100, 101)) == 50);
  CHECK(fresh.planned(sized(101, 102)) == 51);
  CHECK(fresh.planned(sized(1, 2)) == 1);
  CHECK(fresh.planned({}) == 0);
  CHECK(fresh.at_most(sized(100, 101, 1)) == 101 + 16 + 128);
  CHECK(fresh.at_most(sized(100, 103, 3)) == 103 + 48 + 128);
  CHECK(fresh.at_most({}) == 128);
}

TEST_CASE("prompt_estimator: plans with 1.5 times the most tokens per byte seen", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  estimator.learn(sized(400, 401), 100);
  CHECK(estimator.planned(sized(400, 401)) == 150);
  CHECK(estimator.planned(sized(8, 9)) == 3);   // 1.5 · 0.25 · 8, exactly
  CHECK(estimator.planned(sized(9, 10)) == 4);  // 3.375, rounded up
  CHECK(estimator.planned(sized(1, 2)) == 1);
  CHECK(estimator.planned(sized(0, 1)) == 0);
  estimator.learn(sized(400, 401), 80);  // fewer: the most holds
  CHECK(estimator.planned(sized(400, 401)) == 150);
  estimator.learn(sized(30, 31), 10);  // more per byte, though fewer in all
  CHECK(estimator.planned(sized(400, 401)) == 200);
  CHECK(estimator.planned(sized(3, 4)) == 2);  // 1.5 · (1/3) · 3 = 1.5; a rounded third must not make 4 of 2 bytes
  CHECK(estimator.planned(sized(2, 3)) == 1);  // exactly 1
  estimator.learn(sized(3, 4), 2);
  CHECK(estimator.planned(sized(400, 401)) == 400);  // 1.5 · 2/3 is the bytes
  estimator.learn(sized(10, 11), 90);
  CHECK(estimator.planned(sized(400, 401)) == 400);  // never more
}

TEST_CASE("prompt_estimator: the plan is exact wherever the product is a whole number", "[budget][estimator]") {
  for (token_count bytes = 1; bytes < 200; ++bytes)
    for (token_count tokens = 1; 3 * tokens < 2 * bytes; tokens += 7) {
      felix::prompt_estimator estimator;
      estimator.learn(sized(bytes, bytes + 1), tokens);
      for (const token_count next : {bytes, 2 * bytes, 4 * bytes, bytes + 1, 3 * bytes - 1}) {
        const token_count expected = (3 * tokens * next + 2 * bytes - 1) / (2 * bytes);
        if (estimator.planned(sized(next, next + 1)) != expected)
          FAIL(tokens << " of " << bytes << " bytes, next " << next);
      }
    }
  SUCCEED();
}

TEST_CASE("prompt_estimator: the first answer shows the template, doubled until eight agree", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  const auto size = sized(10, 11);
  estimator.learn(size, 31);  // 20 above the bound of the text
  CHECK(estimator.template_tokens() == 20);
  CHECK(estimator.at_most(size) == 11 + 2 * 20);
  CHECK(estimator.at_most(sized(10, 11, 50)) == 11 + 2 * 20);  // the allowance for each message is over
  for (int answer = 0; answer < 7; ++answer) estimator.learn(size, 31);
  CHECK(estimator.at_most(size) == 11 + 2 * 20);
  estimator.learn(size, 5);  // the eighth that did not raise it
  CHECK(estimator.at_most(size) == 11 + 20);

  estimator.learn(size, 32);  // raised again: the eight start anew
  CHECK(estimator.template_tokens() == 21);
  CHECK(estimator.at_most(size) == 11 + 2 * 21);
  for (int answer = 0; answer < 8; ++answer) estimator.learn(size, 32);
  CHECK(estimator.at_most(size) == 11 + 21);
  for (int answer = 0; answer < 100; ++answer) estimator.learn(size, 1);
  CHECK(estimator.at_most(size) == 11 + 21);  // the most, not the last
  CHECK(estimator.answers_seen() == 118);
}

TEST_CASE("prompt_estimator: an answer within the bound shows a template of 0", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  estimator.learn(sized(1000, 1001), 300);
  CHECK(estimator.template_tokens() == 0);
  CHECK(estimator.at_most(sized(1000, 1001, 4)) == 1001);
}

TEST_CASE("prompt_estimator: an answer without usage, or to no text, teaches nothing", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  estimator.learn(sized(100, 101), 0);
  estimator.learn(sized(100, 101), -5);
  estimator.learn(sized(100, 101), std::numeric_limits<token_count>::min());
  estimator.learn(sized(0, 1), 40);
  CHECK(estimator.answers_seen() == 0);
  CHECK(estimator.planned(sized(100, 101)) == 50);
  CHECK(estimator.at_most(sized(100, 101)) == 245);
}

TEST_CASE("prompt_estimator: what is a maximum does not depend on the order of the answers", "[budget][estimator]") {
  struct answer {
    felix::prompt_size size;
    token_count prompt_tokens;
    bool operator<(const answer& other) const { return prompt_tokens < other.prompt_tokens; }
  };
  std::array answers{answer{sized(400, 401), 90}, answer{sized(10, 11), 25}, answer{sized(77, 78), 26},
                     answer{sized(3, 4), 40}, answer{sized(5000, 5001), 4999}};
  std::sort(answers.begin(), answers.end());
  do {
    felix::prompt_estimator estimator;
    for (const auto& a : answers) estimator.learn(a.size, a.prompt_tokens);
    CHECK(estimator.template_tokens() == 36);
    CHECK(estimator.planned(sized(100, 101)) == 100);
    CHECK(estimator.at_most(sized(100, 101)) == 101 + 2 * 36);
  } while (std::next_permutation(answers.begin(), answers.end()));
}

TEST_CASE("prompt_estimator: a plan is never above the worst case", "[budget][estimator]") {
  felix::prompt_estimator estimator;
  for (const token_count reported : {0, 1, 7, 10, 40, 4000}) {
    estimator.learn(sized(10, 11), reported);
    for (const token_count bytes : {0, 1, 2, 10, 127, 128, 129, 400, 100'000})
      for (const token_count bound : {token_count{0}, bytes / 4, bytes, bytes + 1, 3 * bytes})
        CHECK(estimator.planned(sized(bytes, bound)) <= estimator.at_most(sized(bytes, bound)));
  }
}

TEST_CASE("prompt_estimator: a tebibyte, and a server that reports nonsense, overflow nothing", "[budget][estimator]") {
  const auto huge = sized(1024 * gibi, 3 * 1024 * gibi + 1, 1'000'000);
  felix::prompt_estimator estimator;
  CHECK(estimator.planned(huge) == 512 * gibi);
  CHECK(estimator.at_most(huge) == 3 * 1024 * gibi + 1 + 16'000'000 + 128);
  estimator.learn(huge, 256 * gibi);
  CHECK(estimator.planned(huge) == 384 * gibi);
  CHECK(estimator.at_most(huge) == 3 * 1024 * gibi + 1);

  constexpr auto most = std::numeric_limits<token_count>::max();
  estimator.learn(sized(1, 2), most);
  CHECK(estimator.planned(huge) == 1024 * gibi);
  CHECK(estimator.at_most(huge) == felix::prompt_estimator::highest);
  CHECK(estimator.at_most(sized(most, most)) == felix::prompt_estimator::highest);
  CHECK(estimator.planned(sized(most, most)) == felix::prompt_estimator::highest);
  CHECK(felix::prompt_estimator{}.at_most(sized(most, most, std::numeric_limits<int>::max())) ==
        felix::prompt_estimator::highest);
  estimator.learn(sized(most, most), most);
  CHECK(estimator.at_most(sized(1, 2)) <= felix::prompt_estimator::highest);
}

TEST_CASE("prompt_estimator: a copy learns on its own", "[budget][estimator]") {
  felix::prompt_estimator original;
  original.learn(sized(400, 401), 100);
  felix::prompt_estimator copy = original;
  copy.learn(sized(10, 11), 50);
  CHECK(original.planned(sized(400, 401)) == 150);
  CHECK(original.answers_seen() == 1);
  CHECK(copy.planned(sized(400, 401)) == 400);
}
