// SPDX-License-Identifier: MIT
// agent: how much shorter an agent is to make what others found.
#include <felix/agent/compression.hpp>

#include <felix/agent/role.hpp>
#include "support/catch.hpp"

namespace roles = felix::roles;

TEST_CASE("compression_curve: the original's values", "[agent][compression]") {
  CHECK(roles::research.compression.at(0, 1) == Approx(0.75));
  CHECK(roles::research.compression.at(1, 1) == Approx(0.75));
  CHECK(roles::analysis.compression.at(0, 1) == Approx(0.55));
  CHECK(roles::analysis.compression.at(1, 1) == Approx(0.75));
  CHECK(roles::synthesis.compression.at(0, 1) == Approx(0.12));
  CHECK(roles::synthesis.compression.at(1, 1) == Approx(0.32));
  CHECK(roles::critic.compression.at(0.5, 1) == Approx(0.85));
  for (int stage = 2; stage < 10; ++stage) CHECK(roles::critic.compression.at(0.5, stage) == 0.9);
  CHECK(felix::role{}.compression.at(0.3, 1) == Approx(0.55));
}

TEST_CASE("compression_curve: more with each stage, up to a limit, and never out of range", "[agent][compression]") {
  const felix::compression_curve curve{.base = 0.3, .per_stage = 0.05, .most_stages = 0.2};
  CHECK(curve.at(0, 0) == Approx(0.3));
  CHECK(curve.at(0, -3) == Approx(0.3));
  CHECK(curve.at(0, 3) == Approx(0.45));
  CHECK(curve.at(0, 4) == Approx(0.5));
  CHECK(curve.at(0, 1'000'000) == Approx(0.5));
  CHECK(felix::compression_curve{.base = -1}.at(0, 1) == 0);
  CHECK(felix::compression_curve{.base = 2}.at(0, 1) == 0.9);
}
