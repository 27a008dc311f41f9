// SPDX-License-Identifier: MIT
// agent: who writes the final text, in how many parts, and what it may cost.
#pragma once

#include <felix/agent/detail/crew.hpp>
#include <felix/agent/detail/running_stage.hpp>
#include <felix/agent/detail/session_funds.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/agent/role.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/model_capacity.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/llm/prompt_size_of.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// Set aside for at the start of a session, written at its end.
class final_text {
 public:
  /// All are referred to. `share` is the role's of the cap. Every synthesis agent writes a part, as long as the smallest
  /// parts fit into the share; one always does.
  final_text(const crew& agents, session_funds& funds, const std::string& task, const std::string& known,
             token_count share)
      : agents_{agents},
        funds_{funds},
        style_{funds.budget().is_hard() ? prompt_style::strict : prompt_style::normal},
        task_{task},
        known_{known},
        share_{share} {
    for (std::size_t i = 0; i < agents.size(); ++i) {
      if (agents.is_writer(i)) writers_.push_back(i);
    }
    parts_ = writers_.size();
    while (parts_ > 1 && smallest() > share) --parts_;
  }

  /// Planned: the synthesis' share, or more if the smallest text needs more. Worst case, and money: the smallest text of
  /// each part, without findings.
  [[nodiscard]] session_funds::aside_cost cost() const {
    const auto parts = static_cast<token_count>(parts_);
    const token_count prompt = funds_.at_most(size_with(0)), answer = funds_.least_answer();
    return {.planned = std::max(share_, smallest()),
            .worst = parts * (prompt + answer),
            .nano_cost = parts * funds_.cost_at_most(prompt, answer)};
  }

  /// The writers of the parts, in the team's order: the deepest ones that have not failed, if any has not.
  [[nodiscard]] std::vector<std::size_t> writers() const {
    std::vector<std::size_t> chosen = writers_;
    const auto before = [this](std::size_t a, std::size_t b) {
      const bool a_failed = agents_[a].state == agent_state::failed;
      const bool b_failed = agents_[b].state == agent_state::failed;
      if (a_failed != b_failed) return b_failed;
      const double a_depth = agents_[a].motion.depth(), b_depth = agents_[b].motion.depth();
      return a_depth != b_depth ? a_depth > b_depth : a < b;
    };
    std::sort(chosen.begin(), chosen.end(), before);
    chosen.resize(std::min(chosen.size(), parts_));
    std::sort(chosen.begin(), chosen.end());
    return chosen;
  }

  /// Takes one of `parts` equal parts of what is left, with as many findings, of stages before `readable`, as leave room
  /// for a text of decent length.
  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  [[nodiscard]] task<bool> reserve(running_stage& part, std::size_t parts, std::size_t readable,
                                   model_capacity capacity) {
    const token_count room = funds_.room_for_part(parts);
    const token_count least = funds_.least_answer();
    const token_count decent =
        std::max(least, std::min(most_tokens(), funds_.budget().allotment_of(roles::synthesis.name).stage_max_tokens));
    const agent& writer = agents_[part.member].agent;
    token_count answer = 0;
    for (std::size_t bytes = findings_bytes();; bytes /= 2) {
      brief asked = about(part.member, agents_.findings_for(part.member, readable, bytes));
      asked.known = known_beside(known_, asked.findings, bytes);
      agents_.choose_prompt(part.member, asked);
      co_await funds_.prepare(part, writer, std::move(asked));
      const token_count prompt = funds_.budget().is_hard() ? funds_.at_most(part.size) : part.planned_prompt;
      answer = std::min(capacity.answer_tokens(most_tokens(), prompt), room - prompt);
      if (answer >= decent || bytes == 0) break;
      if (bytes < smallest_findings) bytes = 0;  // halved, it stays 0: a last try without any
    }
    if (answer < least) co_return false;
    bool paid = funds_.reserve_part(part, writer, answer);
    if (!paid) {  // for want of money, in a scope around the budget: then as little as was set aside
      brief smallest_part = about(part.member, {});
      co_await funds_.prepare(part, writer, std::move(smallest_part));
      paid = funds_.reserve_part(part, writer, least);
    }
    part.request.priority(request_priority::urgent);
    co_return paid;
  }

 private:
  [[nodiscard]] brief about(std::size_t member, std::string findings) const {
    const agent& who = agents_[member].agent;
    return {.task = task_,
            .focus = who.focus(),
            .findings = std::move(findings),
            .depth = 1.0,
            .stage = who.stages() + 1,
            .max_tokens = most_tokens(),
            .style = style_,
            .final_text = true,
            .part = parts_ > 1 ? who.focus() : std::string{}};
  }
  /// As much as an agent of the role gets in all: a text one would publish, not a paragraph. Two parts get two thirds
  /// of it each, and so on.
  [[nodiscard]] token_count most_tokens() const {
    const token_count base = funds_.budget().allotment_of(roles::synthesis.name).base_tokens;
    return std::max(2 * base / (1 + static_cast<token_count>(parts_)), funds_.least_answer());
  }
  /// Several parts share the room for findings.
  [[nodiscard]] std::size_t findings_bytes() const {
    return limits_of(style_).final_findings_bytes / std::max<std::size_t>(1, parts_);
  }
  [[nodiscard]] prompt_size size_with(std::size_t bytes) const {
    const std::size_t writer = writers_.front();
    return prompt_size_of(agents_[writer].agent.request_for(about(writer, std::string(bytes, 'x'))));
  }
  [[nodiscard]] token_count smallest() const {
    return static_cast<token_count>(parts_) * (funds_.planned(size_with(findings_bytes())) + funds_.least_answer());
  }

  static constexpr std::size_t smallest_findings = 50;  // bytes; fewer say nothing

  const crew& agents_;
  session_funds& funds_;
  const prompt_style style_;
  const std::string& task_;
  const std::string& known_;
  const token_count share_;
  std::vector<std::size_t> writers_;
  std::size_t parts_ = 1;
};

}  // namespace detail
}  // namespace felix::inline v1
