// SPDX-License-Identifier: MIT
#include <felix/llm/detail/json_element.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

using Catch::Matchers::ContainsSubstring;
using felix::codec::detail::array_of;
using felix::codec::detail::count_of;
using felix::codec::detail::element;
using felix::codec::detail::excerpt;
using felix::codec::detail::member;
using felix::codec::detail::members;
using felix::codec::detail::not_an_answer;
using felix::codec::detail::number_of;
using felix::codec::detail::parse;
using felix::codec::detail::string_of;
using felix::codec::detail::view_of;

namespace {

std::optional<felix::token_count> count(std::string_view value) {
  const auto root = parse(R"({"n":)" + std::string{value} + "}");
  REQUIRE(root);
  return count_of(*root, "n");
}

}  // namespace

TEST_CASE("json_element: a member that is null is missing, and only objects have any", "[llm][json_element]") {
  const auto root = parse(R"({"a":1,"b":null,"c":{"d":[]},"":7})");
  REQUIRE(root);
  CHECK(member(*root, "a"));
  CHECK_FALSE(member(*root, "b"));
  CHECK_FALSE(member(*root, "missing"));
  CHECK_FALSE(member(*root, "A"));
  CHECK(member(*root, ""));
  CHECK(member(*member(*root, "c"), "d"));
  for (const char* json : {"[]", R"([{"a":1}])", "1", R"("a")", "null", "true"}) {
    CAPTURE(json);
    const auto other = parse(json);
    REQUIRE(other);
    CHECK_FALSE(member(*other, "a"));
    CHECK(string_of(*other, "a").empty());
    CHECK_FALSE(count_of(*other, "a"));
  }
}

TEST_CASE("json_element: of two members of one name the first counts", "[llm][json_element]") {
  const auto root = parse(R"({"a":1,"a":2,"b":null,"b":3})");
  REQUIRE(root);
  CHECK(count_of(*root, "a") == 1);
  CHECK_FALSE(member(*root, "b"));
}

TEST_CASE("json_element: several members at once are those that come one by one", "[llm][json_element]") {
  for (const char* json :
       {R"({"a":1,"b":null,"c":{"a":5},"":7,"ab":8})", R"({"c":"x","b":2,"a":3,"a":4})", R"({"b":null,"b":3,"A":1})",
        R"({"\u0061":1})", "{}", "[]", R"([{"a":1}])", "1", R"("a")", "null"}) {
    CAPTURE(json);
    const auto root = parse(json);
    REQUIRE(root);
    const auto [c, a, missing, b, empty] = members<"c", "a", "missing", "b", "">(*root);
    CHECK(bool{a} == bool{member(*root, "a")});
    CHECK(bool{b} == bool{member(*root, "b")});
    CHECK(bool{c} == bool{member(*root, "c")});
    CHECK(bool{empty} == bool{member(*root, "")});
    CHECK_FALSE(missing);
    CHECK(count_of(a) == count_of(*root, "a"));
    CHECK(count_of(b) == count_of(*root, "b"));
    CHECK(view_of(c) == view_of(*root, "c"));
    CHECK(count_of(empty) == count_of(*root, ""));
  }
}

TEST_CASE("json_element: texts are texts, and nothing else is", "[llm][json_element]") {
  const auto root = parse(R"({"t":"a\u0000\n\u00fc\ud83d\udc1d","e":"","n":7,"o":{},"l":["x"],"b":true,"z":null})");
  REQUIRE(root);
  const std::string text{"a\0\n\xC3\xBC\xF0\x9F\x90\x9D", 9};
  CHECK(string_of(*root, "t") == text);
  CHECK(view_of(*root, "t") == text);
  for (const char* name : {"e", "n", "o", "l", "b", "z", "missing"}) {
    CAPTURE(name);
    CHECK(string_of(*root, name).empty());
    CHECK(view_of(*root, name).empty());
  }
}

TEST_CASE("json_element: numbers are numbers, and not texts that look like one", "[llm][json_element]") {
  const auto root = parse(R"({"i":-3,"d":0.5,"s":"7","b":true,"z":null,"u":18446744073709551615,"x":1e300})");
  REQUIRE(root);
  CHECK(number_of(*root, "i") == -3);
  CHECK(number_of(*root, "d") == 0.5);
  CHECK(number_of(*root, "u") == 18446744073709551615.0);
  CHECK(number_of(*root, "x") == 1e300);
  for (const char* name : {"s", "b", "z", "missing"}) {
    CAPTURE(name);
    CHECK(number_of(*root, name) == 0);
    CHECK(number_of(*root, name, 2.5) == 2.5);
  }
}

TEST_CASE("json_element: a count is a whole number of at least 0 that sums of many can hold", "[llm][json_element]") {
  CHECK(count("0") == 0);
  CHECK(count("7") == 7);
  CHECK(count("-0") == 0);
  CHECK(count("3.0") == 3);
  CHECK(count("3.9") == 3);
  CHECK(count("1e3") == 1000);
  CHECK(count("999999999999999") == 999'999'999'999'999);
  CHECK(count("9.99e14") == 999'000'000'000'000);
  for (const char* none :
       {"-1", "-0.5", "1000000000000000", "1e15", "9223372036854775807", "9223372036854775808", "18446744073709551615",
        "-9223372036854775808", "1e300", "\"7\"", "true", "null", "[7]", "{}"}) {
    CAPTURE(none);
    CHECK_FALSE(count(none));
  }
}

TEST_CASE("json_element: lists", "[llm][json_element]") {
  const auto root = parse(R"({"l":[1,null,"x"],"e":[],"o":{"0":1},"s":"[]","z":null})");
  REQUIRE(root);
  REQUIRE(array_of(*root, "l"));
  CHECK(array_of(*root, "l")->size() == 3);
  CHECK(array_of(*root, "e")->size() == 0);
  for (const char* name : {"o", "s", "z", "missing"}) CHECK_FALSE(array_of(*root, name));
}

TEST_CASE("json_element: what is no JSON is nothing", "[llm][json_element]") {
  using namespace std::string_view_literals;
  for (const std::string_view text : {""sv,           " "sv,           "{"sv,        "}"sv,         "{\"a\":1"sv,
                                      "{\"a\":1,}"sv, "{'a':1}"sv,     "nul"sv,      "NaN"sv,       "01"sv,
                                      "1 2"sv,        "\xff"sv,        "\"\n\""sv,   "\"\\u12\""sv, "\xEF\xBB\xBF"sv,
                                      "\xEF\xBB{}"sv, "{\"a\":1}\0"sv, "data: {}"sv, "<html>"sv,    "1e400"sv}) {
    CAPTURE(text);
    CHECK_FALSE(parse(text));
  }
  for (const char* text : {"{}", "[]", "null", "0", "\"\"", " \r\n\t{ } \n"}) CHECK(parse(text));
}

TEST_CASE("json_element: as deep as simdjson goes, and no stack is used up", "[llm][json_element]") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(parse(nested(1'000)));
  CHECK_FALSE(parse(nested(2'000)));
  CHECK_FALSE(parse(nested(1'000'000)));
  CHECK_FALSE(parse(std::string(1'000'000, '[')));
  CHECK(parse("{}"));
}

TEST_CASE("json_element: the parser is used again, after large texts too", "[llm][json_element]") {
  for (const std::size_t bytes : {10U, 3'000'000U, 10U, 100U, 2'000'000U}) {
    const auto root = parse(R"({"text":")" + std::string(bytes, 'x') + R"("})");
    REQUIRE(root);
    CHECK(view_of(*root, "text").size() == bytes);
    CHECK_FALSE(parse("{"));
  }
}

TEST_CASE("json_element: an excerpt is one line that is safe to show", "[llm][json_element]") {
  CHECK(excerpt("").empty());
  CHECK(excerpt(" \r\n\t ").empty());
  CHECK(excerpt("  a \n\n\t b ") == "a b ");
  CHECK(excerpt("a\x1b[31m\x07\x7f"
                "b\xC2\x9B"
                "c") == "a[31mbc");
  CHECK(excerpt("a\xff\xc3") == "a\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(excerpt("\xC3\xBC \xF0\x9F\x90\x9D") == "\xC3\xBC \xF0\x9F\x90\x9D");
}

TEST_CASE("json_element: an excerpt has at most 512 bytes, and ends between two characters", "[llm][json_element]") {
  CHECK(excerpt(std::string(512, 'x')).size() == 512);
  CHECK(excerpt(std::string(513, 'x')).size() == 512);
  CHECK(excerpt(std::string(100'000, 'x')).size() == 512);
  for (std::size_t before = 0; before < 4; ++before) {
    std::string text(before, 'x');
    for (int i = 0; i < 400; ++i) text += "\xF0\x9F\x90\x9D";
    const std::string shown = excerpt(text);
    CHECK(shown.size() == before + (512 - before) / 4 * 4);
    CHECK(text.starts_with(shown));
  }
  CHECK(excerpt(std::string(2'000, ' ') + "far away").empty());  // more than twice as much is not looked at
}

TEST_CASE("json_element: what is no answer says from where, why, and how it begins", "[llm][json_element]") {
  const felix::error failure = not_an_answer("http://host:1", "no JSON", "<html>\n" + std::string(1'000, 'x'));
  CHECK(failure.code() == felix::errc::protocol);
  CHECK(failure.kind() == felix::error_kind::protocol_error);
  CHECK(failure.cost() == felix::request_cost::unknown);
  CHECK_THAT(failure.what(),
             ContainsSubstring("http://host:1 sent no JSON; ") && ContainsSubstring("It begins: <html> xxx"));
  CHECK(std::string_view{failure.what()}.size() < 400);
  CHECK_THAT(not_an_answer("h", "no JSON", "").what(), ContainsSubstring("It begins: (nothing)"));
}

TEST_CASE("json_element: what is no answer does not show what was said", "[llm][json_element]") {
  for (const char* body :
       {R"({"id":"x","choices":[{"text":"secret"}]})", R"({"choices" : [{"message":{"content":"secret)",
        R"(data: {"choices":[{"delta":{"content":"secret"}}]})", R"({"message":{"content":"secret"}})",
        R"({"t":"secret","choices")"}) {
    const felix::error failure = not_an_answer("http://host:1", "a choice without a message", body);
    CHECK_THAT(failure.what(), ContainsSubstring("http://host:1 sent a choice without a message") &&
                                   ContainsSubstring("not shown") && !ContainsSubstring("secret"));
  }
  for (const char* body : {R"(<div id="content">secret)", R"(["choices","secret"])", "choices: secret", "secret"})
    CHECK_THAT(not_an_answer("h", "no JSON", body).what(), ContainsSubstring("secret"));
}

TEST_CASE("json_element: an integer of any length breaks nothing but itself", "[llm][json_element]") {
  const auto root =
      parse(R"({"id":"1234567890123456789012","n":123456789012345678901234567890,"m":-98765432109876543210,)"
            R"("list":[18446744073709551616,1],"t":"a\\\"99999999999999999999","x":1.5e3,"ok":7})");
  REQUIRE(root);
  CHECK(string_of(*root, "id") == "1234567890123456789012");
  CHECK(number_of(*root, "n") == 123456789012345678901234567890.0);
  CHECK(number_of(*root, "m") == -98765432109876543210.0);
  CHECK(string_of(*root, "t") == "a\\\"99999999999999999999");
  CHECK(number_of(*root, "x") == 1500);
  CHECK(count_of(*root, "ok") == 7);
  CHECK_FALSE(count_of(*root, "n"));
  CHECK_FALSE(parse(R"({"n":123456789012345678901234567890)"));
  CHECK_FALSE(parse("12345678901234567890123 nonsense"));
}

TEST_CASE("json_element: what servers do wrong is put right", "[llm][json_element]") {
  using namespace std::string_view_literals;
  const auto [sent, read] = GENERATE(table<std::string_view, std::string_view>({
      {"\xEF\xBB\xBF{\"t\":\"x\"}", "x"},
      {"{\"t\":\"cut \xF0\x9F\"}", "cut \xEF\xBF\xBD\xEF\xBF\xBD"},
      {R"({"t":"cut \ud83d"})", "cut \xEF\xBF\xBD"},
      {R"({"t":"\uDE00 and on"})", "\xEF\xBF\xBD and on"},
      {R"({"t":"\ud83dx\ud83d\ud83d\ude00\ude00"})", "\xEF\xBF\xBDx\xEF\xBF\xBD\xF0\x9F\x98\x80\xEF\xBF\xBD"},
      {R"({"t":"\ud83d\u0041"})",
       "\xEF\xBF\xBD"
       "A"},
      {R"({"t":"\\ud83d \ud83d"})", "\\ud83d \xEF\xBF\xBD"},
      {"\xEF\xBB\xBF{\"t\":\"\\ud83d\xff\",\"n\":123456789012345678901234567890}", "\xEF\xBF\xBD\xEF\xBF\xBD"},
  }));
  CAPTURE(sent);
  const auto root = parse(sent);
  REQUIRE(root);
  CHECK(view_of(*root, "t") == read);
  for (const std::string_view broken : {R"({"t":"\ud83d)"sv, R"({"t":"\ud83d\ude0"})"sv, R"({"t":"\ud8)"sv, R"("\)"sv})
    CHECK_FALSE(parse(broken));
}
