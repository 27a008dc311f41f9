// SPDX-License-Identifier: MIT
// budget: the guide's taper at each stage, and what is a taper.
#include <felix/budget/stage_taper.hpp>

#include "support/catch.hpp"

#include <limits>

namespace {

struct may_throw {
  double operator()(int) const { return 1; }
};
struct gives_a_float {
  float operator()(int) const noexcept { return 1; }
};
struct changes {
  double operator()(int) noexcept { return 1; }
};
struct halving {
  constexpr double operator()(int stage) const noexcept { return 1.0 / (1 << (stage - 1)); }
};

}  // namespace

static_assert(felix::taper_policy<halving>);
static_assert(!felix::taper_policy<may_throw> && !felix::taper_policy<gives_a_float> && !felix::taper_policy<changes>);

TEST_CASE("strict_taper: 1 and 2 whole, 3 and 4 three quarters, later half", "[budget][stage_taper]") {
  constexpr felix::strict_taper taper;
  CHECK(taper(1) == 1.0);
  CHECK(taper(2) == 1.0);
  CHECK(taper(3) == 0.75);
  CHECK(taper(4) == 0.75);
  CHECK(taper(5) == 0.5);
  CHECK(taper(6) == 0.5);
  CHECK(taper(std::numeric_limits<int>::max()) == 0.5);
}

TEST_CASE("no_taper: every stage whole", "[budget][stage_taper]") {
  for (const int stage : {1, 2, 3, 5, 100}) CHECK(felix::no_taper{}(stage) == 1.0);
}
