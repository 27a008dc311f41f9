// SPDX-License-Identifier: MIT
#include <felix/async/semaphore.hpp>

#include <felix/async/simulated_loop.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <coroutine>
#include <string>
#include <vector>

static_assert(!std::is_aggregate_v<felix::semaphore::awaiter>, "g++ 12 would destroy it twice");

static felix::task<> enter(felix::semaphore& gate, std::string name, std::string& entered) {
  co_await gate.acquire();
  entered += name;
}

TEST_CASE("semaphore: permits go to waiters in their order, and nobody overtakes them", "[async][semaphore]") {
  felix::simulated_loop loop;
  felix::semaphore gate{1};
  std::string entered;
  const auto ignore = [](felix::result<void>) {};
  for (const char* name : {"a", "b", "c"}) loop.spawn(enter(gate, name, entered), ignore);
  CHECK(entered == "a");
  gate.release();
  CHECK_FALSE(gate.try_acquire());  // the permit is b's already
  loop.poll();
  CHECK(entered == "ab");
  gate.release();
  loop.poll();
  CHECK(entered == "abc");
  gate.release();
  CHECK(gate.available() == 1);
  CHECK(gate.try_acquire());
  CHECK(gate.available() == 0);
}

TEST_CASE("semaphore: a release between await_ready and await_suspend is not lost", "[async][semaphore]") {
  felix::semaphore gate{0};
  auto wait = gate.acquire();
  REQUIRE_FALSE(wait.await_ready());
  gate.release();
  CHECK_FALSE(wait.await_suspend(std::noop_coroutine()));
  CHECK_NOTHROW(wait.await_resume());
  CHECK(gate.available() == 0);
}

TEST_CASE("semaphore: stop and release in any order lose no permit", "[async][semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{64}));
  const auto order = felix::test::shuffled("wvxr", seed);  // w, v: two waiters; x: stops w's; r: releases one
  CAPTURE(seed, order);
  felix::simulated_loop loop{seed};
  felix::semaphore gate{0};
  felix::stop_source stop;
  std::string entered;
  int cancelled = 0;
  for (char step : order) {
    if (step == 'w')
      loop.spawn(enter(gate, "w", entered), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
    if (step == 'v') loop.spawn(enter(gate, "v", entered), [](felix::result<void>) {});
    if (step == 'x') stop.request_stop();
    if (step == 'r') gate.release();
  }
  loop.poll();
  const auto at = [&](char step) { return order.find(step); };
  // w gets the permit when it came first and was not stopped before the release; or when it was free as it came.
  const bool free_for_w = at('r') < at('w') && !(at('v') < at('w'));
  const bool first_in_line = at('w') < at('v') && at('w') < at('r') && at('r') < at('x');
  const bool w_enters = free_for_w || first_in_line;
  CHECK(entered == (w_enters ? "w" : "v"));
  CHECK(cancelled == (w_enters ? 0 : 1));
  CHECK(gate.available() == 0);
  gate.release();  // w_enters: for v, which still waits; else it stays free
  loop.poll();
  CHECK(gate.available() == (w_enters ? 0U : 1U));
}
