// SPDX-License-Identifier: MIT
// core: four levels, in the order of their urgency, each with a name.
#include <felix/priority.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <string>

using felix::request_priority;

static_assert(request_priority::low < request_priority::normal && request_priority::normal < request_priority::high &&
              request_priority::high < request_priority::urgent);
static_assert(static_cast<std::size_t>(request_priority::low) == 0 &&
                  static_cast<std::size_t>(request_priority::urgent) + 1 == felix::request_priority_levels,
              "queues have an array of this many levels, and index it by the level");
static_assert(noexcept(to_string(request_priority::low)));

TEST_CASE("request_priority: every level has its name, and a number that is none has another", "[core][priority]") {
  CHECK(to_string(request_priority::low) == "low");
  CHECK(to_string(request_priority::normal) == "normal");
  CHECK(to_string(request_priority::high) == "high");
  CHECK(to_string(request_priority::urgent) == "urgent");
  CHECK(to_string(static_cast<request_priority>(felix::request_priority_levels)) == "unknown");
}
