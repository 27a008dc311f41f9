// SPDX-License-Identifier: MIT
// budget: the most tokens that a prompt can be, its template included, and what is done when a server counts more.
#pragma once

#include <felix/budget/detail/most_seen.hpp>
#include <felix/budget/detail/overrun_watch.hpp>
#include <felix/budget/estimation.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace felix::inline v1 {

/// How long a bound allows for a template that it does not know.
enum class template_allowance : unsigned char {
  until_answered,  ///< the first answer shows the template, as far as it is above the bound of the text: usually not at all
  always           ///< never less than for a server that was never seen: for prompts of a few bytes
};

/// The worst case of prompts for one server and model: the bound of their texts, 2,048 tokens an image, and the template.
/// It is also the estimator that plans with the worst case.
///     token_count worst = bound.at_most(size);                        // before sending: what to reserve
///     bound.learn(size, answer.usage().prompt_tokens);                // in the order in which answers are settled
/// A template is what a server puts around the texts: special tokens, role names, perhaps a system text of its own.
/// Threads: none of its own; the owner guards it. Cost: ten numbers, copied freely.
class prompt_bound {
 public:
  static constexpr token_count first_template_per_message = 16;
  static constexpr token_count first_template_once = 128;
  static constexpr token_count first_image = 2'048;
  static constexpr int agreement = detail::most_seen::agreement;
  /// No estimate is above this, whatever a server reports: sums of a few estimates do not overflow.
  static constexpr token_count highest = std::numeric_limits<token_count>::max() / 4;

  constexpr prompt_bound() noexcept = default;
  constexpr explicit prompt_bound(template_allowance allowed) noexcept : allowed_{allowed} {}

  [[nodiscard]] token_count planned(const prompt_size& size) const noexcept { return at_most(size); }

  /// The bound of the texts, the images, and the template. Before the first answer that is 16 tokens a message + 128, then
  /// the most that an answer had above the bound of its texts, twice that until 8 in a row did not raise it.
  [[nodiscard]] token_count at_most(const prompt_size& size) const noexcept {
    const token_count images = times(size.images, image_answers_ == 0 ? first_image : image_.to_keep());
    return std::min(highest, text_tokens(size) + images + std::min(highest, template_allowed(size)));
  }

  /// An answer to a prompt of this size reported `prompt_tokens`. Without tokens, or without anything to count, it teaches
  /// nothing. One with images teaches what images take.
  void learn(const prompt_size& size, token_count prompt_tokens) noexcept {
    if (prompt_tokens <= 0 || (size.bytes <= 0 && size.images <= 0)) return;
    prompt_tokens = std::min(prompt_tokens, highest);
    overruns_.learn(prompt_tokens <= at_most(size));
    if (size.images > 0) {
      ++image_answers_;
      image_.learn((prompt_tokens + size.images - 1) / size.images);  // with its share of the text
      return;
    }
    ++answers_seen_;
    // What no template can be is the tokenizer's.
    if (prompt_tokens - text_tokens(size) > std::max(first_template(size), template_.to_keep()))
      raise_tokens_per_byte(prompt_tokens, size.bytes);
    template_.learn(prompt_tokens - text_tokens(size));
  }

  [[nodiscard]] estimate_confidence confidence(const prompt_size&) const noexcept { return {.share = 1}; }

  /// Since a server has counted more than at_most(), until 8 in a row were within.
  [[nodiscard]] bool one_at_a_time() const noexcept { return overruns_.one_at_a_time(); }
  /// Answers to prompts without images.
  [[nodiscard]] std::int64_t answers_seen() const noexcept { return answers_seen_; }
  /// The largest template seen so far: 0 when no answer was above the bound of its texts.
  [[nodiscard]] token_count template_tokens() const noexcept { return template_.most(); }
  /// The most tokens that one image took, where a prompt's images share its tokens alike; 2,048 before an answer.
  [[nodiscard]] token_count image_tokens() const noexcept { return image_answers_ == 0 ? first_image : image_.most(); }
  /// `image_tokens()` for all images of a prompt.
  [[nodiscard]] token_count planned_images(const prompt_size& size) const noexcept {
    return times(size.images, image_tokens());
  }
  /// What a byte is taken to be at most: 1, and 1.5 times what a server has counted when that was more than a tokenizer
  /// with byte fallback can make of a text.
  [[nodiscard]] double tokens_per_byte() const noexcept {
    return worse_tokens_ == 0 ? 1 : 1.5 * as_double(worse_tokens_) / as_double(worse_bytes_);
  }

 private:
  /// NFKC makes at most 11 bytes of one (U+FDFA), and no tokenizer is known to be worse. More is a template's.
  static constexpr token_count worst_tokens_per_byte = 11;

  static constexpr double as_double(token_count n) noexcept { return static_cast<double>(n); }
  static constexpr token_count times(int count, token_count each) noexcept {
    if (count <= 0) return 0;
    return each > highest / count ? highest : each * count;
  }
  [[nodiscard]] static token_count first_template(const prompt_size& size) noexcept {
    return first_template_per_message * size.messages + first_template_once;
  }
  [[nodiscard]] token_count template_allowed(const prompt_size& size) const noexcept {
    if (answers_seen_ == 0) return first_template(size);
    return allowed_ == template_allowance::always ? std::max(first_template(size), template_.to_keep())
                                                  : template_.to_keep();
  }

  /// The bound of the texts, for this server's tokenizer.
  [[nodiscard]] token_count text_tokens(const prompt_size& size) const noexcept {
    const token_count bound = std::min(highest, size.text_bound);
    if (worse_tokens_ == 0) return bound;
    // Products and one quotient, no sum: the same on every machine, with and without fused multiplication.
    const double raised = 3 * as_double(worse_tokens_) * as_double(bound) / (2 * as_double(worse_bytes_));
    return raised < as_double(highest) ? std::max(bound, static_cast<token_count>(std::ceil(raised))) : highest;
  }
  void raise_tokens_per_byte(token_count tokens, token_count bytes) noexcept {
    if (tokens / worst_tokens_per_byte >= bytes) {
      tokens = worst_tokens_per_byte;
      bytes = 1;
    }
    worse_tokens_ = tokens;
    worse_bytes_ = bytes;
  }

  token_count worse_tokens_ = 0;  // of the answer that showed a worse tokenizer; 0: none did
  token_count worse_bytes_ = 1;
  detail::most_seen template_;
  detail::most_seen image_;
  std::int64_t answers_seen_ = 0;
  std::int64_t image_answers_ = 0;
  detail::overrun_watch overruns_;
  template_allowance allowed_ = template_allowance::until_answered;
};

static_assert(estimation_policy<prompt_bound>);

}  // namespace felix::inline v1
