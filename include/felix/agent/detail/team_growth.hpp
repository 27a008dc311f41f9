// SPDX-License-Identifier: MIT
// agent: agents that a session adds while it runs.
#pragma once

#include <felix/agent/detail/crew.hpp>
#include <felix/agent/detail/session_funds.hpp>
#include <felix/agent/detail/stage_plan.hpp>
#include <felix/agent/motion.hpp>
#include <felix/agent/session_options.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/agent/spawn_advisor.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// Follows what spawn_advisor makes of the answers, in the order of the view.
class team_growth {
 public:
  /// All are referred to.
  team_growth(crew& agents, session_funds& funds, const session_options& options, const session_result& result)
      : agents_{agents}, funds_{funds}, options_{options}, result_{result} {}
  team_growth(team_growth&&) = delete;

  /// The stages of one agent more, after the tick `now`, if one would help. Of the same answers it is asked once.
  std::vector<planned_stage> advise(tick_count now) {
    if (!options_.spawning || !has_learned()) return {};
    const spawn_advice advice = advisor_->advise(
        {.team = agents_.members(), .now = now, .tokens_left = std::max<token_count>(0, funds_.left_for_stages())});
    if (!advice.member) return {};
    advisor_->added(advice);
    auto stages = agents_.add(advice);
    if (options_.on_event)
      options_.on_event({.what = session_event::kind::agent_added,
                         .agent = advice.member->id,
                         .role = advice.member->role.name,
                         .tick = advice.tick,
                         .message = std::string{to_text(advice.reason)}});
    return stages;
  }

 private:
  /// From what has become part of the view since the last time. False: nothing has.
  bool has_learned() {
    if (!advisor_) advisor_.emplace(result_.task, options_.simulation_time, options_.seed, *options_.spawning);
    const std::size_t before = seen_;
    for (; seen_ < result_.contributions.size(); ++seen_) {
      const contribution& made = result_.contributions[seen_];
      const auto& team = agents_.members();
      const auto who = std::find_if(team.begin(), team.end(), [&](const auto& each) { return each.id == made.agent; });
      advisor_->learn(made, who->role.confidence);
    }
    return seen_ > before;
  }

  crew& agents_;
  session_funds& funds_;
  const session_options& options_;
  const session_result& result_;
  std::optional<spawn_advisor> advisor_;  // made when the task is known
  std::size_t seen_ = 0;                  // contributions
};

}  // namespace detail
}  // namespace felix::inline v1
