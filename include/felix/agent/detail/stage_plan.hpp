// SPDX-License-Identifier: MIT
// agent: which agent works at which tick, and what share of the cap each role has.
#pragma once

#include <felix/agent/motion.hpp>
#include <felix/agent/team.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// One stage of one agent, by its index in the team.
struct planned_stage {
  std::size_t member = 0;
  tick_count tick = 0;
};

/// Ticks between two stages of an agent.
inline constexpr tick_count stage_ticks = 4;

/// The last tick of a run. Numbers such as 0.3 are not a whole number of ticks in binary: a hair more is the same.
[[nodiscard]] inline tick_count last_tick(double simulation_time) {
  return static_cast<tick_count>(std::floor(simulation_time / tick_length + 1e-6));
}

/// The tick at which an agent spawns: rounded up, and earlier in proportion in a run shorter than 1.
[[nodiscard]] inline tick_count spawn_tick(double spawn_time, double simulation_time) {
  const double scaled = spawn_time * std::min(1.0, simulation_time) / tick_length;
  return std::min(static_cast<tick_count>(std::ceil(scaled - 1e-6)), last_tick(simulation_time));
}

/// The one order of a run's stages: by tick, then by the agent's place in the team.
[[nodiscard]] inline bool is_before(const planned_stage& a, const planned_stage& b) noexcept {
  return std::tie(a.tick, a.member) < std::tie(b.tick, b.member);
}

/// Those of one agent.
[[nodiscard]] inline std::vector<planned_stage> stages_of(const std::vector<team_member>& members, std::size_t member,
                                                          double simulation_time) {
  std::vector<planned_stage> stages;
  const tick_count last = last_tick(simulation_time);
  for (tick_count tick = spawn_tick(members[member].spawn_time, simulation_time); tick <= last; tick += stage_ticks)
    stages.push_back({member, tick});
  return stages;
}

/// All stages of a run, in order.
[[nodiscard]] inline std::vector<planned_stage> stage_order(const std::vector<team_member>& members,
                                                            double simulation_time) {
  std::vector<planned_stage> stages;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto its = stages_of(members, i, simulation_time);
    stages.insert(stages.end(), its.begin(), its.end());
  }
  std::sort(stages.begin(), stages.end(), is_before);
  return stages;
}

/// Each role's share of the session's cap: its base budget times its agents. What a role can no longer use, because its
/// remaining stages cannot cost so much, is a pool for the others.
class role_shares {
 public:
  role_shares(const std::vector<team_member>& members, const std::vector<planned_stage>& stages, const ledger& budget) {
    token_count sum = 0;
    for (const auto& member : members) {
      const token_count base = budget.allotment_of(member.role.name).base_tokens;
      roles_[member.role.name].share += base;
      sum += base;
    }
    // cap * share / sum, without a product that may overflow.
    const token_count cap = budget.options().session_cap_tokens;
    for (auto& [name, role] : roles_) role.share = sum > 0 ? cap / sum * role.share + cap % sum * role.share / sum : 0;
    for (const auto& stage : stages) ++roles_[members[stage.member].role.name].stages_left;
  }

  [[nodiscard]] token_count share_of(const role_id& name) const {
    const auto found = roles_.find(name);
    return found != roles_.end() ? found->second.share : 0;
  }
  /// Takes a share out of the pool's reach: it is set aside for the final text.
  void set_aside(const role_id& name) { roles_[name].aside = true; }

  /// What a stage of `name` may cost at most, given that no stage of any role costs more than `dearest` tells.
  template <class Dearest>
  [[nodiscard]] token_count room(const role_id& name, Dearest&& dearest) const {
    token_count own = 0;
    token_count pool = 0;
    for (const auto& [other, role] : roles_) {
      const token_count rest = (role.aside ? 0 : role.share) - role.used;
      if (other == name) {
        own = std::max<token_count>(0, rest);
        pool -= std::max<token_count>(0, -rest);
      } else if (rest < 0) {
        pool += rest;  // it has drawn on the pool
      } else {
        pool += std::max<token_count>(0, rest - role.stages_left * dearest(other));
      }
    }
    return own + std::max<token_count>(0, pool);
  }

  /// So many more, or fewer, stages of the role may still come.
  void change_stages_left(const role_id& name, token_count difference) { roles_[name].stages_left += difference; }
  void add(const role_id& name, token_count tokens) { roles_[name].used += tokens; }

 private:
  struct account {
    token_count share = 0;
    token_count used = 0;  // settled, and reserved as planned
    token_count stages_left = 0;
    bool aside = false;
  };
  std::map<role_id, account> roles_;
};

}  // namespace detail
}  // namespace felix::inline v1
