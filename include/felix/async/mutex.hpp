// SPDX-License-Identifier: MIT
// async: one coroutine at a time, first come, first served; the lock may be held across a co_await.
#pragma once

#include <felix/async/detail/waiter.hpp>

#include <cassert>
#include <mutex>
#include <optional>
#include <utility>

namespace felix::inline v1 {

/// Mutual exclusion for coroutines. It goes to waiters in the order in which they came.
///     {
///       auto lock = co_await file_mutex.lock();     // unlocked at the end of the block
///       co_await write(file, line);
///     }
/// Threads:  every member, from any thread. A waiter goes on on its own scheduler, so that a lock may be taken on one
///           thread and given back on another. Not recursive.
/// Stop:     a suspended lock() throws `cancelled` and leaves the queue at once; a lock that was granted stays granted.
/// Lifetime: outlives its locks and waiters.
/// Cost:     no allocation; O(1).
class mutex {
 public:
  class awaiter;
  class scoped_lock;

  mutex() = default;
  mutex(mutex&&) = delete;
  ~mutex() { assert(!locked_ && "felix::mutex: destroyed while it is locked"); }

  [[nodiscard("it is not taken until this is awaited")]] awaiter lock() noexcept;
  /// Never waits: nothing when it is locked.
  [[nodiscard]] inline std::optional<scoped_lock> try_lock() noexcept;
  [[nodiscard]] bool is_locked() const noexcept {
    std::scoped_lock guard{guard_};
    return locked_;
  }

 private:
  friend class detail::cancellable_wait<mutex, awaiter>;
  bool try_take() noexcept {
    std::scoped_lock guard{guard_};
    return !std::exchange(locked_, true);
  }
  bool park(awaiter& waiter) noexcept;
  void cancel(awaiter& waiter);
  void unlock();

  mutable std::mutex guard_;  // guards what follows, and the waiters' places
  bool locked_ = false;       // invariant: true while anybody waits
  detail::wait_list waiters_;
};

/// While it lives, the mutex is locked.
class [[nodiscard("a lock that is dropped is unlocked at once")]] mutex::scoped_lock {
 public:
  scoped_lock(scoped_lock&& other) noexcept : of_{std::exchange(other.of_, nullptr)} {}
  scoped_lock& operator=(scoped_lock&&) = delete;
  ~scoped_lock() {
    if (of_ != nullptr) of_->unlock();
  }

 private:
  friend class mutex;
  explicit scoped_lock(mutex& of) noexcept : of_{&of} {}
  mutex* of_;  // null: moved from
};

class mutex::awaiter : public detail::cancellable_wait<mutex, awaiter> {
 public:
  explicit awaiter(mutex& awaited) noexcept : cancellable_wait{awaited} {}

  [[nodiscard]] bool await_ready() const noexcept { return primitive().try_take(); }
  scoped_lock await_resume() {
    finish("waiting for a mutex");
    return scoped_lock{primitive()};
  }
};

inline mutex::awaiter mutex::lock() noexcept { return awaiter{*this}; }

inline std::optional<mutex::scoped_lock> mutex::try_lock() noexcept {
  if (!try_take()) return std::nullopt;
  return scoped_lock{*this};
}

inline bool mutex::park(awaiter& waiter) noexcept {
  std::scoped_lock guard{guard_};
  if (waiter.is_cancelled()) return false;
  if (locked_) {
    waiters_.push_back(waiter);
    return true;
  }
  locked_ = true;  // unlocked since await_ready
  waiter.release();
  return false;
}

inline void mutex::cancel(awaiter& waiter) { waiter.withdraw(guard_, waiters_); }

inline void mutex::unlock() {
  detail::waiter* next = nullptr;
  {
    std::scoped_lock guard{guard_};
    next = waiters_.release_front();  // the lock goes from hand to hand
    if (next == nullptr) locked_ = false;
  }
  if (next != nullptr) next->post();
}

}  // namespace felix::inline v1
