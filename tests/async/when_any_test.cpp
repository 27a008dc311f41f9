// SPDX-License-Identifier: MIT
#include <felix/async/when_any.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/when_all.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/seeds.hpp"

#include <any>
#include <chrono>
#include <concepts>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using felix::test::foreign;
using felix::test::noted;
using namespace std::chrono_literals;

namespace {

static_assert(!std::is_aggregate_v<felix::when_any_result<int>>, "g++ 12 would destroy it twice");

felix::task<std::string> after(std::chrono::milliseconds delay, std::string text) {
  co_await felix::sleep_for(delay);
  co_return text;
}
felix::task<void> pause(std::chrono::milliseconds delay) { co_await felix::sleep_for(delay); }
felix::task<int> fail_after(std::chrono::milliseconds delay, std::string why) {
  co_await felix::sleep_for(delay);
  throw std::runtime_error{why};
}
felix::task<int> number(int n) { co_return n; }
felix::task<std::unique_ptr<int>> owned(int n) { co_return std::make_unique<int>(n); }
felix::task<int&> refer_to(int& n) { co_return n; }
felix::task<void> wait_for(felix::event& event) { co_await event; }
felix::task<int> wait_then(felix::event& event, int n) {
  co_await event;
  co_return n;
}
felix::task<int> note_start(bool& started) {
  started = true;
  co_return 1;
}
felix::task<felix::test::throws_when_moved> fragile(int moves) { co_return felix::test::throws_when_moved{moves}; }

/// Does not let a stop end it: it waits on, and comes to a value.
felix::task<std::string> stubborn(std::string& log) {
  bool stopped = false;
  try {
    co_await felix::sleep_for(1h);
  } catch (const felix::cancelled&) {
    stopped = true;
  }
  if (stopped) log += "stopped ";
  co_return "in spite of it";
}
/// Needs several turns of the loop to end after a stop.
felix::task<void> slow_to_leave(std::string& log) {
  bool stopped = false;
  try {
    co_await felix::sleep_for(1h);
  } catch (const felix::cancelled&) {
    stopped = true;
  }
  for (int turn = 0; stopped && turn < 3; ++turn) {
    try {
      co_await felix::this_task::yield();
    } catch (const felix::cancelled&) {
      log += ".";
    }
  }
  log += "left ";
}

}  // namespace

TEST_CASE("when_any: gives which one ended first, and its value", "[async][when_any]") {
  felix::simulated_loop loop;
  const auto first = loop.run(felix::when_any(after(30ms, "a"), after(10ms, "b"), after(20ms, "c")));
  static_assert(std::same_as<decltype(first.value), std::string>);
  CHECK(first.index == 1);
  CHECK(first.value == "b");
  CHECK(loop.now() == felix::simulated_loop::start + 10ms);
}

TEST_CASE("when_any: of different types it gives a variant with an alternative for each", "[async][when_any]") {
  felix::simulated_loop loop;
  const auto text = loop.run(felix::when_any(fail_after(1h, ""), after(1ms, "x"), pause(1h)));
  static_assert(std::same_as<decltype(text.value), std::variant<int, std::string, std::monostate>>);
  CHECK(text.index == 1);
  CHECK(std::get<1>(text.value) == "x");
  const auto none = loop.run(felix::when_any(fail_after(1h, ""), after(1h, "x"), pause(1ms)));
  CHECK(none.index == 2);
  CHECK(none.value.index() == 2);
  // Two of the same type among others: the alternative is that of the place, not of the type.
  const auto place = loop.run(felix::when_any(after(1h, "x"), after(1ms, "y"), number(0)));
  CHECK(place.value.index() == 2);
  const auto middle = loop.run(felix::when_any(after(1h, "x"), after(1ms, "y"), pause(1h)));
  CHECK(std::get<1>(middle.value) == "y");
}

TEST_CASE("when_any: void only gives monostate, and values may be move-only or references", "[async][when_any]") {
  felix::simulated_loop loop;
  const auto none = loop.run(felix::when_any(pause(2ms), pause(1ms)));
  static_assert(std::same_as<decltype(none.value), std::monostate>);
  CHECK(none.index == 1);
  CHECK(*loop.run(felix::when_any(owned(4), owned(5))).value == 4);
  int target = 3;
  const auto referred = loop.run(felix::when_any(refer_to(target)));
  static_assert(std::same_as<decltype(referred.value), int&>);
  CHECK(&referred.value == &target);
}

TEST_CASE("when_any: a value is taken as it is, not as the first element of a list", "[async][when_any]") {
  const auto list = []() -> felix::task<std::vector<std::any>> { co_return std::vector<std::any>(3, 1); };
  CHECK(felix::sync_wait(felix::when_any(list(), list())).value.size() == 3);
}

TEST_CASE("when_any: a move constructor that throws ends in whoever awaits", "[async][when_any]") {
  bool thrown = false;
  for (int moves = 0; moves < 12; ++moves) {
    try {
      static_cast<void>(felix::sync_wait(felix::when_any(fragile(moves), fragile(0))));
      CHECK(thrown);  // with few moves it did
      return;
    } catch (const std::runtime_error&) {
      thrown = true;
    }
  }
  FAIL("a value is moved more than a dozen times");
}

TEST_CASE("when_any: a range gives index and value, and an empty one is an error", "[async][when_any]") {
  felix::simulated_loop loop;
  std::vector<felix::task<std::string>> work;
  for (int i = 0; i < 5; ++i) work.push_back(after(std::chrono::milliseconds{50 - 10 * i}, std::to_string(i)));
  const auto first = loop.run(felix::when_any(std::move(work)));
  CHECK(first.index == 4);
  CHECK(first.value == "4");
  CHECK(loop.now() == felix::simulated_loop::start + 10ms);

  std::vector<felix::task<void>> pauses;
  pauses.push_back(pause(2ms));
  pauses.push_back(pause(1ms));
  const auto second = loop.run(felix::when_any(std::move(pauses)));
  static_assert(std::same_as<decltype(second.value), std::monostate>);
  CHECK(second.index == 1);

  try {
    static_cast<void>(loop.run(felix::when_any(std::vector<felix::task<int>>{})));
    FAIL("nothing can come first among none");
  } catch (const felix::error& empty) {
    CHECK(empty.code() == felix::errc::invalid_argument);
  }
}

TEST_CASE("when_any: the first to end decides, with a failure too", "[async][when_any]") {
  felix::simulated_loop loop;
  std::string log;
  std::vector<felix::task<void>> work;
  work.push_back(noted(felix::sleep_for(1h), "a", log));
  work.push_back(noted(fail_after(5ms, "first"), "b", log));
  work.push_back(noted(felix::sleep_for(6ms), "c", log));
  CHECK_THROWS_WITH(loop.run(felix::when_any(std::move(work))), "first");
  CHECK(log.substr(0, 2) == "b!");
  CHECK(log.find("(a)") != std::string::npos);
  CHECK(log.find("(c)") != std::string::npos);
  CHECK(loop.now() == felix::simulated_loop::start + 5ms);
}

TEST_CASE("when_any: a loser's failure is dropped", "[async][when_any]") {
  const auto fails_when_stopped = []() -> felix::task<int> {
    try {
      co_await felix::sleep_for(1h);
    } catch (const felix::cancelled&) {
      throw std::logic_error{"while leaving"};
    }
    co_return 0;
  };
  felix::simulated_loop loop;
  CHECK(loop.run(felix::when_any(fails_when_stopped(), number(5))).value == 5);
}

TEST_CASE("when_any: as_result makes a failure a value that decides", "[async][when_any]") {
  felix::simulated_loop loop;
  const auto first =
      loop.run(felix::when_any(felix::as_result(fail_after(1ms, "no")), felix::as_result(fail_after(1h, "late"))));
  CHECK(first.index == 0);
  CHECK(first.value.message() == "no");
}

TEST_CASE("when_any: losers are stopped, and have ended before it goes on", "[async][when_any]") {
  felix::simulated_loop loop;
  std::string log;
  const auto body = [](std::string& to) -> felix::task<void> {
    co_await felix::when_any(slow_to_leave(to), pause(1ms), slow_to_leave(to));
    to += "on";
  };
  loop.run(body(log));
  CHECK(log.substr(log.size() - 7) == "left on");
  CHECK(log.find("left") != log.rfind("left"));
  CHECK(loop.now() == felix::simulated_loop::start + 1ms);
}

TEST_CASE("when_any: what a loser comes to in spite of the stop is dropped", "[async][when_any]") {
  felix::simulated_loop loop;
  std::string log;
  const auto first = loop.run(felix::when_any(stubborn(log), after(1ms, "winner"), stubborn(log)));
  CHECK(first.index == 1);
  CHECK(first.value == "winner");
  CHECK(log == "stopped stopped ");
}

TEST_CASE("when_any: once one has ended, the rest is never started", "[async][when_any]") {
  felix::simulated_loop loop;
  bool started = false;
  std::string log;
  const auto first = loop.run(felix::when_any(stubborn(log), after(0ms, "x"), stubborn(log)));
  CHECK(first.index == 1);
  CHECK(loop.run(felix::when_any(number(7), note_start(started))).value == 7);
  CHECK_FALSE(started);
  std::vector<felix::task<int>> work;
  work.push_back(felix::as_task(fail_after(1h, "stopped")));
  work.push_back(number(8));
  for (int i = 0; i < 3; ++i) work.push_back(note_start(started));
  const auto second = loop.run(felix::when_any(std::move(work)));
  CHECK(second.index == 1);
  CHECK(second.value == 8);
  CHECK_FALSE(started);
}

TEST_CASE("when_any: a stop from outside comes before, during or after, and nothing of it is left",
          "[async][when_any]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{24}));
  const auto order = felix::test::shuffled("wsx", seed);  // w: begin, s: let one end, x: request a stop
  CAPTURE(seed, order);
  felix::simulated_loop loop{seed};
  felix::event event, never;
  felix::stop_source stop;
  int won = 0, cancelled = 0;
  for (const char step : order) {
    if (step == 's') event.set();
    if (step == 'x') stop.request_stop();
    if (step == 'w')
      loop.spawn(
          felix::when_any(wait_for(never), wait_for(event)),
          [&](felix::result<felix::when_any_result<std::monostate>> r) {
            r ? won += static_cast<int>(r->index) : ++cancelled;
          },
          stop.get_token());
    loop.poll();
    if (order.front() == 'w' && step == 'w') REQUIRE(won + cancelled == 0);
  }
  // The branch that came first is stopped while it waits, so a request before the beginning ends the whole.
  const bool stopped_first = order.find('x') < order.find('w') || order.find('x') < order.find('s');
  CHECK(cancelled == (stopped_first ? 1 : 0));
  CHECK(won == (stopped_first ? 0 : 1));
}

TEST_CASE("when_any: branches that end on the same turn have one winner, in every order", "[async][when_any]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  felix::simulated_loop loop{seed};
  felix::event go;
  std::string log;
  const auto label = [](felix::event& on, std::string name, std::string& to) -> felix::task<std::string> {
    co_await on;
    to += name;
    co_return name;
  };
  std::string winner;
  loop.spawn(felix::when_any(label(go, "a", log), label(go, "b", log), label(go, "c", log)),
             [&](felix::result<felix::when_any_result<std::string>> r) {
               winner = r->value;
               CHECK(winner[0] == static_cast<char>('a' + r->index));
             });
  loop.poll();
  go.set();
  loop.poll();
  CHECK(log.size() == 3);  // all were released by the event, which a later stop does not undo
  CHECK(winner == log.substr(0, 1));
}

TEST_CASE("when_any: every seed agrees with the first entry of the log", "[async][when_any]") {
  bool saw[3] = {};
  for (std::uint64_t seed = 0; seed < 32; ++seed) {
    felix::simulated_loop loop{seed};
    const auto first = loop.run(felix::when_any(after(1ms, "a"), after(1ms, "b"), after(1ms, "c")));
    saw[first.index] = true;
  }
  CHECK(saw[0]);
  CHECK(saw[1]);
  CHECK(saw[2]);
}

TEST_CASE("when_any: nested, a stop reaches the innermost and the innermost decides", "[async][when_any]") {
  felix::simulated_loop loop;
  std::string log;
  const auto inner = [](std::chrono::milliseconds delay, std::string name, std::string& to) -> felix::task<int> {
    co_await felix::when_any(noted(felix::sleep_for(delay), name + "1", to),
                             noted(felix::sleep_for(1h), name + "2", to));
    co_return static_cast<int>(name.size());
  };
  const auto first = loop.run(felix::when_any(inner(20ms, "a", log), inner(10ms, "bb", log)));
  CHECK(first.index == 1);
  CHECK(first.value == 2);
  CHECK(log.substr(0, 8) == "bb1(bb2)");
  CHECK(log.find("(a1)") != std::string::npos);
  CHECK(log.find("(a2)") != std::string::npos);
}

TEST_CASE("when_any: branches woken by two other threads have one winner", "[async][when_any]") {
  std::size_t wins[2] = {};
  for (int round = 0; round < 200; ++round) {
    felix::event a, b;
    std::thread sets_a{[&] { a.set(); }};
    std::thread sets_b{[&] { b.set(); }};
    const auto first = felix::sync_wait(felix::when_any(wait_then(a, 10), wait_then(b, 11)));
    sets_a.join();
    sets_b.join();
    CHECK(first.value == 10 + static_cast<int>(first.index));
    ++wins[first.index];
  }
  CHECK(wins[0] + wins[1] == 200);
}

TEST_CASE("when_any: branches that end on two other threads have one winner, and the awaiter stays at home",
          "[async][when_any]") {
  felix::test::other_thread left, right;
  const auto on = [](felix::scheduler& where, int n) -> felix::task<int> {
    co_await where.schedule();
    co_return n;
  };
  const auto race = [](auto move_to, felix::scheduler& a, felix::scheduler& b) -> felix::task<bool> {
    const auto home = std::this_thread::get_id();
    bool right_value = true;
    for (int round = 0; round < 200; ++round) {
      const auto first = co_await felix::when_any(move_to(a, 0), move_to(b, 1));
      right_value = right_value && first.value == static_cast<int>(first.index) && std::this_thread::get_id() == home;
    }
    co_return right_value;
  };
  CHECK(felix::sync_wait(race(on, left.loop(), right.loop())));
}

TEST_CASE("when_any: a stop from outside by another thread races with the end of a branch", "[async][when_any]") {
  for (int round = 0; round < 200; ++round) {
    felix::event a, b;
    felix::stop_source stop;
    int won = 0, cancelled = 0;
    std::thread setter{[&] { (round % 2 == 0 ? a : b).set(); }};
    std::thread stopper{[&] { stop.request_stop(); }};
    try {
      static_cast<void>(felix::sync_wait(felix::when_any(wait_for(a), wait_for(b)), stop.get_token()));
      ++won;
    } catch (const felix::cancelled&) {
      ++cancelled;
    }
    setter.join();
    stopper.join();
    CHECK(won + cancelled == 1);
  }
}

static foreign race_in_place(felix::event& go, felix::event& never, std::string& log) {
  const auto both = [](felix::event& a, felix::event& b, std::string& to) -> felix::task<void> {
    co_await felix::when_all(noted(wait_for(a), "a", to), noted(wait_for(b), "b", to));
  };
  // The frame in which the inner scope lives is gone as soon as that has ended.
  const auto first = co_await felix::when_any(wait_for(go), noted(both(never, never, log), "c", log));
  log += std::to_string(first.index);
}

TEST_CASE("when_any: a coroutine type without a loop goes on in place, and a stop ends what is nested",
          "[async][when_any]") {
  felix::event go, never;
  std::string log;
  race_in_place(go, never, log);
  CHECK(log.empty());
  go.set();  // inside of it: the stop, both cancelled waits, the inner when_all's end, and the outer's
  CHECK(log == "(b)(a)(c)0");
}
