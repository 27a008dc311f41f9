// SPDX-License-Identifier: MIT
// net: a loop on a thread of its own.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/event.hpp>
#include <felix/async/posted_call.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/result.hpp>

#include <atomic>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// For programs whose threads must not wait: a desktop's, a server's with threads of its own.
///     felix::io_thread io;
///     felix::client llm{io};
///     std::future<felix::chat_response> answer = io.spawn(llm.complete(request));
/// The thread drives the loop until the end. A task that blocks the thread stops all others, and their time limits.
/// Threads:  every member, from any thread but its own, where shut_down() and the destructor are refused.
/// Stop:     shut_down() stops and joins what was spawned.
/// Lifetime: outlives what was built on it. Call shut_down() before anything dies that spawned tasks refer to; the
///           destructor does it too.
class io_thread {
 public:
  io_thread() : thread_{begin()} {}
  io_thread(io_thread&&) = delete;
  ~io_thread() {
    shut_down();
    over_.set();
    thread_.join();
  }

  /// Starts `work` on the loop, soon. The future has its value or its exception: error (cancelled) after shut_down().
  /// A future that is dropped does not wait, and the work goes on.
  template <awaitable A, stoppable_token Token = stop_token>
  std::future<awaited_t<A>> spawn(A&& work, Token stop = {}) {
    using T = awaited_t<A>;
    auto made = std::make_unique<job<T, Token>>(loop_, as_task(std::forward<A>(work)), std::move(stop));
    std::future<T> outcome = made->promise.get_future();
    std::scoped_lock lock{mutex_};
    if (ended_) {
      made->promise.set_exception(std::make_exception_ptr(cancelled{"starting on an io_thread that was shut down"}));
    } else {
      loop_.post(made.release()->start);  // which ends the job
    }
    return outcome;
  }

  /// Asks everything that was spawned to stop, and waits until it has ended. What is spawned afterwards ends with
  /// `cancelled`; what other threads await of a client that was built on it goes on. A second call does nothing.
  /// Throws deadlock_error on the thread itself, which would wait for its own end.
  void shut_down() {
    if (std::this_thread::get_id() == thread_.get_id())
      throw deadlock_error{"io_thread: shut_down is called by a task that runs on it; let another thread do it"};
    {
      std::scoped_lock lock{mutex_};
      ended_ = true;
    }
    end_.set();
    is_down_.wait(false, std::memory_order_acquire);
  }

  /// To build on: `felix::client llm{io};`, `co_await io.loop().schedule()`. Its run() and poll() are the thread's alone.
  [[nodiscard]] event_loop& loop() noexcept { return loop_; }
  operator event_loop&() noexcept { return loop_; }

 private:
  /// Takes a task to the loop.
  template <class T, class Token>
  struct job {
    job(event_loop& on, task<T> given, Token token) : loop{on}, work{std::move(given)}, stop{std::move(token)} {}
    void begin() {
      const std::unique_ptr<job> self{this};
      loop.spawn(
          std::move(work), [told = std::move(promise)](result<T> outcome) mutable { tell(told, outcome); },
          std::move(stop));
    }
    static void tell(std::promise<T>& told, result<T>& outcome) noexcept {
      if (!outcome) {
        told.set_exception(outcome.error());
      } else if constexpr (std::is_void_v<T>) {
        told.set_value();
      } else {
        try {
          told.set_value(std::move(*outcome));
        } catch (...) {  // by the value's move constructor
          told.set_exception(std::current_exception());
        }
      }
    }

    event_loop& loop;
    task<T> work;
    Token stop;
    std::promise<T> promise;
    posted_call start{[this] { begin(); }};
  };

  std::thread begin() {
    loop_.leave_thread();  // whoever waits on this thread must not drive it before its own thread does
    return std::thread{[this] { run(); }};
  }
  void run() {
    loop_.run(until(end_));
    loop_.poll();  // what was posted before the end, even if the loop had not begun yet, is started and then stopped
    loop_.shut_down();
    // release pairs with the acquire in shut_down(): what the tasks did is done.
    is_down_.store(true, std::memory_order_release);
    is_down_.notify_all();
    loop_.run(until(over_));
  }
  static task<void> until(event& end) { co_await end; }

  event_loop loop_;
  event end_;
  event over_;
  std::atomic<bool> is_down_{false};
  std::mutex mutex_;  // guards ended_: nothing is posted once it is set
  bool ended_ = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace felix::inline v1
