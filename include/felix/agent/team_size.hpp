// SPDX-License-Identifier: MIT
// agent: how many agents a task is worth.
#pragma once

#include <felix/usage.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace felix::inline v1 {

/// What a team may grow to.
struct team_limits {
  std::size_t max_agents = 15;
  token_count tokens = 10'000;         ///< of the whole team
  token_count tokens_per_agent = 800;  ///< what one of them takes; at least 1
};

/// From 3 agents for a simple task to 10 for a complex one (`complexity` 0 to 1), up to 3 more while the team is unsure, one
/// fewer while it is very sure (`confidence` 0 to 1), within the limits, and at least 1.
[[nodiscard]] inline std::size_t team_size(double complexity, double confidence, const team_limits& limits = {}) {
  // Toward zero, but what is a whole number on paper is one here: 5 * (0.7 - 0.3) is 1.9999999999999998 in binary.
  const auto whole = [](double value) { return static_cast<token_count>(value + std::copysign(1e-9, value)); };
  const auto share = [](double value) { return value > 0 ? std::min(value, 1.0) : 0.0; };  // NaN is none
  const token_count base = whole(std::fma(7.0, share(complexity), 3.0));
  const token_count more = whole(5 * (0.7 - share(confidence)));
  const token_count paid = std::max<token_count>(0, limits.tokens) / std::max<token_count>(1, limits.tokens_per_agent);
  const std::size_t most = std::min(static_cast<std::size_t>(paid), limits.max_agents);
  return std::max<std::size_t>(1, std::min(static_cast<std::size_t>(base + more), most));
}

}  // namespace felix::inline v1
