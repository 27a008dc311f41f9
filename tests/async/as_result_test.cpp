// SPDX-License-Identifier: MIT
#include <felix/async/as_result.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>

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
