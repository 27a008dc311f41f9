// SPDX-License-Identifier: MIT
#include <felix/net/event_loop.hpp>

#include <felix/async/event.hpp>
#include <felix/async/sleep.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <thread>

using namespace std::chrono_literals;

static felix::task<int> wait_for(felix::event& event) {
  co_await event;
  co_return 7;
}

TEST_CASE("event_loop: sleeps until another thread wakes a coroutine on it", "[net][event_loop]") {
  felix::event_loop loop;
  for (int round = 0; round < 100; ++round) {
    felix::event event;
    std::thread setter{[&] { event.set(); }};
    CHECK(loop.run(wait_for(event)) == 7);
    setter.join();
  }
}

TEST_CASE("event_loop: a timer is never early", "[net][event_loop]") {
  felix::event_loop loop;
  const auto before = loop.now();
  loop.run(felix::sleep_for(5ms));
  CHECK(loop.now() - before >= 5ms);
}

TEST_CASE("event_loop: poll drives it without blocking", "[net][event_loop]") {
  felix::event_loop loop;
  felix::event event;
  int got = 0;
  loop.spawn(wait_for(event), [&](felix::result<int> r) { got = *r; });
  loop.poll();
  CHECK(got == 0);
  event.set();
  loop.poll();
  CHECK(got == 7);
}
