// SPDX-License-Identifier: MIT
#include <felix/async/nursery.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/semaphore.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/thread_pool.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/seeds.hpp"

#include <chrono>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

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

TEST_CASE("nursery: one that stops itself ends everything, and has not failed", "[async][nursery]") {
  felix::simulated_loop loop;
  int sum = 0;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(add_after(1h, 1, sum));
    co_await felix::sleep_for(1s);
    n.request_stop();
    co_await felix::sleep_for(1h);  // the body too
  };
  CHECK_NOTHROW(loop.run(felix::with_nursery(body)));
  CHECK(sum == 0);
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
}

TEST_CASE("nursery: one that stops itself still tells of failures, and of a stop from outside", "[async][nursery]") {
  felix::simulated_loop loop;
  const auto fails_when_stopped = []() -> felix::task<void> {
    if (!(co_await felix::as_result(felix::as_task(felix::sleep_for(1h))))) throw std::runtime_error{"cleaning up"};
  };
  auto failing = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(fails_when_stopped());
    n.request_stop();
    co_return;
  };
  CHECK_THROWS_WITH(loop.run(felix::with_nursery(failing)), "cleaning up");

  felix::stop_source stop;
  auto stopped = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(felix::sleep_for(1h));
    stop.request_stop();
    n.request_stop();
    co_return;
  };
  CHECK_THROWS_AS(loop.run(felix::with_nursery(stopped), stop.get_token()), felix::cancelled);
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

static_assert(!std::is_move_constructible_v<felix::nursery> && !std::is_default_constructible_v<felix::nursery>);

TEST_CASE("nursery: takes any awaitable, drops its value, and begins it at once", "[async][nursery]") {
  felix::simulated_loop loop;
  felix::event set;
  set.set();
  felix::semaphore places{1};
  const auto owned = []() -> felix::task<std::unique_ptr<int>> { co_return std::make_unique<int>(1); };
  bool held = false;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(owned());
    n.spawn(set);
    n.spawn(places.acquire());
    held = places.available() == 0;
    n.spawn(felix::sleep_for(2s));
    n.spawn(felix::when_all(owned(), felix::sleep_for(3s)));
    co_return;
  };
  loop.run(felix::with_nursery(body));
  CHECK(held);
  CHECK(loop.now() == felix::simulated_loop::start + 3s);
}

TEST_CASE("nursery: nothing spawned, or only what ends at once, ends at once", "[async][nursery]") {
  int sum = 0;
  auto nothing = [](felix::nursery&) -> felix::task<void> { co_return; };
  felix::sync_wait(felix::with_nursery(nothing));
  auto at_once = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 10'000; ++i) n.spawn(spawn_more(n, 0, sum));
    co_return;
  };
  felix::sync_wait(felix::with_nursery(at_once));
  CHECK(sum == 10'000);
}

TEST_CASE("nursery: a body that is no coroutine may throw before there is one", "[async][nursery]") {
  felix::simulated_loop loop;
  int sum = 0;
  auto refuses = [&](felix::nursery& n) {
    n.spawn(add_after(1h, 1, sum));
    if (sum == 0) throw std::bad_alloc{};
    return fail_after(1ms);
  };
  CHECK_THROWS_AS(loop.run(felix::with_nursery(refuses)), std::bad_alloc);
  CHECK(sum == 0);
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("nursery: of several failures the first counts, in every order", "[async][nursery]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  felix::simulated_loop loop{seed};
  std::string log;
  const auto fails = [](std::string name, std::string& to) -> felix::task<void> {
    co_await felix::this_task::yield();
    to += name;
    throw std::runtime_error{name};
  };
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (const char* name : {"a", "b", "c"}) n.spawn(fails(name, log));
    co_return;
  };
  const auto ended = loop.run(felix::as_result(felix::with_nursery(body)));
  CHECK(ended.message() == log.substr(0, 1));
  CHECK(log.size() == 1);  // the others came back to the stop
}

TEST_CASE("nursery: a stop comes before, during or after, and it ends once all have", "[async][nursery]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{24}));
  const auto order = felix::test::shuffled("wsx", seed);  // w: begin; s: let them end; x: request a stop
  CAPTURE(seed, order);
  felix::simulated_loop loop{seed};
  felix::event go;
  felix::stop_source stop;
  std::string log;
  int ended = 0, cancelled = 0;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(felix::test::noted(felix::as_task(go), "a", log));
    n.spawn(felix::test::noted(felix::as_task(go), "b", log));
    co_return;
  };
  for (const char step : order) {
    if (step == 's') go.set();
    if (step == 'x') stop.request_stop();
    if (step == 'w')
      loop.spawn(
          felix::with_nursery(body), [&](felix::result<void> r) { (r ? ended : cancelled) += 1; }, stop.get_token());
    loop.poll();
  }
  const bool stopped = order.find('x') < order.find('s') && order.find('s') > order.find('w');
  CHECK(ended == (stopped ? 0 : 1));
  CHECK(cancelled == (stopped ? 1 : 0));
  CHECK(log.size() == (stopped ? 6U : 2U));
}

TEST_CASE("nursery: what is spawned after a stop begins, and is stopped at its first wait", "[async][nursery]") {
  felix::simulated_loop loop;
  std::string log;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.request_stop();
    n.spawn(felix::test::noted(felix::sleep_for(1h), "late", log));
    co_return;
  };
  CHECK_NOTHROW(loop.run(felix::with_nursery(body)));
  CHECK(log == "(late)");
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("nursery: within a when_any, a loser ends all it spawned before the race is over", "[async][nursery]") {
  felix::simulated_loop loop;
  std::string log;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(felix::test::noted(felix::sleep_for(1h), "a", log));
    co_await felix::sleep_for(2h);
  };
  const auto race = [](auto& of, std::string& to) -> felix::task<std::size_t> {
    const auto first = co_await felix::when_any(felix::with_nursery(of), felix::sleep_for(1s));
    to += "on";
    co_return first.index;
  };
  CHECK(loop.run(race(body, log)) == 1);
  CHECK(log == "(a)on");
  CHECK_THROWS_AS(loop.run(felix::timeout(1s, felix::with_nursery(body))), felix::timed_out);
  CHECK(log == "(a)on(a)");
}

TEST_CASE("nursery: the frame of a task goes when the task ends, not when the nursery does", "[async][nursery]") {
  felix::simulated_loop loop;
  const auto shared = std::make_shared<int>(0);
  const auto holds = [](std::shared_ptr<int> held, std::chrono::milliseconds time) -> felix::task<void> {
    co_await felix::sleep_for(time);
    ++*held;
  };
  std::vector<long> users;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(holds(shared, 0ms));
    n.spawn(holds(shared, 10ms));
    users.push_back(shared.use_count());
    co_await felix::sleep_for(5ms);
    users.push_back(shared.use_count());
  };
  loop.run(felix::with_nursery(body));
  users.push_back(shared.use_count());
  CHECK(users == std::vector<long>{3, 2, 1});
  CHECK(*shared == 2);
}

TEST_CASE("nursery: tasks woken by many threads are all joined", "[async][nursery]") {
  for (int round = 0; round < 50; ++round) {
    felix::event go[4];
    std::vector<std::thread> setters;
    for (auto& each : go) setters.emplace_back([&each] { each.set(); });
    int passed = 0;
    const auto pass = [](felix::event& on, int& count) -> felix::task<void> {
      co_await on;
      ++count;
    };
    auto body = [&](felix::nursery& n) -> felix::task<void> {
      for (auto& each : go) n.spawn(pass(each, passed));
      co_return;
    };
    felix::sync_wait(felix::with_nursery(body));
    for (auto& setter : setters) setter.join();
    CHECK(passed == 4);
  }
}
