// SPDX-License-Identifier: MIT
#include <felix/llm/detail/http_date.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <string>
#include <string_view>

using namespace std::chrono_literals;
using felix::detail::parse_http_date;
using std::chrono::sys_days;
using std::chrono::sys_seconds;

constexpr sys_seconds now = sys_days{2026y / 11 / 25} + 12h;
constexpr sys_seconds rfc = sys_days{1994y / 11 / 6} + 8h + 49min + 37s;  // the example of RFC 9110 §5.6.7
static_assert(rfc.time_since_epoch() == 784'111'777s);

static_assert(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", now) == rfc);
static_assert(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", now) == rfc);
static_assert(parse_http_date("Sun Nov  6 08:49:37 1994", now) == rfc);
static_assert(parse_http_date("Sun Nov 16 08:49:37 1994", now) == rfc + 240h);

TEST_CASE("http_date: every month and every day of the week has its name", "[llm][http_date]") {
  const std::string days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  const std::string rest[] = {"day", "sday", "nesday", "rsday", "day", "urday", "day"};
  const std::string months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (unsigned m = 1; m <= 12; ++m)
    for (std::size_t d = 0; d < 7; ++d) {
      const sys_seconds expected = sys_days{2025y / std::chrono::month{m} / 7};
      CAPTURE(m, d);
      CHECK(parse_http_date(days[d] + ", 07 " + months[m - 1] + " 2025 00:00:00 GMT", now) == expected);
      CHECK(parse_http_date(days[d] + rest[d] + ", 07-" + months[m - 1] + "-25 00:00:00 GMT", now) == expected);
      CHECK(parse_http_date(days[d] + " " + months[m - 1] + "  7 00:00:00 2025", now) == expected);
    }
}

TEST_CASE("http_date: two digits of a year are at most 50 years ahead", "[llm][http_date]") {
  const auto year_of = [](std::string_view date, sys_seconds clock) {
    const auto parsed = parse_http_date(date, clock);
    REQUIRE(parsed);
    return static_cast<int>(std::chrono::year_month_day{std::chrono::floor<std::chrono::days>(*parsed)}.year());
  };
  CHECK(year_of("Sunday, 06-Nov-76 08:49:37 GMT", now) == 2076);
  CHECK(year_of("Sunday, 06-Nov-77 08:49:37 GMT", now) == 1977);
  CHECK(year_of("Sunday, 06-Nov-00 08:49:37 GMT", now) == 2000);
}

TEST_CASE("http_date: leap days and leap seconds, and days that are none", "[llm][http_date]") {
  CHECK(parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT", now) == sys_seconds{sys_days{2024y / 2 / 29}});
  CHECK(parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", now) == sys_seconds{sys_days{2017y / 1 / 1}});
  for (const char* odd : {"Wed, 29 Feb 2023 00:00:00 GMT",
                          "Sun, 00 Nov 1994 08:49:37 GMT",
                          "Sun, 31 Nov 1994 08:49:37 GMT",
                          "Sun, 06 Nov 1994 24:00:00 GMT",
                          "Sun, 06 Nov 1994 08:60:00 GMT",
                          "Sun, 06 Nov 1994 08:49:61 GMT",
                          "Sun, 06 Nov 1994 08:49:37",
                          "Sun, 06 Nov 1994 08:49:37 CET",
                          "Sun, 06 Nov 1994 08:49:37 GMT ",
                          "Sun, 6 Nov 1994 08:49:37 GMT",
                          "Sun,  6 Nov 1994 08:49:37 GMT",
                          "Sun, 06 nov 1994 08:49:37 GMT",
                          "Sun, 06 Nov 94 08:49:37 GMT",
                          "Sun, 06 Nov +994 08:49:37 GMT",
                          "Sunday, 06-Nov-1994 08:49:37 GMT",
                          "Sunday, 06 Nov 94 08:49:37 GMT",
                          "Sun, 06-Nov-94 08:49:37 GMT",
                          "Son, 06 Nov 1994 08:49:37 GMT",
                          "Sun Nov 6 08:49:37 1994",
                          "Sun Nov  6 08:49:37 1994 GMT",
                          "1994-11-06T08:49:37Z",
                          "Sun, 06 Nov 1994",
                          ",",
                          "Sun,",
                          "",
                          " "}) {
    CAPTURE(odd);
    CHECK_FALSE(parse_http_date(odd, now));
  }
}

TEST_CASE("http_date: no part of a date is a date", "[llm][http_date]") {
  for (const std::string_view whole :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"})
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
      CAPTURE(whole, cut);
      CHECK_FALSE(parse_http_date(whole.substr(0, cut), now));
    }
}
