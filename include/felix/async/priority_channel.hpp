// SPDX-License-Identifier: MIT
// async: a bounded queue of values from coroutines to coroutines, the most urgent first.
#pragma once

#include <felix/async/detail/waiter.hpp>
#include <felix/async/detail/work_queue.hpp>
#include <felix/queue/pop_order.hpp>
#include <felix/queue/priority_queue.hpp>

#include <array>
#include <atomic>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// A priority work queue between coroutines, threads and loops: a `priority_queue` whose push waits for a place, whose
/// pop waits for a value, and which can be closed.
///     felix::priority_channel<job, 3> jobs{1024};                              // level 0 goes first
///     bool accepted = co_await jobs.push(1, std::move(work));                  // false: closed
///     while (auto next = co_await jobs.pop()) co_await next->run();            // to the end: closed, and all popped
/// Order:    a pop takes what `priority_queue` would give: level 0 first and first in, first out within a level, or what
///           `Order` says. Pops that wait are served first come first. A place that becomes free goes to the pushes that
///           wait, by an `Order` of their own: by level, and within a level to the one that came first. So an urgent push
///           does not stand behind those of lower levels, even when the channel is full. Who begins to wait after others, or only
///           tries, overtakes none of his kind in his level.
/// Closing:  pushes that begin afterwards are refused, and so are those that wait; one that is on its way at that moment
///           is accepted or refused. What was accepted is still popped, then comes the end: once a pop was told so, none
///           that begins afterwards gives a value.
/// Threads:  every member, from any thread. A waiter goes on on its own scheduler.
/// Stop:     a suspended push or pop throws `cancelled` and leaves at once; its value has then not been pushed, or stays
///           in the channel. What need not wait is not stopped.
/// Lifetime: outlives its waiters and every call under way, also one whose value was popped already. What nobody popped
///           is destroyed with it.
/// Throws:   as `priority_queue`: `error` (invalid_option) if the capacity is not from 1 to 2^24 - 1.
/// Cost:     the queue's own, lock-free, and two loads of a word that seldom changes, as long as nobody waits on the other
///           side; a call that has to wait, or that others wait for, takes a mutex, and so may a pop near the end. Memory
///           for all values at construction, none later.
/// g++ 12:   a T that is an aggregate gets a name before it is pushed, as in every `co_await` (README, "g++ 12").
/// See:      channel, for values of one level and for a capacity of 0; queue/key_levels.hpp for deadlines and costs.
template <class T, std::size_t Levels, pop_order Order = strict_order>
class priority_channel {
  static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                "felix::priority_channel: a value is moved on behalf of another coroutine, which must not fail; push a "
                "std::unique_ptr instead");

 public:
  class push_awaiter;
  class pop_awaiter;

  explicit priority_channel(std::size_t capacity) : queue_{capacity, "priority_channel"} {}
  priority_channel(priority_channel&&) = delete;
  ~priority_channel() {
    assert(pushers_waiting_ == 0 && poppers_.empty() &&
           "felix::priority_channel: destroyed while a coroutine waits for it");
  }

  /// Awaited, it gives true once `value` was accepted, false when the channel is closed.
  template <class U = T>
    requires std::constructible_from<T, U>
  [[nodiscard("nothing is pushed until it is awaited")]] push_awaiter push(std::size_t level, U&& value) noexcept(
      std::is_nothrow_constructible_v<T, U>) {
    assert(level < Levels && "felix::priority_channel: no such level; they count from 0");
    return push_awaiter{*this, level, std::forward<U>(value)};
  }
  /// Awaited, it gives the next value, or nothing when the channel is closed and everything was popped.
  [[nodiscard("nothing is popped until it is awaited")]] pop_awaiter pop() noexcept { return pop_awaiter{*this}; }

  /// Never waits. False: there is no place, or others wait for one, or the channel is closed; `value` is then untouched.
  /// But when it is closed in the middle of the call, a T that was moved is given back by assignment, if that cannot
  /// throw, and is else lost. What T's constructor throws: nothing was pushed.
  template <class U = T>
    requires std::constructible_from<T, U>
  [[nodiscard("false: the value was not pushed")]] bool try_push(std::size_t level, U&& value) {
    assert(level < Levels && "felix::priority_channel: no such level; they count from 0");
    return give(level, std::forward<U>(value)) == outcome::done;
  }
  /// Never waits: nothing when there is nothing, but what others wait for.
  [[nodiscard]] std::optional<T> try_pop() {
    std::optional<T> value;
    take(value);
    return value;
  }

  /// Again is no error.
  void close();
  [[nodiscard]] bool is_closed() const noexcept { return has(closed, state_.load(std::memory_order_seq_cst)); }

  /// Values inside now. Exact while no call is under way.
  [[nodiscard]] std::size_t size_approx() const noexcept { return queue_.size_approx(); }
  [[nodiscard]] std::size_t size_approx(std::size_t level) const noexcept { return queue_.size_approx(level); }
  [[nodiscard]] std::size_t capacity() const noexcept { return queue_.capacity(); }
  [[nodiscard]] static constexpr std::size_t levels() noexcept { return Levels; }

 private:
  friend class detail::cancellable_wait<priority_channel, push_awaiter>;
  friend class detail::cancellable_wait<priority_channel, pop_awaiter>;
  enum class outcome : unsigned char { done, would_wait, closed };

  // Why nobody waits for ever. Whoever waits is in a list; the mutex guards the lists, `state_` tells everybody which of
  // them are not empty. Who comes to wait says so in `state_`, then looks at the queue; who has changed the queue looks
  // at `state_` afterwards, and serves those who wait. All four are seq_cst, those in the queue as well, so they have one
  // order S, and in it either the one sees the change, or the other sees who waits.
  //   A popper: "empty" is exact. A push that its look has missed comes after the look, in S, hence after the flag; the
  //   pusher then sees the flag.
  //   A pusher: "full" is weak: cells may be held by calls under way. A cell comes back by a put, and each call that puts
  //   one looks at `state_` afterwards: a pop, and a push whose value's constructor throws. (A cancel puts too, but only
  //   after close(), when nobody waits.) So each put after the flag is followed by an attempt on behalf of the waiter.
  //   Take the last one: no put comes after it, so a stack of free cells that it saw empty stays so; if it finds no cell,
  //   those that were free have gone to pushes that put none back, and all are in the queue. It is full, and the next pop
  //   is a put.
  // A flag may stay when its list has become empty: whoever sees it takes the mutex in vain, and clears it.
  //
  // Why the end is the end. A push that has seen an open channel may still be at it after close(); so it looks again
  // afterwards. Pops tell the end only under the mutex, after they have found the queue empty there; they mark it
  // (`ended`), and the pops that see the mark do not look any more. The late pusher takes the mutex after its push: without
  // the mark, whoever will set it finds the value first; with it, the value is taken back, unless a pop that began before
  // has got it.
  using flags = unsigned;
  static constexpr flags closed = 1;
  static constexpr flags ended = 2;  // a pop was told the end
  static constexpr flags poppers_wait = 4;
  static constexpr flags pushers_wait = 8;
  [[nodiscard]] static constexpr bool has(flags which, flags in) noexcept { return (in & which) != 0; }

  template <class U>
  outcome give(std::size_t level, U&& value) {
    flags seen = state_.load(std::memory_order_seq_cst);
    if (has(pushers_wait, seen)) seen = serve();  // there may be a place again, and it is theirs
    if (has(closed, seen)) return outcome::closed;
    if (has(pushers_wait, seen)) return outcome::would_wait;
    const auto pushed = push_and_look(level, std::forward<U>(value), seen);
    if (!pushed) return outcome::would_wait;
    if (has(closed, seen) && has_ended()) {
      if (auto back = queue_.cancel(*pushed)) {
        if constexpr (std::is_same_v<U, T> && std::is_nothrow_move_assignable_v<T>) value = std::move(*back);
        return outcome::closed;
      }
    }
    if (has(poppers_wait, seen)) serve();
    return outcome::done;
  }
  /// `seen` is then what the state was after it.
  template <class U>
  auto push_and_look(std::size_t level, U&& value, flags& seen) {
    const auto push = [&] {
      auto pushed = queue_.try_push(level, std::forward<U>(value));
      seen = state_.load(std::memory_order_seq_cst);
      return pushed;
    };
    if constexpr (std::is_nothrow_constructible_v<T, U>) {
      return push();
    } else {
      try {
        return push();
      } catch (...) {
        if (has(pushers_wait, state_.load(std::memory_order_seq_cst))) serve();  // the place that it had taken
        throw;
      }
    }
  }
  bool has_ended() {
    std::scoped_lock lock{mutex_};
    return ended_;
  }

  outcome take(std::optional<T>& value) {
    flags seen = state_.load(std::memory_order_seq_cst);
    if (has(poppers_wait, seen)) seen = serve();  // what has come in is theirs
    if (has(ended, seen)) return outcome::closed;
    if (has(poppers_wait, seen)) return outcome::would_wait;
    if (auto popped = queue_.try_pop()) {
      value.emplace(std::move(*popped));
      if (has(pushers_wait, state_.load(std::memory_order_seq_cst))) serve();
      return outcome::done;
    }
    return has(closed, seen) ? take_last(value) : outcome::would_wait;
  }
  /// What to do about an empty queue once it is closed, and so nobody waits.
  outcome take_last(std::optional<T>& value) {
    std::scoped_lock lock{mutex_};
    if (!ended_) {
      if (auto popped = queue_.try_pop()) {  // pushed by somebody who had seen it open
        value.emplace(std::move(*popped));
        return outcome::done;
      }
      ended_ = true;
      publish();
    }
    return outcome::closed;
  }

  bool park(push_awaiter& waiter) {
    return park(waiter, [&] {
      pushers_[waiter.level_].push_back(waiter);
      ++pushers_waiting_;
    });
  }
  bool park(pop_awaiter& waiter) {
    return park(waiter, [&] { poppers_.push_back(waiter); });
  }
  template <class Awaiter, class F>
  bool park(Awaiter& waiter, F join) {
    detail::work_list served;
    bool waits = true;
    {
      std::scoped_lock lock{mutex_};
      if (waiter.is_cancelled()) return false;
      join();
      serve_locked(served, &waiter);
      waits = !waiter.is_released();
    }
    post_all(served);
    return waits;
  }
  void cancel(push_awaiter& waiter) {
    waiter.withdraw(mutex_, pushers_[waiter.level_], [this] { --pushers_waiting_; });
  }
  void cancel(pop_awaiter& waiter) { waiter.withdraw(mutex_, poppers_); }

  /// For those who wait, all that can be done now. Gives the state after it.
  flags serve() {
    detail::work_list served;
    flags after = 0;
    {
      std::scoped_lock lock{mutex_};
      serve_locked(served, nullptr);
      after = state_.load(std::memory_order_relaxed);  // written under the mutex
    }
    post_all(served);
    return after;
  }
  /// Whoever goes on is then in `served`, to be posted when the lock is free, but for `here`, who has not left yet.
  void serve_locked(detail::work_list& served, const detail::waiter* here);
  /// The list of the push that is the next to get a place. Not when there is none.
  detail::wait_list& next_pushers() noexcept {
    assert(turn_ < Levels && "felix::priority_channel: its Order chose a level that does not exist");
    if (!pushers_[turn_].empty()) return pushers_[turn_];
    std::size_t level = 0;
    while (pushers_[level].empty()) ++level;
    return pushers_[level];
  }
  static void go_on(detail::wait_list& first_of, detail::work_list& served, const detail::waiter* here) noexcept {
    if (detail::waiter* const first = first_of.release_front(); first != here) served.push_back(*first);
  }
  static void post_all(detail::work_list& served) {
    while (work_item* const each = served.pop_front()) static_cast<detail::waiter*>(each)->post();
  }

  /// Under the mutex.
  void publish() noexcept {
    const flags now = (closed_ ? closed : 0) | (ended_ ? ended : 0) | (poppers_.empty() ? 0 : poppers_wait) |
                      (pushers_waiting_ == 0 ? 0 : pushers_wait);
    if (now != state_.load(std::memory_order_relaxed)) state_.store(now, std::memory_order_seq_cst);
  }

  priority_queue<T, Levels, Order> queue_;
  alignas(64) std::atomic<flags> state_{0};  // what follows, for those without the mutex, on a cache line of its own
  alignas(64) std::mutex mutex_;             // guards what follows, and the waiters' places
  bool closed_ = false;                      // invariant: nobody waits
  bool ended_ = false;
  detail::wait_list poppers_;
  std::array<detail::wait_list, Levels> pushers_;
  std::size_t pushers_waiting_ = 0;
  [[no_unique_address]] Order admission_;
  std::size_t turn_ = admission_.first_level(Levels);  // the level that gets the next place if anybody waits there
};

template <class T, std::size_t Levels, pop_order Order>
class priority_channel<T, Levels, Order>::push_awaiter
    : public detail::cancellable_wait<priority_channel, push_awaiter> {
  using wait = detail::cancellable_wait<priority_channel, push_awaiter>;

 public:
  template <class U>
  push_awaiter(priority_channel& to, std::size_t level, U&& value) noexcept(std::is_nothrow_constructible_v<T, U>)
      : wait{to}, value_(std::forward<U>(value)), level_{level} {}

  [[nodiscard]] bool await_ready() {
    const outcome got = this->primitive().give(level_, std::move(value_));
    accepted_ = got == outcome::done;
    return got != outcome::would_wait;
  }
  [[nodiscard("false: the channel is closed, and the value was not pushed")]] bool await_resume() {
    this->finish("pushing to a priority_channel");
    return accepted_;
  }

 private:
  friend class priority_channel;
  T value_;
  std::size_t level_;
  bool accepted_ = false;
};

template <class T, std::size_t Levels, pop_order Order>
class priority_channel<T, Levels, Order>::pop_awaiter : public detail::cancellable_wait<priority_channel, pop_awaiter> {
  using wait = detail::cancellable_wait<priority_channel, pop_awaiter>;

 public:
  explicit pop_awaiter(priority_channel& from) noexcept : wait{from} {}

  [[nodiscard]] bool await_ready() { return this->primitive().take(value_) != outcome::would_wait; }
  std::optional<T> await_resume() {
    this->finish("popping from a priority_channel");
    return std::move(value_);
  }

 private:
  friend class priority_channel;
  std::optional<T> value_;
};

template <class T, std::size_t Levels, pop_order Order>
void priority_channel<T, Levels, Order>::serve_locked(detail::work_list& served, const detail::waiter* here) {
  publish();  // before the queue is looked at
  for (bool again = true; again;) {
    while (!poppers_.empty() && !ended_) {
      auto value = queue_.try_pop();
      if (!value) break;
      static_cast<pop_awaiter&>(poppers_.front()).value_.emplace(std::move(*value));
      go_on(poppers_, served, here);
    }
    again = false;
    while (pushers_waiting_ > 0) {
      detail::wait_list& list = next_pushers();
      auto& first = static_cast<push_awaiter&>(list.front());
      if (!closed_) {
        if (!queue_.try_push(first.level_, std::move(first.value_))) break;  // untouched
        first.accepted_ = true;
        turn_ = admission_.first_level(Levels);
        again = !poppers_.empty();
      }
      --pushers_waiting_;
      go_on(list, served, here);
    }
  }
  if (closed_ && !poppers_.empty()) {  // empty, or told so before
    ended_ = true;
    while (!poppers_.empty()) go_on(poppers_, served, here);
  }
  publish();
}

template <class T, std::size_t Levels, pop_order Order>
void priority_channel<T, Levels, Order>::close() {
  detail::work_list served;
  {
    std::scoped_lock lock{mutex_};
    closed_ = true;
    serve_locked(served, nullptr);
  }
  post_all(served);
}

}  // namespace felix::inline v1
