// SPDX-License-Identifier: MIT
// async: what can be awaited, and how it becomes a task.
#pragma once

#include <felix/async/task.hpp>

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

namespace detail {

template <class A>
decltype(auto) awaiter_of(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}

template <class A>
using awaiter_of_t = decltype(detail::awaiter_of(std::declval<A>()));

/// A T&& as a T: what it refers to may lie in what was awaited, and that ends first.
template <class T>
using kept_t = std::conditional_t<std::is_rvalue_reference_v<T>, std::remove_reference_t<T>, T>;

}  // namespace detail

/// What a coroutine can co_await: a task, an event, what acquire() gives, a user's own.
template <class A>
concept awaitable = requires(detail::awaiter_of_t<A>& awaiter) {
  { awaiter.await_ready() } -> std::convertible_to<bool>;
  awaiter.await_resume();
};

/// What `co_await` of it gives; a T where that is a T&&.
template <awaitable A>
using awaited_t = detail::kept_t<decltype(std::declval<detail::awaiter_of_t<A>&>().await_resume())>;

namespace detail {

template <class A>
task<awaited_t<A>> await_as_task(A awaited) {
  co_return co_await static_cast<A&&>(awaited);
}

}  // namespace detail

/// A task that awaits `awaited`; a task is itself. What is an lvalue (an event) is referred to, everything else is moved
/// in. when_all, when_any, timeout, as_result, nursery and run take any awaitable through this.
template <awaitable A>
[[nodiscard]] task<awaited_t<A>> as_task(A&& awaited) {
  return detail::await_as_task<A>(std::forward<A>(awaited));
}
template <class T>
[[nodiscard]] task<T> as_task(task<T>&& work) noexcept {
  return std::move(work);
}
template <class T>
task<T> as_task(task<T>& named) = delete;  // a named task is handed over by std::move(task)

}  // namespace felix::inline v1
