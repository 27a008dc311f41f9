// SPDX-License-Identifier: MIT
// agent: random numbers against a second implementation in exact arithmetic, and seeds that do not collide.
#include <felix/agent/random.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

static_assert(felix::seeded_random{0}.next() == 16294208416658607535U);
static_assert(felix::detail::fnv1a("a") == 0xAF63DC4C8601EC8CU &&
              felix::detail::fnv1a("foobar") == 0x85944171F73967E8U);
static_assert(felix::derive_seed(0, "", 0) == 0xA6BBC8DCBE30928CU);

TEST_CASE("seeded_random: known sequences of SplitMix64", "[agent][random]") {
  felix::seeded_random random{1234567};
  for (const std::uint64_t expected :
       {6457827717110365317U, 3203168211198807973U, 9817491932198370423U, 4593380528125082431U, 16408922859458223821U})
    CHECK(random.next() == expected);
  felix::seeded_random wrapping{std::numeric_limits<std::uint64_t>::max()};
  CHECK(wrapping.next() == 16490336266968443936U);
  CHECK(wrapping.next() == 16834447057089888969U);
}

TEST_CASE("seeded_random: uniform, to the last bit", "[agent][random]") {
  felix::seeded_random unit{42};
  for (const double expected : {0x1.7bae644c5fd6dp-1, 0x1.477f199d93378p-3, 0x1.1d499d5c4c3e6p-2})
    CHECK(unit.uniform(0, 1) == expected);
  felix::seeded_random velocity{42};
  for (const double expected : {0x1.251ab7b08326ep+0, 0x1.978643d7a2e1fp-1, 0x1.bbfc7c0216df8p-1})
    CHECK(velocity.uniform(0.7, 1.3) == expected);
}

TEST_CASE("seeded_random: uniform stays below its upper end, also where rounding would reach it", "[agent][random]") {
  felix::seeded_random random{1};
  const double lo = 1;
  const double hi = std::nextafter(1.0, 2.0);  // half of all shares round up to hi
  for (int i = 0; i < 64; ++i) CHECK(random.uniform(lo, hi) == lo);
  for (int i = 0; i < 64; ++i) {
    const double value = random.uniform(-2, std::nextafter(-2.0, 0.0));
    CHECK(value == -2);
  }
}

TEST_CASE("seeded_random: a range of one value gives it, and takes a number all the same", "[agent][random]") {
  felix::seeded_random random{1234567};
  CHECK(random.uniform(0.7, 0.7) == 0.7);
  CHECK(random.next() == 3203168211198807973U);
}

TEST_CASE("seeded_random: uniform fills its range evenly", "[agent][random]") {
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

TEST_CASE("derive_seed: known answers", "[agent][random]") {
  CHECK(felix::derive_seed(7, "research_001", 1) == 0x4CD243C9EF0FE57FU);
  CHECK(felix::derive_seed(7, "research_001", 2) == 0x82B76E048C277808U);
  CHECK(felix::derive_seed(7, "research_002", 1) == 0x99AA5B517396D27CU);
  CHECK(felix::derive_seed(8, "research_001", 1) == 0xE425D79362CB7D2BU);
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  CHECK(felix::derive_seed(most, "\xC3\xA9", most) == 0x275FBDC59809CC5CU);  // bytes are unsigned on every platform
}

TEST_CASE("derive_seed: seeds, names and stages of a large run are all different", "[agent][random]") {
  std::set<std::uint64_t> seen;
  std::size_t made = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    for (const char* role : {"research", "analysis", "critic", "synthesis", ""})
      for (int agent = 0; agent < 40; ++agent)
        for (std::uint64_t stage = 0; stage < 32; ++stage, ++made)
          seen.insert(felix::derive_seed(seed, role + std::to_string(agent), stage));
  CHECK(seen.size() == made);
}

TEST_CASE("derive_seed: its parts do not stand in for one another", "[agent][random]") {
  CHECK(felix::derive_seed(1, "a", 2) != felix::derive_seed(2, "a", 1));
  CHECK(felix::derive_seed(1, "ab", 0) != felix::derive_seed(1, "ba", 0));
  CHECK(felix::derive_seed(1, "a", 1) != felix::derive_seed(1, "a1", 0));
  CHECK(felix::derive_seed(0, "a", 0) != felix::derive_seed(0, std::string_view{"a\0", 2}, 0));
}

TEST_CASE("derive_seed: one bit of a stage changes about half of the seed", "[agent][random]") {
  int changed = 0;
  for (std::uint64_t stage = 0; stage < 64; ++stage)
    for (unsigned bit = 0; bit < 64; ++bit) {
      const std::uint64_t flipped = stage ^ (std::uint64_t{1} << bit);
      std::uint64_t difference =
          felix::derive_seed(7, "critic_001", stage) ^ felix::derive_seed(7, "critic_001", flipped);
      for (; difference != 0; difference &= difference - 1) ++changed;
    }
  const double mean = changed / (64.0 * 64.0);
  CHECK(mean > 31);
  CHECK(mean < 33);
}
