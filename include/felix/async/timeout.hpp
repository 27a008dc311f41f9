// SPDX-License-Identifier: MIT
// async: a time limit for a task.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/join.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/task.hpp>
#include <felix/async/work_item.hpp>
#include <felix/error.hpp>

#include <array>
#include <charconv>
#include <chrono>
#include <coroutine>
#include <exception>
#include <string>
#include <utility>

namespace felix::inline v1 {

namespace detail {

/// What timeout gives.
template <class T>
class [[nodiscard("nothing starts until it is awaited")]] timeout_awaitable {
 public:
  timeout_awaitable(scheduler* clock, std::chrono::nanoseconds limit, task<T> work) noexcept
      : clock_{clock}, limit_{limit}, work_{std::move(work)} {}

  /// Joins the task and the timer: whichever ends last lets the coroutine go on, so that neither finds it gone.
  class awaiter : public join, private timer {
   public:
    awaiter(scheduler* clock, std::chrono::nanoseconds limit, task<T> work) noexcept
        : timer{{}, &fire}, clock_{clock}, limit_{limit}, work_{std::move(work)} {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) {
      if (clock_ == nullptr) clock_ = context_of(caller).where;
      if (clock_ == nullptr)
        throw error{errc::invalid_argument,
                    "timeout: this coroutine type has no loop; name one: timeout(loop, duration, work)"};
      open(caller, 2);
      set_deadline(later(clock_->now(), limit_));
      clock_->arm(*this);
      const std::coroutine_handle<> work = task_access::start(work_, *this);
      if (where != nullptr) return driver::transfer(work);
      where = clock_;  // so there it runs
      start_ = work_item{work};
      clock_->post(start_);
      return std::noop_coroutine();
    }
    T await_resume() {
      close();
      if (was_disarmed() || joiner().stop.stop_requested()) return task_access::promise(work_).take();
      try {
        return task_access::promise(work_).take();  // it was done in spite of the stop
      } catch (const cancelled& stopped) {
        throw timed_out{"timeout: not done within " + text(limit_), stopped.cost()};
      }
    }

   private:
    std::coroutine_handle<> ended(std::coroutine_handle<>, const std::exception_ptr*,
                                  join::ended_on on) noexcept override {
      const bool never_fires = clock_->disarm(*this);
      return count_down(never_fires ? 2 : 1) ? go_on(on) : std::noop_coroutine();
    }
    static void fire(timer& self) {
      auto& limit = static_cast<awaiter&>(self);
      limit.branches_stop().request_stop();
      if (limit.count_down()) limit.wake_joiner();
    }
    static std::string text(std::chrono::nanoseconds limit) {
      std::array<char, 32> digits;  // of printf's %g, whatever the locale
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                     std::chrono::duration<double>{limit}.count(), std::chars_format::general, 6);
      return std::string{digits.data(), end.ptr} + " s";
    }

    scheduler* clock_;
    std::chrono::nanoseconds limit_;
    task<T> work_;
    work_item start_;
  };
  awaiter operator co_await() & = delete;  // std::move(it): what it holds can be awaited once
  awaiter operator co_await() && noexcept { return awaiter{clock_, limit_, std::move(work_)}; }

 private:
  scheduler* clock_;
  std::chrono::nanoseconds limit_;
  task<T> work_;
};

}  // namespace detail

/// Awaits `work` for at most `limit` of the loop's clock. When the time is up, `work` is stopped and awaited, so that
/// nothing of it is left, and `timed_out` is thrown; what it came to in spite of that is given all the same.
///     auto answer = co_await felix::timeout(5s, llm.complete(request));
/// Throws:   timed_out; else what `work` throws. A limit that is not positive runs out at the first suspension.
/// Stop:     a stop request reaches `work`.
/// Cost:     no allocation beside the task itself; O(log n) in the loop's timers.
template <awaitable A>
auto timeout(std::chrono::nanoseconds limit, A&& work) {
  return detail::timeout_awaitable<awaited_t<A>>{nullptr, limit, as_task(std::forward<A>(work))};
}

/// The same by the clock of `clock`, for coroutine types that are not felix's: `work` then runs on it.
template <awaitable A>
auto timeout(scheduler& clock, std::chrono::nanoseconds limit, A&& work) {
  return detail::timeout_awaitable<awaited_t<A>>{&clock, limit, as_task(std::forward<A>(work))};
}

}  // namespace felix::inline v1
