// SPDX-License-Identifier: MIT
// benchmarks: what one repetition gave.
#pragma once

#include <array>

namespace bench {

/// What one repetition of a contender gave, in nanoseconds.
struct turn {
  double per_item = 0;
  std::array<double, 4> latency{};  // the 50th, 99th and 99.9th percentile, and the longest
};

}  // namespace bench
