// SPDX-License-Identifier: MIT
#include <felix/async/nursery.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/thread_pool.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

felix::task<int> add_after(std::chrono::milliseconds delay, int n, int& sum) {
  co_await felix::sleep_for(delay);
  sum += n;
  co_return n;
}
felix::task<void> fail_after(std::chrono::milliseconds delay) {
  co_await felix::sleep_for(delay);
  throw std::runtime_error{"failed"};
}
felix::task<void> spawn_more(felix::nursery& into, int levels, int& sum) {
  sum += 1;
  if (levels > 0) {
    into.spawn(spawn_more(into, levels - 1, sum));
    into.spawn(spawn_more(into, levels - 1, sum));
  }
  co_return;
}

}  // namespace

TEST_CASE("nursery: joins what was spawned, values or not, and what that spawns", "[async][nursery]") {
  felix::simulated_loop loop;
  int sum = 0;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 1; i <= 10; ++i) n.spawn(add_after(std::chrono::milliseconds{i}, i, sum));
    n.spawn(spawn_more(n, 5, sum));
    co_return;
  };
  loop.run(felix::with_nursery(body));
  CHECK(sum == 55 + 63);
  CHECK(loop.now() == felix::simulated_loop::start + 10ms);
}

TEST_CASE("nursery: the first failure stops the rest and is rethrown after all have ended", "[async][nursery]") {
  felix::simulated_loop loop;
  int sum = 0;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(add_after(1ms, 1, sum));
    n.spawn(fail_after(5ms));
    n.spawn(add_after(1h, 100, sum));
    co_await felix::sleep_for(2h);
    sum += 1000;
  };
  CHECK_THROWS_WITH(loop.run(felix::with_nursery(body)), "failed");
  CHECK(sum == 1);
  CHECK(loop.now() == felix::simulated_loop::start + 5ms);
}

TEST_CASE("nursery: a body that throws stops what it spawned", "[async][nursery]") {
  felix::simulated_loop loop;
  int sum = 0;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(add_after(1h, 1, sum));
    throw std::logic_error{"body"};
    co_return;
  };
  CHECK_THROWS_WITH(loop.run(felix::with_nursery(body)), "body");
  CHECK(sum == 0);
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("nursery: request_stop ends everything, and the nursery is cancelled", "[async][nursery]") {
  felix::simulated_loop loop;
  int sum = 0;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(add_after(1h, 1, sum));
    n.request_stop();
    co_return;
  };
  CHECK_THROWS_AS(loop.run(felix::with_nursery(body)), felix::cancelled);
  CHECK(sum == 0);
}

TEST_CASE("nursery: a stop of the one who awaits it reaches what was spawned", "[async][nursery]") {
  felix::simulated_loop loop;
  felix::stop_source stop;
  int sum = 0, cancelled = 0;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(add_after(1h, 1, sum));
    co_return;
  };
  loop.spawn(felix::with_nursery(body), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("nursery: what is spawned from another scheduler's thread begins where the nursery lives",
          "[async][nursery]") {
  const auto child = [](felix::scheduler& home, std::thread::id there, int& begun) -> felix::task<void> {
    CHECK(co_await felix::this_task::scheduler() == &home);
    if (std::this_thread::get_id() == there) ++begun;
  };
  const auto parent = [&](felix::thread_pool& pool, int& begun) -> felix::task<void> {
    felix::scheduler& home = *co_await felix::this_task::scheduler();
    const auto here = std::this_thread::get_id();
    const auto body = [&](felix::nursery& n) -> felix::task<void> {
      n.spawn(child(home, here, begun));
      co_await pool.schedule();
      n.spawn(child(home, here, begun));
    };
    co_await felix::with_nursery(body);
  };
  felix::thread_pool pool{1};
  int begun = 0;
  felix::sync_wait(parent(pool, begun));
  CHECK(begun == 2);
}
