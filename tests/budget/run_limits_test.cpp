// SPDX-License-Identifier: MIT
// budget: the lines of each limit, which is named, the one turn between them, and runs inside runs.
#include <felix/budget/run_limits.hpp>

#include <felix/random.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>

using namespace std::chrono_literals;
using felix::limit_line;
using felix::next_turn;
using felix::run_end;
using felix::run_limit;
using felix::run_limits;
using felix::run_meter;
using felix::run_usage;

static_assert(std::is_copy_assignable_v<run_meter>, "a value");
static_assert(felix::to_string(run_limit::tokens) == "tokens" && felix::to_string(run_limit::cost) == "cost" &&
              felix::to_string(run_limit::time) == "time" && felix::to_string(run_limit::tool_calls) == "tool_calls");

namespace {

// One limit of 10 and so much of it: in tokens, cost, nanoseconds or calls.
run_limits limited(run_limit which, std::int64_t most) {
  switch (which) {
    case run_limit::tokens: return {.tokens = most};
    case run_limit::cost: return {.nano_cost = most};
    case run_limit::time: return {.time = std::chrono::nanoseconds{most}};
    case run_limit::tool_calls: return {.tool_calls = most};
  }
  return {};
}
run_usage used(run_limit which, std::int64_t amount) {
  switch (which) {
    case run_limit::tokens: return {.tokens = amount};
    case run_limit::cost: return {.nano_cost = amount};
    case run_limit::time: return {.time = std::chrono::nanoseconds{amount}};
    case run_limit::tool_calls: return {.tool_calls = amount};
  }
  return {};
}
std::int64_t left_in(run_limit which, const run_limits& left) {
  switch (which) {
    case run_limit::tokens: return left.tokens.value();
    case run_limit::cost: return left.nano_cost.value();
    case run_limit::time: return left.time.value().count();
    case run_limit::tool_calls: return left.tool_calls.value();
  }
  return -1;
}

std::string refusal(const run_limits& limits) {
  try {
    const run_meter meter{limits};
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    return refused.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("run_limits: at four fifths of any limit one turn to hand back, then the end", "[budget][run_limits]") {
  const auto which = GENERATE(run_limit::tokens, run_limit::cost, run_limit::time, run_limit::tool_calls);
  CAPTURE(felix::to_string(which));
  run_meter meter{limited(which, 10)};
  CHECK(meter.next() == next_turn::go_on);
  CHECK(left_in(which, meter.left()) == 10);
  CHECK(meter.add(used(which, 7)) == next_turn::go_on);
  CHECK(meter.reason() == std::nullopt);
  CHECK(left_in(which, meter.left()) == 3);
  CHECK(left_in(which, meter.left_for_inner()) == 1);

  CHECK(meter.add(used(which, which == run_limit::time ? 8 : 1)) == next_turn::hand_back);
  CHECK(meter.next() == next_turn::hand_back);
  CHECK(meter.reason() == run_end{which, limit_line::soft});
  CHECK(left_in(which, meter.left()) == (which == run_limit::tool_calls ? 0 : 2));  // a turn without tools
  CHECK(left_in(which, meter.left_for_inner()) == 0);

  CHECK(meter.add({}) == next_turn::stop);  // however little it used
  CHECK(meter.reason() == run_end{which, limit_line::soft});
  CHECK(meter.add({}) == next_turn::stop);
}

TEST_CASE("run_limits: a turn over the whole limit ends the run at once, but for tool calls", "[budget][run_limits]") {
  const auto which = GENERATE(run_limit::tokens, run_limit::cost, run_limit::time, run_limit::tool_calls);
  const std::int64_t amount = GENERATE(10, 25);
  CAPTURE(felix::to_string(which), amount);
  run_meter meter{limited(which, 10)};
  // A turn without tools takes none of the tool calls.
  CHECK(meter.add(used(which, amount)) == (which == run_limit::tool_calls ? next_turn::hand_back : next_turn::stop));
  CHECK(meter.reason() == run_end{which, limit_line::hard});
  CHECK(left_in(which, meter.left()) == 0);
  CHECK(meter.add({}) == next_turn::stop);
  CHECK(meter.reason() == run_end{which, limit_line::hard});
}

TEST_CASE("run_limits: the turn that hands back is bounded by what is left", "[budget][run_limits]") {
  const auto which = GENERATE(run_limit::tokens, run_limit::cost, run_limit::time);
  CAPTURE(felix::to_string(which));
  run_limits limits = limited(which, 10);
  limits.tool_calls = 100;
  run_meter meter{limits};
  CHECK(meter.left().tool_calls == 100);
  CHECK(meter.add(used(which, 9)) == next_turn::hand_back);
  CHECK(left_in(which, meter.left()) == 1);
  CHECK(meter.left().tool_calls == 0);
  CHECK(meter.left_for_inner().tool_calls == 0);

  run_meter kept = meter;
  CHECK(kept.add(used(which, which == run_limit::time ? 10 : 1)) == next_turn::stop);
  CHECK(kept.reason() == run_end{which, limit_line::soft});  // it used what was left, no more
  CHECK(kept.add(used(which, 20)) == next_turn::stop);       // what comes late is counted, and no reason
  CHECK(kept.reason() == run_end{which, limit_line::soft});
  run_meter broken = meter;
  CHECK(broken.add(used(which, which == run_limit::time ? 11 : 2)) == next_turn::stop);
  CHECK(broken.reason() == run_end{which, limit_line::hard});
  CHECK(meter.next() == next_turn::hand_back);  // a copy counts by itself
}

TEST_CASE("run_limits: a hand-back that broke another limit names that one", "[budget][run_limits]") {
  run_meter meter{{.tokens = 100, .time = 10s, .tool_calls = 5}};
  CHECK(meter.add({.tokens = 80, .time = 5s, .tool_calls = 1}) == next_turn::hand_back);
  CHECK(meter.add({.tokens = 20, .time = 11s, .tool_calls = 50}) == next_turn::stop);
  CHECK(meter.reason() == run_end{run_limit::time, limit_line::hard});

  run_meter tools{{.tokens = 100, .tool_calls = 5}};
  CHECK(tools.add({.tokens = 80}) == next_turn::hand_back);
  CHECK(tools.add({.tool_calls = 50}) == next_turn::stop);  // it had no tools; what it called was not carried out
  CHECK(tools.reason() == run_end{run_limit::tokens, limit_line::soft});
}

TEST_CASE("run_limits: of several that are reached at once one is named, always the same", "[budget][run_limits]") {
  const run_limits limits{.tokens = 10, .nano_cost = 10, .time = 10ns, .tool_calls = 10};
  const auto reason = [&](const run_usage& turn) {
    run_meter meter{limits};
    meter.add(turn);
    return meter.reason();
  };
  // Soft ones: in the order of the names.
  CHECK(reason({.tokens = 8, .nano_cost = 9, .time = 9ns, .tool_calls = 9}) ==
        run_end{run_limit::tokens, limit_line::soft});
  CHECK(reason({.nano_cost = 8, .time = 9ns, .tool_calls = 9}) == run_end{run_limit::cost, limit_line::soft});
  CHECK(reason({.time = 8ns, .tool_calls = 9}) == run_end{run_limit::time, limit_line::soft});
  // Hard before soft.
  CHECK(reason({.tokens = 9, .time = 10ns, .tool_calls = 10}) == run_end{run_limit::time, limit_line::hard});
  CHECK(reason({.tokens = 10, .nano_cost = 10, .time = 10ns}) == run_end{run_limit::tokens, limit_line::hard});
  CHECK(reason({.tokens = 9, .tool_calls = 10}) == run_end{run_limit::tool_calls, limit_line::hard});
  // A hand-back that breaks two.
  run_meter meter{limits};
  CHECK(meter.add({.tool_calls = 8}) == next_turn::hand_back);
  CHECK(meter.add({.nano_cost = 11, .time = 11ns}) == next_turn::stop);
  CHECK(meter.reason() == run_end{run_limit::cost, limit_line::hard});
}

TEST_CASE("run_limits: a run with nothing to use does not begin, one without tool calls has one turn",
          "[budget][run_limits]") {
  const auto which = GENERATE(run_limit::tokens, run_limit::cost, run_limit::time, run_limit::tool_calls);
  CAPTURE(felix::to_string(which));
  const run_meter meter{limited(which, 0)};
  CHECK(meter.next() == (which == run_limit::tool_calls ? next_turn::hand_back : next_turn::stop));
  CHECK(meter.reason() == run_end{which, limit_line::hard});
  CHECK(left_in(which, meter.left()) == 0);
}

TEST_CASE("run_limits: without a limit it goes on", "[budget][run_limits]") {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  run_meter meter{{.hand_back_at = 0}};
  CHECK(meter.add({.tokens = most, .nano_cost = most, .time = std::chrono::nanoseconds::max(), .tool_calls = most}) ==
        next_turn::go_on);
  CHECK(meter.reason() == std::nullopt);
  CHECK_FALSE(meter.left().tokens);
  CHECK_FALSE(meter.left().nano_cost);
  CHECK_FALSE(meter.left().time);
  CHECK_FALSE(meter.left().tool_calls);
}

TEST_CASE("run_limits: a share of 0 hands back first, a share of 1 not at all", "[budget][run_limits]") {
  run_meter first{{.tokens = 100, .time = 1s, .hand_back_at = 0}};
  CHECK(first.next() == next_turn::hand_back);
  CHECK(first.reason() == run_end{run_limit::tokens, limit_line::soft});
  CHECK(first.left().tokens == 100);
  CHECK(first.left_for_inner().tokens == 0);
  CHECK(first.left().hand_back_at == 0);
  CHECK(first.add({.tokens = 50}) == next_turn::stop);

  run_meter last{{.tokens = 100, .hand_back_at = 1}};
  CHECK(last.add({.tokens = 99}) == next_turn::go_on);
  CHECK(last.left_for_inner().tokens == 1);
  CHECK(last.add({.tokens = 1}) == next_turn::stop);
  CHECK(last.reason() == run_end{run_limit::tokens, limit_line::hard});
  run_meter tools{{.tool_calls = 3, .hand_back_at = 1}};
  CHECK(tools.add({.tool_calls = 2}) == next_turn::go_on);
  CHECK(tools.add({.tool_calls = 1}) == next_turn::hand_back);
}

TEST_CASE("run_limits: the soft line is the least whole number of at least the share", "[budget][run_limits]") {
  struct row {
    std::int64_t limit;
    double share;
    std::int64_t line;
  };
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  const auto [limit, share, line] = GENERATE(values<row>({{1'000, 0.8, 800},
                                                          {10, 0.75, 8},
                                                          {3, 0.5, 2},
                                                          {100, 0.07, 7},  // in binary a hair more
                                                          {100, 0.29, 29},
                                                          {1, 0.8, 1},
                                                          {1, 0.01, 1},
                                                          {most, 1.0, most},
                                                          {most, 0.5, most / 2 + 1}}));
  CAPTURE(limit, share);
  run_meter meter{{.tokens = limit, .hand_back_at = share}};
  const auto soft = meter.left_for_inner().tokens.value();
  if (limit == most) {
    CHECK(std::abs(static_cast<double>(soft - line)) <= 1e-11 * static_cast<double>(line));
    if (share == 1.0) CHECK(soft == most);
    return;
  }
  CHECK(soft == line);
  if (line > 1) CHECK(meter.add({.tokens = line - 1}) == next_turn::go_on);
  CHECK(meter.add({.tokens = line > 1 ? 1 : line}) == (line == limit ? next_turn::stop : next_turn::hand_back));
}

TEST_CASE("run_limits: what it is told adds up, whatever it is told", "[budget][run_limits]") {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  run_meter meter{{.hand_back_at = 0.8}};
  meter.add({.tokens = 10, .nano_cost = 20, .time = 5s, .tool_calls = 1});
  meter.add({.tokens = 5, .nano_cost = 1, .time = 4s, .tool_calls = 2});
  CHECK(meter.used().tokens == 15);
  CHECK(meter.used().nano_cost == 21);
  CHECK(meter.used().time == 5s);
  CHECK(meter.used().tool_calls == 3);
  meter.add({.tokens = -100, .nano_cost = -100, .time = -1s, .tool_calls = -100});
  CHECK(meter.used().tokens == 15);
  CHECK(meter.used().nano_cost == 21);
  CHECK(meter.used().time == 5s);
  CHECK(meter.used().tool_calls == 3);
  meter.add({.tokens = most, .nano_cost = most, .tool_calls = most});
  meter.add({.tokens = most, .nano_cost = most, .tool_calls = most});
  CHECK(meter.used().tokens == most);
  CHECK(meter.used().nano_cost == most);
  CHECK(meter.used().tool_calls == most);

  run_meter over{{.tokens = 10}};
  CHECK(over.add({.tokens = 10}) == next_turn::stop);
  CHECK(over.add({.tokens = 7}) == next_turn::stop);  // an answer that came late
  CHECK(over.used().tokens == 17);
  CHECK(over.left().tokens == 0);
  CHECK(over.reason() == run_end{run_limit::tokens, limit_line::hard});
  CHECK(over.limits().tokens == 10);
}

TEST_CASE("run_limits: an inner run's limits only narrow", "[budget][run_limits]") {
  const run_limits outer{.tokens = 100, .nano_cost = 50, .hand_back_at = 0.8};
  const run_limits both = outer.narrowed_by({.tokens = 60, .nano_cost = 70, .time = 10s, .hand_back_at = 0.9});
  CHECK(both.tokens == 60);
  CHECK(both.nano_cost == 50);  // a wider one is clipped
  CHECK(both.time == 10s);
  CHECK_FALSE(both.tool_calls);
  CHECK(both.hand_back_at == 0.8);
  CHECK(outer.narrowed_by({.hand_back_at = 0.5}).hand_back_at == 0.5);
  CHECK(outer.narrowed_by({}).tokens == 100);
  const run_limits timed{.time = 2s, .tool_calls = 4};
  CHECK(timed.narrowed_by({.time = 3s, .tool_calls = 5}).time == 2s);
  CHECK(timed.narrowed_by({.time = 3s, .tool_calls = 5}).tool_calls == 4);
  CHECK(timed.narrowed_by({.time = 1s, .tool_calls = 0}).time == 1s);
  CHECK(timed.narrowed_by({.time = 1s, .tool_calls = 0}).tool_calls == 0);
}

TEST_CASE("run_limits: an inner run leaves its outer one a turn to hand back", "[budget][run_limits]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{50}));
  CAPTURE(seed);
  felix::seeded_random random{seed};
  const auto up_to = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random.next() % static_cast<std::uint64_t>(most + 1));
  };
  run_meter outer{{.tokens = 1'000, .nano_cost = 5'000, .tool_calls = 30}};
  while (outer.next() == next_turn::go_on) {
    // Wider than what is left, more often than not.
    const run_limits wanted{.tokens = 1 + up_to(2'000), .nano_cost = 1 + up_to(9'000), .tool_calls = up_to(60)};
    run_meter inner{outer.left_for_inner().narrowed_by(wanted)};
    while (inner.next() != next_turn::stop) {
      const run_limits left = inner.left();
      const bool has_tools = left.tool_calls.value() > 0;
      inner.add({.tokens = 1 + up_to(left.tokens.value() - 1),
                 .nano_cost = 1 + up_to(left.nano_cost.value() - 1),
                 .tool_calls = has_tools ? 1 + up_to(left.tool_calls.value() - 1) : 0});
    }
    CHECK(inner.reason());
    const run_usage cost = inner.used();
    CHECK(cost.tokens <= outer.left_for_inner().tokens.value());
    CHECK(cost.nano_cost <= outer.left_for_inner().nano_cost.value());
    CHECK(cost.tool_calls <= outer.left_for_inner().tool_calls.value());
    REQUIRE(cost.tokens + cost.tool_calls > 0);
    outer.add(cost);
  }
  CHECK(outer.next() == next_turn::hand_back);
  CHECK(outer.left().tokens >= 200);
  CHECK(outer.reason()->line == limit_line::soft);
}

TEST_CASE("run_limits: what is no limit is refused by its name", "[budget][run_limits]") {
  CHECK(refusal({.tokens = -1}) == "run_limits: tokens is -1; use 0 or more, or leave it out for no limit");
  CHECK(refusal({.nano_cost = -2}) == "run_limits: nano_cost is -2; use 0 or more, or leave it out for no limit");
  CHECK(refusal({.time = -3ns}) == "run_limits: time is -3; use 0 or more, or leave it out for no limit");
  CHECK(refusal({.tool_calls = -4}) == "run_limits: tool_calls is -4; use 0 or more, or leave it out for no limit");
  for (const double share : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    CAPTURE(share);
    CHECK_THAT(refusal({.hand_back_at = share}), Catch::Matchers::EndsWith("; use a share from 0 to 1, 0.8 is usual"));
  }
  CHECK(refusal({.tokens = 0, .nano_cost = 0, .time = 0ns, .tool_calls = 0, .hand_back_at = 0}) == "accepted");
  CHECK(refusal({.hand_back_at = 1}) == "accepted");
}
