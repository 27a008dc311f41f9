// SPDX-License-Identifier: MIT
// Tests: coroutines, values and threads that more than one test of async needs.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/basic_event_loop.hpp>
#include <felix/async/event.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/task.hpp>

#include <coroutine>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace felix::test {

/// A coroutine type that is not felix's: no scheduler, no stop token. It starts when it is called.
class foreign {
 public:
  class promise_type {
   public:
    promise_type() noexcept = default;
    foreign get_return_object() const noexcept { return {}; }
    [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

/// Moved as often as `moves` says, and throws when it is moved once more. Not assignable, no default constructor.
class throws_when_moved {
 public:
  explicit throws_when_moved(int moves) noexcept : left_{moves} {}
  throws_when_moved(throws_when_moved&& other) : left_{other.left_ - 1} {
    if (left_ < 0) throw std::runtime_error{"moved too often"};
  }

 private:
  int left_;
};

/// Awaits `work` and writes its name to `log`, in brackets when it was stopped, with a bang when it failed.
template <awaitable A>
task<void> noted(A work, std::string name, std::string& log) {
  std::exception_ptr failure;
  try {
    static_cast<void>(co_await std::move(work));
    log += name;
  } catch (const cancelled&) {
    log += "(" + name + ")";
    failure = std::current_exception();
  } catch (...) {
    log += name + "!";
    failure = std::current_exception();
  }
  if (failure) std::rethrow_exception(failure);
}

/// A loop that another thread drives as long as the object lives.
class other_thread {
 public:
  other_thread() : thread_{[this] { loop_.run(end_); }} {}
  other_thread(other_thread&&) = delete;
  ~other_thread() {
    end_.set();
    thread_.join();
  }
  [[nodiscard]] scheduler& loop() noexcept { return loop_; }
  [[nodiscard]] std::thread::id id() const noexcept { return thread_.get_id(); }

 private:
  basic_event_loop<detail::thread_reactor, steady_clock_source> loop_;
  event end_;
  std::thread thread_;
};

}  // namespace felix::test
