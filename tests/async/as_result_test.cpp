// SPDX-License-Identifier: MIT
#include <felix/async/as_result.hpp>

#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/when_all.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;

namespace {

felix::task<std::unique_ptr<int>> value() { co_return std::make_unique<int>(3); }
felix::task<int> fails() {
  throw std::runtime_error{"no"};
  co_return 0;
}
felix::task<void> nothing() { co_return; }

}  // namespace

TEST_CASE("as_result: a value or the exception", "[async][as_result]") {
  auto good = felix::sync_wait(felix::as_result(value()));
  REQUIRE(good);
  CHECK(**good == 3);
  const auto bad = felix::sync_wait(felix::as_result(fails()));
  CHECK_FALSE(bad);
  CHECK(bad.message() == "no");
  CHECK_THROWS_AS(bad.value(), std::runtime_error);
  CHECK(felix::sync_wait(felix::as_result(nothing())).has_value());
}

TEST_CASE("as_result: a stop is a result too", "[async][as_result]") {
  felix::simulated_loop loop;
  felix::stop_source stop;
  stop.request_stop();
  const auto stopped = loop.run(felix::as_result(felix::sleep_for(1h)), stop.get_token());
  CHECK_FALSE(stopped);
  CHECK(loop.now() == felix::simulated_loop::start);
}

namespace {

static_assert(!std::is_aggregate_v<felix::result<int>> && !std::is_aggregate_v<felix::result<void>>);
static_assert(std::is_same_v<felix::awaited_t<decltype(felix::as_result(fails()))>, felix::result<int>>);

felix::task<int&> refer_to(int& n) { co_return n; }
felix::task<void> throws_a_number() {
  throw 7;
  co_return;
}
felix::task<felix::test::throws_when_moved> fragile(int moves) { co_return felix::test::throws_when_moved{moves}; }

}  // namespace

TEST_CASE("as_result: of a reference, of any exception, of another awaitable, of itself", "[async][as_result]") {
  int target = 1;
  CHECK(&*felix::sync_wait(felix::as_result(refer_to(target))) == &target);
  const auto number = felix::sync_wait(felix::as_result(throws_a_number()));
  CHECK_FALSE(number);
  CHECK_THROWS_AS(number.value(), int);
  felix::event set;
  set.set();
  CHECK(felix::sync_wait(felix::as_result(set)).has_value());
  CHECK(felix::sync_wait(felix::as_result(felix::as_result(fails())))->message() == "no");
  auto [a, b] = felix::sync_wait(felix::when_all(felix::as_result(fails()), felix::as_result(value())));
  CHECK(a.message() == "no");
  CHECK(**b == 3);
}

TEST_CASE("as_result: a value that cannot be moved out is an exception", "[async][as_result]") {
  bool thrown = false;
  for (int moves = 0; moves < 16; ++moves) {
    try {
      if (felix::sync_wait(felix::as_result(fragile(moves))).has_value()) {
        CHECK(thrown);  // with few moves it was
        return;
      }
      thrown = true;
    } catch (const std::runtime_error&) {
      thrown = true;
    }
  }
  FAIL("a value is moved more than sixteen times");
}

TEST_CASE("as_result: a stop from another thread is a result too", "[async][as_result]") {
  for (int round = 0; round < 50; ++round) {
    felix::event never;
    felix::stop_source stop;
    std::thread stopper{[&] { stop.request_stop(); }};
    const auto ended = felix::sync_wait(felix::as_result(never), stop.get_token());
    stopper.join();
    CHECK(ended.message() == "cancelled while waiting for an event");
  }
}
