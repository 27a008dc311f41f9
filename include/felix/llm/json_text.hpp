// SPDX-License-Identifier: MIT
// llm: text as a JSON string, nearly as fast as it can be copied.
#pragma once

#include <felix/utf8.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace felix::inline v1 {

namespace detail {

/// Where the run of ASCII that starts at `at` and needs no escape ends: before a control character (DEL is one), a quote,
/// a backslash, or a byte above 0x7f.
[[nodiscard]] inline std::size_t plain_json_end(std::string_view text, std::size_t at) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  constexpr std::uint64_t highs = 0x80 * ones;
  for (std::uint64_t eight = 0; text.size() - at >= sizeof eight; at += sizeof eight) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    // In a byte below 0x80 no sum carries into the next, and its highest bit is the answer to the question beside it.
    const std::uint64_t plain = (eight + (0x80 - 0x20) * ones)           // not below 0x20? (nor 0xff)
                                & ((eight ^ '"' * ones) + 0x7f * ones)   // not a quote?
                                & ((eight ^ '\\' * ones) + 0x7f * ones)  // not a backslash?
                                & ~(eight + 1 * ones);                   // not from 0x7f to 0xfe?
    if (const std::uint64_t special = ~plain & highs; special != 0) {
      // A byte from 0x80 carries into those behind it: what is said of the first special byte is true.
      if constexpr (std::endian::native == std::endian::little)
        return at + static_cast<std::size_t>(std::countr_zero(special)) / 8;
      break;
    }
  }
  const auto is_plain = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
  };
  while (at < text.size() && is_plain(text[at])) ++at;
  return at;
}

/// Appends the escape of an ASCII character that needs one.
inline void append_json_escape(std::string& json, char c) {
  switch (c) {
    case '"': json += "\\\""; return;
    case '\\': json += "\\\\"; return;
    case '\n': json += "\\n"; return;
    case '\t': json += "\\t"; return;
    default: break;
  }
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  json += "\\u00";
  json += digits[byte >> 4U];
  json += digits[byte & 0xFU];
}

}  // namespace detail

/// Appends `text` as a JSON string, with its quotes. Control characters are escaped, DEL too. A byte that is not UTF-8
/// becomes U+FFFD: llama.cpp answers 500 to it. `text` is no part of `json`.
/// Cost: O(n). Text without escapes is searched eight bytes at a time and copied at once.
inline void append_json_string(std::string& json, std::string_view text) {
  json += '"';
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text.size();) {
    at = detail::plain_json_end(text, at);
    if (at == text.size()) break;
    const bool ascii = static_cast<unsigned char>(text[at]) < 0x80;
    if (!ascii) {
      const std::size_t end = detail::non_ascii_end(text, at);
      if (end != at) {
        at = end;
        continue;
      }
    }
    json.append(text, copied, at - copied);
    if (ascii) {
      detail::append_json_escape(json, text[at]);
    } else {
      json += "\xEF\xBF\xBD";
    }
    copied = ++at;
  }
  json.append(text, copied);
  json += '"';
}

}  // namespace felix::inline v1
