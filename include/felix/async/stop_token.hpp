// SPDX-License-Identifier: MIT
// async: asking work to stop, without an allocation. The contract and the names are those of P2300's inplace_stop_token.
#pragma once

#include <atomic>
#include <cassert>
#include <concepts>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

class inplace_stop_source;
template <class F>
class inplace_stop_callback;

/// Tells whether a stop was requested. A pointer's size; a default one is never stopped.
class inplace_stop_token {
 public:
  template <class F>
  using callback_type = inplace_stop_callback<F>;

  inplace_stop_token() = default;
  [[nodiscard]] bool stop_possible() const noexcept { return source_ != nullptr; }
  [[nodiscard]] inline bool stop_requested() const noexcept;
  friend bool operator==(inplace_stop_token, inplace_stop_token) noexcept = default;

 private:
  friend class inplace_stop_source;
  friend class stop_callback_base;
  explicit inplace_stop_token(inplace_stop_source* source) noexcept : source_{source} {}
  inplace_stop_source* source_ = nullptr;
};

/// What a source calls: derive from it where the callback is part of something else, as in an awaiter; else use
/// stop_callback. The token is not kept: whoever enlists knows it.
class stop_callback_base {
 public:
  stop_callback_base(stop_callback_base&&) = delete;

 protected:
  explicit stop_callback_base(void (*run)(stop_callback_base&) noexcept) noexcept : run_{run} {}
  ~stop_callback_base() { assert(link_ == nullptr && "felix: a stop callback is destroyed while it is registered"); }
  /// Registers, or calls at once when the stop was requested before.
  inline void enlist(inplace_stop_token token) noexcept;
  /// When it returns, the callback neither runs nor will; except on the thread that is inside the callback.
  inline void delist(inplace_stop_token token) noexcept;

 private:
  friend class inplace_stop_source;
  void (*run_)(stop_callback_base&) noexcept;
  stop_callback_base** link_ = nullptr;  // what points here, while registered; guarded by the source's lock, as next_
  stop_callback_base* next_ = nullptr;
};

/// Where a stop is requested. Outlives its tokens and callbacks, and every call of request_stop.
///     felix::stop_source stop;
///     loop.spawn(work(), on_done, stop.get_token());
///     stop.request_stop();            // from any thread; work ends with `cancelled`
/// Threads:  every member, from any thread.
/// Cost:     no allocation; one uncontended spin lock to register and to deregister, held for a few instructions;
///           request_stop is linear in the callbacks.
/// See:      P2300R10 §33.3, [stoptoken.inplace] of C++26.
class inplace_stop_source {
 public:
  inplace_stop_source() = default;
  inplace_stop_source(inplace_stop_source&&) = delete;  // tokens and callbacks point here
  ~inplace_stop_source() {
    assert(first_ == nullptr && "felix::stop_source: destroyed while a callback is registered");
  }

  [[nodiscard]] inplace_stop_token get_token() noexcept { return inplace_stop_token{this}; }
  [[nodiscard]] bool stop_requested() const noexcept {
    return (state_.load(std::memory_order_acquire) & requested) != 0;
  }

  /// Runs every callback on this thread, one after the other, without holding the lock. False: it was requested before.
  bool request_stop() noexcept {
    if (const state before = lock(); (before & requested) != 0) {
      unlock(before);
      return false;
    }
    notifier_ = std::this_thread::get_id();
    while (first_ != nullptr) {
      stop_callback_base& callback = *first_;
      unlink(callback);
      running_.store(&callback, std::memory_order_relaxed);
      unlock(requested);
      callback.run_(callback);  // may destroy itself: not touched afterwards
      lock();
      // release pairs with the acquire in remove(): what the callback did is done for whoever waited for it.
      running_.store(nullptr, std::memory_order_release);
      if (awaited_ > 0) running_.notify_all();
    }
    unlock(requested);
    return true;
  }

 private:
  friend class stop_callback_base;
  using state = unsigned char;
  static constexpr state requested = 1;
  static constexpr state locked = 2;

  /// Gives the state without the lock. acquire pairs with the release in unlock(): the list is as the last one left it.
  state lock() noexcept {
    state seen = state_.load(std::memory_order_relaxed);
    for (;;) {
      if ((seen & locked) == 0) {
        const state taken = static_cast<state>(seen | locked);
        if (state_.compare_exchange_weak(seen, taken, std::memory_order_acquire, std::memory_order_relaxed))
          return seen;
      } else {
        std::this_thread::yield();
        seen = state_.load(std::memory_order_relaxed);
      }
    }
  }
  /// release: see lock(); and whoever sees the request in stop_requested() sees what was written before it.
  void unlock(state after) noexcept { state_.store(after, std::memory_order_release); }

  /// False: a stop was requested before, so the callback has to be run by whoever adds it.
  bool add(stop_callback_base& callback) noexcept {
    const state before = lock();
    if ((before & requested) == 0) {
      callback.next_ = first_;
      if (first_ != nullptr) first_->link_ = &callback.next_;
      first_ = &callback;
      callback.link_ = &first_;
    }
    unlock(before);
    return (before & requested) == 0;
  }
  void remove(stop_callback_base& callback) noexcept {
    const state before = lock();
    if (callback.link_ != nullptr) unlink(callback);
    const bool running = running_.load(std::memory_order_relaxed) == &callback;
    const bool wait = running && notifier_ != std::this_thread::get_id();
    if (wait) ++awaited_;
    unlock(before);
    if (!wait) return;
    running_.wait(&callback, std::memory_order_acquire);
    const state now = lock();
    --awaited_;
    unlock(now);
  }
  void unlink(stop_callback_base& callback) noexcept {
    *callback.link_ = callback.next_;
    if (callback.next_ != nullptr) callback.next_->link_ = callback.link_;
    callback.link_ = nullptr;
  }

  std::atomic<state> state_{0};  // requested, and a lock that guards what follows and the callbacks' links
  int awaited_ = 0;              // threads that wait for running_ to end
  stop_callback_base* first_ = nullptr;
  std::atomic<stop_callback_base*> running_{nullptr};  // the callback that request_stop is in; written under the lock
  std::thread::id notifier_;
};

inline bool inplace_stop_token::stop_requested() const noexcept {
  return source_ != nullptr && source_->stop_requested();
}

inline void stop_callback_base::enlist(inplace_stop_token token) noexcept {
  if (token.source_ != nullptr && !token.source_->add(*this)) run_(*this);
}

inline void stop_callback_base::delist(inplace_stop_token token) noexcept {
  if (token.source_ != nullptr) token.source_->remove(*this);
}

/// Calls `F` once when a stop is requested: inside request_stop, or inside this constructor when it was before.
/// `F` must not throw. The destructor waits while another thread is inside the callback.
template <class F>
class inplace_stop_callback : private stop_callback_base {
 public:
  template <class G>
    requires std::is_constructible_v<F, G>
  inplace_stop_callback(inplace_stop_token token, G&& function) noexcept(std::is_nothrow_constructible_v<F, G>)
      : stop_callback_base{&run}, token_{token}, function_{std::forward<G>(function)} {
    enlist(token_);
  }
  ~inplace_stop_callback() { delist(token_); }

 private:
  static void run(stop_callback_base& self) noexcept { static_cast<inplace_stop_callback&>(self).function_(); }
  inplace_stop_token token_;
  F function_;
};

template <class F>
inplace_stop_callback(inplace_stop_token, F) -> inplace_stop_callback<F>;

using stop_source = inplace_stop_source;
using stop_token = inplace_stop_token;
template <class F>
using stop_callback = inplace_stop_callback<F>;

namespace detail {

template <class Token, class F>
struct callback_for {};
template <class Token, class F>
  requires requires { typename Token::template callback_type<F>; }
struct callback_for<Token, F> {
  using type = typename Token::template callback_type<F>;
};
template <class F>
struct callback_for<std::stop_token, F> {  // [stopcallback] came before callback_type
  using type = std::stop_callback<F>;
};

/// Passes a stop on: `stop_callback<stop_forward>{token, stop_forward{source}}`.
struct stop_forward {
  inplace_stop_source& to;
  explicit stop_forward(inplace_stop_source& source) noexcept : to{source} {}
  void operator()() const noexcept { to.request_stop(); }
};

}  // namespace detail

/// The type of a callback on a token. See: [stoptoken.concepts] of C++26.
template <class Token, class F>
using stop_callback_for_t = typename detail::callback_for<Token, F>::type;

/// What may stop work from outside: felix's own token, std::stop_token, or another one with C++26's members.
///     loop.run(work(), thread.get_stop_token());    // of a std::jthread
template <class Token>
concept stoppable_token = std::copyable<Token> && requires(const Token& token) {
  { token.stop_requested() } noexcept -> std::same_as<bool>;
  { token.stop_possible() } noexcept -> std::same_as<bool>;
  typename stop_callback_for_t<Token, detail::stop_forward>;
};

static_assert(stoppable_token<stop_token> && stoppable_token<std::stop_token>);

}  // namespace felix::inline v1
