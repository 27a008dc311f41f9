// SPDX-License-Identifier: MIT
#include <felix/llm/json_text.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <felix/llm/codec.hpp>  // simdjson

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace {

// In memory of its own size: a sanitizer sees every byte read too far.
std::string escaped(std::string_view text) {
  auto bytes = std::make_unique<char[]>(text.size());
  text.copy(bytes.get(), text.size());
  std::string json;
  felix::append_json_string(json, {bytes.get(), text.size()});
  return json;
}

/// The same, one code point after the other.
std::string escaped_slowly(std::string_view text) {
  std::string json = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const auto next = felix::code_point_at(text, at);
    if (!next.valid) {
      json += "\xEF\xBF\xBD";
    } else if (next.value == U'"' || next.value == U'\\') {
      json += '\\';
      json += text[at];
    } else if (next.value == U'\n') {
      json += "\\n";
    } else if (next.value == U'\t') {
      json += "\\t";
    } else if (next.value < 0x20 || next.value == 0x7f) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(next.value));
      json += escape.data();
    } else {
      json.append(text, at, next.bytes);
    }
    at += next.bytes;
  }
  return json + '"';
}

/// What the parser reads in `json`, which is one string.
std::string read_back(const std::string& json) {
  simdjson::dom::parser parser;
  std::string_view text;
  const auto in_list = '[' + json + ']';
  REQUIRE(parser.parse(in_list).at(0).get(text) == simdjson::SUCCESS);
  return std::string{text};
}

}  // namespace

TEST_CASE("json_text: strings are escaped, and what is not UTF-8 is replaced", "[llm][json_text]") {
  CHECK(escaped("") == R"("")");
  CHECK(escaped("plain") == R"("plain")");
  CHECK(escaped("a\"b\\c\n\t\r\b") == R"("a\"b\\c\n\t\u000d\u0008")");
  CHECK(escaped(std::string_view{"\0\x1f\x7f", 3}) == R"("\u0000\u001f\u007f")");
  CHECK(escaped("Zürich 東京 🙂") == "\"Zürich 東京 🙂\"");
  const std::string replacement = "\xEF\xBF\xBD";
  CHECK(escaped("\xff") == "\"" + replacement + "\"");
  CHECK(escaped("a\xC3") == "\"a" + replacement + "\"");                                    // cut short
  CHECK(escaped("\xC0\x80") == "\"" + replacement + replacement + "\"");                    // overlong
  CHECK(escaped("\xED\xA0\x80") == "\"" + replacement + replacement + replacement + "\"");  // a surrogate
  CHECK(escaped("\xF4\x90\x80\x80") ==
        "\"" + replacement + replacement + replacement + replacement + "\"");  // too high
  CHECK(escaped("\xF0\x9F\x99") == "\"" + replacement + replacement + replacement + "\"");
}

TEST_CASE("json_text: what was there before stays", "[llm][json_text]") {
  std::string json = "[";
  felix::append_json_string(json, "a\nb");
  json += ',';
  felix::append_json_string(json, "");
  CHECK(json == R"(["a\nb","")");
}

TEST_CASE("json_text: every byte at every place of 64, at every alignment", "[llm][json_text]") {
  std::array<char, 80> bytes;
  for (std::size_t offset = 0; offset < 8; ++offset) {
    for (std::size_t at = 0; at < 64; ++at) {
      for (unsigned value = 0; value < 256; ++value) {
        bytes.fill('x');
        bytes[offset + at] = static_cast<char>(value);
        const std::string_view text{bytes.data() + offset, 64};
        std::string json;
        felix::append_json_string(json, text);
        if (json != escaped_slowly(text)) FAIL("byte " << value << " at " << at << ", alignment " << offset);
      }
    }
  }
}

TEST_CASE("json_text: two special bytes side by side or apart", "[llm][json_text]") {
  // Arithmetic on eight bytes at once may carry from one into the next: each pair within eight, and across.
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      for (std::size_t apart : {1U, 2U, 7U, 8U}) {
        std::string text(24, 'x');
        text[4] = static_cast<char>(a);
        text[4 + apart] = static_cast<char>(b);
        std::string json;
        felix::append_json_string(json, text);
        if (json != escaped_slowly(text)) FAIL("bytes " << a << " and " << b << ", " << apart << " apart");
      }
    }
  }
}

TEST_CASE("json_text: random bytes, against one code point after the other", "[llm][json_text]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{20}));
  constexpr std::array<std::string_view, 12> words{"plain text", "\"",   "\\",       "\n",       "ü",    "東京",
                                                   "🙂",         "\x7f", "\xED\xA0", "\xF0\x9F", "\xC3", "\xFF"};
  felix::seeded_random random{seed};
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (std::size_t left = static_cast<std::size_t>(random.next() % 100); left > 0; --left) {
      if (round % 2 == 0) {
        text += static_cast<char>(static_cast<unsigned char>(random.next()));
      } else {
        text += words[static_cast<std::size_t>(random.next() % words.size())];
      }
    }
    const auto json = escaped(text);
    if (json != escaped_slowly(text)) FAIL("seed " << seed << ", round " << round);
    std::string expected;
    felix::append_valid_utf8(expected, text);
    if (read_back(json) != expected) FAIL("seed " << seed << ", round " << round << ": read back otherwise");
  }
}
