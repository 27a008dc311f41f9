// SPDX-License-Identifier: MIT
// async: waiting for a time.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>

#include <chrono>
#include <coroutine>
#include <optional>

namespace felix::inline v1 {

namespace detail {

/// Suspends until a deadline of a scheduler, or until a stop.
class sleep_awaiter : private timer {
 public:
  /// `where` null: the scheduler of the coroutine that awaits.
  sleep_awaiter(scheduler* where, std::chrono::steady_clock::time_point deadline) noexcept
      : timer{deadline, &fire}, where_{where} {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    const task_context context = context_of(caller);
    if (where_ == nullptr) where_ = context.where;
    if (where_ == nullptr)
      throw error{errc::invalid_argument, "sleep_for: this coroutine type has no loop; use loop.sleep_for(duration)"};
    continuation_.set(caller);
    on_stop_.emplace(context.stop, stop_request{*this});
    return where_->arm(*this);  // the last access: once armed it may fire on the loop's thread
  }
  void await_resume() {
    on_stop_.reset();  // waits for a callback that still runs on another thread
    if (was_disarmed()) throw cancelled{"sleeping"};
  }

 private:
  struct stop_request {
    sleep_awaiter& sleep;
    explicit stop_request(sleep_awaiter& sleeping) noexcept : sleep{sleeping} {}
    void operator()() const noexcept {
      if (sleep.where_->disarm(sleep)) sleep.continuation_.post();
    }
  };
  static void fire(timer& self) { static_cast<sleep_awaiter&>(self).continuation_.post(); }

  scheduler* where_;
  continuation continuation_;
  std::optional<stop_callback<stop_request>> on_stop_;
};

}  // namespace detail

/// Suspends the coroutine until `deadline` of its loop's clock.
/// Stop: throws `cancelled` at once. Cost: no allocation; O(log n) in the loop's timers.
[[nodiscard]] inline detail::sleep_awaiter sleep_until(std::chrono::steady_clock::time_point deadline) noexcept {
  return detail::sleep_awaiter{nullptr, deadline};
}

namespace detail {

/// Asks the coroutine's loop what time it is.
class now_awaiter : public context_awaiter {
 public:
  now_awaiter() noexcept = default;
  [[nodiscard]] std::chrono::steady_clock::time_point await_resume() const noexcept {
    return context_.where != nullptr ? context_.where->now() : std::chrono::steady_clock::now();
  }
};

}  // namespace detail

namespace this_task {

/// What time it is on the clock of the loop that runs this coroutine: real, or simulated.
[[nodiscard]] inline detail::now_awaiter now() noexcept { return detail::now_awaiter{}; }

}  // namespace this_task

/// Suspends the coroutine for `duration` of its loop's clock; one that is not positive ends in the loop's next turn.
/// Stop: throws `cancelled` at once.
inline task<void> sleep_for(std::chrono::nanoseconds duration) {
  const auto started = co_await this_task::now();
  co_await sleep_until(started + duration);
}

}  // namespace felix::inline v1
