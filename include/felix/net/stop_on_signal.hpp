// SPDX-License-Identifier: MIT
// net: a signal as a stop request.
#pragma once

#include <felix/async/posted_call.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/error.hpp>
#include <felix/net/event_loop.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string>
#include <system_error>
#include <thread>

namespace felix::inline v1 {

/// While it lives, the first `signal` requests a stop on the loop's thread; a second one does what it did before felix
/// (for SIGINT: it ends the process), so that a program that does not stop can still be stopped.
///     felix::stop_on_signal ctrl_c{loop, SIGINT};
///     loop.run(work(), ctrl_c.get_token());
/// Threads:  one object a signal at a time.
/// Lifetime: the loop outlives it. Its destructor puts the former handler back.
class stop_on_signal {
 public:
  /// Throws error (invalid_argument) for a signal that cannot be caught or is taken by another stop_on_signal.
  stop_on_signal(event_loop& loop, int signal) : loop_{loop}, signal_{signal} {
    std::atomic<stop_on_signal*>* const slot = slot_of(signal);
    stop_on_signal* nobody = nullptr;
    if (slot == nullptr || !slot->compare_exchange_strong(nobody, this))
      throw error{errc::invalid_argument, "stop_on_signal: signal " + std::to_string(signal) +
                                              " is out of range, or another stop_on_signal waits for it"};
    struct sigaction action = {};
    action.sa_handler = &on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (::sigaction(signal, &action, &former_) != 0) {
      slot->store(nullptr);
      throw error{std::error_code{errno, std::generic_category()},
                  "stop_on_signal: signal " + std::to_string(signal) + " cannot be caught"};
    }
  }
  stop_on_signal(stop_on_signal&&) = delete;
  ~stop_on_signal() {
    ::sigaction(signal_, &former_, nullptr);
    slot_of(signal_)->store(nullptr);
    // A handler may be at work on another thread, and it may have posted; the loop must not find a dead item.
    while (handlers().load() != 0) std::this_thread::yield();
    while (posted_.load() && !stop_.stop_requested()) loop_.poll();
  }

  [[nodiscard]] stop_token get_token() noexcept { return stop_.get_token(); }
  [[nodiscard]] bool stop_requested() const noexcept { return stop_.stop_requested(); }

 private:
  static std::atomic<stop_on_signal*>* slot_of(int signal) noexcept {
    static std::array<std::atomic<stop_on_signal*>, 65> slots{};  // POSIX signals are small numbers; Linux has 64
    static_assert(std::atomic<stop_on_signal*>::is_always_lock_free, "the handler reads it");
    return signal > 0 && signal < static_cast<int>(slots.size()) ? &slots[static_cast<std::size_t>(signal)] : nullptr;
  }

  /// Only async-signal-safe calls: lock-free atomics, sigaction, write.
  static void on_signal(int signal) {
    handlers().fetch_add(1);  // before it looks, as the destructor looks after it has cleared the slot
    stop_on_signal* const self = slot_of(signal)->load();
    if (self != nullptr && !self->posted_.exchange(true)) {
      ::sigaction(signal, &self->former_, nullptr);
      self->loop_.post_from_signal_handler(self->request_);
    }
    handlers().fetch_sub(1);
  }
  /// How many handlers are at work.
  static std::atomic<int>& handlers() noexcept {
    static std::atomic<int> count{0};  // constant-initialised: no guard, which a handler must not take
    return count;
  }

  event_loop& loop_;
  int signal_;
  struct sigaction former_ = {};
  stop_source stop_;
  posted_call request_{detail::stop_forward{stop_}};
  std::atomic<bool> posted_{false};
};

}  // namespace felix::inline v1
