// SPDX-License-Identifier: MIT
#include <felix/async/event.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <coroutine>
#include <string>
#include <thread>

static_assert(!std::is_aggregate_v<felix::event::awaiter>, "g++ 12 would destroy it twice");

// Parameters live in the coroutine's frame, the captures of a lambda do not.
static felix::task<> count_when_set(felix::event& event, int& passed) {
  co_await event;
  ++passed;
}

TEST_CASE("event: a wait passes if set came before it or before the stop, else it is cancelled", "[async][event]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  const auto order = felix::test::shuffled("wsx", seed);  // w: begin to wait, s: set, x: request a stop
  CAPTURE(seed, order);                                   // a failure prints the seed that repeats it
  felix::simulated_loop loop{seed};
  felix::event event;  // asserts at its end that no waiter is left
  felix::stop_source stop;
  int passed = 0, cancelled = 0;
  for (char step : order) {
    if (step == 's') event.set();
    if (step == 'x') stop.request_stop();
    if (step != 'w') continue;
    loop.spawn(count_when_set(event, passed), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
    loop.poll();
    if (order.front() == 'w') REQUIRE(passed + cancelled == 0);  // "not yet" before "now"
  }
  loop.poll();

  const bool passes = order.find('s') < std::max(order.find('w'), order.find('x'));
  CHECK(passed == (passes ? 1 : 0));
  CHECK(cancelled == (passes ? 0 : 1));
}

TEST_CASE("event: set between await_ready and await_suspend is not lost", "[async][event]") {
  felix::event event;
  auto wait = event.operator co_await();  // an awaiter is an object: by hand, we can stand between two of its steps
  REQUIRE_FALSE(wait.await_ready());
  event.set();
  CHECK_FALSE(wait.await_suspend(std::noop_coroutine()));
  CHECK_NOTHROW(wait.await_resume());
}

TEST_CASE("event: reset makes later waits wait, and keeps those released", "[async][event]") {
  felix::simulated_loop loop;
  felix::event event;
  int passed = 0;
  const auto ignore = [](felix::result<void>) {};
  loop.spawn(count_when_set(event, passed), ignore);
  loop.spawn(count_when_set(event, passed), ignore);
  event.set();
  event.reset();
  CHECK(passed == 0);  // posted, not run inside set()
  loop.poll();
  CHECK(passed == 2);
  loop.spawn(count_when_set(event, passed), ignore);
  loop.poll();
  CHECK(passed == 2);
  event.set();
  loop.poll();
  CHECK(passed == 3);
}

TEST_CASE("event: set from another thread wakes a waiting one", "[async][event]") {
  for (int round = 0; round < 100; ++round) {
    felix::event event;
    int passed = 0;
    std::thread setter{[&] { event.set(); }};
    felix::sync_wait(count_when_set(event, passed));
    setter.join();
    CHECK(passed == 1);
  }
}

TEST_CASE("event: set and stop race from two threads, and the wait ends exactly once", "[async][event]") {
  for (int round = 0; round < 200; ++round) {
    felix::event event;
    felix::stop_source stop;
    int passed = 0, cancelled = 0;
    std::thread setter{[&] { event.set(); }};
    std::thread stopper{[&] { stop.request_stop(); }};
    try {
      felix::sync_wait(count_when_set(event, passed), stop.get_token());
    } catch (const felix::cancelled&) {
      ++cancelled;
    }
    setter.join();
    stopper.join();
    CHECK(passed + cancelled == 1);
  }
}
