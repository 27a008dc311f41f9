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

/// What one turn of a client gave, in nanoseconds.
struct request_turn {
  double wall = 0, cpu = 0;  // a request (or a chunk), of the clock and of the client's own threads
  double p50 = 0, p99 = 0;   // from sending to the whole answer
};

}  // namespace bench
