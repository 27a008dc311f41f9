// SPDX-License-Identifier: MIT
// agent: whatever the server does, a session's cap holds, as the server itself counts.
#include <felix/agent/session.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/timeout.hpp>
#include <felix/budget/adaptive.hpp>
#include <felix/budget/budget_scope.hpp>
#include <felix/budget/calibrated_estimator.hpp>
#include <felix/budget/counted_estimator.hpp>
#include <felix/budget/estimation.hpp>
#include <felix/budget/model_capacity.hpp>
#include <felix/budget/price.hpp>
#include <felix/budget/prompt_bound.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/retrying.hpp>
#include "support/catch.hpp"
#include "support/simulated_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>

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
    if (chance(0.25)) adaptive.emplace();
    // A planned cap has no room for what a count is wrong by: estimates have.
    estimator = static_cast<int>(random.next() % (strict ? 5 : 3));
    if (chance(0.3)) schedule = felix::session_schedule::eager;
    if (chance(0.1)) capacity = {.context_tokens = 500 + static_cast<token_count>(random.next() % 4'000)};
  }

  felix::seeded_random random;
  bool strict = true;
  server_manners manners;
  std::size_t limit = 4;
  token_count cap = 0;
  felix::team team;
  std::chrono::nanoseconds patience = std::chrono::hours{10};
  std::string task;
  std::optional<felix::adaptive_allotment> adaptive;
  felix::model_capacity capacity;
  int estimator = 0;
  felix::session_schedule schedule = felix::session_schedule::lockstep;

 private:
  bool chance(double share) { return random.uniform(0, 1) < share; }
};

/// By number: the default, bounds, one that learns, and two that go by what the server counts beforehand.
void estimate_with(int which, felix::session_options& options, simulated_server& server) {
  if (which == 1) options.estimator = felix::prompt_bound{};
  if (which == 2) options.estimator = felix::calibrated_estimator{};
  if (which < 3) return;
  options.estimator = felix::counted_estimator{simulated_server::key};
  const auto scope = which == 3 ? felix::prompt_count::scope::whole : felix::prompt_count::scope::texts;
  options.count = [&server, scope](felix::chat_request request) { return server.count(std::move(request), scope); };
}

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
  felix::session_options options{.seed = seed,
                                 .schedule = what.schedule,
                                 .slots = what.limit,
                                 .adaptive = what.adaptive,
                                 .capacity = what.capacity};
  estimate_with(what.estimator, options, server);
  felix::session session{llm, what.team, paid.get(), options};
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

constexpr int most_in_flight = 12;  // the window has 8; there may be 12 writers of parts of the final text

void check_sessions(std::uint64_t part) {
  for (std::uint64_t i = 0; i < sessions_a_case; ++i) {
    const std::uint64_t seed = 10'000 * part + i;
    CAPTURE(seed);
    const drawn what{seed};
    const outcome got = run(seed, what);
    // What a report hides, and nothing that was seen contradicts, nobody can count; nor undo what a prompt has cost above
    // its bound, which is shown, and after which no other request is sent until it is known whether it was alone.
    // Who hides the template in reports hides it from a bound that goes by a count of the texts, too.
    const bool hides_template = what.estimator == 4 && what.manners.reports == report::too_little;
    const token_count hidden = got.hidden + (hides_template ? got.requests * what.manners.template_tokens : 0);
    CHECK(got.spent.total_tokens <= got.budget.cap + hidden + got.budget.prompt_overrun);
    // A plan that has learned from such reports is too low for what is lost, too.
    if (what.strict || what.manners.reports != report::too_little)
      CHECK(got.spent.total_tokens <= got.budget.settled + hidden);
    int overruns = 0;
    for (const auto& [agent, share] : got.budget.agents) overruns += share.prompt_overrun > 0 ? share.overruns : 0;
    // A count that reports go ever further beyond is exceeded each time, one request at a time.
    if (what.strict && what.estimator < 3) CHECK(overruns <= most_in_flight);
    const bool exaggerates = what.manners.reports == report::too_much;
    if (what.strict && what.manners.tokens_per_byte <= 1 && !exaggerates) CHECK(got.budget.prompt_overrun == 0);
    CHECK(got.budget.reserved == 0);
    if (!got.stopped && got.answered > 0) CHECK_FALSE(got.result.final_text.empty());
    // Messages: each contribution of the team is published once. What a stop finds on its way is not.
    std::set<std::pair<felix::agent_id, std::uint64_t>> published;
    for (const auto& message : got.result.messages) CHECK(published.insert({message.from, message.order}).second);
    const auto found = std::count_if(got.result.contributions.begin(), got.result.contributions.end(),
                                     [](const felix::contribution& made) { return !made.final_text; });
    CHECK(published.size() <= static_cast<std::size_t>(found));
    if (!got.stopped) CHECK(published.size() == static_cast<std::size_t>(found));
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

/// Forwards to a server, sees how much is under way, and loses the n-th request, as often as told.
struct watched_model {
  simulated_server& server;
  int loses = 0;  // 1: the first
  int times = 1;
  int requests = 0, of_lost = 0, in_flight = 0, most_in_flight = 0;
  std::string lost = {};

  felix::task<felix::chat_response> complete(felix::chat_request request) {
    const std::string text = request.messages().back().content + std::to_string(request.seed().value_or(0));
    if (++requests == loses) lost = text;
    of_lost += !lost.empty() && text == lost ? 1 : 0;
    most_in_flight = std::max(most_in_flight, ++in_flight);
    auto answer = co_await felix::as_result(server.complete(std::move(request)));
    --in_flight;
    if (text == lost && of_lost <= times) throw felix::transport_error{"the connection was reset", 56};
    co_return std::move(answer).value();
  }
};

/// Does what it is told.
struct told_estimator {
  token_count bound = 0;
  bool alone = false;
  std::int64_t seen = 1;
  int* learned = nullptr;

  token_count planned(const felix::prompt_size& size) const noexcept { return size.bytes / 2; }
  token_count at_most(const felix::prompt_size& size) const noexcept { return std::max(bound, size.text_bound); }
  void learn(const felix::prompt_size&, token_count) const noexcept {
    if (learned != nullptr) ++*learned;
  }
  felix::estimate_confidence confidence(const felix::prompt_size&) const noexcept { return {}; }
  bool one_at_a_time() const noexcept { return alone; }
  std::int64_t answers_seen() const noexcept { return seen; }
};

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

TEST_CASE("session: with each estimator the limit changes the time and nothing else", "[agent][session]") {
  const int which = GENERATE(0, 1, 2, 3, 4);
  const bool strict = GENERATE(true, false);
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{6}));
  CAPTURE(which, strict, seed);
  const auto of_limit = [&](std::size_t limit) {
    felix::simulated_loop loop{seed + limit};
    simulated_server server{loop, {.tokens_per_byte = 0.31, .loses = 0.05}, seed};
    auto llm = felix::model_ref{server} | felix::limit{limit} | felix::retry{}.seed(seed);
    felix::strict_budget small;
    felix::normal_budget large;
    felix::session_options options{.seed = seed};
    estimate_with(which, options, server);
    felix::session session{llm, felix::teams::medium(),
                           strict ? static_cast<felix::ledger&>(small) : static_cast<felix::ledger&>(large), options};
    auto result = loop.run(session.run("Write about tea"));
    CHECK_FALSE(result.final_text.empty());
    return std::make_pair(std::move(result), strict ? small.system_status().settled : large.system_status().settled);
  };
  const auto [alone, alone_settled] = of_limit(1);
  const auto [parallel, parallel_settled] = of_limit(4);
  CHECK(alone.final_text == parallel.final_text);
  CHECK(alone_settled == parallel_settled);
  CHECK(alone.usage == parallel.usage);
  CHECK(alone.dropped == parallel.dropped);
  REQUIRE(alone.contributions.size() == parallel.contributions.size());
  for (std::size_t i = 0; i < alone.contributions.size(); ++i)
    CHECK(alone.contributions[i].text == parallel.contributions[i].text);
}

TEST_CASE("session: what the server has counted beforehand is reserved, and no more", "[agent][session]") {
  const bool fails = GENERATE(false, true);
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  felix::strict_budget budget;
  int counts = 0;
  felix::session_options options{.seed = 1, .estimator = felix::counted_estimator{simulated_server::key}};
  options.count = [&](felix::chat_request request) {
    ++counts;
    if (fails) throw felix::api_error{"no such path", {.status = 404}};
    return server.count(std::move(request), felix::prompt_count::scope::whole);
  };
  felix::session session{felix::model_ref{server}, felix::teams::simple(), budget, options};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK(counts >= result.requests);
  CHECK(server.spent().total_tokens <= 2'000);
}

TEST_CASE("session: from the soft line of its tokens on it writes its text, within what is left", "[agent][session]") {
  const auto free = run_with({});
  CHECK_FALSE(free.ended_by.has_value());
  for (const felix::token_count most : {2'000, 3'000, 5'000}) {
    const auto result = run_with({.tokens = most, .hand_back_at = 0.6});
    CHECK(result.ended_by == felix::run_end{felix::run_limit::tokens, felix::limit_line::soft});
    CHECK(result.complete);
    CHECK(result.requests < free.requests);
    CHECK(result.usage.total_tokens <= most);
    token_count of_the_team = 0;
    for (const auto& made : result.contributions) of_the_team += made.final_text ? 0 : made.usage.total_tokens;
    CHECK(of_the_team <= most * 6 / 10);
    CHECK(of_the_team > most * 2 / 10);
  }
}

TEST_CASE("session: a limit of time ends the team's work, and the final text too", "[agent][session][D11]") {
  const auto enough = run_with({.time = 20s, .hand_back_at = 0.5});
  CHECK(enough.ended_by == felix::run_end{felix::run_limit::time, felix::limit_line::soft});
  CHECK(enough.complete);
  CHECK(enough.duration <= 20s);
  CHECK(enough.team_duration <= 10s);
  const auto little = run_with({.time = 8s, .hand_back_at = 0.9});
  CHECK(little.complete);  // cut in its last words
  CHECK(little.duration <= 8s);
  CHECK(little.team_duration <= 7200ms);
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
  felix::normal_budget without;
  CHECK_THROWS_WITH((felix::session{server, felix::teams::medium(), without, {.limits = {.nano_cost = 5}}}),
                    Catch::Matchers::ContainsSubstring("limits.nano_cost"));
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

TEST_CASE("session: the money of the final text is set aside, as its tokens are", "[agent][session]") {
  const auto cents = GENERATE(0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6);
  CAPTURE(cents);
  const felix::model_price price{.prompt = "1", .answer = "4"};
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  felix::budget_scope wallet{"wallet", {.tokens = 1'000'000, .nano_cost = static_cast<std::int64_t>(cents * 1e7)}};
  felix::normal_budget budget{{.min_stage_tokens = 50, .within = &wallet}};
  felix::session session{server, felix::teams::medium(), budget, {.seed = 3, .price = price}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK(wallet.status().nano_cost->settled <= wallet.status().nano_cost->cap);
  CHECK(wallet.status().nano_cost->reserved == 0);
}

TEST_CASE("session: what was lost is paid and sent once more, where a retry would do that", "[agent][session]") {
  const bool retries = GENERATE(true, false);
  const int times = GENERATE(1, 3);
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  watched_model losing{server, 3, times};
  auto retrying = felix::model_ref{losing} | felix::retry{};
  felix::normal_budget budget;
  felix::session session{
      retries ? felix::model_ref{retrying} : felix::model_ref{losing}, felix::teams::medium(), budget, {.seed = 1}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK(losing.of_lost == (retries ? 2 : 1));
  CHECK(result.failed == (retries && times == 1 ? 0 : 1));
  CHECK(result.requests == losing.requests);
  CHECK(result.timeline.size() == static_cast<std::size_t>(losing.requests));
  CHECK(budget.system_status().settled >= server.spent().total_tokens);
  CHECK(budget.system_status().settled > result.usage.total_tokens);
}

TEST_CASE("session: what is lost counts for a limit of tokens, each time", "[agent][session]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{21}));
  const double loses = GENERATE(0.5, 1.0);
  const token_count most = GENERATE(1'500, 2'500, 3'500);
  CAPTURE(seed, loses, most);
  felix::simulated_loop loop;
  simulated_server server{loop, {.loses = loses}, seed};
  auto llm = felix::model_ref{server} | felix::retry{}.seed(seed);
  felix::normal_budget budget;
  felix::session session{llm, felix::teams::complex(), budget, {.seed = seed, .limits = {.tokens = most}}};
  static_cast<void>(loop.run(felix::as_result(session.run("Write about tea"))));
  CHECK(server.requests() > 2);
  CHECK(server.spent().total_tokens <= most);
  CHECK(budget.system_status().settled <= most);
}

TEST_CASE("session: what is refused costs nothing, nor of a limit", "[agent][session]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.refuses = 1}};
  felix::normal_budget budget;
  felix::session session{
      felix::model_ref{server}, felix::teams::complex(), budget, {.seed = 1, .limits = {.tokens = 4'000}}};
  CHECK_THROWS_AS(loop.run(session.run("Write about tea")), felix::api_error);
  CHECK_FALSE(session.so_far().ended_by.has_value());
  CHECK(budget.system_status().settled == 0);
}

TEST_CASE("session: until an answer has shown what prompts cost, their bounds fit under the cap", "[agent][session]") {
  const std::int64_t seen = GENERATE(0, 1);
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  watched_model watched{server};
  felix::normal_budget budget;  // of 10,000; one bound of 2,800 is set aside for the text
  felix::session session{felix::model_ref{watched},
                         felix::teams::simple(),
                         budget,
                         {.seed = 1, .estimator = told_estimator{.bound = 2'800, .seen = seen}}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK((seen == 0 ? watched.most_in_flight <= 2 : watched.most_in_flight > 2));
  CHECK(result.contributions.size() > 5);
}

TEST_CASE("session: until then nothing is sent again that might not fit", "[agent][session]") {
  const std::int64_t seen = GENERATE(0, 1);
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  watched_model losing{server, 1};
  auto llm = felix::model_ref{losing} | felix::retry{};
  felix::normal_budget budget;
  felix::session session{llm,
                         felix::teams::simple(),
                         budget,  // of 10,000: a stage and the final text, and little else
                         {.seed = 1, .estimator = told_estimator{.bound = 4'800, .seen = seen}}};
  CHECK(loop.run(session.run("Write about tea")).complete);
  CHECK(losing.of_lost == (seen == 0 ? 1 : 2));
}

TEST_CASE("session: until then what was lost is part of the worst case, each time", "[agent][session]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{21}));
  CAPTURE(seed);
  felix::simulated_loop loop;
  simulated_server server{loop, {.loses = 0.3}, seed};
  auto llm = felix::model_ref{server} | felix::retry{}.seed(seed);
  felix::normal_budget budget;
  token_count most = 0;
  const auto look = [&](const felix::session_event& event) {
    if (event.what == felix::session_event::kind::stage_started) most = std::max(most, budget.system_status().settled);
  };
  felix::session session{llm,
                         felix::teams::complex(),
                         budget,
                         {.seed = seed, .on_event = look, .estimator = told_estimator{.bound = 2'800, .seen = 0}}};
  static_cast<void>(loop.run(felix::as_result(session.run("Write about tea"))));
  CHECK(most > 0);
  CHECK(most <= 10'000 - 2 * (2'800 + budget.options().min_stage_tokens));  // beside that stage, and the final text
}

TEST_CASE("session: where a server counts more than its bound, one request is sent at a time", "[agent][session]") {
  const bool alone = GENERATE(true, false);
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  watched_model watched{server};
  felix::normal_budget budget;
  felix::session session{felix::model_ref{watched},
                         felix::teams::simple(),
                         budget,
                         {.seed = 1, .estimator = told_estimator{.alone = alone}}};
  CHECK(loop.run(session.run("Write about tea")).complete);
  CHECK((watched.most_in_flight == 1) == alone);
}

TEST_CASE("session: it learns from reports, and not from its own estimates", "[agent][session]") {
  const auto reports = GENERATE(report::honest, report::none);
  int learned = 0;
  felix::simulated_loop loop;
  simulated_server server{loop, {.reports = reports}};
  felix::normal_budget budget;
  felix::session session{felix::model_ref{server},
                         felix::teams::simple(),
                         budget,
                         {.seed = 1, .estimator = told_estimator{.learned = &learned}}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK(budget.system_status().prompt_overrun + budget.system_status().answer_overrun == 0);  // charged as planned
  CHECK(learned == (reports == report::honest ? static_cast<int>(result.contributions.size()) : 0));
}

TEST_CASE("session: the prompt of a server that has to be cut is charged at its bound", "[agent][session]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.tokens_per_byte = 1, .honours_max_tokens = false}};
  felix::normal_budget budget;
  felix::session session{
      felix::model_ref{server}, felix::teams::simple(), budget, {.seed = 1, .limits = {.tokens = 4'000}}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.usage.estimated);
  // But for the two tokens that it is ahead when it is cut.
  CHECK(budget.system_status().settled + 2 * server.requests() >= server.spent().total_tokens);
}

TEST_CASE("session: a report that hides the prompt is not believed", "[agent][session]") {
  struct hiding {
    simulated_server& inner;
    felix::task<felix::chat_response> complete(felix::chat_request request) {
      auto answer = co_await inner.complete(std::move(request));
      const token_count tokens = answer.usage().completion_tokens;
      answer.usage({.prompt_tokens = 1, .completion_tokens = tokens, .total_tokens = tokens + 1});
      co_return answer;
    }
  };
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  hiding llm{server};
  felix::normal_budget budget;
  felix::session session{llm, felix::teams::simple(), budget, {.seed = 1}};
  CHECK(loop.run(session.run("Write about tea")).usage.estimated);
  CHECK(budget.system_status().settled >= server.spent().total_tokens);
}
