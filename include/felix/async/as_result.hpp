// SPDX-License-Identifier: MIT
// async: a task's exception as a value.
#pragma once

#include <felix/async/task.hpp>
#include <felix/result.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// Awaits `work` and gives its value or its exception, `cancelled` included, as a `result`.
///     auto maybe = co_await felix::as_result(llm.complete(request));
template <class T>
task<result<T>> as_result(task<T> work) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(work);
      co_return result<void>{};
    } else {
      co_return result<T>{co_await std::move(work)};
    }
  } catch (...) {
    co_return result<T>::failure(std::current_exception());
  }
}

}  // namespace felix::inline v1
