// SPDX-License-Identifier: MIT
// async: a line of coroutines, each of which waits until it can have what it asks for, whatever that is.
#pragma once

#include <felix/async/detail/waiter.hpp>
#include <felix/priority.hpp>

#include <array>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>

namespace felix::inline v1 {

/// Where coroutines wait for parts of something that changes without a lock: whoever waits tries again, in order, after
/// each change. A priority_semaphore counts permits itself; here, what is shared is the user's.
///     class get_room : public felix::waiting_line::wait { bool attempt(std::uint64_t) override { return room.try_take(); } … };
///     room.give_back(3);
///     line.changed();                     // afterwards: those who wait try again
/// Order:    by priority, and first come, first tried within one. One who is refused does not end the pass: those behind
///           him may ask for something else. That nobody takes what he waits for is up to attempt(), see there.
/// Threads:  every member, from any thread. A waiter goes on on its own scheduler.
/// Stop:     a wait throws `cancelled` and leaves at once, and those behind it try; what was had stays had.
/// Lifetime: outlives its waiters and every call under way.
/// Cost:     changed() is a load as long as nobody waits; then it takes a lock, and O(waiters) attempts.
class waiting_line {
 public:
  class wait;

  waiting_line() = default;
  waiting_line(waiting_line&&) = delete;
  ~waiting_line() { assert(!anybody() && "felix::waiting_line: destroyed while a coroutine waits in it"); }

  /// What somebody may wait for may be there now. To be called after the change, which is to be seq_cst.
  void changed() noexcept {
    if (anybody()) serve();
  }
  [[nodiscard]] bool anybody() const noexcept { return waiting_.load(std::memory_order_seq_cst) != 0; }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_seq_cst); }

 private:
  friend class detail::cancellable_wait<waiting_line, wait>;
  inline bool park(wait& waiter) noexcept;
  inline void cancel(wait& waiter) noexcept;
  inline void serve() noexcept;
  inline void serve_locked(detail::wait_list& served, const wait* here) noexcept;

  // Why nobody waits for ever. Who comes to wait says so in `waiting_`, then tries; who has made a change looks at
  // `waiting_` afterwards. Flag, change and try are seq_cst and so have one order: either the try sees the change, or the
  // one who made it sees the flag, and all in the line try once more.
  std::atomic<std::size_t> waiting_{0};  // written under the mutex
  std::mutex mutex_;                     // guards what follows, the waiters' places, and all attempts in the line
  std::uint64_t passes_ = 0;
  std::array<detail::wait_list, request_priority_levels> levels_;
};

/// One place in the line: an awaiter derives from it, has attempt() and, in await_resume, calls finish() first.
class waiting_line::wait : public detail::cancellable_wait<waiting_line, wait> {
 public:
  [[nodiscard]] bool await_ready() { return !primitive().anybody() && attempt(0); }

 protected:
  wait(waiting_line& line, request_priority priority) noexcept
      : cancellable_wait{line}, level_{static_cast<std::size_t>(priority)} {}
  ~wait() = default;

  /// Takes what is asked for. False: it is not there. An exception: it never will be, and the coroutine goes on with it.
  /// With `pass` 0 it is called before the wait, by several threads at once, and touches nothing that waiters share but
  /// what can be taken without a lock; else by whichever thread makes a change, one at a time, and must not call changed().
  /// `pass` is the same for all attempts after one change, and another one after the next. So one that is refused can
  /// leave it where it lacked something, and later ones that find it there let him go first.
  [[nodiscard]] virtual bool attempt(std::uint64_t pass) = 0;

  void finish(const char* while_doing) {
    cancellable_wait::finish(while_doing);
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  friend class waiting_line;
  [[nodiscard]] bool is_over(std::uint64_t pass) noexcept {
    try {
      return attempt(pass);
    } catch (...) {
      failure_ = std::current_exception();
      return true;
    }
  }

  std::size_t level_;
  std::exception_ptr failure_;
};

inline bool waiting_line::park(wait& waiter) noexcept {
  detail::wait_list served;
  detail::waiter* others = nullptr;
  bool waits = true;
  {
    std::scoped_lock lock{mutex_};
    if (waiter.is_cancelled()) return false;
    levels_[waiter.level_].push_back(waiter);
    waiting_.fetch_add(1, std::memory_order_seq_cst);
    serve_locked(served, &waiter);
    waits = !waiter.is_released();
    others = served.release_all();
  }
  detail::wait_list::post_all(others);
  return waits;
}

inline void waiting_line::cancel(wait& waiter) noexcept {
  detail::waiter* others = nullptr;
  waiter.withdraw(mutex_, levels_[waiter.level_], [&] {
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
    detail::wait_list served;
    serve_locked(served, nullptr);  // those that let it go first
    others = served.release_all();
  });
  detail::wait_list::post_all(others);
}

inline void waiting_line::serve() noexcept {
  detail::waiter* others = nullptr;
  {
    std::scoped_lock lock{mutex_};
    detail::wait_list served;
    serve_locked(served, nullptr);
    others = served.release_all();
  }
  detail::wait_list::post_all(others);
}

inline void waiting_line::serve_locked(detail::wait_list& served, const wait* here) noexcept {
  ++passes_;
  for (std::size_t level = levels_.size(); level-- > 0;) {
    // Each is taken from the front and, refused, put to the back: in the end those that are left stand as before.
    detail::wait_list refused;
    while (!levels_[level].empty()) {
      auto& next = static_cast<wait&>(levels_[level].front());
      levels_[level].erase(next);
      if (!next.is_over(passes_)) {
        refused.push_back(next);
        continue;
      }
      waiting_.fetch_sub(1, std::memory_order_seq_cst);
      if (&next == here) {
        next.release();
      } else {
        served.push_back(next);
      }
    }
    while (!refused.empty()) {
      auto& next = refused.front();
      refused.erase(next);
      levels_[level].push_back(next);
    }
  }
}

}  // namespace felix::inline v1
