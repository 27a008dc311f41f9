// SPDX-License-Identifier: MIT
// llm: the line through the times of a token, by numbers worked out by hand.
#include <felix/llm/detail/token_pace.hpp>

#include "support/catch.hpp"

using felix::detail::level_of_slowdown;
using felix::detail::token_pace;

TEST_CASE("token_pace: nothing is slow while nothing is known", "[llm][token_pace]") {
  token_pace pace{64};
  CHECK(pace.slowdown(8) == 1);
  CHECK(pace.alone() == 0);
  pace.add(4, 0.050);  // one level makes no line
  CHECK(pace.slowdown(4) == 1);
  CHECK(pace.slowdown(8) == 1);
}

TEST_CASE("token_pace: two levels make a line", "[llm][token_pace]") {
  token_pace pace{64};
  pace.add(2, 0.030);
  pace.add(4, 0.050);
  CHECK(pace.alone() == Approx(0.020));
  CHECK(pace.slowdown(4) == Approx(2.5));
  CHECK(pace.slowdown(6) == Approx(3.5));  // not seen, but on the line
  CHECK(pace.slowdown(1) == 1);
}

TEST_CASE("token_pace: levels weigh as many readings as they have", "[llm][token_pace]") {
  token_pace pace{64};
  pace.add(1, 0.020);
  pace.add(2, 0.050);
  pace.add(3, 0.030);
  pace.add(3, 0.050);
  // means 2.25 and 37.5 ms, slope 22.5 / 2.75 ms
  CHECK(pace.alone() == Approx(0.0375 - 1.25 * 0.0225 / 2.75));
  CHECK(pace.slowdown(3) == Approx(0.040 / pace.alone()));
}

TEST_CASE("token_pace: a level remembers its last sixteen readings above all", "[llm][token_pace]") {
  token_pace pace{64};
  for (int i = 0; i < 100; ++i) pace.add(1, 0.020);
  pace.add(1, 0.036);
  CHECK(pace.alone() == Approx(0.021));
}

TEST_CASE("token_pace: more requests never make a server faster", "[llm][token_pace]") {
  token_pace pace{64};
  pace.add(1, 0.050);
  pace.add(2, 0.020);
  CHECK(pace.alone() == Approx(0.035));
  CHECK(pace.slowdown(2) == 1);
  CHECK(pace.slowdown(64) == 1);
}

TEST_CASE("token_pace: at most as slow as one request after the other", "[llm][token_pace]") {
  token_pace pace{64};
  pace.add(2, 0.010);
  pace.add(4, 0.100);  // the line says less than nothing for one alone
  CHECK(pace.alone() == Approx(0.005));
  CHECK(pace.slowdown(4) == 4);
}

TEST_CASE("token_pace: levels out of range count as the last one there is", "[llm][token_pace]") {
  token_pace pace{4};
  pace.add(0, 0.020);
  pace.add(9, 0.050);
  CHECK(pace.alone() == Approx(0.020));
  CHECK(pace.slowdown(4) == Approx(2.5));
}

TEST_CASE("token_pace: how many requests a slowdown allows", "[llm][token_pace]") {
  CHECK(level_of_slowdown(64, 4.15, 3) == 41);  // 5 % each
  CHECK(level_of_slowdown(16, 5.5, 3) == 8);    // 30 % each: 7.67
  CHECK(level_of_slowdown(64, 13.6, 3) == 11);  // 20 % each
  CHECK(level_of_slowdown(2, 100, 1.01) == 1);
}
