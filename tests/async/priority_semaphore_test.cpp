// SPDX-License-Identifier: MIT
#include <felix/async/priority_semaphore.hpp>

#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <atomic>
#include <chrono>
#include <coroutine>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using felix::request_priority;
using namespace std::chrono_literals;

static_assert(!std::is_aggregate_v<felix::priority_semaphore::awaiter>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<felix::priority_semaphore::permit>, "g++ 12 would destroy it twice");
static_assert(!std::is_copy_constructible_v<felix::priority_semaphore::permit>);

static felix::task<> enter(felix::priority_semaphore& slots, request_priority level, std::string name,
                           std::string& entered, felix::event& leave) {
  const auto permit = co_await slots.acquire(level);
  entered += name;
  co_await leave;
}

TEST_CASE("priority_semaphore: refuses to let nobody through", "[async][priority_semaphore]") {
  CHECK_THROWS_AS(felix::priority_semaphore{0}, felix::error);
}

TEST_CASE("priority_semaphore: a freed permit goes to the highest level, first come first served within it",
          "[async][priority_semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  felix::simulated_loop loop{seed};
  felix::priority_semaphore slots{1};
  felix::event hold, go;
  go.set();
  std::string entered;
  const auto ignore = [](felix::result<void>) {};
  loop.spawn(enter(slots, request_priority::low, "0", entered, hold), ignore);
  const std::string arrivals = felix::test::shuffled("abcdefgh", seed);
  for (char name : arrivals) {
    const auto level = static_cast<request_priority>((name - 'a') / 2);  // ab low, cd normal, ef high, gh urgent
    loop.spawn(enter(slots, level, std::string(1, name), entered, go), ignore);
  }
  CHECK(slots.in_use() == 1);
  CHECK(slots.waiting(request_priority::urgent) == 2);
  loop.poll();
  CHECK(entered == "0");
  hold.set();
  loop.poll();
  std::string expected = "0";
  for (const char* pair : {"gh", "ef", "cd", "ab"}) {
    for (char name : arrivals) {
      if (name == pair[0] || name == pair[1]) expected += name;
    }
  }
  CHECK(entered == expected);
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: urgent overtakes forty waiting low ones and is next, not before those inside",
          "[async][priority_semaphore]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{4};
  felix::event hold;
  std::string entered;
  const auto ignore = [](felix::result<void>) {};
  for (int i = 0; i < 44; ++i) loop.spawn(enter(slots, request_priority::low, "l", entered, hold), ignore);
  loop.spawn(enter(slots, request_priority::urgent, "U", entered, hold), ignore);
  loop.poll();
  CHECK(entered == "llll");
  hold.set();
  loop.poll();
  CHECK(entered == "llllU" + std::string(40, 'l'));
}

TEST_CASE("priority_semaphore: a stopped waiter leaves at once, and its permit goes to the next",
          "[async][priority_semaphore]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{1};
  felix::event hold;
  std::string entered;
  felix::stop_source stop;
  int cancelled = 0;
  const auto ignore = [](felix::result<void>) {};
  loop.spawn(enter(slots, request_priority::normal, "a", entered, hold), ignore);
  loop.spawn(
      enter(slots, request_priority::high, "b", entered, hold), [&](felix::result<void> r) { cancelled += !r; },
      stop.get_token());
  loop.spawn(enter(slots, request_priority::low, "c", entered, hold), ignore);
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
  CHECK(slots.waiting(request_priority::high) == 0);
  hold.set();
  loop.poll();
  CHECK(entered == "ac");
  CHECK(slots.in_use() == 0);
}

static felix::task<> hammer(felix::priority_semaphore& slots, std::atomic<int>& inside, std::atomic<int>& most,
                            int rounds) {
  for (int i = 0; i < rounds; ++i) {
    const auto permit = co_await slots.acquire(static_cast<request_priority>(i % 4));
    const int now = ++inside;
    int seen = most.load();
    while (seen < now && !most.compare_exchange_weak(seen, now)) {}
    --inside;
  }
}

TEST_CASE("priority_semaphore: several threads never exceed the limit and lose no permit",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{2};
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back([&] { felix::sync_wait(hammer(slots, inside, most, 500)); });
  for (auto& thread : threads) thread.join();
  CHECK(most.load() <= 2);
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: stops race with releases from other threads, and no permit is lost",
          "[async][priority_semaphore]") {
  for (int round = 0; round < 100; ++round) {
    felix::priority_semaphore slots{1};
    std::atomic<int> inside{0}, most{0};
    felix::stop_source stop;
    std::thread other{[&] { felix::sync_wait(hammer(slots, inside, most, 20)); }};
    std::thread stopped{[&] {
      try {
        felix::sync_wait(hammer(slots, inside, most, 20), stop.get_token());
      } catch (const felix::cancelled&) {}
    }};
    stop.request_stop();
    other.join();
    stopped.join();
    CHECK(slots.in_use() == 0);
    CHECK(most.load() == 1);
  }
}

TEST_CASE("priority_semaphore: a permit freed between await_ready and await_suspend is not lost",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{1};
  auto first = slots.acquire();
  REQUIRE(first.await_ready());
  auto second = slots.acquire();
  {
    const auto held = first.await_resume();
    REQUIRE_FALSE(second.await_ready());
  }
  CHECK_FALSE(second.await_suspend(std::noop_coroutine()));
  {
    const auto permit = second.await_resume();
    CHECK(slots.in_use() == 1);
  }
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: a stop after the permit was granted changes nothing", "[async][priority_semaphore]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{1};
  felix::event hold, stay;
  std::string entered;
  felix::stop_source stop;
  int cancelled = 0;
  loop.spawn(enter(slots, request_priority::normal, "a", entered, hold), [](felix::result<void>) {});
  loop.spawn(
      enter(slots, request_priority::normal, "b", entered, stay), [&](felix::result<void> r) { cancelled += !r; },
      stop.get_token());
  loop.spawn(enter(slots, request_priority::normal, "c", entered, hold), [](felix::result<void>) {});
  hold.set();
  while (slots.waiting(request_priority::normal) == 2) loop.poll();
  stop.request_stop();  // b has the permit: it enters, and only then its next wait is cancelled
  loop.poll();
  CHECK(entered == "abc");
  CHECK(cancelled == 1);
  CHECK(slots.in_use() == 0);
  CHECK(slots.waiting(request_priority::normal) == 0);
}

TEST_CASE("priority_semaphore: a permit that is moved is given back once, at the end of the last",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{2};
  std::optional<felix::priority_semaphore::permit> outer;
  {
    auto inner = felix::sync_wait(slots.acquire());
    outer.emplace(std::move(inner));
  }
  CHECK(slots.in_use() == 1);
  CHECK(slots.limit() == 2);
  outer.reset();
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: a free permit is taken even by a task that was stopped", "[async][priority_semaphore]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{1};
  felix::stop_source stop;
  stop.request_stop();
  const auto held = loop.run(slots.acquire(), stop.get_token());
  CHECK_THROWS_WITH(loop.run(slots.acquire(request_priority::urgent), stop.get_token()),
                    "cancelled while waiting for a permit");
  CHECK(slots.waiting(request_priority::urgent) == 0);
  CHECK(slots.in_use() == 1);
}

TEST_CASE("priority_semaphore: raced for in when_any and under a time limit no permit is lost",
          "[async][priority_semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  felix::simulated_loop loop{seed};
  felix::priority_semaphore a{1}, b{1};
  const auto hold = [](felix::priority_semaphore& of) -> felix::task<void> {
    const auto permit = co_await of.acquire();
    co_await felix::sleep_for(1ms);
  };
  const auto race = [](felix::priority_semaphore& first, felix::priority_semaphore& second,
                       int& won) -> felix::task<void> {
    const auto winner =
        co_await felix::when_any(first.acquire(request_priority::low), second.acquire(request_priority::urgent));
    won += (winner.index == 0 ? first : second).in_use() == 1;
    co_await felix::this_task::yield();
  };
  const auto limited = [](felix::priority_semaphore& of, int& ended) -> felix::task<void> {
    try {
      const auto permit = co_await felix::timeout(1ms, of.acquire());
      ended += of.in_use() == 1;
    } catch (const felix::timed_out&) {
      ++ended;
    }
  };
  int won = 0, ended = 0;
  loop.run(felix::when_all(hold(a), hold(b), race(a, b, won), race(b, a, won), limited(a, ended), limited(b, ended)));
  CHECK(won == 2);
  CHECK(ended == 2);
  CHECK(a.in_use() == 0);
  CHECK(b.in_use() == 0);
  for (const auto level : {request_priority::low, request_priority::normal, request_priority::urgent})
    CHECK(a.waiting(level) + b.waiting(level) == 0);
}
