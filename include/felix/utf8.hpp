// SPDX-License-Identifier: MIT
// UTF-8, one code point at a time, and text that is safe to show on a terminal.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace felix::inline v1 {

/// What stands at one place of a text.
struct code_point {
  char32_t value = U'\uFFFD';
  std::size_t bytes = 1;
  bool valid = false;  ///< else one byte that is no part of a code point
};

/// The code point at `at`, which is inside the text. O(1).
/// See: Unicode 15, table 3-7.
[[nodiscard]] constexpr code_point code_point_at(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) -> char32_t {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (bytes == 0) return {};
  char32_t value = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {};
    value = value << 6U | (byte(i) & 0x3FU);
  }
  const bool overlong = value < (bytes == 2 ? 0x80U : bytes == 3 ? 0x800U : 0x10000U);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) return {};
  return {value, bytes, true};
}

/// A byte that is no part of a code point counts as one. O(n).
[[nodiscard]] constexpr std::size_t code_point_count(std::string_view text) noexcept {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) at += code_point_at(text, at).bytes;
  return count;
}

/// The text as a terminal may get it: without control characters (C0 but for line breaks and tabs, DEL, C1), which could
/// steer it, and with U+FFFD for bytes that are not UTF-8. O(n).
[[nodiscard]] inline std::string without_controls(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const code_point next = code_point_at(text, at);
    const bool layout = next.value == U'\n' || next.value == U'\t';
    const bool control = next.value < 0x20 || (next.value >= 0x7F && next.value < 0xA0);
    if (!next.valid) {
      shown += "\xEF\xBF\xBD";
    } else if (layout || !control) {
      shown.append(text.substr(at, next.bytes));
    }
    at += next.bytes;
  }
  return shown;
}

namespace detail {

/// Where the run of ASCII that starts at `at` ends: `at` itself if there is none.
[[nodiscard]] inline std::size_t ascii_end(std::string_view text, std::size_t at) noexcept {
  for (std::uint64_t eight = 0; text.size() - at >= sizeof eight; at += sizeof eight) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    if ((eight & 0x8080808080808080U) != 0) break;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

/// Where the run of well-formed code points above ASCII that starts at `at` ends: `at` itself if there is none. They are
/// tested four bytes at once, without being taken apart.
[[nodiscard]] inline std::size_t non_ascii_end(std::string_view text, std::size_t at) noexcept {
  while (at < text.size()) {
    if constexpr (std::endian::native == std::endian::little) {
      if (std::uint32_t four = 0; text.size() - at >= sizeof four) {
        std::memcpy(&four, text.data() + at, sizeof four);
        if ((four & 0x80U) == 0) return at;
        // 1110xxxx 10xxxxxx 10xxxxxx, but neither overlong (E0 80..9F) nor a surrogate (ED A0..BF).
        if ((four & 0xC0C0F0U) == 0x8080E0U && (four & 0x200FU) != 0 && (four & 0x200FU) != 0x200DU) {
          at += 3;
          continue;
        }
        // 110xxxxx 10xxxxxx, but not overlong (C0, C1).
        if ((four & 0xC0E0U) == 0x80C0U && (four & 0x1EU) != 0) {
          at += 2;
          continue;
        }
        // 11110xxx and three of 10xxxxxx, from F0 90 to F4 8F: the two bits that follow are part of the comparison.
        if ((four & 0xC0C0C0F8U) == 0x808080F0U && ((four & 7U) << 2U | (four >> 12U & 3U)) - 1 < 16) {
          at += 4;
          continue;
        }
      }
    }
    const code_point next = code_point_at(text, at);
    if (!next.valid || next.value < 0x80) return at;
    at += next.bytes;
  }
  return at;
}

}  // namespace detail

/// Where the well-formed text that starts at `at` ends: size() if all of it is, else at the first byte that is no part
/// of a code point. O(n), and quick: ASCII eight bytes at a time.
[[nodiscard]] inline std::size_t valid_utf8_end(std::string_view text, std::size_t at = 0) noexcept {
  for (std::size_t end = at;; at = end) {
    end = detail::non_ascii_end(text, detail::ascii_end(text, at));
    if (end == at) return at;
  }
}

/// Appends `text` with U+FFFD for each byte that is no part of a code point. O(n).
inline void append_valid_utf8(std::string& to, std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t end = valid_utf8_end(text, at);
    to.append(text, at, end - at);
    if (end != text.size()) to += "\xEF\xBF\xBD";
    at = end;
  }
}

}  // namespace felix::inline v1
