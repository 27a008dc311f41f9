// SPDX-License-Identifier: MIT
// llm: how long a server asks to wait, in all the ways servers say so.
#pragma once

#include <felix/llm/detail/go_duration.hpp>
#include <felix/llm/detail/http_date.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace felix::inline v1 {

/// Whatever has the headers of an answer, by names in lower case; empty for one that is not there. `http_response` is
/// one.
template <class T>
concept header_source = requires(const T& source, std::string_view lower_case_name) {
  { source.header(lower_case_name) } -> std::same_as<std::string_view>;
};

/// The headers of an answer that has none.
struct no_headers {
  [[nodiscard]] constexpr std::string_view header(std::string_view) const noexcept { return {}; }
};

namespace detail {

/// A number without exponent, spaces around it do not matter; nothing for anything else, inf and NaN too.
[[nodiscard]] inline std::optional<double> parse_decimal(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  double number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (text.empty() || failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return std::isfinite(number) ? std::optional{number} : std::nullopt;
}

/// Seconds as a wait that is usable: finite, above 0. Rounded up, so that nobody comes early; at most 30 years.
[[nodiscard]] inline std::optional<std::chrono::milliseconds> usable_wait(double seconds) noexcept {
  if (!(seconds > 0)) return std::nullopt;
  constexpr double most = 1e9;
  return std::chrono::milliseconds{static_cast<std::int64_t>(std::ceil(std::min(seconds, most) * 1000))};
}

/// Retry-After: a decimal number of seconds, an epoch (above 10^9), or a date.
[[nodiscard]] inline std::optional<std::chrono::milliseconds> wait_of_retry_after(
    std::string_view value, std::string_view date, std::chrono::system_clock::time_point now) noexcept {
  using seconds = std::chrono::duration<double>;
  if (const auto number = parse_decimal(value)) {
    constexpr double epoch = 1e9;  // September 2001; as a wait it would be 31 years
    return usable_wait(*number > epoch ? *number - seconds{now.time_since_epoch()}.count() : *number);
  }
  const auto clock = std::chrono::floor<std::chrono::seconds>(now);
  const auto until = parse_http_date(value, clock);
  if (!until) return std::nullopt;
  // The server's own clock, as far as it is known: ours may be wrong.
  return usable_wait(seconds{*until - parse_http_date(date, clock).value_or(clock)}.count());
}

}  // namespace detail

/// How long to wait before another attempt, by the headers of an answer; nothing when they do not say, or nothing that
/// can be used: only what is above 0 is. The first of retry-after-ms, retry-after, and for a 429 the longest of the
/// x-ratelimit-reset-* whose bucket is empty.
///     const auto wait = felix::retry_hint(response.status(), response, std::chrono::system_clock::now());
/// `now` stands in for a Date that the answer does not have. Whether so long a wait is worth it is not decided here.
/// See: RFC 9110 §10.2.3; retry-after-ms and the 10^9 are what openai-python and servers in the wild do.
template <header_source Headers>
[[nodiscard]] std::optional<std::chrono::milliseconds> retry_hint(int status, const Headers& headers,
                                                                  std::chrono::system_clock::time_point now) {
  if (const auto ms = detail::parse_decimal(headers.header("retry-after-ms")))
    if (const auto wait = detail::usable_wait(*ms / 1000)) return wait;
  if (const auto wait = detail::wait_of_retry_after(headers.header("retry-after"), headers.header("date"), now))
    return wait;
  if (status != 429) return std::nullopt;
  std::optional<std::chrono::milliseconds> longest;
  for (const std::string_view bucket : {"requests", "tokens", "tokens_usage_based"}) {
    const auto value = [&](const char* what) {
      return headers.header("x-ratelimit-" + std::string{what} + std::string{bucket});
    };
    const auto limit = detail::parse_decimal(value("limit-"));
    if (limit && !(*limit > 0)) continue;  // Azure: no such limit
    if (detail::parse_decimal(value("remaining-")) != 0.0) continue;
    const auto reset = detail::parse_go_duration(value("reset-"));
    if (!reset || reset->count() <= 0) continue;
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*reset);
    longest = std::max(longest.value_or(wait), wait);
  }
  return longest;
}

/// x-should-retry: what the server advises; nothing when it says neither true nor false.
template <header_source Headers>
[[nodiscard]] std::optional<bool> should_retry(const Headers& headers) {
  const std::string_view value = headers.header("x-should-retry");
  if (value == "true") return true;
  if (value == "false") return false;
  return std::nullopt;
}

}  // namespace felix::inline v1
