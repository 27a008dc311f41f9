// SPDX-License-Identifier: MIT
// async: several coroutines that are joined: what when_all, when_any, nursery and timeout share.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/promise_base.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <variant>

namespace felix::inline v1 {
namespace detail {

/// Counts branches down and wakes the coroutine that waits for them. They inherit its scheduler, and a token that stops
/// them alone; a stop of the joiner stops them too.
class join : public scope {
 public:
  [[nodiscard]] stop_source& branches_stop() noexcept { return stop_; }
  [[nodiscard]] const task_context& joiner() const noexcept { return joiner_.context(); }

 protected:
  join() = default;
  ~join() = default;

  /// Before the first branch. `awaited` of them have to end, and the joiner goes on.
  template <class Promise>
  void open(std::coroutine_handle<Promise> caller, std::size_t awaited) noexcept {
    joiner_.set(caller);
    where = joiner().where;
    stop = stop_.get_token();
    left_.store(awaited, std::memory_order_relaxed);  // the branches are started by this thread
    if (joiner().stop.stop_possible()) on_joiner_stop_.emplace(joiner().stop, pass_on_stop{*this});
  }
  /// The same, and starts them: what await_suspend of when_all and when_any does.
  template <class Promise>
  auto open_and_start(std::coroutine_handle<Promise> caller, std::size_t awaited, starter& branches) {
    if constexpr (has_task_context<Promise>) {
      open(caller, awaited);
      driver::start(branches);
    } else {
      return foreign_link::run(caller, [&](foreign_link::handle link) {
        open(link, awaited);
        driver::start_apart(branches);
      });
    }
  }
  /// First thing when the joiner goes on. Waits for a stop that is being passed on by another thread.
  void close() noexcept { on_joiner_stop_.reset(); }

  /// One more branch, by whoever holds a count himself.
  void add_branch() noexcept { left_.fetch_add(1, std::memory_order_relaxed); }
  /// `count` less. True for the last: the joiner has to go on; for the others *this may be gone.
  /// acq_rel: the last sees all that the others wrote, and the joiner goes on after the last.
  [[nodiscard]] bool count_down(std::size_t count = 1) noexcept {
    return left_.fetch_sub(count, std::memory_order_acq_rel) == count;
  }
  /// Given by the last branch to its thread, in order to go on with the joiner: at once where both live on one
  /// scheduler, as an awaited task does.
  std::coroutine_handle<> go_on(ended_on on) {
    if (on == ended_on::own_scheduler) return driver::transfer(joiner_.coroutine());
    joiner_.post();
    return std::noop_coroutine();
  }
  void wake_joiner() { joiner_.post(); }

  /// A callback that stops the branches.
  class pass_on_stop {
   public:
    explicit pass_on_stop(join& to) noexcept : to_{to} {}
    void operator()() const noexcept { to_.stop_branches(); }

   private:
    join& to_;
  };

 private:
  /// Counts as a branch while it stops the others. Those that have no scheduler end inside of request_stop, and the last
  /// of them would end the join, and with it what is being requested.
  void stop_branches() noexcept {
    std::size_t left = left_.load(std::memory_order_relaxed);
    do {
      if (left == 0) return;  // all have ended, and the joiner is about to go on
    } while (!left_.compare_exchange_weak(left, left + 1, std::memory_order_relaxed));
    stop_.request_stop();
    if (count_down()) wake_joiner();
  }

  stop_source stop_;
  std::atomic<std::size_t> left_{0};
  continuation joiner_;
  std::optional<stop_callback<pass_on_stop>> on_joiner_stop_;
};

template <class T>
using joined_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// The value of a task that has ended; throws its failure.
template <class T>
joined_value<T> joined(task<T>& ended) {
  if constexpr (std::is_void_v<T>) {
    task_access::promise(ended).take();
    return {};
  } else {
    return task_access::promise(ended).take();
  }
}

/// A join whose first failure stops the others, and is rethrown when all have ended.
class fail_fast_join : public join {
 protected:
  void fail(const std::exception_ptr& error) noexcept {
    if (failed_.exchange(true, std::memory_order_relaxed)) return;  // what it guards is read after the last count-down
    first_failure_ = error;
    branches_stop().request_stop();
  }
  void rethrow_failure() const {
    if (first_failure_) std::rethrow_exception(first_failure_);
  }

 private:
  std::atomic<bool> failed_{false};
  std::exception_ptr first_failure_;
};

}  // namespace detail
}  // namespace felix::inline v1
