// SPDX-License-Identifier: MIT
// async: waiting for a time.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>

#include <cassert>
#include <chrono>
#include <coroutine>
#include <optional>

namespace felix::inline v1 {

namespace detail {

/// Suspends until a time of a scheduler, or until a stop.
class sleep_awaiter : private timer, private stop_callback_base {
  using time_point = std::chrono::steady_clock::time_point;

 public:
  /// `where` null: the scheduler of the coroutine that awaits.
  sleep_awaiter(scheduler* where, time_point deadline) noexcept
      : timer{deadline, &fire}, stop_callback_base{&stop}, where_{where} {}
  /// From when it is awaited.
  sleep_awaiter(scheduler* where, std::chrono::nanoseconds duration) noexcept
      : sleep_awaiter{where, time_point{duration}} {
    from_now_ = true;
  }
  /// Before it is awaited.
  sleep_awaiter(sleep_awaiter&& other) noexcept : sleep_awaiter{other.where_, other.deadline()} {
    from_now_ = other.from_now_;
  }

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    continuation_.set(caller);
    if (where_ == nullptr) where_ = continuation_.context().where;
    if (where_ == nullptr)
      throw error{errc::invalid_argument, "sleep_for: this coroutine type has no loop; use loop.sleep_for(duration)"};
    if (from_now_) set_deadline(later(where_->now(), deadline().time_since_epoch()));
    enlist(continuation_.context().stop);
    return arm();  // the last access: once armed it may fire on the loop's thread
  }
  void await_resume() {
    delist(continuation_.context().stop);  // waits for a callback that still runs on another thread
    if (was_disarmed()) throw cancelled{"sleeping"};
  }

 private:
  bool arm() {
    try {
      return where_->arm(*this);
    } catch (...) {  // no memory
      delist(continuation_.context().stop);
      throw;
    }
  }
  static void stop(stop_callback_base& self) noexcept {
    auto& sleep = static_cast<sleep_awaiter&>(self);
    if (sleep.where_->disarm(sleep)) sleep.continuation_.post();
  }
  static void fire(timer& self) { static_cast<sleep_awaiter&>(self).continuation_.post(); }

  scheduler* where_;
  continuation continuation_;
  bool from_now_ = false;
};

}  // namespace detail

/// Suspends the coroutine until `deadline` of its loop's clock.
/// Stop: throws `cancelled` at once. Cost: no allocation; O(log n) in the loop's timers.
[[nodiscard("nobody sleeps until it is awaited")]] inline detail::sleep_awaiter sleep_until(
    std::chrono::steady_clock::time_point deadline) noexcept {
  return detail::sleep_awaiter{nullptr, deadline};
}

/// Suspends the coroutine for `duration` of its loop's clock; one that is not positive ends in the loop's next turn.
/// Stop: throws `cancelled` at once. Cost: no allocation; O(log n) in the loop's timers.
[[nodiscard("nobody sleeps until it is awaited")]] inline detail::sleep_awaiter sleep_for(
    std::chrono::nanoseconds duration) noexcept {
  return detail::sleep_awaiter{nullptr, duration};
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
}  // namespace felix::inline v1
