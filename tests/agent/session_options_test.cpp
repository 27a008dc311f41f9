// SPDX-License-Identifier: MIT
#include <felix/agent/session_options.hpp>

#include "support/catch.hpp"

TEST_CASE("session_options: what is not said limits nothing", "[agent][session_options]") {
  const felix::session_options options{.seed = 7};
  CHECK(options.simulation_time == 1.0);
  CHECK(options.window == 8);
  CHECK(options.accepted_confidence == 0.8);
  CHECK_FALSE(options.limits.tokens.has_value());
  CHECK_FALSE(options.price.has_value());
  CHECK_FALSE(options.adaptive.has_value());
  CHECK(options.capacity.answer_tokens(1'000, 1'000'000) == 1'000);
}
