// SPDX-License-Identifier: MIT
#include <felix/utf8.hpp>

#include "support/catch.hpp"

#include <string>
#include <string_view>

TEST_CASE("utf8: code points by the table of well-formed sequences", "[core][utf8]") {
  const auto value = [](std::string_view text) { return felix::code_point_at(text, 0); };
  CHECK(value("A").value == U'A');
  CHECK(value("\xC2\x80").value == U'\x80');
  CHECK(value("ß").bytes == 2);
  CHECK(value("\xE0\xA0\x80").value == U'\u0800');
  CHECK(value("\xEF\xBF\xBF").value == U'\uFFFF');
  CHECK(value("🙂").value == U'🙂');
  CHECK(value("\xF4\x8F\xBF\xBF").value == U'\U0010FFFF');
  for (std::string_view bad : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80",
                               "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
                               "\xE2\x82", "\xF0\x9F\x99", "\xC3(", "\xE2(\xA1"}) {
    CAPTURE(bad);
    CHECK_FALSE(value(bad).valid);
    CHECK(value(bad).bytes == 1);
    CHECK(value(bad).value == U'\uFFFD');
  }
}

TEST_CASE("utf8: every code point comes back from its encoding, and counts as one", "[core][utf8]") {
  std::string all;
  std::size_t count = 0;
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 97) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string one;
    const auto put = [&](char32_t bits) { one += static_cast<char>(static_cast<unsigned char>(bits)); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
    } else {
      put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
    }
    const auto got = felix::code_point_at(one, 0);
    if (!got.valid || got.value != c || got.bytes != one.size()) FAIL("code point " << static_cast<unsigned>(c));
    all += one;
    ++count;
  }
  CHECK(felix::code_point_count(all) == count);
  CHECK(felix::code_point_count("a\xFF\xC3") == 3);
}

TEST_CASE("utf8: valid_utf8_end finds the first byte that is no part of a code point", "[core][utf8]") {
  const auto slowly = [](std::string_view text) {
    std::size_t at = 0;
    while (at < text.size() && felix::code_point_at(text, at).valid) at += felix::code_point_at(text, at).bytes;
    return at;
  };
  CHECK(felix::valid_utf8_end("") == 0);
  CHECK(felix::valid_utf8_end("a\xFFz") == 1);
  CHECK(felix::valid_utf8_end("a\xFFz", 2) == 3);
  CHECK(felix::valid_utf8_end("Zürich 東京 🙂 and more ASCII") ==
        std::string_view{"Zürich 東京 🙂 and more ASCII"}.size());
  // Every begin of a code point with every second byte, and thirds and fourths from both sides of each boundary.
  for (unsigned first = 0x7F; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      for (char third : {'\x00', '\x7F', '\x80', '\xBF', '\xC0'}) {
        for (char fourth : {'\x7F', '\x80', '\xBF', '\xC0'}) {
          const char bytes[]{'x', static_cast<char>(first), static_cast<char>(second), third, fourth, 'y', 'y', 'y',
                             'y'};
          for (std::size_t size : {5U, 4U, 3U, 2U, 9U}) {  // with and without bytes behind it
            const std::string_view text{bytes, size};
            if (felix::valid_utf8_end(text) != slowly(text)) FAIL("first " << first << ", second " << second);
          }
        }
      }
    }
  }
}

TEST_CASE("utf8: append_valid_utf8 replaces each byte that is no part of a code point", "[core][utf8]") {
  std::string to = "begin: ";
  felix::append_valid_utf8(to, "");
  felix::append_valid_utf8(to, "ok 東京");
  felix::append_valid_utf8(to, "\xFFx\xE6\x9D");
  CHECK(to == "begin: ok 東京\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_CASE("utf8: without_controls keeps text, line breaks and tabs, and nothing that steers a terminal",
          "[core][utf8]") {
  CHECK(felix::without_controls("Zeile 1\n\tZeile 2 – 東京 🙂") == "Zeile 1\n\tZeile 2 – 東京 🙂");
  CHECK(felix::without_controls("\x1b[2Jred\x1b]0;title\x07") == "[2Jred]0;title");
  CHECK(felix::without_controls("\xC2\x9B"
                                "31m") == "31m");  // the one-character form of ESC [
  CHECK(felix::without_controls(std::string_view{"a\0b\r\x7f", 5}) == "ab");
  CHECK(felix::without_controls("a\xFF") == "a\xEF\xBF\xBD");
}
