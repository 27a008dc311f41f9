// SPDX-License-Identifier: MIT
// llm: at most so many requests at once, the most urgent first.
#pragma once

#include <felix/async/priority_semaphore.hpp>
#include <felix/async/sleep.hpp>
#include <felix/llm/chat.hpp>
#include <felix/llm/model.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace felix::inline v1 {

/// A model that has at most so many requests with `Inner` at once. The others wait here, where their priority counts:
/// a freed slot goes to the highest, and within one to whoever came first.
/// Stop: a request that waits leaves the queue at once; one in flight gives its slot back when `Inner` has let go.
template <model Inner>
class limited {
 public:
  limited(Inner inner, std::size_t max_concurrent_requests)
      : inner_{std::move(inner)}, slots_{std::make_unique<priority_semaphore>(max_concurrent_requests)} {}

  task<chat_response> complete(chat_request request) {
    const auto asked = co_await this_task::now();
    const auto permit = co_await slots_->acquire(request.priority());
    const auto admitted = co_await this_task::now();
    auto answer = co_await inner_.complete(std::move(request));
    chat_timing timing = answer.timing();
    timing.waited = admitted - asked;
    answer.timing(timing);
    co_return answer;
  }

  [[nodiscard]] limit_status status() const noexcept { return slots_->status(); }
  [[nodiscard]] Inner& inner() noexcept { return inner_; }

 private:
  Inner inner_;
  std::unique_ptr<priority_semaphore> slots_;  // on the heap: waiters point to it while the stack is moved in
};

/// What users write: `model | limit{4}`.
class limit {
 public:
  /// Throws error (invalid_option) below 1, when the stack is built.
  explicit limit(std::size_t max_concurrent_requests) noexcept : max_{max_concurrent_requests} {}
  template <model Inner>
  friend limited<Inner> operator|(Inner inner, limit layer) {
    return {std::move(inner), layer.max_};
  }

 private:
  std::size_t max_;
};

}  // namespace felix::inline v1
