// SPDX-License-Identifier: MIT
// async: a flag to wait for. Any thread sets it, each waiter goes on where it lives, a stop request ends a wait.
#pragma once

#include <felix/async/detail/waiter.hpp>

#include <cassert>
#include <mutex>

namespace felix::inline v1 {

/// A manual-reset event: set() releases everyone who waits, now and later, until reset().
///     co_await loaded;   // in any number of coroutines, until some thread says loaded.set()
/// Threads:  every member, from any thread. set() posts the waiters to their own schedulers, first come first; a
///           coroutine type that is not felix's has none and resumes inside set().
/// Stop:     a suspended wait throws `cancelled` when its task is asked to stop; a set event is passed even then.
/// Lifetime: the event outlives its waiters; a sole waiter may end it as soon as it runs.
/// Cost:     no allocation; one lock a call; set() is linear in the waiters.
class event {
 public:
  class awaiter;
  event() = default;
  event(event&&) = delete;  // neither copied nor moved: waiters point here
  ~event() { assert(waiters_.empty() && "felix::event: destroyed while a coroutine waits for it"); }

  void set();
  void reset() noexcept {
    std::scoped_lock lock{mutex_};
    set_ = false;  // those already released stay released
  }
  [[nodiscard]] bool is_set() const noexcept {
    std::scoped_lock lock{mutex_};
    return set_;
  }
  [[nodiscard]] awaiter operator co_await() noexcept;

 private:
  friend class detail::cancellable_wait<event, awaiter>;
  bool park(awaiter& waiter) noexcept;
  void cancel(awaiter& waiter);

  mutable std::mutex mutex_;  // guards what follows, and the waiters' places
  bool set_ = false;
  detail::wait_list waiters_;
};

class event::awaiter : public detail::cancellable_wait<event, awaiter> {
 public:
  explicit awaiter(event& awaited) noexcept : cancellable_wait{awaited} {}

  [[nodiscard]] bool await_ready() const noexcept { return primitive().is_set(); }
  void await_resume() { finish("waiting for an event"); }
};

inline event::awaiter event::operator co_await() noexcept { return awaiter{*this}; }

inline void event::set() {
  detail::waiter* released = nullptr;
  {
    std::scoped_lock lock{mutex_};
    set_ = true;
    released = waiters_.release_all();
  }
  detail::wait_list::post_all(released);
}

inline bool event::park(awaiter& waiter) noexcept {
  std::scoped_lock lock{mutex_};
  if (waiter.is_cancelled()) return false;  // a stop request overtook us
  set_ ? waiter.release() : waiters_.push_back(waiter);
  return !set_;
}

inline void event::cancel(awaiter& waiter) { waiter.withdraw(mutex_, waiters_); }

}  // namespace felix::inline v1
