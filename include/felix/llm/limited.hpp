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

template <model Inner>
class limited;

/// What users write.
///     model | felix::limit{4}                                  // a limit of its own
///     model | felix::limit{{.limit = 4, .held_back = 1}}       // the same, and urgent starts at once
///     felix::priority_semaphore slots{4};                      // a limit of yours, for any number of models: as many
///     one | felix::limit{slots};  two | felix::limit{slots};   // requests at once in all, whatever loops they run on
///     felix::priority_semaphore::group team{slots, "team", {.guaranteed = 1}};
///     three | felix::limit{team};                              // a group of it
/// A model is taken by value, hence moved in; one that you keep is referred to: `felix::model_ref{model} | ...`.
/// Lifetime: what is shared outlives the models.
class limit {
 public:
  /// Throws error (invalid_option) below 1, when the stack is built.
  explicit limit(std::size_t max_concurrent_requests) noexcept : own_{.limit = max_concurrent_requests} {}
  /// Throws error (invalid_option) for what the semaphore refuses, when the stack is built.
  explicit limit(const priority_semaphore_options& own) noexcept : own_{own} {}
  explicit limit(priority_semaphore& shared) noexcept : shared_{&shared} {}
  explicit limit(priority_semaphore::group& shared) noexcept : shared_{&shared.semaphore()}, group_{&shared} {}

  [[nodiscard]] bool is_shared() const noexcept { return shared_ != nullptr; }

  template <model Inner>
  friend limited<Inner> operator|(Inner inner, limit layer) {
    return {std::move(inner), layer};
  }

 private:
  template <model Inner>
  friend class limited;
  priority_semaphore_options own_;
  priority_semaphore* shared_ = nullptr;
  priority_semaphore::group* group_ = nullptr;
};

/// A model that has at most so many requests with `Inner` at once. The others wait here, where their priority counts:
/// a freed slot goes to the highest, and within one to whoever came first (see priority_semaphore).
/// Threads: as `Inner`; a limit may be shared by models on several threads.
/// Stop:    a request that waits leaves the queue at once; one in flight gives its slot back when `Inner` has let go.
template <model Inner>
class limited {
 public:
  limited(Inner inner, limit by)
      : inner_{std::move(inner)},
        own_{by.is_shared() ? nullptr : std::make_unique<priority_semaphore>(by.own_)},
        slots_{by.is_shared() ? by.shared_ : own_.get()},
        group_{by.group_} {}

  task<chat_response> complete(chat_request request) {
    const auto asked = co_await this_task::now();
    const auto permit = co_await acquire(request.priority());
    const auto admitted = co_await this_task::now();
    auto answer = co_await inner_.complete(std::move(request));
    chat_timing timing = answer.timing();
    timing.waited = admitted - asked;
    answer.timing(timing);
    co_return answer;
  }

  /// Of the whole limit, whoever shares it; of a group, that group's part.
  [[nodiscard]] limit_status status() const noexcept { return group_ != nullptr ? group_->status() : slots_->status(); }
  /// The limit, to raise or lower it: `llm.slots().set_limit(8)`.
  [[nodiscard]] priority_semaphore& slots() noexcept { return *slots_; }
  [[nodiscard]] Inner& inner() noexcept { return inner_; }

 private:
  priority_semaphore::awaiter acquire(request_priority priority) noexcept {
    return group_ != nullptr ? group_->acquire(priority) : slots_->acquire(priority);
  }

  Inner inner_;
  std::unique_ptr<priority_semaphore> own_;  // on the heap: waiters point to it while the stack is moved in
  priority_semaphore* slots_;
  priority_semaphore::group* group_;  // null: in none
};

}  // namespace felix::inline v1
