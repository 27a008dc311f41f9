// SPDX-License-Identifier: MIT
#include <felix/async/mutex.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/seeds.hpp"

#include <chrono>
#include <coroutine>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

static_assert(!std::is_aggregate_v<felix::mutex::awaiter>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<felix::mutex::scoped_lock>, "g++ 12 would destroy it twice");
static_assert(!std::is_copy_constructible_v<felix::mutex::scoped_lock>);

const auto ignore = [](felix::result<void>) {};

felix::task<void> enter(felix::mutex& mutex, std::string name, std::string& entered) {
  const auto lock = co_await mutex.lock();
  entered += name;
}
felix::task<void> stay(felix::mutex& mutex, std::string name, std::string& entered, felix::event& until) {
  const auto lock = co_await mutex.lock();
  entered += name;
  co_await until;
}
/// Reads, lets others run, and writes what it read plus one: loses counts unless it is alone.
felix::task<void> count_up(felix::mutex& mutex, int& counter, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    const auto lock = co_await mutex.lock();
    const int read = counter;
    co_await felix::this_task::yield();
    counter = read + 1;
  }
}

}  // namespace

TEST_CASE("mutex: is held across co_await, by one coroutine at a time", "[async][mutex]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  felix::simulated_loop loop{seed};
  felix::mutex mutex;
  int counter = 0;
  std::vector<felix::task<void>> work;
  for (int i = 0; i < 5; ++i) work.push_back(count_up(mutex, counter, 10));
  loop.run(felix::when_all(std::move(work)));
  CHECK(counter == 50);
  CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("mutex: goes to waiters in their order, and nobody overtakes them", "[async][mutex]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  felix::mutex mutex;
  felix::event leave;
  std::string entered;
  loop.spawn(stay(mutex, "a", entered, leave), ignore);
  for (const char* name : {"b", "c", "d"}) loop.spawn(enter(mutex, name, entered), ignore);
  loop.poll();
  CHECK(entered == "a");  // "not yet" before "now"
  leave.set();
  while (entered == "a") {
    CHECK(mutex.is_locked());
    CHECK_FALSE(mutex.try_lock());  // it goes from hand to hand
    loop.poll();
  }
  loop.spawn(enter(mutex, "e", entered), ignore);
  loop.poll();
  CHECK(entered == "abcde");
  CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("mutex: try_lock takes what is free, and never waits", "[async][mutex]") {
  felix::mutex mutex;
  {
    const auto lock = mutex.try_lock();
    CHECK(lock.has_value());
    CHECK(mutex.is_locked());
    CHECK_FALSE(mutex.try_lock().has_value());
    CHECK(mutex.is_locked());  // what failed gave nothing back
  }
  CHECK_FALSE(mutex.is_locked());
  CHECK(mutex.try_lock().has_value());
}

TEST_CASE("mutex: a lock that is moved unlocks once, at the end of the last", "[async][mutex]") {
  felix::mutex mutex;
  std::optional<felix::mutex::scoped_lock> outer;
  {
    auto inner = felix::sync_wait(mutex.lock());
    outer.emplace(std::move(inner));
  }
  CHECK(mutex.is_locked());
  std::vector<felix::mutex::scoped_lock> several;
  several.push_back(std::move(*outer));
  outer.reset();
  CHECK(mutex.is_locked());
  several.clear();
  CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("mutex: an unlock between await_ready and await_suspend is not lost", "[async][mutex]") {
  felix::mutex mutex;
  auto held = mutex.try_lock();
  auto wait = mutex.lock();
  REQUIRE_FALSE(wait.await_ready());
  held.reset();
  CHECK_FALSE(wait.await_suspend(std::noop_coroutine()));
  {
    const auto lock = wait.await_resume();
    CHECK(mutex.is_locked());
  }
  CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("mutex: stop and unlock in any order leave nobody waiting and nothing locked", "[async][mutex]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{64}));
  const auto order = felix::test::shuffled("wvxr", seed);  // w, v: two waiters; x: stops w's; r: unlocks
  CAPTURE(seed, order);
  felix::simulated_loop loop{seed};
  felix::mutex mutex;
  auto held = mutex.try_lock();
  felix::stop_source stop;
  std::string entered;
  int cancelled = 0;
  for (const char step : order) {
    if (step == 'w')
      loop.spawn(enter(mutex, "w", entered), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
    if (step == 'v') loop.spawn(enter(mutex, "v", entered), ignore);
    if (step == 'x') stop.request_stop();
    if (step == 'r') held.reset();
  }
  loop.poll();
  const auto at = [&](char step) { return order.find(step); };
  // w gets it when it was free as it came (v, granted it by the unlock, has not run), or when it was the first in line
  // and not stopped before the unlock.
  const bool free_for_w = at('r') < at('w') && !(at('v') < at('r'));
  const bool first_in_line = at('w') < at('v') && at('w') < at('r') && at('r') < at('x');
  CHECK(cancelled == (free_for_w || first_in_line ? 0 : 1));
  CHECK(entered.find('v') != std::string::npos);
  CHECK(entered.size() + static_cast<std::size_t>(cancelled) == 2);
  CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("mutex: a stop ends the wait in the queue, and those behind move up", "[async][mutex]") {
  felix::simulated_loop loop;
  felix::mutex mutex;
  felix::event leave;
  felix::stop_source stop;
  std::string entered;
  int cancelled = 0;
  loop.spawn(stay(mutex, "a", entered, leave), ignore);
  loop.spawn(enter(mutex, "b", entered), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
  loop.spawn(enter(mutex, "c", entered), ignore);
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
  CHECK(entered == "a");
  leave.set();
  loop.poll();
  CHECK(entered == "ac");
}

TEST_CASE("mutex: a lock that was granted stays granted when the stop comes after", "[async][mutex]") {
  felix::simulated_loop loop;
  felix::mutex mutex;
  felix::stop_source stop;
  std::string entered;
  int cancelled = 0;
  {
    const auto held = mutex.try_lock();
    loop.spawn(enter(mutex, "b", entered), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
  }
  CHECK(entered.empty());  // granted, and posted
  stop.request_stop();
  loop.poll();
  CHECK(entered == "b");
  CHECK(cancelled == 0);
}

TEST_CASE("mutex: a free one is taken even by a task that was stopped", "[async][mutex]") {
  felix::simulated_loop loop;
  felix::mutex mutex;
  felix::stop_source stop;
  stop.request_stop();
  std::string entered;
  loop.run(enter(mutex, "a", entered), stop.get_token());
  CHECK(entered == "a");
  const auto held = mutex.try_lock();
  CHECK_THROWS_WITH(loop.run(enter(mutex, "b", entered), stop.get_token()), "cancelled while waiting for a mutex");
}

TEST_CASE("mutex: several threads count exactly", "[async][mutex]") {
  felix::mutex mutex;
  int counter = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back([&] { felix::sync_wait(count_up(mutex, counter, 250)); });
  for (auto& thread : threads) thread.join();
  CHECK(counter == 1'000);
  CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("mutex: stops race with unlocks from other threads, and no lock is lost", "[async][mutex]") {
  for (int round = 0; round < 100; ++round) {
    felix::mutex mutex;
    int counter = 0;
    felix::stop_source stop;
    std::thread other{[&] { felix::sync_wait(count_up(mutex, counter, 10)); }};
    std::thread stopped{
        [&] { static_cast<void>(felix::sync_wait(felix::as_result(count_up(mutex, counter, 10)), stop.get_token())); }};
    stop.request_stop();
    other.join();
    stopped.join();
    CHECK(counter >= 10);
    CHECK_FALSE(mutex.is_locked());
  }
}

TEST_CASE("mutex: raced for in when_any no lock is lost, whoever wins", "[async][mutex]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  felix::simulated_loop loop{seed};
  felix::mutex a, b;
  const auto hold = [](felix::mutex& of, std::chrono::milliseconds time) -> felix::task<void> {
    const auto lock = co_await of.lock();
    co_await felix::sleep_for(time);
  };
  const auto race = [](felix::mutex& first, felix::mutex& second, int& won) -> felix::task<void> {
    const auto winner = co_await felix::when_any(first.lock(), second.lock());
    CHECK((winner.index == 0 ? first : second).is_locked());
    ++won;
    co_await felix::this_task::yield();
  };
  int won = 0;
  loop.run(felix::when_all(hold(a, 1ms), hold(b, 1ms), race(a, b, won), race(b, a, won), race(a, b, won)));
  CHECK(won == 3);
  CHECK_FALSE(a.is_locked());
  CHECK_FALSE(b.is_locked());
}

TEST_CASE("mutex: a time limit on the wait either gives the lock or leaves the queue", "[async][mutex]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  felix::simulated_loop loop{seed};
  felix::mutex mutex;
  const auto hold = [](felix::mutex& of, std::chrono::milliseconds time) -> felix::task<void> {
    const auto lock = co_await of.lock();
    co_await felix::sleep_for(time);
  };
  const auto try_for = [](felix::mutex& of, std::chrono::milliseconds limit) -> felix::task<bool> {
    try {
      const auto lock = co_await felix::timeout(limit, of.lock());
      co_return of.is_locked();
    } catch (const felix::timed_out&) {
      co_return false;
    }
  };
  auto [none, too_short, close, enough] =
      loop.run(felix::when_all(hold(mutex, 5ms), try_for(mutex, 4ms), try_for(mutex, 5ms), try_for(mutex, 6ms)));
  CHECK_FALSE(too_short);
  CHECK(enough);
  CHECK_FALSE(mutex.is_locked());
}
