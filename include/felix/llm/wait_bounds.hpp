// SPDX-License-Identifier: MIT
// llm: how many requests may wait at a limit, and for how long.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>

namespace felix::inline v1 {

/// Who may wait for a slot, or for what a minute allows, and for how long. By default everyone does, as long as it takes.
struct wait_bounds {
  static constexpr std::size_t no_bound = std::numeric_limits<std::size_t>::max();
  /// The most requests that wait at once; the next one is refused with `queue_full`. 0: nobody waits.
  std::size_t max_waiting = no_bound;
  /// The longest that one waits before it is refused with `queue_full`.
  std::chrono::nanoseconds max_wait = std::chrono::nanoseconds::max();
};

}  // namespace felix::inline v1
