// SPDX-License-Identifier: MIT
// agent: a long text in pieces that a prompt has room for.
#pragma once

#include <felix/error.hpp>

#include <cstddef>
#include <string_view>
#include <vector>

namespace felix::inline v1 {

/// A piece of a text: the `index`-th, from 0. The next one has index + 1, unless this is the last.
struct text_chunk {
  std::size_t index = 0;
  std::string_view text = {};  ///< of the text that was cut
  bool is_last = false;
};

/// All of `text` in pieces of at most `max_bytes`, in order, never cut inside a UTF-8 sequence (but of what is not UTF-8, or when
/// not even one character has room, after `max_bytes`). An empty text is one empty piece.
///     for (const auto& chunk : felix::chunks_of(report, 2'000)) …
/// Throws error (invalid_argument) for 0 bytes. O(text).
[[nodiscard]] inline std::vector<text_chunk> chunks_of(std::string_view text, std::size_t max_bytes) {
  if (max_bytes == 0) throw error{errc::invalid_argument, "chunks_of: max_bytes is 0; use at least 1, 2000 is usual"};
  std::vector<text_chunk> chunks;
  do {
    std::size_t end = text.size();
    if (end > max_bytes) {
      end = max_bytes;
      while (end > 0 && max_bytes - end < 4 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
      if (end == 0 || max_bytes - end == 4) end = max_bytes;
    }
    chunks.push_back({chunks.size(), text.substr(0, end), end == text.size()});
    text.remove_prefix(end);
  } while (!text.empty());
  return chunks;
}

}  // namespace felix::inline v1
