// SPDX-License-Identifier: MIT
// async: asking work to stop, without an allocation. The contract and the names are those of P2300's inplace_stop_token.
#pragma once

#include <atomic>
#include <cassert>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

class inplace_stop_source;

namespace detail {

class stop_callback_base {
 public:
  stop_callback_base(stop_callback_base&&) = delete;

 protected:
  stop_callback_base(inplace_stop_source* source, void (*run)(stop_callback_base*) noexcept) noexcept
      : source_{source}, run_{run} {}
  ~stop_callback_base() = default;
  inline void enlist() noexcept;
  inline void delist() noexcept;

 private:
  friend class felix::inplace_stop_source;
  inplace_stop_source* source_;  // null: never stopped
  void (*run_)(stop_callback_base*) noexcept;
  stop_callback_base* previous_ = nullptr;
  stop_callback_base* next_ = nullptr;
  bool enlisted_ = false;  // guarded by the source's mutex
};

}  // namespace detail

/// Tells whether a stop was requested. A pointer's size; a default one is never stopped.
class inplace_stop_token {
 public:
  inplace_stop_token() = default;
  [[nodiscard]] bool stop_possible() const noexcept { return source_ != nullptr; }
  [[nodiscard]] inline bool stop_requested() const noexcept;
  friend bool operator==(inplace_stop_token, inplace_stop_token) noexcept = default;

 private:
  friend class inplace_stop_source;
  template <class F>
  friend class inplace_stop_callback;
  explicit inplace_stop_token(inplace_stop_source* source) noexcept : source_{source} {}
  inplace_stop_source* source_ = nullptr;
};

/// Where a stop is requested. Outlives its tokens and callbacks.
///     felix::stop_source stop;
///     loop.spawn(work(), on_done, stop.get_token());
///     stop.request_stop();            // from any thread; work ends with `cancelled`
/// Threads:  every member, from any thread.
/// Cost:     one lock to register, to deregister and to request; request_stop is linear in the callbacks.
/// See:      P2300R10 §33.3, [stoptoken.inplace] of C++26.
class inplace_stop_source {
 public:
  inplace_stop_source() = default;
  inplace_stop_source(inplace_stop_source&&) = delete;  // tokens and callbacks point here
  ~inplace_stop_source() {
    assert(first_ == nullptr && "felix::stop_source: destroyed while a callback is registered");
  }

  [[nodiscard]] inplace_stop_token get_token() noexcept { return inplace_stop_token{this}; }
  [[nodiscard]] bool stop_requested() const noexcept { return requested_.load(std::memory_order_acquire); }

  /// Runs every callback on this thread, one after the other, without holding a lock. False: it was requested before.
  bool request_stop() noexcept {
    std::unique_lock lock{mutex_};
    // release pairs with the acquire in stop_requested: whoever sees the request sees what was written before it.
    if (requested_.exchange(true, std::memory_order_release)) return false;
    notifier_ = std::this_thread::get_id();
    while (first_ != nullptr) {
      detail::stop_callback_base& callback = *first_;
      unlink(callback);
      running_ = &callback;
      lock.unlock();
      callback.run_(&callback);  // may destroy itself: not touched afterwards
      lock.lock();
      running_ = nullptr;
      if (awaited_) ended_.notify_all();
    }
    return true;
  }

 private:
  friend class detail::stop_callback_base;

  /// False: a stop was requested before, so the callback has to be run by its constructor.
  bool add(detail::stop_callback_base& callback) noexcept {
    std::scoped_lock lock{mutex_};
    if (requested_.load(std::memory_order_relaxed)) return false;  // written under this lock only
    callback.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &callback;
    first_ = &callback;
    callback.enlisted_ = true;
    return true;
  }
  /// When it returns, the callback neither runs nor will; except on the thread that is inside the callback.
  void remove(detail::stop_callback_base& callback) noexcept {
    std::unique_lock lock{mutex_};
    if (callback.enlisted_) return unlink(callback);
    if (running_ != &callback || notifier_ == std::this_thread::get_id()) return;
    ++awaited_;
    ended_.wait(lock, [&] { return running_ != &callback; });
    --awaited_;
  }
  void unlink(detail::stop_callback_base& callback) noexcept {
    (callback.previous_ != nullptr ? callback.previous_->next_ : first_) = callback.next_;
    if (callback.next_ != nullptr) callback.next_->previous_ = callback.previous_;
    callback.enlisted_ = false;
  }

  std::atomic<bool> requested_{false};  // written under mutex_, read without
  std::mutex mutex_;                    // guards what follows, and the callbacks' links
  detail::stop_callback_base* first_ = nullptr;
  detail::stop_callback_base* running_ = nullptr;  // the callback that request_stop is in, if any
  std::thread::id notifier_;
  int awaited_ = 0;  // threads that wait for running_ to end
  std::condition_variable ended_;
};

inline bool inplace_stop_token::stop_requested() const noexcept {
  return source_ != nullptr && source_->stop_requested();
}

inline void detail::stop_callback_base::enlist() noexcept {
  if (source_ == nullptr || source_->add(*this)) return;
  source_ = nullptr;
  run_(this);
}

inline void detail::stop_callback_base::delist() noexcept {
  if (source_ != nullptr) source_->remove(*this);
}

/// Calls `F` once when a stop is requested: inside request_stop, or inside this constructor when it was before.
/// `F` must not throw. The destructor waits while another thread is inside the callback.
template <class F>
class inplace_stop_callback : private detail::stop_callback_base {
 public:
  template <class G>
    requires std::is_constructible_v<F, G>
  inplace_stop_callback(inplace_stop_token token, G&& function) noexcept(std::is_nothrow_constructible_v<F, G>)
      : stop_callback_base{token.source_, &run}, function_{std::forward<G>(function)} {
    enlist();
  }
  ~inplace_stop_callback() { delist(); }

 private:
  static void run(detail::stop_callback_base* self) noexcept { static_cast<inplace_stop_callback*>(self)->function_(); }
  F function_;
};

template <class F>
inplace_stop_callback(inplace_stop_token, F) -> inplace_stop_callback<F>;

using stop_source = inplace_stop_source;
using stop_token = inplace_stop_token;
template <class F>
using stop_callback = inplace_stop_callback<F>;

namespace detail {

/// Passes a stop on: `stop_callback<stop_forward>{token, stop_forward{source}}`.
struct stop_forward {
  inplace_stop_source& to;
  explicit stop_forward(inplace_stop_source& source) noexcept : to{source} {}
  void operator()() const noexcept { to.request_stop(); }
};

}  // namespace detail
}  // namespace felix::inline v1
