// SPDX-License-Identifier: MIT
// async: a scope in which any number of tasks run, and which ends when all of them have.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/join.hpp>
#include <felix/async/detail/running_loop.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>

#include <atomic>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// Where tasks are spawned; made by with_nursery, which joins them.
/// Threads: spawn and request_stop from the coroutines inside it, on whatever scheduler they are.
class nursery : private detail::fail_fast_join {
 public:
  nursery(nursery&&) = delete;

  /// Starts `work` now: it runs until it first suspends. It lives where the nursery does; spawned from elsewhere (by a
  /// task that moved), it is posted there. The nursery owns it; its value is dropped.
  /// Cost: nothing beside the task itself; from elsewhere one more frame and a post.
  template <awaitable A>
  void spawn(A&& work) {
    auto started = as_task(std::forward<A>(work));
    if (where != nullptr && detail::running_loop() != where) started = after_post(std::move(started));
    const std::coroutine_handle<> coroutine = detail::task_access::start(started, *this);
    detail::task_access::release(started);
    add_branch();
    detail::driver::resume(coroutine);
  }

  /// Asks everything in the nursery to stop. What ends with `cancelled` because of it is no failure.
  void request_stop() noexcept {
    stopped_ = true;
    branches_stop().request_stop();
  }

 private:
  template <class Body>
  friend task<void> with_nursery(Body body);
  nursery() = default;
  ~nursery() = default;

  /// A yield posts the task to the scheduler that it belongs to, on whatever thread it begins.
  template <class T>
  static task<T> after_post(task<T> work) {
    co_await this_task::yield();
    co_return co_await std::move(work);
  }

  std::coroutine_handle<> ended(std::coroutine_handle<> ended, const std::exception_ptr* failure,
                                ended_on on) noexcept override {
    if (failure != nullptr && !was_asked_to(*failure)) fail(*failure);
    ended.destroy();
    return count_down() ? go_on(on) : std::noop_coroutine();
  }

  [[nodiscard]] bool was_asked_to(const std::exception_ptr& failure) const noexcept {
    if (!stopped_ || joiner().stop.stop_requested()) return false;
    try {
      std::rethrow_exception(failure);
    } catch (const cancelled&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  /// Without suspending: learns who joins.
  class opening {
   public:
    explicit opening(nursery& opened) noexcept : nursery_{opened} {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> caller) noexcept {
      nursery_.open(caller, 1);  // the joiner's own count: it is not woken before it waits
      return false;
    }
    void await_resume() const noexcept {}

   private:
    nursery& nursery_;
  };
  /// Suspends until all have ended; rethrows the first failure.
  class joining {
   public:
    explicit joining(nursery& joined) noexcept : nursery_{joined} {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<>) noexcept { return !nursery_.count_down(); }
    void await_resume() {
      nursery_.close();
      nursery_.rethrow_failure();
    }

   private:
    nursery& nursery_;
  };

  std::atomic<bool> stopped_{false};  // by itself
};

/// Runs `body(nursery&)`, which returns a task, and waits for it and for all that it spawned.
///     co_await felix::with_nursery([&](felix::nursery& n) -> felix::task<void> {
///       for (auto& topic : topics) n.spawn(ask(llm, topic));
///       co_return;
///     });
/// Throws:   the first failure, of the body or of a task; the others are stopped and awaited before it is rethrown.
/// Stop:     a stop request reaches the body and every task. A nursery that stops itself (request_stop) ends as if all in
///           it had come to their end.
/// See:      N. J. Smith, "Notes on structured concurrency" (2018). With g++ 12, name a lambda that captures by value
///           before it is passed here.
template <class Body>
task<void> with_nursery(Body body) {
  static_assert(std::is_invocable_r_v<task<void>, Body&, nursery&>, "the body takes a nursery& and returns task<void>");
  nursery scope;
  co_await nursery::opening{scope};
  std::exception_ptr not_begun;
  try {
    scope.spawn(body(scope));
  } catch (...) {  // no memory for the body's frame
    not_begun = std::current_exception();
  }
  if (not_begun) scope.fail(not_begun);
  co_await nursery::joining{scope};
}

}  // namespace felix::inline v1
