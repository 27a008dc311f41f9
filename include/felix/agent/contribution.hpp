// SPDX-License-Identifier: MIT
// agent: what an agent gives back.
#pragma once

#include <felix/agent/motion.hpp>
#include <felix/agent/tool_loop.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/usage.hpp>

#include <string>
#include <vector>

namespace felix::inline v1 {

/// What an agent gives back.
struct contribution {
  contribution() = default;  // declared: g++ 12 destroys awaited aggregates twice, and publish() takes one

  agent_id agent = {};
  role_id role = {};
  std::string text = {};
  int stage = 1;
  double depth = 0;
  double confidence = 0;  ///< 0 to 1, by the role's curve and the text's quality
  token_usage usage = {};
  felix::finish_reason finish_reason = felix::finish_reason::stop;
  tick_count tick = 0;      ///< logical time of the stage, in a session
  bool final_text = false;  ///< a part of a session's result
  std::vector<tool_call_record> tool_calls = {};
  tool_loop_end tools_ended_by = tool_loop_end::answered;  ///< why no more tools were called
};

}  // namespace felix::inline v1
