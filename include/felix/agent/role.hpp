// SPDX-License-Identifier: MIT
// agent: what kind of work an agent does: data and one function.
#pragma once

#include <felix/agent/compression.hpp>
#include <felix/agent/confidence.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace felix::inline v1 {

/// Falls from `high` at the top of the helix to `low` at the bottom.
struct temperature_range {
  double low = 0.1;
  double high = 0.9;

  [[nodiscard]] constexpr double at(double depth) const noexcept {
    return std::clamp(low + (high - low) * (1.0 - depth), std::min(low, high), std::max(low, high));
  }
};

/// A role. Users add theirs as they need them:
///     const felix::role translator{.name = "translator", .temperature = {0.2, 0.4},
///                                  .prompt = [](const felix::brief& b) { return "Translate into French: " + b.task; }};
struct role {
  role_id name = "general";
  temperature_range temperature = {};
  std::function<std::string(const brief&)> prompt = prompts::general;  ///< the system message of a stage
  confidence_curve confidence = {.base = 0.3, .span = 0.4, .cap = 0.7};
  std::vector<role_id> reads = {};  ///< whose findings it gets to read; empty: everybody's
  compression_curve compression = {};
  std::size_t variants = 1;  ///< prompts that `prompt` has, by brief::variant (with_variants)

  operator role_id() const noexcept { return name; }
  [[nodiscard]] bool reads_from(const role_id& other) const {
    return reads.empty() || std::find(reads.begin(), reads.end(), other) != reads.end();
  }
};

/// The four roles of a team.
namespace roles {

inline const role research{.name = "research",
                           .temperature = {.low = 0.4, .high = 0.9},
                           .prompt = prompts::research,
                           .confidence = {.base = 0.3, .span = 0.3, .cap = 0.6},
                           .compression = {.base = 0.7}};
inline const role analysis{.name = "analysis",
                           .temperature = {.low = 0.2, .high = 0.7},
                           .prompt = prompts::analysis,
                           .confidence = {.base = 0.4, .span = 0.3, .cap = 0.7},
                           .reads = {"research", "critic"},
                           .compression = {.base = 0.5, .span = 0.2}};
inline const role critic{.name = "critic",
                         .temperature = {.low = 0.1, .high = 0.6},
                         .prompt = prompts::critic,
                         .confidence = {.base = 0.5, .span = 0.3, .cap = 0.8},
                         .reads = {"research", "analysis", "synthesis"},
                         .compression = {.base = 0.8}};
inline const role synthesis{.name = "synthesis",
                            .temperature = {.low = 0.1, .high = 0.5},
                            .prompt = prompts::synthesis,
                            .confidence = {.base = 0.6, .span = 0.35, .cap = 0.95},
                            .compression = {.base = 0.1, .span = 0.2, .per_stage = 0.02, .most_stages = 0.1}};

}  // namespace roles
}  // namespace felix::inline v1
