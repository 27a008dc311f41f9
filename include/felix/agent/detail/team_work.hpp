// SPDX-License-Identifier: MIT
// agent: the work of a team up to the final text: which stage begins when, and what it may read.
#pragma once

#include <felix/agent/detail/crew.hpp>
#include <felix/agent/detail/final_text.hpp>
#include <felix/agent/detail/running_stage.hpp>
#include <felix/agent/detail/session_funds.hpp>
#include <felix/agent/detail/stage_grants.hpp>
#include <felix/agent/detail/stage_plan.hpp>
#include <felix/agent/detail/stage_runner.hpp>
#include <felix/agent/detail/team_growth.hpp>
#include <felix/agent/session_options.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/role_id.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <set>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// Stages are planned one after the other, and run side by side.
class team_work {
 public:
  /// All are referred to.
  team_work(crew& agents, const std::vector<planned_stage>& stages, session_funds& funds, stage_grants& grants,
            stage_runner& runner, team_growth& growth, const session_options& options, session_result& result)
      : agents_{agents},
        planned_{stages},
        funds_{funds},
        grants_{grants},
        runner_{runner},
        growth_{growth},
        options_{options},
        result_{result} {}
  team_work(team_work&&) = delete;

  /// Ends when all of its stages are part of the view.
  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  task<void> run(nursery& running, const final_text& text) {
    text_ = &text;
    if (options_.schedule == session_schedule::eager) {
      co_await run_eagerly(running);
    } else {
      co_await run_in_lockstep(running);
    }
  }

  /// All stages before this one have been planned.
  [[nodiscard]] std::size_t readable() const { return stages_.empty() ? 0 : highest_ + 1; }

  /// Charges what is left when the session ends in the middle.
  void finish() {
    for (auto& stage : stages_) {
      if (!stage.settled && stage.reservation) runner_.account(stage);
    }
  }

 private:
  // --- What both have in common ---

  /// Whether the team's work ends before this stage.
  [[nodiscard]] bool is_over_before(const planned_stage& next) {
    if (result_.accepted) return true;
    // With all that is in flight, another stage might not leave enough for the final text.
    if (funds_.is_before_soft_line(grants_.dearest(agents_.role_of(next.member)))) return false;
    result_.ended_by = funds_.reason();
    return true;
  }

  /// Whether its agent still works at its tick.
  bool moves_on_to(const planned_stage& next) {
    worker& who = agents_[next.member];
    if (who.state == agent_state::failed) return false;
    who.motion.advance_to(next.tick);
    if (who.motion.completed()) who.state = agent_state::completed;
    return who.state != agent_state::completed;
  }

  /// Adds an agent if one more would help, and its stages at their places in the order: none has begun from `first` on.
  void grow(tick_count now, std::size_t first) {
    for (const planned_stage& added : growth_.advise(now)) {
      const auto from = planned_.begin() + static_cast<std::ptrdiff_t>(first);
      const auto at = std::upper_bound(from, planned_.end(), added, is_before);
      grants_.insert(static_cast<std::size_t>(at - planned_.begin()), added);
    }
  }

  running_stage& add(std::size_t k) {
    running_stage& stage = stages_.emplace_back();
    stage.member = planned_[k].member;
    stage.index = k;
    stage.tick = planned_[k].tick;
    return stage;
  }
  void drop_last(shortage missing) {
    runner_.drop(stages_.back(), to_text(missing));
    stages_.pop_back();
  }
  void set_off(running_stage& stage) {
    worker& who = agents_[stage.member];
    if (who.state == agent_state::waiting) who.state = agent_state::spawning;
    who.in_flight.push_back(stage.index);
    highest_ = std::max(highest_, stage.index);
  }

  // --- In lockstep: stage k reads and learns from the stages up to k - window, whatever runs in between ---

  template <class = void>
  task<void> run_in_lockstep(nursery& running) {
    for (std::size_t k = 0; k < planned_.size(); ++k) {
      if (k >= options_.window) co_await view_up_to(k - options_.window);
      if (k > 0) grow(planned_[k - 1].tick, k);
      const worker& who = agents_[planned_[k].member];
      while (!who.in_flight.empty()) co_await settle(stage_at(who.in_flight.front()));
      if (is_over_before(planned_[k])) break;
      grants_.begin(k);
      if (moves_on_to(planned_[k])) co_await start(running, k);
    }
    if (!stages_.empty()) co_await view_up_to(stages_.back().index);
  }

  /// Reserves tokens for a stage and sends it off, or drops it.
  template <class = void>
  task<void> start(nursery& running, std::size_t k) {
    std::size_t readable = k >= options_.window ? k - options_.window + 1 : 0;  // the stages before this one
    running_stage& stage = add(k);
    shortage missing = grants_.judge(stage);
    if (missing != shortage::none) co_return drop_last(missing);
    for (;;) {
      while (funds_.one_at_a_time() && &stages_[first_open_] != &stage) {
        running_stage& before = stages_[first_open_];
        readable = std::max(readable, before.index + 1);
        co_await settle(before);
      }
      funds_.resize_aside(text_->cost());
      const auto time_left = funds_.time_left(co_await this_task::now(), false);
      missing = co_await grants_.reserve(stage, readable, reservation_size::whole, time_left);
      if (missing == shortage::none) break;
      running_stage* const next = first_that_may_help(stage, missing);
      if (next == nullptr) {
        const shortage still = co_await grants_.reserve(stage, readable, reservation_size::what_is_left, time_left);
        if (still == shortage::none) break;
        co_return drop_last(missing);
      }
      readable = std::max(readable, next->index + 1);
      co_await settle(*next);
    }
    set_off(stage);
    running.spawn(runner_.ask(stage));
  }

  /// The stage to settle next while a stage waits for tokens: the first in the order, as long as there is one in flight
  /// that can give back what is missing. An agent's own stages are settled before, and a role's share grows only with
  /// that role's.
  running_stage* first_that_may_help(const running_stage& waiting, shortage missing) {
    const role_id& kind = agents_.role_of(waiting.member);
    for (std::size_t i = first_open_; i < stages_.size() && &stages_[i] != &waiting; ++i) {
      const bool helps = missing == shortage::of_session ||
                         (missing == shortage::of_role && agents_.role_of(stages_[i].member) == kind);
      if (helps && !stages_[i].settled) return &stages_[first_open_];
    }
    return nullptr;
  }

  /// Makes the stages up to `last` part of the view, in order.
  template <class = void>
  task<void> view_up_to(std::size_t last) {
    while (first_open_ < stages_.size() && stages_[first_open_].index <= last) co_await settle(stages_[first_open_]);
  }
  template <class = void>
  task<void> settle(running_stage& stage) {
    co_await runner_.settle(stage);
    while (first_open_ < stages_.size() && stages_[first_open_].settled) ++first_open_;
  }
  [[nodiscard]] running_stage& stage_at(std::size_t index) {
    return *std::lower_bound(stages_.begin(), stages_.end(), index,
                             [](const running_stage& stage, std::size_t value) { return stage.index < value; });
  }

  // --- Eagerly: a free slot takes the first stage whose agent is not at work ---

  template <class = void>
  task<void> run_eagerly(nursery& running) {
    for (std::size_t k = 0; k < planned_.size(); ++k) waiting_.push_back(k);
    bool is_over = false;
    while (!is_over && !waiting_.empty()) {
      grow_at_the_end();
      bool started = false;
      const bool has_slot = in_flight_ < (funds_.one_at_a_time() ? 1 : options_.slots);
      if (has_slot) {
        const auto time_left = funds_.time_left(co_await this_task::now(), false);
        const bool goes_on = co_await start_first(running, time_left, started);
        is_over = !goes_on;
      }
      if (!is_over && !started && in_flight_ > 0) co_await settle_first_to_end(running);
    }
    while (in_flight_ > 0) co_await settle_first_to_end(running);
  }

  /// Stages that have begun keep their indices: those of an agent that is added come after all, and wait in their order.
  void grow_at_the_end() {
    const std::size_t before = planned_.size();
    if (!waiting_.empty()) grow(planned_[waiting_.front()].tick, before);
    for (std::size_t k = before; k < planned_.size(); ++k) {
      const auto later = [this](std::size_t a, std::size_t b) { return is_before(planned_[a], planned_[b]); };
      waiting_.insert(std::upper_bound(waiting_.begin(), waiting_.end(), k, later), k);
    }
  }

  /// Starts the first stage that can start, and drops those that never can. False: the team's work is over.
  template <class = void>
  task<bool> start_first(nursery& running, std::chrono::nanoseconds time_left, bool& started) {
    std::set<std::size_t> seen;  // an agent's stages keep their order
    std::set<role_id> too_dear;  // another stage of the role costs as much
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      const std::size_t k = *at;
      const planned_stage& next = planned_[k];
      const role_id& kind = agents_.role_of(next.member);
      const bool is_first = seen.insert(next.member).second;
      if (!is_first || !agents_[next.member].in_flight.empty() || too_dear.contains(kind) || !has_findings_for(kind)) {
        ++at;
        continue;
      }
      if (is_over_before(next)) co_return false;
      shortage missing = shortage::none;
      const bool is_active = moves_on_to(next);
      if (is_active) missing = co_await reserve(k, time_left);
      if (is_active && missing == shortage::none) {
        waiting_.erase(at);
        started = true;
        set_off(stages_.back());
        ++in_flight_;
        running.spawn(ask(stages_.back()));
        co_return true;
      }
      if (in_flight_ > 0 && (missing == shortage::of_session || missing == shortage::of_role)) {
        stages_.pop_back();
        too_dear.insert(kind);  // until something in flight gives back what it does not use
        ++at;
        continue;
      }
      grants_.begin(k);
      if (missing != shortage::none) drop_last(missing);
      at = waiting_.erase(at);
      seen.erase(next.member);
    }
    co_return true;
  }

  template <class = void>
  task<shortage> reserve(std::size_t k, std::chrono::nanoseconds time_left) {
    running_stage& stage = add(k);
    shortage missing = grants_.judge(stage);
    if (missing != shortage::none) co_return missing;
    funds_.resize_aside(text_->cost());
    missing = co_await grants_.reserve(stage, planned_.size(), reservation_size::whole, time_left);
    if (missing != shortage::none)  // rather a shorter one than a slot that idles
      missing = co_await grants_.reserve(stage, planned_.size(), reservation_size::what_is_left, time_left);
    if (missing == shortage::none) grants_.begin(k);
    co_return missing;
  }

  /// Research begins with nothing; the others once something is published, or nobody is left to find anything.
  [[nodiscard]] bool has_findings_for(const role_id& kind) const {
    const auto researches = [this](std::size_t k) {
      return agents_.role_of(planned_[k].member) == roles::research.name;
    };
    return kind == roles::research.name || !agents_.post().messages().empty() ||
           (std::none_of(waiting_.begin(), waiting_.end(), researches) &&
            std::none_of(stages_.begin(), stages_.end(),
                         [&](const running_stage& stage) { return !stage.settled && researches(stage.index); }));
  }

  template <class = void>
  task<void> ask(running_stage& stage) {
    co_await runner_.ask(stage);
    ended_.push_back(&stage);
    some_have_ended_.set();
  }

  template <class = void>
  task<void> settle_first_to_end(nursery& running) {
    if (ended_.empty()) {
      some_have_ended_.reset();
      co_await some_have_ended_;
    }
    running_stage& stage = *ended_.front();
    ended_.pop_front();
    if (runner_.pay_again(stage)) {
      running.spawn(ask(stage));
      co_return;
    }
    --in_flight_;
    co_await runner_.settle(stage);
  }

  crew& agents_;
  const std::vector<planned_stage>& planned_;
  session_funds& funds_;
  stage_grants& grants_;
  stage_runner& runner_;
  team_growth& growth_;
  const session_options& options_;
  session_result& result_;
  const final_text* text_ = nullptr;
  std::deque<running_stage> stages_;  // sent ones; in lockstep by index
  std::size_t highest_ = 0;           // of their indices
  std::size_t first_open_ = 0;        // in lockstep: the first in stages_ that is not part of the view
  std::deque<std::size_t> waiting_;   // eagerly: the stages that have not begun
  std::size_t in_flight_ = 0;
  std::deque<running_stage*> ended_;  // not yet part of the view
  event some_have_ended_;
};

}  // namespace detail
}  // namespace felix::inline v1
