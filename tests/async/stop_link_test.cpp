// SPDX-License-Identifier: MIT
#include <felix/async/stop_link.hpp>

#include <felix/async/async_generator.hpp>
#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/stop_when.hpp>
#include <felix/async/task.hpp>
#include <felix/async/when_all.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"

#include <chrono>
#include <utility>

using namespace std::chrono_literals;
using felix::stop_link;

namespace {

felix::async_generator<int> count_slowly(int to) {
  for (int i = 1; i <= to; ++i) {
    co_await felix::sleep_for(1s);
    co_yield std::move(i);
  }
}
felix::async_generator<int> relay(felix::async_generator<int> inner, felix::stop_token by) {
  stop_link link{by};
  for (;;) {
    auto value = co_await link.stoppable(inner.next());
    if (!value) break;
    co_yield std::move(*value);
  }
}
felix::task<int> sum(felix::async_generator<int>& from, int most = 1'000) {
  int all = 0;
  for (int i = 0; i < most; ++i) {
    const auto value = co_await from.next();
    if (!value) break;
    all += *value;
  }
  co_return all;
}
felix::task<void> stop_after(std::chrono::nanoseconds delay, felix::stop_source& source) {
  co_await felix::sleep_for(delay);
  source.request_stop();
}
felix::task<bool> is_cancelled(felix::task<int> work) {
  bool stopped = false;
  try {
    static_cast<void>(co_await std::move(work));
  } catch (const felix::cancelled&) {
    stopped = true;
  }
  co_return stopped;
}
// Whether the stop of `source` in 2.5 s ended the work.
felix::task<bool> ends(felix::task<int> work, felix::stop_source& source) {
  auto [stopped, nothing] = co_await felix::when_all(is_cancelled(std::move(work)), stop_after(2'500ms, source));
  static_cast<void>(nothing);
  co_return stopped;
}

}  // namespace

TEST_CASE("stop_link: gives what is awaited", "[async][stop_link]") {
  felix::simulated_loop loop{1};
  felix::stop_source stop;
  auto values = relay(count_slowly(4), stop.get_token());
  CHECK(loop.run(sum(values)) == 10);
  auto never_stopped = relay(count_slowly(4), {});
  CHECK(loop.run(sum(never_stopped)) == 10);
}

TEST_CASE("stop_link: its token ends a wait, and those that come later", "[async][stop_link]") {
  felix::simulated_loop loop{1};
  felix::stop_source stop;
  auto values = relay(count_slowly(1'000), stop.get_token());
  CHECK(loop.run(ends(sum(values), stop)));
  CHECK(loop.now() == felix::simulated_loop::start + 2'500ms);

  felix::stop_source idle;
  auto others = relay(count_slowly(1'000), idle.get_token());
  CHECK(loop.run(sum(others, 2)) == 3);
  idle.request_stop();  // while nobody waits
  const auto before = loop.now();
  CHECK(loop.run(is_cancelled(sum(others))));
  CHECK(loop.now() == before);
}

TEST_CASE("stop_link: a stop of whoever waits ends the wait", "[async][stop_link]") {
  felix::simulated_loop loop{1};
  felix::stop_source stop, outer;
  auto values = relay(count_slowly(1'000), stop.get_token());
  CHECK(loop.run(ends(felix::as_task(felix::stop_when(outer.get_token(), sum(values))), outer)));
  CHECK(loop.now() == felix::simulated_loop::start + 2'500ms);
}

TEST_CASE("stop_link: a stop that one awaiter had does not reach the next", "[async][stop_link]") {
  felix::simulated_loop loop{1};
  felix::stop_source stop;
  const auto at_once = []() -> felix::async_generator<int> {
    for (int i = 0; i < 3; ++i) co_yield 1;
    co_await felix::sleep_for(1s);
    co_yield 7;
    co_await felix::sleep_for(1h);
  };
  auto values = relay(at_once(), stop.get_token());
  felix::stop_source outer;
  outer.request_stop();
  CHECK(loop.run(sum(values, 3), outer.get_token()) == 3);  // nothing of it waits
  CHECK(loop.run(sum(values, 1)) == 7);
  CHECK(loop.run(ends(sum(values, 1), stop)));
}

TEST_CASE("stop_link: a coroutine without a scheduler may end it inside of the stop", "[async][stop_link]") {
  felix::simulated_loop loop{1};
  felix::event never;
  felix::stop_source stop;
  bool ended = false;
  const auto waiting = [](felix::event& event) -> felix::async_generator<int> {
    co_await event;
    co_yield 1;
  };
  const auto read = [](felix::async_generator<int> from, bool& told) -> felix::test::foreign {
    try {
      static_cast<void>(co_await from.next());
    } catch (const felix::cancelled&) {
      told = true;
    }
  };
  read(relay(waiting(never), stop.get_token()), ended);
  CHECK_FALSE(ended);
  stop.request_stop();
  CHECK(ended);
}
