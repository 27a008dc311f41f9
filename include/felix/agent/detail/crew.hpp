// SPDX-License-Identifier: MIT
// agent: the agents of a session, and how far each of them is.
#pragma once

#include <felix/agent/agent.hpp>
#include <felix/agent/central_post.hpp>
#include <felix/agent/detail/stage_plan.hpp>
#include <felix/agent/findings.hpp>
#include <felix/agent/motion.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/agent/prompt_optimiser.hpp>
#include <felix/agent/role.hpp>
#include <felix/agent/session_options.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/agent/spawn_advisor.hpp>
#include <felix/agent/team.hpp>
#include <felix/llm/model.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// An agent at work.
struct worker {
  felix::agent agent;
  helix_motion motion;
  agent_state state = agent_state::waiting;
  int stages = 0;  // answers
  double best_confidence = 0;
  token_usage usage = {};
  std::vector<std::size_t> in_flight = {};  // its stages that are not part of the view, by index
  token_count most_tokens = std::numeric_limits<token_count>::max();  // of one that was added
  std::optional<spawn_reason> added_for = {};
};

/// What is known from former sessions, as far as findings leave room for it.
[[nodiscard]] inline std::string known_beside(const std::string& known, const std::string& findings,
                                              std::size_t max_bytes) {
  constexpr std::size_t heading = 8;       // "Known:" and two line breaks
  constexpr std::size_t least_bytes = 60;  // fewer say nothing
  if (findings.size() + heading + least_bytes > max_bytes) return {};
  std::string fits = known.substr(0, max_bytes - findings.size() - heading);
  if (fits.size() < known.size()) fits.resize(std::min(fits.size(), fits.rfind('\n') + 1));  // whole lines
  while (!fits.empty() && fits.back() == '\n') fits.pop_back();
  return fits;
}

/// The agents of a session by their place in the team, and the post between them.
class crew {
 public:
  /// A team without a synthesis agent gets one that writes the final text and nothing else.
  crew(model_ref llm, const team& who, const session_options& options)
      : llm_{llm},
        seed_{options.seed},
        simulation_time_{options.simulation_time},
        members_{who.draw(options.seed)},
        prompts_{options.prompts} {
    if (std::none_of(members_.begin(), members_.end(), [](const auto& member) { return writes(member); })) {
      members_.push_back({.id = "synthesis_001", .role = roles::synthesis, .spawn_time = 1});
      last_resort_ = members_.size() - 1;
    }
    const std::size_t most = options.spawning ? options.spawning->max_agents : 0;
    post_.emplace(central_post_options{.max_agents = std::max(most, members_.size())});
    for (const auto& member : members_) employ(member);
  }
  crew(crew&&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return workers_.size(); }
  [[nodiscard]] worker& operator[](std::size_t i) { return workers_[i]; }
  [[nodiscard]] const worker& operator[](std::size_t i) const { return workers_[i]; }
  [[nodiscard]] const std::vector<team_member>& members() const noexcept { return members_; }
  [[nodiscard]] const role_id& role_of(std::size_t i) const { return members_[i].role.name; }
  [[nodiscard]] bool is_writer(std::size_t i) const { return writes(members_[i]); }
  [[nodiscard]] central_post& post() noexcept { return *post_; }
  [[nodiscard]] const central_post& post() const noexcept { return *post_; }

  /// The team's stages in their order.
  [[nodiscard]] std::vector<planned_stage> stages() const {
    auto all = stage_order(members_, simulation_time_);
    std::erase_if(all, [this](const planned_stage& stage) { return stage.member == last_resort_; });
    return all;
  }

  /// One agent more, and its stages.
  std::vector<planned_stage> add(const spawn_advice& advice) {
    members_.push_back(*advice.member);
    employ(members_.back());
    workers_.back().most_tokens = advice.tokens;
    workers_.back().added_for = advice.reason;
    return stages_of(members_, members_.size() - 1, simulation_time_);
  }

  /// Which prompts the roles with several use; none: the first.
  [[nodiscard]] std::optional<prompt_optimiser>& prompts() noexcept { return prompts_; }
  void choose_prompt(std::size_t member, brief& about) const {
    if (prompts_) about.variant = prompts_->choose(members_[member].role, about);
  }

  /// What the agent gets to read, of those that its role reads, of the stages before `readable`.
  [[nodiscard]] std::string findings_for(std::size_t reader, std::size_t readable, std::size_t max_bytes) const {
    const felix::agent& who = workers_[reader].agent;
    return findings_text(post_->messages(), max_bytes, [&](const post_message& message) {
      return message.order < readable && message.from != who.id() && who.role().reads_from(message.role);
    });
  }

  [[nodiscard]] std::vector<agent_report> reports() const {
    std::vector<agent_report> all;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      all.push_back({.id = members_[i].id,
                     .role = members_[i].role.name,
                     .focus = members_[i].focus,
                     .spawn_time = members_[i].spawn_time,
                     .stages = workers_[i].stages,
                     .usage = workers_[i].usage,
                     .state = workers_[i].state,
                     .added_for = workers_[i].added_for});
    }
    return all;
  }

 private:
  static bool writes(const team_member& member) { return member.role.name == roles::synthesis.name; }

  void employ(const team_member& member) {
    workers_.push_back(
        {.agent = felix::agent{llm_, member.role, {.id = member.id, .focus = member.focus, .seed = seed_}},
         .motion = helix_motion{spawn_tick(member.spawn_time, simulation_time_), member.velocity}});
    post_->register_agent(member.id);
  }

  const model_ref llm_;
  const std::uint64_t seed_;
  const double simulation_time_;
  std::vector<team_member> members_;
  std::optional<prompt_optimiser> prompts_;
  std::optional<std::size_t> last_resort_;  // the member that only writes the final text
  std::deque<worker> workers_;              // beside members_
  std::optional<central_post> post_;
};

}  // namespace detail
}  // namespace felix::inline v1
