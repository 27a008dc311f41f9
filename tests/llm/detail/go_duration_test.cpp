// SPDX-License-Identifier: MIT
#include <felix/llm/detail/go_duration.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using felix::detail::parse_go_duration;

TEST_CASE("go_duration: what the headers of servers hold", "[llm][go_duration]") {
  CHECK(parse_go_duration("6m0s") == 6min);
  CHECK(parse_go_duration("1s") == 1s);
  CHECK(parse_go_duration("12ms") == 12ms);
  CHECK(parse_go_duration("7.66s") == 7660ms);
  CHECK(parse_go_duration("59m2m3.5s") == 1h);
  CHECK(parse_go_duration("2m59.56s") == 179'560ms);
  CHECK(parse_go_duration("5us") == 5us);
  CHECK(parse_go_duration("5\xC2\xB5s") == 5us);
  CHECK(parse_go_duration("5\xCE\xBCs") == 5us);
  CHECK(parse_go_duration("5ns") == 5ns);
  CHECK(parse_go_duration("0s") == 0s);
  CHECK(parse_go_duration("1m1ms") == 60'001ms);
  CHECK(parse_go_duration(".5s") == 500ms);
  CHECK(parse_go_duration("5.s") == 5s);
}

TEST_CASE("go_duration: a bare number is seconds", "[llm][go_duration]") {
  CHECK(parse_go_duration("2") == 2s);
  CHECK(parse_go_duration("0.25") == 250ms);
  CHECK(parse_go_duration("0") == 0s);
}

TEST_CASE("go_duration: an hour is the most", "[llm][go_duration]") {
  CHECK(parse_go_duration("1h") == 1h);
  CHECK(parse_go_duration("1h2m3.5s") == 1h);
  CHECK(parse_go_duration("99999999") == 1h);
  CHECK(parse_go_duration(std::string(400, '9') + "h") == 1h);
  CHECK(parse_go_duration(std::string(400, '9')) == 1h);
}

TEST_CASE("go_duration: what is none", "[llm][go_duration]") {
  for (const char* odd : {"", " ", "s", "-1s", "+1s", "1 s", "1x", "1s2", ".s", "1..5s", "1s ", "1e3s", "1h-2m", "nan",
                          "inf", "1d", "2026-11-25T00:00:00Z", "1S"}) {
    CAPTURE(odd);
    CHECK_FALSE(parse_go_duration(odd));
  }
}
