// SPDX-License-Identifier: MIT
#include <felix/async/semaphore.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/seeds.hpp"

#include <atomic>
#include <chrono>
#include <coroutine>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

static_assert(!std::is_aggregate_v<felix::semaphore::awaiter>, "g++ 12 would destroy it twice");

static felix::task<> enter(felix::semaphore& gate, std::string name, std::string& entered) {
  co_await gate.acquire();
  entered += name;
}

TEST_CASE("semaphore: permits go to waiters in their order, and nobody overtakes them", "[async][semaphore]") {
  felix::simulated_loop loop;
  felix::semaphore gate{1};
  std::string entered;
  const auto ignore = [](felix::result<void>) {};
  for (const char* name : {"a", "b", "c"}) loop.spawn(enter(gate, name, entered), ignore);
  CHECK(entered == "a");
  gate.release();
  CHECK_FALSE(gate.try_acquire());  // the permit is b's already
  loop.poll();
  CHECK(entered == "ab");
  gate.release();
  loop.poll();
  CHECK(entered == "abc");
  gate.release();
  CHECK(gate.available() == 1);
  CHECK(gate.try_acquire());
  CHECK(gate.available() == 0);
}

TEST_CASE("semaphore: a release between await_ready and await_suspend is not lost", "[async][semaphore]") {
  felix::semaphore gate{0};
  auto wait = gate.acquire();
  REQUIRE_FALSE(wait.await_ready());
  gate.release();
  CHECK_FALSE(wait.await_suspend(std::noop_coroutine()));
  CHECK_NOTHROW(wait.await_resume());
  CHECK(gate.available() == 0);
}

TEST_CASE("semaphore: stop and release in any order lose no permit", "[async][semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{64}));
  const auto order = felix::test::shuffled("wvxr", seed);  // w, v: two waiters; x: stops w's; r: releases one
  CAPTURE(seed, order);
  felix::simulated_loop loop{seed};
  felix::semaphore gate{0};
  felix::stop_source stop;
  std::string entered;
  int cancelled = 0;
  for (char step : order) {
    if (step == 'w')
      loop.spawn(enter(gate, "w", entered), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
    if (step == 'v') loop.spawn(enter(gate, "v", entered), [](felix::result<void>) {});
    if (step == 'x') stop.request_stop();
    if (step == 'r') gate.release();
  }
  loop.poll();
  const auto at = [&](char step) { return order.find(step); };
  // w gets the permit when it came first and was not stopped before the release; or when it was free as it came.
  const bool free_for_w = at('r') < at('w') && !(at('v') < at('w'));
  const bool first_in_line = at('w') < at('v') && at('w') < at('r') && at('r') < at('x');
  const bool w_enters = free_for_w || first_in_line;
  CHECK(entered == (w_enters ? "w" : "v"));
  CHECK(cancelled == (w_enters ? 0 : 1));
  CHECK(gate.available() == 0);
  gate.release();  // w_enters: for v, which still waits; else it stays free
  loop.poll();
  CHECK(gate.available() == (w_enters ? 0U : 1U));
}

static felix::task<void> hammer(felix::semaphore& gate, std::atomic<int>& inside, std::atomic<int>& most, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    co_await gate.acquire();
    const int now = ++inside;
    int seen = most.load();
    while (seen < now && !most.compare_exchange_weak(seen, now)) {}
    --inside;
    gate.release();
  }
}

TEST_CASE("semaphore: several threads never exceed the permits and lose none", "[async][semaphore]") {
  felix::semaphore gate{2};
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back([&] { felix::sync_wait(hammer(gate, inside, most, 500)); });
  for (auto& thread : threads) thread.join();
  CHECK(most.load() <= 2);
  CHECK(gate.available() == 2);
}

TEST_CASE("semaphore: stops race with releases from other threads, and no permit is lost", "[async][semaphore]") {
  for (int round = 0; round < 100; ++round) {
    felix::semaphore gate{1};
    std::atomic<int> inside{0}, most{0};
    felix::stop_source stop;
    std::thread other{[&] { felix::sync_wait(hammer(gate, inside, most, 20)); }};
    std::thread stopped{[&] {
      static_cast<void>(felix::sync_wait(felix::as_result(hammer(gate, inside, most, 20)), stop.get_token()));
    }};
    stop.request_stop();
    other.join();
    stopped.join();
    CHECK(gate.available() == 1);
    CHECK(most.load() == 1);
  }
}

TEST_CASE("semaphore: a release from another thread wakes a waiting one", "[async][semaphore]") {
  for (int round = 0; round < 100; ++round) {
    felix::semaphore gate{0};
    std::thread releaser{[&] { gate.release(); }};
    felix::sync_wait(gate.acquire());
    releaser.join();
    CHECK(gate.available() == 0);
  }
}

TEST_CASE("semaphore: a free permit is taken even by a task that was stopped", "[async][semaphore]") {
  felix::simulated_loop loop;
  felix::semaphore gate{1};
  felix::stop_source stop;
  stop.request_stop();
  CHECK_NOTHROW(loop.run(gate.acquire(), stop.get_token()));
  CHECK_THROWS_WITH(loop.run(gate.acquire(), stop.get_token()), "cancelled while waiting for a semaphore");
  gate.release();
  CHECK(gate.available() == 1);  // whoever was cancelled has left the queue
}

TEST_CASE("semaphore: many waiters that leave from the front, the middle and the end keep the others in order",
          "[async][semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  const auto leaving = felix::test::shuffled("abcdefgh", seed).substr(0, static_cast<std::size_t>(seed % 9));
  CAPTURE(seed, leaving);
  felix::simulated_loop loop{seed};
  felix::semaphore gate{0};
  std::string entered, expected;
  felix::stop_source stops[8];
  int cancelled = 0;
  for (char name = 'a'; name <= 'h'; ++name) {
    loop.spawn(
        enter(gate, std::string(1, name), entered), [&](felix::result<void> r) { cancelled += !r; },
        stops[name - 'a'].get_token());
    if (leaving.find(name) == std::string::npos) expected += name;
  }
  for (const char name : leaving) stops[name - 'a'].request_stop();
  loop.poll();
  CHECK(cancelled == static_cast<int>(leaving.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    gate.release();
    loop.poll();
    CHECK(entered == expected.substr(0, i + 1));
  }
  CHECK(gate.available() == 0);
  gate.release();
  CHECK(gate.available() == 1);
}

static felix::task<void> use(felix::semaphore& gate, int& used) {
  co_await gate.acquire();  // not stopped once it is granted: then it is given back below
  ++used;
  gate.release();
}

TEST_CASE("semaphore: raced for in when_any, a branch that was granted its permit gives it back",
          "[async][semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  felix::simulated_loop loop{seed};
  felix::semaphore a{0}, b{0};
  int used = 0, races = 0;
  const auto race = [](felix::semaphore& first, felix::semaphore& second, int& uses, int& ended) -> felix::task<void> {
    co_await felix::when_any(use(first, uses), use(second, uses));
    ++ended;
  };
  const auto release = [](felix::semaphore& first, felix::semaphore& second) -> felix::task<void> {
    co_await felix::sleep_for(1ms);
    first.release();
    second.release();
  };
  loop.run(felix::when_all(race(a, b, used, races), race(b, a, used, races), release(a, b)));
  CHECK(races == 2);
  CHECK(used >= 2);
  CHECK(a.available() == 1);
  CHECK(b.available() == 1);
}
