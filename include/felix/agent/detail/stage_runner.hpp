// SPDX-License-Identifier: MIT
// agent: the requests of a session: sent, and made part of its view when they have ended.
#pragma once

#include <felix/agent/agent.hpp>
#include <felix/agent/detail/crew.hpp>
#include <felix/agent/detail/running_stage.hpp>
#include <felix/agent/detail/session_funds.hpp>
#include <felix/agent/detail/stage_grants.hpp>
#include <felix/agent/session_options.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/collect_within.hpp>
#include <felix/llm/model.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// The view is what has ended, in the order in which it is settled: it decides what agents read, what is learned and what
/// may still be spent.
class stage_runner {
 public:
  /// All are referred to.
  stage_runner(model_ref llm, crew& agents, session_funds& funds, stage_grants& grants, const session_options& options,
               session_result& result)
      : llm_{llm}, agents_{agents}, funds_{funds}, grants_{grants}, options_{options}, result_{result} {}
  stage_runner(stage_runner&&) = delete;

  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  task<void> ask(running_stage& stage) {
    tell(stage.about.final_text ? session_event::kind::final_started : session_event::kind::stage_started, stage);
    if (agents_.prompts() && !stage.is_repeated)
      agents_.prompts()->started(agents_[stage.member].agent.role(), stage.about);
    stage.begin = co_await this_task::now();
    if (result_.requests++ == 0) funds_.begin(stage.begin);
    stage.answer = co_await as_result(send(stage));
    stage.end = co_await this_task::now();
    stage.ended.set();
  }

  /// Waits for a stage and makes it part of the view: charged, learned from, published.
  template <class = void>
  task<void> settle(running_stage& stage) {
    co_await stage.ended;
    co_await stop_point();
    // In the order of the view, so that it does not depend on the order in which requests are lost.
    const bool again = pay_again(stage);
    if (again) co_await ask(stage);
    co_await stop_point();
    std::optional<contribution> made = account(stage);
    if (!made) co_return;
    if (agents_.is_writer(stage.member) && made->confidence >= options_.accepted_confidence &&
        !std::exchange(result_.accepted, true))
      tell(session_event::kind::accepted, stage, made->confidence);
    co_await agents_.post().publish(std::move(*made), stage.index);
    co_await agents_.post().processed();
  }

  /// Pays a request that was lost on the way once more, if the budget and the limits of the run have enough. False: not.
  /// True, once: it is to be asked again.
  bool pay_again(running_stage& stage) {
    const token_count lost = stage.planned();
    if (!stage.repeat_wanted || stage.is_repeated || !funds_.pay_again(stage, agents_[stage.member].agent))
      return false;
    stage.is_repeated = true;
    stage.ended.reset();
    result_.timeline.push_back(stage.span_of(agents_[stage.member].agent));
    grants_.charge(stage, lost);
    return true;
  }

  /// Charges a request that has ended, and keeps what came of it.
  std::optional<contribution> account(running_stage& stage) {
    worker& who = agents_[stage.member];
    stage.settled = true;
    std::erase(who.in_flight, stage.index);
    result_.timeline.push_back(stage.span_of(who.agent));
    const token_count planned = stage.planned();
    const token_count charged = funds_.settle(stage);
    if (!stage.about.final_text) grants_.charge(stage, charged - planned);
    if (!stage.answer) {
      if (agents_.prompts()) agents_.prompts()->failed(who.agent.role(), stage.about);
      note_failure(stage, who);
      grants_.has_moved(stage.member);
      return std::nullopt;
    }
    contribution made = who.agent.take(stage.about, *stage.answer);
    made.tick = stage.tick;
    if (agents_.prompts()) agents_.prompts()->learn(who.agent.role(), stage.about, made);
    grants_.learn(stage, made.confidence - who.best_confidence, charged);
    who.best_confidence = std::max(who.best_confidence, made.confidence);
    who.motion.adapt(who.agent.confidences());
    grants_.has_moved(stage.member);
    if (who.state == agent_state::spawning) who.state = agent_state::active;
    ++who.stages;
    who.usage += made.usage;
    result_.usage += made.usage;
    result_.timeline.back().usage = made.usage;
    result_.contributions.push_back(made);
    tell(stage.about.final_text ? session_event::kind::final_ended : session_event::kind::stage_ended, stage,
         made.confidence, made.usage.total_tokens);
    return made;
  }

  /// A stage is left out.
  void drop(const running_stage& stage, std::string why) {
    grants_.drop(stage);
    ++result_.dropped;
    tell(session_event::kind::stage_dropped, stage, 0, 0, std::move(why));
  }

  template <class = void>
  static task<void> stop_point() {
    const stop_token stop = co_await this_task::stop_token();
    if (stop.stop_requested()) throw cancelled{"running a session"};
  }

  /// Of the last request that failed for good.
  [[nodiscard]] const std::exception_ptr& last_failure() const noexcept { return last_failure_; }

 private:
  /// A coroutine of its own: what a model throws before it returns a task is an answer that failed, too.
  /// Answers are streamed, so that none gets longer than it was paid for.
  template <class = void>
  task<chat_response> send(running_stage& stage) {
    // What may have cost something is not sent again on the way, where nobody has paid for it: see pay_again().
    chat_request request = stage.request;
    request.repeat_if([&stage] {
      stage.repeat_wanted = true;
      return false;
    });
    const answer_allowance paid{.answer_tokens = stage.reservation->max_tokens(),
                                .prompt_bytes = stage.size.bytes,
                                .time = funds_.time_left(stage.begin, stage.about.final_text)};
    co_return co_await collect_within(llm_.stream(std::move(request)), paid, listener_to(stage));
  }

  [[nodiscard]] std::function<void(const chat_delta&)> listener_to(const running_stage& stage) const {
    if (!options_.on_delta) return {};
    return [this, &stage](const chat_delta& delta) {
      if (delta.text().empty()) return;
      options_.on_delta({.agent = agents_.members()[stage.member].id,
                         .role = agents_.role_of(stage.member),
                         .stage = stage.about.stage,
                         .final_text = stage.about.final_text,
                         .text = delta.text()});
    };
  }

  void note_failure(const running_stage& stage, worker& who) {
    const auto why = stage.why_it_failed();
    if (why.was_cancelled) return;
    if (!stage.about.final_text && why.has_timed_out &&
        funds_.time_left(stage.end, false) == std::chrono::nanoseconds{0}) {
      ++result_.dropped;  // the agent is not to blame
      return tell(session_event::kind::stage_dropped, stage, 0, 0, "the time of the run was over before anything came");
    }
    ++result_.failed;
    last_failure_ = stage.answer.error();
    if (!stage.about.final_text) who.state = agent_state::failed;
    tell(stage.about.final_text ? session_event::kind::final_failed : session_event::kind::stage_failed, stage, 0, 0,
         stage.answer.message());
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

  model_ref llm_;
  crew& agents_;
  session_funds& funds_;
  stage_grants& grants_;
  const session_options& options_;
  session_result& result_;
  std::exception_ptr last_failure_;
};

}  // namespace detail
}  // namespace felix::inline v1
