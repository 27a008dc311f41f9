// SPDX-License-Identifier: MIT
// async: a coroutine that computes one value when it is awaited.
#pragma once

#include <felix/async/detail/driver.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/result.hpp>

#include <cassert>
#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace felix::inline v1 {

template <class T = void>
class task;

namespace detail {

class task_promise_base {
 public:
  task_promise_base() noexcept = default;  // declared: an aggregate promise would be initialised from the parameters
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

  struct final_awaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      return driver::transfer(ended.promise().awaited_by_);
    }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
  [[nodiscard]] const task_context& context() const noexcept { return context_; }

  void awaited_by(std::coroutine_handle<> caller, task_context inherited) noexcept {
    awaited_by_ = caller;
    context_ = inherited;
  }

 private:
  std::coroutine_handle<> awaited_by_;
  task_context context_;
};

template <class T>
class task_promise : public task_promise_base {
 public:
  task_promise() noexcept = default;
  task<T> get_return_object() noexcept;
  void unhandled_exception() noexcept { outcome_.emplace(result<T>::failure(std::current_exception())); }
  template <class U>
    requires std::is_constructible_v<T, U>
  void return_value(U&& value) {
    outcome_.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*outcome_).value(); }

 private:
  std::optional<result<T>> outcome_;
};

template <>
class task_promise<void> : public task_promise_base {
 public:
  task_promise() noexcept = default;
  inline task<void> get_return_object() noexcept;
  void unhandled_exception() noexcept { error_ = std::current_exception(); }
  void return_void() const noexcept {}
  void take() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
};

}  // namespace detail

/// A lazy coroutine: it starts when it is awaited, on the thread of whoever awaits it, and hands back its value or its
/// exception. It inherits where it runs and who may stop it from the coroutine that awaits it.
///     felix::task<int> twice(int n) { co_return 2 * n; }
///     felix::task<int> four() { co_return co_await twice(2); }
/// Threads:  started and awaited by one thread at a time.
/// Stop:     a task does not poll; what it waits for throws `cancelled`.
/// Lifetime: owns its frame. A task that was never awaited is destroyed without having run.
/// Cost:     one allocation for the frame; starting and ending are symmetric transfers, so that chains of any depth
///           and loops of any length do not grow the stack.
template <class T>
class [[nodiscard("a task does nothing until it is awaited, or given to run, spawn or when_all")]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task(task&& other) noexcept : coroutine_{std::exchange(other.coroutine_, nullptr)} {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (coroutine_) coroutine_.destroy();
      coroutine_ = std::exchange(other.coroutine_, nullptr);
    }
    return *this;
  }
  ~task() {
    if (coroutine_) coroutine_.destroy();
  }

  class awaiter {
   public:
    explicit awaiter(std::coroutine_handle<promise_type> awaited) noexcept : coroutine_{awaited} {}
    awaiter(awaiter&&) = delete;
    ~awaiter() { coroutine_.destroy(); }

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) noexcept {
      coroutine_.promise().awaited_by(caller, detail::context_of(caller));
      return detail::driver::transfer(coroutine_);
    }
    T await_resume() { return coroutine_.promise().take(); }

   private:
    std::coroutine_handle<promise_type> coroutine_;
  };

  /// Once, on an rvalue: `co_await f()` or `co_await std::move(t)`.
  awaiter operator co_await() & = delete;  // a named task is awaited by `co_await std::move(t)`
  awaiter operator co_await() && noexcept {
    assert(coroutine_ && "felix::task: awaited twice, or moved from");
    return awaiter{std::exchange(coroutine_, nullptr)};
  }

 private:
  friend promise_type;
  explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_{coroutine} {}
  std::coroutine_handle<promise_type> coroutine_;
};

template <class T>
task<T> detail::task_promise<T>::get_return_object() noexcept {
  return task<T>{std::coroutine_handle<task_promise>::from_promise(*this)};
}
inline task<void> detail::task_promise<void>::get_return_object() noexcept {
  return task<void>{std::coroutine_handle<task_promise>::from_promise(*this)};
}

namespace detail {

/// Looks at the context of the coroutine that awaits it, without suspending it.
class context_awaiter {
 public:
  context_awaiter() noexcept = default;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) noexcept {
    context_ = context_of(caller);
    return false;
  }

 protected:
  task_context context_;
};

class stop_token_awaiter : public context_awaiter {
 public:
  stop_token_awaiter() noexcept = default;
  [[nodiscard]] felix::stop_token await_resume() const noexcept { return context_.stop; }
};

class scheduler_awaiter : public context_awaiter {
 public:
  scheduler_awaiter() noexcept = default;
  /// Null in a coroutine type that is not felix's.
  [[nodiscard]] felix::scheduler* await_resume() const noexcept { return context_.where; }
};

}  // namespace detail

/// What a coroutine can ask about itself: `co_await felix::this_task::stop_token()`.
namespace this_task {

[[nodiscard]] inline detail::stop_token_awaiter stop_token() noexcept { return detail::stop_token_awaiter{}; }
[[nodiscard]] inline detail::scheduler_awaiter scheduler() noexcept { return detail::scheduler_awaiter{}; }

}  // namespace this_task
}  // namespace felix::inline v1
