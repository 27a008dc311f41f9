// SPDX-License-Identifier: MIT
// async: several tasks at once; all results, in order, or the first failure after all have ended.
#pragma once

#include <felix/async/detail/join.hpp>
#include <felix/async/task.hpp>

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace felix::inline v1 {

namespace detail {

template <class T>
using joined_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
branch run_branch(task<T> work, std::optional<joined_value<T>>& into) {
  if constexpr (std::is_void_v<T>) {
    co_await std::move(work);
    into.emplace();
  } else {
    into.emplace(co_await std::move(work));
  }
}

template <class... T, std::size_t... I>
void start_branches(join& joined, std::tuple<std::optional<joined_value<T>>...>& values, std::index_sequence<I...>,
                    task<T>&... work) {
  (joined.guard([&] { branch::start(run_branch<T>(std::move(work), std::get<I>(values)), joined); }), ...);
}

}  // namespace detail

/// Runs the tasks at the same time and gives their values as a tuple, in order; `void` gives std::monostate.
///     auto [pro, contra] = co_await felix::when_all(ask(llm, "For?"), ask(llm, "Against?"));
/// Each task runs in turn until it first suspends, on the thread of whoever awaits.
/// Throws:   when one fails, the others are stopped and awaited; then the first failure is rethrown.
/// Stop:     a stop request reaches every task.
/// Cost:     one frame a task beside its own.
template <class... T>
task<std::tuple<detail::joined_value<T>...>> when_all(task<T>... work) {
  detail::join joined;
  std::tuple<std::optional<detail::joined_value<T>>...> values;
  const task_context parent{co_await this_task::scheduler(), co_await this_task::stop_token()};
  joined.open(parent);
  detail::start_branches<T...>(joined, values, std::index_sequence_for<T...>{}, work...);
  co_await joined.all_ended();
  auto unwrap = [](auto&... value) { return std::tuple<detail::joined_value<T>...>{std::move(*value)...}; };
  co_return std::apply(unwrap, values);
}

/// The same for any number of tasks of one type: their values in the order of the tasks.
///     std::vector<std::string> answers = co_await felix::when_all(std::move(asked));
template <class T>
  requires(!std::is_void_v<T>)
task<std::vector<T>> when_all(std::vector<task<T>> work) {
  detail::join joined;
  std::vector<std::optional<T>> values(work.size());
  const task_context parent{co_await this_task::scheduler(), co_await this_task::stop_token()};
  joined.open(parent);
  joined.guard([&] {
    for (std::size_t i = 0; i < work.size(); ++i)
      detail::branch::start(detail::run_branch<T>(std::move(work[i]), values[i]), joined);
  });
  co_await joined.all_ended();
  std::vector<T> unwrapped;
  unwrapped.reserve(values.size());
  for (auto& value : values) unwrapped.push_back(std::move(*value));
  co_return unwrapped;
}

/// The same for tasks without a value.
inline task<void> when_all(std::vector<task<void>> work) {
  detail::join joined;
  const task_context parent{co_await this_task::scheduler(), co_await this_task::stop_token()};
  joined.open(parent);
  joined.guard([&] {
    for (auto& each : work) detail::branch::start(detail::run_branch(std::move(each)), joined);
  });
  co_await joined.all_ended();
}

}  // namespace felix::inline v1
