// SPDX-License-Identifier: MIT
// async: a task's exception as a value.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/task.hpp>
#include <felix/result.hpp>

#include <coroutine>
#include <utility>

namespace felix::inline v1 {

namespace detail {

/// What as_result gives.
template <class T>
class [[nodiscard("nothing starts until it is awaited")]] as_result_awaitable {
 public:
  explicit as_result_awaitable(task<T> work) noexcept : work_{std::move(work)} {}

  class awaiter : public task<T>::awaiter {
   public:
    using task<T>::awaiter::awaiter;
    result<T> await_resume() { return this->outcome(); }
  };
  awaiter operator co_await() & = delete;  // std::move(it): what it holds can be awaited once
  awaiter operator co_await() && noexcept { return awaiter{task_access::release(work_)}; }

 private:
  task<T> work_;
};

}  // namespace detail

/// Awaits `work` and gives its value or its exception, `cancelled` included, as a `result`.
///     auto maybe = co_await felix::as_result(llm.complete(request));
/// Cost: nothing beside the task itself; an exception is not thrown again.
template <awaitable A>
auto as_result(A&& work) {
  return detail::as_result_awaitable<awaited_t<A>>{as_task(std::forward<A>(work))};
}

}  // namespace felix::inline v1
