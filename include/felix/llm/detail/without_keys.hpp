// SPDX-License-Identifier: MIT
// llm: text that was received, without the API key: what everything goes through that an error or a log shows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace felix::inline v1 {
namespace codec {
namespace detail {

[[nodiscard]] constexpr int hexadecimal(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// How many bytes write `c` as a character reference of HTML (&#47;, &#x2f;) where `text` begins; 0: none do.
[[nodiscard]] constexpr std::size_t reference_bytes_of(char c, std::string_view text) noexcept {
  if (!text.starts_with("&#")) return 0;
  const bool is_hexadecimal = text.substr(2).starts_with('x') || text.substr(2).starts_with('X');
  const int base = is_hexadecimal ? 16 : 10;
  int number = 0;
  for (std::size_t at = is_hexadecimal ? 3 : 2; at < text.size() && number < 256; ++at) {
    if (text[at] == ';') return number == static_cast<unsigned char>(c) ? at + 1 : 0;
    const int digit = hexadecimal(text[at]);
    if (digit < 0 || digit >= base) return 0;
    number = number * base + digit;
  }
  return 0;
}

/// How many bytes write `c` where `text` begins: as it is, escaped as in JSON (\/, \u002f, however often),
/// percent-encoded, or as HTML has it; 0: it does not stand there.
[[nodiscard]] constexpr std::size_t bytes_of(char c, std::string_view text) noexcept {
  const auto is_number = [&](std::size_t at, std::size_t digits) {
    int number = 0;
    for (std::size_t i = at; i < at + digits; ++i) {
      const int digit = i < text.size() ? hexadecimal(text[i]) : -1;
      if (digit < 0) return false;
      number = number * 16 + digit;
    }
    return number == static_cast<unsigned char>(c);
  };
  if (const std::size_t bytes = reference_bytes_of(c, text); bytes != 0) return bytes;
  if (text.starts_with('%') && is_number(1, 2)) return 3;
  std::size_t at = 0;
  while (at < text.size() && text[at] == '\\') ++at;
  if (at > 0 && text.substr(at).starts_with('u') && is_number(at + 1, 4)) return at + 5;
  if (text.starts_with(c)) return 1;
  return at > 0 && text.substr(at).starts_with(c) ? at + 1 : 0;
}

/// How many bytes of `text` are the key that it begins with, in any of the ways to write it; 0: it does not. So much of
/// a key as tells something counts too, where the text ends within it: it may have been cut there.
[[nodiscard]] constexpr std::size_t key_bytes(std::string_view text, std::string_view key) noexcept {
  constexpr std::size_t tells = 8;
  std::size_t end = 0;
  for (std::size_t known = 0; known < key.size(); ++known) {
    const std::size_t bytes = bytes_of(key[known], text.substr(end));
    if (bytes == 0) return known >= tells && end == text.size() ? end : 0;
    end += bytes;
  }
  return end;
}

/// The text with each occurrence of `key` replaced, however it is escaped, and of what looks like one: some servers
/// repeat a key that is wrong. Ends at the first place where at least `most` bytes are there: to cut what is long.
[[nodiscard]] inline std::string without_keys(std::string_view text, std::string_view key,
                                              std::size_t most = std::string_view::npos) {
  constexpr std::string_view instead = "[API key]";
  const auto is_part = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
           c == '*';
  };
  std::string shown;
  for (std::size_t at = 0; at < text.size() && shown.size() < most;) {
    const std::string_view rest = text.substr(at);
    std::size_t hidden = key_bytes(rest, key);
    if (hidden == 0 && rest.starts_with("sk-") && (at == 0 || !is_part(text[at - 1]))) {
      std::size_t end = 3;
      while (end < rest.size() && is_part(rest[end])) ++end;
      if (end >= 11) hidden = end;  // a word such as "sk-learn" is not meant
    }
    if (hidden > 0)
      shown += instead;
    else
      shown += text[at];
    at += std::max(hidden, std::size_t{1});
  }
  return shown;
}

}  // namespace detail
}  // namespace codec
}  // namespace felix::inline v1
