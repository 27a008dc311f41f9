// SPDX-License-Identifier: MIT
// How urgent a request is: the four levels that every queue of felix knows.
#pragma once

#include <cstddef>
#include <string_view>

namespace felix::inline v1 {

/// Who goes first when a slot is freed: the highest level, and within one whoever came first.
enum class request_priority : unsigned char { low, normal, high, urgent };

inline constexpr std::size_t request_priority_levels = 4;

[[nodiscard]] constexpr std::string_view to_string(request_priority priority) noexcept {
  switch (priority) {
    case request_priority::low: return "low";
    case request_priority::normal: return "normal";
    case request_priority::high: return "high";
    case request_priority::urgent: return "urgent";
  }
  return "unknown";
}

}  // namespace felix::inline v1
