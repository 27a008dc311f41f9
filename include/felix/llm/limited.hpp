// SPDX-License-Identifier: MIT
// llm: at most so many requests at once, the most urgent first.
#pragma once

#include <felix/async/async_generator.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/detail/limit_gate.hpp>
#include <felix/llm/limit_policy.hpp>
#include <felix/llm/limit_usage.hpp>
#include <felix/llm/model.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/llm/wait_bounds.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace felix::inline v1 {

template <model Inner>
class limited;

/// What users write.
///     model | felix::limit{4}                                  // a limit of its own
///     model | felix::limit{{.limit = 4, .held_back = 1}}       // the same, and urgent starts at once
///     model | felix::limit{4}.waiting({.max_waiting = 100})    // the hundred and first is refused
///     felix::priority_semaphore slots{4};                      // a limit of yours, for any number of models: as many
///     one | felix::limit{slots};  two | felix::limit{slots};   // requests at once in all, whatever loops they run on
///     felix::priority_semaphore::group team{slots, "team", {.guaranteed = 1}};
///     three | felix::limit{team};                              // a group of it
///     model | felix::limit{felix::gradient_limit{}}            // finds out by itself how many the server can take
///     model | felix::limit{4}.rate({.requests_per_minute = 60})
/// A model is taken by value, hence moved in; one that you keep is referred to: `felix::model_ref{model} | ...`.
/// Lifetime: what is shared outlives the models.
class limit {
 public:
  /// Throws error (invalid_option) below 1, when the stack is built.
  explicit limit(std::size_t max_concurrent_requests) : terms_{.own = {.limit = max_concurrent_requests}} {}
  /// Throws error (invalid_option) for what the semaphore refuses, when the stack is built.
  explicit limit(const priority_semaphore_options& own) : terms_{.own = own} {}
  // What is a limit already is one here too: `{.limit_by = slots}`, `{.limit_by = felix::gradient_limit{}}`.
  limit(priority_semaphore& shared) : terms_{.shared = &shared} {}
  limit(priority_semaphore::group& shared) : terms_{.shared = &shared.semaphore(), .group = &shared} {}
  /// One that adapts itself. Each stack has its own, which begins as `policy` is now.
  template <std::derived_from<limit_policy> Policy>
  limit(Policy policy) : terms_{.policy = [begin = std::move(policy)] { return std::make_unique<Policy>(begin); }} {}

  limit& waiting(const wait_bounds& bounds) & {
    terms_.bounds = bounds;
    return *this;
  }
  limit waiting(const wait_bounds& bounds) && { return std::move(waiting(bounds)); }

  /// So many requests and tokens per minute, too, for this stack; less where a server says so in the headers of its
  /// answers. The most urgent goes first, whatever waits already. Of a request's tokens the prompt is estimated,
  /// and all of max_tokens counts (1,024 without): that is how servers count.
  /// Throws error (invalid_option) for options out of their range, when the stack is built; a request that is larger
  /// than what may ever go at once fails with error (invalid_argument).
  limit& rate(const rate_limit_options& per_minute) & {
    terms_.rate = per_minute;
    return *this;
  }
  limit rate(const rate_limit_options& per_minute) && { return std::move(rate(per_minute)); }

  [[nodiscard]] bool is_shared() const noexcept { return terms_.shared != nullptr; }

  template <model Inner>
  friend limited<Inner> operator|(Inner inner, limit layer) {
    return {std::move(inner), std::move(layer)};
  }

 private:
  template <model Inner>
  friend class limited;
  detail::limit_terms terms_;
};

/// A model that has at most so many requests with `Inner` at once. The others wait here, where their priority counts:
/// a freed slot goes to the highest, and within one to whoever came first (see priority_semaphore).
/// Where the limit adapts itself, answers are streamed on the wire, so that it sees when each begins.
/// Threads:  as `Inner`; a limit may be shared by models on several threads.
/// Stop:     a request that waits leaves the queue at once; one in flight gives its slot back when `Inner` has let go.
/// Throws:   error (queue_full), which cost nothing; else what `Inner` throws.
template <model Inner>
class limited {
 public:
  limited(Inner inner, limit by)
      : inner_{std::move(inner)}, gate_{std::make_unique<detail::limit_gate>(std::move(by.terms_))} {}

  task<chat_response> complete(chat_request request) {
    if constexpr (streaming_model<Inner>) {
      if (gate_->adapts()) co_return co_await collect(stream(std::move(request)));
    }
    std::optional<detail::admission> admitted;
    const scheduler* const here = co_await this_task::scheduler();
    if (!gate_->try_enter(admitted, request, here)) {
      if (gate_->waits_for_slots_alone()) {
        detail::limit_gate::slot_wait mine{*gate_, here};
        mine.take(admitted, request, co_await mine.wait(request));
      } else {
        co_await gate_->enter(admitted, request, here);
      }
    }
    try {
      chat_response answer = co_await inner_.complete(std::move(request));
      answered(*admitted, answer);
      co_return answer;
    } catch (const error& failure) {
      admitted->failed(failure);
      throw;
    }
  }

  /// The slot is held from the first next() to the end of the stream.
  chat_stream stream(chat_request request)
    requires streaming_model<Inner>
  {
    chat_stream inner = inner_.stream(request);
    const auto whole = inner.whole();
    return {relay(std::move(request), std::move(inner)), whole};
  }

  /// Of the whole limit, whoever shares it; of a group, that group's part.
  [[nodiscard]] limit_status status() const noexcept { return gate_->status(); }
  /// At one moment.
  [[nodiscard]] limit_usage usage_stats() const {
    limit_usage copy;
    gate_->with_usage([&](const limit_usage& now) { copy = now; });
    return copy;
  }
  /// Calls `read` with the usage, which does not change meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    gate_->with_usage(std::forward<Read>(read));
  }
  /// The limit, to raise or lower it: `llm.slots().set_limit(8)`.
  [[nodiscard]] priority_semaphore& slots() noexcept { return gate_->slots(); }
  [[nodiscard]] Inner& inner() noexcept { return inner_; }
  [[nodiscard]] const Inner& inner() const noexcept { return inner_; }

 private:
  static void answered(detail::admission& admitted, chat_response& answer) {
    chat_timing timing = answer.timing();
    timing.waited = admitted.waited();
    answer.timing(timing);
    admitted.answered(answer);
  }

  async_generator<chat_delta> relay(chat_request request, chat_stream inner) {
    std::optional<detail::admission> admitted;
    const scheduler* const here = co_await this_task::scheduler();
    if (!gate_->try_enter(admitted, request, here)) co_await gate_->enter(admitted, request, here);
    chat_stream held = std::move(inner);  // ends before the slot is given back
    bool is_first = true;
    try {
      for (;;) {
        auto delta = co_await held.next();
        if (!delta) break;
        if (std::exchange(is_first, false)) admitted->first_delta(held.response());
        co_yield std::move(*delta);
      }
    } catch (const error& failure) {
      admitted->failed(failure);
      throw;
    }
    answered(*admitted, held.whole()->response());
  }

  Inner inner_;
  std::unique_ptr<detail::limit_gate> gate_;  // on the heap: waiters point to it while the stack is moved in
};

}  // namespace felix::inline v1
