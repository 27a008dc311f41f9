// SPDX-License-Identifier: MIT
// Random numbers that are the same on every platform.
#pragma once

#include <cassert>
#include <cmath>
#include <cstdint>

namespace felix::inline v1 {

namespace detail {

// SplitMix64: the state goes up by the golden ratio (0x9E37…, odd, so that it visits every value), and Stafford's mixer
// number 13 makes an output of it. Both are bijections of 64 bits.
inline constexpr std::uint64_t splitmix_step = 0x9E3779B97F4A7C15U;

constexpr std::uint64_t splitmix_output(std::uint64_t state) noexcept {
  state = (state ^ (state >> 30U)) * 0xBF58476D1CE4E5B9U;
  state = (state ^ (state >> 27U)) * 0x94D049BB133111EBU;
  return state ^ (state >> 31U);
}

}  // namespace detail

/// A small generator of our own: the distributions of the standard library differ between its implementations.
///     felix::seeded_random random{42};
///     double velocity = random.uniform(0.7, 1.3);
/// Not for secrets. Threads: none of its own; the owner guards it.
/// See: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
class seeded_random {
 public:
  constexpr explicit seeded_random(std::uint64_t seed) noexcept : state_{seed} {}

  /// Uniform over all 64-bit numbers.
  constexpr std::uint64_t next() noexcept {
    state_ += detail::splitmix_step;
    return detail::splitmix_output(state_);
  }

  /// Uniform over [lo, hi) in steps of (hi − lo) / 2^53, or `lo` when both are equal. Always takes one number.
  double uniform(double lo, double hi) noexcept {
    assert(lo <= hi && std::isfinite(hi - lo) && "felix::seeded_random: uniform needs finite lo <= hi");
    const double share = static_cast<double>(next() >> 11U) * 0x1p-53;
    // fma: one rounding on every machine, where a + b * c would have one or two, as the compiler likes.
    const double value = std::fma(hi - lo, share, lo);
    return value < hi ? value : std::nextafter(hi, lo);  // a share near 1 may round up to hi
  }

 private:
  std::uint64_t state_;
};

}  // namespace felix::inline v1
