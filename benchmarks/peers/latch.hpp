// SPDX-License-Identifier: MIT
// benchmarks: the floor of spawn and join: bare tasks that count an atomic down; the last resumes who waits for them.
#pragma once

#include "peers/bare_task.hpp"

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <span>
#include <utility>

namespace peers {

struct latch {
  std::atomic<std::size_t> left{0};
  std::coroutine_handle<> awaiting;
};

class latched_task {
 public:
  struct promise_type : pooled_frame {
    latch* joined = nullptr;
    int value;  // written at the end, read afterwards

    promise_type() noexcept = default;
    latched_task get_return_object() noexcept {
      return latched_task{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    struct final_awaiter {
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
        latch& all = *ended.promise().joined;
        // acq_rel: the last sees what the others wrote, and so does whoever it resumes.
        if (all.left.fetch_sub(1, std::memory_order_acq_rel) == 1) return all.awaiting;
        return std::noop_coroutine();
      }
      void await_resume() const noexcept {}
    };
    [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
    void return_value(int result) noexcept { value = result; }
    void unhandled_exception() const noexcept { std::terminate(); }
  };

  latched_task(latched_task&& other) noexcept : coroutine_{std::exchange(other.coroutine_, nullptr)} {}
  ~latched_task() {
    if (coroutine_) coroutine_.destroy();
  }
  void start(latch& joined) const {
    coroutine_.promise().joined = &joined;
    coroutine_.resume();
  }
  [[nodiscard]] int value() const noexcept { return coroutine_.promise().value; }

 private:
  explicit latched_task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_{coroutine} {}
  std::coroutine_handle<promise_type> coroutine_;
};

/// Starts the tasks one after the other and goes on when all have ended; their values stay in them.
class join_all {
 public:
  explicit join_all(std::span<const latched_task> tasks) noexcept : tasks_{tasks} {}
  join_all(join_all&&) = delete;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> caller) {
    latch_.awaiting = caller;
    latch_.left.store(tasks_.size() + 1, std::memory_order_relaxed);
    for (const latched_task& each : tasks_) each.start(latch_);
    return latch_.left.fetch_sub(1, std::memory_order_acq_rel) != 1;
  }
  void await_resume() const noexcept {}

 private:
  std::span<const latched_task> tasks_;
  latch latch_;
};

}  // namespace peers
