// SPDX-License-Identifier: MIT
// agent: a team at work on one task, from the first research to the final text, under one budget.
#pragma once

#include <felix/agent/agent.hpp>
#include <felix/agent/detail/crew.hpp>
#include <felix/agent/detail/final_text.hpp>
#include <felix/agent/detail/running_stage.hpp>
#include <felix/agent/detail/session_funds.hpp>
#include <felix/agent/detail/stage_grants.hpp>
#include <felix/agent/detail/stage_plan.hpp>
#include <felix/agent/detail/stage_runner.hpp>
#include <felix/agent/detail/team_growth.hpp>
#include <felix/agent/detail/team_work.hpp>
#include <felix/agent/memory.hpp>
#include <felix/agent/session_options.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/agent/team.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/async/when_all.hpp>
#include <felix/budget/budget_scope.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/error.hpp>
#include <felix/llm/model.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Runs a team over logical time to a final text.
///     felix::session blog{llm, felix::teams::medium(), budget, {.seed = 7}};
///     auto result = loop.run(blog.run("Write about AI safety"));
/// An agent has a stage at its spawn tick and at every fourth tick after it. All stages stand in one order, by tick and
/// agent.
/// In lockstep stage k builds on what stages up to k - window have published, and on its own agent's earlier ones; whatever
/// runs in between counts as reserved. A stage that cannot be afforded so waits for one more stage to settle, in order,
/// and is dropped when none is left. So how many requests run at once changes the time and nothing else: the same seed
/// and answers give the same session, bit for bit.
/// Eagerly a free slot takes the first stage whose agent is not at work, which reads all that is published by then; roles
/// other than research begin once there is something to read. No slot idles while a stage that the budget allows is left.
/// A stage for which not enough is left has a shorter answer, or reads fewer findings; that a scope around the budget
/// refuses it is the same as that the cap does.
/// The tokens of the final text are set aside before the first request. Prompts are strict under a hard budget. The agents
/// whose role is named "synthesis" write it; a team without one gets synthesis_001 for that.
/// Threads:  one loop. A session runs once.
/// Stop:     run throws `cancelled`; so_far() then has the best text there is. Requests in flight are closed.
/// Throws:   budget_exceeded when the budget cannot pay for a final text, error (invalid_argument) for an empty task and a second run,
///           and what the last request threw when there is no text at all. The failure of an agent ends that agent.
/// Lifetime: the model and the budget outlive it.
class session {
 public:
  /// Throws error (invalid_option) for an empty team, a simulation time of 0 or less, a window or slots of 0,
  /// limits below 0, no price within a cap or with a limit in money, and a role that may be added but is none.
  session(model_ref llm, const team& who, ledger& budget, session_options options = {})
      : options_{validated(std::move(options), who, budget)},
        agents_{llm, who, options_},
        stages_to_come_{agents_.stages()},
        funds_{budget, options_},
        grants_{agents_, stages_to_come_, funds_, options_, result_.task, known_},
        runner_{llm, agents_, funds_, grants_, options_, result_},
        growth_{agents_, funds_, options_, result_},
        work_{agents_, stages_to_come_, funds_, grants_, runner_, growth_, options_, result_} {}
  session(session&&) = delete;

  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  task<session_result> run(std::string task) {
    if (!result_.task.empty())
      throw error{errc::invalid_argument, "session: it has run already; make another one for another task"};
    if (task.find_first_not_of(" \t\r\n") == std::string::npos)
      throw error{errc::invalid_argument, "session: the task is empty; say what the team is to write about"};
    result_.task = std::move(task);
    if (options_.memory) known_ = recalled_text(*options_.memory, result_.task, most_known_bytes);
    std::exception_ptr ended_by;
    try {
      co_await with_nursery([this](nursery& running) -> felix::task<void> {
        running.spawn(agents_.post().process());
        final_.emplace(agents_, funds_, result_.task, known_, grants_.share_of_final_text());
        funds_.set_aside(final_->cost());
        co_await work_.run(running, *final_);
        co_await write_final_text();
        agents_.post().close();
      });
    } catch (...) {
      ended_by = std::current_exception();  // a handler must not co_await, and what was found is to be kept first
    }
    finish();
    if (ended_by) std::rethrow_exception(ended_by);
    co_return result_;
  }

  /// What there is now: while it runs, and after run() has thrown.
  [[nodiscard]] const session_result& so_far() const noexcept { return result_; }

 private:
  using running_stage = detail::running_stage;

  static session_options validated(session_options options, const team& who, const ledger& budget) {
    if (who.size() == 0) throw error{errc::invalid_option, "session: the team has no agents; add some"};
    if (!(options.simulation_time > 0 && options.simulation_time <= 10'000))
      throw error{errc::invalid_option, "session: simulation_time is " + std::to_string(options.simulation_time) +
                                            "; use a time above 0 and up to 10000, 1 is usual"};
    if (budget.options().within != nullptr && budget.options().within->caps_money() && !options.price)
      throw error{errc::invalid_option,
                  "session: a scope around its budget has a cap in money; set price to what the model costs"};
    if (options.limits.nano_cost && !options.price)
      throw error{errc::invalid_option, "session: limits.nano_cost is set; set price too, to what the model costs"};
    if (options.spawning) static_cast<void>(spawn_advisor{"", options.simulation_time, 0, *options.spawning});
    if (options.window == 0) throw error{errc::invalid_option, "session: window is 0; use at least 1, 8 is usual"};
    if (options.slots == 0)
      throw error{errc::invalid_option, "session: slots is 0; use at least 1, as many as the model takes at once"};
    return options;
  }

  // --- The final text ---

  template <class = void>
  task<void> write_final_text() {
    const std::vector<std::size_t> writers = final_->writers();
    std::vector<std::string> texts(writers.size());
    std::vector<bool> sent(writers.size(), false);
    final_begin_ = co_await this_task::now();
    for (int attempt = 0; attempt < final_attempts; ++attempt) {
      std::vector<std::size_t> missing;
      for (std::size_t i = 0; i < writers.size(); ++i) {
        if (texts[i].empty()) missing.push_back(i);
      }
      if (missing.empty()) break;
      // All reservations first: then neither the length nor the order of the parts depends on which ends first.
      final_parts_.clear();
      std::vector<std::size_t> part_of;
      for (std::size_t j = 0; j < missing.size(); ++j) {
        running_stage& part = final_parts_.emplace_back();
        part.member = writers[missing[j]];
        const bool paid = co_await final_->reserve(part, missing.size() - j, work_.readable(), options_.capacity);
        if (paid) {
          part_of.push_back(missing[j]);
          sent[missing[j]] = true;
        } else {
          final_parts_.pop_back();
        }
      }
      std::vector<task<void>> writing;
      for (auto& part : final_parts_) writing.push_back(runner_.ask(part));
      co_await when_all(std::move(writing));
      co_await detail::stage_runner::stop_point();
      for (std::size_t j = 0; j < part_of.size(); ++j) {
        if (auto made = runner_.account(final_parts_[j])) texts[part_of[j]] = std::move(made->text);
      }
    }
    bool failed =
        false;  // a part that could not be paid for is left out; one that was asked for and did not come fails
    for (std::size_t i = 0; i < texts.size(); ++i) {
      failed = failed || (sent[i] && texts[i].empty());
      if (texts[i].empty()) continue;
      if (!result_.final_text.empty()) result_.final_text += "\n\n";
      result_.final_text += texts[i];
    }
    result_.complete = !failed && !result_.final_text.empty();
    if (result_.final_text.empty() && result_.contributions.empty() && runner_.last_failure())
      std::rethrow_exception(runner_.last_failure());
  }

  // --- What is left when it is over, however it ended ---

  void finish() {
    work_.finish();
    for (auto& part : final_parts_) {
      if (!part.settled && part.reservation) runner_.account(part);
    }
    funds_.give_aside_back();
    if (result_.final_text.empty()) result_.final_text = best_text();
    result_.messages = agents_.post().messages();
    result_.agents = agents_.reports();
    result_.learned = grants_.learned();
    if (agents_.prompts()) result_.prompts = agents_.prompts()->learned();
    if (options_.memory) remember(*options_.memory);
    auto last = funds_.began();
    for (const auto& span : result_.timeline) last = std::max(last, span.end);
    if (result_.requests > 0) {
      result_.duration = last - funds_.began();
      result_.team_duration = std::max(funds_.began(), final_begin_.value_or(last)) - funds_.began();
    }
  }

  /// What the team has found, not what it made of that. A memory that fails costs nothing else.
  void remember(const memory_ref& store) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    try {
      for (const auto& made : result_.contributions) {
        if (made.final_text || made.role == roles::synthesis.name) continue;
        result_.remembered +=
            store.remember({.topic = result_.task,
                            .text = made.text,
                            .role = made.role,
                            .confidence = made.confidence,
                            .unix_seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count()})
                ? 1U
                : 0U;
      }
    } catch (const std::exception& failure) {
      result_.memory_failure = failure.what();
    }
  }

  /// The surest synthesis; without one, the surest contribution.
  [[nodiscard]] std::string best_text() const {
    const contribution* best = nullptr;
    const auto value = [](const contribution& made) {
      return made.confidence + (made.role == roles::synthesis.name ? 2.0 : 0.0) + (made.final_text ? 1.0 : 0.0);
    };
    for (const auto& made : result_.contributions) {
      if (best == nullptr || value(made) >= value(*best)) best = &made;
    }
    return best != nullptr ? best->text : std::string{};
  }

  static constexpr int final_attempts = 2;
  static constexpr std::size_t most_known_bytes = 1'600;

  const session_options options_;
  session_result result_;
  std::string known_;  // from former sessions
  detail::crew agents_;
  std::vector<detail::planned_stage> stages_to_come_;
  detail::session_funds funds_;
  detail::stage_grants grants_;
  detail::stage_runner runner_;
  detail::team_growth growth_;
  detail::team_work work_;
  std::optional<detail::final_text> final_;
  std::deque<running_stage> final_parts_;
  std::optional<std::chrono::steady_clock::time_point> final_begin_;
};

}  // namespace felix::inline v1
