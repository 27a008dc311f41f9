// SPDX-License-Identifier: MIT
// async: a number of permits for coroutines, first come, first served.
#pragma once

#include <felix/async/detail/waiter.hpp>
#include <felix/error.hpp>

#include <cassert>
#include <cstddef>
#include <mutex>
#include <utility>

namespace felix::inline v1 {

/// A counting semaphore. Permits go to waiters in the order in which they came, and nobody overtakes a waiter.
///     co_await free_places.acquire();  …  free_places.release();
/// Threads:  every member, from any thread. A waiter goes on on its own scheduler.
/// Stop:     a suspended acquire throws `cancelled` and leaves the queue at once; a permit that was granted stays
///           granted. In a when_any, what a loser was granted is gone with it; a priority_semaphore's permit comes back.
/// Lifetime: outlives its waiters.
/// Cost:     no allocation; one lock a call, O(1).
class semaphore {
 public:
  class awaiter;

  explicit semaphore(std::size_t permits) noexcept : available_{permits} {}
  semaphore(semaphore&&) = delete;
  ~semaphore() { assert(waiters_.empty() && "felix::semaphore: destroyed while a coroutine waits for it"); }

  [[nodiscard("it is not taken until this is awaited")]] awaiter acquire() noexcept;
  /// Never waits: false when no permit is free.
  [[nodiscard]] bool try_acquire() noexcept {
    std::scoped_lock lock{mutex_};
    if (available_ == 0) return false;
    --available_;
    return true;
  }
  void release();

  [[nodiscard]] std::size_t available() const noexcept {
    std::scoped_lock lock{mutex_};
    return available_;
  }

 private:
  friend class detail::cancellable_wait<semaphore, awaiter>;
  bool park(awaiter& waiter) noexcept;
  void cancel(awaiter& waiter);

  mutable std::mutex mutex_;  // guards what follows, and the waiters' places
  std::size_t available_;     // invariant: 0 while anybody waits
  detail::wait_list waiters_;
};

class semaphore::awaiter : public detail::cancellable_wait<semaphore, awaiter> {
 public:
  explicit awaiter(semaphore& awaited) noexcept : cancellable_wait{awaited} {}

  [[nodiscard]] bool await_ready() const noexcept { return primitive().try_acquire(); }
  void await_resume() { finish("waiting for a semaphore"); }
};

inline semaphore::awaiter semaphore::acquire() noexcept { return awaiter{*this}; }

inline bool semaphore::park(awaiter& waiter) noexcept {
  std::scoped_lock lock{mutex_};
  if (waiter.is_cancelled()) return false;
  if (available_ == 0) {
    waiters_.push_back(waiter);
    return true;
  }
  --available_;  // released since await_ready
  waiter.release();
  return false;
}

inline void semaphore::cancel(awaiter& waiter) { waiter.withdraw(mutex_, waiters_); }

inline void semaphore::release() {
  detail::waiter* next = nullptr;
  {
    std::scoped_lock lock{mutex_};
    next = waiters_.release_front();  // the permit goes from hand to hand
    if (next == nullptr) ++available_;
  }
  if (next != nullptr) next->post();
}

}  // namespace felix::inline v1
