// SPDX-License-Identifier: MIT
// budget: later stages of an agent get a smaller share.
#pragma once

#include <concepts>

namespace felix::inline v1 {

/// What a later call of the same agent gets: its share of the stage maximum at `stage`, counted from 1. Pure and
/// noexcept, because the ledger asks in the middle of a reservation.
template <class T>
concept taper_policy = std::copyable<T> && requires(const T& taper, int stage) {
  { taper(stage) } noexcept -> std::same_as<double>;
};

/// The guide's: stages 1 and 2 get all, 3 and 4 three quarters, later ones half.
struct strict_taper {
  [[nodiscard]] constexpr double operator()(int stage) const noexcept {
    return stage <= 2 ? 1.0 : stage <= 4 ? 0.75 : 0.5;
  }
};

/// Every stage gets all.
struct no_taper {
  [[nodiscard]] constexpr double operator()(int) const noexcept { return 1.0; }
};

static_assert(taper_policy<strict_taper> && strict_taper{}(2) == 1.0 && strict_taper{}(3) == 0.75 &&
              strict_taper{}(5) == 0.5);
static_assert(taper_policy<no_taper>);

}  // namespace felix::inline v1
