// SPDX-License-Identifier: MIT
// agent: one worker: a role, a model, and what it has done so far.
#pragma once

#include <felix/agent/agent_stream.hpp>
#include <felix/agent/agent_task.hpp>
#include <felix/agent/confidence.hpp>
#include <felix/agent/contribution.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/agent/random.hpp>
#include <felix/agent/role.hpp>
#include <felix/agent/tool.hpp>
#include <felix/agent/tool_loop.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/model.hpp>
#include <felix/usage.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

struct agent_options {
  agent_id id = {};                        ///< empty: the role's name
  std::string focus = {};                  ///< "technical", "accuracy", …
  std::optional<std::uint64_t> seed = {};  ///< what each stage's request is seeded from; none: the server draws
  std::vector<tool> tools = {};            ///< what it may call while it works on a task
  int max_tool_rounds = 4;                 ///< answers that may ask for calls, for each task; then one more without
  run_limits tool_limits = {};             ///< of all rounds of a task together
};

/// What an agent has done so far.
struct agent_usage {
  int answers = 0;  ///< a task with tools may take several, and counts as one
  int failed = 0;   ///< tasks without an answer; those that were stopped do not count
  token_usage usage = {};
  std::chrono::nanoseconds time{0};  ///< of its tasks, from process() or the first next() to the answer or the failure
  double confidence = 0;             ///< of the last answer
  double confidence_trend = 0;       ///< of the last ten answers, the last one less the first one

  [[nodiscard]] std::chrono::nanoseconds mean_time() const noexcept {
    return answers + failed > 0 ? time / (answers + failed) : std::chrono::nanoseconds{0};
  }
};

/// A worker that anyone can give tasks to.
///     felix::agent critic{llm, felix::roles::critic, {.focus = "accuracy"}};
///     auto [facts, doubts] = co_await felix::when_all(researcher(topic), critic(topic));
/// Threads:  one at a time.
/// Stop, Throws: as its model.
/// Lifetime: the model outlives it; a temporary one is rejected.
class agent {
 public:
  agent(model_ref llm, felix::role kind, agent_options options = {})
      : llm_{llm}, role_{std::move(kind)}, options_{std::move(options)} {
    if (options_.id.empty()) options_.id = role_.name.name();
    if (!role_.prompt) throw error{errc::invalid_option, "agent: its role has no prompt; set role::prompt"};
    if (options_.max_tool_rounds < 1)
      throw error{errc::invalid_option, "agent: max_tool_rounds is " + std::to_string(options_.max_tool_rounds) +
                                            "; use at least 1, or give it no tools"};
    options_.tool_limits.validate();
  }

  /// Asks the model once, or with tools until it has answered (tool_loop.hpp). Each call is a stage of the agent.
  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  task<contribution> process(agent_task work) {
    const auto begun = co_await this_task::now();
    task<contribution> asked = ask(std::move(work));
    std::exception_ptr failure;
    contribution made;
    try {
      made = co_await std::move(asked);
    } catch (...) {
      failure = std::current_exception();
    }
    const auto ended = co_await this_task::now();
    note(ended - begun, failure);
    if (failure) std::rethrow_exception(failure);
    co_return made;
  }
  template <class = void>
  task<contribution> operator()(agent_task work) {
    return process(std::move(work));
  }

  /// From plain code: waits for it, and drives the model's loop meanwhile if that is this thread's and idle. A model that does
  /// not say where it lives (model_ref::loop) is waited for only: the loop it needs has to run on another thread.
  /// Throws deadlock_error inside a running loop, too.
  template <class = void>
  contribution process_sync(agent_task work) {
    if (scheduler* const home = llm_.loop()) return sync_wait(*home, process(std::move(work)));
    return sync_wait(process(std::move(work)));
  }

  /// The answer as it comes. It is a stage once it is whole; nothing is sent before the first next().
  /// Throws error (invalid_argument) for an agent with tools: what they are called for is no answer yet.
  [[nodiscard]] agent_stream stream(agent_task work) {
    if (!options_.tools.empty())
      throw error{errc::invalid_argument, "agent: \"" + std::string{options_.id.name()} +
                                              "\" has tools, whose rounds cannot be streamed; use process()"};
    auto about = std::make_shared<brief>();  // of the stage that it is when it begins
    return {[this, about, work = std::move(work)]() mutable {
              *about = brief_of(work);
              return llm_.stream(request_of(*about, work));
            },
            [this, about](const chat_response& answer) { return take(*about, answer); },
            [this](std::chrono::nanoseconds took, const std::exception_ptr& failure) { note(took, failure); }};
  }

  /// The request of one stage, without a limit: for whoever reserves tokens before it is sent. It is told how much to
  /// compress by its role, depth and stage.
  [[nodiscard]] chat_request request_for(brief about) const {
    about.compression = role_.compression.at(about.depth, about.stage);
    chat_request request;
    request.system(role_.prompt(about)).user(user_text(about)).temperature(role_.temperature.at(about.depth));
    if (options_.seed)
      request.seed(derive_seed(*options_.seed, options_.id.name(), static_cast<std::uint64_t>(about.stage)));
    return request;
  }

  /// Makes an answer the agent's contribution: counts the stage and judges its confidence.
  contribution take(const brief& about, const chat_response& answer) { return take(about, answer, answer.usage()); }

  [[nodiscard]] const agent_id& id() const noexcept { return options_.id; }
  [[nodiscard]] const felix::role& role() const noexcept { return role_; }
  [[nodiscard]] const std::string& focus() const noexcept { return options_.focus; }
  /// Answers so far.
  [[nodiscard]] int stages() const noexcept { return stages_; }
  /// The last ten, oldest first.
  [[nodiscard]] const std::vector<double>& confidences() const noexcept { return confidences_; }
  [[nodiscard]] agent_usage usage_stats() const noexcept {
    agent_usage now = used_;
    now.answers = stages_;
    if (!confidences_.empty()) {
      now.confidence = confidences_.back();
      now.confidence_trend = confidences_.back() - confidences_.front();
    }
    return now;
  }
  [[nodiscard]] model_ref llm() const noexcept { return llm_; }

 private:
  static constexpr std::size_t kept_confidences = 10;

  [[nodiscard]] brief brief_of(agent_task& work) const {
    return {.task = std::move(work.text_),
            .focus = options_.focus,
            .findings = std::move(work.findings_),
            .depth = work.depth_,
            .stage = stages_ + 1,
            .max_tokens = work.max_tokens_};
  }
  [[nodiscard]] chat_request request_of(const brief& about, const agent_task& work) const {
    chat_request request = request_for(about).priority(work.priority_);
    if (about.max_tokens > 0) request.max_tokens(about.max_tokens);
    return request;
  }

  template <class = void>
  task<contribution> ask(agent_task work) {
    const brief about = brief_of(work);
    chat_request request = request_of(about, work);
    if (!options_.tools.empty()) co_return co_await process_with_tools(about, std::move(request));
    const chat_response answer = co_await llm_.complete(std::move(request));
    co_return take(about, answer);
  }
  contribution take(const brief& about, const chat_response& answer, const token_usage& spent) {
    ++stages_;
    used_.usage += spent;
    const double sure = confidence(role_.confidence, about.depth, answer.text(), about.stage, confidences_);
    confidences_.push_back(sure);
    if (confidences_.size() > kept_confidences) confidences_.erase(confidences_.begin());
    contribution made;
    made.agent = options_.id;
    made.role = role_.name;
    made.text = answer.text();
    made.stage = about.stage;
    made.depth = about.depth;
    made.confidence = sure;
    made.usage = spent;
    made.finish_reason = answer.finish_reason();
    made.final_text = about.final_text;
    return made;
  }
  void note(std::chrono::nanoseconds took, const std::exception_ptr& failure) {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const cancelled&) {
      return;
    } catch (...) {
      ++used_.failed;
    }
    used_.time += took;
  }

  template <class = void>
  task<contribution> process_with_tools(brief about, chat_request request) {
    const tool_loop_options options{.max_rounds = options_.max_tool_rounds, .limits = options_.tool_limits};
    tool_loop loop{options_.tools, options, [this](chat_request next) { return llm_.complete(std::move(next)); }};
    tool_loop_result run = co_await loop.run(std::move(request));
    contribution made = take(about, run.answer, run.usage);
    made.tool_calls = std::move(run.calls);
    made.tools_ended_by = run.ended_by;
    co_return made;
  }

  model_ref llm_;
  felix::role role_;
  agent_options options_;
  int stages_ = 0;
  std::vector<double> confidences_;
  agent_usage used_;
};

}  // namespace felix::inline v1
