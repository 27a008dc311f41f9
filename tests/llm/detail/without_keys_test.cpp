// SPDX-License-Identifier: MIT
#include <felix/llm/detail/without_keys.hpp>

#include "support/catch.hpp"

#include <string>
#include <string_view>

using felix::codec::detail::without_keys;

TEST_CASE("without_keys: a key is hidden wherever it stands, and what looks like one", "[llm][without_keys]") {
  CHECK(without_keys("", "key").empty());
  CHECK(without_keys("key, a keykey and ke", "key") == "[API key], a [API key][API key] and ke");
  CHECK(without_keys("nothing", "") == "nothing");
  CHECK(without_keys("API", "API") == "[API key]");
  CHECK(without_keys("sk-12345678", "") == "[API key]");
  CHECK(without_keys("sk-1234567", "") == "sk-1234567");  // too short for one
  CHECK(without_keys("(sk-proj_AbC-0123***9)", "") == "([API key])");
  CHECK(without_keys("\"sk-12345678\",\"sk-87654321\"", "") == "\"[API key]\",\"[API key]\"");
  CHECK(without_keys("task-12345678", "") == "task-12345678");
  CHECK(without_keys("SK-12345678", "") == "SK-12345678");
  CHECK(without_keys("sk-", "") == "sk-");
  CHECK(without_keys("sk-12345678", "sk-1234") == "[API key]5678");  // the known one is what counts
}

TEST_CASE("without_keys: a key is hidden however it is written", "[llm][without_keys]") {
  const std::string_view key = "abc/d\\e\"f+";
  for (const std::string_view text :
       {R"(abc/d\e"f+)", R"(abc\/d\\e\"f+)", R"(\u0061bc\u002fd\u005Ce\u0022f\u002B)", R"(abc\\\/d\\\\e\\\"f+)",
        R"(abc%2fd%5Ce%22f%2B)", R"(%61bc%2Fd%5ce%22f+)", R"(abc&#47;d&#x5c;e&#34;f&#X2B;)"}) {
    CAPTURE(text);
    CHECK(without_keys(text, key) == "[API key]");
    CHECK(without_keys("x" + std::string{text} + "y", key) == "x[API key]y");
  }
  for (const std::string_view text :
       {R"(abc\u002)", R"(abc%2)", "abc&#47", "abc&#4f;d", "abc&#48;d", "abc&#99999999999999999999;d", R"(abc\)",
        R"(abc\u0030d)", R"(abc%30d)", "abcd", "abc"})
    CHECK(without_keys(text, key) == text);
}

TEST_CASE("without_keys: a key that the end of the text cuts is hidden, if it is as long as to tell something",
          "[llm][without_keys]") {
  CHECK(without_keys("it is 12345678", "1234567890") == "it is [API key]");
  CHECK(without_keys("it is 1234567", "1234567890") == "it is 1234567");
  CHECK(without_keys("12345678 is none", "1234567890") == "12345678 is none");
}

TEST_CASE("without_keys: no more than asked for is read, and no key is cut", "[llm][without_keys]") {
  CHECK(without_keys("abcdef", "x", 3) == "abc");
  CHECK(without_keys("abcdef", "x", 0).empty());
  CHECK(without_keys("ab12345", "12345", 3) == "ab[API key]");
  CHECK(without_keys(std::string(50, '1') + "z", "1111111111", 30) == "[API key][API key][API key][API key]");
}
