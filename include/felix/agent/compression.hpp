// SPDX-License-Identifier: MIT
// agent: how much shorter an agent is to make what others found.
#pragma once

#include <algorithm>

namespace felix::inline v1 {

/// The share of others' findings that an agent is told to leave out, by depth and stage: base + span * depth, and a little
/// more with each stage, up to 0.9.
struct compression_curve {
  static constexpr double highest = 0.9;

  double base = 0.5;
  double span = 0;
  double per_stage = 0.05;   ///< with each stage, from the first on,
  double most_stages = 0.2;  ///< and up to so much in all

  [[nodiscard]] constexpr double at(double depth, int stage) const noexcept {
    const double by_stage = std::min(std::max(0, stage) * per_stage, most_stages);
    return std::clamp(base + span * depth + by_stage, 0.0, highest);
  }
};

}  // namespace felix::inline v1
