// SPDX-License-Identifier: MIT
// agent: what an agent is asked to do.
#pragma once

#include <felix/error.hpp>
#include <felix/priority.hpp>
#include <felix/usage.hpp>

#include <string>
#include <utility>

namespace felix::inline v1 {

/// What an agent is asked to do. Built fluently; a plain text will do.
class agent_task {
 public:
  agent_task(std::string text) : text_{std::move(text)} {}
  agent_task(const char* text) : text_{text} {}

  agent_task& priority(request_priority level) & {
    priority_ = level;
    return *this;
  }
  agent_task priority(request_priority level) && { return std::move(priority(level)); }
  /// Where on the helix: 0 broad to 1 focused.
  agent_task& at(double depth) & {
    if (!(depth >= 0 && depth <= 1))
      throw error{errc::invalid_argument, "agent_task: depth is " + std::to_string(depth) + "; use 0 to 1"};
    depth_ = depth;
    return *this;
  }
  agent_task at(double depth) && { return std::move(at(depth)); }
  /// What others found, to build on.
  agent_task& findings(std::string text) & {
    findings_ = std::move(text);
    return *this;
  }
  agent_task findings(std::string text) && { return std::move(findings(std::move(text))); }
  /// The most tokens of the answer, at least 1; without it there is no limit.
  agent_task& max_tokens(token_count tokens) & {
    if (tokens < 1)
      throw error{errc::invalid_argument, "agent_task: max_tokens is " + std::to_string(tokens) +
                                              "; ask for at least 1, or do not give the task"};
    max_tokens_ = tokens;
    return *this;
  }
  agent_task max_tokens(token_count tokens) && { return std::move(max_tokens(tokens)); }

 private:
  friend class agent;
  std::string text_, findings_;
  request_priority priority_ = request_priority::normal;
  double depth_ = 0;
  token_count max_tokens_ = 0;  // 0: none was given
};

}  // namespace felix::inline v1
