// SPDX-License-Identifier: MIT
#include <felix/llm/detail/rfc3339.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <string_view>

using namespace std::chrono_literals;
using felix::detail::parse_rfc3339;
using std::chrono::sys_days;

constexpr auto noon = sys_days{2026y / 11 / 25} + 12h;

static_assert(parse_rfc3339("2026-11-25T12:00:00Z") == noon);
static_assert(parse_rfc3339("2026-11-25t12:00:07z") == noon + 7s);

TEST_CASE("rfc3339: the examples of the standard", "[llm][rfc3339]") {
  CHECK(parse_rfc3339("1985-04-12T23:20:50.52Z") == sys_days{1985y / 4 / 12} + 23h + 20min + 50s + 520ms);
  CHECK(parse_rfc3339("1996-12-19T16:39:57-08:00") == sys_days{1996y / 12 / 20} + 39min + 57s);
  CHECK(parse_rfc3339("1990-12-31T23:59:60Z") == sys_days{1991y / 1 / 1} + 0s);
  CHECK(parse_rfc3339("1990-12-31T15:59:60-08:00") == sys_days{1991y / 1 / 1} + 0s);
  CHECK(parse_rfc3339("1937-01-01T12:00:27.87+00:20") == sys_days{1937y / 1 / 1} + 11h + 40min + 27s + 870ms);
}

TEST_CASE("rfc3339: parts of a second, as far as microseconds", "[llm][rfc3339]") {
  CHECK(parse_rfc3339("2026-11-25T12:00:00.0Z") == noon);
  CHECK(parse_rfc3339("2026-11-25T12:00:00.123456Z") == noon + 123'456us);
  CHECK(parse_rfc3339("2026-11-25T12:00:00.1234567899Z") == noon + 123'456us);
  CHECK(parse_rfc3339("2026-11-25T12:00:00.000001+00:00") == noon + 1us);
}

TEST_CASE("rfc3339: zones, and years at both ends", "[llm][rfc3339]") {
  CHECK(parse_rfc3339("2026-11-25T14:30:00+02:30") == noon);
  CHECK(parse_rfc3339("2026-11-25T12:00:00-00:00") == noon);
  CHECK(parse_rfc3339("2026-11-26T11:59:00+23:59") == noon);
  CHECK(parse_rfc3339("9999-12-31T23:59:59Z") == sys_days{9999y / 12 / 31} + 24h - 1s);
  CHECK(parse_rfc3339("0000-01-01T00:00:00Z") == sys_days{std::chrono::year{0} / 1 / 1} + 0s);
  CHECK(parse_rfc3339("2024-02-29T00:00:00Z") == sys_days{2024y / 2 / 29} + 0s);
}

TEST_CASE("rfc3339: nothing else is a time", "[llm][rfc3339]") {
  for (const char* odd : {"2026-11-25 12:00:00Z",
                          "2026-11-25T12:00:00",
                          "2026-11-25T12:00:00+02",
                          "2026-11-25T12:00:00+0200",
                          "2026-11-25T12:00:00+24:00",
                          "2026-11-25T12:00:00+02:60",
                          "2026-11-25T12:00:00+02:00 ",
                          "2026-11-25T12:00:00.Z",
                          "2026-11-25T12:00:00,5Z",
                          "2026-11-25T12:00:00.5",
                          "2026-11-25T12:00:00ZZ",
                          " 2026-11-25T12:00:00Z",
                          "2026-11-25T12:00:00Z ",
                          "2026-11-25T24:00:00Z",
                          "2026-11-25T12:60:00Z",
                          "2026-11-25T12:00:61Z",
                          "2026-11-25T12.00.00Z",
                          "2026-02-29T12:00:00Z",
                          "2026-13-01T12:00:00Z",
                          "2026-00-01T12:00:00Z",
                          "2026-11-31T12:00:00Z",
                          "2026-11-00T12:00:00Z",
                          "26-11-25T12:00:00Z",
                          "2026-1-25T12:00:00Z",
                          "+026-11-25T12:00:00Z",
                          "20261125T120000Z",
                          "2026-11-25",
                          "Wed, 25 Nov 2026 12:00:00 GMT",
                          "2026-11-25T12:00:00GMT",
                          "1764072000",
                          "",
                          "Z"}) {
    CAPTURE(odd);
    CHECK_FALSE(parse_rfc3339(odd));
  }
  constexpr std::string_view whole = "2026-11-25T14:00:07.25+02:00";
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    CAPTURE(cut);
    CHECK_FALSE(parse_rfc3339(whole.substr(0, cut)));
  }
}
