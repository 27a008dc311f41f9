// SPDX-License-Identifier: MIT
// async: a task that was spawned on a scheduler and that nobody awaits.
#pragma once

#include <felix/async/as_result.hpp>
#include <felix/async/awaitable.hpp>
#include <felix/async/detail/frame_pool.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/async/work_item.hpp>
#include <felix/result.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// It lives on `Owner`, a scheduler, and destroys its own frame when it has ended. The owner counts it: `stop_token
/// adopt()` gives what stops all that it owns, and after `disown()` nothing of the root refers to it.
template <class Owner>
class root {
 public:
  class promise_type : public pooled_frame {
   public:
    promise_type() noexcept = default;
    ~promise_type() {
      if (owner_ == nullptr) return;
      on_owner_stop_.reset();
      owner_->disown();
    }
    root get_return_object() noexcept { return root{*this}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }  // on_done must not throw
    [[nodiscard]] const task_context& context() const noexcept { return context_; }

   private:
    friend class root;
    Owner* owner_ = nullptr;
    task_context context_;
    stop_source stop_;
    std::optional<stop_callback<stop_forward>> on_owner_stop_;
    work_item start_;
  };

  /// What starts it: run once, or posted once.
  template <awaitable A, class OnDone, class Token>
  static work_item& make(Owner& owner, A&& work, OnDone on_done, Token stop) {
    promise_type& self = begin(as_task(std::forward<A>(work)), std::move(on_done), std::move(stop)).promise_;
    self.context_ = {&owner, self.stop_.get_token()};
    self.on_owner_stop_.emplace(owner.adopt(), stop_forward{self.stop_});
    self.owner_ = &owner;
    self.start_ = work_item{std::coroutine_handle<promise_type>::from_promise(self)};
    return self.start_;
  }

 private:
  explicit root(promise_type& promise) noexcept : promise_{promise} {}

  /// Tells the coroutine its own stop source.
  class own_stop {
   public:
    own_stop() noexcept = default;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<promise_type> self) noexcept {
      stop_ = &self.promise().stop_;
      return false;
    }
    [[nodiscard]] stop_source& await_resume() const noexcept { return *stop_; }

   private:
    stop_source* stop_ = nullptr;
  };

  template <class T, class OnDone, class Token>
  static root begin(task<T> work, OnDone on_done, Token stop) {
    std::optional<result<T>> outcome;
    {
      stop_source& own = co_await own_stop{};
      const stop_callback_for_t<Token, stop_forward> forwarded{stop, stop_forward{own}};
      try {
        outcome.emplace(co_await as_result(std::move(work)));
      } catch (...) {  // by the value's move constructor
        outcome.emplace(result<T>::failure(std::current_exception()));
      }
    }
    on_done(std::move(*outcome));
  }

  promise_type& promise_;
};

}  // namespace detail
}  // namespace felix::inline v1
