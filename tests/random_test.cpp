// SPDX-License-Identifier: MIT
// core: random numbers against a second implementation in exact arithmetic.
#include <felix/random.hpp>

#include "support/catch.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

static_assert(felix::seeded_random{0}.next() == 16294208416658607535U);

TEST_CASE("seeded_random: known sequences of SplitMix64", "[core][random]") {
  felix::seeded_random random{1234567};
  for (const std::uint64_t expected :
       {6457827717110365317U, 3203168211198807973U, 9817491932198370423U, 4593380528125082431U, 16408922859458223821U})
    CHECK(random.next() == expected);
  felix::seeded_random wrapping{std::numeric_limits<std::uint64_t>::max()};
  CHECK(wrapping.next() == 16490336266968443936U);
  CHECK(wrapping.next() == 16834447057089888969U);
}

TEST_CASE("seeded_random: uniform, to the last bit", "[core][random]") {
  felix::seeded_random unit{42};
  for (const double expected : {0x1.7bae644c5fd6dp-1, 0x1.477f199d93378p-3, 0x1.1d499d5c4c3e6p-2})
    CHECK(unit.uniform(0, 1) == expected);
  felix::seeded_random velocity{42};
  for (const double expected : {0x1.251ab7b08326ep+0, 0x1.978643d7a2e1fp-1, 0x1.bbfc7c0216df8p-1})
    CHECK(velocity.uniform(0.7, 1.3) == expected);
}

TEST_CASE("seeded_random: uniform stays below its upper end, also where rounding would reach it", "[core][random]") {
  felix::seeded_random random{1};
  const double lo = 1;
  const double hi = std::nextafter(1.0, 2.0);  // half of all shares round up to hi
  for (int i = 0; i < 64; ++i) CHECK(random.uniform(lo, hi) == lo);
  for (int i = 0; i < 64; ++i) {
    const double value = random.uniform(-2, std::nextafter(-2.0, 0.0));
    CHECK(value == -2);
  }
}

TEST_CASE("seeded_random: a range of one value gives it, and takes a number all the same", "[core][random]") {
  felix::seeded_random random{1234567};
  CHECK(random.uniform(0.7, 0.7) == 0.7);
  CHECK(random.next() == 3203168211198807973U);
}

TEST_CASE("seeded_random: uniform fills its range evenly", "[core][random]") {
  constexpr int draws = 100'000;
  std::array<int, 10> bins{};
  felix::seeded_random random{20'250'821};
  double sum = 0;
  for (int i = 0; i < draws; ++i) {
    const double value = random.uniform(-1, 3);
    REQUIRE(value >= -1);
    REQUIRE(value < 3);
    sum += value;
    ++bins.at(static_cast<std::size_t>((value + 1) * 2.5));
  }
  double chi_squared = 0;
  for (const int count : bins) chi_squared += (count - draws / 10.0) * (count - draws / 10.0) / (draws / 10.0);
  CHECK(chi_squared < 27.9);                       // 9 degrees of freedom: one seed in 1,000 is above
  CHECK(std::abs(sum / draws - 1) < 4 * 0.00365);  // the standard error of the mean is (4/√12)/√draws
}
