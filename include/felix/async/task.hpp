// SPDX-License-Identifier: MIT
// async: a coroutine that computes one value when it is awaited.
#pragma once

#include <felix/async/detail/allocated_promise.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/promise_base.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/error.hpp>
#include <felix/result.hpp>

#include <cassert>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

namespace felix::inline v1 {

template <class T = void>
class task;

namespace detail {

struct task_access;

class task_promise_base : public promise_base {
 public:
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

  struct final_awaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      return ended.promise().next(ended);
    }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
};

template <class T>
class task_promise : public task_promise_base {
  using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::remove_const_t<T>>;
  static_assert(!std::is_rvalue_reference_v<T>, "felix::task: return a value; a T&& would refer to what has ended");
  static_assert(alignof(stored) <= alignof(std::max_align_t),
                "felix::task: coroutine frames are not aligned beyond max_align_t; return a std::unique_ptr");

 public:
  task_promise() noexcept : nothing_{} {}
  ~task_promise() {
    if (state_ == state::value) value_.~stored();
    if (state_ == state::failure) failure_.~exception_ptr();
  }
  task<T> get_return_object() noexcept;
  void unhandled_exception() noexcept {
    // A value may have been returned before: a local's destructor threw after it.
    if (state_ == state::value) value_.~stored();
    ::new (static_cast<void*>(&failure_)) std::exception_ptr{std::current_exception()};
    state_ = state::failure;
  }
  template <class U = T>  // a default: `co_return {a, b};`
    requires std::is_constructible_v<T, U>
  void return_value(U&& value) {
    if constexpr (std::is_reference_v<T>) {
      ::new (static_cast<void*>(&value_)) stored{std::addressof(value)};
    } else {
      ::new (static_cast<void*>(&value_)) stored(std::forward<U>(value));
    }
    state_ = state::value;
  }

  [[nodiscard]] const std::exception_ptr* failure() const noexcept {
    return state_ == state::failure ? &failure_ : nullptr;
  }
  /// Its value; throws what came instead of it. Once, at the end.
  T take() {
    if (state_ == state::failure) [[unlikely]]
      std::rethrow_exception(failure_);
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else {
      return std::move(value_);
    }
  }

 private:
  // Not a std::variant: this is made and destroyed with each task, and a variant tests more often what it holds.
  enum class state : unsigned char { running, value, failure };
  state state_ = state::running;
  union {
    std::monostate nothing_;
    stored value_;
    std::exception_ptr failure_;
  };
};

template <>
class task_promise<void> : public task_promise_base {
 public:
  task_promise() noexcept = default;
  inline task<void> get_return_object() noexcept;
  void unhandled_exception() noexcept { failure_ = std::current_exception(); }
  void return_void() const noexcept {}

  [[nodiscard]] const std::exception_ptr* failure() const noexcept { return failure_ ? &failure_ : nullptr; }
  void take() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::exception_ptr failure_;
};

}  // namespace detail

/// A lazy coroutine: it starts when it is awaited, on the thread of whoever awaits it, and hands back its value or its
/// exception. It inherits where it runs and who may stop it from the coroutine that awaits it.
///     felix::task<int> twice(int n) { co_return 2 * n; }
///     felix::task<int> four() { co_return co_await twice(2); }
/// Threads:  started and awaited by one thread at a time.
/// Stop:     a task does not poll; what it waits for throws `cancelled`.
/// Lifetime: owns its frame. A task that was never awaited is destroyed without having run.
/// Cost:     one frame, from a pool that each thread has, or from an allocator that is passed as in
///           `task<int> f(std::allocator_arg_t, Allocator a, int n)`. Starting and ending are symmetric transfers: chains
///           of any depth and loops of any length do not grow the stack.
template <class T>
class [[nodiscard("a task does nothing until it is awaited, or given to run, spawn or when_all")]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task(task&& other) noexcept : coroutine_{std::exchange(other.coroutine_, nullptr)} {}
  task& operator=(task&& other) noexcept {
    task old{std::move(*this)};
    coroutine_ = std::exchange(other.coroutine_, nullptr);
    return *this;
  }
  ~task() {
    if (coroutine_) [[unlikely]]
      detail::promise_base::destroy_unrun(coroutine_, coroutine_.promise());
  }

  class awaiter {
   public:
    explicit awaiter(std::coroutine_handle<promise_type> awaited) noexcept : coroutine_{awaited} {}
    awaiter(awaiter&&) = delete;
    ~awaiter() { coroutine_.destroy(); }

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) noexcept(
        detail::has_task_context<Promise>) {
      if constexpr (detail::has_task_context<Promise>) {
        coroutine_.promise().awaited_by(caller);
        return detail::driver::transfer(coroutine_);
      } else {
        return detail::foreign_link::run(caller, [this](detail::foreign_link::handle link) {
          coroutine_.promise().awaited_by(link);
          detail::driver::resume(coroutine_);
        });
      }
    }
    T await_resume() { return coroutine_.promise().take(); }

   protected:
    [[nodiscard]] result<T> outcome() {
      if (const auto* failed = coroutine_.promise().failure()) return result<T>::failure(*failed);
      if constexpr (std::is_void_v<T>) {
        return {};
      } else {
        return coroutine_.promise().take();
      }
    }

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
  friend detail::task_access;
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

/// For those who start tasks without awaiting them: nursery, when_all and the like.
struct task_access {
  template <class T>
  static task_promise<T>& promise(task<T>& of) noexcept {
    assert(of.coroutine_ && "felix::task: used twice, or moved from");
    return of.coroutine_.promise();
  }
  /// What has to be resumed in order to start it. `owner` hears of its end; the task still owns the frame.
  template <class T>
  static std::coroutine_handle<> start(task<T>& work, const scope& owner) noexcept {
    promise(work).belongs_to(owner);
    return work.coroutine_;
  }
  /// Whoever hears of its end then destroys the frame.
  template <class T>
  static std::coroutine_handle<task_promise<T>> release(task<T>& work) noexcept {
    return std::exchange(work.coroutine_, nullptr);
  }
  template <class T>
  static std::coroutine_handle<> handle(const task<T>& of) noexcept {
    return of.coroutine_;
  }
};

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

/// Lets everything else go first that is ready on the coroutine's scheduler.
class yield_awaiter {
 public:
  yield_awaiter() noexcept = default;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) noexcept {
    continuation_.set(caller);
    if (continuation_.context().where == nullptr) return false;
    continuation_.post();
    return true;
  }
  void await_resume() const {
    if (continuation_.context().stop.stop_requested()) throw cancelled{"yielding"};
  }

 private:
  continuation continuation_;
};

}  // namespace detail

/// What a coroutine can ask about itself: `co_await felix::this_task::stop_token()`.
namespace this_task {

[[nodiscard]] inline detail::stop_token_awaiter stop_token() noexcept { return detail::stop_token_awaiter{}; }
[[nodiscard]] inline detail::scheduler_awaiter scheduler() noexcept { return detail::scheduler_awaiter{}; }

/// Goes to the end of the scheduler's queue, so that others have their turn.
///     while (more()) { work(); co_await felix::this_task::yield(); }
/// Stop: throws `cancelled` when it comes back.
[[nodiscard]] inline detail::yield_awaiter yield() noexcept { return detail::yield_awaiter{}; }

}  // namespace this_task
}  // namespace felix::inline v1
