// SPDX-License-Identifier: MIT
#include <felix/llm/detail/limit_gate.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <optional>

using namespace std::chrono_literals;
using felix::detail::admission;
using felix::detail::limit_gate;

TEST_CASE("limit_gate: who is let through at once, and who has to wait", "[llm][limit_gate]") {
  felix::simulated_loop loop;
  limit_gate gate{{.own = {.limit = 1}}};
  const auto request = felix::chat_request{}.user("x");
  CHECK(gate.waits_for_slots_alone());
  CHECK_FALSE(gate.adapts());
  std::optional<admission> first, second, third;
  REQUIRE(gate.try_enter(first, request, &loop));
  CHECK_FALSE(gate.try_enter(second, request, &loop));
  const auto leave = [&]() -> felix::task<void> {
    co_await felix::sleep_for(2s);
    first.reset();
  };
  loop.run(felix::when_all(gate.enter(second, request, &loop), leave()));
  REQUIRE(second);
  CHECK(second->waited() == 2s);
  CHECK(gate.status().in_use == 1);
  second.reset();
  CHECK(gate.try_enter(third, request, &loop));
}

TEST_CASE("limit_gate: with a rate nobody goes past those that wait", "[llm][limit_gate]") {
  felix::simulated_loop loop;
  limit_gate gate{{.own = {.limit = 4}, .rate = felix::rate_limit_options{.requests_per_minute = 60}}};
  CHECK_FALSE(gate.waits_for_slots_alone());
  const auto request = felix::chat_request{}.user("x");
  std::optional<admission> first, second, third;
  CHECK_FALSE(gate.try_enter(first, request, &loop));  // enter() looks at the rate, too
  loop.run(felix::when_all(gate.enter(first, request, &loop), gate.enter(second, request, &loop),
                           gate.enter(third, request, &loop)));
  CHECK(first->waited() == 0s);
  CHECK(second->waited() == 1s);
  CHECK(third->waited() == 2s);
  CHECK(gate.status().in_use == 3);
}

TEST_CASE("limit_gate: who waits for a minute leaves a shared slot to others", "[llm][limit_gate]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{1};
  limit_gate slow{{.shared = &slots, .rate = felix::rate_limit_options{.requests_per_minute = 1}}};
  limit_gate other{{.shared = &slots}};
  const auto request = felix::chat_request{}.user("x");
  std::optional<admission> first, second, third, behind;
  loop.run(slow.enter(first, request, &loop));
  first.reset();
  const auto pass = [&](std::optional<admission>& into) -> felix::task<void> {
    co_await slow.enter(into, request, &loop);
    CHECK(slots.in_use() == 1);
    const auto waited = into->waited();
    into.reset();
    CHECK(waited == (&into == &second ? 60s : 120s));
  };
  const auto meanwhile = [&]() -> felix::task<void> {
    co_await felix::sleep_for(10s);
    CHECK(other.try_enter(third, request, &loop));
    third.reset();
  };
  loop.run(felix::when_all(pass(second), pass(behind), meanwhile()));
}

TEST_CASE("limit_gate: what the rate has is told as of the latest time that a request has seen", "[llm][limit_gate]") {
  felix::simulated_loop loop, behind;
  limit_gate gate{{.own = {.limit = 4}, .rate = felix::rate_limit_options{.tokens_per_minute = 600}}};
  const auto large = felix::chat_request{}.user("x").max_tokens(580);
  std::optional<admission> first, second;
  loop.run(gate.enter(first, large, &loop));  // what it needs is not there again for nearly a minute
  const auto give_up = [&](felix::simulated_loop& on) {
    CHECK_THROWS_AS(on.run(felix::timeout(1s, gate.enter(second, large, &on))), felix::timed_out);
  };
  const auto tokens = [&] {
    double level = 0;
    gate.with_usage([&](const felix::limit_usage& now) { level = now.rate.tokens.level; });
    return level;
  };
  const double left = tokens();
  loop.run(loop.sleep_for(10s));
  give_up(loop);
  CHECK(tokens() == left + 100);
  give_up(behind);  // by whose clock nothing has passed
  CHECK(tokens() == left + 100);
}
