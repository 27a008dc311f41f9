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
#include <felix/agent/session_options.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/agent/team.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/async/when_all.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/collect_within.hpp>
#include <felix/llm/model.hpp>
#include <felix/telemetry/timeline.hpp>

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
/// agent. Stage k builds on what stages up to k - window have published, and on its own agent's earlier ones; whatever
/// runs in between counts as reserved. A stage that cannot be afforded so waits for one more stage to settle, in order,
/// and is dropped when none is left. So how many requests run at once changes the time and nothing else: the same seed
/// and answers give the same session, bit for bit.
/// The tokens of the final text are set aside before the first request. Prompts are strict under a hard budget. The agents
/// whose role is named "synthesis" write it; a team without one gets synthesis_001 for that.
/// Threads:  one loop. A session runs once.
/// Stop:     run throws `cancelled`; so_far() then has the best text there is. Requests in flight are closed.
/// Throws:   budget_exceeded when the budget cannot pay for a final text, error (invalid_argument) for an empty task and a second run,
///           and what the last request threw when there is no text at all. The failure of an agent ends that agent.
/// Lifetime: the model and the budget outlive it.
class session {
 public:
  /// Throws error (invalid_option) for an empty team, a simulation time of 0 or less, a window of 0, limits below 0,
  /// and no price within a cap in money.
  session(model_ref llm, const team& who, ledger& budget, session_options options = {})
      : llm_{llm},
        options_{validated(std::move(options), who, budget)},
        agents_{llm, who, options_.seed, options_.simulation_time},
        stages_to_come_{agents_.stages(options_.simulation_time)},
        funds_{budget, options_} {}
  session(session&&) = delete;

  task<session_result> run(std::string task) {
    if (!result_.task.empty())
      throw error{errc::invalid_argument, "session: it has run already; make another one for another task"};
    if (task.find_first_not_of(" \t\r\n") == std::string::npos)
      throw error{errc::invalid_argument, "session: the task is empty; say what the team is to write about"};
    result_.task = std::move(task);
    std::exception_ptr ended_by;
    try {
      co_await with_nursery([this](nursery& running) -> felix::task<void> {
        running.spawn(agents_.post().process());
        co_await work(running);
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
  using shortage = detail::shortage;

  static session_options validated(session_options options, const team& who, const ledger& budget) {
    if (who.size() == 0) throw error{errc::invalid_option, "session: the team has no agents; add some"};
    if (!(options.simulation_time > 0 && options.simulation_time <= 10'000))
      throw error{errc::invalid_option, "session: simulation_time is " + std::to_string(options.simulation_time) +
                                            "; use a time above 0 and up to 10000, 1 is usual"};
    if (budget.options().within != nullptr && budget.options().within->caps_money() && !options.price)
      throw error{errc::invalid_option,
                  "session: a scope around its budget has a cap in money; set price to what the model costs"};
    if (options.window == 0) throw error{errc::invalid_option, "session: window is 0; use at least 1, 8 is usual"};
    return options;
  }

  // --- The team's work: stages are planned one after the other, and run side by side ---

  task<void> work(nursery& running) {
    grants_.emplace(agents_, stages_to_come_, funds_, options_, result_.task);
    final_.emplace(agents_, funds_, result_.task, grants_->share_of_final_text());
    funds_.set_aside(final_->cost());

    for (std::size_t k = 0; k < stages_to_come_.size(); ++k) {
      const detail::planned_stage& planned = stages_to_come_[k];
      if (k >= options_.window) co_await view_up_to(k - options_.window);
      detail::worker& who = agents_[planned.member];
      while (!who.in_flight.empty()) co_await settle(stage_at(who.in_flight.front()));
      if (result_.accepted) break;
      // With all that is in flight, another stage might not leave enough for the final text.
      if (!funds_.is_before_soft_line(grants_->dearest(who.agent.role().name))) {
        result_.ended_by = funds_.reason();
        break;
      }
      grants_->begin(k);
      if (who.state == agent_report::state::failed) continue;
      who.motion.advance_to(planned.tick);
      if (who.motion.completed()) {
        who.state = agent_report::state::completed;
        continue;
      }
      who.state = agent_report::state::active;
      co_await start_stage(running, planned, k);
    }
    if (!stages_.empty()) co_await view_up_to(stages_.back().index);
  }

  /// Reserves tokens for a stage and sends it off, or drops it.
  task<void> start_stage(nursery& running, detail::planned_stage planned, std::size_t k) {
    std::size_t readable = k >= options_.window ? k - options_.window + 1 : 0;  // the stages before this one
    running_stage& stage = stages_.emplace_back();
    stage.member = planned.member;
    stage.index = k;
    stage.tick = planned.tick;
    shortage missing = grants_->judge(stage);
    if (missing != shortage::none) co_return drop(stage, missing);
    for (;;) {
      while (funds_.one_at_a_time() && &stages_[first_open_] != &stage) {
        running_stage& before = stages_[first_open_];
        readable = std::max(readable, before.index + 1);
        co_await settle(before);
      }
      funds_.resize_aside(final_->cost());
      const auto time_left = funds_.time_left(co_await this_task::now(), false);
      missing = grants_->reserve(stage, readable, reservation_size::whole, time_left);
      if (missing == shortage::none) break;
      running_stage* const next = first_that_may_help(stage, missing);
      if (next == nullptr) {
        if (grants_->reserve(stage, readable, reservation_size::what_is_left, time_left) == shortage::none) break;
        co_return drop(stage, missing);
      }
      readable = std::max(readable, next->index + 1);
      co_await settle(*next);
    }
    agents_[stage.member].in_flight.push_back(k);
    running.spawn(ask(stage));
  }

  void drop(const running_stage& last, shortage missing) {
    grants_->drop(last);
    tell(session_event::kind::stage_dropped, last, 0, 0, to_text(missing));
    ++result_.dropped;
    stages_.pop_back();
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

  // --- One request ---

  task<void> ask(running_stage& stage) {
    tell(stage.about.final_text ? session_event::kind::final_started : session_event::kind::stage_started, stage);
    stage.begin = co_await this_task::now();
    if (result_.requests++ == 0) funds_.begin(stage.begin);
    stage.answer = co_await as_result(send(stage));
    stage.end = co_await this_task::now();
    stage.ended.set();
  }

  /// A coroutine of its own: what a model throws before it returns a task is an answer that failed, too.
  /// Answers are streamed, so that none gets longer than it was paid for.
  task<chat_response> send(running_stage& stage) {
    // What may have cost something is not sent again on the way, where nobody has paid for it: see ask_again().
    chat_request request = stage.request;
    request.repeat_if([&stage] {
      stage.repeat_wanted = true;
      return false;
    });
    const answer_allowance paid{.answer_tokens = stage.reservation->max_tokens(),
                                .prompt_bytes = stage.size.bytes,
                                .time = funds_.time_left(stage.begin, stage.about.final_text)};
    co_return co_await collect_within(llm_.stream(std::move(request)), paid);
  }

  /// A request that was lost on the way is paid and sent once more, if the budget and the limits of the run have enough.
  /// In the order of the view, so that it does not depend on the order in which requests are lost.
  task<void> ask_again(running_stage& stage) {
    const token_count lost = stage.planned();
    if (!stage.repeat_wanted || !funds_.pay_again(stage, agents_[stage.member].agent)) co_return;
    result_.timeline.push_back(stage.span_of(agents_[stage.member].agent));
    grants_->charge(stage, lost);
    co_await ask(stage);
  }

  // --- The view: what has ended, in the order of the stages ---

  /// Makes the stages up to `last` part of the view, in order.
  task<void> view_up_to(std::size_t last) {
    while (first_open_ < stages_.size() && stages_[first_open_].index <= last) co_await settle(stages_[first_open_]);
  }

  [[nodiscard]] running_stage& stage_at(std::size_t index) {
    return *std::lower_bound(stages_.begin(), stages_.end(), index,
                             [](const running_stage& stage, std::size_t value) { return stage.index < value; });
  }

  /// Waits for a stage and makes it part of the view: charged, learned from, published.
  task<void> settle(running_stage& stage) {
    co_await stage.ended;
    co_await stop_point();
    co_await ask_again(stage);
    co_await stop_point();
    std::optional<contribution> made = account(stage);
    while (first_open_ < stages_.size() && stages_[first_open_].settled) ++first_open_;
    if (!made) co_return;
    if (agents_.is_writer(stage.member) && made->confidence >= options_.accepted_confidence &&
        !std::exchange(result_.accepted, true))
      tell(session_event::kind::accepted, stage, made->confidence);
    co_await agents_.post().publish(std::move(*made), stage.index);
    co_await agents_.post().processed();
  }

  static task<void> stop_point() {
    const stop_token stop = co_await this_task::stop_token();
    if (stop.stop_requested()) throw cancelled{"running a session"};
  }

  /// Charges a request that has ended, and keeps what came of it.
  std::optional<contribution> account(running_stage& stage) {
    detail::worker& who = agents_[stage.member];
    stage.settled = true;
    std::erase(who.in_flight, stage.index);
    result_.timeline.push_back(stage.span_of(who.agent));
    const token_count planned = stage.planned();
    const token_count charged = funds_.settle(stage);
    if (!stage.about.final_text) grants_->charge(stage, charged - planned);
    if (!stage.answer) {
      note_failure(stage, who);
      return std::nullopt;
    }
    contribution made = who.agent.take(stage.about, *stage.answer);
    made.tick = stage.tick;
    grants_->learn(stage, made.confidence - who.best_confidence, charged);
    who.best_confidence = std::max(who.best_confidence, made.confidence);
    who.motion.adapt(who.agent.confidences());
    ++who.stages;
    who.usage += made.usage;
    result_.usage += made.usage;
    result_.timeline.back().usage = made.usage;
    result_.contributions.push_back(made);
    tell(stage.about.final_text ? session_event::kind::final_ended : session_event::kind::stage_ended, stage,
         made.confidence, made.usage.total_tokens);
    return made;
  }

  void note_failure(const running_stage& stage, detail::worker& who) {
    const auto why = stage.why_it_failed();
    if (why.was_cancelled) return;
    if (!stage.about.final_text && why.has_timed_out &&
        funds_.time_left(stage.end, false) == std::chrono::nanoseconds{0}) {
      ++result_.dropped;  // the agent is not to blame
      return tell(session_event::kind::stage_dropped, stage, 0, 0, "the time of the run was over before anything came");
    }
    ++result_.failed;
    last_failure_ = stage.answer.error();
    if (!stage.about.final_text) who.state = agent_report::state::failed;
    tell(stage.about.final_text ? session_event::kind::final_failed : session_event::kind::stage_failed, stage, 0, 0,
         stage.answer.message());
  }

  // --- The final text ---

  task<void> write_final_text() {
    const std::vector<std::size_t> writers = final_->writers();
    const std::size_t readable = stages_.empty() ? 0 : stages_.back().index + 1;
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
        if (final_->reserve(part, missing.size() - j, readable, options_.capacity)) {
          part_of.push_back(missing[j]);
          sent[missing[j]] = true;
        } else {
          final_parts_.pop_back();
        }
      }
      std::vector<task<void>> writing;
      for (auto& part : final_parts_) writing.push_back(ask(part));
      co_await when_all(std::move(writing));
      co_await stop_point();
      for (std::size_t j = 0; j < part_of.size(); ++j) {
        if (auto made = account(final_parts_[j])) texts[part_of[j]] = std::move(made->text);
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
    if (result_.final_text.empty() && result_.contributions.empty() && last_failure_)
      std::rethrow_exception(last_failure_);
  }

  // --- What is left when it is over, however it ended ---

  void finish() {
    for (auto& stage : stages_) {
      if (!stage.settled && stage.reservation) account(stage);
    }
    for (auto& part : final_parts_) {
      if (!part.settled && part.reservation) account(part);
    }
    funds_.give_aside_back();
    if (result_.final_text.empty()) result_.final_text = best_text();
    result_.messages = agents_.post().messages();
    result_.agents = agents_.reports();
    if (grants_) result_.learned = grants_->learned();
    auto last = funds_.began();
    for (const auto& span : result_.timeline) last = std::max(last, span.end);
    if (result_.requests > 0) {
      result_.duration = last - funds_.began();
      result_.team_duration = std::max(funds_.began(), final_begin_.value_or(last)) - funds_.began();
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

  void tell(session_event::kind what, const running_stage& stage, double sure = 0, token_count tokens = 0,
            std::string message = {}) const {
    if (!options_.on_event) return;
    options_.on_event({.what = what,
                       .agent = agents_.members()[stage.member].id,
                       .role = agents_.role_of(stage.member),
                       .stage = stage.about.stage,
                       .tick = stage.tick,
                       .tokens = tokens,
                       .confidence = sure,
                       .message = std::move(message)});
  }

  static constexpr int final_attempts = 2;

  model_ref llm_;
  const session_options options_;
  detail::crew agents_;
  const std::vector<detail::planned_stage> stages_to_come_;
  detail::session_funds funds_;
  std::optional<detail::stage_grants> grants_;
  std::optional<detail::final_text> final_;
  std::deque<running_stage> stages_;  // sent ones, by index
  std::size_t first_open_ = 0;        // the first in stages_ that is not part of the view
  std::deque<running_stage> final_parts_;
  std::optional<std::chrono::steady_clock::time_point> final_begin_;
  std::exception_ptr last_failure_;
  session_result result_;
};

}  // namespace felix::inline v1
