// SPDX-License-Identifier: MIT
// llm: rules that find out how many requests a server can take at once.
#pragma once

#include <felix/usage.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace felix::inline v1 {

/// What a request tells a limit when it has ended.
enum class limit_outcome : unsigned char {
  answered,
  overloaded,  ///< the server had too much to do, and did not do this
  nothing      ///< it failed for another reason, was cancelled, or was left before its end
};

/// A limit that adapts itself to a server: told what happens to its requests, it says how many there may be at once.
/// `request` is a number that the caller gives each, in the order of sending. All of `sent`, and of `first_token` if
/// there was one, come before `ended`, which comes once for each that was sent. Time never goes back.
/// Threads:  one call at a time.
class limit_policy {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::nanoseconds;

  virtual ~limit_policy() = default;

  /// How many there may be now, at least 1.
  [[nodiscard]] virtual std::size_t limit() const noexcept = 0;

  virtual void sent(std::uint64_t request, token_count estimated_prompt_tokens, time_point now) = 0;
  /// The first content of a streamed answer has come. `queued`: how long it lay in the server's queue, where that shows.
  virtual void first_token(std::uint64_t request, std::optional<duration> queued, time_point now) = 0;
  /// `usage` as the server, or an estimate, has it. `queued`: of an answer that was not streamed.
  virtual void ended(std::uint64_t request, limit_outcome outcome, const token_usage& usage,
                     std::optional<duration> queued, time_point now) = 0;

 protected:
  limit_policy() = default;
  limit_policy(const limit_policy&) = default;
  limit_policy(limit_policy&&) = default;
  limit_policy& operator=(const limit_policy&) = default;
  limit_policy& operator=(limit_policy&&) = default;
};

}  // namespace felix::inline v1
