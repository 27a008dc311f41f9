// SPDX-License-Identifier: MIT
// agent: what is published at the central post.
#pragma once

#include <felix/budget/role_id.hpp>
#include <felix/priority.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace felix::inline v1 {

enum class message_type : unsigned char {
  task_request,     ///< somebody wants work
  task_assignment,  ///< somebody is given work
  status_update,    ///< what an agent has found: the only ones that are kept, and that prompts are made of
  task_complete,
  error_report
};

[[nodiscard]] constexpr std::string_view to_string(message_type type) noexcept {
  switch (type) {
    case message_type::task_request: return "task_request";
    case message_type::task_assignment: return "task_assignment";
    case message_type::status_update: return "status_update";
    case message_type::task_complete: return "task_complete";
    case message_type::error_report: return "error_report";
  }
  return "unknown";
}

struct post_message {
  agent_id from = {};
  role_id role = {};
  message_type type = message_type::status_update;
  request_priority urgency = request_priority::normal;
  std::string text = {};  ///< of a contribution: on one line
  double confidence = 0;
  std::uint64_t order = 0;  ///< the publisher's place in the run: readers see an order that does not depend on timing
};

}  // namespace felix::inline v1
