// SPDX-License-Identifier: MIT
#include <felix/queue/atomics.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <thread>

TEST_CASE("std_atomics: a lane belongs to a thread, and neighbours start apart", "[queue][atomics]") {
  felix::queue_lane& mine = felix::std_atomics::lane();
  CHECK(&felix::std_atomics::lane() == &mine);
  const felix::queue_lane* others[2] = {};
  std::uint32_t starts[2] = {};
  const auto look = [&](int i) {
    others[i] = &felix::std_atomics::lane();
    starts[i] = others[i]->stripe;
  };
  std::thread{look, 0}.join();
  std::thread{look, 1}.join();
  CHECK(others[0] != &mine);
  CHECK(others[1] != &mine);
  CHECK(starts[0] % 16 != starts[1] % 16);  // 16 is the most stripes there are
}
