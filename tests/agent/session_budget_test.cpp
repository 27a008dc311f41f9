// SPDX-License-Identifier: MIT
// agent: whatever the server does, a session's cap holds, as the server itself counts.
#include <felix/agent/session.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/timeout.hpp>
#include <felix/budget/budget_scope.hpp>
#include <felix/budget/price.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/retrying.hpp>
#include "support/catch.hpp"
#include "support/simulated_server.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

using namespace std::chrono_literals;
using felix::token_count;
using felix::test::server_manners;
using felix::test::simulated_server;
using report = felix::test::server_manners::report;

namespace {

/// One session, all of it drawn from a seed.
struct drawn {
  explicit drawn(std::uint64_t seed) : random{seed} {
    strict = chance(0.6);
    // A planned cap plans with half a token a byte.
    manners.tokens_per_byte = random.uniform(0.1, strict ? 1.0 : 0.3);
    manners.template_tokens = static_cast<token_count>(random.next() % 40);
    manners.honours_max_tokens = chance(0.7);
    manners.reports = static_cast<report>(random.next() % 4);
    manners.tokens_a_delta = chance(0.8) ? 1 : 5;
    manners.refuses = chance(0.3) ? 0.15 : 0;
    manners.loses = chance(0.3) ? 0.15 : 0;
    manners.breaks_off = chance(0.3) ? 0.15 : 0;
    limit = 1 + random.next() % 8;
    cap = (strict ? 1'500 : 5'000) + static_cast<token_count>(random.next() % 8'000);
    const std::size_t agents = 1 + random.next() % 6;
    for (std::size_t i = 0; i < agents; ++i) {
      const felix::role* const kinds[] = {&felix::roles::research, &felix::roles::analysis, &felix::roles::critic,
                                          &felix::roles::synthesis};
      team.add(*kinds[random.next() % 4], 1 + random.next() % 2);
    }
    if (chance(0.2)) patience = std::chrono::milliseconds{100 + random.next() % 20'000};
    task = "Write about " + std::string(1 + random.next() % 60, 'x');
    if (strict && chance(0.1)) {
      // Worse than any known tokenizer: what it has made of a prompt only its report can say.
      manners = {.tokens_per_byte = random.uniform(1.1, 3), .refuses = manners.refuses};
      patience = std::chrono::hours{10};
    }
  }

  felix::seeded_random random;
  bool strict = true;
  server_manners manners;
  std::size_t limit = 4;
  token_count cap = 0;
  felix::team team;
  std::chrono::nanoseconds patience = std::chrono::hours{10};
  std::string task;

 private:
  bool chance(double share) { return random.uniform(0, 1) < share; }
};

/// Of either kind.
class budget {
 public:
  explicit budget(const drawn& what) {
    const felix::budget_options options{.session_cap_tokens = what.cap, .min_stage_tokens = what.strict ? 20 : 50};
    if (what.strict) {
      strict_.emplace(options);
    } else {
      normal_.emplace(options);
    }
  }
  felix::ledger& get() {
    if (strict_) return *strict_;
    return *normal_;
  }

 private:
  std::optional<felix::strict_budget> strict_;
  std::optional<felix::normal_budget> normal_;
};

/// What became of it.
struct outcome {
  felix::session_result result;
  felix::budget_status budget;
  felix::token_usage spent;
  token_count hidden = 0;
  int requests = 0, answered = 0;
  bool stopped = false;
};

outcome run(std::uint64_t seed, const drawn& what) {
  felix::simulated_loop loop{seed};
  simulated_server server{loop, what.manners, seed};
  auto llm = felix::model_ref{server} | felix::limit{what.limit} | felix::retry{}.seed(seed);
  budget paid{what};
  outcome got;
  felix::session session{llm, what.team, paid.get(), {.seed = seed}};
  try {
    got.result = loop.run(felix::timeout(what.patience, session.run(what.task)));
  } catch (const felix::timed_out&) {
    got.stopped = true;
  } catch (const felix::error&) {
    got.result = session.so_far();
  }
  CHECK(server.in_flight() == 0);
  CHECK(llm.inner().status().in_use == 0);
  got.budget = paid.get().system_status();
  got.spent = server.spent();
  got.hidden = server.hidden();
  got.requests = server.requests();
  got.answered = server.answered();
  return got;
}

// 10,000 in all. With a sanitizer a session takes twenty times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t sessions_a_case = 100;
#else
constexpr std::uint64_t sessions_a_case = 2'500;
#endif

constexpr int most_in_flight = 8;  // the window

void check_sessions(std::uint64_t part) {
  for (std::uint64_t i = 0; i < sessions_a_case; ++i) {
    const std::uint64_t seed = 10'000 * part + i;
    CAPTURE(seed);
    const drawn what{seed};
    const outcome got = run(seed, what);
    // What a report hides, and nothing that was seen contradicts, nobody can count; nor undo what a prompt has cost above
    // its bound, which is shown, and after which no other request is sent until it is known whether it was alone.
    CHECK(got.spent.total_tokens <= got.budget.cap + got.hidden + got.budget.prompt_overrun);
    CHECK(got.spent.total_tokens <= got.budget.settled + got.hidden);
    int overruns = 0;
    for (const auto& [agent, share] : got.budget.agents) overruns += share.prompt_overrun > 0 ? share.overruns : 0;
    if (what.strict) CHECK(overruns <= most_in_flight);
    const bool exaggerates = what.manners.reports == report::too_much;
    if (what.strict && what.manners.tokens_per_byte <= 1 && !exaggerates) CHECK(got.budget.prompt_overrun == 0);
    CHECK(got.budget.reserved == 0);
    if (!got.stopped && got.answered > 0) CHECK_FALSE(got.result.final_text.empty());
  }
}

}  // namespace

TEST_CASE("session: no server, prompt or race exceeds its cap, seeds from 0", "[agent][session][session_budget]") {
  check_sessions(0);
}
TEST_CASE("session: no server, prompt or race exceeds its cap, seeds from 10,000", "[agent][session][session_budget]") {
  check_sessions(1);
}
TEST_CASE("session: no server, prompt or race exceeds its cap, seeds from 20,000", "[agent][session][session_budget]") {
  check_sessions(2);
}
TEST_CASE("session: no server, prompt or race exceeds its cap, seeds from 30,000", "[agent][session][session_budget]") {
  check_sessions(3);
}

namespace {

felix::session_result run_with(const felix::run_limits& limits) {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  auto llm = felix::model_ref{server} | felix::limit{4};
  felix::normal_budget budget;
  felix::session session{llm, felix::teams::complex(), budget, {.seed = 3, .limits = limits}};
  auto result = loop.run(session.run("Write about tea"));
  CHECK(budget.system_status().reserved == 0);
  return result;
}

}  // namespace

TEST_CASE("session: from the soft line of its tokens on it writes its text, within what is left", "[agent][session]") {
  const auto free = run_with({});
  CHECK_FALSE(free.ended_by.has_value());
  for (const felix::token_count most : {2'000, 3'000, 5'000}) {
    const auto result = run_with({.tokens = most, .hand_back_at = 0.6});
    CHECK(result.ended_by == felix::run_end{felix::run_limit::tokens, felix::limit_line::soft});
    CHECK(result.complete);
    CHECK(result.requests < free.requests);
    CHECK(result.usage.total_tokens <= most);
  }
}

TEST_CASE("session: a limit of time ends the team's work, and the final text too", "[agent][session]") {
  const auto enough = run_with({.time = 20s, .hand_back_at = 0.5});
  CHECK(enough.ended_by == felix::run_end{felix::run_limit::time, felix::limit_line::soft});
  CHECK(enough.complete);
  CHECK(enough.duration <= 20s);
  const auto little = run_with({.time = 8s, .hand_back_at = 0.9});
  CHECK(little.complete);  // cut in its last words
  CHECK(little.duration <= 8s);
  const auto none = run_with({.time = 8s, .hand_back_at = 1});
  CHECK(none.ended_by == felix::run_end{felix::run_limit::time, felix::limit_line::hard});
  CHECK_FALSE(none.complete);
  CHECK_FALSE(none.final_text.empty());  // the best there was
  CHECK(none.duration <= 8s);
}

TEST_CASE("session: with a price it counts in money too, where a scope or a limit asks for it", "[agent][session]") {
  const felix::model_price price{.prompt = "1", .answer = "4"};
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  felix::budget_scope wallet{"wallet", {.tokens = 1'000'000, .nano_cost = felix::money{"0.008"}.nano_units()}};
  felix::normal_budget budget{{.min_stage_tokens = 50, .within = &wallet}};
  const auto run_for = [&](felix::session_options options) {
    felix::session session{server, felix::teams::medium(), budget, std::move(options)};
    return loop.run(session.run("Write about tea"));
  };
  CHECK_THROWS_WITH(run_for({.seed = 3}), Catch::Matchers::ContainsSubstring("cap in money"));
  CHECK(server.requests() == 0);
  const auto result = run_for({.seed = 3, .price = price});
  CHECK_FALSE(result.final_text.empty());
  const auto spent = price.cost(server.spent()).nano_units();
  CHECK(wallet.status().nano_cost->settled >= spent);
  CHECK(wallet.status().nano_cost->settled <= spent + result.requests);  // each is rounded up
  CHECK(wallet.status().nano_cost->reserved == 0);
  CHECK(spent <= felix::money{"0.008"}.nano_units());

  felix::normal_budget other;
  felix::session frugal{server,
                        felix::teams::medium(),
                        other,
                        {.seed = 3, .limits = {.nano_cost = 4'000'000, .hand_back_at = 0.5}, .price = price}};
  const auto short_run = loop.run(frugal.run("Write about tea"));
  CHECK(short_run.ended_by == felix::run_end{felix::run_limit::cost, felix::limit_line::soft});
  CHECK(short_run.requests < result.requests + 20);
}
