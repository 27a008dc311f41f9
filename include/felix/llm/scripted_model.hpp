// SPDX-License-Identifier: MIT
// llm: a model that answers from a script: tests without a network.
#pragma once

#include <felix/async/as_result.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/model.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Answers by rules: the first whose words occur in a message of the request; without a match, with "ok".
///     felix::scripted_model model{loop};
///     model.on("story").reply("Once upon a time").after(1h);
///     model.on("bomb").fail(felix::error{felix::errc::transport, "gone"});
/// max_tokens is honoured and usage is counted by one rule: a token is four bytes begun, and each message costs 4 more.
/// Threads:  one.
/// Lifetime: the loop outlives it.
class scripted_model {
 public:
  class rule {
   public:
    explicit rule(std::string words) : words_{std::move(words)} {}
    rule& reply(std::string text) {
      return compute([text = std::move(text)](const chat_request&) { return text; });
    }
    /// The answer as a function of the request.
    rule& compute(std::function<std::string(const chat_request&)> answer) {
      answer_ = std::move(answer);
      return *this;
    }
    template <class E>
    rule& fail(E failure) {
      failure_ = std::make_exception_ptr(std::move(failure));
      return *this;
    }
    rule& after(std::chrono::nanoseconds delay) {
      return after([delay](const chat_response&) { return delay; });
    }
    /// The delay as a function of the answer: so much a token, for example.
    rule& after(std::function<std::chrono::nanoseconds(const chat_response&)> delay) {
      delay_ = std::move(delay);
      return *this;
    }

   private:
    friend class scripted_model;
    std::string words_;
    std::function<std::string(const chat_request&)> answer_;
    std::function<std::chrono::nanoseconds(const chat_response&)> delay_;
    std::exception_ptr failure_;
  };

  explicit scripted_model(scheduler& loop) noexcept : loop_{&loop} {}

  /// Adds a rule; "" matches everything. Earlier rules come first.
  rule& on(std::string words) { return rules_.emplace_back(std::move(words)); }

  task<chat_response> complete(chat_request request) {
    requests_.push_back(request);
    const rule* const matched = match(request);
    chat_response answer = answer_of(matched, request);
    ++in_flight_;
    max_in_flight_ = std::max(max_in_flight_, in_flight_);
    const left_on_exit leaving{in_flight_};
    const auto delay = matched != nullptr && matched->delay_ ? matched->delay_(answer) : std::chrono::nanoseconds{0};
    if (delay.count() > 0 && !(co_await as_result(sleep_until(loop_->now() + delay))))
      throw cancelled{"waiting for a scripted answer", request_cost::unknown};
    if (matched != nullptr && matched->failure_) std::rethrow_exception(matched->failure_);
    usage_ += answer.usage();
    answer.timing({.time_to_first_byte = delay, .total = delay});
    co_return answer;
  }

  /// Every request so far, in the order of arrival.
  [[nodiscard]] const std::vector<chat_request>& requests() const noexcept { return requests_; }
  /// What its answers cost in all: the server's own count.
  [[nodiscard]] const token_usage& usage() const noexcept { return usage_; }
  [[nodiscard]] int in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] int max_in_flight() const noexcept { return max_in_flight_; }

 private:
  struct left_on_exit {
    int& count;
    explicit left_on_exit(int& of) noexcept : count{of} {}
    left_on_exit(left_on_exit&&) = delete;
    ~left_on_exit() { --count; }
  };

  task<void> sleep_until(std::chrono::steady_clock::time_point deadline) {
    co_await detail::sleep_awaiter{loop_, deadline};
  }

  const rule* match(const chat_request& request) const {
    for (const rule& candidate : rules_) {
      for (const auto& message : request.messages()) {
        if (message.content.find(candidate.words_) != std::string::npos) return &candidate;
      }
    }
    return nullptr;
  }

  static chat_response answer_of(const rule* matched, const chat_request& request) {
    chat_response answer{matched != nullptr && matched->answer_ ? matched->answer_(request) : "ok"};
    if (request.max_tokens() && tokens_of(answer.text()) > *request.max_tokens()) {
      answer.text(answer.text().substr(0, static_cast<std::size_t>(4 * *request.max_tokens())));
      answer.finish_reason(finish_reason::length);
    }
    token_usage usage;
    for (const auto& message : request.messages()) usage.prompt_tokens += 4 + tokens_of(message.content);
    usage.completion_tokens = tokens_of(answer.text());
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    answer.usage(usage).model("scripted");
    return answer;
  }
  static token_count tokens_of(const std::string& text) noexcept {
    return (static_cast<token_count>(text.size()) + 3) / 4;
  }

  scheduler* loop_;
  std::deque<rule> rules_;  // a deque: on() hands out references
  std::vector<chat_request> requests_;
  token_usage usage_;
  int in_flight_ = 0;
  int max_in_flight_ = 0;
};

static_assert(model<scripted_model>);

}  // namespace felix::inline v1
