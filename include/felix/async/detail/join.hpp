// SPDX-License-Identifier: MIT
// async: several coroutines that start together and are joined: what when_all and nursery share.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// Counts branches down, keeps the first failure, and stops the others when one fails.
class join {
 public:
  join() = default;
  join(join&&) = delete;

  /// What a branch inherits: the scheduler of the coroutine that joins, and a token that a failure stops too.
  [[nodiscard]] const task_context& context() const noexcept { return context_; }
  [[nodiscard]] stop_source& stop() noexcept { return stop_; }

  /// Before the first branch: `parent` is where the joining coroutine lives and who may stop it.
  void open(const task_context& parent) {
    context_ = {parent.where, stop_.get_token()};
    on_parent_stop_.emplace(parent.stop, stop_forward{stop_});
  }
  void add_branch() noexcept { left_.fetch_add(1, std::memory_order_relaxed); }  // by whoever holds a count himself

  void fail(std::exception_ptr error) noexcept {
    {
      std::scoped_lock lock{mutex_};
      if (first_failure_) return;
      first_failure_ = std::move(error);
    }
    stop_.request_stop();
  }

  /// Runs `start`; what it throws (no memory for a frame) is the join's failure: those that run are still joined.
  template <class F>
  void guard(F&& start) noexcept {
    try {
      start();
    } catch (...) {
      fail(std::current_exception());
    }
  }

  /// One count less. True for the last: it has to wake the joiner.
  /// acq_rel: the last sees all that the others wrote, and the joiner goes on after the last.
  [[nodiscard]] bool release() noexcept { return left_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  /// Waits for every branch. The joiner's own count, which the constructor took, is released here.
  class awaiter {
   public:
    explicit awaiter(join& joined) noexcept : join_{joined} {}
    awaiter(awaiter&&) = delete;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> caller) noexcept {
      join_.joiner_.set(caller);
      return !join_.release();
    }
    /// Rethrows the first failure.
    void await_resume() {
      join_.on_parent_stop_.reset();
      if (join_.first_failure_) std::rethrow_exception(join_.first_failure_);
    }

   private:
    join& join_;
  };
  [[nodiscard]] awaiter all_ended() noexcept { return awaiter{*this}; }
  void wake_joiner() { joiner_.post(); }

 private:
  task_context context_;
  stop_source stop_;
  std::optional<stop_callback<stop_forward>> on_parent_stop_;
  std::atomic<std::size_t> left_{1};
  std::mutex mutex_;  // guards first_failure_ until all have ended
  std::exception_ptr first_failure_;
  continuation joiner_;
};

/// One coroutine of a join. It destroys its own frame, then counts down.
class branch {
 public:
  class promise_type {
   public:
    promise_type() noexcept = default;
    branch get_return_object() noexcept { return branch{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    struct final_awaiter {
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
        join& joined = *ended.promise().join_;
        ended.destroy();
        if (joined.release()) joined.wake_joiner();
      }
      void await_resume() const noexcept {}
    };
    [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept { join_->fail(std::current_exception()); }
    [[nodiscard]] const task_context& context() const noexcept { return join_->context(); }

   private:
    friend class branch;
    join* join_ = nullptr;
  };

  /// Runs the branch on this thread until it first suspends. It counts in `joined` from here on.
  static void start(branch&& started, join& joined) {
    const auto coroutine = std::exchange(started.coroutine_, nullptr);
    coroutine.promise().join_ = &joined;
    joined.add_branch();
    driver::resume(coroutine);
  }

  branch(branch&& other) noexcept : coroutine_{std::exchange(other.coroutine_, nullptr)} {}
  ~branch() {
    if (coroutine_) coroutine_.destroy();
  }

 private:
  explicit branch(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_{coroutine} {}
  std::coroutine_handle<promise_type> coroutine_;
};

inline branch run_branch(task<void> work) { co_await std::move(work); }

}  // namespace detail
}  // namespace felix::inline v1
