// SPDX-License-Identifier: MIT
// llm: a model that answers from a script: tests without a network.
#pragma once

#include <felix/async/as_result.hpp>
#include <felix/async/async_generator.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/model.hpp>
#include <felix/usage.hpp>
#include <felix/utf8.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Answers by rules: the first whose words occur in a message of the request; without a match, with "ok".
///     felix::scripted_model model{loop};
///     model.on("story").reply("Once upon a time").after(1h);
///     model.on("bomb").fail(felix::error{felix::errc::transport, "gone"}).times(2);   // then what the next rule says
///     model.on("novel").reply(novel).after(60s).first_token_after(2s);   // streamed, the rest evenly in between
/// max_tokens is honoured and usage is counted by one rule: a token is four bytes begun, and each message costs 4 more.
/// A stream gives a token a delta (a character is never cut), and breaks off with what came before.
/// Threads:  one.
/// Lifetime: the loop outlives it.
class scripted_model {
 public:
  class rule {
   public:
    explicit rule(std::string words) : words_{std::move(words)} {}
    rule& reply(std::string text) { return answer(chat_response{std::move(text)}); }
    /// With tool calls, reasoning, a finish_reason, usage of its own.
    rule& answer(chat_response whole) {
      answer_ = [whole = std::move(whole)](const chat_request&) { return whole; };
      return *this;
    }
    /// The answer's text as a function of the request.
    rule& compute(std::function<std::string(const chat_request&)> text) {
      answer_ = [text = std::move(text)](const chat_request& request) { return chat_response{text(request)}; };
      return *this;
    }
    /// Only for the next so many requests that it matches; then the rules behind it are asked.
    rule& times(int requests) {
      times_ = requests;
      return *this;
    }
    /// After the whole delay, instead of an answer.
    template <class E>
    rule& fail(E failure) {
      return fail_after(0, std::move(failure));
    }
    /// A stream gives so many tokens before, if the answer has as many, and throws stream_interrupted then.
    template <class E>
    rule& fail_after(token_count tokens, E failure) {
      failure_ = std::make_exception_ptr(std::move(failure));
      fails_after_ = tokens;
      return *this;
    }
    /// Until the end of the answer.
    rule& after(std::chrono::nanoseconds delay) {
      return after([delay](const chat_response&) { return delay; });
    }
    /// The delay as a function of the answer: so much a token, for example.
    rule& after(std::function<std::chrono::nanoseconds(const chat_response&)> delay) {
      delay_ = std::move(delay);
      return *this;
    }
    /// Of a stream. Not set: as long after the start as each token is after the one before it.
    rule& first_token_after(std::chrono::nanoseconds delay) {
      first_delay_ = delay;
      return *this;
    }

   private:
    friend class scripted_model;
    std::string words_;
    std::function<chat_response(const chat_request&)> answer_;
    std::optional<int> times_;
    std::function<std::chrono::nanoseconds(const chat_response&)> delay_;
    std::optional<std::chrono::nanoseconds> first_delay_;
    std::exception_ptr failure_;
    token_count fails_after_ = 0;
  };

  explicit scripted_model(scheduler& loop) noexcept : loop_{&loop} {}

  /// Where its requests go on.
  [[nodiscard]] scheduler& loop() const noexcept { return *loop_; }

  /// Adds a rule; "" matches everything. Earlier rules come first.
  rule& on(std::string words) { return rules_.emplace_back(std::move(words)); }

  task<chat_response> complete(chat_request request) {
    const in_flight_request here{*this, request};
    const rule* const matched = match(request);
    chat_response answer = answer_of(matched, request);
    const auto delay = delay_of(matched, answer);
    co_await wait_until(loop_->now() + delay);
    if (matched != nullptr && matched->failure_) std::rethrow_exception(matched->failure_);
    usage_ += answer.usage();
    answer.timing({.time_to_first_byte = delay, .total = delay});
    co_return answer;
  }

  chat_stream stream(chat_request request) {
    auto whole = std::make_shared<chat_stream::answer>();
    return {deltas(std::move(request), whole), whole};
  }

  /// Every request so far, in the order of arrival.
  [[nodiscard]] const std::vector<chat_request>& requests() const noexcept { return requests_; }
  /// What its answers cost in all: the server's own count.
  [[nodiscard]] const token_usage& usage() const noexcept { return usage_; }
  [[nodiscard]] int in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] int max_in_flight() const noexcept { return max_in_flight_; }

 private:
  /// A request among those that are counted.
  class in_flight_request {
   public:
    in_flight_request(scripted_model& of, const chat_request& request) : of_{of} {
      of_.requests_.push_back(request);
      of_.max_in_flight_ = std::max(of_.max_in_flight_, ++of_.in_flight_);
    }
    in_flight_request(in_flight_request&&) = delete;
    ~in_flight_request() { --of_.in_flight_; }

   private:
    scripted_model& of_;
  };

  task<void> wait_until(std::chrono::steady_clock::time_point deadline) {
    if (deadline <= loop_->now()) co_return;
    const auto slept = co_await as_result(sleep_until(deadline));
    if (!slept) throw cancelled{"waiting for a scripted answer", request_cost::unknown};
  }
  task<void> sleep_until(std::chrono::steady_clock::time_point deadline) {
    co_await detail::sleep_awaiter{loop_, deadline};
  }

  async_generator<chat_delta> deltas(chat_request request, std::shared_ptr<chat_stream::answer> whole) {
    const in_flight_request here{*this, request};
    const rule* const matched = match(request);
    const chat_response answer = answer_of(matched, request);
    stream_progress so_far{usage_, *loop_, answer, whole->response()};
    const bool fails = matched != nullptr && matched->failure_;
    const token_count tokens = tokens_of(answer.text());
    const auto last = delay_of(matched, answer);
    const auto first =
        std::min(last, matched != nullptr && matched->first_delay_ ? *matched->first_delay_
                                                                   : last / std::max<token_count>(tokens, 1));
    chat_delta rest = as_delta(answer.choices().front(), 0);  // what is no text comes first, as a whole
    rest.text({});
    if (!rest.empty()) co_yield std::move(rest);
    for (token_count i = 0; i < (fails ? std::min(tokens, matched->fails_after_) : tokens); ++i) {
      const auto at = first + (tokens > 1 ? (last - first) * i / (tokens - 1) : last - first);
      co_await wait_until(so_far.begun + at);
      chat_delta delta;
      delta.text(so_far.next_token());
      if (!delta.empty()) co_yield std::move(delta);
    }
    co_await wait_until(so_far.begun + last);
    if (fails) so_far.fail(matched->failure_);
    so_far.complete();
  }
  /// What of an answer was given. However it ends, the response says so.
  class stream_progress {
   public:
    const std::chrono::steady_clock::time_point begun;

    stream_progress(token_usage& server, scheduler& loop, const chat_response& answer, chat_response& given)
        : begun{loop.now()}, server_{server}, loop_{loop}, answer_{answer}, given_{given} {
      given_.choice(0) = answer.choices().front();  // but for the text
      given_.text({}).finish_reason(finish_reason::other).model(answer.model());
      token_usage usage{.prompt_tokens = answer.usage().prompt_tokens, .estimated = true};
      usage.total_tokens = usage.prompt_tokens;
      given_.usage(usage);
    }
    stream_progress(stream_progress&&) = delete;
    ~stream_progress() {
      if (given_.usage().completion_tokens > 0) server_ += given_.usage();
    }

    /// Four bytes, and what belongs to their last character.
    std::string next_token() {
      std::size_t end = std::min(at_ + 4, answer_.text().size());
      while (end < answer_.text().size() && (static_cast<unsigned char>(answer_.text()[end]) & 0xC0U) == 0x80U) ++end;
      std::string piece = answer_.text().substr(at_, end - at_);
      at_ = end;
      given_.text(given_.text() + piece);
      token_usage usage = given_.usage();
      ++usage.completion_tokens;
      ++usage.total_tokens;
      given_.usage(usage);
      const auto passed = loop_.now() - begun;
      chat_timing timing = given_.timing();
      if (usage.completion_tokens == 1) timing.time_to_first_byte = timing.time_to_first_token = passed;
      timing.total = passed;
      given_.timing(timing);
      return piece;
    }
    [[noreturn]] void fail(const std::exception_ptr& failure) {
      if (given_.text().empty()) std::rethrow_exception(failure);
      try {
        std::rethrow_exception(failure);
      } catch (const cancelled&) {
        throw;
      } catch (const error& cause) {
        throw stream_interrupted{cause, given_};
      }
    }
    void complete() { given_.finish_reason(answer_.finish_reason()).usage(answer_.usage()); }

   private:
    token_usage& server_;
    scheduler& loop_;
    const chat_response& answer_;
    chat_response& given_;
    std::size_t at_ = 0;
  };

  static std::chrono::nanoseconds delay_of(const rule* matched, const chat_response& answer) {
    return matched != nullptr && matched->delay_ ? matched->delay_(answer) : std::chrono::nanoseconds{0};
  }
  const rule* match(const chat_request& request) {
    for (rule& candidate : rules_) {
      if (candidate.times_ == 0) continue;
      for (const auto& message : request.messages()) {
        if (message.content.find(candidate.words_) == std::string::npos) continue;
        if (candidate.times_) --*candidate.times_;
        return &candidate;
      }
    }
    return nullptr;
  }

  static chat_response answer_of(const rule* matched, const chat_request& request) {
    chat_response answer = matched != nullptr && matched->answer_ ? matched->answer_(request) : chat_response{"ok"};
    if (request.max_tokens() && tokens_of(answer.text()) > *request.max_tokens()) {
      answer.text(answer.text().substr(0, static_cast<std::size_t>(4 * *request.max_tokens())));
      answer.finish_reason(finish_reason::length);
    }
    if (answer.model().empty()) answer.model("scripted");
    if (answer.usage().total_tokens > 0) return answer;
    token_usage usage;
    for (const auto& message : request.messages()) usage.prompt_tokens += 4 + tokens_of(message.content);
    usage.completion_tokens = tokens_of(answer.text());
    usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    answer.usage(usage);
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

static_assert(streaming_model<scripted_model>);

}  // namespace felix::inline v1
