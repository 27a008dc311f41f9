// SPDX-License-Identifier: MIT
// llm: a limit that rises by one with each answer, and falls by a tenth when a server has too much to do.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/detail/requests_in_flight.hpp>
#include <felix/llm/limit_policy.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace felix::inline v1 {

struct aimd_limit_options {
  std::size_t initial = 4;  ///< how many at first; from `min` to `max`
  std::size_t min = 1;      ///< never fewer; at least 1
  std::size_t max = 64;     ///< never more; at most 65,536
  double backoff = 0.9;     ///< what is left of the limit when the server has too much to do; from 0.5 to below 1
  std::chrono::nanoseconds timeout{std::chrono::seconds{5}};  ///< an answer that takes longer says the same; above 0

  /// Throws error (invalid_option) that names the field.
  void validate() const {
    const auto refuse = [](const std::string& what) { throw error{errc::invalid_option, "aimd_limit: " + what}; };
    if (min < 1) refuse("min is 0; use at least 1");
    if (max < min || max > 65'536)
      refuse("max is " + std::to_string(max) + "; use min (" + std::to_string(min) + ") to 65536");
    if (initial < min || initial > max)
      refuse("initial is " + std::to_string(initial) + "; use min (" + std::to_string(min) + ") to max (" +
             std::to_string(max) + ")");
    if (!(backoff >= 0.5 && backoff < 1))
      refuse("backoff is " + std::to_string(backoff) + "; use a share from 0.5 to below 1");
    if (timeout.count() <= 0) refuse("timeout is not above 0; use what an answer may take, 5 s say");
  }
};

/// Additive increase, multiplicative decrease. For servers that refuse what is too much for them. Where requests wait
/// instead, this limit rises until answers take longer than `timeout`: there use `gradient_limit`.
/// An answer to a request that was sent while at least half of the limit was in use raises it by 1. A request that the
/// server refused, or that took too long, lowers it to `backoff` of it, rounded down. Those which were sent before the
/// last decrease do not lower it again: what they tell is what the decrease was for.
/// Threads:  one call at a time.
/// Cost:     logarithmic in the requests in flight, but for moving them; no allocation once as many have been.
/// See: Chiu, Jain, "Analysis of the increase and decrease algorithms", Computer Networks 17, 1989; Netflix's
/// concurrency-limits (AIMDLimit).
class aimd_limit final : public limit_policy {
 public:
  /// Throws error (invalid_option) for options that are none.
  explicit aimd_limit(const aimd_limit_options& options = {}) : options_{options}, limit_{options.initial} {
    options.validate();
  }

  [[nodiscard]] std::size_t limit() const noexcept override { return limit_; }

  void sent(std::uint64_t request, token_count, time_point now) override {
    latest_ = request;
    open_.add({.request = request, .in_flight = open_.size() + 1, .at = now});
  }
  void first_token(std::uint64_t, std::optional<duration>, time_point) override {}
  void ended(std::uint64_t request, limit_outcome outcome, const token_usage&, std::optional<duration>,
             time_point now) override {
    const std::optional<open_request> ended = open_.take(request);
    if (!ended) return;
    const bool slow = outcome == limit_outcome::answered && now - ended->at > options_.timeout;
    if (outcome == limit_outcome::overloaded || slow) {
      if (request > decreased_after_) decrease();
    } else if (outcome == limit_outcome::answered && 2 * ended->in_flight >= limit_) {
      limit_ = std::min(limit_ + 1, options_.max);
    }
  }

 private:
  struct open_request {
    std::uint64_t request;
    std::size_t in_flight;  // when it was sent, itself included
    time_point at;
  };

  void decrease() noexcept {
    constexpr double rounding = 1e-9;  // 0.7 of 90 shall be 63
    const double left = options_.backoff * static_cast<double>(limit_) + rounding;
    limit_ = std::max(static_cast<std::size_t>(left), options_.min);
    decreased_after_ = latest_;
  }

  aimd_limit_options options_;
  std::size_t limit_;
  detail::requests_in_flight<open_request> open_;
  std::optional<std::uint64_t> latest_;           // the request that was sent last
  std::optional<std::uint64_t> decreased_after_;  // the last one before the last decrease; nothing is before all
};

}  // namespace felix::inline v1
