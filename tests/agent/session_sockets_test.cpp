// SPDX-License-Identifier: MIT
// agent: over real sockets too, whatever the server does, a session's cap holds, as the server itself counts.
#include <felix/agent/session.hpp>

#include <felix/async/stop_token.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/client.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/result.hpp>
#include "model_server/model_server.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::token_count;
using felix::test::drive;

namespace {

enum class budget_kind : unsigned char { strict, normal };
enum class team_kind : unsigned char { simple, medium };

/// One session. Small caps: some of the work is dropped for want of tokens, the final text never.
struct plan {
  budget_kind budget = budget_kind::strict;
  team_kind team = team_kind::simple;
  std::uint64_t seed = 0;
  bool stops = false;  // it is stopped while one request is in flight and another has been answered

  [[nodiscard]] felix::team members() const {
    return team == team_kind::simple ? felix::teams::simple() : felix::teams::medium();
  }
  [[nodiscard]] felix::budget_options options() const {
    const bool strict = budget == budget_kind::strict;
    const token_count factor = team == team_kind::simple ? 1 : 2;
    return {.session_cap_tokens = (strict ? 1'400 : 2'200) * factor + 100 * static_cast<token_count>(seed),
            .min_stage_tokens = strict ? 20 : 50};
  }
};

struct outcome {
  felix::session_result result;
  felix::budget_status budget;
  model_server::stats server;  // its own count: the judge
};

outcome run(const plan& what, felix::ledger& budget, const model_server::server& server,
            felix::http_timeouts timeouts) {
  felix::event_loop loop;
  felix::client llm{loop,
                    {.base_url = server.url(),
                     .retry = {.base = 0ms, .cap = 0ms, .model_loading = 0ms},  // no waits
                     .timeouts = timeouts}};
  felix::session session{llm, what.members(), budget, {.seed = what.seed}};
  felix::stop_source stop;
  bool ended = false;
  loop.spawn(
      session.run("Write about the bees of a city"), [&](const felix::result<felix::session_result>&) { ended = true; },
      stop.get_token());
  const auto one_is_answered_and_one_is_not = [&] {
    const model_server::stats now = server.snapshot();
    return now.requests > 0 && now.in_flight > 0;
  };
  if (what.stops) CHECK(drive(loop, one_is_answered_and_one_is_not));
  if (what.stops) stop.request_stop();
  CHECK(drive(loop, [&] { return ended; }));
  loop.shut_down();
  CHECK(llm.usage_stats().in_flight == 0);
  CHECK(llm.usage_stats().slots.in_use == 0);
  // What was on its way to the server when its connection was closed is counted when the server has noticed.
  CHECK(loop.run(llm.health()) == felix::server_health::ready);
  CHECK(drive(loop, [&] { return loop.reactor().running() == 0 && server.snapshot().in_flight == 0; }));
  return {session.so_far(), budget.system_status(), server.snapshot()};
}

outcome run(const plan& what, model_server::options chosen, felix::http_timeouts timeouts = {}) {
  const model_server::server server{std::move(chosen)};
  if (what.budget == budget_kind::strict) {
    felix::strict_budget budget{what.options()};
    return run(what, budget, server, timeouts);
  }
  felix::normal_budget budget{what.options()};
  return run(what, budget, server, timeouts);
}

/// Neither latency nor pace cost time.
model_server::options quick(const std::vector<std::string>& faults = {}) {
  model_server::options chosen{.tokens_per_second = 1e6, .latency = 0ms};
  for (const std::string& each : faults) chosen.faults.push_back(model_server::parse_fault(each));
  return chosen;
}

template <class Function>
void for_each_plan(const Function& function) {
  for (const budget_kind budget : {budget_kind::strict, budget_kind::normal}) {
    for (const team_kind team : {team_kind::simple, team_kind::medium}) {
      CAPTURE(static_cast<int>(budget), static_cast<int>(team));
      function(plan{.budget = budget, .team = team});
    }
  }
}

void check_cap(const outcome& got) {
  CHECK(got.server.total_tokens <= got.budget.cap);
  CHECK(got.server.total_tokens <= got.budget.settled);
  CHECK(got.budget.reserved == 0);
}

}  // namespace

TEST_CASE("session: over sockets an honest server and the budget count the same", "[agent][session][session_sockets]") {
  for_each_plan([](plan what) {
    for (what.seed = 0; what.seed < 3; ++what.seed) {
      CAPTURE(what.seed);
      const outcome got = run(what, quick());
      check_cap(got);
      CHECK(got.server.total_tokens == got.budget.settled);
      CHECK(got.server.requests == got.result.requests);
      CHECK(got.server.cancelled == 0);
      CHECK(got.budget.answer_overrun == 0);
      CHECK(got.budget.prompt_overrun == 0);
      CHECK(got.result.dropped > 0);  // the cap is felt
      CHECK(got.result.complete);
      CHECK_FALSE(got.result.final_text.empty());
    }
  });
}

TEST_CASE("session: over sockets no fault of a server exceeds its cap", "[agent][session][session_sockets]") {
  const std::vector<std::vector<std::string>> rows{
      {"refuse:every=3"},
      {"reset:every=3"},
      {"reset:after=5:every=3"},
      {"truncate:every=3"},
      {"truncate:after=7:orderly:every=3"},
      {"error-in-stream:every=3"},
      {"no-done"},
      {"no-usage"},
      {"garbage:every=4"},
      {"rate-limit:ms=0:every=2"},
      {"loading:every=4"},
      {"loading:first=2", "no-usage:rate=0.3", "reset:rate=0.1", "truncate:rate=0.1", "reset:after=9:rate=0.1"}};
  for (const auto& faults : rows) {
    CAPTURE(faults);
    for_each_plan([&](const plan& what) {
      const outcome got = run(what, quick(faults));
      check_cap(got);
      CHECK(got.budget.answer_overrun == 0);
      CHECK(got.budget.prompt_overrun == 0);
      CHECK(got.server.faults > 0);
      CHECK_FALSE(got.result.final_text.empty());
    });
  }
}

TEST_CASE("session: over sockets a server that answers nothing is paid nothing", "[agent][session][session_sockets]") {
  for_each_plan([](const plan& what) {
    const outcome got = run(what, quick({"rate-limit:ms=0:every=2", "loading"}));
    check_cap(got);
    CHECK(got.server.faults > 0);
    CHECK(got.budget.settled == 0);
    CHECK(got.result.final_text.empty());
  });
}

TEST_CASE("session: over sockets what is lost and asked again is paid twice", "[agent][session][session_sockets]") {
  for_each_plan([](plan what) {
    what.seed = 10;  // a cap that can pay twice
    const outcome got = run(what, quick({"reset:after=0:first=1"}));
    check_cap(got);
    CHECK(got.server.faults == 1);
    CHECK(got.result.failed == 0);
    CHECK(got.result.complete);
  });
}

TEST_CASE("session: over sockets what stalls is left, and paid", "[agent][session][session_sockets]") {
  for (const char* const fault : {"stall:first=1", "stall:after=3:first=3:every=3"}) {
    CAPTURE(fault);
    for_each_plan([&](const plan& what) {
      const outcome got = run(what, quick({fault}), {.between_tokens = 150ms, .first_token = 150ms});
      check_cap(got);
      CHECK(got.server.cancelled > 0);
      CHECK_FALSE(got.result.final_text.empty());
    });
  }
}

TEST_CASE("session: over sockets a server that ignores max_tokens is cut", "[agent][session][session_sockets]") {
  for_each_plan([](const plan& what) {
    model_server::options chosen = quick();
    chosen.tokens_per_second = 2'000;  // else it has made all of an answer before it notices that nobody reads
    chosen.respect_max_tokens = false;
    const outcome got = run(what, chosen);
    check_cap(got);
    CHECK(got.server.cancelled > 0);
    CHECK_FALSE(got.result.final_text.empty());
  });
}

TEST_CASE("session: over sockets what is in flight when it is stopped is paid", "[agent][session][session_sockets]") {
  for_each_plan([](plan what) {
    what.stops = true;
    const outcome got = run(what, quick({"stall:after=3:every=2"}));
    check_cap(got);
    CHECK(got.server.cancelled > 0);
    CHECK_FALSE(got.result.complete);
  });
}
