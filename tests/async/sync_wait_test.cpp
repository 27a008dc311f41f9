// SPDX-License-Identifier: MIT
#include <felix/async/sync_wait.hpp>

#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;

namespace {

felix::task<int> answer() { co_return 42; }
felix::task<int> slow_answer() {
  co_await felix::sleep_for(1ms);
  co_return 42;
}
felix::task<void> fails() {
  throw std::runtime_error{"no"};
  co_return;
}
felix::task<int> blocks_its_loop() { co_return felix::sync_wait(answer()); }
felix::task<void> wait_for(felix::event& event) { co_await event; }

}  // namespace

TEST_CASE("sync_wait: runs a task on this thread, with timers", "[async][sync_wait]") {
  CHECK(felix::sync_wait(answer()) == 42);
  CHECK(felix::sync_wait(slow_answer()) == 42);
  CHECK_THROWS_WITH(felix::sync_wait(fails()), "no");
}

TEST_CASE("sync_wait: inside a running loop it is a deadlock_error", "[async][sync_wait]") {
  felix::simulated_loop loop;
  CHECK_THROWS_AS(loop.run(blocks_its_loop()), felix::deadlock_error);
  CHECK_THROWS_AS(felix::sync_wait(blocks_its_loop()), felix::deadlock_error);
}

TEST_CASE("sync_wait: a stop from another thread ends it", "[async][sync_wait]") {
  felix::event never;
  felix::stop_source stop;
  std::thread stopper{[&] { stop.request_stop(); }};
  CHECK_THROWS_AS(felix::sync_wait(wait_for(never), stop.get_token()), felix::cancelled);
  stopper.join();
}
