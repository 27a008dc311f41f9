// SPDX-License-Identifier: MIT
// async: where coroutines go on and what wakes them: the interface of every loop, and the context that tasks inherit.
#pragma once

#include <felix/async/stop_token.hpp>
#include <felix/async/work_item.hpp>

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstddef>

namespace felix::inline v1 {

template <class T>
class task;

namespace detail {

class schedule_awaiter;

/// A deadline in a scheduler's heap. Whoever takes it out decides what follows: the scheduler, which then calls `fire`
/// on its thread, or disarm(). The scheduler's mutex guards the state.
class timer {
 public:
  timer(std::chrono::steady_clock::time_point deadline, void (*fire)(timer&)) noexcept
      : deadline_{deadline}, fire_{fire} {}
  timer(timer&&) = delete;
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const noexcept { return deadline_; }
  /// Before it is armed.
  void set_deadline(std::chrono::steady_clock::time_point deadline) noexcept { deadline_ = deadline; }
  /// Only once it has been decided.
  [[nodiscard]] bool was_disarmed() const noexcept { return state_ == state::disarmed; }

 private:
  friend class timer_heap;
  enum class state : unsigned char { idle, armed, fired, disarmed };
  std::chrono::steady_clock::time_point deadline_;
  void (*fire_)(timer&);
  unsigned index_ = 0;  // its place in the heap while armed
  state state_ = state::idle;
};

/// `duration` after `time`, or as late as can be said.
[[nodiscard]] inline std::chrono::steady_clock::time_point later(std::chrono::steady_clock::time_point time,
                                                                 std::chrono::nanoseconds duration) noexcept {
  using time_point = std::chrono::steady_clock::time_point;
  if (duration.count() > 0 && time > time_point::max() - duration) return time_point::max();
  return time + duration;
}

}  // namespace detail

/// Runs what is posted, on a thread of its own choice, and keeps timers. Every loop of felix is one, and a thread_pool.
/// Threads: every member, from any thread.
class scheduler {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  scheduler() = default;
  scheduler(scheduler&&) = delete;
  virtual ~scheduler() = default;

  virtual void post(work_item& item) noexcept = 0;
  [[nodiscard]] virtual time_point now() const noexcept = 0;
  /// False: it was disarmed before it came here.
  virtual bool arm(detail::timer& item) = 0;
  /// True: it was armed, and now will not fire.
  virtual bool disarm(detail::timer& item) noexcept = 0;
  /// Runs `work` to its end if this thread may drive the scheduler and nobody does. False: `work` is as it was.
  virtual bool run_if_idle(task<void>& work) {
    static_cast<void>(work);
    return false;
  }

  /// Moves the task that awaits it here: what it does from then on runs on this scheduler, and so does what it awaits.
  /// Whoever awaits the task is not moved: when the task has ended, its awaiter goes on where it was.
  ///     felix::task<image> render(felix::thread_pool& pool, scene s) {
  ///       co_await pool.schedule();
  ///       co_return ray_trace(s);          // on a thread of the pool; the caller goes on on its own loop
  ///     }
  /// Stop:  throws `cancelled` as soon as it has arrived.
  /// Cost:  nothing when the task is here already; else one post, and one small frame the first time a task moves.
  [[nodiscard]] inline detail::schedule_awaiter schedule() noexcept;
};

/// What a task inherits from the one that awaits it: where it goes on, and who may stop it. It lives in the loop, the
/// scope or the time limit that began the chain of tasks, which all of them end before.
struct task_context {
  scheduler* where = nullptr;  ///< null: it goes on in whoever wakes it (a coroutine type that is not felix's)
  stop_token stop = {};
};

namespace detail {

inline constexpr task_context no_context{};

template <class Promise>
concept has_task_context = requires(const Promise& promise) {
  { promise.context() } noexcept -> std::same_as<const task_context&>;
};

template <class Promise>
[[nodiscard]] const task_context& context_of(std::coroutine_handle<Promise> caller) noexcept {
  if constexpr (has_task_context<Promise>) {
    return caller.promise().context();
  } else {
    return no_context;
  }
}
inline const task_context& context_of(std::coroutine_handle<>) noexcept { return no_context; }

}  // namespace detail
}  // namespace felix::inline v1
