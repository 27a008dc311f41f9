// SPDX-License-Identifier: MIT
// agent: how many agents a task is worth: the original's numbers, as they are on paper.
#include <felix/agent/team_size.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <limits>

TEST_CASE("team_size: from complexity and confidence, up to the limits", "[agent][team_size]") {
  struct row {
    double complexity, confidence;
    std::size_t size;
  };
  const auto [complexity, confidence, size] =
      GENERATE(values<row>({{0, 0.7, 3},
                            {0, 0, 6},
                            {0.5, 0.3, 8},  // in the original's floats 7: 5 * (0.7 - 0.3) is a hair below 2
                            {0.5, 0.5, 7},  // and 6
                            {1, 0.9, 9},
                            {1, 0, 12},     // 13, but 10,000 tokens pay for 12
                            {0, 1, 2},      // one fewer for 0.2 more than 0.7, toward zero
                            {0.2, 0.7, 4},  // 4.4
                            {2, 0.7, 10},   // beyond the ends is the end
                            {-1, 0.7, 3},
                            {0, -1, 6},
                            {0, 9, 2}}));
  CAPTURE(complexity, confidence);
  CHECK(felix::team_size(complexity, confidence) == size);
}

TEST_CASE("team_size: a team has at least one agent, and no more than are allowed and paid", "[agent][team_size]") {
  CHECK(felix::team_size(1, 0, {.max_agents = 5}) == 5);
  CHECK(felix::team_size(1, 0, {.tokens = 4'000}) == 5);
  CHECK(felix::team_size(1, 0, {.tokens = 4'799, .tokens_per_agent = 800}) == 5);
  CHECK(felix::team_size(1, 0, {.tokens = 4'000, .tokens_per_agent = 2'000}) == 2);
  CHECK(felix::team_size(1, 0, {.max_agents = 0}) == 1);
  CHECK(felix::team_size(1, 0, {.tokens = -1}) == 1);
  CHECK(felix::team_size(1, 0, {.tokens = 13, .tokens_per_agent = 0}) == 13);
}

TEST_CASE("team_size: what is no number counts as 0", "[agent][team_size]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(felix::team_size(nan, 0.7) == 3);
  CHECK(felix::team_size(0, nan) == 6);
}
