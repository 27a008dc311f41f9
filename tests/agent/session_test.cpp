// SPDX-License-Identifier: MIT
#include <felix/agent/session.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::chat_request;

namespace {

/// Text that depends on the request alone and fills 60 to 100 % of max_tokens.
std::string answer_to(const chat_request& request) {
  std::string everything;
  for (const auto& message : request.messages()) everything += message.content;
  std::uint64_t state = felix::derive_seed(request.seed().value_or(0), everything, 0);
  const auto most = static_cast<std::size_t>(4 * request.max_tokens().value_or(100));
  const std::size_t length = most * (60 + state % 41) / 100;
  std::string text;
  while (text.size() < length)
    text += "Word " + std::to_string((state = felix::derive_seed(state, "next", 1)) % 1000) + ", because data. ";
  text.resize(length);
  return text;
}

/// 300 ms, and 60 tokens a second.
std::chrono::nanoseconds time_of(const felix::chat_response& answer) {
  return 300ms + std::chrono::nanoseconds{answer.usage().completion_tokens * 1'000'000'000 / 60};
}

struct outcome {
  felix::session_result result;
  felix::budget_status budget;
  std::vector<chat_request> requests;
  felix::token_usage server;
};

template <class Budget>
outcome run(const felix::team& team, std::size_t limit, felix::session_options options,
            std::optional<std::uint64_t> order = {}, const std::string& task = "Write about AI safety") {
  std::optional<felix::simulated_loop> loop;
  order ? loop.emplace(*order) : loop.emplace();
  felix::scripted_model script{*loop};
  script.on("").compute(answer_to).after(time_of);
  auto llm = felix::model_ref{script} | felix::limit{limit};
  Budget budget;
  felix::session session{llm, team, budget, std::move(options)};
  auto result = loop->run(session.run(task));
  CHECK(llm.status().in_use == 0);
  return {std::move(result), budget.system_status(), script.requests(), script.usage()};
}

felix::team team_of(const std::string& name) {
  return name == "simple"   ? felix::teams::simple()
         : name == "medium" ? felix::teams::medium()
                            : felix::teams::complex();
}

void check_same(const felix::session_result& a, const felix::session_result& b) {
  CHECK(a.final_text == b.final_text);
  CHECK(a.usage == b.usage);
  CHECK(a.requests == b.requests);
  CHECK(a.dropped == b.dropped);
  REQUIRE(a.contributions.size() == b.contributions.size());
  for (std::size_t i = 0; i < a.contributions.size(); ++i) {
    CHECK(a.contributions[i].agent == b.contributions[i].agent);
    CHECK(a.contributions[i].stage == b.contributions[i].stage);
    CHECK(a.contributions[i].text == b.contributions[i].text);
  }
  REQUIRE(a.agents.size() == b.agents.size());
  for (std::size_t i = 0; i < a.agents.size(); ++i) CHECK(a.agents[i].usage == b.agents[i].usage);
}

}  // namespace

TEST_CASE("session: ends with a text, the server's own count, and never over the cap", "[agent][session][D10]") {
  const auto team = GENERATE(as<std::string>{}, "simple", "medium", "complex");
  const bool strict = GENERATE(true, false);
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{21}));
  CAPTURE(team, strict, seed);
  const auto got = strict ? run<felix::strict_budget>(team_of(team), 4, {.seed = seed})
                          : run<felix::normal_budget>(team_of(team), 4, {.seed = seed});
  CHECK(got.result.complete);
  CHECK_FALSE(got.result.final_text.empty());
  CHECK(got.result.usage.total_tokens == got.server.total_tokens);
  CHECK(got.budget.settled == got.server.total_tokens);
  CHECK(got.budget.settled <= got.budget.cap);
  CHECK(got.budget.reserved == 0);
  CHECK(got.budget.answer_overrun + got.budget.prompt_overrun == 0);
  CHECK(got.result.requests == static_cast<int>(got.requests.size()));
  CHECK(got.result.timeline.size() == got.requests.size());
  std::map<std::string, int> stages;
  for (const auto& agent : got.result.agents) stages[std::string{agent.role.name()}] += agent.stages;
  if (!strict) {
    for (const auto& [role, count] : stages) CHECK(count > 0);  // every role at work
  }
  CHECK(stages["synthesis"] > 0);
}

TEST_CASE("session: the limit and the order of events change the time and nothing else", "[agent][session][D30]") {
  const auto team = GENERATE(as<std::string>{}, "simple", "medium", "complex");
  const bool strict = GENERATE(true, false);
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{6}));
  CAPTURE(team, strict, seed);
  const auto with = [&](std::size_t limit, std::optional<std::uint64_t> order) {
    return strict ? run<felix::strict_budget>(team_of(team), limit, {.seed = seed}, order)
                  : run<felix::normal_budget>(team_of(team), limit, {.seed = seed}, order);
  };
  const auto one = with(1, {});
  check_same(one.result, with(4, {}).result);
  check_same(one.result, with(64, {}).result);
  check_same(one.result, with(4, seed).result);
  check_same(one.result, with(3, 1000 + seed).result);
}

TEST_CASE("session: parallel is three times as fast to the final text, in simulated time", "[agent][session][D23]") {
  std::vector<double> team_ratio, whole_ratio;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto four = run<felix::normal_budget>(felix::teams::complex(), 4, {.seed = seed}).result;
    const auto one = run<felix::normal_budget>(felix::teams::complex(), 1, {.seed = seed}).result;
    team_ratio.push_back(std::chrono::duration<double>(one.team_duration) / four.team_duration);
    whole_ratio.push_back(std::chrono::duration<double>(one.duration) / four.duration);
  }
  std::sort(team_ratio.begin(), team_ratio.end());
  std::sort(whole_ratio.begin(), whole_ratio.end());
  CHECK(team_ratio[2] >= 3.0);  // not a timing assertion: simulated time is exact
  CHECK(whole_ratio[2] >= 2.6);
}

TEST_CASE("session: another seed and another topic give another text", "[agent][session]") {
  std::set<std::string> texts;
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    texts.insert(run<felix::normal_budget>(felix::teams::simple(), 4, {.seed = seed}).result.final_text);
  texts.insert(
      run<felix::normal_budget>(felix::teams::simple(), 4, {.seed = 1}, {}, "Write about tea").result.final_text);
  CHECK(texts.size() == 11);
}

TEST_CASE("session: agents read what others published, and never what came after their window", "[agent][session]") {
  const auto got = run<felix::normal_budget>(felix::teams::complex(), 4, {.seed = 3});
  int with_findings = 0;
  for (const auto& request : got.requests) {
    REQUIRE(request.messages().size() == 2);
    const auto& user = request.messages()[1].content;
    CHECK_THAT(user, ContainsSubstring("Topic: Write about AI safety"));
    with_findings += user.find("Findings:") != std::string::npos;
  }
  CHECK(with_findings > static_cast<int>(got.requests.size()) / 2);
  CHECK_THAT(got.requests.back().messages()[1].content,
             ContainsSubstring("Write the final text.") && ContainsSubstring("[research_"));
  CHECK(got.result.messages.size() ==
        static_cast<std::size_t>(got.result.requests) - 2);  // all but the two parts of the text
}

TEST_CASE("session: prompts are lean, and every request has a limit, a temperature and a seed", "[agent][session]") {
  const bool strict = GENERATE(true, false);
  const auto got = strict ? run<felix::strict_budget>(felix::teams::complex(), 4, {.seed = 3})
                          : run<felix::normal_budget>(felix::teams::complex(), 4, {.seed = 3});
  std::set<std::uint64_t> seeds;
  for (const auto& request : got.requests) {
    CHECK(request.messages()[0].content.size() <= (strict ? 240U : 400U));
    const auto& user = request.messages()[1].content;
    const bool final_text = user.find("Write the final text.") != std::string::npos;
    const auto at = user.find("Findings:\n");
    const std::size_t findings = at == std::string::npos ? 0 : user.size() - at - std::string{"Findings:\n"}.size();
    CHECK(findings <= (final_text ? (strict ? 400U : 1600U) : (strict ? 200U : 300U)));
    CHECK(request.max_tokens().value() >= 1);
    CHECK(request.temperature().has_value());
    seeds.insert(request.seed().value());
  }
  CHECK(seeds.size() == got.requests.size());
}

TEST_CASE("session: priorities are the guide's", "[agent][session]") {
  const auto strict = run<felix::strict_budget>(felix::teams::medium(), 4, {.seed = 3}).result;
  for (const auto& span : strict.timeline)
    CHECK(span.priority == (span.final_text ? felix::request_priority::urgent : felix::request_priority::high));
  const auto normal = run<felix::normal_budget>(felix::teams::simple(), 4, {.seed = 2}).result;
  bool saw_late = false;
  for (const auto& span : normal.timeline) {
    if (span.final_text) continue;
    CHECK(span.priority == (span.stage > 4 ? felix::request_priority::low : felix::request_priority::normal));
    saw_late = saw_late || span.stage > 4;
  }
  CHECK(saw_late);
}

TEST_CASE("session: stages stand at the spawn tick and every fourth after it", "[agent][session]") {
  const auto got = run<felix::normal_budget>(felix::teams::simple(), 4, {.seed = 1, .simulation_time = 2.0}).result;
  std::map<felix::agent_id, std::vector<felix::tick_count>> ticks;
  for (const auto& made : got.contributions) {
    if (!made.final_text) ticks[made.agent].push_back(made.tick);
  }
  for (const auto& agent : got.agents) {
    const auto& own = ticks[agent.id];
    REQUIRE_FALSE(own.empty());
    CHECK(own.front() == static_cast<felix::tick_count>(std::ceil(agent.spawn_time * 20)));
    for (std::size_t i = 1; i < own.size(); ++i) CHECK((own[i] - own[i - 1]) % 4 == 0);
    CHECK(own.back() <= 40);
  }
}

TEST_CASE("session: a short simulation time shrinks spawn times, and there is a text all the same",
          "[agent][session][D22]") {
  for (double time : {0.01, 0.05, 0.3, 0.5}) {
    CAPTURE(time);
    const auto got = run<felix::normal_budget>(felix::teams::medium(), 4, {.seed = 1, .simulation_time = time});
    CHECK(got.result.complete);
    for (const auto& made : got.result.contributions)
      CHECK(made.tick <= static_cast<felix::tick_count>(time / 0.05 + 1e-6));
  }
}

TEST_CASE("session: a synthesis that is good enough ends the team's work early, at any limit", "[agent][session][D2]") {
  const auto early = run<felix::normal_budget>(felix::teams::simple(), 4, {.seed = 4, .accepted_confidence = 0.6});
  const auto late = run<felix::normal_budget>(felix::teams::simple(), 4, {.seed = 4, .accepted_confidence = 1.0});
  CHECK(early.result.accepted);
  CHECK_FALSE(late.result.accepted);
  CHECK(early.result.complete);
  CHECK(early.result.requests < late.result.requests);
  check_same(early.result,
             run<felix::normal_budget>(felix::teams::simple(), 1, {.seed = 4, .accepted_confidence = 0.6}).result);
}

TEST_CASE("session: an agent whose call fails is failed, and the others and the text go on", "[agent][session]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("You are the analysis").fail(felix::api_error{"no", {.status = 400}}).after(1s);
  script.on("").compute(answer_to).after(time_of);
  felix::normal_budget budget;
  std::vector<felix::session_event> events;
  felix::session session{script,
                         felix::teams::medium(),
                         budget,
                         {.seed = 1, .on_event = [&](const felix::session_event& e) { events.push_back(e); }}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK(result.failed == 2);  // each of the two, once
  for (const auto& agent : result.agents) {
    if (agent.role == felix::role_id{"analysis"}) CHECK(agent.state == felix::agent_state::failed);
  }
  CHECK(std::count_if(events.begin(), events.end(),
                      [](const auto& e) { return e.what == felix::session_event::kind::stage_failed; }) == 2);
  CHECK(budget.system_status().settled == script.usage().total_tokens);  // a refused request cost nothing
}

TEST_CASE("session: a failure that may have cost tokens is charged", "[agent][session]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("You are the analysis").fail(felix::transport_error{"reset", 56}).after(1s);
  script.on("").compute(answer_to).after(time_of);
  felix::normal_budget budget;
  felix::session session{script, felix::teams::simple(), budget, {.seed = 1}};
  loop.run(session.run("Write about tea"));
  const auto status = budget.system_status();
  CHECK(status.settled > script.usage().total_tokens);
  CHECK(status.settled <= status.cap);
  CHECK(status.reserved == 0);
}

TEST_CASE("session: a final text that fails once is tried again, and when it fails for good, the best text stands in",
          "[agent][session][D2]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  int calls = 0;
  const int failures = GENERATE(1, 2);
  script.on("Write the final text.").compute([&](const chat_request& r) {
    if (++calls <= failures) throw felix::api_error{"busy", {.status = 503}};
    return answer_to(r);
  });
  script.on("").compute(answer_to).after(time_of);
  felix::normal_budget budget;
  felix::session session{script, felix::teams::simple(), budget, {.seed = 1}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(calls == 2);
  CHECK(result.complete == (failures == 1));
  CHECK_FALSE(result.final_text.empty());
}

TEST_CASE("session: when nothing answers, the reason comes out", "[agent][session]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").fail(felix::api_error{"the key is wrong", {.status = 401}});
  felix::normal_budget budget;
  felix::session session{script, felix::teams::simple(), budget, {.seed = 1}};
  CHECK_THROWS_WITH(loop.run(session.run("Write about tea")), "the key is wrong");
  CHECK(budget.system_status().settled == 0);
}

TEST_CASE("session: a stop ends it with the best text so far, and no slot and no token stays taken",
          "[agent][session]") {
  const auto after = GENERATE(0ms, 100ms, 2500ms, 9s, 16s, 24s);
  CAPTURE(after.count());
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to).after(time_of);
  auto llm = felix::model_ref{script} | felix::limit{2};
  felix::normal_budget budget;
  felix::session session{llm, felix::teams::medium(), budget, {.seed = 1}};
  felix::stop_source stop;
  const auto stop_after = [](std::chrono::nanoseconds delay, felix::stop_source& source) -> felix::task<void> {
    co_await felix::sleep_for(delay);
    source.request_stop();
  };
  loop.spawn(stop_after(after, stop), [](felix::result<void>) {});
  CHECK_THROWS_AS(loop.run(session.run("Write about tea"), stop.get_token()), felix::cancelled);
  CHECK(loop.now() == felix::simulated_loop::start + after);
  CHECK(llm.status().in_use == 0);
  CHECK(llm.status().waiting_in_all() == 0);
  CHECK(script.in_flight() == 0);
  const auto status = budget.system_status();
  CHECK(status.reserved == 0);
  CHECK(status.settled >= script.usage().total_tokens);  // what was in flight may have been spent
  CHECK(status.settled <= status.cap);
  CHECK_FALSE(session.so_far().complete);
  CHECK(session.so_far().final_text.empty() == session.so_far().contributions.empty());
  CHECK(session.so_far().failed == 0);
}

TEST_CASE("session: a server without usage is charged by estimate, and marked", "[agent][session]") {
  struct forgetful {
    felix::scripted_model& inner;
    felix::task<felix::chat_response> complete(chat_request r) {
      auto answer = co_await inner.complete(std::move(r));
      answer.usage({.estimated = true});
      co_return answer;
    }
  };
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to);
  forgetful llm{script};
  felix::normal_budget normal;
  felix::session a{llm, felix::teams::simple(), normal, {.seed = 1}};
  const auto result = loop.run(a.run("Write about tea"));
  CHECK(result.complete);
  CHECK(result.usage.estimated);
  CHECK(normal.system_status().settled >= script.usage().total_tokens);
  CHECK(normal.system_status().settled <= 10'000);
  felix::strict_budget strict;
  felix::session b{llm, felix::teams::simple(), strict, {.seed = 1}};
  CHECK(loop.run(b.run("Write about tea")).complete);
  CHECK(strict.system_status().settled <= 2'000);
}

TEST_CASE("session: prompts that cost far more than planned never lift the count over a hard cap", "[agent][session]") {
  // One token a byte: the worst that a byte-level tokenizer can do.
  struct dense {
    felix::scripted_model& inner;
    felix::token_count charged = 0;
    felix::task<felix::chat_response> complete(chat_request r) {
      felix::token_count bytes = 0;
      for (const auto& m : r.messages()) bytes += static_cast<felix::token_count>(m.content.size());
      auto answer = co_await inner.complete(std::move(r));
      auto usage = answer.usage();
      usage.prompt_tokens = bytes;
      usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
      charged += usage.total_tokens;
      answer.usage(usage);
      co_return answer;
    }
  };
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{11}));
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to).after(time_of);
  dense llm{script};
  felix::strict_budget budget;
  felix::session session{llm, felix::teams::complex(), budget, {.seed = seed}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK(llm.charged <= 2'000);
  CHECK(budget.system_status().settled == llm.charged);
}

TEST_CASE("session: a task that the budget cannot pay for is refused before the first request", "[agent][session]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  felix::strict_budget budget;
  felix::session session{script, felix::teams::simple(), budget, {.seed = 1}};
  CHECK_THROWS_AS(loop.run(session.run(std::string(5'000, 'x'))), felix::budget_exceeded);
  CHECK(script.requests().empty());
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("session: a team without a writer gets one for the final text", "[agent][session]") {
  const felix::role translator{.name = "translator", .temperature = {0.2, 0.4}, .prompt = [](const felix::brief& b) {
                                 return "Translate into French: " + b.task;
                               }};
  const auto got = run<felix::normal_budget>(felix::team{}.add(translator, 2), 4, {.seed = 1}).result;
  CHECK(got.complete);
  REQUIRE(got.agents.size() == 3);
  CHECK(got.agents[2].stages == 1);
  CHECK(got.agents[0].stages > 0);
}

TEST_CASE("session: bad options and an empty task are refused", "[agent][session]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  felix::normal_budget budget;
  CHECK_THROWS_AS((felix::session{script, felix::team{}, budget}), felix::error);
  for (double time : {0.0, -1.0, std::nan(""), 1e9})
    CHECK_THROWS_AS((felix::session{script, felix::teams::simple(), budget, {.simulation_time = time}}), felix::error);
  CHECK_THROWS_AS((felix::session{script, felix::teams::simple(), budget, {.window = 0}}), felix::error);
  felix::session session{script, felix::teams::simple(), budget};
  CHECK_THROWS_AS(loop.run(session.run(" \n\t")), felix::error);
}

TEST_CASE("session: two on one budget at the same time stay under its cap together", "[agent][session][D44]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to).after(time_of);
  felix::normal_budget budget;
  felix::session a{script, felix::teams::medium(), budget, {.seed = 1}};
  felix::session b{script, felix::teams::simple(), budget, {.seed = 2}};
  const auto both = [](felix::session& one, felix::session& two) -> felix::task<bool> {
    auto [x, y] = co_await felix::when_all(one.run("Write about tea"), two.run("Write about coffee"));
    co_return x.complete&& y.complete;
  };
  CHECK(loop.run(both(a, b)));
  CHECK(budget.system_status().settled == script.usage().total_tokens);
  CHECK(budget.system_status().settled <= budget.system_status().cap);
}

TEST_CASE("session: a model that throws before it returns a task fails that agent, not the run", "[agent][session]") {
  struct hasty {
    felix::scripted_model& inner;
    int calls = 0;
    felix::task<felix::chat_response> complete(chat_request r) {
      if (++calls == 3) throw std::logic_error{"not a coroutine"};
      return inner.complete(std::move(r));
    }
  };
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to).after(time_of);
  hasty llm{script};
  felix::normal_budget budget;
  felix::session session{llm, felix::teams::medium(), budget, {.seed = 1}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK(result.failed == 1);
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("session: strict, and no usage is ever reported: there is a final text all the same",
          "[agent][session][D3]") {
  struct forgetful {
    felix::scripted_model& inner;
    felix::task<felix::chat_response> complete(chat_request r) {
      auto answer = co_await inner.complete(std::move(r));
      answer.usage({.estimated = true});
      co_return answer;
    }
  };
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{11}));
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to);
  forgetful llm{script};
  felix::strict_budget budget;
  felix::session session{llm, felix::teams::complex(), budget, {.seed = seed}};
  CHECK(loop.run(session.run("Write about tea")).complete);
  CHECK(budget.system_status().settled <= 2'000);
}

TEST_CASE("session: a tokenizer at the bound, with letters that grow, stays under both caps and gets its text",
          "[agent][session]") {
  struct at_the_bound {
    felix::scripted_model& inner;
    felix::token_count charged = 0;
    felix::task<felix::chat_response> complete(chat_request r) {
      felix::token_count prompt = 0;
      for (const auto& m : r.messages()) prompt += felix::text_token_bound(m.content);
      auto answer = co_await inner.complete(std::move(r));
      std::string text = answer.text();
      for (std::size_t at = 0; at + 8 < text.size(); at += 40) text.replace(at, 7, "\xF0\x9D\x85\xA0\xE0\xA5\x98");
      answer.text(text);
      auto usage = answer.usage();
      usage.prompt_tokens = prompt;
      usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
      charged += usage.total_tokens;
      answer.usage(usage);
      co_return answer;
    }
  };
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{31}));
  const bool strict = GENERATE(true, false);
  const auto team = GENERATE(as<std::string>{}, "simple", "medium", "complex");
  const std::string topic = seed % 2 == 0 ? "Write about tea" : std::string(strict ? 60 : 430, 't');
  CAPTURE(seed, strict, team);
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to).after(time_of);
  at_the_bound llm{script};
  const auto run_under = [&](auto budget) {
    felix::session session{llm, team_of(team), *budget, {.seed = seed}};
    const auto result = loop.run(session.run(topic));
    CHECK(result.complete);
    CHECK(llm.charged <= budget->system_status().cap);
    CHECK(budget->system_status().settled == llm.charged);
  };
  strict ? run_under(std::make_unique<felix::strict_budget>()) : run_under(std::make_unique<felix::normal_budget>());
}

TEST_CASE("session: connections that break never charge more than was reserved for them", "[agent][session]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{11}));
  struct flaky {
    felix::scripted_model& inner;
    felix::seeded_random random;
    felix::task<felix::chat_response> complete(chat_request r) {
      auto answer = co_await inner.complete(std::move(r));
      if (random.uniform(0, 1) < 0.3) throw felix::transport_error{"cut", 18};
      co_return answer;
    }
  };
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to).after(time_of);
  flaky llm{script, felix::seeded_random{seed}};
  felix::normal_budget budget;
  felix::session session{llm, felix::teams::complex(), budget, {.seed = seed}};
  loop.run(session.run("Write about tea"));
  CHECK(budget.system_status().settled <= 10'000);
  CHECK(budget.system_status().prompt_overrun + budget.system_status().answer_overrun == 0);
}

TEST_CASE("session: a writer that has failed writes the final text only when no other can", "[agent][session]") {
  const auto writers = [](std::size_t count) {
    return felix::team{}.add(felix::roles::research, 1).add(felix::roles::synthesis, count, {.spawn = {0.1, 0.2}});
  };
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  bool failed_once = false;
  script.on("You are the synthesis").compute([&](const chat_request& r) {
    if (r.messages()[1].content.find("Write the final text.") == std::string::npos && !std::exchange(failed_once, true))
      throw felix::api_error{"no", {.status = 400}};
    return answer_to(r);
  });
  script.on("").compute(answer_to);
  felix::token_budget<felix::normal_allotment, felix::no_taper, felix::planned_cap> budget{
      {.session_cap_tokens = 2'500, .min_stage_tokens = 100}};
  felix::session session{script, writers(2), budget, {.seed = 3}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  for (const auto& made : result.contributions) {
    for (const auto& agent : result.agents) {
      if (made.final_text && agent.id == made.agent) CHECK(agent.state != felix::agent_state::failed);
    }
  }
}

TEST_CASE("session: runs once, and says so", "[agent][session]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  felix::normal_budget budget;
  felix::session session{script, felix::teams::simple(), budget, {.seed = 1}};
  loop.run(session.run("Write about tea"));
  CHECK_THROWS_WITH(loop.run(session.run("Write about tea")), ContainsSubstring("has run already"));
}

TEST_CASE("session: answers that report no tokens cost none, and drop no stage", "[agent][session]") {
  struct free_of_charge {
    felix::scripted_model& inner;
    felix::task<felix::chat_response> complete(chat_request r) {
      auto answer = co_await inner.complete(std::move(r));
      answer.usage({});
      co_return answer;
    }
  };
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").compute(answer_to);
  free_of_charge llm{script};
  felix::normal_budget budget;
  felix::session session{llm, felix::teams::medium(), budget, {.seed = 1}};
  const auto result = loop.run(session.run("Write about tea"));
  CHECK(result.complete);
  CHECK(result.dropped == 0);
}
