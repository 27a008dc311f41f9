// SPDX-License-Identifier: MIT
// async: a number of permits for coroutines; a freed permit goes to the most urgent waiter.
#pragma once

#include <felix/async/detail/waiter.hpp>
#include <felix/error.hpp>
#include <felix/priority.hpp>

#include <array>
#include <cassert>
#include <cstddef>
#include <mutex>
#include <string>
#include <utility>

namespace felix::inline v1 {

/// At most `permits` coroutines at once. A freed permit goes to the waiter of the highest level, and within a level to
/// the one that came first; nobody who comes later overtakes it.
///     auto permit = co_await slots.acquire(request_priority::high);   // held until it is destroyed
/// Threads:  every member, from any thread. A waiter goes on on its own scheduler.
/// Stop:     a suspended acquire throws `cancelled` and leaves the queue at once; a permit that was granted stays
///           granted. A free permit is taken even when a stop was requested.
/// Lifetime: outlives its permits and waiters.
/// Cost:     no allocation; one lock a call, O(1).
class priority_semaphore {
 public:
  class awaiter;
  class permit;

  /// Throws error (invalid_option) when `permits` is below 1: nobody could ever go on.
  explicit priority_semaphore(std::size_t permits) : available_{permits}, limit_{permits} {
    if (permits == 0)
      throw error{errc::invalid_option, "priority_semaphore: 0 permits would let nobody through; use at least 1"};
  }
  priority_semaphore(priority_semaphore&&) = delete;
  ~priority_semaphore() {
    assert(available_ == limit_ && "felix::priority_semaphore: destroyed while a permit is held");
  }

  [[nodiscard]] awaiter acquire(request_priority priority = request_priority::normal) noexcept;

  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
  /// Permits held now.
  [[nodiscard]] std::size_t in_use() const noexcept {
    std::scoped_lock lock{mutex_};
    return limit_ - available_;
  }
  /// Waiters of one level now.
  [[nodiscard]] std::size_t waiting(request_priority priority) const noexcept {
    std::scoped_lock lock{mutex_};
    return levels_[static_cast<std::size_t>(priority)].size;
  }

 private:
  friend class detail::cancellable_wait<priority_semaphore, awaiter>;
  struct level {
    detail::wait_list waiters;
    std::size_t size = 0;
  };

  [[nodiscard]] bool try_take() noexcept;
  bool park(awaiter& waiter) noexcept;
  void cancel(awaiter& waiter);
  void release();

  mutable std::mutex mutex_;  // guards what follows, and the waiters' places
  std::size_t available_;     // invariant: 0 while anybody waits
  const std::size_t limit_;
  std::array<level, request_priority_levels> levels_;
};

/// One permit; its destructor gives it back.
class [[nodiscard("a permit that is dropped is given back at once")]] priority_semaphore::permit {
 public:
  permit(permit&& other) noexcept : from_{std::exchange(other.from_, nullptr)} {}
  permit& operator=(permit&&) = delete;
  ~permit() {
    if (from_ != nullptr) from_->release();
  }

 private:
  friend class awaiter;
  explicit permit(priority_semaphore& from) noexcept : from_{&from} {}
  priority_semaphore* from_;  // null: moved from
};

class priority_semaphore::awaiter : public detail::cancellable_wait<priority_semaphore, awaiter> {
 public:
  awaiter(priority_semaphore& awaited, request_priority priority) noexcept
      : cancellable_wait{awaited}, level_{static_cast<std::size_t>(priority)} {}

  [[nodiscard]] bool await_ready() const noexcept { return primitive().try_take(); }
  permit await_resume() {
    finish("waiting for a permit");
    return permit{primitive()};
  }

 private:
  friend class priority_semaphore;
  std::size_t level_;
};

inline priority_semaphore::awaiter priority_semaphore::acquire(request_priority priority) noexcept {
  return awaiter{*this, priority};
}

inline bool priority_semaphore::try_take() noexcept {
  std::scoped_lock lock{mutex_};
  if (available_ == 0) return false;
  --available_;
  return true;
}

inline bool priority_semaphore::park(awaiter& waiter) noexcept {
  std::scoped_lock lock{mutex_};
  if (waiter.is_cancelled()) return false;
  if (available_ > 0) {  // freed since await_ready
    --available_;
    waiter.release();
    return false;
  }
  levels_[waiter.level_].waiters.push_back(waiter);
  ++levels_[waiter.level_].size;
  return true;
}

inline void priority_semaphore::cancel(awaiter& waiter) {
  level& queue = levels_[waiter.level_];
  waiter.withdraw(mutex_, queue.waiters, [&] { --queue.size; });
}

inline void priority_semaphore::release() {
  detail::waiter* next = nullptr;
  {
    std::scoped_lock lock{mutex_};
    for (std::size_t i = levels_.size(); i-- > 0 && next == nullptr;) {
      next = levels_[i].waiters.release_front();  // the permit goes from hand to hand
      if (next != nullptr) --levels_[i].size;
    }
    if (next == nullptr) ++available_;
  }
  if (next != nullptr) next->post();
}

}  // namespace felix::inline v1
