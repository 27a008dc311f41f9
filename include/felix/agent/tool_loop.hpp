// SPDX-License-Identifier: MIT
// agent: asks a model, calls the tools that it asks for, and asks again, until it has answered.
#pragma once

#include <felix/agent/tool.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_message.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/json_value.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

struct tool_loop_options {
  int max_rounds = 4;  ///< answers that may ask for calls; then one more without
  int max_repetitions =
      3;  ///< so often the same call is carried out, and so many rounds in a row may bring nothing new
  /// Of all rounds together. From the soft line on the model hands back what it has, without tools.
  run_limits limits = {};
};

/// What became of a call that the model has asked for.
struct tool_call_record {
  tool_call_record() = default;  // declared: g++ 12 destroys a temporary aggregate of a co_await twice

  int round = 1;
  std::string name = {};
  std::string arguments = {};  ///< as the model wrote them
  std::string result = {};     ///< as the model was told; "error: …" when it failed
  bool failed = false;
  std::chrono::steady_clock::time_point begin = {}, end = {};
};

/// Why no more calls were carried out.
enum class tool_loop_end : unsigned char {
  answered,     ///< the model asked for none
  rounds,       ///< max_rounds
  no_progress,  ///< max_repetitions
  limits        ///< the soft line of tool_loop_options::limits, or a limit
};

[[nodiscard]] constexpr std::string_view to_string(tool_loop_end end) noexcept {
  constexpr std::array<std::string_view, 4> names{"answered", "rounds", "no_progress", "limits"};
  return names[static_cast<std::size_t>(end)];
}

/// What a loop has brought.
struct tool_loop_result {
  tool_loop_result() = default;  // declared: g++ 12 destroys a temporary aggregate of a co_await twice

  chat_response answer = {};  ///< the last one
  token_usage usage = {};     ///< of all
  std::vector<tool_call_record> calls = {};
  int rounds = 0;  ///< answers
  tool_loop_end ended_by = tool_loop_end::answered;
};

/// Asks with `send` (a chat_request to a task of a chat_response), again and again. Calls of one answer are carried out side
/// by side; the model gets a result for each, in order, with the id of the call. Of a tool that does not exist, arguments
/// that are no object, a tool that throws or takes too long, or that was called too often, the result says so.
/// Stop:     stops the request or the tools; throws `cancelled`.
/// Throws:   what `send` throws. Not what tools throw.
template <class Send>
class tool_loop {
 public:
  tool_loop(const std::vector<tool>& tools, const tool_loop_options& options, Send send)
      : tools_{tools}, options_{options}, send_{std::move(send)}, meter_{options.limits} {}
  tool_loop(tool_loop&&) = delete;

  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  task<tool_loop_result> run(chat_request request) {
    for (const tool& each : tools_) request.tool(each.offered());
    const auto begin = co_await this_task::now();
    for (;;) {
      const bool is_last = must_hand_back();
      if (is_last) request.tool_choice(tool_mode::none);
      result_.answer = co_await send_(request);
      ++result_.rounds;
      result_.usage += result_.answer.usage();
      const std::vector<tool_call> calls = result_.answer.tool_calls();
      if (is_last || calls.empty()) break;
      request.assistant(result_.answer.text(), calls);
      const std::size_t first = result_.calls.size();
      co_await carry_out(calls);
      for (std::size_t i = 0; i < calls.size(); ++i) request.tool_result(calls[i].id, result_.calls[first + i].result);
      const auto now = co_await this_task::now();
      meter_.add({.tokens = result_.answer.usage().total_tokens,
                  .time = now - begin,
                  .tool_calls = static_cast<std::int64_t>(calls.size())});
      note_progress(first);
    }
    co_return std::move(result_);
  }

 private:
  /// Before the next answer: whether it is the last.
  bool must_hand_back() {
    if (meter_.next() != next_turn::go_on) {
      result_.ended_by = tool_loop_end::limits;
    } else if (stale_rounds_ >= options_.max_repetitions || repeats_itself_) {
      result_.ended_by = tool_loop_end::no_progress;
    } else if (result_.rounds >= options_.max_rounds) {
      result_.ended_by = tool_loop_end::rounds;
    } else {
      return false;
    }
    return true;
  }

  template <class = void>
  task<void> carry_out(const std::vector<tool_call>& calls) {
    std::vector<task<tool_call_record>> running;
    running.reserve(calls.size());
    std::int64_t left = meter_.left().tool_calls.value_or(static_cast<std::int64_t>(calls.size()));
    for (const tool_call& call : calls) running.push_back(carry_out(call, left-- > 0));
    std::vector<tool_call_record> records = co_await when_all(std::move(running));
    const stop_token stop = co_await this_task::stop_token();
    if (stop.stop_requested()) throw cancelled{"calling tools"};
    for (auto& record : records) result_.calls.push_back(std::move(record));
  }

  template <class = void>
  task<tool_call_record> carry_out(const tool_call& call, bool may_be_called) {
    tool_call_record record;
    record.round = result_.rounds;
    record.name = call.name;
    record.arguments = call.arguments;
    record.begin = co_await this_task::now();
    try {
      if (!may_be_called) throw error{errc::invalid_argument, "no more calls may be made; answer with what you have"};
      task<std::string> called = start(call);
      const auto answer = co_await as_result(timeout(time_of(call.name), std::move(called)));
      record.result = answer.value();
    } catch (const timed_out&) {
      record.result = "error: it took too long";
      record.failed = true;
    } catch (const std::exception& failure) {
      record.result = std::string{"error: "} + failure.what();
      record.failed = true;
    } catch (...) {
      record.result = "error: it failed";
      record.failed = true;
    }
    record.end = co_await this_task::now();
    co_return record;
  }

  /// Throws what the model did wrong.
  template <class = void>
  task<std::string> start(const tool_call& call) {
    const auto found = std::find_if(tools_.begin(), tools_.end(), [&](const tool& t) { return t.name() == call.name; });
    if (found == tools_.end()) throw error{errc::invalid_argument, "there is no tool of that name; " + all_names()};
    json_value arguments;
    try {
      arguments = json_value::parse(call.arguments.empty() ? "{}" : std::string_view{call.arguments});
      static_cast<void>(arguments.object());
    } catch (const error& wrong) {
      throw error{errc::invalid_argument, std::string{"the arguments are no JSON object: "} + wrong.what()};
    }
    const int times = ++times_[call.name + '\n' + arguments.text()];
    if (times > options_.max_repetitions) {
      repeats_itself_ = true;
      throw error{errc::invalid_argument, "the same call was made before; use its result"};
    }
    if (const auto most = found->options().max_calls; most && ++calls_of_[call.name] > *most)
      throw error{errc::invalid_argument, "this tool may not be called more often"};
    return (*found)(std::move(arguments));
  }
  [[nodiscard]] std::string all_names() const {
    std::string names = "there are:";
    for (const tool& each : tools_) names += ' ' + each.name();
    return names;
  }
  [[nodiscard]] std::chrono::nanoseconds time_of(const std::string& name) const {
    const auto found = std::find_if(tools_.begin(), tools_.end(), [&](const tool& t) { return t.name() == name; });
    constexpr std::chrono::nanoseconds for_ever = std::chrono::hours{24 * 365};
    const auto most = found != tools_.end() ? std::min(found->options().time, for_ever) : for_ever;
    return std::min(most, meter_.left().time.value_or(most));
  }

  void note_progress(std::size_t first) {
    bool is_new = false;
    for (std::size_t i = first; i < result_.calls.size(); ++i)
      is_new = seen_.insert(result_.calls[i].name + '\n' + result_.calls[i].result).second || is_new;
    stale_rounds_ = is_new ? 0 : stale_rounds_ + 1;
  }

  const std::vector<tool>& tools_;
  const tool_loop_options options_;
  Send send_;
  run_meter meter_;
  tool_loop_result result_;
  std::map<std::string, int> times_;     // by call
  std::map<std::string, int> calls_of_;  // by tool
  std::set<std::string> seen_;           // results
  int stale_rounds_ = 0;
  bool repeats_itself_ = false;
};

}  // namespace felix::inline v1
