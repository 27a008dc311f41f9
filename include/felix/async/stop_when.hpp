// SPDX-License-Identifier: MIT
// async: a task that one more may stop.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/join.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace felix::inline v1 {

namespace detail {

/// What stop_when gives.
template <class T, class Token>
class [[nodiscard("nothing starts until it is awaited")]] stop_when_awaitable {
 public:
  stop_when_awaitable(Token stop, task<T> work) noexcept : stop_{std::move(stop)}, work_{std::move(work)} {}

  class awaiter : public join, private starter {
   public:
    awaiter(Token by, task<T> work) noexcept : stop_{std::move(by)}, work_{std::move(work)} {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> caller) {
      return open_and_start(caller, 1, *this);
    }
    T await_resume() {
      on_stop_.reset();
      close();
      return task_access::promise(work_).take();
    }

   private:
    starter::started start_next() noexcept override {
      on_stop_.emplace(stop_, pass_on_stop{*this});
      return {task_access::start(work_, *this), true};
    }
    std::coroutine_handle<> ended(std::coroutine_handle<>, const std::exception_ptr*,
                                  join::ended_on on) noexcept override {
      return count_down() ? go_on(on) : std::noop_coroutine();
    }

    Token stop_;
    task<T> work_;
    std::optional<stop_callback_for_t<Token, join::pass_on_stop>> on_stop_;
  };
  awaiter operator co_await() & = delete;  // std::move(it): what it holds can be awaited once
  awaiter operator co_await() && noexcept { return awaiter{std::move(stop_), std::move(work_)}; }

 private:
  Token stop_;
  task<T> work_;
};

}  // namespace detail

/// Awaits `work`, which is stopped when `stop` is requested, as well as when whoever awaits it is stopped.
///     felix::stop_source skipped;                                   // by a button, say
///     auto answer = co_await felix::stop_when(skipped.get_token(), llm.complete(request));
/// Throws:   what `work` throws: `cancelled`, mostly, when it was stopped.
/// Cost:     no allocation beside the task itself.
template <stoppable_token Token, awaitable A>
auto stop_when(Token stop, A&& work) {
  return detail::stop_when_awaitable<awaited_t<A>, Token>{std::move(stop), as_task(std::forward<A>(work))};
}

}  // namespace felix::inline v1
