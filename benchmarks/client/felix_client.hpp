// SPDX-License-Identifier: MIT
// benchmarks: felix as a program uses it: a client, and a budget around each request.
#pragma once

#include "chat.hpp"
#include "load.hpp"

#include <felix/async/sync_wait.hpp>
#include <felix/async/task.hpp>
#include <felix/async/when_all.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/client.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/io_thread.hpp>

#include <pthread.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// The whole stack at a limit: twice as many callers as permits, so that half of them queue by their priority.
class felix_client {
 public:
  felix_client(felix::event_loop& loop, const std::string& base_url, std::size_t limit)
      : limit_{limit}, llm_{loop, {.base_url = base_url, .max_concurrent_requests = limit}} {}

  /// All callers, until then. Latency is what a caller waited beyond the queue.
  felix::task<> run(load& measured, time_point until) {
    std::vector<felix::task<>> callers;
    for (std::size_t i = 0; i < 2 * limit_; ++i) callers.push_back(call(i, measured, until));
    co_await felix::when_all(std::move(callers));
  }

  /// Requests that wait for the server or in the queue, until they are stopped.
  felix::task<> send(std::size_t requests) {
    std::vector<felix::task<felix::chat_response>> all;
    for (std::size_t i = 0; i < requests; ++i) all.push_back(llm_.complete(request()));
    co_await felix::when_all(std::move(all));
  }
  [[nodiscard]] felix::limit_status status() const { return llm_.usage_stats().slots; }

  static felix::chat_request request() {
    return felix::chat_request{}
        .system(std::string{chat::system})
        .user(std::string{chat::user})
        .temperature(0.7)
        .max_tokens(chat::max_tokens);
  }

 private:
  felix::task<> call(std::size_t number, load& measured, time_point until) {
    const felix::agent_id agent{"agent-" + std::to_string(number)};
    const auto priority = number % 2 == 0 ? felix::request_priority::normal : felix::request_priority::high;
    while (std::chrono::steady_clock::now() < until) {
      auto reserved = budget_.reserve({.agent = agent,
                                       .role = "analysis",
                                       .prompt_tokens_at_most = chat::system.size() + chat::user.size(),
                                       .prompt_tokens_planned = 160,
                                       .answer_tokens = chat::max_tokens});
      felix::chat_request asked = request();
      asked.max_tokens(reserved.max_tokens()).priority(priority);
      const auto begun = std::chrono::steady_clock::now();
      const auto answer = co_await llm_.complete(std::move(asked));
      reserved.settle(answer.usage());
      measured.answered(std::chrono::steady_clock::now() - begun - answer.timing().waited, answer.text().size());
    }
  }

  std::size_t limit_;
  felix::normal_budget budget_{{.session_cap_tokens = 1'000'000'000'000'000}};
  felix::client llm_;
};

/// Calls from the thread that runs the loop.
class felix_on_its_loop {
 public:
  felix_on_its_loop(const std::string& base_url, std::size_t limit) : client_{loop_, base_url, limit} {}
  request_turn run(std::chrono::duration<double> length) {
    return measure(length, [this](load& measured, time_point until) { loop_.run(client_.run(measured, until)); });
  }

 private:
  felix::event_loop loop_;
  felix_client client_;
};

/// The loop on a thread of its own; calls from the thread that measures.
class felix_from_another_thread {
 public:
  felix_from_another_thread(const std::string& base_url, std::size_t limit) : client_{io_, base_url, limit} {}
  request_turn run(std::chrono::duration<double> length) {
    return measure(
        length, [this](load& measured, time_point until) { felix::sync_wait(client_.run(measured, until)); },
        loops_thread_);
  }

 private:
  static felix::task<pthread_t> this_thread() { co_return ::pthread_self(); }

  felix::io_thread io_;
  pthread_t loops_thread_ = io_.spawn(this_thread()).get();
  felix_client client_;
};

}  // namespace bench
