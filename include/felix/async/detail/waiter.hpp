// SPDX-License-Identifier: MIT
// async: the wait that is either woken or cancelled, written once for everything that coroutines queue at.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/detail/intrusive_list.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/error.hpp>

#include <coroutine>
#include <mutex>
#include <optional>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// A coroutine in the queue of some primitive. The primitive's mutex guards `state_`.
class waiter : public list_hook {
 public:
  enum class state : unsigned char { arriving, waiting, released, cancelled };

  state state_ = state::arriving;
  continuation continuation_;

  /// For the primitive's cancel(): takes the waiter out of `list`, unless it was released, and wakes it.
  template <class Waiter>
  static void withdraw(Waiter& waiter, std::mutex& mutex, intrusive_list<Waiter>& list) {
    {
      std::scoped_lock lock{mutex};
      if (waiter.state_ == state::released) return;
      if (std::exchange(waiter.state_, state::cancelled) == state::arriving) return;  // park() will see it
      list.erase(waiter);
    }
    waiter.continuation_.post();
  }
};

/// The awaiter's half. `Primitive` has, for a friend, `bool park(Awaiter&)`, which either queues the waiter (true) or
/// lets it go on (false: released, or cancelled before it came), and `void cancel(Awaiter&)`, which calls withdraw.
template <class Primitive, class Awaiter>
class cancellable_wait : public waiter {
 public:
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    continuation_.set(caller);
    // First the callback, last the list: once parked, another thread may resume the coroutine and destroy *this.
    on_stop_.emplace(context_of(caller).stop, stop_request{static_cast<Awaiter&>(*this)});
    return primitive_.park(static_cast<Awaiter&>(*this));
  }

 protected:
  explicit cancellable_wait(Primitive& primitive) noexcept : primitive_{primitive} {}

  /// First thing in await_resume.
  void finish(const char* while_doing) {
    on_stop_.reset();  // waits for a callback that still runs on another thread: nothing of the wait stays behind
    if (state_ == state::cancelled) throw cancelled{while_doing};
  }

  Primitive& primitive_;

 private:
  struct stop_request {
    Awaiter& wait;
    explicit stop_request(Awaiter& waiting) noexcept : wait{waiting} {}
    void operator()() const noexcept { wait.primitive_.cancel(wait); }
  };
  std::optional<stop_callback<stop_request>> on_stop_;
};

}  // namespace detail
}  // namespace felix::inline v1
