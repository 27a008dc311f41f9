// SPDX-License-Identifier: MIT
// llm: times as RFC 3339 writes them, which the anthropic-ratelimit headers use.
#pragma once

#include <felix/llm/detail/http_date.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace felix::inline v1 {
namespace detail {

/// `2026-11-25T12:00:07Z`, `2026-11-25T14:00:07.25+02:00`; nothing for anything else. What is below a microsecond is
/// cut off: in microseconds every year of four digits fits. A leap second is the second after it.
/// See: RFC 3339 §5.6; T and Z may be small, a space is no T.
[[nodiscard]] constexpr std::optional<std::chrono::sys_time<std::chrono::microseconds>> parse_rfc3339(
    std::string_view text) noexcept {
  constexpr std::size_t date_length = 10;
  constexpr std::size_t time_length = 8;
  if (text.size() <= date_length + 1 + time_length) return std::nullopt;
  const char between = text[date_length];
  if (between != 'T' && between != 't') return std::nullopt;

  date_reader date{text.substr(0, date_length)};
  const int year = date.number(4);
  const int month = date.word("-").number(2);
  const int day = date.word("-").number(2);
  const std::chrono::year_month_day days{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.at_end() || !days.ok()) return std::nullopt;

  text.remove_prefix(date_length + 1);
  date_reader time{text.substr(0, time_length)};
  std::chrono::microseconds since_midnight = time.time_of_day();
  if (!time.at_end()) return std::nullopt;
  text.remove_prefix(time_length);

  if (text.starts_with('.')) {
    std::size_t at = 1;
    for (int place = 100'000; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, place /= 10)
      since_midnight += std::chrono::microseconds{place * (text[at] - '0')};
    if (at == 1) return std::nullopt;
    text.remove_prefix(at);
  }

  const auto as_if_utc = std::chrono::sys_days{days} + since_midnight;
  if (text == "Z" || text == "z") return as_if_utc;
  if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
  date_reader zone{text.substr(1)};
  const int hours = zone.number(2);
  const int minutes = zone.word(":").number(2);
  if (!zone.at_end() || hours > 23 || minutes > 59) return std::nullopt;
  const std::chrono::minutes ahead = std::chrono::hours{hours} + std::chrono::minutes{minutes};
  return text.front() == '+' ? as_if_utc - ahead : as_if_utc + ahead;
}

}  // namespace detail
}  // namespace felix::inline v1
