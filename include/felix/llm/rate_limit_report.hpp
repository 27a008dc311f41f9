// SPDX-License-Identifier: MIT
// llm: what the headers of an answer say about requests and tokens per minute.
#pragma once

#include <felix/llm/detail/go_duration.hpp>
#include <felix/llm/detail/http_date.hpp>
#include <felix/llm/detail/rfc3339.hpp>
#include <felix/llm/retry_hint.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace felix::inline v1 {

/// What the headers of one answer say about the limits of a key. Whatever is not there, or not understood, is nothing.
struct rate_limit_report {
  struct bucket {
    std::optional<double> limit = {};      ///< the most it holds, above 0; mostly what it gets in a minute
    std::optional<double> remaining = {};  ///< what was left, at least 0
    /// How long until it is full again, not until the next request; from 0 to 1 h.
    std::optional<std::chrono::nanoseconds> reset = {};

    [[nodiscard]] constexpr bool empty() const noexcept { return !limit && !remaining && !reset; }
    friend constexpr bool operator==(const bucket&, const bucket&) noexcept = default;
  };
  bucket requests = {};
  bucket tokens = {};

  [[nodiscard]] constexpr bool empty() const noexcept { return requests.empty() && tokens.empty(); }
  friend constexpr bool operator==(const rate_limit_report&, const rate_limit_report&) noexcept = default;
};

namespace detail {

/// Nothing of a bucket whose limit is 0 or below: Azure says -1 and 0 where there is none.
[[nodiscard]] constexpr rate_limit_report::bucket rate_limit_bucket(
    std::optional<double> limit, std::optional<double> remaining,
    std::optional<std::chrono::nanoseconds> reset) noexcept {
  if (limit && !(*limit > 0)) return {};
  if (remaining && !(*remaining >= 0)) remaining.reset();
  return {limit, remaining, reset};
}

/// OpenAI: reset is a duration.
template <header_source Headers>
[[nodiscard]] rate_limit_report::bucket openai_rate_limit(const Headers& headers, const std::string& name) {
  const std::string_view reset = headers.header("x-ratelimit-reset-" + name);
  return rate_limit_bucket(parse_decimal(headers.header("x-ratelimit-limit-" + name)),
                           parse_decimal(headers.header("x-ratelimit-remaining-" + name)), parse_go_duration(reset));
}

/// Anthropic: reset is a time, by the server's own clock.
template <header_source Headers>
[[nodiscard]] rate_limit_report::bucket anthropic_rate_limit(const Headers& headers, const std::string& name,
                                                             std::chrono::system_clock::time_point now) {
  using std::chrono::microseconds;
  const std::string prefix = "anthropic-ratelimit-" + name;
  std::optional<std::chrono::nanoseconds> reset;
  if (const auto full_at = parse_rfc3339(headers.header(prefix + "-reset"))) {
    const auto clock = std::chrono::floor<std::chrono::seconds>(now);
    const auto sent_at = parse_http_date(headers.header("date"), clock).value_or(clock);
    reset = std::clamp<microseconds>(*full_at - sent_at, microseconds{0}, std::chrono::hours{1});
  }
  return rate_limit_bucket(parse_decimal(headers.header(prefix + "-limit")),
                           parse_decimal(headers.header(prefix + "-remaining")), reset);
}

/// Two buckets that both take each request: the one with the lower limit, and what is left in the one with less.
[[nodiscard]] constexpr rate_limit_report::bucket tighter(const rate_limit_report::bucket& a,
                                                          const rate_limit_report::bucket& b) noexcept {
  if (a.empty() || b.empty()) return a.empty() ? b : a;
  const bool second = b.limit && (!a.limit || *b.limit < *a.limit);
  rate_limit_report::bucket chosen = second ? b : a;
  const rate_limit_report::bucket& other = second ? a : b;
  if (other.remaining && (!chosen.remaining || *other.remaining < *chosen.remaining)) {
    chosen.remaining = other.remaining;
    chosen.reset.reset();  // it is another bucket's
  }
  return chosen;
}

/// Two buckets that share a request's tokens between them, as one; nothing that only one of them says, and no reset:
/// each has its own.
[[nodiscard]] constexpr rate_limit_report::bucket joined(const rate_limit_report::bucket& a,
                                                         const rate_limit_report::bucket& b) noexcept {
  rate_limit_report::bucket sum;
  if (a.limit && b.limit) sum.limit = *a.limit + *b.limit;
  if (a.remaining && b.remaining) sum.remaining = *a.remaining + *b.remaining;
  return sum;
}

}  // namespace detail

/// The limits that the headers of an answer report, of OpenAI's names or of Anthropic's; nothing when they report none.
///     const auto report = felix::read_rate_limits(response, std::chrono::system_clock::now());
/// A server with one limit for prompts and another for answers (anthropic-ratelimit-input-tokens, -output-tokens) has
/// the sum of both as its tokens, unless it names that sum: no request is refused here that it would let through.
/// `now` stands in for a Date that the answer does not have.
/// See: the guides "Rate limits" of OpenAI and of Anthropic; for what reset means, community.openai.com topic 1268905.
template <header_source Headers>
[[nodiscard]] std::optional<rate_limit_report> read_rate_limits(const Headers& headers,
                                                                std::chrono::system_clock::time_point now) {
  rate_limit_report report{
      .requests = detail::openai_rate_limit(headers, "requests"),
      .tokens = detail::tighter(detail::openai_rate_limit(headers, "tokens"),
                                detail::openai_rate_limit(headers, "tokens_usage_based")),
  };
  if (report.requests.empty()) report.requests = detail::anthropic_rate_limit(headers, "requests", now);
  if (report.tokens.empty()) report.tokens = detail::anthropic_rate_limit(headers, "tokens", now);
  if (report.tokens.empty())
    report.tokens = detail::joined(detail::anthropic_rate_limit(headers, "input-tokens", now),
                                   detail::anthropic_rate_limit(headers, "output-tokens", now));
  return report.empty() ? std::nullopt : std::optional{report};
}

}  // namespace felix::inline v1
