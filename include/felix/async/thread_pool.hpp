// SPDX-License-Identifier: MIT
// async: several threads that run coroutines and timers, for work that would keep a loop's one thread from the others.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/detail/root.hpp>
#include <felix/async/detail/running_loop.hpp>
#include <felix/async/detail/timer_heap.hpp>
#include <felix/async/detail/work_queue.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/work_item.hpp>
#include <felix/error.hpp>
#include <felix/result.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Runs coroutines on threads of its own, first come, first served, several at the same time.
///     felix::task<image> render(felix::thread_pool& pool, scene s) {
///       co_await pool.schedule();
///       co_return ray_trace(s);                                   // on a thread of the pool
///     }
///     felix::thread_pool pool;
///     auto [l, r] = felix::sync_wait(felix::when_all(render(pool, left), render(pool, right)));   // back on this one
/// Threads:  post, spawn, timers: from any thread. shut_down: from one at a time. After a co_await a task may go on on
///           another of the pool's threads; two tasks that share data guard it, for instance by a felix::mutex.
/// Stop:     spawn takes a token; shut_down() and the destructor stop and join what was spawned.
/// Lifetime: outlives the tasks that live on it; whoever awaits them sees to that. The destructor first shuts down, then
///           runs everything that was posted, and what that posts; what still sleeps on the pool's clock wakes with
///           `cancelled`. Then it joins the threads. So nothing posted is lost, and it ends, unless a spawned task
///           ignores its stop token or waits for the thread that is in the destructor. No task of its own destroys it.
///           A simulated_loop does not wait for the threads of a pool.
/// Cost:     post() takes one lock, allocates nothing, and wakes a thread only where one is idle. Idle threads wait in
///           the kernel. One queue under one mutex: measured, queues per thread with stealing and a lock-free inbox
///           were slower at forks and joins, level at work of 10 µs, and better where tasks do nothing but yield.
class thread_pool : public scheduler {
 public:
  /// As many threads as there are processors.
  thread_pool() : thread_pool{std::max<std::size_t>(std::thread::hardware_concurrency(), 1)} {}
  /// Throws error (invalid_option) for 0 threads; std::system_error when there cannot be so many.
  explicit thread_pool(std::size_t threads) : thread_pool{nobody{}} {
    if (threads == 0)
      throw error{errc::invalid_option,
                  "thread_pool: 0 threads would run nothing; pass 1 or more, or nothing for one per processor"};
    threads_.reserve(threads);
    while (threads_.size() < threads) threads_.emplace_back([this] { work(); });
  }
  ~thread_pool() {
    assert(!is_current() && "felix::thread_pool: destroyed by one of its own threads, which it would wait for");
    stop_spawned();
    {
      std::scoped_lock lock{mutex_};
      ending_ = true;
      wake_.notify_all();
    }
    for (std::thread& each : threads_) each.join();
    assert(ready_.empty() && !timers_.next_deadline() && "felix::thread_pool: destroyed while a task lives on it");
  }

  [[nodiscard]] std::size_t size() const noexcept { return threads_.size(); }
  /// Whether this thread is one of the pool's.
  [[nodiscard]] bool is_current() const noexcept { return detail::running_loop() == this; }

  /// Starts `work` on a thread of the pool, to which it then belongs. `on_done(result<T>)` is called there when it has
  /// ended, and must not throw.
  template <awaitable A, std::invocable<result<awaited_t<A>>> OnDone, stoppable_token Token = stop_token>
  void spawn(A&& work, OnDone on_done, Token stop = {}) {
    post(detail::root<thread_pool>::make(*this, std::forward<A>(work), std::move(on_done), std::move(stop)));
  }

  /// Asks everything that was spawned to stop, and waits until it has ended; each on_done is called, with `cancelled`
  /// where the task was waiting. The pool can be used again afterwards.
  /// Throws deadlock_error when a loop or a pool runs on this thread: the tasks could be waiting for it.
  void shut_down() {
    if (detail::running_loop() != nullptr)
      throw deadlock_error{
          "shut_down: called by a task or a callback of a loop or a pool, whose thread this would block"};
    stop_spawned();
  }

  [[nodiscard]] time_point now() const noexcept override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] detail::sleep_awaiter sleep_until(time_point deadline) noexcept {
    return detail::sleep_awaiter{this, deadline};
  }
  [[nodiscard]] detail::sleep_awaiter sleep_for(std::chrono::nanoseconds duration) noexcept {
    return detail::sleep_awaiter{this, duration};
  }

  /// Everything that touches the pool is done under its mutex, waking included: when the item has run, and its end made
  /// somebody destroy the pool, this thread has nothing left to do here.
  void post(work_item& item) noexcept override {
    std::scoped_lock lock{mutex_};
    assert(!ended_ && "felix::thread_pool: posted to when it is destroyed");
    ready_.push_back(item);
    wake_one();
  }
  bool arm(detail::timer& item) override {
    std::scoped_lock lock{mutex_};
    assert(!ended_ && "felix::thread_pool: a sleep or a time limit begins when it is destroyed");
    if (!timers_.arm(item)) return false;
    if (nobody_keeps_time()) wake_one();
    return true;
  }
  bool disarm(detail::timer& item) noexcept override {
    std::scoped_lock lock{mutex_};
    return timers_.disarm(item);
  }

 private:
  struct nobody {};
  explicit thread_pool(nobody) noexcept {}  // complete, so that the destructor joins what a failing constructor began

  friend class detail::root<thread_pool>;
  [[nodiscard]] stop_token adopt() noexcept {
    std::scoped_lock lock{mutex_};
    ++spawned_;
    return shut_down_->get_token();
  }
  void disown() noexcept {
    std::scoped_lock lock{mutex_};
    if (--spawned_ == 0) none_spawned_.notify_all();
  }
  void stop_spawned() {
    shut_down_->request_stop();
    std::unique_lock lock{mutex_};
    none_spawned_.wait(lock, [this] { return spawned_ == 0; });
    shut_down_.emplace();
  }

  /// What each thread does.
  void work() {
    const detail::entered inside{*this};
    std::unique_lock lock{mutex_};
    while (!ended_) {
      if (detail::timer* const due = next_due()) {
        leave_rest_to_another();
        lock.unlock();
        detail::timer_heap::fire(*due);
        lock.lock();
      } else if (work_item* const item = ready_.pop_front()) {
        leave_rest_to_another();
        lock.unlock();
        (*item)();
        lock.lock();
      } else if (ending_ && idle_ + 1 == threads_.size()) {  // no other runs anything that could still post
        ended_ = true;
        wake_.notify_all();
      } else {
        wait(lock);
      }
    }
  }

  detail::timer* next_due() noexcept {
    if (ending_) return timers_.pop_disarmed();
    return nobody_keeps_time() ? timers_.pop_due(now()) : nullptr;
  }
  /// This thread may be busy for long.
  void leave_rest_to_another() noexcept {
    if (idle_ != 0 && (!ready_.empty() || nobody_keeps_time())) wake_one();
  }

  /// One at a time: whoever wakes up wakes the next if there is more to do. A burst of posts costs no burst of wake-ups.
  void wake_one() noexcept {
    if (idle_ == 0 || waking_) return;
    waking_ = true;
    wake_.notify_one();
  }
  /// Whether a deadline would pass while all who wait sleep on.
  [[nodiscard]] bool nobody_keeps_time() const noexcept {
    const auto next = timers_.next_deadline();
    return next && *next < kept_until_;
  }
  void wait(std::unique_lock<std::mutex>& lock) {
    ++idle_;
    if (nobody_keeps_time()) {
      kept_until_ = *timers_.next_deadline();
      wake_.wait_until(lock, time_point{kept_until_});  // a copy: it is read again while others change it
      kept_until_ = time_point::max();  // too careful if another waits for an earlier one: then two keep the time
    } else {
      wake_.wait(lock);
    }
    --idle_;
    waking_ = false;  // also when it woke by itself: it will see what there is to do
  }

  std::mutex mutex_;  // guards all that follows
  std::condition_variable wake_;
  detail::work_list ready_;
  detail::timer_heap timers_;
  std::size_t idle_ = 0;                       // threads inside wait()
  bool waking_ = false;                        // one of them was notified, and has not come back yet
  time_point kept_until_ = time_point::max();  // when one of them wakes by itself, for the sake of the timers
  std::size_t spawned_ = 0;                    // how many of them have not ended
  std::condition_variable none_spawned_;
  std::optional<stop_source> shut_down_{std::in_place};  // a new one after each shut_down()
  bool ending_ = false;                                  // the destructor waits
  bool ended_ = false;                                   // and nothing is left to do
  std::vector<std::thread> threads_;                     // not changed while anything runs
};

}  // namespace felix::inline v1
