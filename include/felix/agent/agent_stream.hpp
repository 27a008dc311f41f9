// SPDX-License-Identifier: MIT
// agent: an agent's answer that is read while it is written.
#pragma once

#include <felix/agent/contribution.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

namespace felix::inline v1 {

/// An answer of an agent as it comes.
///     auto writing = critic.stream(text);
///     while (auto delta = co_await writing.next()) fmt::print("{}", delta->text());
///     writing.made()->confidence;
/// Left early it is no stage of the agent, and its connection is closed.
/// Threads:  one coroutine at a time, the agent's.
/// Stop, Throws: as chat_stream.
/// Lifetime: the agent outlives it.
class agent_stream {
 public:
  /// For agents: `open` sends the request, `take` makes the whole answer a contribution, `note` is told how long it took and
  /// how it failed.
  agent_stream(std::function<chat_stream()> open, std::function<contribution(const chat_response&)> take,
               std::function<void(std::chrono::nanoseconds, const std::exception_ptr&)> note)
      : open_{std::move(open)}, take_{std::move(take)}, note_{std::move(note)} {}

  /// The next delta, or nothing once the answer has ended, with a failure too: that is thrown once.
  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  task<std::optional<chat_delta>> next() {
    if (has_ended_) co_return std::nullopt;
    if (!begun_) begun_ = co_await this_task::now();
    std::optional<chat_delta> delta;
    std::exception_ptr failure;
    try {
      if (!deltas_) deltas_.emplace(open_());
      delta = co_await deltas_->next();
    } catch (...) {
      failure = std::current_exception();
    }
    if (delta) co_return delta;
    has_ended_ = true;
    const auto now = co_await this_task::now();
    if (!failure) made_ = take_(deltas_->response());
    note_(now - *begun_, failure);
    if (failure) std::rethrow_exception(failure);
    co_return std::nullopt;
  }

  /// Once next() has given nothing; until then, and after a failure, empty.
  [[nodiscard]] const std::optional<contribution>& made() const noexcept { return made_; }
  /// What has come so far.
  [[nodiscard]] const chat_response& response() const noexcept { return deltas_ ? deltas_->response() : nothing_; }

 private:
  std::function<chat_stream()> open_;
  std::optional<chat_stream> deltas_;
  chat_response nothing_;
  std::function<contribution(const chat_response&)> take_;
  std::function<void(std::chrono::nanoseconds, const std::exception_ptr&)> note_;
  std::optional<std::chrono::steady_clock::time_point> begun_;
  std::optional<contribution> made_;
  bool has_ended_ = false;  // whole, or failed
};

}  // namespace felix::inline v1
