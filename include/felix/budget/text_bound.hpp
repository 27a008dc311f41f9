// SPDX-License-Identifier: MIT
// budget: the most tokens that a text can be, whatever tokenizer the server has.
#pragma once

#include <felix/budget/detail/nfc_growth.hpp>
#include <felix/usage.hpp>
#include <felix/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace felix::inline v1 {

/// The most tokens that one segment of text can be under byte-level BPE, with NFC before it (Qwen) or without, and under
/// SentencePiece with byte fallback: its bytes + 1, and what NFC can add to them. A tokenizer that applies NFKC (T5,
/// XLM-R) is not bounded. A byte that is not UTF-8 counts as the U+FFFD that is sent in its place.
/// Cost: one pass, no allocation; ASCII eight bytes at a time.
[[nodiscard]] inline token_count text_token_bound(std::string_view text) noexcept {
  auto bound = static_cast<token_count>(text.size()) + 1;  // + 1: SentencePiece puts a "▁" before a segment
  bool composed = false;                                   // the letter before may be taken apart by a mark
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t end = detail::ascii_end(text, at); end != at) {
      at = end;
      composed = false;
      continue;
    }
    const auto next = code_point_at(text, at);
    at += next.bytes;
    if (!next.valid) bound += 2;
    if (detail::covers(detail::nfc_growing, next.value)) bound += 2 * static_cast<token_count>(next.bytes);
    if (detail::covers(detail::nfc_splitting, next.value)) {
      if (composed) bound += detail::nfc_splitting_growth;
      composed = false;                                       // apart already: a further mark adds nothing
    } else if (next.value < 0x0300 || next.value > 0x036F) {  // the other combining marks leave the letter as it is
      composed = true;
    }
  }
  return bound;
}

/// The most tokens that a JSON text can be when a template writes it anew, as it does with tools: `<`, `>`, `&` and `'`
/// each as six bytes more, and all of it at twice its own bound, or as long as it is when each level is indented by four
/// spaces and what is not ASCII is escaped. Nested schemas are longer than twice. `depth`: levels around the text.
/// Cost: two passes, no allocation.
[[nodiscard]] inline token_count json_token_bound(std::string_view json, int depth = 0) noexcept {
  constexpr int deepest = 1'024;  // servers refuse more
  token_count escapes = 0;        // characters that may be written as \u003c
  token_count non_ascii = 0;
  token_count layout = 0;  // line breaks, indentation, and spaces after colons
  bool in_string = false;
  const auto new_line = [&] { layout += 1 + 4 * std::clamp(depth, 0, deepest); };
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    const bool control = static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t';
    if (c == '<' || c == '>' || c == '&' || c == '\'' || control) ++escapes;
    if (static_cast<unsigned char>(c) >= 0x80) ++non_ascii;
    if (in_string) {
      if (c == '"') in_string = false;
      if (c == '\\' && at + 1 < json.size() && (json[at + 1] == '"' || json[at + 1] == '\\')) ++at;
      continue;
    }
    switch (c) {
      case '"': in_string = true; break;
      case '{':
      case '[':
        ++depth;
        new_line();
        break;
      case '}':
      case ']':
        --depth;
        new_line();
        break;
      case ',': new_line(); break;
      case ':': ++layout; break;
      default: break;
    }
  }
  const token_count bound = text_token_bound(json);
  // \u00e4 is three times the bytes of ä, and \ud83d\ude00 of an emoji.
  return std::max(2 * bound, bound + 2 * non_ascii + layout) + 6 * escapes;
}

}  // namespace felix::inline v1
