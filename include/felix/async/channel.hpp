// SPDX-License-Identifier: MIT
// async: a bounded queue of values from coroutines to coroutines, first in, first out.
#pragma once

#include <felix/async/detail/waiter.hpp>

#include <cassert>
#include <concepts>
#include <cstddef>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Carries values from any number of senders to any number of receivers. `capacity` of them wait inside; who sends more
/// waits until one is received. With 0 a sender waits for the receiver of its value.
///     felix::channel<page> pages{16};
///     for (auto& link : links) if (!co_await pages.send(co_await load(link))) break;    // one coroutine
///     pages.close();
///     while (auto page = co_await pages.receive()) index(*page);                        // others
/// Order:    values arrive in the order in which they were sent; senders and receivers are served first come first.
/// Closing:  nothing more is accepted, senders that wait are refused; what was accepted is still received, then comes
///           the end. So nobody waits for ever, whichever side closes.
/// Threads:  every member, from any thread. A waiter goes on on its own scheduler.
/// Stop:     a suspended send or receive throws `cancelled` and leaves the queue at once; its value has then not been
///           sent, or stays in the channel.
/// Lifetime: outlives its waiters; values that nobody received are destroyed with it.
/// Cost:     memory for all values at construction, none later; one lock a call, O(1).
/// See:      priority_channel<T, 1>, which takes no lock while nobody waits: with room for many values, and sender and
///           receiver on threads of their own, it is the faster one; on one loop, this is.
template <class T>
class channel {
  static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                "felix::channel: a value is moved on behalf of another coroutine, which must not fail; send a "
                "std::unique_ptr instead");

 public:
  class send_awaiter;
  class receive_awaiter;

  explicit channel(std::size_t capacity) : places_(capacity) {}
  channel(channel&&) = delete;
  ~channel() {
    assert(senders_.empty() && receivers_.empty() && "felix::channel: destroyed while a coroutine waits for it");
  }

  /// Awaited, it gives true once `value` was accepted, false when the channel is closed; what was to be sent
  /// is then gone (try_send leaves it).
  [[nodiscard("nothing is sent until it is awaited")]] send_awaiter send(T value) noexcept {
    return send_awaiter{*this, std::move(value)};
  }
  /// Awaited, it gives the next value, or nothing when the channel is closed and empty.
  [[nodiscard("nothing is received until it is awaited")]] receive_awaiter receive() noexcept {
    return receive_awaiter{*this};
  }

  /// Never waits. False: there is no place, or the channel is closed; `value` is then untouched.
  template <class U = T>
    requires std::constructible_from<T, U>
  [[nodiscard]] bool try_send(U&& value) {
    return give(std::forward<U>(value)) == outcome::done;
  }
  /// Never waits: nothing when there is nothing.
  [[nodiscard]] std::optional<T> try_receive() {
    std::optional<T> value;
    take(value);
    return value;
  }

  /// Again is no error.
  void close();

  [[nodiscard]] bool is_closed() const noexcept {
    std::scoped_lock lock{mutex_};
    return closed_;
  }
  /// Values inside now.
  [[nodiscard]] std::size_t size() const noexcept {
    std::scoped_lock lock{mutex_};
    return size_;
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return places_.size(); }

 private:
  friend class detail::cancellable_wait<channel, send_awaiter>;
  friend class detail::cancellable_wait<channel, receive_awaiter>;
  enum class outcome : unsigned char { done, would_wait, closed };

  template <class U>
  outcome give(U&& value) {
    detail::waiter* receiver = nullptr;
    std::unique_lock lock{mutex_};
    const outcome got = give_locked(std::forward<U>(value), receiver);
    lock.unlock();
    if (receiver != nullptr) receiver->post();
    return got;
  }
  /// `receiver` is whoever got it, to be posted when the lock is free.
  template <class U>
  outcome give_locked(U&& value, detail::waiter*& receiver) {
    if (closed_) return outcome::closed;
    if (!receivers_.empty()) {  // then nothing is inside
      static_cast<receive_awaiter&>(receivers_.front()).value_.emplace(std::forward<U>(value));
      receiver = receivers_.release_front();
    } else if (size_ < places_.size()) {
      places_[(first_ + size_) % places_.size()].emplace(std::forward<U>(value));
      ++size_;
    } else {
      return outcome::would_wait;
    }
    return outcome::done;
  }

  outcome take(std::optional<T>& value) {
    detail::waiter* sender = nullptr;
    std::unique_lock lock{mutex_};
    const outcome got = take_locked(value, sender);
    lock.unlock();
    if (sender != nullptr) sender->post();
    return got;
  }
  /// `sender` is whoever goes on because of it, to be posted when the lock is free.
  outcome take_locked(std::optional<T>& value, detail::waiter*& sender) noexcept {
    if (size_ == 0 && senders_.empty()) return closed_ ? outcome::closed : outcome::would_wait;
    if (!senders_.empty()) {  // then every place is taken, or there is none
      static_cast<send_awaiter&>(senders_.front()).accepted_ = true;
      sender = senders_.release_front();
    }
    if (places_.empty()) {
      value.emplace(std::move(static_cast<send_awaiter*>(sender)->value_));
      return outcome::done;
    }
    std::optional<T>& place = places_[first_];
    value.emplace(std::move(*place));
    place.reset();
    first_ = (first_ + 1) % places_.size();
    if (sender != nullptr) {
      place.emplace(std::move(static_cast<send_awaiter*>(sender)->value_));
    } else {
      --size_;
    }
    return outcome::done;
  }

  bool park(send_awaiter& waiter);
  bool park(receive_awaiter& waiter);
  void cancel(send_awaiter& waiter) { waiter.withdraw(mutex_, senders_); }
  void cancel(receive_awaiter& waiter) { waiter.withdraw(mutex_, receivers_); }

  mutable std::mutex mutex_;  // guards what follows, and the waiters' places
  bool closed_ = false;       // invariant: nobody waits
  std::vector<std::optional<T>> places_;
  std::size_t first_ = 0;  // of `size_` values, in a ring
  std::size_t size_ = 0;
  detail::wait_list senders_;    // invariant: every place is taken while anybody waits
  detail::wait_list receivers_;  // invariant: no place is taken while anybody waits
};

template <class T>
class channel<T>::send_awaiter : public detail::cancellable_wait<channel, send_awaiter> {
  using wait = detail::cancellable_wait<channel, send_awaiter>;

 public:
  send_awaiter(channel& to, T value) noexcept : wait{to}, value_{std::move(value)} {}

  [[nodiscard]] bool await_ready() {
    const outcome got = this->primitive().give(std::move(value_));
    accepted_ = got == outcome::done;
    return got != outcome::would_wait;
  }
  [[nodiscard("false: the channel is closed, and the value was not sent")]] bool await_resume() {
    this->finish("sending to a channel");
    return accepted_;
  }

 private:
  friend class channel;
  T value_;
  bool accepted_ = false;
};

template <class T>
class channel<T>::receive_awaiter : public detail::cancellable_wait<channel, receive_awaiter> {
  using wait = detail::cancellable_wait<channel, receive_awaiter>;

 public:
  explicit receive_awaiter(channel& from) noexcept : wait{from} {}

  [[nodiscard]] bool await_ready() { return this->primitive().take(value_) != outcome::would_wait; }
  std::optional<T> await_resume() {
    this->finish("receiving from a channel");
    return std::move(value_);
  }

 private:
  friend class channel;
  std::optional<T> value_;
};

template <class T>
bool channel<T>::park(send_awaiter& waiter) {
  detail::waiter* receiver = nullptr;
  {
    std::scoped_lock lock{mutex_};
    if (waiter.is_cancelled()) return false;
    const outcome got = give_locked(std::move(waiter.value_), receiver);
    if (got == outcome::would_wait) {
      senders_.push_back(waiter);
      return true;
    }
    waiter.accepted_ = got == outcome::done;
    waiter.release();
  }
  if (receiver != nullptr) receiver->post();
  return false;
}

template <class T>
bool channel<T>::park(receive_awaiter& waiter) {
  detail::waiter* sender = nullptr;
  {
    std::scoped_lock lock{mutex_};
    if (waiter.is_cancelled()) return false;
    if (take_locked(waiter.value_, sender) == outcome::would_wait) {
      receivers_.push_back(waiter);
      return true;
    }
    waiter.release();
  }
  if (sender != nullptr) sender->post();
  return false;
}

template <class T>
void channel<T>::close() {
  detail::waiter* senders = nullptr;
  detail::waiter* receivers = nullptr;
  {
    std::scoped_lock lock{mutex_};
    closed_ = true;
    senders = senders_.release_all();
    receivers = receivers_.release_all();
  }
  detail::wait_list::post_all(senders);
  detail::wait_list::post_all(receivers);
}

}  // namespace felix::inline v1
