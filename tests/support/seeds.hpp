// SPDX-License-Identifier: MIT
// Tests: orders that a seed decides.
#pragma once

#include <felix/random.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace felix::test {

/// A permutation of `steps`: the same for the same seed, everywhere.
inline std::string shuffled(std::string steps, std::uint64_t seed) {
  felix::seeded_random random{seed};
  for (std::size_t i = steps.size(); i > 1; --i)
    std::swap(steps[i - 1], steps[static_cast<std::size_t>(random.next() % i)]);
  return steps;
}

}  // namespace felix::test
