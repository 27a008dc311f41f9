// SPDX-License-Identifier: MIT
// budget: the bound of a text against measured normal forms, and of JSON against measured renderings.
#include <felix/budget/text_bound.hpp>

#include <felix/random.hpp>
#include "support/catch.hpp"
#include "support/utf8.hpp"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

using felix::json_token_bound;
using felix::text_token_bound;
using felix::token_count;
using felix::test::utf8;

static_assert(noexcept(text_token_bound("")) && noexcept(json_token_bound("")));

namespace {

// The tokens that a text can be beyond its bytes and the one of its segment.
token_count growth(std::string_view text) { return text_token_bound(text) - static_cast<token_count>(text.size()) - 1; }

/// A JSON value of strings, numbers, arrays and objects, as short as it can be, and as long as a template may make it.
class json_value {
 public:
  explicit json_value(felix::seeded_random& random) { add(random, 0); }
  [[nodiscard]] const std::string& compact() const { return compact_; }
  [[nodiscard]] const std::string& rendered() const { return rendered_; }

 private:
  void add(felix::seeded_random& random, std::size_t depth) {
    const auto kind = random.next() % (depth > 12 ? 4 : 8);
    if (kind < 2) return add_both(std::to_string(random.next() % 1'000));
    if (kind < 4) return add_string(random);
    const bool object = kind < 6;
    add_both(object ? "{" : "[");
    const auto members = 1 + random.next() % 3;
    for (std::uint64_t i = 0; i < members; ++i) {
      if (i > 0) add_both(",");
      rendered_ += '\n' + std::string(4 * (depth + 1), ' ');
      if (object) {
        add_string(random);
        add_both(":");
        rendered_ += ' ';
      }
      add(random, depth + 1);
    }
    rendered_ += '\n' + std::string(4 * depth, ' ');
    add_both(object ? "}" : "]");
  }
  void add_string(felix::seeded_random& random) {
    add_both("\"");
    for (auto letters = random.next() % 12; letters > 0; --letters) {
      switch (random.next() % 12) {
        case 0: add_as(std::string(1, "<>&'"[random.next() % 4]), "\\u003c"); break;
        case 1: add_both("\\\""); break;
        case 2: add_both("\\\\"); break;
        case 3: add_as(utf8(0xE4), "\\u00e4"); break;
        case 4: add_as(utf8(0x1F600), "\\ud83d\\ude00"); break;
        case 5: add_both(std::string(1, "{}[],:"[random.next() % 6])); break;
        default: add_both("x"); break;
      }
    }
    add_both("\"");
  }
  void add_both(std::string_view text) { add_as(text, text); }
  void add_as(std::string_view compact, std::string_view rendered) {
    compact_ += compact;
    rendered_ += rendered;
  }

  std::string compact_, rendered_;
};

}  // namespace

TEST_CASE("text_token_bound: ordinary text is its bytes + 1", "[budget][text_bound]") {
  CHECK(text_token_bound("") == 1);
  CHECK(text_token_bound(" ") == 2);
  CHECK(text_token_bound(std::string_view{"\0", 1}) == 2);
  CHECK(text_token_bound("\x7F") == 2);
  CHECK(text_token_bound("Why is the sky blue?") == 21);
  CHECK(growth("Gr\xC3\xBC\xC3\x9F Gott, \xE4\xBD\xA0\xE5\xA5\xBD, \xED\x95\x9C, \xF0\x9F\x98\x80") == 0);
  CHECK(text_token_bound(std::string(100'000, 'a')) == 100'001);
}

TEST_CASE("text_token_bound: exactly 92 code points grow, each to three times its bytes", "[budget][text_bound]") {
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

TEST_CASE("text_token_bound: the ends of the growing ranges, and what lies just outside", "[budget][text_bound]") {
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

TEST_CASE("text_token_bound: never below the bytes of the text's NFC form", "[budget][text_bound]") {
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

TEST_CASE("text_token_bound: a mark takes a letter apart once, and an ASCII letter never", "[budget][text_bound]") {
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

TEST_CASE("text_token_bound: a byte that is not UTF-8 counts as the three of U+FFFD", "[budget][text_bound]") {
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

TEST_CASE("text_token_bound: the fast path over ASCII steps over nothing", "[budget][text_bound]") {
  for (std::size_t before = 0; before < 20; ++before)
    for (std::size_t after = 0; after < 20; ++after) {
      CAPTURE(before, after);
      CHECK(growth(std::string(before, 'a') + utf8(0x1D160) + std::string(after, 'z')) == 8);
      CHECK(growth(std::string(before, 'a') + '\xFF' + std::string(after, 'z') + '\x80') == 4);
      CHECK(growth(std::string(before, 'a') + utf8({0xF2, 0x0323}) + std::string(after, 'z') + utf8(0x0323)) == 3);
    }
}

TEST_CASE("text_token_bound: the bound of two texts together is at most the sum of theirs", "[budget][text_bound]") {
  const std::vector<std::string> parts{"", "a", "\x80", "\xE2\x82", "\xAC", utf8(0xF2), utf8(0x0344), utf8(0xFB4E)};
  for (const auto& a : parts)
    for (const auto& b : parts) CHECK(text_token_bound(a + b) <= text_token_bound(a) + text_token_bound(b) - 1);
}

TEST_CASE("json_token_bound: never below twice the text", "[budget][text_bound]") {
  CHECK(json_token_bound("") == 2);
  CHECK(json_token_bound("true") == 2 * 5);
  CHECK(json_token_bound(R"("a long text without any structure")") == 2 * 36);
  CHECK(json_token_bound(utf8(0x0344)) == 2 * 7);
}

TEST_CASE("json_token_bound: never below the bytes of what Python's json.dumps makes of it", "[budget][text_bound]") {
  struct row {
    std::string_view json;
    int depth;
    token_count rendered;  // with indent=4, compared with separators=(",", ":") here
  };
  const auto [json, depth, rendered] = GENERATE(
      values<row>({{R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})", 0, 148},
                   // inside a list, an object and "function": all of the rendering but for what stands around it
                   {R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})", 3, 425 - 157},
                   {R"({"a":{"b":{"c":{"d":{"e":[1,2,{"f":[]}]}}}}})", 0, 310},
                   {R"("a \" {[,:")", 0, 2 * 12},
                   // ensure_ascii: six bytes for each two of a text, twelve for an emoji
                   {"\"\xC3\xA4\xC3\xB6\xC3\xBC\"", 0, 20},
                   {"\"\xF0\x9F\x98\x80\"", 0, 14}}));
  CAPTURE(json);
  CHECK(json_token_bound(json, depth) >= rendered);
  CHECK(json_token_bound(json, depth) <= rendered + rendered / 4 + 6);  // and not far above
}

TEST_CASE("json_token_bound: characters that are written as six bytes", "[budget][text_bound]") {
  for (const char escaped : {'<', '>', '&', '\'', '\1', '\x1F'}) {
    const std::string in_a_text = std::string{'"', escaped, '"'};
    CHECK(json_token_bound(in_a_text) == 2 * 4 + 6);
  }
  CHECK(json_token_bound(R"("<<>>")") == 2 * 7 + 4 * 6);
  CHECK(json_token_bound(R"("\"<")") == 2 * 6 + 6);  // after an escaped quote
  CHECK(json_token_bound("\"\n\r\t\"") == 2 * 6);    // as two bytes: that is in the twice
}

TEST_CASE("json_token_bound: only structure is laid out", "[budget][text_bound]") {
  const std::string deep(40, '[');
  CHECK(json_token_bound(deep + std::string(40, ']')) > 40 * 40 * 4);
  CHECK(json_token_bound('"' + deep + '"') == 2 * 43);
  CHECK(json_token_bound(R"("\")" + deep + '"') == 2 * 45);                 // the quote is escaped: still inside
  CHECK(json_token_bound(R"("\\")" + deep) > 40 * 40 * 2);                  // a backslash is: outside
  CHECK(json_token_bound("[1,2,3,4,5]", 1000) > 6 * 4 * 1000);              // a line for each
  CHECK(json_token_bound(std::string(100, ']')) == 2 * 101);                // below the top there is no less than none
  CHECK(json_token_bound(deep + std::string(80, ']')) > 40 * 40 * 4);       // and takes nothing back
  CHECK(json_token_bound("[,]", 1'000'000) < 4 + 3 * (1 + 4 * 1'024) + 1);  // as deep as servers go
}

TEST_CASE("json_token_bound: no rendering has more bytes", "[budget][text_bound]") {
  int nested = 0;
  for (std::uint64_t seed = 0; seed < 3'000; ++seed) {
    felix::seeded_random random{seed};
    const json_value json{random};
    if (json_token_bound(json.compact()) < static_cast<token_count>(json.rendered().size()))
      FAIL("seed " << seed << ": " << json.compact());
    nested += json.rendered().size() > 2 * json.compact().size() ? 1 : 0;
  }
  CHECK(nested > 500);  // many are longer than twice
}
