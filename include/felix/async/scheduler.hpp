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

namespace detail {

/// A deadline in a scheduler's heap. Whoever takes it out decides what follows: the scheduler, which then calls `fire`
/// on its thread, or disarm(). The scheduler's mutex guards the state.
class timer {
 public:
  timer(std::chrono::steady_clock::time_point deadline, void (*fire)(timer&)) noexcept
      : deadline_{deadline}, fire_{fire} {}
  timer(timer&&) = delete;
  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const noexcept { return deadline_; }
  /// Only once it has been decided.
  [[nodiscard]] bool was_disarmed() const noexcept { return state_ == state::disarmed; }

 private:
  friend class timer_heap;
  enum class state : unsigned char { idle, armed, fired, disarmed };
  std::chrono::steady_clock::time_point deadline_;
  void (*fire_)(timer&);
  std::size_t index_ = 0;  // its place in the heap while armed
  state state_ = state::idle;
};

}  // namespace detail

/// Runs what is posted, on a thread of its own choice, and keeps timers. Every loop of felix is one.
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
};

/// What a task inherits from the one that awaits it: where it goes on, and who may stop it.
struct task_context {
  scheduler* where = nullptr;  ///< null: it goes on in whoever wakes it (a coroutine type that is not felix's)
  stop_token stop = {};
};

namespace detail {

template <class Promise>
concept has_task_context = requires(const Promise& promise) {
  { promise.context() } noexcept -> std::same_as<const task_context&>;
};

template <class Promise>
[[nodiscard]] task_context context_of(std::coroutine_handle<Promise> caller) noexcept {
  if constexpr (has_task_context<Promise>) {
    return caller.promise().context();
  } else {
    return {};
  }
}
inline task_context context_of(std::coroutine_handle<>) noexcept { return {}; }

}  // namespace detail
}  // namespace felix::inline v1
