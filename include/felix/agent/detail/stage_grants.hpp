// SPDX-License-Identifier: MIT
// agent: how many tokens a stage of the team gets.
#pragma once

#include <felix/agent/detail/crew.hpp>
#include <felix/agent/detail/running_stage.hpp>
#include <felix/agent/detail/session_funds.hpp>
#include <felix/agent/detail/stage_plan.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/agent/session_options.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/adaptive.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// What kept a stage from getting its tokens.
enum class shortage : unsigned char { none, of_agent, of_role, of_session, of_worth, of_capacity };

[[nodiscard]] constexpr const char* to_text(shortage missing) noexcept {
  switch (missing) {
    case shortage::none: break;
    case shortage::of_agent: return "the agent has used its allotment";
    case shortage::of_role: return "its role has used its share of the cap";
    case shortage::of_session: return "the session's cap leaves no room";
    case shortage::of_worth: return "what is left goes to stages that have brought more";
    case shortage::of_capacity: return "the model has no room or no time for an answer";
  }
  return "";
}

/// How much each stage gets: what its agent's allotment, its role's share and the session's cap leave, or with an adaptive
/// allotment, instead of the share, what it is worth.
class stage_grants {
 public:
  /// All are referred to.
  stage_grants(const crew& agents, std::vector<planned_stage>& stages, session_funds& funds,
               const session_options& options, const std::string& task, const std::string& known)
      : agents_{agents},
        stages_{stages},
        funds_{funds},
        capacity_{options.capacity},
        style_{funds.budget().is_hard() ? prompt_style::strict : prompt_style::normal},
        task_{task},
        known_{known},
        shares_{agents.members(), stages, funds.budget()},
        adaptive_{options.adaptive} {
    shares_.set_aside(roles::synthesis.name);
    for (std::size_t k = 0; k < stages.size(); ++k) by_member_[stages[k].member].push_back(k);
    for (std::size_t i = 0; i < agents.size(); ++i) {
      counted_[i] = by_member_[i].size();
      has_moved(i);
    }
  }

  /// Of the final text.
  [[nodiscard]] token_count share_of_final_text() const { return shares_.share_of(roles::synthesis.name); }
  /// What has been learned of the worth of stages.
  [[nodiscard]] std::vector<call_record> learned() const {
    return adaptive_ ? adaptive_->learned() : std::vector<call_record>{};
  }

  /// One stage more, of an agent that may be new: from `where` on the others count one further. None of them has begun.
  void insert(std::size_t where, const planned_stage& added) {
    for (auto& its : by_member_) {
      for (auto& k : its) k += k >= where ? 1U : 0U;
    }
    by_member_.resize(agents_.size());
    counted_.resize(agents_.size());
    auto& its = by_member_[added.member];
    its.insert(std::upper_bound(its.begin(), its.end(), where), where);
    has_begun_.insert(has_begun_.begin() + static_cast<std::ptrdiff_t>(where), false);
    stages_.insert(stages_.begin() + static_cast<std::ptrdiff_t>(where), added);
    has_moved(added.member);
  }

  /// The stage is at hand: whatever becomes of it, it is no longer one of those to come.
  void begin(std::size_t k) {
    has_begun_[k] = true;
    has_moved(stages_[k].member);
  }
  /// An agent is faster or slower now, or has failed: what it will not do any more is there for the others.
  void has_moved(std::size_t member) {
    const auto may_come = [this](std::size_t k) { return may_still_come(k); };
    const auto& its = by_member_[member];
    const auto count = static_cast<std::size_t>(std::count_if(its.begin(), its.end(), may_come));
    shares_.change_stages_left(agents_.role_of(member),
                               static_cast<token_count>(count) - static_cast<token_count>(counted_[member]));
    counted_[member] = count;
  }

  /// No stage of this role is planned to cost more.
  [[nodiscard]] token_count dearest(const role_id& kind) const {
    return funds_.planned(longest_prompt()) + funds_.budget().allotment_of(kind).stage_max_tokens;
  }

  /// Whether a stage is worth its tokens, and how many.
  [[nodiscard]] shortage judge(running_stage& stage) {
    if (!adaptive_) return shortage::none;
    const call_funding funding = adaptive_->fund(calls_from(stage), funds_.left_for_stages());
    stage.kind = funding.kind;
    stage.most_tokens = funding.tokens;
    if (funding.tokens > 0) return shortage::none;
    return funding.reason == funding_reason::too_dear ? shortage::of_session : shortage::of_worth;
  }

  /// Writes the stage's request, with findings of stages before `readable`, and tries to get the tokens for it. A stage of
  /// which something is left out gets less than it would, but at least the smallest answer.
  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  [[nodiscard]] task<shortage> reserve(running_stage& stage, std::size_t readable, reservation_size size,
                                       std::chrono::nanoseconds time_left) {
    std::size_t findings_bytes = limits_of(style_).findings_bytes;
    for (;;) {
      const shortage missing = co_await reserve(stage, readable, size, time_left, findings_bytes);
      if (missing == shortage::none || size == reservation_size::whole || findings_bytes == 0) co_return missing;
      findings_bytes = findings_bytes / 2 < smallest_findings ? 0 : findings_bytes / 2;
    }
  }

  /// It is left out.
  void drop(const running_stage& stage) {
    if (adaptive_ && stage.kind) adaptive_->skipped(*stage.kind);
  }
  /// It was charged more, or less, than was planned for it.
  void charge(const running_stage& stage, token_count difference) {
    shares_.add(agents_.role_of(stage.member), difference);
  }
  void learn(const running_stage& stage, double confidence_gained, token_count tokens) {
    if (adaptive_ && stage.kind) adaptive_->learn(*stage.kind, confidence_gained, tokens);
  }

 private:
  template <class = void>
  [[nodiscard]] task<shortage> reserve(running_stage& stage, std::size_t readable, reservation_size size,
                                       std::chrono::nanoseconds time_left, std::size_t findings_bytes) {
    const worker& who = agents_[stage.member];
    const role_id& kind = agents_.role_of(stage.member);
    const int number = who.agent.stages() + 1;
    const token_count given = funds_.budget().stage_tokens(who.agent.id(), kind, number);
    if (given == 0) co_return shortage::of_agent;
    const token_count worth = std::min(given, stage.most_tokens.value_or(given));
    brief about{.task = task_,
                .focus = who.agent.focus(),
                .findings = agents_.findings_for(stage.member, readable, findings_bytes),
                .depth = who.motion.depth(),
                .stage = number,
                .max_tokens = worth,
                .style = style_};
    about.known = known_beside(known_, about.findings, findings_bytes);
    agents_.choose_prompt(stage.member, about);
    co_await funds_.prepare(stage, who.agent, std::move(about));
    const token_count least = std::min(worth, funds_.least_answer());
    const token_count possible = capacity_.answer_tokens(worth, stage.planned_prompt, time_left);
    if (possible < least) co_return shortage::of_capacity;
    const token_count wanted = std::min(possible, who.most_tokens - who.usage.total_tokens - stage.planned_prompt);
    if (wanted < least) co_return shortage::of_agent;
    const token_count answer = std::min(wanted, room_for(kind) - stage.planned_prompt);
    if (answer < (size == reservation_size::whole ? wanted : funds_.least_answer())) co_return shortage::of_role;
    if (!funds_.reserve(stage, who.agent, answer, size)) co_return shortage::of_session;
    // Strict runs are short and all of one urgency; in others an agent's late stages give way to the first of others.
    const bool late = number > 4;
    stage.request.priority(style_ == prompt_style::strict ? request_priority::high
                           : late                         ? request_priority::low
                                                          : request_priority::normal);
    shares_.add(kind, stage.planned());
    if (adaptive_ && stage.kind) adaptive_->started(*stage.kind);
    co_return shortage::none;
  }

  [[nodiscard]] token_count room_for(const role_id& kind) const {
    if (adaptive_) return funds_.budget().options().session_cap_tokens;
    return shares_.room(kind, [this](const role_id& other) { return dearest(other); });
  }

  /// Unless its agent changes its speed.
  [[nodiscard]] bool may_still_come(std::size_t k) const {
    const worker& who = agents_[stages_[k].member];
    if (has_begun_[k] || who.state == agent_state::failed) return false;
    helix_motion motion = who.motion;
    motion.advance_to(stages_[k].tick);
    return !motion.completed();
  }

  /// The stage, and all that may follow it.
  [[nodiscard]] std::vector<possible_call> calls_from(const running_stage& stage) const {
    const token_count prompt = funds_.planned(longest_prompt());
    std::vector<possible_call> calls;
    std::map<std::size_t, int> numbers;  // of the agents' next stages
    const auto add = [&](const planned_stage& planned) {
      const worker& who = agents_[planned.member];
      helix_motion motion = who.motion;
      motion.advance_to(planned.tick);
      const int number = who.agent.stages() + static_cast<int>(who.in_flight.size()) + ++numbers[planned.member];
      const role_id& kind = agents_.role_of(planned.member);
      const token_count tokens =
          capacity_.answer_tokens(funds_.budget().stage_tokens(who.agent.id(), kind, number), prompt);
      calls.push_back({.role = kind,
                       .depth = motion.depth(),
                       .base_tokens = tokens,
                       .prompt_tokens = prompt,
                       .min_tokens = funds_.least_answer(),
                       .max_tokens = tokens});
    };
    add(stages_[stage.index]);
    for (std::size_t k = 0; k < stages_.size(); ++k) {
      if (k != stage.index && may_still_come(k)) add(stages_[k]);
    }
    return calls;
  }

  [[nodiscard]] prompt_size longest_prompt() const {
    const prompt_limits limits = limits_of(style_);
    prompt_size size;
    size.bytes = static_cast<token_count>(limits.system_bytes + limits.findings_bytes + task_.size() + 32);
    size.text_bound = size.bytes;
    size.messages = 2;
    return size;
  }

  static constexpr std::size_t smallest_findings = 50;  // bytes; fewer say nothing

  const crew& agents_;
  std::vector<planned_stage>& stages_;
  session_funds& funds_;
  const model_capacity capacity_;
  const prompt_style style_;
  const std::string& task_;
  const std::string& known_;
  std::vector<std::vector<std::size_t>> by_member_ = std::vector<std::vector<std::size_t>>(agents_.size());
  std::vector<std::size_t> counted_ = std::vector<std::size_t>(agents_.size());  // of these, those that may still come
  std::vector<bool> has_begun_ = std::vector<bool>(stages_.size());
  role_shares shares_;
  std::optional<adaptive_allotment> adaptive_;
};

}  // namespace detail
}  // namespace felix::inline v1
