// SPDX-License-Identifier: MIT
// budget: what answers have shown to be the most, kept twice as long as it may still rise.
#pragma once

#include <felix/usage.hpp>

namespace felix::inline v1 {
namespace detail {

/// The most tokens that something took, by the answers so far: a template, an image. Cost: two numbers.
class most_seen {
 public:
  static constexpr int agreement = 8;

  /// True: it is more than any before.
  constexpr bool learn(token_count tokens) noexcept {
    const bool raised = tokens > most_;
    if (raised) {
      most_ = tokens;
      agreeing_ = 0;
    } else if (agreeing_ < agreement) {
      ++agreeing_;
    }
    return raised;
  }

  /// Never below 0.
  [[nodiscard]] constexpr token_count most() const noexcept { return most_; }
  /// What to keep: twice the most, until eight answers in a row did not raise it.
  [[nodiscard]] constexpr token_count to_keep() const noexcept { return agreeing_ < agreement ? 2 * most_ : most_; }

 private:
  token_count most_ = 0;
  int agreeing_ = 0;  // answers since the last that raised most_, counted up to `agreement`
};

}  // namespace detail
}  // namespace felix::inline v1
