// SPDX-License-Identifier: MIT
// agent: how far an agent of a session is.
#pragma once

#include <string_view>

namespace felix::inline v1 {

enum class agent_state : unsigned char {
  waiting,    ///< for its spawn tick, or for what it needs to begin
  spawning,   ///< its first request is on its way
  active,     ///< it has answered
  completed,  ///< it is at the bottom of the helix
  failed      ///< a request failed for good; it takes part no longer
};

[[nodiscard]] constexpr std::string_view to_string(agent_state state) noexcept {
  switch (state) {
    case agent_state::waiting: return "waiting";
    case agent_state::spawning: return "spawning";
    case agent_state::active: return "active";
    case agent_state::completed: return "completed";
    case agent_state::failed: return "failed";
  }
  return "unknown";
}

}  // namespace felix::inline v1
