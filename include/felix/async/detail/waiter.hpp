// SPDX-License-Identifier: MIT
// async: the wait that is either woken or cancelled, written once for everything that coroutines queue at.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/error.hpp>

#include <cassert>
#include <coroutine>
#include <mutex>

namespace felix::inline v1 {
namespace detail {

/// A coroutine in the queue of some primitive. The primitive's mutex guards its place.
///
/// A million waiters are ordinary, so their state costs no byte of its own: it is told by the link to the one before,
/// which is null before the wait begins, the one before (or the list) while it waits, and the waiter itself once it was
/// released; and a cancelled waiter no longer knows its primitive (see cancellable_wait).
class waiter : public continuation {
 public:
  waiter() noexcept = default;
  waiter(waiter&&) = delete;

  [[nodiscard]] bool is_waiting() const noexcept { return previous_ != nullptr && previous_ != this; }
  [[nodiscard]] bool is_released() const noexcept { return previous_ == this; }
  /// It goes on, and a stop request comes too late. Not while it is in a list.
  void release() noexcept { previous_ = this; }

 private:
  friend class wait_list;
  waiter* previous_ = nullptr;
};

/// First in, first out: a ring through the list itself. It links by what the loop's queues link by afterwards, since a
/// coroutine that is posted no longer waits. Owns nothing; must be empty when it dies.
class wait_list {
 public:
  wait_list() noexcept { reset(); }
  wait_list(wait_list&&) = delete;
  ~wait_list() { assert(empty()); }

  [[nodiscard]] bool empty() const noexcept { return ends_.previous_ == &ends_; }

  void push_back(waiter& last) noexcept {
    last.next_ = &ends_;
    last.previous_ = ends_.previous_;
    last.previous_->next_ = &last;
    ends_.previous_ = &last;
  }
  /// `waiting` must be in this list; it is then neither in a list nor released.
  void erase(waiter& waiting) noexcept {
    waiting.previous_->next_ = waiting.next_;
    static_cast<waiter*>(waiting.next_)->previous_ = waiting.previous_;
    waiting.previous_ = nullptr;
  }
  /// The one that came first. Not when there is none.
  [[nodiscard]] waiter& front() noexcept { return static_cast<waiter&>(*ends_.next_); }
  /// The one that came first, released; null when there is none.
  waiter* release_front() noexcept {
    if (empty()) return nullptr;
    waiter& first = front();
    erase(first);
    first.release();
    return &first;
  }

  /// Releases all. They can then only be gone through by post_all.
  waiter* release_all() noexcept {
    if (empty()) return nullptr;
    waiter* const first = &front();
    ends_.previous_->next_ = nullptr;
    for (auto* each = first; each != nullptr; each = static_cast<waiter*>(each->next_)) each->release();
    reset();
    return first;
  }
  static void post_all(waiter* first) {
    while (first != nullptr) {
      waiter& released = *first;
      first = static_cast<waiter*>(released.next_);  // before it is posted: it may die then
      released.post();
    }
  }

 private:
  void reset() noexcept { ends_.next_ = ends_.previous_ = &ends_; }
  waiter ends_;  // the first comes after it, the last before it
};

/// The awaiter's half. `Primitive` has, for a friend, `bool park(Awaiter&)`, which either queues the waiter (true) or
/// lets it go on (false: released, or cancelled before it came), and `void cancel(Awaiter&)`, which calls `withdraw`.
template <class Primitive, class Awaiter>
class cancellable_wait : public waiter, private stop_callback_base {
 public:
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    Primitive& primitive = *primitive_;
    set(caller);
    // First the callback, last the list: once parked, another thread may resume the coroutine and destroy *this.
    enlist(context().stop);
    return primitive.park(static_cast<Awaiter&>(*this));
  }

  [[nodiscard]] bool is_cancelled() const noexcept { return primitive_ == nullptr; }

  /// For the primitive's cancel(): takes the waiter out of `list`, unless it was released, and wakes it.
  void withdraw(std::mutex& mutex, wait_list& list) {
    withdraw(mutex, list, [] {});
  }
  /// `on_leaving` is called under the mutex.
  template <class F>
  void withdraw(std::mutex& mutex, wait_list& list, F on_leaving) {
    {
      std::scoped_lock lock{mutex};
      if (is_released()) return;
      primitive_ = nullptr;
      if (!is_waiting()) return;  // park() will see it
      list.erase(*this);
      on_leaving();
    }
    post();
  }

 protected:
  explicit cancellable_wait(Primitive& primitive) noexcept : stop_callback_base{&stop}, primitive_{&primitive} {}
  /// Before it is awaited a wait is but the name of its primitive.
  cancellable_wait(cancellable_wait&& other) noexcept : cancellable_wait{*other.primitive_} {
    assert(!other.is_waiting() && !other.is_released() && "felix: a wait is moved after it has begun");
  }
  ~cancellable_wait() { assert(!is_waiting() && "felix: a coroutine is destroyed while it waits"); }

  [[nodiscard]] Primitive& primitive() const noexcept { return *primitive_; }

  /// First thing in await_resume. Waits for a callback that still runs on another thread: nothing of the wait stays.
  void finish(const char* while_doing) {
    delist(context().stop);
    if (is_cancelled()) throw cancelled{while_doing};
  }

 private:
  static void stop(stop_callback_base& self) noexcept {
    auto& wait = static_cast<cancellable_wait&>(self);
    wait.primitive_->cancel(static_cast<Awaiter&>(wait));
  }

  Primitive* primitive_;  // null: cancelled; changed under the primitive's mutex
};

}  // namespace detail
}  // namespace felix::inline v1
