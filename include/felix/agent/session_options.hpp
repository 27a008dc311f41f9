// SPDX-License-Identifier: MIT
// agent: how a session runs.
#pragma once

#include <felix/agent/memory.hpp>
#include <felix/agent/prompt_optimiser.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/agent/spawn_advisor.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/adaptive.hpp>
#include <felix/budget/any_estimator.hpp>
#include <felix/budget/model_capacity.hpp>
#include <felix/budget/price.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/llm/chat_request.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace felix::inline v1 {

/// Which stage begins when, and what it reads.
enum class session_schedule : unsigned char {
  lockstep,  ///< what `window` says, whatever ends first: a run can be repeated bit for bit, at any limit
  eager  ///< a free slot takes the first stage whose agent is not at work, which reads all that was published by then
};

struct session_options {
  std::uint64_t seed = 0;        ///< of spawn times, velocities and each request
  double simulation_time = 1.0;  ///< logical time; the last tick is this / 0.05. Above 0
  session_schedule schedule = session_schedule::lockstep;
  std::size_t window = 8;            ///< in lockstep stage k builds on what stages up to k - window found; at least 1
  std::size_t slots = 4;             ///< eager: requests in flight, as many as the model takes at once; at least 1
  double accepted_confidence = 0.8;  ///< a synthesis this good ends the team's work
  std::function<void(const session_event&)> on_event = {};  ///< on the loop's thread; must not throw
  /// The same for each piece of text as it comes. Parts of the final text are written side by side; what is asked for once
  /// more after a failure comes from its beginning again.
  std::function<void(const session_delta&)> on_delta = {};
  any_estimator estimator = {};  ///< of prompts; it learns in the order of the stages, from what the window lets it see
  /// Asks a server how many tokens a prompt has, before each request, for an estimator that goes by that
  /// (counted_estimator). When it fails, the estimator does without.
  std::function<task<prompt_count>(chat_request)> count = {};
  /// Of the run in all, within the budget. From the soft line on no stage begins, and the final text, within what is left,
  /// hands back what there is. A limit of time makes a run depend on the clock.
  run_limits limits = {};
  /// What the model costs: for limits, and for scopes around the budget that have a cap in money.
  std::optional<model_price> price = {};
  /// Instead of each role's share of the cap: stages that have brought little confidence for their tokens are left out, for
  /// those that bring more. To go on from a former session: `.adaptive = adaptive_allotment{former.learned}`.
  std::optional<adaptive_allotment> adaptive = {};
  /// What is known of the task goes into prompts, where findings leave room; what the team finds is remembered at the end.
  std::optional<memory_ref> memory = {};
  /// Agents are added while the team is unsure, contradicts itself or misses something: spawn_advisor says when. Off by
  /// default. What a new agent spends is within its role's share, and what others leave of theirs.
  std::optional<spawn_options> spawning = {};
  /// Chooses among the prompts of roles that have several (with_variants). Off by default. To go on from a former session:
  /// `.prompts = prompt_optimiser{former.prompts}`.
  std::optional<prompt_optimiser> prompts = {};
  model_capacity capacity = {};  ///< no answer is asked for that the model has no room or no time for
};

}  // namespace felix::inline v1
