// SPDX-License-Identifier: MIT
// agent: quality, consistency and confidence, by the vectors of the original and one text for each of their tests.
#include <felix/agent/confidence.hpp>

#include "support/catch.hpp"

#include <array>
#include <limits>
#include <string>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinRel;

namespace {

constexpr std::string_view growth_report =
    "The data show growth of 12 percent. However, the study suggests limits. For example, costs rose, prices fell, and "
    "demand stayed flat.";

constexpr felix::confidence_curve research{.base = 0.3, .span = 0.3, .cap = 0.6};
constexpr felix::confidence_curve analysis{.base = 0.4, .span = 0.3, .cap = 0.7};
constexpr felix::confidence_curve synthesis{.base = 0.6, .span = 0.35, .cap = 0.95};
constexpr felix::confidence_curve critic{.base = 0.5, .span = 0.3, .cap = 0.8};
constexpr felix::confidence_curve general{.base = 0.3, .span = 0.4, .cap = 0.7};

// What is above `length` in the quality of a text of at least 100 characters, in quarters of quarters.
double quarters(const std::string& text) { return 16 * (felix::quality(text + std::string(100, 'z')) - 0.25); }

std::string repeat(std::string_view part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

}  // namespace

static_assert(felix::quality("") == 0);

TEST_CASE("quality: the documented texts", "[agent][confidence]") {
  struct row {
    std::string text;
    double expected;
  };
  const auto [text, expected] = GENERATE(values<row>({{"", 0},
                                                      {" \t\r\n\v\f", 0},
                                                      {"Short answer.", 0.095},
                                                      {std::string(100, 'a'), 0.25},
                                                      {repeat("word ", 60), 0.3125},
                                                      {std::string(4000, 'x'), 0.125},
                                                      {std::string(8000, 'a'), 0.075},
                                                      {"Quantum computing uses qubits. It is fast. It is new.", 0.2575},
                                                      {std::string{growth_report}, 0.75}}));
  CAPTURE(text);
  CHECK_THAT(felix::quality(text), WithinRel(expected, 1e-9));
}

TEST_CASE("quality: length rises to 100 characters, is full up to 2000, then falls to 0.3", "[agent][confidence]") {
  const auto length = [](std::size_t n) { return 4 * felix::quality(std::string(n, 'z')); };
  CHECK_THAT(length(1), WithinRel(0.01, 1e-12));
  CHECK_THAT(length(99), WithinRel(0.99, 1e-12));
  CHECK(length(100) == 1);
  CHECK(length(2000) == 1);
  CHECK_THAT(length(2001), WithinRel(2000.0 / 2001, 1e-12));
  CHECK_THAT(length(6666), WithinRel(2000.0 / 6666, 1e-12));
  CHECK_THAT(length(6667), WithinRel(0.3, 1e-12));
}

TEST_CASE("quality: lengths are in code points, and a byte that is none counts as one", "[agent][confidence]") {
  const auto characters = [](std::string_view text) { return 400 * felix::quality(text); };
  struct row {
    std::string_view text;
    double expected;
  };
  const auto [text, expected] = GENERATE(values<row>({{"z", 1},
                                                      {"\xC3\xA9", 1},
                                                      {"\xDF\xBF", 1},
                                                      {"\xE0\xA0\x80", 1},
                                                      {"\xE2\x82\xAC", 1},
                                                      {"\xED\x9F\xBF", 1},
                                                      {"\xEF\xBF\xBF", 1},
                                                      {"\xF0\x90\x80\x80", 1},
                                                      {"\xF4\x8F\xBF\xBF", 1},
                                                      {"\xE2\x82\xAC\xC3\xA9z", 3},
                                                      {"\x80", 1},      // a continuation alone
                                                      {"\xC0\x80", 2},  // overlong, two bytes
                                                      {"\xC1\xBF", 2},
                                                      {"\xE0\x9F\xBF", 3},      // overlong, three
                                                      {"\xF0\x8F\xBF\xBF", 4},  // overlong, four
                                                      {"\xED\xA0\x80", 3},      // a surrogate
                                                      {"\xED\xBF\xBF", 3},
                                                      {"\xF4\x90\x80\x80", 4},  // above U+10FFFF
                                                      {"\xF5\x80\x80\x80", 4},
                                                      {"\xFF", 1},
                                                      {"\xC3", 1},  // cut short by the end
                                                      {"\xE2\x82", 2},
                                                      {"\xF0\x90\x80", 3},
                                                      {"\xC3z", 2},  // cut short by a letter
                                                      {"\xE2\x82z", 3},
                                                      {"\xF0\x90\x80z", 4},
                                                      {"\xE2z\x82", 3}}));
  CAPTURE(text);
  CHECK_THAT(characters(text), WithinRel(expected, 1e-12));
}

TEST_CASE("quality: each test of the form counts a quarter of its part", "[agent][confidence]") {
  CHECK(quarters("") == 0);
  SECTION("structure") {
    CHECK(quarters("a\n\nb") == 1);
    CHECK(quarters("a\nb\n") == 0);
    CHECK(quarters(".") == 1);
    CHECK(quarters("..") == 1);
    CHECK(quarters("...") == 2);
    for (const char* word : {"conclusion", "summary"}) CHECK(quarters(word) == 1);
    for (const char* word : {"analysis", "research"}) CHECK(quarters(word) == 2);  // of depth too
  }
  SECTION("depth") {
    for (const char* word : {"because", "therefore", "however", "moreover", "furthermore"}) CHECK(quarters(word) == 1);
    for (const char* word : {"data", "evidence", "study"}) CHECK(quarters(word) == 1);
    for (const char* word : {"consider", "suggest", "indicate", "demonstrate"}) CHECK(quarters(word) == 1);
    CHECK(quarters("because however") == 1);  // one of them, not each
    CHECK(quarters(repeat("w ", 49)) == 0);   // 50 words with what follows
    CHECK(quarters(repeat("w ", 50)) == 1);
    CHECK(quarters(repeat("w \t\n", 49)) == 0);
  }
  SECTION("specificity") {
    for (const char* digit : {"0", "9"}) CHECK(quarters(digit) == 1);
    CHECK(quarters("/:") == 0);
    CHECK(quarters(",,") == 0);
    CHECK(quarters(",,,") == 1);
    for (const char* word : {"specific", "particular", "detail", "example"}) CHECK(quarters(word) == 1);
    CHECK(quarters("\"") == 1);
    CHECK(quarters("'") == 1);
    CHECK(quarters("\"'") == 1);
  }
}

TEST_CASE("quality: words match in any case, inside others, and only whole", "[agent][confidence]") {
  CHECK(quarters("BECAUSE") == 1);
  CHECK(quarters("bEcAuSe") == 1);
  CHECK(quarters("unspecificity") == 1);
  CHECK(quarters("metadatabase") == 1);
  CHECK(quarters("becaus") == 0);
  CHECK(quarters("dat a") == 0);
  CHECK(quarters("b\xC3\xA9"
                 "cause") == 0);
  CHECK(quarters("\xE4\x84\x81") == 0);  // no byte of it is taken for a letter or digit
}

TEST_CASE("quality: everything at once is 1", "[agent][confidence]") {
  const std::string text =
      repeat("word ", 50) +
      "In summary, because the data suggest it.\n\nFor example, 3 of 4, or \"most\", agreed. Fine.";
  CHECK_THAT(felix::quality(text), WithinRel(1.0, 1e-12));
}

TEST_CASE("consistency: the variance of the last three", "[agent][confidence]") {
  struct row {
    std::vector<double> earlier;
    double expected;
  };
  const auto [earlier, expected] = GENERATE(values<row>({{{}, 0.5},
                                                         {{0.9}, 0.5},
                                                         {{0.1, 0.9}, 0.5},
                                                         {{0.5, 0.6, 0.7}, 0.9333333333},
                                                         {{0.2, 0.9, 0.5}, 0.1777777778},
                                                         {{0.6, 0.6, 0.6}, 1},
                                                         {{0.1, 0.9, 0.1}, 0},
                                                         {{0.1, 0.9, 0.6, 0.6, 0.6}, 1},
                                                         {{0.6, 0.6, 0.6, 0.5, 0.6, 0.7}, 0.9333333333}}));
  CAPTURE(earlier);
  CHECK_THAT(felix::consistency(earlier), WithinRel(expected, 1e-9));
}

TEST_CASE("confidence: the table of the original, with depth the right way up", "[agent][confidence][D1]") {
  struct row {
    felix::confidence_curve curve;
    std::string_view text;
    std::array<double, 5> expected;
  };
  const auto [curve, text, expected] =
      GENERATE(values<row>({{research, "", {0.33, 0.41, 0.495, 0.565, 0.6}},
                            {research, growth_report, {0.405, 0.485, 0.57, 0.6, 0.6}},
                            {analysis, "", {0.43, 0.51, 0.595, 0.665, 0.7}},
                            {analysis, growth_report, {0.505, 0.585, 0.67, 0.7, 0.7}},
                            {synthesis, "", {0.63, 0.7225, 0.82, 0.9, 0.95}},
                            {synthesis, growth_report, {0.705, 0.7975, 0.895, 0.95, 0.95}},
                            {critic, growth_report, {0.605, 0.685, 0.77, 0.8, 0.8}},
                            {general, growth_report, {0.405, 0.51, 0.62, 0.7, 0.7}}}));
  constexpr std::array depths{0.0, 0.25, 0.5, 0.7, 1.0};
  constexpr std::array stages{1, 2, 4, 6, 10};
  CAPTURE(curve.base, curve.span, curve.cap, text);
  for (std::size_t i = 0; i < depths.size(); ++i) {
    CAPTURE(depths[i], stages[i]);
    CHECK_THAT(felix::confidence(curve, depths[i], text, stages[i], {}), WithinRel(expected[i], 1e-9));
  }
}

TEST_CASE("confidence: stage adds at most 0.05, the record 0.05, and the sum stays in [0, cap]",
          "[agent][confidence]") {
  const felix::confidence_curve flat{.base = 0.1};
  const std::array steady{0.6, 0.6, 0.6};
  const std::array erratic{0.1, 0.9, 0.1};
  CHECK_THAT(felix::confidence(flat, 0, "", 9, {}), WithinRel(0.1 + 0.045 + 0.025, 1e-12));
  CHECK_THAT(felix::confidence(flat, 0, "", 10, {}), WithinRel(0.1 + 0.05 + 0.025, 1e-12));
  CHECK_THAT(felix::confidence(flat, 0, "", std::numeric_limits<int>::max(), {}), WithinRel(0.175, 1e-12));
  CHECK_THAT(felix::confidence(flat, 0, "", 1, steady), WithinRel(0.1 + 0.005 + 0.05, 1e-12));
  CHECK_THAT(felix::confidence(flat, 0, "", 1, erratic), WithinRel(0.1 + 0.005, 1e-12));
  CHECK(felix::confidence({.base = -1}, 0, "", 1, {}) == 0);
  CHECK(felix::confidence({.base = 2, .cap = 0.9}, 0, "", 1, {}) == 0.9);
}

TEST_CASE("confidence: a depth or stage that is none is refused", "[agent][confidence]") {
  const auto refusal = [](double depth, int stage) -> std::string {
    try {
      (void)felix::confidence(research, depth, "", stage, {});
    } catch (const felix::error& refused) {
      CHECK(refused.code() == felix::errc::invalid_argument);
      return refused.what();
    }
    return "accepted";
  };
  CHECK(refusal(1, 1) == "accepted");
  CHECK_THAT(refusal(-0.1, 1), ContainsSubstring("confidence: depth is -0.1;"));
  CHECK_THAT(refusal(1.5, 1), ContainsSubstring("confidence: depth is 1.5;"));
  CHECK_THAT(refusal(std::numeric_limits<double>::quiet_NaN(), 1), ContainsSubstring("depth is nan"));
  CHECK(refusal(0, 0) == "confidence: stage is 0; an agent's first answer is that of stage 1");
}
