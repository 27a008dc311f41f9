// SPDX-License-Identifier: MIT
// agent: a team at work on one task, from the first research to the final text, under one budget.
#pragma once

#include <felix/agent/agent.hpp>
#include <felix/agent/central_post.hpp>
#include <felix/agent/detail/stage_plan.hpp>
#include <felix/agent/motion.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/agent/random.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/agent/team.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/async/when_all.hpp>
#include <felix/budget/any_estimator.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/price.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/collect_within.hpp>
#include <felix/llm/model.hpp>
#include <felix/llm/prompt_size_of.hpp>
#include <felix/telemetry/timeline.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

struct session_options {
  std::uint64_t seed = 0;            ///< of spawn times, velocities and each request
  double simulation_time = 1.0;      ///< logical time; the last tick is this / 0.05. Above 0
  std::size_t window = 8;            ///< stage k builds on what stages up to k - window have found; at least 1
  double accepted_confidence = 0.8;  ///< a synthesis this good ends the team's work
  std::function<void(const session_event&)> on_event = {};  ///< on the loop's thread; must not throw
  any_estimator estimator = {};  ///< of prompts; it learns in the order of the stages, from what the window lets it see
  /// Of the run in all, within the budget. From the soft line on no stage begins, and the final text, within what is left,
  /// hands back what there is. A limit of time makes a run depend on the clock.
  run_limits limits = {};
  /// What the model costs: for limits, and for scopes around the budget that have a cap in money.
  std::optional<model_price> price = {};
};

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
        budget_{budget},
        options_{std::move(options)},
        style_{budget.is_hard() ? prompt_style::strict : prompt_style::normal},
        estimator_{options_.estimator},
        meter_{options_.limits} {
    if (who.size() == 0) throw error{errc::invalid_option, "session: the team has no agents; add some"};
    if (!(options_.simulation_time > 0 && options_.simulation_time <= 10'000))
      throw error{errc::invalid_option, "session: simulation_time is " + std::to_string(options_.simulation_time) +
                                            "; use a time above 0 and up to 10000, 1 is usual"};
    if (budget.options().within != nullptr && budget.options().within->caps_money() && !options_.price)
      throw error{errc::invalid_option,
                  "session: a scope around its budget has a cap in money; set price to what the model costs"};
    if (options_.window == 0) throw error{errc::invalid_option, "session: window is 0; use at least 1, 8 is usual"};
    members_ = who.draw(options_.seed);
    if (std::none_of(members_.begin(), members_.end(), is_writer)) writer_of_last_resort();
    post_.emplace(central_post_options{.max_agents = members_.size()});
    for (const auto& member : members_) {
      workers_.push_back(
          {.agent = felix::agent{llm_, member.role, {.id = member.id, .focus = member.focus, .seed = options_.seed}},
           .motion = helix_motion{detail::spawn_tick(member.spawn_time, options_.simulation_time), member.velocity}});
      post_->register_agent(member.id);
    }
  }
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
        running.spawn(post_->process());
        co_await work(running);
        co_await write_final_text();
        post_->close();
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
  struct worker {
    felix::agent agent;
    helix_motion motion;
    agent_report::state state = agent_report::state::waiting;
    int stages = 0;  // answers
    token_usage usage = {};
    std::vector<std::size_t> in_flight = {};  // its stages that are not part of the view, by index
  };

  /// A request of an agent, from its reservation until its answer is part of the view.
  struct running_stage {
    std::size_t member = 0;
    std::size_t index = 0;  // its place among all stages
    tick_count tick = 0;
    brief about = {};
    chat_request request = {};
    prompt_size size = {};
    token_count planned_prompt = 0;
    token_count worst = 0;  // of prompt and answer
    std::optional<ledger::reservation> reservation = {};
    result<chat_response> answer = result<chat_response>::failure(nullptr);
    std::chrono::steady_clock::time_point begin = {}, end = {};
    event ended;
    bool settled = false;
    bool repeat_wanted = false;  // a retry would have sent it again, but for what that may cost
  };

  static bool is_writer(const team_member& member) { return member.role.name == roles::synthesis.name; }

  /// A team without a synthesis agent gets one that writes the final text and nothing else.
  void writer_of_last_resort() {
    members_.push_back({.id = "synthesis_001", .role = roles::synthesis, .spawn_time = 1});
    last_resort_ = members_.size() - 1;
  }

  // --- The team's work: stages are planned one after the other, and run side by side ---

  task<void> work(nursery& running) {
    auto stages = detail::stage_order(members_, options_.simulation_time);
    std::erase_if(stages, [this](const detail::planned_stage& stage) { return stage.member == last_resort_; });
    shares_.emplace(members_, stages, budget_);
    shares_->set_aside(roles::synthesis.name);
    choose_parts();
    const aside_cost cost = cost_of_aside();
    aside_.emplace(budget_.keep_aside(cost.planned, cost.worst));

    for (std::size_t k = 0; k < stages.size(); ++k) {
      if (k >= options_.window) co_await view_up_to(k - options_.window);
      worker& who = workers_[stages[k].member];
      while (!who.in_flight.empty()) co_await settle(stage_at(who.in_flight.front()));
      if (result_.accepted) break;
      if (is_at_soft_line(who)) break;
      shares_->begin(who.agent.role().name);
      if (who.state == agent_report::state::failed) continue;
      who.motion.advance_to(stages[k].tick);
      if (who.motion.completed()) {
        who.state = agent_report::state::completed;
        continue;
      }
      who.state = agent_report::state::active;
      co_await start_stage(running, stages[k], k);
    }
    if (!stages_.empty()) co_await view_up_to(stages_.back().index);
  }

  /// Whether a limit of the run ends the team's work: with all that is in flight, another stage might not leave enough.
  bool is_at_soft_line(const worker& who) {
    if (is_before_soft_line(dearest_stage(who.agent.role().name))) return false;
    result_.ended_by =
        meter_.next() == next_turn::go_on ? run_end{run_limit::tokens, limit_line::soft} : meter_.reason();
    return true;
  }
  /// Whether as many tokens more than all in flight still leave enough for a turn that hands back.
  [[nodiscard]] bool is_before_soft_line(token_count more) const {
    for (std::size_t i = first_open_; i < stages_.size(); ++i) {
      if (!stages_[i].settled) more += held_by(stages_[i]);
    }
    return meter_.next() == next_turn::go_on && more <= meter_.left_for_inner().tokens.value_or(more);
  }

  /// Reserves tokens for a stage and sends it off, or drops it.
  task<void> start_stage(nursery& running, detail::planned_stage planned, std::size_t k) {
    std::size_t readable = k >= options_.window ? k - options_.window + 1 : 0;  // the stages before this one
    running_stage& stage = stages_.emplace_back();
    stage.member = planned.member;
    stage.index = k;
    stage.tick = planned.tick;
    for (;;) {
      // A server that has counted more than the bound may do so again: what it does is seen before it gets more.
      while (estimator_.one_at_a_time() && &stages_[first_open_] != &stage) {
        running_stage& before = stages_[first_open_];
        readable = std::max(readable, before.index + 1);
        co_await settle(before);
      }
      resize_aside();
      const shortage missing = reserve(stage, readable, reservation_size::whole);
      if (missing == shortage::none) break;
      running_stage* const next = first_that_may_help(stage, missing);
      if (next == nullptr) {
        if (reserve(stage, readable, reservation_size::what_is_left) == shortage::none) break;
        tell(session_event::kind::stage_dropped, stage, 0, 0,
             missing == shortage::of_agent  ? "the agent has used its allotment"
             : missing == shortage::of_role ? "its role has used its share of the cap"
                                            : "the session's cap leaves no room");
        ++result_.dropped;
        stages_.pop_back();
        co_return;
      }
      readable = std::max(readable, next->index + 1);
      co_await settle(*next);
    }
    workers_[stage.member].in_flight.push_back(k);
    running.spawn(ask(stage));
  }

  /// What kept a stage from getting its tokens.
  enum class shortage : unsigned char { none, of_agent, of_role, of_session };

  /// The stage to settle next while a stage waits for tokens: the first in the order, as long as there is one in flight
  /// that can give back what is missing. An agent's own stages are settled before, and a role's share grows only with
  /// that role's.
  running_stage* first_that_may_help(const running_stage& waiting, shortage missing) {
    const role_id kind = members_[waiting.member].role.name;
    for (std::size_t i = first_open_; i < stages_.size() && &stages_[i] != &waiting; ++i) {
      const bool helps = missing == shortage::of_session ||
                         (missing == shortage::of_role && members_[stages_[i].member].role.name == kind);
      if (helps && !stages_[i].settled) return &stages_[first_open_];
    }
    return nullptr;
  }

  /// Writes the stage's request and tries to get the tokens for it.
  shortage reserve(running_stage& stage, std::size_t readable, reservation_size size) {
    const worker& who = workers_[stage.member];
    const felix::role& kind = who.agent.role();
    const int number = who.agent.stages() + 1;
    const token_count wanted = budget_.stage_tokens(who.agent.id(), kind.name, number);
    if (wanted == 0) return shortage::of_agent;
    prepare(stage, {.task = result_.task,
                    .focus = who.agent.focus(),
                    .findings = findings_for(who.agent, readable, limits_of(style_).findings_bytes),
                    .depth = who.motion.depth(),
                    .stage = number,
                    .max_tokens = wanted,
                    .style = style_});
    const token_count room = shares_->room(kind.name, [this](const role_id& other) { return dearest_stage(other); });
    const token_count answer = std::min(wanted, room - stage.planned_prompt);
    if (answer < (size == reservation_size::whole ? wanted : budget_.options().min_stage_tokens))
      return shortage::of_role;
    const token_count worst = at_most(stage.size) + answer;
    if (!is_proven_for(worst)) return shortage::of_session;
    auto granted = budget_.try_reserve(request_for(stage, answer, size));
    if (!granted) return shortage::of_session;
    stage.worst = worst;
    unproven_ += worst;
    accept(stage, std::move(*granted));
    // Strict runs are short and all of one urgency; in others an agent's late stages give way to the first of others.
    const bool late = number > 4;
    stage.request.priority(style_ == prompt_style::strict ? request_priority::high
                           : late                         ? request_priority::low
                                                          : request_priority::normal);
    shares_->add(kind.name, held_by(stage));
    return shortage::none;
  }

  /// Until an answer has shown what prompts cost here, no more is sent than fits under the cap at its worst.
  [[nodiscard]] bool is_proven_for(token_count more) const {
    return estimator_.answers_seen() > 0 ||
           more + unproven_ + cost_of_aside().worst <= budget_.options().session_cap_tokens;
  }

  void prepare(running_stage& stage, brief about) const {
    stage.about = std::move(about);
    stage.request = workers_[stage.member].agent.request_for(stage.about);
    stage.size = prompt_size_of(stage.request);
    // What grows under Unicode normalisation can be more tokens than bytes: planned in full.
    const token_count growth = stage.size.text_bound - stage.size.bytes - stage.size.messages;
    stage.planned_prompt = estimator_.planned(stage.size) + std::max<token_count>(0, growth);
  }
  /// All that is spent on a prompt, and on what a server makes that ignores max_tokens.
  [[nodiscard]] token_count at_most(const prompt_size& size) const {
    return estimator_.at_most(size) + (budget_.is_hard() ? tokens_on_the_way : 0);
  }
  [[nodiscard]] reservation_request request_for(const running_stage& stage, token_count answer,
                                                reservation_size size) const {
    return {
        .agent = members_[stage.member].id,
        .role = members_[stage.member].role.name,
        .stage = stage.about.stage,
        .prompt_tokens_at_most = at_most(stage.size),
        .prompt_tokens_planned = stage.planned_prompt,
        .answer_tokens = answer,
        .size = size,
        .nano_cost_at_most = options_.price ? options_.price->at_most(at_most(stage.size), answer).nano_units() : -1};
  }
  /// Takes the reservation over. Where less was granted than the prompt speaks of, the prompt is told, if it gets no longer.
  void accept(running_stage& stage, ledger::reservation granted) const {
    const token_count tokens = granted.max_tokens();
    stage.reservation.emplace(std::move(granted));
    if (tokens < stage.about.max_tokens) {
      brief shorter = stage.about;
      shorter.max_tokens = tokens;
      chat_request again = workers_[stage.member].agent.request_for(shorter);
      const prompt_size size = prompt_size_of(again);
      if (size.bytes <= stage.size.bytes && size.text_bound <= stage.size.text_bound) stage.request = std::move(again);
    }
    stage.request.max_tokens(tokens);
  }
  [[nodiscard]] static token_count held_by(const running_stage& stage) {
    return stage.planned_prompt + stage.request.max_tokens().value_or(0);
  }

  task<void> ask(running_stage& stage) {
    tell(stage.about.final_text ? session_event::kind::final_started : session_event::kind::stage_started, stage);
    stage.begin = co_await this_task::now();
    if (result_.requests++ == 0) first_request_ = stage.begin;
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
    const answer_allowance paid{
        .answer_tokens = stage.reservation->max_tokens(), .prompt_bytes = stage.size.bytes, .time = time_for(stage)};
    co_return co_await collect_within(llm_.stream(std::move(request)), paid);
  }

  /// Until the limit of the run, or for a stage of the team its soft line: then the answer is cut.
  [[nodiscard]] std::chrono::nanoseconds time_for(const running_stage& stage) const {
    const run_limits& limits = options_.limits;
    if (!limits.time) return std::chrono::nanoseconds::max();
    const double share = stage.about.final_text ? 1.0 : limits.hand_back_at;
    const auto all = std::chrono::nanoseconds{std::llround(share * static_cast<double>(limits.time->count()))};
    return std::max(std::chrono::nanoseconds{0}, all - (stage.begin - first_request_));
  }

  /// In nano-units of money, when nothing came back.
  [[nodiscard]] std::int64_t cost_of_lost(const running_stage& stage, token_count charged) const {
    if (!options_.price || charged == 0) return 0;
    return options_.price->at_most(stage.planned_prompt, charged - stage.planned_prompt).nano_units();
  }

  /// A request that was lost on the way, and may have cost all that was reserved for it, is paid and sent once more, if
  /// the budget and the limits of the run have enough. In the order of the view, so that it does not depend on the order
  /// in which requests are lost.
  task<void> ask_again(running_stage& stage) {
    const token_count lost = held_by(stage);
    if (!stage.repeat_wanted || !is_before_soft_line(lost) || !is_proven_for(lost)) co_return;
    auto paid = budget_.try_reserve(request_for(stage, stage.reservation->max_tokens(), reservation_size::whole));
    if (!paid) co_return;
    stage.reservation.reset();  // charges it
    stage.reservation.emplace(std::move(*paid));
    result_.timeline.push_back(span_of(stage));
    meter_.add({.tokens = lost, .nano_cost = cost_of_lost(stage, lost), .time = stage.end - first_request_});
    shares_->add(workers_[stage.member].agent.role().name, lost);
    unproven_ += lost;
    co_await ask(stage);
  }

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
    if (members_[stage.member].role.name == roles::synthesis.name && made->confidence >= options_.accepted_confidence &&
        !std::exchange(result_.accepted, true))
      tell(session_event::kind::accepted, stage, made->confidence);
    co_await post_->publish(std::move(*made), stage.index);
    co_await post_->processed();
  }

  static task<void> stop_point() {
    const stop_token stop = co_await this_task::stop_token();
    if (stop.stop_requested()) throw cancelled{"running a session"};
  }

  /// Charges a request that has ended, and keeps what came of it.
  std::optional<contribution> account(running_stage& stage) {
    worker& who = workers_[stage.member];
    stage.settled = true;
    std::erase(who.in_flight, stage.index);
    result_.timeline.push_back(span_of(stage));
    std::optional<contribution> made;
    token_count charged = 0;
    if (stage.answer) {
      made = account_answer(stage, who);
      charged = made->usage.total_tokens;
      result_.timeline.back().usage = made->usage;
    } else {
      charged = account_failure(stage, who);
    }
    const std::int64_t cost =
        made && options_.price ? options_.price->cost(made->usage).nano_units() : cost_of_lost(stage, charged);
    meter_.add({.tokens = charged, .nano_cost = cost, .time = stage.end - first_request_});
    if (!stage.about.final_text) {
      shares_->add(who.agent.role().name, charged - held_by(stage));
      unproven_ += charged - stage.worst;
    }
    return made;
  }

  [[nodiscard]] request_span span_of(const running_stage& stage) const {
    const agent& who = workers_[stage.member].agent;
    return {.agent = std::string{who.id().name()},
            .role = std::string{who.role().name.name()},
            .stage = stage.about.stage,
            .priority = stage.request.priority(),
            .begin = stage.begin,
            .end = stage.end,
            .failure = stage.answer ? std::string{} : stage.answer.message(),
            .final_text = stage.about.final_text};
  }

  contribution account_answer(running_stage& stage, worker& who) {
    const chat_response answer = with_usage(std::move(*stage.answer), stage);
    const bool costs = options_.price && !answer.usage().estimated;
    if (costs) {
      stage.reservation->settle(answer.usage(), options_.price->cost(answer.usage()).nano_units());
    } else {
      stage.reservation->settle(answer.usage());
    }
    stage.reservation.reset();
    if (!answer.usage().estimated) estimator_.learn(stage.size, answer.usage().prompt_tokens);
    contribution made = who.agent.take(stage.about, answer);
    made.tick = stage.tick;
    who.motion.adapt(who.agent.confidences());
    ++who.stages;
    who.usage += made.usage;
    result_.usage += made.usage;
    result_.contributions.push_back(made);
    tell(stage.about.final_text ? session_event::kind::final_ended : session_event::kind::stage_ended, stage,
         made.confidence, made.usage.total_tokens);
    return made;
  }

  /// Gives what it may have cost.
  token_count account_failure(running_stage& stage, worker& who) {
    const auto [cost, was_cancelled] = failure_of(stage.answer.error());
    if (cost == request_cost::none) stage.reservation->release();
    stage.reservation.reset();  // not released: it charges what may have been spent
    const token_count charged = cost == request_cost::none ? 0 : held_by(stage);
    if (was_cancelled) return charged;
    ++result_.failed;
    last_failure_ = stage.answer.error();
    if (!stage.about.final_text) who.state = agent_report::state::failed;
    tell(stage.about.final_text ? session_event::kind::final_failed : session_event::kind::stage_failed, stage, 0, 0,
         stage.answer.message());
    return charged;
  }

  struct failure {
    request_cost cost;
    bool was_cancelled;
  };
  static failure failure_of(const std::exception_ptr& caught) {
    if (!caught) return {request_cost::none, true};  // it was never asked
    try {
      std::rethrow_exception(caught);
    } catch (const error& known) {
      return {known.cost(), known.code() == errc::cancelled};
    } catch (...) {
      return {request_cost::unknown, false};
    }
  }

  /// A server that sends no usage is charged by estimate: the planned prompt, and a token for three bytes of the answer.
  /// One that had to be cut does not keep to what it was told: its prompt is charged at its bound.
  [[nodiscard]] chat_response with_usage(chat_response answer, const running_stage& stage) const {
    token_usage usage = answer.usage();
    if (!usage.estimated) return answer;
    const token_count most = stage.request.max_tokens().value_or(0);
    const bool cut = usage.completion_tokens > most;
    const auto visible = static_cast<token_count>((answer.text().size() + 2) / 3);
    usage.prompt_tokens = std::max(usage.prompt_tokens, cut ? estimator_.at_most(stage.size) : stage.planned_prompt);
    usage.completion_tokens = std::max(usage.completion_tokens, std::min(visible, most));
    usage.total_tokens = std::max(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    return std::move(answer.usage(usage));
  }

  /// What the agent gets to read: the newest finding of each agent that its role reads, of the stages before `readable`.
  [[nodiscard]] std::string findings_for(const agent& reader, std::size_t readable, std::size_t max_bytes) const {
    return post_->findings(max_bytes, [&](const post_message& message) {
      return message.order < readable && message.from != reader.id() && reader.role().reads_from(message.role);
    });
  }

  /// No stage of this role is planned to cost more.
  [[nodiscard]] token_count dearest_stage(const role_id& kind) const {
    const prompt_limits limits = limits_of(style_);
    prompt_size size;
    size.bytes = static_cast<token_count>(limits.system_bytes + limits.findings_bytes + result_.task.size() + 32);
    size.text_bound = size.bytes;
    size.messages = 2;
    return estimator_.planned(size) + budget_.allotment_of(kind).stage_max_tokens;
  }

  // --- The final text: set aside for at the start, written at the end ---

  struct aside_cost {
    token_count planned = 0;
    token_count worst = 0;
  };

  [[nodiscard]] brief final_brief(std::size_t member, std::string findings) const {
    return {.task = result_.task,
            .focus = members_[member].focus,
            .findings = std::move(findings),
            .depth = 1.0,
            .stage = workers_[member].agent.stages() + 1,
            .max_tokens = most_final_tokens(),
            .style = style_,
            .final_text = true,
            .part = parts_ > 1 ? members_[member].focus : std::string{}};
  }
  /// As much as an agent of the role gets in all: a text one would publish, not a paragraph. Two parts get two thirds
  /// of it each, and so on.
  [[nodiscard]] token_count most_final_tokens() const {
    const token_count base = budget_.allotment_of(roles::synthesis.name).base_tokens;
    return std::max(2 * base / (1 + static_cast<token_count>(parts_)), budget_.options().min_stage_tokens);
  }
  /// Several parts share the room for findings.
  [[nodiscard]] std::size_t final_findings_bytes() const {
    return limits_of(style_).final_findings_bytes / std::max<std::size_t>(1, parts_);
  }
  [[nodiscard]] prompt_size final_size(std::size_t findings_bytes) const {
    const auto writer =
        static_cast<std::size_t>(std::find_if(members_.begin(), members_.end(), is_writer) - members_.begin());
    prompt_size size =
        prompt_size_of(workers_[writer].agent.request_for(final_brief(writer, std::string(findings_bytes, 'x'))));
    return size;
  }

  /// Every synthesis agent writes a part, as long as the smallest parts fit into the role's share; one always does.
  void choose_parts() {
    parts_ = static_cast<std::size_t>(std::count_if(members_.begin(), members_.end(), is_writer));
    const token_count share = shares_->share_of(roles::synthesis.name);
    const token_count least = budget_.options().min_stage_tokens;
    while (parts_ > 1 &&
           static_cast<token_count>(parts_) * (estimator_.planned(final_size(final_findings_bytes())) + least) > share)
      --parts_;
  }

  /// Planned: the synthesis' share, or more if the smallest text needs more. Worst case: the smallest text of each part,
  /// without findings.
  [[nodiscard]] aside_cost cost_of_aside() const {
    const token_count least = budget_.options().min_stage_tokens;
    const auto parts = static_cast<token_count>(parts_);
    const token_count smallest = parts * (estimator_.planned(final_size(final_findings_bytes())) + least);
    return {.planned = std::max(shares_->share_of(roles::synthesis.name), smallest),
            .worst = parts * (at_most(final_size(0)) + least)};
  }
  void resize_aside() {
    const aside_cost cost = cost_of_aside();
    // Refused only when an estimate has grown beyond what is left: then what was set aside so far stays so.
    static_cast<void>(aside_->resize(cost.planned, cost.worst));
  }

  task<void> write_final_text() {
    const std::vector<std::size_t> writers = choose_writers();
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
        if (reserve_part(part, missing.size() - j)) {
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

  /// The writers of the parts, in the team's order: the deepest ones that have not failed, if any has not.
  [[nodiscard]] std::vector<std::size_t> choose_writers() const {
    std::vector<std::size_t> writers;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (is_writer(members_[i])) writers.push_back(i);
    }
    const auto before = [this](std::size_t a, std::size_t b) {
      const bool a_failed = workers_[a].state == agent_report::state::failed;
      const bool b_failed = workers_[b].state == agent_report::state::failed;
      if (a_failed != b_failed) return b_failed;
      const double a_depth = workers_[a].motion.depth(), b_depth = workers_[b].motion.depth();
      return a_depth != b_depth ? a_depth > b_depth : a < b;
    };
    std::sort(writers.begin(), writers.end(), before);
    writers.resize(std::min(writers.size(), parts_));
    std::sort(writers.begin(), writers.end());
    return writers;
  }

  /// Takes one of `parts` equal parts of what is left, with as many findings as leave room for a text of decent length.
  bool reserve_part(running_stage& part, std::size_t parts) {
    const budget_status status = budget_.system_status();
    token_count free = status.cap - status.settled - status.reserved + aside_->tokens();
    if (const auto left = meter_.left().tokens) {
      token_count taken = 0;
      for (const running_stage& other : final_parts_)
        if (other.reservation) taken += held_by(other);
      free = std::min(free, *left - taken);
    }
    const token_count room = free / static_cast<token_count>(parts);
    const token_count least = budget_.options().min_stage_tokens;
    const token_count decent =
        std::max(least, std::min(most_final_tokens(), budget_.allotment_of(roles::synthesis.name).stage_max_tokens));
    const agent& writer = workers_[part.member].agent;
    token_count answer = 0;
    for (std::size_t bytes = final_findings_bytes();; bytes /= 2) {
      prepare(part,
              final_brief(part.member, findings_for(writer, stages_.empty() ? 0 : stages_.back().index + 1, bytes)));
      const token_count prompt = budget_.is_hard() ? at_most(part.size) : part.planned_prompt;
      answer = std::min(most_final_tokens(), room - prompt);
      if (answer >= decent || bytes == 0) break;
      if (bytes < smallest_findings) bytes = 0;  // halved, it stays 0: a last try without any
    }
    if (answer < least) return false;
    auto granted = budget_.try_reserve(request_for(part, answer, reservation_size::what_is_left), *aside_);
    if (!granted) return false;
    accept(part, std::move(*granted));
    part.request.priority(request_priority::urgent);
    return true;
  }

  // --- What is left when it is over, however it ended ---

  void finish() {
    for (auto& stage : stages_) {
      if (!stage.settled && stage.reservation) account(stage);
    }
    for (auto& part : final_parts_) {
      if (!part.settled && part.reservation) account(part);
    }
    aside_.reset();
    if (result_.final_text.empty()) result_.final_text = best_text();
    result_.messages = post_->messages();
    for (std::size_t i = 0; i < members_.size(); ++i) {
      result_.agents.push_back({.id = members_[i].id,
                                .role = members_[i].role.name,
                                .focus = members_[i].focus,
                                .spawn_time = members_[i].spawn_time,
                                .stages = workers_[i].stages,
                                .usage = workers_[i].usage,
                                .last_state = workers_[i].state});
    }
    auto last = first_request_;
    for (const auto& span : result_.timeline) last = std::max(last, span.end);
    if (result_.requests > 0) {
      result_.duration = last - first_request_;
      result_.team_duration = std::max(first_request_, final_begin_.value_or(last)) - first_request_;
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
                       .agent = members_[stage.member].id,
                       .role = members_[stage.member].role.name,
                       .stage = stage.about.stage,
                       .tick = stage.tick,
                       .tokens = tokens,
                       .confidence = sure,
                       .message = std::move(message)});
  }

  static constexpr int final_attempts = 2;
  static constexpr std::size_t smallest_findings = 50;  // bytes; fewer say nothing

  model_ref llm_;
  ledger& budget_;
  session_options options_;
  prompt_style style_;
  std::vector<team_member> members_;
  std::optional<std::size_t> last_resort_;  // the member that only writes the final text
  std::deque<worker> workers_;              // beside members_
  std::optional<central_post> post_;
  any_estimator estimator_;  // learns in the order of the view
  std::optional<detail::role_shares> shares_;
  std::optional<ledger::set_aside> aside_;
  run_meter meter_;
  token_count unproven_ = 0;          // spent, and in flight at its worst; until the first answer
  std::size_t parts_ = 1;             // of the final text
  std::deque<running_stage> stages_;  // sent ones, by index
  std::size_t first_open_ = 0;        // the first in stages_ that is not part of the view
  std::deque<running_stage> final_parts_;
  std::chrono::steady_clock::time_point first_request_ = {};
  std::optional<std::chrono::steady_clock::time_point> final_begin_;
  std::exception_ptr last_failure_;
  session_result result_;
};

}  // namespace felix::inline v1
