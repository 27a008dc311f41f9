// SPDX-License-Identifier: MIT
// net: when what happened to a request, and which of its limits ends next.
#pragma once

#include <felix/async/scheduler.hpp>
#include <felix/net/detail/http_failure.hpp>
#include <felix/net/http.hpp>

#include <algorithm>
#include <chrono>

namespace felix::inline v1 {
namespace detail {

/// Only a stream has more limits than the total one.
enum class http_reading : unsigned char { as_it_comes, as_a_whole };

/// The times of one request. Waits for nothing and asks no clock: it is told what happens, and when.
/// The limits of content count the time that the reader has waited for the server, and not the time that it was at work.
/// Threads: guarded by whoever has it.
class http_times {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  void sent(time_point now) noexcept {
    was_sent_ = true;
    sent_at_ = first_byte_at_ = ended_at_ = asked_at_ = now;
  }
  void head_came(time_point now) noexcept {
    has_head_ = true;
    first_byte_at_ = now;
  }
  /// The patience with the server begins anew.
  void content_came() noexcept {
    has_content_ = true;
    waited_ = {};
  }
  void ended(time_point now) noexcept { ended_at_ = now; }
  void reader_waits(time_point now) noexcept {
    reader_waits_ = true;
    asked_at_ = now;
  }
  void reader_goes_on(time_point now) noexcept {
    reader_waits_ = false;
    waited_ += now - asked_at_;
  }

  [[nodiscard]] bool was_sent() const noexcept { return was_sent_; }
  [[nodiscard]] bool has_head() const noexcept { return has_head_; }
  /// 0: it was not sent yet.
  [[nodiscard]] std::chrono::nanoseconds since_sent(time_point now) const noexcept {
    return was_sent_ ? now - sent_at_ : std::chrono::nanoseconds{0};
  }
  [[nodiscard]] http_timing timing() const noexcept {
    return {.first_byte = first_byte_at_ - sent_at_, .total = ended_at_ - sent_at_};
  }

  /// When the next of the limits that begin with the sending may be over: then it is to be asked again.
  [[nodiscard]] time_point next_limit(const http_timeouts& limits, http_reading how, time_point now) const noexcept {
    auto next = later(sent_at_, limits.total);
    if (how == http_reading::as_it_comes) {
      if (!has_head_) next = std::min(next, later(sent_at_, limits.first_byte));
      if (!has_content_) next = std::min(next, patience_ends(limits.first_token, now));
    }
    return next;
  }
  /// Which of them is over, once one is.
  [[nodiscard]] http_failure late(const http_timeouts& limits, time_point now) const noexcept {
    if (now >= later(sent_at_, limits.total)) return http_failure::late_total;
    if (!has_head_ && now >= later(sent_at_, limits.first_byte)) return http_failure::late_first_byte;
    return http_failure::late_first_token;
  }
  /// When the reader will have waited for `limit` since the last content. While it is at work it does not wait for the
  /// server: then, when to look again.
  [[nodiscard]] time_point patience_ends(std::chrono::nanoseconds limit, time_point now) const noexcept {
    if (reader_waits_) return later(asked_at_, limit - waited_);
    return later(now, std::max(limit - waited_, limit / 8));
  }

 private:
  time_point sent_at_{}, first_byte_at_{}, ended_at_{};
  time_point asked_at_{};               // since when the reader waits, if it does
  std::chrono::nanoseconds waited_{0};  // before that, since the last content
  bool was_sent_ = false;
  bool has_head_ = false;
  bool has_content_ = false;
  bool reader_waits_ = false;
};

}  // namespace detail
}  // namespace felix::inline v1
