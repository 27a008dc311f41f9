// SPDX-License-Identifier: MIT
#include <felix/async/sleep.hpp>

#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <chrono>
#include <coroutine>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

static_assert(!std::is_aggregate_v<felix::detail::sleep_awaiter>, "g++ 12 would destroy it twice");

static felix::task<> sleep_and_count(std::chrono::milliseconds duration, int& woken) {
  co_await felix::sleep_for(duration);
  ++woken;
}
static felix::task<> sleep_until_start(int& woken) {
  co_await felix::sleep_until(felix::simulated_loop::start - 1h);
  ++woken;
}

TEST_CASE("sleep: a deadline in the past ends in the next turn, without moving time", "[async][sleep]") {
  felix::simulated_loop loop;
  int woken = 0;
  loop.run(sleep_until_start(woken));
  loop.run(sleep_and_count(-5ms, woken));
  CHECK(woken == 2);
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("sleep: ends at its time or at the stop, whichever is first, exactly once", "[async][sleep]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  felix::simulated_loop loop{seed};
  felix::stop_source stop;
  int woken = 0, cancelled = 0;
  const auto at = std::chrono::milliseconds{seed};  // the stop; the sleep ends at 8 ms
  loop.spawn(sleep_and_count(8ms, woken), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
  const auto stop_at = [](std::chrono::milliseconds when, felix::stop_source& source) -> felix::task<> {
    co_await felix::sleep_for(when);
    source.request_stop();
  };
  loop.run(stop_at(at, stop));
  loop.run(felix::sleep_for(1s));
  CHECK(woken + cancelled == 1);
  if (at < 8ms) CHECK(cancelled == 1);
  if (at > 8ms) CHECK(woken == 1);
}

TEST_CASE("sleep: a coroutine without a loop is told how to get one", "[async][sleep]") {
  auto wait = felix::sleep_until(std::chrono::steady_clock::now());
  CHECK_THROWS_AS(wait.await_suspend(std::noop_coroutine()), felix::error);
}

TEST_CASE("sleep: stops from another thread race with the timer", "[async][sleep]") {
  for (int round = 0; round < 100; ++round) {
    felix::stop_source stop;
    int woken = 0, cancelled = 0;
    std::thread stopper{[&] { stop.request_stop(); }};
    try {
      felix::sync_wait(sleep_and_count(std::chrono::milliseconds{round % 2}, woken), stop.get_token());
    } catch (const felix::cancelled&) {
      ++cancelled;
    }
    stopper.join();
    CHECK(woken + cancelled == 1);
  }
}

TEST_CASE("sleep: ten thousand wake in the order of their deadlines", "[async][sleep]") {
  felix::simulated_loop loop;
  std::vector<int> woken;
  const auto sleeps = [](int at, std::vector<int>& into) -> felix::task<> {
    co_await felix::sleep_until(felix::simulated_loop::start + std::chrono::milliseconds{at});
    into.push_back(at);
    CHECK(co_await felix::this_task::now() == felix::simulated_loop::start + std::chrono::milliseconds{at});
  };
  std::vector<felix::task<>> work;
  for (int i = 0; i < 10'000; ++i) work.push_back(sleeps((i * 7'919) % 10'007, woken));
  loop.run(felix::when_all(std::move(work)));
  CHECK(woken.size() == 10'000);
  CHECK(std::is_sorted(woken.begin(), woken.end()));
}

TEST_CASE("sleep: the longest and the shortest durations neither wrap nor hang", "[async][sleep]") {
  felix::simulated_loop loop;
  felix::stop_source stop;
  int woken = 0, cancelled = 0;
  const auto sleeps = [](std::chrono::nanoseconds duration, int& count) -> felix::task<> {
    co_await felix::sleep_for(duration);
    ++count;
  };
  loop.spawn(
      sleeps(std::chrono::nanoseconds::max(), woken), [&](felix::result<void> r) { cancelled += !r; },
      stop.get_token());
  loop.run(sleeps(std::chrono::nanoseconds::min(), woken));
  CHECK(loop.now() == felix::simulated_loop::start);
  loop.run(sleeps(1'000h, woken));
  CHECK(woken == 2);
  CHECK(cancelled == 0);
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
}

TEST_CASE("sleep: counts from when it is awaited, not from when it was made", "[async][sleep]") {
  felix::simulated_loop loop;
  const auto body = []() -> felix::task<> {
    auto later = felix::sleep_for(1s);
    co_await felix::sleep_for(1s);
    co_await std::move(later);
  };
  loop.run(body());
  CHECK(loop.now() == felix::simulated_loop::start + 2s);
}

TEST_CASE("sleep: two that end a race, and the loser leaves no timer behind", "[async][sleep]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  CHECK(loop.run(felix::when_any(felix::sleep_for(2s), felix::sleep_for(1s))).index == 1);
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
  felix::event never;
  CHECK_THROWS_AS(loop.run(never), felix::deadlock_error);  // nothing is left to wait for
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
}

TEST_CASE("sleep: on a loop of another thread, named", "[async][sleep]") {
  felix::test::other_thread other;
  for (int round = 0; round < 50; ++round) {
    felix::event woken;
    std::thread::id where;
    const auto in_place = [](felix::scheduler& on, std::thread::id& at, felix::event& done) -> felix::test::foreign {
      co_await felix::detail::sleep_awaiter{&on, 1us};
      at = std::this_thread::get_id();
      done.set();
    };
    in_place(other.loop(), where, woken);
    felix::sync_wait(woken);
    CHECK(where == other.id());
  }
}
