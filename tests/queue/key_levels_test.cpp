// SPDX-License-Identifier: MIT
#include <felix/queue/key_levels.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstdint>
#include <limits>

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using time_point = std::chrono::steady_clock::time_point;

static_assert(felix::even_levels<4, int>{10, 5}(19) == 1);
static_assert(felix::doubling_levels<4, int>{10}(19) == 1);

TEST_CASE("even_levels: each level begins where the one before ends", "[queue][key_levels]") {
  const felix::even_levels<4, int> level{100, 10};
  for (int key = 0; key < 200; ++key) {
    const int expected = key < 110 ? 0 : key < 120 ? 1 : key < 130 ? 2 : 3;
    CAPTURE(key);
    CHECK(level(key) == static_cast<std::size_t>(expected));
  }
}

TEST_CASE("even_levels: of time points, and of numbers at the end of their range", "[queue][key_levels]") {
  const time_point start{5s};
  const felix::even_levels<64, time_point> deadline{start, 50ms};
  CHECK(deadline(start - 1h) == 0);
  CHECK(deadline(start + 49ms) == 0);
  CHECK(deadline(start + 50ms) == 1);
  CHECK(deadline(start + 63 * 50ms - 1ms) == 62);
  CHECK(deadline(start + 63 * 50ms) == 63);
  CHECK(deadline(start + 1000h) == 63);

  const felix::even_levels<64, double> cost{0.0, 0.5};
  CHECK(cost(std::numeric_limits<double>::infinity()) == 63);
  CHECK(cost(std::numeric_limits<double>::quiet_NaN()) == 0);  // not before anything
  CHECK(cost(-std::numeric_limits<double>::infinity()) == 0);
  const felix::even_levels<3, std::uint64_t> wide{0, std::uint64_t{1} << 63};
  CHECK(wide(std::numeric_limits<std::uint64_t>::max()) == 1);
}

TEST_CASE("even_levels: from the least key to the greatest", "[queue][key_levels]") {
  using limits = std::numeric_limits<int>;
  const felix::even_levels<8, int> number{limits::min(), limits::max()};
  CHECK(number(limits::min()) == 0);
  CHECK(number(-2) == 0);
  CHECK(number(-1) == 1);
  CHECK(number(limits::max()) == 2);
  CHECK(felix::even_levels<8, int>{-2'000'000'000, 1000}(2'000'000'000) == 7);
  CHECK(felix::even_levels<8, signed char>{-128, 1}(127) == 7);
  CHECK(felix::even_levels<4, milliseconds>{-5s, 1s}(milliseconds::max()) == 3);
  CHECK(felix::even_levels<4, time_point>{time_point::min(), 1s}(time_point::max()) == 3);
  CHECK(felix::even_levels<4, std::chrono::duration<double>>{-5s, 1s}(-3.5s) == 1);
  CHECK(felix::even_levels<1, int>{0, 1}(5) == 0);
}

TEST_CASE("doubling_levels: each level is as wide as all before it", "[queue][key_levels]") {
  const felix::doubling_levels<5, int> level{10};
  for (int amount = -5; amount < 400; ++amount) {
    const int expected = amount < 10 ? 0 : amount < 20 ? 1 : amount < 40 ? 2 : amount < 80 ? 3 : 4;
    CAPTURE(amount);
    CHECK(level(amount) == static_cast<std::size_t>(expected));
  }
  const felix::doubling_levels<64, std::int64_t> all{1};
  CHECK(all(std::numeric_limits<std::int64_t>::max()) == 63);
  CHECK(felix::doubling_levels<64, std::int64_t>{3}(std::numeric_limits<std::int64_t>::max()) ==
        62);  // no bound beyond
  CHECK(felix::doubling_levels<64, double>{1.0}(std::numeric_limits<double>::quiet_NaN()) == 63);
  CHECK(felix::doubling_levels<16, milliseconds>{10ms}(45ms) == 3);
  CHECK(felix::doubling_levels<1, int>{10}(45) == 0);
}

TEST_CASE("key_levels: a width of nothing is refused", "[queue][key_levels]") {
  CHECK_THROWS_AS((felix::even_levels<4, int>{0, 0}), felix::error);
  CHECK_THROWS_AS((felix::even_levels<4, double>{0, std::numeric_limits<double>::quiet_NaN()}), felix::error);
  CHECK_THROWS_AS((felix::doubling_levels<4, milliseconds>{-1ms}), felix::error);
}
