// SPDX-License-Identifier: MIT
// agent: whether a team needs one more agent, of which role, when, and why.
#pragma once

#include <felix/agent/confidence_monitor.hpp>
#include <felix/agent/content_analysis.hpp>
#include <felix/agent/contribution.hpp>
#include <felix/agent/detail/stage_plan.hpp>
#include <felix/agent/motion.hpp>
#include <felix/agent/random.hpp>
#include <felix/agent/role.hpp>
#include <felix/agent/team.hpp>
#include <felix/agent/team_size.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Why an agent is added, or is not.
enum class spawn_reason : unsigned char {
  low_confidence,
  declining_confidence,
  fluctuating_confidence,
  contradictions,
  low_quality,
  complexity,
  gaps,
  missing_domain,
  shallow,            ///< few reasons are given
  nothing_missing,    ///< from here on nobody is added: the team needs nobody
  too_few_answers,    ///< fewer than three: nothing is known yet
  last_one_is_young,  ///< the agent added last has not had the time of one stage to help
  team_is_full,       ///< spawn_options::max_agents
  team_is_large,      ///< enough for a task like this, and for what is missing
  too_few_tokens,
  too_late  ///< it would spawn after the run's last tick
};

[[nodiscard]] constexpr std::string_view to_text(spawn_reason reason) noexcept {
  constexpr std::array<std::string_view, 16> texts{"confidence is low",
                                                   "confidence declines",
                                                   "confidence fluctuates",
                                                   "findings contradict each other",
                                                   "findings are of low quality",
                                                   "the matter is complex",
                                                   "findings have gaps",
                                                   "only one domain is covered",
                                                   "findings give few reasons",
                                                   "nothing is missing",
                                                   "too few answers to judge by",
                                                   "the agent added last has just begun",
                                                   "the team is full",
                                                   "the team is large enough",
                                                   "too few tokens are left",
                                                   "too late in the run"};
  static_assert(texts.size() == static_cast<std::size_t>(spawn_reason::too_late) + 1);
  return texts[static_cast<std::size_t>(reason)];
}

/// With fewer an agent has not even one stage.
inline constexpr token_count least_agent_tokens = 200;

/// What a new agent may take of the tokens that are left: what is usual for its role, else four fifths of what is left but at
/// least 200; 0 when not even those are left: no agent then.
[[nodiscard]] inline token_count new_agent_tokens(const role_id& role, token_count left) noexcept {
  token_count usual = 800;
  if (role == roles::research.name) usual = 1'000;
  if (role == roles::synthesis.name) usual = 1'200;
  if (role == roles::critic.name) usual = 600;
  if (left >= usual) return usual;
  return left >= least_agent_tokens ? std::max(least_agent_tokens, left * 4 / 5) : 0;
}

struct spawn_options {
  std::size_t max_agents = 15;  ///< of the team, the first ones included
  /// What may be added. Where the team has a role of the same name, it is the team's. Not "synthesis" by default: who writes
  /// the final text, and what is set aside for it, is settled before the first request.
  std::vector<role> may_add = {roles::critic, roles::research, roles::analysis};
};

/// Where the run is.
struct spawn_situation {
  std::span<const team_member> team = {};  ///< with those that were added
  tick_count now = 0;                      ///< of the last stage that has begun: new agents spawn after it
  token_count tokens_left = 0;             ///< of the budget, without what is reserved and set aside
};

/// Whether to add an agent.
struct spawn_advice {
  spawn_reason reason = spawn_reason::nothing_missing;
  std::optional<team_member> member = {};  ///< whom to add; none: nobody, for that reason
  tick_count tick = 0;                     ///< when it spawns; detail::spawn_tick of its spawn_time is the same
  token_count tokens = 0;                  ///< what it may take in all
  double priority = 0;                     ///< of the reason, 0 to 1
};

/// Decides whether one more agent helps: by the confidence of the answers and its trend, by contradictions, gaps and
/// complexity in what they say, and within the budget, the run's time and a limit to the team.
///     spawn_advisor advisor{task, simulation_time, seed};
///     advisor.learn(made, role.confidence);                      // each answer once, as the view gets to it
///     auto advice = advisor.advise({team, tick, tokens_left});
///     if (advice.member) { add(*advice.member); advisor.added(advice); }
/// Of several reasons the one with the highest priority holds; each time one is followed it counts for less. One agent is added
/// at a time, and has the time of a stage to help before the next one. A team grows to what the task is worth (team_size), or
/// by one agent for each reason there is, up to three, whichever is more.
/// A function of the task, the seed and what was learned and added, in that order: the same on every machine.
/// Threads: none of its own; the owner guards it. A value.
/// Cost:    advise reads the last ten answers.
class spawn_advisor {
 public:
  /// Throws error (invalid_option) for a simulation time of 0 or less, and for what a team would refuse as a role.
  spawn_advisor(std::string_view task, double simulation_time, std::uint64_t seed, spawn_options options = {})
      : options_{validated(std::move(options), simulation_time)},
        task_complexity_{analyse_content({&task, 1}).complexity},
        simulation_time_{simulation_time},
        seed_{seed} {}

  /// What an agent has published, and the curve of its role. How sure it is counts as a share of the role's cap: nobody has to
  /// help a researcher because it never gets above 0.6. Parts of the final text count for nothing.
  void learn(const contribution& made, const confidence_curve& curve) {
    if (made.final_text) return;
    const double share = curve.cap > 0 ? std::clamp(made.confidence / curve.cap, 0.0, 1.0) : 1;
    monitor_.add({.role = made.role, .depth = made.depth, .confidence = share, .tick = made.tick});
    texts_.push_back(made.text);
    if (texts_.size() > kept_texts) texts_.pop_front();
  }

  [[nodiscard]] inline spawn_advice advise(const spawn_situation& where) const;

  /// The advice was followed.
  void added(const spawn_advice& advice) {
    ++followed_[advice.reason];
    ++spawned_;
    last_tick_ = advice.tick;
  }

  [[nodiscard]] const confidence_monitor& confidence() const noexcept { return monitor_; }
  /// Agents added so far.
  [[nodiscard]] std::size_t spawned() const noexcept { return spawned_; }

 private:
  static constexpr std::size_t kept_texts = 10;
  static constexpr std::size_t least_answers = 3;
  static constexpr std::size_t most_for_reasons = 3;

  static spawn_options validated(spawn_options options, double simulation_time) {
    if (!(simulation_time > 0))
      throw error{errc::invalid_option, "spawn_advisor: simulation_time is " + detail::shortest(simulation_time) +
                                            "; use the session's, which is above 0"};
    for (const auto& each : options.may_add) (void)team{}.add(each, 1);
    return options;
  }

  struct candidate {
    spawn_reason reason;
    double priority;
    role_id role;
    std::string focus;
  };

  [[nodiscard]] inline std::vector<candidate> candidates(const content_analysis& content) const;
  [[nodiscard]] inline team_member member_of(const role_id& name, std::string focus,
                                             const spawn_situation& where) const;

  [[nodiscard]] bool may_add(const role_id& name) const {
    return std::any_of(options_.may_add.begin(), options_.may_add.end(),
                       [&](const role& each) { return each.name == name; });
  }
  [[nodiscard]] int times_followed(spawn_reason reason) const {
    const auto found = followed_.find(reason);
    return found != followed_.end() ? found->second : 0;
  }

  spawn_options options_;
  double task_complexity_;
  double simulation_time_;
  std::uint64_t seed_;
  confidence_monitor monitor_;
  std::deque<std::string> texts_;
  std::map<spawn_reason, int> followed_;
  std::size_t spawned_ = 0;
  std::optional<tick_count> last_tick_;  // at which the last one spawns
};

/// All that an agent might be added for, if its role may.
inline std::vector<spawn_advisor::candidate> spawn_advisor::candidates(const content_analysis& content) const {
  std::vector<candidate> all;
  const auto propose = [&](spawn_reason reason, double priority, const role& who, std::string_view focus) {
    if (!may_add(who.name)) return;
    all.push_back({reason, priority / (1 + times_followed(reason)), who.name, std::string{focus}});
  };
  if (monitor_.is_worrying()) {
    const double sure = monitor_.mean();
    const confidence_trend trend = monitor_.trend();
    if (sure < confidence_monitor::low) {
      propose(spawn_reason::low_confidence, 1 - sure, roles::critic, "general");
    } else if (trend == confidence_trend::declining) {
      // The next in line works on what the weakest role has brought; a critic, if that role may not be added.
      const auto weakest = monitor_.weakest_role();
      const bool is_research = weakest == roles::research.name && may_add(roles::analysis);
      const bool is_analysis = weakest == roles::analysis.name && may_add(roles::synthesis);
      const role& next = is_research ? roles::analysis : is_analysis ? roles::synthesis : roles::critic;
      propose(spawn_reason::declining_confidence, 1 - sure, next, "general");
    } else {
      propose(spawn_reason::fluctuating_confidence, 1 - sure, roles::critic, "general");
    }
  }
  if (content.contradictions > 0) propose(spawn_reason::contradictions, 0.8, roles::critic, "contradictions");
  if (content.is_poor()) {
    const bool has_writers = may_add(roles::synthesis);
    propose(spawn_reason::low_quality, 0.7, has_writers ? roles::synthesis : roles::critic, "quality");
  }
  if (content.is_complex())
    propose(spawn_reason::complexity, content.complexity > 0.7 ? 0.7 : 0.5, roles::analysis, "complexity");
  if (content.gaps > 0) propose(spawn_reason::gaps, 0.5, roles::research, "gaps");
  if (!content.missing_domains.empty()) {
    const auto next = static_cast<std::size_t>(times_followed(spawn_reason::missing_domain));
    propose(spawn_reason::missing_domain, 0.5, roles::research,
            content.missing_domains[std::min(next, content.missing_domains.size() - 1)]);
  }
  if (content.is_shallow()) propose(spawn_reason::shallow, 0.5, roles::analysis, "reasons");
  return all;
}

/// The agent that the team would have had next of that role: its number and velocity.
inline team_member spawn_advisor::member_of(const role_id& name, std::string focus,
                                            const spawn_situation& where) const {
  std::uint64_t number = 1;
  team_member added{.role = *std::find_if(options_.may_add.begin(), options_.may_add.end(),
                                          [&](const role& each) { return each.name == name; }),
                    .focus = std::move(focus)};
  for (const auto& member : where.team) {
    if (member.role.name != name) continue;
    if (number++ == 1) added.role = member.role;
  }
  seeded_random random{derive_seed(seed_, name.name(), number)};
  (void)random.uniform(0, 1);  // the spawn time, which the team draws first
  added.id = detail::member_id(name, number);
  added.velocity = random.uniform(0.7, 1.3);
  return added;
}

/// Agents that confidence calls for spawn 1 to 4 ticks later, others 2 to 6.
inline spawn_advice spawn_advisor::advise(const spawn_situation& where) const {
  const auto nobody = [](spawn_reason why) { return spawn_advice{.reason = why}; };
  const tick_count last = detail::last_tick(simulation_time_);
  // First what needs no text to be read: it is asked after each stage.
  if (monitor_.size() < least_answers) return nobody(spawn_reason::too_few_answers);
  if (where.now >= last) return nobody(spawn_reason::too_late);
  if (last_tick_ && where.now < *last_tick_ + detail::stage_ticks) return nobody(spawn_reason::last_one_is_young);
  if (where.team.size() >= options_.max_agents) return nobody(spawn_reason::team_is_full);
  if (where.tokens_left < least_agent_tokens) return nobody(spawn_reason::too_few_tokens);

  const std::vector<std::string_view> texts{texts_.begin(), texts_.end()};
  content_analysis content = analyse_content(texts);
  content.complexity = std::max(content.complexity, task_complexity_);
  const auto all = candidates(content);
  // Of equals the first.
  const auto best = std::max_element(all.begin(), all.end(),
                                     [](const candidate& a, const candidate& b) { return a.priority < b.priority; });
  if (best == all.end()) return nobody(spawn_reason::nothing_missing);

  // That the next one can be paid is known, so tokens do not limit the size. Whatever the task is worth, each reason is worth
  // one agent more than the team began with.
  const team_limits limits{.max_agents = options_.max_agents, .tokens = std::numeric_limits<token_count>::max()};
  const std::size_t first = where.team.size() - std::min(spawned_, where.team.size());
  const std::size_t worth =
      std::max(team_size(content.complexity, monitor_.mean(), limits), first + std::min(most_for_reasons, all.size()));
  if (where.team.size() >= worth) return nobody(spawn_reason::team_is_large);

  const bool is_urgent = best->reason <= spawn_reason::fluctuating_confidence;
  const tick_count soonest = is_urgent ? 1 : 2;
  const tick_count latest = is_urgent ? 4 : 6;
  if (where.now + soonest > last) return nobody(spawn_reason::too_late);
  seeded_random random{derive_seed(seed_, "spawn", spawned_)};
  const auto delay =
      static_cast<tick_count>(random.uniform(static_cast<double>(soonest), static_cast<double>(latest + 1)));

  spawn_advice advice{.reason = best->reason,
                      .member = member_of(best->role, best->focus, where),
                      .tick = std::min(where.now + delay, last),
                      .tokens = new_agent_tokens(best->role, where.tokens_left),
                      .priority = best->priority};
  // In a run shorter than 1, spawn times are shortened in proportion: the other way round here.
  advice.member->spawn_time = static_cast<double>(advice.tick) * tick_length / std::min(1.0, simulation_time_);
  return advice;
}

}  // namespace felix::inline v1
