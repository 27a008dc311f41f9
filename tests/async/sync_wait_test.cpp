// SPDX-License-Identifier: MIT
#include <felix/async/sync_wait.hpp>

#include <felix/async/event.hpp>
#include <felix/async/mutex.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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
  CHECK_THROWS_WITH(loop.run(blocks_its_loop()), Catch::Matchers::ContainsSubstring("sync_wait: "));  // not "run: "
}

TEST_CASE("sync_wait: a stop from another thread ends it", "[async][sync_wait]") {
  felix::event never;
  felix::stop_source stop;
  std::thread stopper{[&] { stop.request_stop(); }};
  CHECK_THROWS_AS(felix::sync_wait(wait_for(never), stop.get_token()), felix::cancelled);
  stopper.join();
}

namespace {

felix::task<std::unique_ptr<int>> owned(int n) { co_return std::make_unique<int>(n); }
felix::task<const int&> refer_to(const int& n) { co_return n; }

}  // namespace

TEST_CASE("sync_wait: gives what is move-only, a reference, nothing, and what cannot be assigned",
          "[async][sync_wait]") {
  CHECK(*felix::sync_wait(owned(9)) == 9);
  const int target = 1;
  CHECK(&felix::sync_wait(refer_to(target)) == &target);
  felix::event set;
  set.set();
  static_assert(std::is_void_v<decltype(felix::sync_wait(set))>);
  felix::sync_wait(set);
  felix::mutex mutex;
  {
    const auto lock = felix::sync_wait(mutex.lock());
    CHECK(mutex.is_locked());
  }
  CHECK_FALSE(mutex.is_locked());
}

TEST_CASE("sync_wait: one after the other on the same thread, also after a failure", "[async][sync_wait]") {
  for (int i = 0; i < 3; ++i) {
    CHECK_THROWS_WITH(felix::sync_wait(fails()), "no");
    CHECK_THROWS_AS(felix::sync_wait(blocks_its_loop()), felix::deadlock_error);
    CHECK(felix::sync_wait(answer()) == 42);
  }
}

TEST_CASE("sync_wait: a stop requested before ends the first wait, not what needs none", "[async][sync_wait]") {
  felix::stop_source stop;
  stop.request_stop();
  CHECK(felix::sync_wait(answer(), stop.get_token()) == 42);
  CHECK_THROWS_AS(felix::sync_wait(slow_answer(), stop.get_token()), felix::cancelled);
}

TEST_CASE("sync_wait: on many threads at once, which wake each other", "[async][sync_wait]") {
  constexpr std::size_t threads = 4;
  std::array<felix::event, threads> begun;
  std::atomic<int> ended{0};
  const auto in_a_ring = [](felix::event& mine, felix::event& next) -> felix::task<void> {
    mine.set();
    co_await next;
  };
  std::vector<std::thread> all;
  for (std::size_t i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      felix::sync_wait(in_a_ring(begun[i], begun[(i + 1) % threads]));
      ++ended;
    });
  }
  for (auto& each : all) each.join();
  CHECK(ended == threads);
}

namespace {

felix::task<int> on_its_home(felix::scheduler& home, felix::event& event) {
  co_await home.schedule();
  event.set();
  co_return 42;
}
felix::task<int> waits_at(felix::scheduler& home) { co_return felix::sync_wait(home, answer()); }
felix::task<void> hour() { co_await felix::sleep_for(1h); }

}  // namespace

TEST_CASE("sync_wait: a loop that is this thread's and idle is driven", "[async][sync_wait]") {
  felix::simulated_loop home;
  CHECK(felix::sync_wait(home, answer()) == 42);
  felix::sync_wait(home, hour());
  CHECK(home.now() == felix::simulated_loop::start + 1h);  // it was its clock that went on
  CHECK_THROWS_WITH(felix::sync_wait(home, fails()), "no");
  felix::event never;
  CHECK_THROWS_AS(felix::sync_wait(home, wait_for(never)), felix::deadlock_error);
}

TEST_CASE("sync_wait: a loop of another thread goes on there, and this one waits", "[async][sync_wait]") {
  felix::basic_event_loop<felix::detail::thread_reactor, felix::steady_clock_source> home;
  home.leave_thread();
  felix::event over, was_there;
  std::thread its{[&] { home.run(wait_for(over)); }};
  CHECK(felix::sync_wait(home, on_its_home(home, was_there)) == 42);
  CHECK(was_there.is_set());
  over.set();
  its.join();
  CHECK_FALSE(home.is_here());
}

TEST_CASE("sync_wait: with a loop, inside a running one, is a deadlock_error", "[async][sync_wait]") {
  felix::simulated_loop home, other;
  CHECK_THROWS_WITH(home.run(waits_at(home)), Catch::Matchers::ContainsSubstring("sync_wait: "));
  CHECK_THROWS_WITH(other.run(waits_at(home)), Catch::Matchers::ContainsSubstring("sync_wait: "));
}

TEST_CASE("sync_wait: a loop that left its thread is nobody's until it is driven", "[async][sync_wait]") {
  felix::simulated_loop home;
  CHECK(home.is_here());
  home.leave_thread();
  CHECK_FALSE(home.is_here());
  felix::task<void> work = hour();
  CHECK_FALSE(home.run_if_idle(work));
  home.poll();
  CHECK(home.is_here());
  CHECK(home.run_if_idle(work));
}
