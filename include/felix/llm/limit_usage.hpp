// SPDX-License-Identifier: MIT
// llm: what a limit has done.
#pragma once

#include <felix/async/priority_semaphore.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/telemetry/histogram.hpp>

#include <cstdint>

namespace felix::inline v1 {

/// What a limit has done, for those that use it through one model.
struct limit_usage {
  limit_status slots = {};      ///< when shared, of all who share the limit, or its group
  std::uint64_t admitted = 0;   ///< got a slot
  std::uint64_t refused = 0;    ///< found the queue full, or waited too long
  histogram waits = {};         ///< of those admitted; at once counts as 0
  rate_limit_status rate = {};  ///< requests and tokens per minute; infinite: not limited
};

}  // namespace felix::inline v1
