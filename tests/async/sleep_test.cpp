// SPDX-License-Identifier: MIT
#include <felix/async/sleep.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <chrono>
#include <coroutine>
#include <thread>

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
