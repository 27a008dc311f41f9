// SPDX-License-Identifier: MIT
// budget: how many tokens a prompt takes, before a server has counted them: what to plan with, and the most it can be.
#pragma once

#include <felix/budget/detail/nfc_growth.hpp>
#include <felix/usage.hpp>
#include <felix/utf8.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
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

/// What an estimate needs to know of a prompt.
///     auto size = felix::prompt_size{}.add(system_text).add(user_text);
struct prompt_size {
  token_count bytes = 0;       ///< of all texts
  token_count text_bound = 0;  ///< the sum of text_token_bound over all texts
  int messages = 0;

  /// A message that consists of `text`.
  prompt_size& add(std::string_view text) noexcept {
    ++messages;
    return add_part(text);
  }
  /// One more text in a message that is counted already, or outside all: a name, a part, a tool's schema.
  prompt_size& add_part(std::string_view text) noexcept {
    bytes += static_cast<token_count>(text.size());
    text_bound += text_token_bound(text);
    return *this;
  }
};

/// Estimates the prompts for one server and model, and learns from the prompt tokens that it reports.
///     token_count worst = estimator.at_most(size);                    // before sending: what to reserve
///     estimator.learn(size, answer.usage().prompt_tokens);            // in the order in which answers are settled
/// A template is what a server puts around the texts: special tokens, role names, perhaps a system text of its own.
/// Threads: none of its own; the owner guards it. Cost: six numbers, copied freely.
class prompt_estimator {
 public:
  static constexpr token_count first_template_per_message = 16;
  static constexpr token_count first_template_once = 128;
  static constexpr int agreement = 8;
  /// No estimate is above this, whatever a server reports: sums of a few estimates do not overflow.
  static constexpr token_count highest = std::numeric_limits<token_count>::max() / 4;

  /// What to plan with: half the bytes before the first answer, then 1.5 times the most tokens per byte seen; never more
  /// than the bytes, nor than at_most().
  [[nodiscard]] token_count planned(const prompt_size& size) const noexcept {
    if (size.bytes <= 0) return 0;
    const token_count estimate = answers_seen_ == 0 ? size.bytes - size.bytes / 2 : from_ratio(size.bytes);
    return std::min(estimate, at_most(size));
  }

  /// The worst case: the bound of the texts, and the template. Before the first answer that is 16 tokens a message + 128,
  /// then the most that an answer had above the bound of its texts, twice that until 8 in a row did not raise it.
  [[nodiscard]] token_count at_most(const prompt_size& size) const noexcept {
    const token_count allowance = answers_seen_ == 0 ? first_template_per_message * size.messages + first_template_once
                                  : agreeing_ < agreement ? 2 * template_tokens_
                                                          : template_tokens_;
    return std::min(highest, std::min(highest, size.text_bound) + std::min(highest, allowance));
  }

  /// An answer to a prompt of this size reported `prompt_tokens`. Without tokens or bytes it teaches nothing: a server
  /// that sends no usage reads as 0.
  void learn(const prompt_size& size, token_count prompt_tokens) noexcept {
    if (prompt_tokens <= 0 || size.bytes <= 0) return;
    prompt_tokens = std::min(prompt_tokens, highest);
    ++answers_seen_;
    // Cross-multiplied, so that no quotient is rounded; exact as long as the products are below 2^53.
    if (as_double(prompt_tokens) * as_double(densest_bytes_) > as_double(densest_tokens_) * as_double(size.bytes)) {
      densest_tokens_ = prompt_tokens;
      densest_bytes_ = size.bytes;
    }
    const token_count above = prompt_tokens - size.text_bound;
    if (above > template_tokens_) {
      template_tokens_ = above;
      agreeing_ = 0;
    } else if (agreeing_ < agreement) {
      ++agreeing_;
    }
  }

  [[nodiscard]] std::int64_t answers_seen() const noexcept { return answers_seen_; }
  /// The largest template seen so far: 0 when no answer was above the bound of its texts.
  [[nodiscard]] token_count template_tokens() const noexcept { return template_tokens_; }

 private:
  static constexpr double as_double(token_count n) noexcept { return static_cast<double>(n); }

  // ⌈1.5 · densest · bytes⌉. One division at the end: a quotient of integers below 2^53 is never rounded across an integer,
  // so this is exact for prompts up to 50 MB, and beyond that it cannot overflow.
  [[nodiscard]] token_count from_ratio(token_count bytes) const noexcept {
    const double estimate = 3 * as_double(densest_tokens_) * as_double(bytes) / (2 * as_double(densest_bytes_));
    return estimate < as_double(bytes) ? static_cast<token_count>(std::ceil(estimate)) : bytes;
  }

  token_count densest_tokens_ = 0;  // of the answer with the most tokens per byte; 0 / 1 is below any answer
  token_count densest_bytes_ = 1;
  token_count template_tokens_ = 0;
  std::int64_t answers_seen_ = 0;
  int agreeing_ = 0;  // answers since the last that raised template_tokens_, counted up to `agreement`
};

}  // namespace felix::inline v1
