// SPDX-License-Identifier: MIT
// budget: plans by the tokens per byte of the last answers, with a confidence that is stated.
#pragma once

#include <felix/budget/detail/last_ratios.hpp>
#include <felix/budget/estimation.hpp>
#include <felix/budget/prompt_bound.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace felix::inline v1 {

/// Plans with the tokens per byte that 99 of 100 prompts do not exceed, by the last 64 answers to text of the same kind;
/// with the bound before 8 of them.
///     felix::calibrated_estimator estimator;
///     auto planned = estimator.planned(size);                         // estimator.at_most(size) is what to reserve
///     estimator.confidence(size).statement();                         // "confidence 99 % for text like the last 64"
/// The confidence holds for text like that of the answers, and no further: when a tenth of the prompts is of another
/// script or is code, 5 to 6 % are above, hence the kinds. For planning, never for a promise.
/// Threads: none of its own; the owner guards it. Cost: a kilobyte, copied freely.
class calibrated_estimator {
 public:
  /// What the templates of known models take: between 3 and 6. What one takes more or less is in the ratio.
  static constexpr token_count usual_template_per_message = 5;
  static constexpr double share = 0.99;

  calibrated_estimator() noexcept = default;
  explicit calibrated_estimator(prompt_bound bound) noexcept : bound_{bound} {}

  [[nodiscard]] token_count planned(const prompt_size& size) const noexcept {
    const token_count bound = at_most(size);
    const detail::last_ratios& ratios = like(size);
    if (ratios.count() < detail::last_ratios::enough) return bound;
    const double text = std::ceil(ratios.upper() * static_cast<double>(std::max<token_count>(0, size.bytes)));
    if (text >= static_cast<double>(bound)) return bound;
    return std::min(bound, static_cast<token_count>(text) + usual_template_per_message * size.messages +
                               bound_.planned_images(size));
  }
  [[nodiscard]] token_count at_most(const prompt_size& size) const noexcept { return bound_.at_most(size); }

  void learn(const prompt_size& size, token_count prompt_tokens) noexcept {
    bound_.learn(size, prompt_tokens);
    if (prompt_tokens <= 0 || size.bytes <= 0 || size.images > 0) return;
    kinds_[index(size)].learn(prompt_tokens - usual_template_per_message * size.messages, size.bytes);
  }

  /// 99 %, and the number of answers to text of this kind; 100 % where the plan is the bound.
  [[nodiscard]] estimate_confidence confidence(const prompt_size& size) const noexcept {
    if (planned(size) == at_most(size)) return {.share = 1};
    return {.share = share, .answers = static_cast<int>(like(size).count())};
  }
  [[nodiscard]] bool one_at_a_time() const noexcept { return bound_.one_at_a_time(); }
  [[nodiscard]] std::int64_t answers_seen() const noexcept { return bound_.answers_seen(); }

 private:
  static std::size_t index(const prompt_size& size) noexcept { return static_cast<std::size_t>(size.kind()); }
  [[nodiscard]] const detail::last_ratios& like(const prompt_size& size) const noexcept { return kinds_[index(size)]; }

  prompt_bound bound_;
  std::array<detail::last_ratios, 3> kinds_;  // by text_kind
};

static_assert(estimation_policy<calibrated_estimator>);

}  // namespace felix::inline v1
