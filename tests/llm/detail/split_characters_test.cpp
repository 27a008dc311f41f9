// SPDX-License-Identifier: MIT
#include <felix/llm/detail/split_characters.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <string>
#include <string_view>

using felix::codec::detail::character_parts;
using felix::codec::detail::split_characters;
using felix::codec::detail::without_parts;

namespace {

const std::string unknown = "\xEF\xBF\xBD";

std::string marked(std::string_view text) { return without_parts(text, character_parts::marked); }
std::string replaced(std::string_view text) { return without_parts(text, character_parts::replaced); }

}  // namespace

TEST_CASE("split_characters: a document without parts stays as it is", "[llm][split_characters]") {
  for (const std::string_view whole :
       {"", "{}", R"({"a":"\ud83d\ude00 \u00e9 \\ud83d \\\\ \" \n"})", "\xC3\xBC \xE6\x9D\xB1 \xF0\x9F\x98\x80",
        R"(\u00)", R"(\ud83)", R"(\ud83x)", "\\", "\xF4\x8F\xBF\xBF"}) {
    CAPTURE(whole);
    CHECK(marked(whole) == whole);
    CHECK(replaced(whole) == whole);
  }
  const std::string_view cut_off = std::string_view{R"(\ud83d)"}.substr(0, 5);
  CHECK(marked(cut_off) == cut_off);
}

TEST_CASE("split_characters: parts become U+FFFD, each half and each byte one", "[llm][split_characters]") {
  CHECK(replaced(R"(a\ud83d)") == "a" + unknown);
  CHECK(replaced(R"(\ude00b)") == unknown + "b");
  CHECK(replaced(R"(\ud83d\ud83d\ude00)") == unknown + R"(\ud83d\ude00)");
  CHECK(replaced(R"(\ude00\ud83d)") == unknown + unknown);
  CHECK(replaced(R"(\\\ud83d)") == R"(\\)" + unknown);
  CHECK(replaced("a\xFFz\xE6\x9D") == "a" + unknown + "z" + unknown + unknown);
  CHECK(split_characters::settled(marked("a\xFFz\xE6\x9D\\udfff\\ud800")) ==
        "a" + unknown + "z" + unknown + unknown + unknown + unknown);
  CHECK(split_characters::settled("plain \xC3\xBC") == "plain \xC3\xBC");
}

TEST_CASE("split_characters: halves of a pair that come apart are one character", "[llm][split_characters]") {
  split_characters cut;
  CHECK(cut.join({}, marked(R"(hi \ud83d)")) == "hi ");
  CHECK_FALSE(cut.empty());
  CHECK(cut.join({}, "").empty());
  CHECK(cut.join({}, marked(R"(\ude00 there)")) == "\xF0\x9F\x98\x80 there");
  CHECK(cut.empty());
  // The least and the greatest.
  CHECK(cut.join({}, marked(R"(\ud800)")).empty());
  CHECK(cut.join({}, marked(R"(\udc00)")) == "\xF0\x90\x80\x80");
  CHECK(cut.join({}, marked(R"(\udbff)")).empty());
  CHECK(cut.join({}, marked(R"(\udfff)")) == "\xF4\x8F\xBF\xBF");
}

TEST_CASE("split_characters: bytes that come apart are one character, wherever it was cut", "[llm][split_characters]") {
  for (const std::string_view character :
       {"\xC3\xBC", "\xE0\xA0\x80", "\xE6\x9D\xB1", "\xED\x9F\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    split_characters at_once;
    split_characters by_bytes;
    std::string joined;
    for (const char byte : character) joined += by_bytes.join({}, marked(std::string(1, byte)));
    CHECK(joined == character);
    for (std::size_t at = 1; at < character.size(); ++at) {
      CAPTURE(character, at);
      CHECK(at_once.join({}, marked("a" + std::string{character.substr(0, at)})) == "a");
      CHECK(at_once.join({}, marked(std::string{character.substr(at)} + "z")) == std::string{character} + "z");
    }
    CHECK(at_once.empty());
    CHECK(by_bytes.empty());
  }
}

TEST_CASE("split_characters: what nothing completes is U+FFFD at once, or when something else comes",
          "[llm][split_characters]") {
  split_characters cut;
  for (const std::string_view never :
       {"\xFF", "\x80", "\xC0", "\xE0\x80", "\xED\xA0", "\xF0\x8F", "\xF4\x90", "\xC3\xC3\xFF"}) {
    CAPTURE(never);
    const std::string told = cut.join({}, marked(never));
    CHECK(told.size() == never.size() * unknown.size());
    CHECK(cut.empty());
  }
  CHECK(cut.join({}, marked(R"(\ude00)")) == unknown);
  CHECK(cut.join({}, marked(R"(\ud83d)")).empty());
  CHECK(cut.join({}, "plain") == unknown + "plain");
  CHECK(cut.join({}, marked(R"(\ud83d)")).empty());
  CHECK(cut.join({}, marked(R"(\ud83d)")) == unknown);  // the first
  CHECK(cut.join({}, marked(R"(\ude00)")) == "\xF0\x9F\x98\x80");
  CHECK(cut.join({}, marked("\xE6\x9D")).empty());
  CHECK(cut.join({}, marked("\xC3\xBC")) == unknown + unknown + "\xC3\xBC");
  CHECK(cut.join({}, marked("\xE6\\ud83d\x9D")) == unknown + unknown + unknown);
  CHECK(cut.empty());
}

TEST_CASE("split_characters: a piece without marks completes nothing, and is taken as it is",
          "[llm][split_characters]") {
  const std::string_view last = "\xF4\x8F\xBF\xBF";  // also the mark of \udfff
  split_characters cut;
  CHECK(cut.join({}, marked(R"(\ud83d)")).empty());
  CHECK(cut.join_unmarked({1}, last) == last);
  CHECK(cut.join_unmarked({}, "").empty());
  CHECK_FALSE(cut.empty());
  CHECK(cut.join_unmarked({}, last) == unknown + std::string{last});
  CHECK(cut.empty());
}

TEST_CASE("split_characters: each string goes on with its own half", "[llm][split_characters]") {
  using kind = split_characters::name::kind;
  split_characters cut;
  CHECK(cut.join({0, kind::text}, marked(R"(\ud83d)")).empty());
  CHECK(cut.join({1, kind::text}, marked(R"(\ud83e)")).empty());
  CHECK(cut.join({0, kind::arguments, 1}, marked("\xC3")).empty());
  CHECK(cut.join({0, kind::arguments, 0}, marked(R"(\ude00)")) == unknown);
  CHECK(cut.join({0, kind::reasoning}, marked("\xBC")) == unknown);
  CHECK(cut.join({1, kind::text}, marked(R"(\udd10)")) == "\xF0\x9F\xA4\x90");
  CHECK(cut.join({1, kind::refusal}, marked("\xE6\x9D")).empty());

  CHECK(cut.rest_of(2).empty());
  const auto rest = cut.rest_of(0);
  REQUIRE(rest.size() == 2);
  CHECK((rest[0].first == split_characters::name{0, kind::text}));
  CHECK(rest[0].second == unknown);
  CHECK((rest[1].first == split_characters::name{0, kind::arguments, 1}));
  CHECK(rest[1].second == unknown);
  CHECK(cut.rest_of(0).empty());
  CHECK(cut.rest_of(1).at(0).second == unknown + unknown);
  CHECK(cut.empty());
}
