// SPDX-License-Identifier: MIT
// agent: random numbers that are the same on every platform, and seeds that depend on no order.
#pragma once

#include <cassert>
#include <cmath>
#include <cstdint>
#include <string_view>

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

constexpr std::uint64_t fnv1a(std::string_view bytes) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

}  // namespace detail

/// A small generator of our own: the distributions of the standard library differ between its implementations.
///     felix::seeded_random random{felix::derive_seed(seed, "research_001", 0)};
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

/// The seed of the `index`-th thing that `what` draws: for one agent, say, its stages. It depends on the three values
/// and nothing else. Two indices of one `what`, and two seeds with the same `what` and index, never give the same.
/// It is SplitMix64 three times over: m(m(m(seed) ^ FNV-1a(what)) ^ index), with m(x) the output for state x + step.
/// See: Fowler, Noll, Vo, "The FNV non-cryptographic hash algorithm" (FNV-1a, 64 bits).
[[nodiscard]] constexpr std::uint64_t derive_seed(std::uint64_t seed, std::string_view what,
                                                  std::uint64_t index) noexcept {
  const auto mixed = [](std::uint64_t x) { return detail::splitmix_output(x + detail::splitmix_step); };
  return mixed(mixed(mixed(seed) ^ detail::fnv1a(what)) ^ index);
}

}  // namespace felix::inline v1
