// SPDX-License-Identifier: MIT
#include <felix/net/detail/poll_reactor.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <optional>

using namespace std::chrono_literals;
using felix::detail::poll_reactor;

TEST_CASE("poll_reactor: without a request it waits all the same", "[net][poll_reactor]") {
  poll_reactor reactor;
  const auto begin = std::chrono::steady_clock::now();
  reactor.wait(3ms);
  CHECK(std::chrono::steady_clock::now() - begin >= 3ms);
  reactor.wake();
  reactor.poll();  // does not take the wake-up away
  reactor.wait(std::nullopt);
}
