// SPDX-License-Identifier: MIT
// llm: the three dates of HTTP, without locale and time zone.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace felix::inline v1 {
namespace detail {

/// Reads a text from its begin; after the first thing that is not there, nothing is.
class date_reader {
 public:
  constexpr explicit date_reader(std::string_view text) noexcept : rest_{text} {}

  constexpr date_reader& word(std::string_view expected) noexcept {
    ok_ = ok_ && rest_.starts_with(expected);
    if (ok_) rest_.remove_prefix(expected.size());
    return *this;
  }
  /// Exactly `digits` digits. A space counts as a leading zero where `padded` (asctime's day).
  constexpr int number(std::size_t digits, bool padded = false) noexcept {
    int value = 0;
    ok_ = ok_ && rest_.size() >= digits;
    for (std::size_t i = 0; ok_ && i < digits; ++i) {
      const char c = padded && i == 0 && rest_[i] == ' ' ? '0' : rest_[i];
      ok_ = c >= '0' && c <= '9';
      value = value * 10 + (c - '0');
    }
    if (ok_) rest_.remove_prefix(digits);
    return ok_ ? value : 0;
  }
  /// Which of the names is next, from 0.
  template <std::size_t N>
  constexpr unsigned one_of(const std::array<std::string_view, N>& names) noexcept {
    for (std::size_t i = 0; ok_ && i < N; ++i)
      if (rest_.starts_with(names[i])) {
        rest_.remove_prefix(names[i].size());
        return static_cast<unsigned>(i);
      }
    ok_ = false;
    return 0;
  }
  [[nodiscard]] constexpr std::chrono::seconds time_of_day() noexcept {
    const int hours = number(2);
    const int minutes = word(":").number(2);
    const int seconds = word(":").number(2);
    ok_ = ok_ && hours < 24 && minutes < 60 && seconds <= 60;  // 60: a leap second
    return std::chrono::hours{hours} + std::chrono::minutes{minutes} + std::chrono::seconds{seconds};
  }
  [[nodiscard]] constexpr bool at_end() const noexcept { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

/// An HTTP-date: `Sun, 06 Nov 1994 08:49:37 GMT`, or one of the obsolete `Sunday, 06-Nov-94 08:49:37 GMT` and
/// `Sun Nov  6 08:49:37 1994`; nothing for anything else. `now` decides the century of the second: a year that seems
/// to be more than 50 ahead is in the past. The day of the week is not checked against the date.
/// See: RFC 9110 §5.6.7.
[[nodiscard]] constexpr std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text,
                                                                                std::chrono::sys_seconds now) noexcept {
  constexpr std::array<std::string_view, 7> days{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  constexpr std::array<std::string_view, 7> long_days{"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                      "Friday", "Saturday", "Sunday"};
  constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  date_reader read{text};
  int year = 0;
  unsigned month = 0;
  int day = 0;
  std::chrono::seconds time{0};
  const std::size_t comma = text.find(',');
  if (comma == 3) {
    read.one_of(days);
    day = read.word(", ").number(2);
    month = read.word(" ").one_of(months);
    year = read.word(" ").number(4);
    time = read.word(" ").time_of_day();
    read.word(" GMT");
  } else if (comma != std::string_view::npos) {
    read.one_of(long_days);
    day = read.word(", ").number(2);
    month = read.word("-").one_of(months);
    const int last_two = read.word("-").number(2);
    time = read.word(" ").time_of_day();
    read.word(" GMT");
    const auto this_year = std::chrono::year_month_day{std::chrono::floor<std::chrono::days>(now)}.year();
    year = static_cast<int>(this_year) / 100 * 100 + last_two;
    if (year > static_cast<int>(this_year) + 50) year -= 100;
  } else {
    read.one_of(days);
    month = read.word(" ").one_of(months);
    day = read.word(" ").number(2, true);
    time = read.word(" ").time_of_day();
    year = read.word(" ").number(4);
  }
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month + 1},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!read.at_end() || !date.ok()) return std::nullopt;
  return std::chrono::sys_days{date} + time;
}

}  // namespace detail
}  // namespace felix::inline v1
