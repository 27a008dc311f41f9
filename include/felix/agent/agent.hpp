// SPDX-License-Identifier: MIT
// agent: one worker: a role, a model, and what it has done so far.
#pragma once

#include <felix/agent/confidence.hpp>
#include <felix/agent/motion.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/agent/random.hpp>
#include <felix/agent/role.hpp>
#include <felix/agent/tool.hpp>
#include <felix/agent/tool_loop.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/model.hpp>
#include <felix/usage.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// What an agent is asked to do. Built fluently; a plain text will do.
class agent_task {
 public:
  agent_task(std::string text) : text_{std::move(text)} {}
  agent_task(const char* text) : text_{text} {}

  agent_task& priority(request_priority level) & {
    priority_ = level;
    return *this;
  }
  agent_task priority(request_priority level) && { return std::move(priority(level)); }
  /// Where on the helix: 0 broad to 1 focused.
  agent_task& at(double depth) & {
    if (!(depth >= 0 && depth <= 1))
      throw error{errc::invalid_argument, "agent_task: depth is " + std::to_string(depth) + "; use 0 to 1"};
    depth_ = depth;
    return *this;
  }
  agent_task at(double depth) && { return std::move(at(depth)); }
  /// What others found, to build on.
  agent_task& findings(std::string text) & {
    findings_ = std::move(text);
    return *this;
  }
  agent_task findings(std::string text) && { return std::move(findings(std::move(text))); }
  /// The most tokens of the answer, at least 1; without it there is no limit.
  agent_task& max_tokens(token_count tokens) & {
    if (tokens < 1)
      throw error{errc::invalid_argument, "agent_task: max_tokens is " + std::to_string(tokens) +
                                              "; ask for at least 1, or do not give the task"};
    max_tokens_ = tokens;
    return *this;
  }
  agent_task max_tokens(token_count tokens) && { return std::move(max_tokens(tokens)); }

 private:
  friend class agent;
  std::string text_, findings_;
  request_priority priority_ = request_priority::normal;
  double depth_ = 0;
  token_count max_tokens_ = 0;  // 0: none was given
};

/// What an agent gives back.
struct contribution {
  contribution() = default;  // declared: g++ 12 destroys awaited aggregates twice, and publish() takes one

  agent_id agent = {};
  role_id role = {};
  std::string text = {};
  int stage = 1;
  double depth = 0;
  double confidence = 0;  ///< 0 to 1, by the role's curve and the text's quality
  token_usage usage = {};
  felix::finish_reason finish_reason = felix::finish_reason::stop;
  tick_count tick = 0;      ///< logical time of the stage, in a session
  bool final_text = false;  ///< a part of a session's result
  std::vector<tool_call_record> tool_calls = {};
  tool_loop_end tools_ended_by = tool_loop_end::answered;  ///< why no more tools were called
};

struct agent_options {
  agent_id id = {};                        ///< empty: the role's name
  std::string focus = {};                  ///< "technical", "accuracy", …
  std::optional<std::uint64_t> seed = {};  ///< what each stage's request is seeded from; none: the server draws
  std::vector<tool> tools = {};            ///< what it may call while it works on a task
  int max_tool_rounds = 4;                 ///< answers that may ask for calls, for each task; then one more without
  run_limits tool_limits = {};             ///< of all rounds of a task together
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
  task<contribution> process(agent_task work) {
    const brief about{.task = std::move(work.text_),
                      .focus = options_.focus,
                      .findings = std::move(work.findings_),
                      .depth = work.depth_,
                      .stage = stages_ + 1,
                      .max_tokens = work.max_tokens_};
    chat_request request = request_for(about).priority(work.priority_);
    if (about.max_tokens > 0) request.max_tokens(about.max_tokens);
    if (!options_.tools.empty()) co_return co_await process_with_tools(about, std::move(request));
    const chat_response answer = co_await llm_.complete(std::move(request));
    co_return take(about, answer);
  }
  task<contribution> operator()(agent_task work) { return process(std::move(work)); }

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
  contribution take(const brief& about, const chat_response& answer) {
    ++stages_;
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
    made.usage = answer.usage();
    made.finish_reason = answer.finish_reason();
    made.final_text = about.final_text;
    return made;
  }

  [[nodiscard]] const agent_id& id() const noexcept { return options_.id; }
  [[nodiscard]] const felix::role& role() const noexcept { return role_; }
  [[nodiscard]] const std::string& focus() const noexcept { return options_.focus; }
  /// Answers so far.
  [[nodiscard]] int stages() const noexcept { return stages_; }
  /// The last ten, oldest first.
  [[nodiscard]] const std::vector<double>& confidences() const noexcept { return confidences_; }
  [[nodiscard]] model_ref llm() const noexcept { return llm_; }

 private:
  static constexpr std::size_t kept_confidences = 10;

  task<contribution> process_with_tools(brief about, chat_request request) {
    const tool_loop_options options{.max_rounds = options_.max_tool_rounds, .limits = options_.tool_limits};
    tool_loop loop{options_.tools, options, [this](chat_request next) { return llm_.complete(std::move(next)); }};
    tool_loop_result run = co_await loop.run(std::move(request));
    contribution made = take(about, run.answer);
    made.usage = run.usage;
    made.tool_calls = std::move(run.calls);
    made.tools_ended_by = run.ended_by;
    co_return made;
  }

  model_ref llm_;
  felix::role role_;
  agent_options options_;
  int stages_ = 0;
  std::vector<double> confidences_;
};

}  // namespace felix::inline v1
