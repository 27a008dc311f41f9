// SPDX-License-Identifier: MIT
// Tests: how many tokens servers make of a text, by the kinds of tokenizers that there are; and texts to try them on.
#pragma once

#include <felix/random.hpp>
#include <felix/usage.hpp>
#include <felix/utf8.hpp>
#include "support/utf8.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace felix::test {

/// Byte-level BPE: tokens of 1 to `longest` bytes. Of 1, it is the worst that there can be.
inline token_count byte_level_tokens(std::string_view text, std::size_t longest, std::uint64_t seed) {
  seeded_random random{seed};
  token_count tokens = 0;
  for (std::size_t at = 0; at < text.size(); ++tokens) at += 1 + random.next() % longest;
  return tokens;
}

struct normal_form {
  char32_t from;
  std::initializer_list<char32_t> to;
};

/// Some of the code points that NFC takes apart.
inline std::string in_nfc(std::string_view text) {
  static const std::array<normal_form, 6> forms{{{0x0344, {0x0308, 0x0301}},
                                                 {0x0958, {0x0915, 0x093C}},
                                                 {0x2ADC, {0x2ADD, 0x0338}},
                                                 {0xFB2C, {0x05E9, 0x05BC, 0x05C1}},
                                                 {0xFB4E, {0x05E4, 0x05BF}},
                                                 {0x1D160, {0x1D158, 0x1D165, 0x1D16E}}}};
  std::string normal;
  for (std::size_t at = 0; at < text.size();) {
    const code_point next = code_point_at(text, at);
    std::string form{text.substr(at, next.bytes)};
    for (const auto& each : forms)
      if (next.valid && next.value == each.from) form = utf8(each.to);
    normal += form;
    at += next.bytes;
  }
  // ò and a dot below: the mark with the lower class composes first.
  const std::string from = utf8({0xF2, 0x0323}), to = utf8({0x1ECD, 0x0300});
  for (std::size_t at = 0; (at = normal.find(from, at)) != std::string::npos; at += to.size())
    normal.replace(at, from.size(), to);
  return normal;
}

/// SentencePiece with byte fallback: "▁" for the beginning and for each space, a token for each letter of ASCII, and one
/// for each byte of what is not in its vocabulary.
inline token_count sentence_piece_tokens(std::string_view text) {
  token_count tokens = 1;
  for (std::size_t at = 0; at < text.size();) {
    const code_point next = code_point_at(text, at);
    tokens += next.valid && next.value < 0x3000 && next.value % 3 != 0 ? 1 : static_cast<token_count>(next.bytes);
    at += next.bytes;
  }
  return tokens;
}

/// What is sent of a text: its bytes that are not UTF-8 are replaced.
inline std::string as_sent(std::string_view text) {
  std::string sent;
  append_valid_utf8(sent, text);
  return sent;
}

/// Words, code, scripts of all kinds, what grows under NFC, and bytes that are no text: by seed, up to `most` pieces.
inline std::string random_text(seeded_random& random, std::size_t most) {
  const auto below = [&](std::uint64_t n) { return random.next() % n; };
  const std::uint64_t mostly = below(8);  // the kind of most of its pieces
  std::string text;
  for (std::uint64_t pieces = below(most + 1); pieces > 0; --pieces) {
    switch (below(3) == 0 ? below(8) : mostly) {
      case 0: text += " word"; break;
      case 1: text += std::string(1 + below(9), static_cast<char>('a' + below(26))) + ' '; break;
      case 2: text += "for(int i=0;i<n;++i){a[i]='x';}\n"; break;
      case 3: text += utf8(static_cast<char32_t>(0xC0 + below(0x500))); break;
      case 4: text += utf8(static_cast<char32_t>(0x4E00 + below(0x5000))); break;
      case 5: text += utf8({U'\u0344', U'\u0958', U'\u2ADC', U'\uFB2C', U'\U0001D160'}); break;
      case 6: text += utf8({0xF2, 0x0323}); break;
      default: text += static_cast<char>(below(256)); break;
    }
  }
  return text;
}

}  // namespace felix::test
