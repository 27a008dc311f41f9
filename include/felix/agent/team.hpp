// SPDX-License-Identifier: MIT
// agent: who works together, and when each of them starts.
#pragma once

#include <felix/agent/prompt.hpp>
#include <felix/agent/random.hpp>
#include <felix/agent/role.hpp>
#include <felix/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// When the agents of a group spawn: each draws a time from it, in logical time from 0 to 1.
struct spawn_range {
  double from = 0.0;
  double to = 0.5;
};

struct member_options {
  spawn_range spawn = {};
  std::vector<std::string> focus = {};  ///< of the first, the second, …; the last is used again
};

/// One agent to be.
struct team_member {
  agent_id id = {};
  felix::role role = {};
  std::string focus = {};
  double spawn_time = 0;  ///< in logical time, 0 to 1
  double velocity = 1;    ///< along the helix, per unit of logical time
};

namespace detail {

/// "research_001"
[[nodiscard]] inline agent_id member_id(const role_id& role, std::uint64_t number) {
  std::string digits = std::to_string(number);
  digits.insert(0, digits.size() < 3 ? 3 - digits.size() : 0, '0');
  return std::string{role.name()} + "_" + digits;
}

}  // namespace detail

/// Groups of agents.
///     auto team = felix::team{}.add(translator, 2).add(felix::roles::synthesis, 1, {.spawn = {0.7, 0.9}});
/// A value: add() changes a named team, and gives a new one from a temporary.
class team {
 public:
  team() = default;

  /// Throws error (invalid_option) for no agents, a range that is not inside 0 to 1, a role without a name or prompt.
  team& add(role who, std::size_t count, member_options options = {}) & {
    const auto refused = [&](const std::string& why) {
      return error{errc::invalid_option, "team: role \"" + std::string{who.name.name()} + "\": " + why};
    };
    if (who.name.empty()) throw refused("has no name; set role::name");
    if (who.name.name().size() > role_id::max_bytes - 4) throw refused("is longer than 27 bytes, agents' names add 4");
    if (!who.prompt) throw refused("has no prompt; set role::prompt");
    if (count < 1 || count > 999) throw refused("count is " + std::to_string(count) + "; use 1 to 999");
    if (!(options.spawn.from >= 0 && options.spawn.from <= options.spawn.to && options.spawn.to <= 1))
      throw refused("spawn has to be a range inside 0 to 1, such as {0.2, 0.7}");
    groups_.push_back({std::move(who), count, std::move(options)});
    return *this;
  }
  team add(role who, std::size_t count, member_options options = {}) && {
    return std::move(add(std::move(who), count, std::move(options)));
  }

  /// All agents of the role are told this instead. False: there are none.
  bool set_prompt(const role_id& name, const std::function<std::string(const brief&)>& prompt) {
    bool found = false;
    for (auto& each : groups_) {
      if (each.who.name != name) continue;
      each.who.prompt = prompt;
      each.who.variants = 1;
      found = true;
    }
    return found;
  }

  /// All agents of the role of that name have this one instead. False: there are none.
  ///     who.set_role(felix::with_variants(felix::roles::research, {"Be brief.", "Check your facts."}));
  /// Throws error (invalid_option) for a role without a prompt.
  bool set_role(const role& changed) {
    if (!changed.prompt)
      throw error{errc::invalid_option, "team: role \"" + std::string{changed.name.name()} + "\": has no prompt"};
    bool found = false;
    for (auto& each : groups_) {
      if (each.who.name != changed.name) continue;
      each.who = changed;
      found = true;
    }
    return found;
  }

  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t sum = 0;
    for (const auto& each : groups_) sum += each.count;
    return sum;
  }

  /// The agents of one run, in the order of the groups: research_001, research_002, … Spawn times and velocities
  /// (0.7 to 1.3) depend on the seed, the agent's role and its number, and on nothing else; within a group spawn times
  /// are in order.
  [[nodiscard]] std::vector<team_member> draw(std::uint64_t seed) const {
    std::vector<team_member> members;
    std::map<role_id, std::uint64_t> numbers;
    for (const auto& each : groups_) {
      std::vector<double> times;
      const std::size_t first = members.size();
      for (std::size_t i = 0; i < each.count; ++i) {
        const std::uint64_t number = ++numbers[each.who.name];
        seeded_random random{derive_seed(seed, each.who.name.name(), number)};
        const auto& focus = each.options.focus;
        times.push_back(random.uniform(each.options.spawn.from, each.options.spawn.to));
        members.push_back({.id = detail::member_id(each.who.name, number),
                           .role = each.who,
                           .focus = focus.empty() ? std::string{} : focus[std::min(i, focus.size() - 1)],
                           .velocity = random.uniform(0.7, 1.3)});
      }
      std::sort(times.begin(), times.end());
      for (std::size_t i = 0; i < times.size(); ++i) members[first + i].spawn_time = times[i];
    }
    return members;
  }

 private:
  struct group {
    role who;
    std::size_t count;
    member_options options;
  };
  std::vector<group> groups_;
};

/// The teams of the guide.
namespace teams {

/// One researcher, one analyst, one writer.
[[nodiscard]] inline team simple() {
  return team{}
      .add(roles::research, 1, {.spawn = {0.05, 0.25}, .focus = {"general"}})
      .add(roles::analysis, 1, {.spawn = {0.30, 0.70}, .focus = {"general"}})
      .add(roles::synthesis, 1, {.spawn = {0.70, 0.95}, .focus = {"general"}});
}

/// Six agents, with a critic.
[[nodiscard]] inline team medium() {
  return team{}
      .add(roles::research, 2, {.spawn = {0.02, 0.20}, .focus = {"general", "technical"}})
      .add(roles::analysis, 2, {.spawn = {0.25, 0.65}, .focus = {"general", "critical"}})
      .add(roles::critic, 1, {.spawn = {0.60, 0.80}, .focus = {"accuracy"}})
      .add(roles::synthesis, 1, {.spawn = {0.80, 0.95}, .focus = {"general"}});
}

/// Ten agents, two of them writers: a report and an executive summary.
[[nodiscard]] inline team complex() {
  return team{}
      .add(roles::research, 3, {.spawn = {0.01, 0.25}, .focus = {"general", "technical", "creative"}})
      .add(roles::analysis, 3, {.spawn = {0.20, 0.70}, .focus = {"general", "technical", "critical"}})
      .add(roles::critic, 2, {.spawn = {0.60, 0.80}, .focus = {"accuracy", "completeness"}})
      .add(roles::synthesis, 2, {.spawn = {0.80, 0.98}, .focus = {"report", "executive summary"}});
}

}  // namespace teams
}  // namespace felix::inline v1
