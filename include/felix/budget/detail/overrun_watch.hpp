// SPDX-License-Identifier: MIT
// budget: whether a server has counted more than a bound lately.
#pragma once

namespace felix::inline v1 {
namespace detail {

/// After an answer that was above its bound, requests run one at a time until eight in a row were within.
class overrun_watch {
 public:
  static constexpr int to_fit = 8;

  constexpr void learn(bool within) noexcept {
    if (!within) {
      missing_ = to_fit;
    } else if (missing_ > 0) {
      --missing_;
    }
  }
  [[nodiscard]] constexpr bool one_at_a_time() const noexcept { return missing_ > 0; }

 private:
  int missing_ = 0;  // answers that must be within before requests run side by side again
};

}  // namespace detail
}  // namespace felix::inline v1
