// SPDX-License-Identifier: MIT
// agent: eager sessions: no slot idles while a stage that the budget allows is left.
#include <felix/agent/session.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/timeout.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/retrying.hpp>
#include "support/catch.hpp"
#include "support/simulated_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::test::simulated_server;
using kind = felix::session_event::kind;

namespace {

struct outcome {
  felix::session_result result;
  felix::budget_status budget;
  felix::token_usage spent;
  std::vector<felix::session_event> events;
};

outcome run(const felix::team& who, std::uint64_t seed, felix::session_options options = {}, std::size_t limit = 4,
            const felix::test::server_manners& manners = {}) {
  felix::simulated_loop loop{seed};
  simulated_server server{loop, manners, seed};
  auto llm = felix::model_ref{server} | felix::limit{limit} | felix::retry{}.seed(seed);
  felix::normal_budget budget;
  outcome got;
  options.seed = seed;
  options.schedule = felix::session_schedule::eager;
  options.on_event = [&](const felix::session_event& event) { got.events.push_back(event); };
  felix::session session{llm, who, budget, std::move(options)};
  got.result = loop.run(session.run("Write about tea"));
  got.budget = budget.system_status();
  got.spent = server.spent();
  return got;
}

/// The share of the time, up to the final text, in which each of so many slots was in use.
double busy_share(const felix::session_result& result, std::size_t slots) {
  std::chrono::nanoseconds busy{0};
  for (const auto& span : result.timeline) {
    if (!span.final_text) busy += span.end - span.begin;
  }
  return std::chrono::duration<double>{busy} /
         std::chrono::duration<double>{result.team_duration * static_cast<int>(slots)};
}

}  // namespace

TEST_CASE("session: eager, the slots are busy, and it is more than 3.4 times as fast as one by one",
          "[agent][session][session_eager]") {
  std::vector<double> busy, team, whole;
  for (std::uint64_t seed = 1; seed <= 21; ++seed) {
    const outcome eager = run(felix::teams::complex(), seed);
    const outcome alone = run(felix::teams::complex(), seed, {.slots = 1}, 1);
    CHECK(eager.result.complete);
    const auto team_request = [](const outcome& of) {
      return std::chrono::duration<double>{of.result.team_duration} / (of.result.requests - 2);
    };
    const auto request = [](const outcome& of) {
      return std::chrono::duration<double>{of.result.duration} / of.result.requests;
    };
    busy.push_back(busy_share(eager.result, 4));
    team.push_back(team_request(alone) / team_request(eager));
    whole.push_back(request(alone) / request(eager));
  }
  const auto median = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  CHECK(median(busy) > 0.85);
  CHECK(median(team) > 3.4);
  CHECK(median(whole) > 3);
}

TEST_CASE("session: eager, an agent has one request at a time, its stages in order",
          "[agent][session][session_eager]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{11}));
  CAPTURE(seed);
  const outcome got = run(felix::teams::complex(), seed, {.slots = 8}, 8);
  std::map<felix::agent_id, int> last;
  std::set<felix::agent_id> at_work;
  std::size_t most = 0;
  for (const auto& event : got.events) {
    if (event.what == kind::stage_started) {
      CHECK(at_work.insert(event.agent).second);
      CHECK(event.stage == ++last[event.agent]);
      most = std::max(most, at_work.size());
    }
    if (event.what == kind::stage_ended) at_work.erase(event.agent);
  }
  CHECK(at_work.empty());
  CHECK(most == 8);
}

TEST_CASE("session: eager, roles other than research begin once something is published",
          "[agent][session][session_eager]") {
  // Everybody spawns at once.
  const auto who = felix::team{}
                       .add(felix::roles::analysis, 2, {.spawn = {0, 0}})
                       .add(felix::roles::research, 1, {.spawn = {0, 0}})
                       .add(felix::roles::synthesis, 1, {.spawn = {0, 0}});
  const outcome got = run(who, 1);
  REQUIRE(got.events.size() > 4);
  CHECK(got.events[0].what == kind::stage_started);
  CHECK(got.events[0].role == felix::role_id{"research"});
  CHECK(got.events[1].what == kind::stage_ended);
  CHECK(got.events[2].what == kind::stage_started);
  CHECK(got.events[2].role == felix::role_id{"analysis"});
}

TEST_CASE("session: eager, a team without research, or whose research fails, begins all the same",
          "[agent][session][session_eager]") {
  const outcome none = run(felix::team{}.add(felix::roles::analysis, 2).add(felix::roles::synthesis, 1), 1);
  CHECK(none.result.complete);
  CHECK(none.result.contributions.size() > 3);

  struct no_research {
    simulated_server& inner;
    felix::chat_stream stream(felix::chat_request request) {
      if (request.messages().front().content.find("the research agent") != std::string::npos)
        throw felix::api_error{"no", {.status = 400}};
      return inner.stream(std::move(request));
    }
    felix::task<felix::chat_response> complete(felix::chat_request request) {
      return inner.complete(std::move(request));
    }
  };
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  no_research llm{server};
  felix::normal_budget budget;
  felix::session session{llm, felix::teams::simple(), budget, {.seed = 1, .schedule = felix::session_schedule::eager}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.failed == 1);
  CHECK(result.complete);
  CHECK(result.contributions.size() > 2);
}

TEST_CASE("session: eager, no cap is exceeded, and what is lost is sent again, whatever the server does",
          "[agent][session][session_eager]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{201}));
  CAPTURE(seed);
  felix::seeded_random random{seed};
  const felix::test::server_manners manners{.tokens_per_byte = random.uniform(0.1, 0.9),
                                            .honours_max_tokens = random.next() % 3 != 0,
                                            .refuses = 0.1,
                                            .loses = 0.1,
                                            .breaks_off = 0.1};
  felix::simulated_loop loop{seed};
  simulated_server server{loop, manners, seed};
  auto llm = felix::model_ref{server} | felix::limit{4} | felix::retry{}.seed(seed);
  felix::strict_budget budget{{.session_cap_tokens = 4'000, .min_stage_tokens = 20}};
  felix::session session{llm,
                         felix::teams::complex(),
                         budget,
                         {.seed = seed, .schedule = felix::session_schedule::eager, .slots = 1 + random.next() % 8}};
  felix::session_result result;
  const std::chrono::nanoseconds patience = random.next() % 4 == 0 ? 5s : 1h;
  try {
    result = loop.run(felix::timeout(patience, session.run("Write about tea")));
    CHECK_FALSE(result.final_text.empty());
  } catch (const felix::timed_out&) {
    CHECK(patience == 5s);
  } catch (const felix::error&) {
    CHECK(server.answered() == 0);
  }
  CHECK(server.in_flight() == 0);
  CHECK(server.spent().total_tokens <= budget.system_status().settled);
  CHECK(budget.system_status().settled <= 4'000);
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("session: eager, what is asked once more keeps no other from its slot", "[agent][session][session_eager]") {
  std::size_t again = 0, beside = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto timeline = run(felix::teams::complex(), seed, {}, 4, {.loses = 0.1}).result.timeline;
    for (const auto& lost : timeline) {
      for (const auto& repeated : timeline) {
        if (lost.failure.empty() || lost.final_text || repeated.agent != lost.agent || repeated.begin != lost.end ||
            repeated.stage != lost.stage)
          continue;
        ++again;
        beside += static_cast<std::size_t>(std::count_if(timeline.begin(), timeline.end(), [&](const auto& other) {
          return other.begin > repeated.begin && other.begin < repeated.end;
        }));
      }
    }
  }
  CHECK(again > 5);
  CHECK(beside > again);
}

TEST_CASE("session: eager, it ends at the soft line, and when a text is good enough",
          "[agent][session][session_eager]") {
  const outcome cut = run(felix::teams::complex(), 1, {.limits = {.tokens = 4'000}});
  CHECK(cut.result.complete);
  CHECK(cut.result.ended_by == felix::run_end{felix::run_limit::tokens, felix::limit_line::soft});
  CHECK(cut.spent.total_tokens <= 4'000);
  const auto early = felix::team{}.add(felix::roles::research, 2).add(felix::roles::synthesis, 1, {.spawn = {0, 0.1}});
  const outcome good = run(early, 1, {.accepted_confidence = 0.5});
  CHECK(good.result.accepted);
  CHECK(good.result.requests < run(early, 1, {.accepted_confidence = 1}).result.requests);
}

TEST_CASE("session: eager, everything ends in some order, and all of it is published",
          "[agent][session][session_eager]") {
  const outcome got = run(felix::teams::complex(), 3);
  std::size_t drafts = 0;
  for (const auto& made : got.result.contributions) drafts += made.final_text ? 0U : 1U;
  CHECK(got.result.messages.size() == drafts);
  CHECK(got.budget.settled == got.spent.total_tokens);
}

TEST_CASE("session: eager, adaptive and with a slow model, it goes on", "[agent][session][session_eager]") {
  const outcome got =
      run(felix::teams::medium(), 1,
          {.limits = {.time = 20s}, .adaptive = felix::adaptive_allotment{}, .capacity = {.tokens_per_second = 60}});
  CHECK(got.result.complete);
  CHECK_FALSE(got.result.learned.empty());
}

TEST_CASE("session: what is written can be seen as it comes, and adds up to the contributions",
          "[agent][session][session_eager]") {
  std::map<std::string, std::string> pieces;
  bool final_before_drafts = false;
  std::size_t deltas = 0;
  felix::session_options options;
  options.on_delta = [&](const felix::session_delta& delta) {
    ++deltas;
    final_before_drafts = final_before_drafts || (pieces.size() < 5 && delta.final_text);
    pieces[std::string{delta.agent.name()} + " " + std::to_string(delta.stage)] += delta.text;
  };
  const outcome got = run(felix::teams::medium(), 1, options);
  REQUIRE(pieces.size() == got.result.contributions.size());
  for (const auto& made : got.result.contributions)
    CHECK(pieces[std::string{made.agent.name()} + " " + std::to_string(made.stage)] == made.text);
  CHECK(deltas > 10 * pieces.size());
  CHECK_FALSE(final_before_drafts);
}

TEST_CASE("session: eager without a slot is refused", "[agent][session][session_eager]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  felix::normal_budget budget;
  CHECK_THROWS_WITH((felix::session{felix::model_ref{server}, felix::teams::simple(), budget, {.slots = 0}}),
                    Catch::Matchers::ContainsSubstring("slots is 0"));
}
