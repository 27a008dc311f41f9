// SPDX-License-Identifier: MIT
// agent: seeds that do not collide.
#include <felix/agent/random.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

static_assert(felix::detail::fnv1a("a") == 0xAF63DC4C8601EC8CU &&
              felix::detail::fnv1a("foobar") == 0x85944171F73967E8U);
static_assert(felix::derive_seed(0, "", 0) == 0xA6BBC8DCBE30928CU);

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
