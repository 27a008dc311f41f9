// SPDX-License-Identifier: MIT
// async: awaiting a task from plain code.
#pragma once

#include <felix/async/as_result.hpp>
#include <felix/async/awaitable.hpp>
#include <felix/async/basic_event_loop.hpp>
#include <felix/async/detail/running_loop.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/result.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace felix::inline v1 {

namespace detail {

/// Waits on a condition variable: for a thread that has nothing else to wait for.
class thread_reactor {
 public:
  void wait(std::optional<std::chrono::nanoseconds> at_most) {
    std::unique_lock lock{mutex_};
    const auto woken = [this] { return std::exchange(woken_, false); };
    if (at_most) {
      // It adds what it gets to the time of day. Waking too early is harmless: the loop waits again.
      condition_.wait_for(lock, std::min<std::chrono::nanoseconds>(*at_most, std::chrono::hours{24}), woken);
    } else {
      condition_.wait(lock, woken);
    }
  }
  void poll() const noexcept {}
  void wake() noexcept {
    std::scoped_lock lock{mutex_};
    woken_ = true;
    condition_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool woken_ = false;
};

inline void refuse_inside_a_loop() {
  if (running_loop() != nullptr)
    throw deadlock_error{
        "sync_wait: a loop is running on this thread, which this would block; co_await the task instead"};
}

}  // namespace detail

/// Runs `work` on this thread, in a small loop of its own with timers, and gives its value or throws its exception.
///     int n = felix::sync_wait(four());
/// Throws deadlock_error when a loop runs on this thread already: it could not go on until this returns.
/// What another loop has to do is done only while some thread drives that loop. A request of a client whose loop nobody
/// runs waits for ever: its time limits are timers of that loop, and do not end it either. Use the loop's own run(), or
/// build the client on an io_thread. `sync_wait(timeout(5s, llm.complete(request)))` has a timer here, but what it stops
/// has to end on that loop too.
template <awaitable A, stoppable_token Token = stop_token>
awaited_t<A> sync_wait(A&& work, Token stop = {}) {
  detail::refuse_inside_a_loop();
  basic_event_loop<detail::thread_reactor, steady_clock_source> loop;
  return loop.run(std::forward<A>(work), stop);
}

namespace detail {

template <class T>
task<void> keep_outcome(task<T> work, std::optional<result<T>>& outcome) {
  outcome.emplace(co_await as_result(std::move(work)));
}

}  // namespace detail

/// The same for work that needs `home`: runs it in that loop, if the loop is this thread's and idle, since nobody else
/// would drive it; else in a small loop of its own, while the thread of `home` drives that.
///     auto answer = felix::sync_wait(io, llm.complete(request));   // io: an io_thread's loop, or an event_loop of main()
/// Throws deadlock_error when a loop runs on this thread already. A loop whose thread has not begun to drive it yet
/// belongs to the thread that made it: call leave_thread() before.
template <awaitable A>
awaited_t<A> sync_wait(scheduler& home, A&& work) {
  detail::refuse_inside_a_loop();
  std::optional<result<awaited_t<A>>> outcome;
  task<void> run = detail::keep_outcome(as_task(std::forward<A>(work)), outcome);
  if (!home.run_if_idle(run)) sync_wait(std::move(run));
  return std::move(*outcome).value();
}

}  // namespace felix::inline v1
