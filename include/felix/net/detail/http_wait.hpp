// SPDX-License-Identifier: MIT
// net: waiting for a part of an answer.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/net/detail/http_failure.hpp>
#include <felix/net/detail/http_line.hpp>

#include <coroutine>
#include <mutex>

namespace felix::inline v1 {
namespace detail {

/// Suspends until a part of the answer is there, or the request has ended.
/// Stop: the transfer ends, and its connection is closed; check() then throws `cancelled`.
class http_wait : private stop_callback_base {
 public:
  http_wait(http_line& line, http_line::part wanted) noexcept
      : stop_callback_base{&stop}, line_{line}, wanted_{wanted} {}

  [[nodiscard]] bool await_ready() const {
    std::scoped_lock lock{line_.mutex_};
    return is_there();
  }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    continuation_.set(caller);
    registered_ = true;
    enlist(continuation_.context().stop);
    http_line& line = line_;  // once the reader is known it may be woken, by another thread, and this be gone
    const bool on_loop = line.loop_.is_current() && continuation_.context().where == &line.loop_;
    std::unique_lock lock{line.mutex_};
    if (is_there()) return false;
    if (stopped_ && line.phase_ == http_line::phase::idle) {
      line.phase_ = http_line::phase::ended;
      line.failure_ = http_failure::stopped;
      return false;
    }
    is_parked_ = true;
    line.wanted_ = wanted_;
    line.reader_ = &continuation_;
    line.times_.reader_waits(line.loop_.now());
    const bool starts = line.phase_ == http_line::phase::idle;
    if (starts) line.phase_ = http_line::phase::starting;
    if (stopped_) line.stop_posted_ = true;
    const bool stops = stopped_;
    lock.unlock();
    if (stops) {
      line.loop_.post(line.stop_);
    } else if (starts && on_loop) {
      line.begin();  // it cannot be woken before it has returned to the loop
    } else if (starts) {
      line.loop_.post(line.start_);
    }
    return true;
  }
  void await_resume() noexcept {
    if (registered_) delist(continuation_.context().stop);
  }

 private:
  [[nodiscard]] bool is_there() const noexcept {
    if (line_.phase_ == http_line::phase::ended) return true;
    return (wanted_ == http_line::part::head && line_.times_.has_head()) ||
           (wanted_ == http_line::part::bytes && !line_.arrived_.empty());
  }
  static void stop(stop_callback_base& self) noexcept {
    auto& waiting = static_cast<http_wait&>(self);
    http_line& line = waiting.line_;
    std::unique_lock lock{line.mutex_};
    if (!waiting.is_parked_) {
      waiting.stopped_ = true;
      return;
    }
    if (line.reader_ != &waiting.continuation_) return;  // woken already
    if (line.phase_ == http_line::phase::starting) {
      line.stop_before_start_ = true;
      return;
    }
    line.stop_posted_ = true;
    lock.unlock();
    line.loop_.post(line.stop_);
  }

  http_line& line_;
  http_line::part wanted_;
  bool registered_ = false;
  bool is_parked_ = false;  // this and the next: guarded by the line's mutex
  bool stopped_ = false;
  continuation continuation_;
};

}  // namespace detail
}  // namespace felix::inline v1
