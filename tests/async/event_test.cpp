// SPDX-License-Identifier: MIT
#include <felix/async/event.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <coroutine>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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

static felix::task<std::size_t> first_of(felix::event& a, felix::event& b) {
  co_return (co_await felix::when_any(a, b)).index;
}

TEST_CASE("event: in a when_any race the loser leaves the queue", "[async][event]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  felix::simulated_loop loop{seed};
  felix::event a, b;  // assert at their end that no waiter is left
  std::vector<std::size_t> winners;
  for (int i = 0; i < 4; ++i)
    loop.spawn(first_of(a, b), [&](felix::result<std::size_t> r) { winners.push_back(r.value()); });
  loop.poll();
  CHECK(winners.empty());
  (seed % 2 == 0 ? a : b).set();
  loop.poll();
  CHECK(winners == std::vector<std::size_t>(4, static_cast<std::size_t>(seed % 2)));
}

TEST_CASE("event: set by two threads while many race for it, each goes on once", "[async][event]") {
  for (int round = 0; round < 50; ++round) {
    felix::event a, b;
    std::thread sets_a{[&] { a.set(); }};
    std::thread sets_b{[&] { b.set(); }};
    std::vector<felix::task<std::size_t>> racers;
    for (int i = 0; i < 10; ++i) racers.push_back(first_of(a, b));
    CHECK(felix::sync_wait(felix::when_all(std::move(racers))).size() == 10);
    sets_a.join();
    sets_b.join();
  }
}

TEST_CASE("event: releases its waiters in their order", "[async][event]") {
  felix::simulated_loop loop;
  felix::event event;
  std::string passed;
  const auto pass = [](felix::event& on, std::string name, std::string& log) -> felix::task<> {
    co_await on;
    log += name;
  };
  for (const char* name : {"a", "b", "c", "d"}) loop.spawn(pass(event, name, passed), [](felix::result<void>) {});
  event.set();
  loop.poll();
  CHECK(passed == "abcd");
}

static felix::test::foreign end_it(std::unique_ptr<felix::event>& owned, int& passed) {
  co_await *owned;
  owned.reset();
  ++passed;
}

TEST_CASE("event: a sole waiter may end it as soon as it runs", "[async][event]") {
  auto owned = std::make_unique<felix::event>();
  int passed = 0;
  end_it(owned, passed);
  felix::event& event = *owned;
  event.set();  // resumes it in place
  CHECK(passed == 1);
  CHECK(owned == nullptr);
}
