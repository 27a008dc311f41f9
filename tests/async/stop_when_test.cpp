// SPDX-License-Identifier: MIT
#include <felix/async/stop_when.hpp>

#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/when_all.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>

using namespace std::chrono_literals;

namespace {

felix::task<int> seven_after(std::chrono::nanoseconds delay) {
  co_await felix::sleep_for(delay);
  co_return 7;
}
felix::task<void> stop_after(std::chrono::nanoseconds delay, felix::stop_source& source) {
  co_await felix::sleep_for(delay);
  source.request_stop();
}

}  // namespace

TEST_CASE("stop_when: gives what the task gives", "[async][stop_when]") {
  felix::simulated_loop loop{1};
  felix::stop_source stop;
  CHECK(loop.run(felix::stop_when(stop.get_token(), seven_after(1s))) == 7);
  CHECK(loop.run(felix::stop_when(stop.get_token(), seven_after(0s))) == 7);
  CHECK(loop.run(felix::stop_when(felix::stop_token{}, seven_after(1s))) == 7);
  const auto throws = []() -> felix::task<int> {
    throw std::runtime_error{"no"};
    co_return 0;
  };
  CHECK_THROWS_AS(loop.run(felix::stop_when(stop.get_token(), throws())), std::runtime_error);
  const auto make = []() -> felix::task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
  CHECK(*loop.run(felix::stop_when(stop.get_token(), make())) == 7);
}

TEST_CASE("stop_when: its token stops the task, and not whoever awaits it", "[async][stop_when]") {
  felix::simulated_loop loop{1};
  felix::stop_source stop;
  const auto both = [](felix::stop_source& source) -> felix::task<bool> {
    bool stopped = false;
    const auto waits = [](felix::stop_source& by, bool& was) -> felix::task<void> {
      try {
        static_cast<void>(co_await felix::stop_when(by.get_token(), seven_after(1h)));
      } catch (const felix::cancelled&) {
        was = true;
      }
      co_await felix::sleep_for(1s);  // goes on: it was not stopped itself
    };
    co_await felix::when_all(waits(source, stopped), stop_after(5s, source));
    co_return stopped;
  };
  CHECK(loop.run(both(stop)));
  CHECK(loop.now() == felix::simulated_loop::start + 6s);
}

TEST_CASE("stop_when: a stop that came before, and a stop from outside, reach the task", "[async][stop_when]") {
  felix::simulated_loop loop{1};
  felix::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(loop.run(felix::stop_when(stop.get_token(), seven_after(1h))), felix::cancelled);
  felix::stop_source own, outer;
  outer.request_stop();
  CHECK_THROWS_AS(loop.run(felix::stop_when(own.get_token(), seven_after(1h)), outer.get_token()), felix::cancelled);
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("stop_when: takes the standard's token too", "[async][stop_when]") {
  felix::simulated_loop loop{1};
  std::stop_source stop;
  CHECK(loop.run(felix::stop_when(stop.get_token(), seven_after(1s))) == 7);
  stop.request_stop();
  CHECK_THROWS_AS(loop.run(felix::stop_when(stop.get_token(), seven_after(1s))), felix::cancelled);
}
