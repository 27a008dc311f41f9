// SPDX-License-Identifier: MIT
// async: a scope in which any number of tasks run, and which ends when all of them have.
#pragma once

#include <felix/async/detail/join.hpp>
#include <felix/async/task.hpp>

#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// Where tasks are spawned; made by with_nursery, which joins them.
/// Threads: spawn and request_stop from the coroutines inside it.
class nursery {
 public:
  nursery(nursery&&) = delete;

  /// Starts `work` now, on this thread until it first suspends. The nursery owns it.
  void spawn(task<void> work) { detail::branch::start(detail::run_branch(std::move(work)), joined_); }
  template <class T>
  void spawn(task<T> work) {
    spawn(drop_value(std::move(work)));
  }

  /// Asks everything in the nursery to stop.
  void request_stop() noexcept { joined_.stop().request_stop(); }

 private:
  template <class Body>
  friend task<void> with_nursery(Body body);
  nursery() = default;

  template <class T>
  static task<void> drop_value(task<T> work) {
    static_cast<void>(co_await std::move(work));
  }

  detail::join joined_;
};

/// Runs `body(nursery&)`, which returns a task, and waits for it and for all that it spawned.
///     co_await felix::with_nursery([&](felix::nursery& n) -> felix::task<void> {
///       for (auto& topic : topics) n.spawn(ask(llm, topic));
///       co_return;
///     });
/// Throws:   the first failure, of the body or of a task; the others are stopped and awaited before it is rethrown.
/// Stop:     a stop request reaches the body and every task.
/// See:      N. J. Smith, "Notes on structured concurrency" (2018). With g++ 12, name a lambda that captures by value
///           before it is passed here.
template <class Body>
task<void> with_nursery(Body body) {
  static_assert(std::is_invocable_r_v<task<void>, Body&, nursery&>, "the body takes a nursery& and returns task<void>");
  nursery scope;
  const task_context parent{co_await this_task::scheduler(), co_await this_task::stop_token()};
  scope.joined_.open(parent);
  scope.spawn(body(scope));
  co_await scope.joined_.all_ended();
}

}  // namespace felix::inline v1
