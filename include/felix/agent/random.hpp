// SPDX-License-Identifier: MIT
// agent: seeds that depend on no order.
#pragma once

#include <felix/random.hpp>

#include <cstdint>
#include <string_view>

namespace felix::inline v1 {

namespace detail {

constexpr std::uint64_t fnv1a(std::string_view bytes) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

}  // namespace detail

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
