// SPDX-License-Identifier: MIT
#include <felix/async/simulated_loop.hpp>

#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <set>
#include <string>

using namespace std::chrono_literals;

namespace {

felix::task<void> write_letters(char first, std::string& log) {
  for (int i = 0; i < 3; ++i) {
    log += static_cast<char>(first + i);
    co_await felix::sleep_for(0ms);
  }
}
std::string interleaving(felix::simulated_loop& loop) {
  std::string log;
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(write_letters('a', log));
    n.spawn(write_letters('A', log));
    n.spawn(write_letters('0', log));
    co_return;
  };
  loop.run(felix::with_nursery(body));
  return log;
}
felix::task<void> wait_for(felix::event& event) { co_await event; }

}  // namespace

TEST_CASE("simulated_loop: an hour passes at once", "[async][simulated_loop]") {
  felix::simulated_loop loop;
  loop.run(felix::sleep_for(1h));
  CHECK(loop.now() == felix::simulated_loop::start + 1h);
}

TEST_CASE("simulated_loop: a seed repeats its order, and seeds explore others", "[async][simulated_loop]") {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    felix::simulated_loop once{seed}, again{seed};
    const auto log = interleaving(once);
    CHECK(interleaving(again) == log);
    CHECK(log.size() == 9);
    seen.insert(log);
  }
  CHECK(seen.size() > 5);
}

TEST_CASE("simulated_loop: without a seed it is first in, first out", "[async][simulated_loop]") {
  felix::simulated_loop loop;
  CHECK(interleaving(loop) == "aA0bB1cC2");
}

TEST_CASE("simulated_loop: a task that nothing can wake is an error, not a hang", "[async][simulated_loop]") {
  felix::simulated_loop loop;
  felix::event never;
  CHECK_THROWS_AS(loop.run(wait_for(never)), felix::deadlock_error);
}
