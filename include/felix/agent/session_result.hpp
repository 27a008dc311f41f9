// SPDX-License-Identifier: MIT
// agent: what happens in a session while it runs, and what it has brought.
#pragma once

#include <felix/agent/agent_state.hpp>
#include <felix/agent/contribution.hpp>
#include <felix/agent/motion.hpp>
#include <felix/agent/post_message.hpp>
#include <felix/agent/prompt_optimiser.hpp>
#include <felix/agent/spawn_advisor.hpp>
#include <felix/budget/adaptive.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/telemetry/timeline.hpp>
#include <felix/usage.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace felix::inline v1 {

/// What happens in a session, for whoever shows it.
struct session_event {
  enum class kind : unsigned char {
    stage_started,
    stage_ended,
    stage_failed,   ///< the agent takes part no longer
    stage_dropped,  ///< no tokens were left for it, or no time; `message` says whose
    agent_added,    ///< one more, `message` says why (session_options::spawning)
    accepted,       ///< a synthesis was good enough: the team's work ends
    final_started,
    final_ended,
    final_failed
  };
  kind what = kind::stage_started;
  agent_id agent = {};
  role_id role = {};
  int stage = 0;
  tick_count tick = 0;
  token_count tokens = 0;    ///< of an answer, prompt included
  double confidence = 0;     ///< of an answer
  std::string message = {};  ///< of a failure, or why a stage was dropped
};

/// A piece of an answer that is being written.
struct session_delta {
  agent_id agent = {};
  role_id role = {};
  int stage = 0;
  bool final_text = false;
  std::string_view text = {};  ///< for as long as the call lasts
};

/// An agent of a session, afterwards.
struct agent_report {
  agent_id id = {};
  role_id role = {};
  std::string focus = {};
  double spawn_time = 0;
  int stages = 0;  ///< answers, the final text included
  token_usage usage = {};
  agent_state state = agent_state::waiting;
  std::optional<spawn_reason> added_for = {};  ///< of one that was not there from the beginning
};

/// What a session has brought.
struct session_result {
  session_result() = default;  // declared: g++ 12 destroys a temporary aggregate of a co_await twice

  std::string task = {};
  std::string final_text = {};           ///< empty until there is any text
  bool complete = false;                 ///< the final text is what it was meant to be; else it is the best text so far
  bool accepted = false;                 ///< a synthesis ended the team's work early
  std::optional<run_end> ended_by = {};  ///< the limit that ended the team's work early (session_options::limits)
  std::vector<contribution> contributions = {};  ///< in the order of the stages, the final text's parts last
  std::vector<post_message> messages = {};
  std::vector<agent_report> agents = {};
  token_usage usage = {};  ///< of all answers
  int requests = 0;        ///< sent, whatever came of them
  int failed = 0;
  int dropped = 0;  ///< stages that no tokens were left for, or no time
  std::vector<request_span> timeline = {};
  std::size_t remembered = 0;                 ///< findings that were new to session_options::memory
  std::string memory_failure = {};            ///< why not all could be remembered; empty: they were
  std::vector<call_record> learned = {};      ///< of the worth of stages, with session_options::adaptive
  std::vector<prompt_record> prompts = {};    ///< of the worth of prompts, with session_options::prompts
  std::chrono::nanoseconds team_duration{0};  ///< from the first request to the beginning of the final text
  std::chrono::nanoseconds duration{0};       ///< from the first request to the end
};

}  // namespace felix::inline v1
