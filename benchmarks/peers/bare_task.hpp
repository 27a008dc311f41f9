// SPDX-License-Identifier: MIT
// benchmarks: the floor of a task: a frame, a result, symmetric transfer, and nothing else.
#pragma once

#include <felix/async/detail/frame_pool.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

namespace peers {

/// Frames from the pool that felix's tasks use.
struct pooled_frame {
  static void* operator new(std::size_t bytes) { return felix::detail::frame_pool::allocate(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    felix::detail::frame_pool::deallocate(frame, bytes);
  }
};

struct malloc_frame {
  static void* operator new(std::size_t bytes) {
    void* const frame = std::malloc(bytes);
    if (frame == nullptr) throw std::bad_alloc{};
    return frame;
  }
  static void operator delete(void* frame) noexcept { std::free(frame); }
};

/// A lazy task of an int. No stop, no scheduler, no exceptions, and nothing that keeps the stack from growing where the
/// compiler makes no tail calls.
template <class Frame>
class bare_task {
 public:
  struct promise_type : Frame {
    std::coroutine_handle<> awaiting;
    int value;  // written at the end, read afterwards

    promise_type() noexcept = default;
    bare_task get_return_object() noexcept {
      return bare_task{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    struct final_awaiter {
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
        return ended.promise().awaiting;
      }
      void await_resume() const noexcept {}
    };
    [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
    void return_value(int result) noexcept { value = result; }
    void unhandled_exception() const noexcept { std::terminate(); }
  };

  bare_task(bare_task&& other) noexcept : coroutine_{std::exchange(other.coroutine_, nullptr)} {}
  ~bare_task() {
    if (coroutine_) coroutine_.destroy();
  }

  class awaiter {
   public:
    explicit awaiter(std::coroutine_handle<promise_type> awaited) noexcept : coroutine_{awaited} {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
      coroutine_.promise().awaiting = caller;
      return coroutine_;
    }
    [[nodiscard]] int await_resume() const noexcept { return coroutine_.promise().value; }

   private:
    std::coroutine_handle<promise_type> coroutine_;
  };
  [[nodiscard]] awaiter operator co_await() && noexcept { return awaiter{coroutine_}; }

  /// Runs it to its end, from plain code. It must not wait for anything.
  int run() {
    coroutine_.promise().awaiting = std::noop_coroutine();
    coroutine_.resume();
    return coroutine_.promise().value;
  }

 private:
  explicit bare_task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_{coroutine} {}
  std::coroutine_handle<promise_type> coroutine_;
};

}  // namespace peers
