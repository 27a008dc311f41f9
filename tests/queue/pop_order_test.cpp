// SPDX-License-Identifier: MIT
#include <felix/queue/pop_order.hpp>

#include "support/catch.hpp"

#include <felix/queue/priority_queue.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace {

// N + 1 turns, of which each level below the first has exactly one.
template <std::size_t N>
bool fair_to(std::size_t levels) {
  std::vector<std::size_t> turns(levels);
  for (std::uint64_t pop = 0; pop <= N; ++pop) {
    const auto turn = felix::aging_order<N>::turn(pop, levels);
    if (turn >= levels || turn != felix::aging_order<N>::turn(pop + 7 * (N + 1), levels)) return false;
    ++turns[turn];
  }
  return turns[0] > 0 && std::all_of(turns.begin() + 1, turns.end(), [](std::size_t n) { return n == 1; });
}

// What has `ahead` others before it in the last level leaves by this pop, while the levels above never run dry.
template <std::size_t N, std::size_t Levels>
std::size_t pops_until_last(std::size_t ahead, std::size_t pops_before) {
  felix::priority_queue<int, Levels, felix::aging_order<N>> queue{64};
  const auto refill = [&] {
    for (std::size_t level = 0; level + 1 < Levels; ++level)
      while (queue.size_approx(level) < 2) REQUIRE(queue.try_push(level, 0));
  };
  refill();
  for (std::size_t i = 0; i < pops_before; ++i) {
    REQUIRE(queue.try_pop());
    refill();
  }
  for (std::size_t i = 0; i < ahead; ++i) REQUIRE(queue.try_push(Levels - 1, 0));
  REQUIRE(queue.try_push(Levels - 1, 1));
  for (std::size_t pops = 1;; ++pops) {
    if (*queue.try_pop() == 1) return pops;
    refill();
    if (pops > 1000) return pops;
  }
}

}  // namespace

TEST_CASE("aging_order: each lower level begins one pop in N + 1", "[queue][pop_order]") {
  for (const auto levels : std::initializer_list<std::size_t>{1, 2, 3, 4, 5}) {
    CAPTURE(levels);
    CHECK(fair_to<4>(levels));
    CHECK(fair_to<15>(levels));
    CHECK(fair_to<100>(levels));
  }
  CHECK(fair_to<63>(64));
  CHECK(fair_to<1>(2));
  STATIC_REQUIRE(felix::aging_order<63>::max_levels == 64);  // with one more, the first would have none
}

TEST_CASE("aging_order: what waits is popped by the bound that is stated, and not always sooner",
          "[queue][pop_order]") {
  for (const auto ahead : std::initializer_list<std::size_t>{0, 1, 3}) {
    std::size_t longest2 = 0, longest4 = 0;
    for (std::size_t before = 0; before < 16; ++before) {
      longest2 = std::max(longest2, pops_until_last<7, 2>(ahead, before));
      longest4 = std::max(longest4, pops_until_last<7, 4>(ahead, before));
    }
    CAPTURE(ahead);
    CHECK(longest2 == (ahead + 1) * 8);
    CHECK(longest4 == (ahead + 1) * 8);
  }
}

TEST_CASE("aging_order: a turn whose level is empty goes by the strict order", "[queue][pop_order]") {
  felix::priority_queue<int, 2, felix::aging_order<1>> queue{8};
  for (int i = 0; i < 6; ++i) REQUIRE(queue.try_push(0, i));
  for (int i = 0; i < 6; ++i) CHECK(queue.try_pop() == i);
  CHECK_FALSE(queue.try_pop());
}
