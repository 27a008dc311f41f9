// SPDX-License-Identifier: MIT
// llm: characters that a server cut in two, so that each half came with a delta of its own.
#pragma once

#include <felix/llm/detail/without_keys.hpp>
#include <felix/utf8.hpp>

#include <compare>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace codec {
namespace detail {

// No parser of JSON takes a part of a character: half a surrogate pair (\ud83d), or some of the bytes of a code point.
// So that it can be read and still be put together later, each is written as a mark, one code point for each such half
// and byte. They are the end of the last plane of private use, which nobody uses; the text of a model that does shows
// U+FFFD there, and only in a document that has such a part too.

inline constexpr char32_t marks_of_bytes = 0x10F700;   // and a byte from 0x80
inline constexpr char32_t marks_of_halves = 0x10F800;  // and the lower 11 bits of a surrogate
inline constexpr std::size_t mark_bytes = 4;           // of each mark, in UTF-8
inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// Of a code point from U+10000.
inline void append_four_bytes(std::string& to, char32_t value) {
  to += static_cast<char>(0xF0U | value >> 18U);
  for (const unsigned shift : {12U, 6U, 0U}) to += static_cast<char>(0x80U | (value >> shift & 0x3FU));
}

/// The code unit that is escaped at `at`; below 0: none is.
[[nodiscard]] constexpr int escaped_unit(std::string_view json, std::size_t at) noexcept {
  if (at + 6 > json.size() || json[at] != '\\' || json[at + 1] != 'u') return -1;
  int unit = 0;
  for (std::size_t i = at + 2; i < at + 6; ++i) {
    const int digit = hexadecimal(json[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}
[[nodiscard]] constexpr bool is_high_half(int unit) noexcept { return unit >= 0xD800 && unit < 0xDC00; }
[[nodiscard]] constexpr bool is_low_half(int unit) noexcept { return unit >= 0xDC00 && unit < 0xE000; }

/// What becomes of a part of a character.
enum class character_parts : unsigned char {
  replaced,  ///< by U+FFFD
  marked     ///< for split_characters
};

/// The document without parts of characters, neither as bytes nor escaped.
[[nodiscard]] inline std::string without_parts(std::string_view json, character_parts become) {
  std::string changed;
  const auto part = [&](char32_t mark) {
    if (become == character_parts::marked)
      append_four_bytes(changed, mark);
    else
      changed += replacement_character;
  };
  for (std::size_t at = 0; at < json.size();) {
    const int unit = escaped_unit(json, at);
    const bool is_pair = is_high_half(unit) && is_low_half(escaped_unit(json, at + 6));
    std::size_t bytes = 6;
    if (!is_pair && (is_high_half(unit) || is_low_half(unit))) {
      part(marks_of_halves | (static_cast<char32_t>(unit) & 0x7FFU));
    } else if (const code_point next = code_point_at(json, at); next.valid) {
      bytes = is_pair ? 12 : json[at] == '\\' ? 2 : next.bytes;  // 2: so that \\u is not taken for an escape
      changed += json.substr(at, bytes);
    } else {
      part(marks_of_bytes | static_cast<unsigned char>(json[at]));
      bytes = 1;
    }
    at += bytes;
  }
  return changed;
}

[[nodiscard]] inline bool has_parts(std::string_view json) {
  return without_parts(json, character_parts::marked) != json;
}

/// The strings of an answer that comes in pieces, without cut characters.
///     choice.text += cut.join({.choice = 0}, piece);
class split_characters {
 public:
  /// A string of the answer.
  struct name {
    enum class kind : unsigned char { text, reasoning, refusal, arguments };
    std::size_t choice = 0;
    kind part = kind::text;
    std::size_t call = 0;  ///< whose arguments
    friend auto operator<=>(const name&, const name&) = default;
  };

  /// Whether no string ends with a part of a character.
  [[nodiscard]] bool empty() const noexcept { return kept_.empty(); }

  /// The next piece of a string, in which parts are marked: with what was kept of the one before, and without what the
  /// next one may complete.
  [[nodiscard]] std::string join(const name& of, std::string_view piece) {
    std::string all;
    if (auto before = kept_.extract(of)) all = std::move(before.mapped());
    all += piece;
    std::string whole;
    std::size_t at = 0;
    while (at < all.size() && !may_go_on(std::string_view{all}.substr(at)))
      at += append_character(whole, std::string_view{all}.substr(at));
    if (at < all.size()) kept_.emplace(of, all.substr(at));
    return whole;
  }

  /// The same of a piece in which nothing is marked, whatever code points it has: it completes no character.
  [[nodiscard]] std::string join_unmarked(const name& of, std::string_view piece) {
    if (piece.empty()) return {};
    std::string all;
    if (const auto before = kept_.extract(of)) all = settled(before.mapped());
    return all += piece;
  }

  /// What was kept of a choice, when no piece comes any more: U+FFFD for each part.
  [[nodiscard]] std::vector<std::pair<name, std::string>> rest_of(std::size_t choice) {
    std::vector<std::pair<name, std::string>> rest;
    auto each = kept_.lower_bound(name{.choice = choice});
    while (each != kept_.end() && each->first.choice == choice) {
      rest.emplace_back(each->first, settled(each->second));
      each = kept_.erase(each);
    }
    return rest;
  }

  /// A text that has no other pieces.
  [[nodiscard]] static std::string settled(std::string_view text) {
    std::string whole;
    for (std::size_t at = 0; at < text.size();) at += append_character(whole, text.substr(at));
    return whole;
  }

 private:
  /// The half of a pair whose mark stands first; below 0: none does.
  [[nodiscard]] static int half_of(std::string_view text) noexcept {
    if (text.empty()) return -1;
    const char32_t first = code_point_at(text, 0).value;
    return first >= marks_of_halves ? static_cast<int>(0xD800U + (first & 0x7FFU)) : -1;
  }
  /// The bytes whose marks stand first, as many as a code point may have.
  [[nodiscard]] static std::string marked_bytes(std::string_view text) {
    std::string bytes;
    while (!text.empty() && bytes.size() < 4) {
      const char32_t next = code_point_at(text, 0).value;
      if (next < marks_of_bytes + 0x80 || next >= marks_of_halves) break;
      bytes += static_cast<char>(next & 0xFFU);
      text.remove_prefix(mark_bytes);
    }
    return bytes;
  }
  /// Whether the text is nothing but the begin of a character.
  [[nodiscard]] static bool may_go_on(std::string_view text) {
    if (text.size() >= 4 * mark_bytes) return false;
    if (is_high_half(half_of(text))) return text.size() == mark_bytes;
    const std::string bytes = marked_bytes(text);
    if (bytes.empty() || bytes.size() * mark_bytes != text.size()) return false;
    // It is one if some end completes it: the least and the greatest, since not all continuations fit all begins.
    for (const char last : {'\x80', '\xBF'}) {
      std::string complete = bytes;
      while (complete.size() < 4) {
        complete += last;
        if (const code_point one = code_point_at(complete, 0); one.valid && one.bytes == complete.size()) return true;
      }
    }
    return false;
  }
  /// The first character of the text, put together. Returns how many bytes of the text it was.
  static std::size_t append_character(std::string& to, std::string_view text) {
    const code_point first = code_point_at(text, 0);
    if (first.value < marks_of_bytes + 0x80) {
      to += text.substr(0, first.bytes);
      return first.bytes;
    }
    if (const int high = half_of(text); is_high_half(high)) {
      if (const int low = half_of(text.substr(mark_bytes)); is_low_half(low)) {
        append_four_bytes(
            to, 0x10000U + ((static_cast<char32_t>(high) & 0x3FFU) << 10U) + (static_cast<char32_t>(low) & 0x3FFU));
        return 2 * mark_bytes;
      }
    }
    const std::string bytes = marked_bytes(text);
    if (const code_point one = code_point_at(bytes, 0); one.valid && !bytes.empty()) {
      to += bytes.substr(0, one.bytes);
      return one.bytes * mark_bytes;
    }
    to += replacement_character;
    return mark_bytes;
  }

  std::map<name, std::string> kept_;  // marks; empty but for servers that cut
};

}  // namespace detail
}  // namespace codec
}  // namespace felix::inline v1
