// SPDX-License-Identifier: MIT
// agent: the request of a stage, the contribution that comes of it, and what a failure leaves unchanged.
#include <felix/agent/agent.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;
using felix::agent;
using felix::agent_task;
using felix::contribution;
using namespace std::chrono_literals;

static_assert(!std::is_aggregate_v<agent_task> && !std::is_aggregate_v<contribution>,
              "g++ 12 destroys aggregates in awaited expressions twice");
static_assert(std::is_constructible_v<agent, felix::scripted_model&, felix::role>);
static_assert(std::is_constructible_v<agent, felix::model_ref, felix::role>);
static_assert(!std::is_constructible_v<agent, felix::scripted_model, felix::role>, "a temporary model would dangle");
static_assert(!std::is_constructible_v<agent, const felix::scripted_model, felix::role>);
static_assert(std::is_convertible_v<std::string, agent_task> && std::is_convertible_v<const char*, agent_task>);
static_assert(std::is_same_v<decltype(agent_task{"a"}.at(0.5)), agent_task>, "a reference would dangle");

namespace {

// Quality 0.75 by the original's rules.
const std::string growth_report =
    "The data show growth of 12 percent. However, the study suggests limits. For example, costs rose, prices fell, and "
    "demand stayed flat.";

felix::task<contribution> handed_on(agent& who, agent_task work) { co_return co_await who.process(std::move(work)); }

std::string refusal_of_depth(double depth) {
  try {
    const agent_task work = agent_task{"t"}.at(depth);
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_argument);
    return refused.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("agent: sends its role's prompt, the task, and the temperature of the depth", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  agent critic{model, felix::roles::critic, {.focus = "accuracy"}};
  loop.run(critic.process(agent_task{"Rivers"}
                              .at(0.25)
                              .findings("- [research_001] They are long.")
                              .priority(felix::request_priority::high)
                              .max_tokens(80)));
  REQUIRE(model.requests().size() == 1);
  const felix::chat_request& sent = model.requests()[0];
  const felix::brief about{.task = "Rivers",
                           .focus = "accuracy",
                           .findings = "- [research_001] They are long.",
                           .depth = 0.25,
                           .max_tokens = 80,
                           .compression = 0.85};
  REQUIRE(sent.messages().size() == 2);
  CHECK(sent.messages()[0].role == felix::chat_role::system);
  CHECK(sent.messages()[0].content == felix::prompts::critic(about));
  CHECK_THAT(sent.messages()[0].content,
             ContainsSubstring("focus: accuracy") && ContainsSubstring("depth 0.25") && ContainsSubstring("60 words"));
  CHECK(sent.messages()[1].role == felix::chat_role::user);
  CHECK(sent.messages()[1].content == "Topic: Rivers\nFindings:\n- [research_001] They are long.");
  REQUIRE(sent.temperature());
  CHECK_THAT(*sent.temperature(), WithinAbs(0.475, 1e-12));
  CHECK(sent.max_tokens() == 80);
  CHECK(sent.priority() == felix::request_priority::high);
  CHECK_FALSE(sent.seed());
}

TEST_CASE("agent: a plain text is a task at the top, without a limit", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  agent researcher{model, felix::roles::research};
  SECTION("process") { loop.run(researcher.process("Rivers")); }
  SECTION("the call operator, with a string of the caller's") {
    const std::string topic = "Rivers";
    loop.run(researcher(topic));
  }
  const felix::chat_request& sent = model.requests().at(0);
  CHECK(sent.messages()[1].content == "Topic: Rivers");
  CHECK_THAT(*sent.temperature(), WithinAbs(0.9, 1e-12));
  CHECK_FALSE(sent.max_tokens());
  CHECK(sent.priority() == felix::request_priority::normal);
}

TEST_CASE("agent: a user's prompt function gets the whole brief", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  std::vector<felix::brief> seen;
  const felix::role recorder{.name = "recorder", .prompt = [&seen](const felix::brief& about) {
                               seen.push_back(about);
                               return "record";
                             }};
  agent who{model, recorder, {.id = "recorder_007", .focus = "dates"}};
  loop.run(who(agent_task{"first"}.at(1)));
  loop.run(who(agent_task{"second"}.findings("f").max_tokens(9)));
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].task == "first");
  CHECK(seen[0].focus == "dates");
  CHECK(seen[0].depth == 1);
  CHECK(seen[0].stage == 1);
  CHECK(seen[0].max_tokens == 0);
  CHECK(seen[1].task == "second");
  CHECK(seen[1].findings == "f");
  CHECK(seen[1].depth == 0);
  CHECK(seen[1].stage == 2);
  CHECK(seen[1].max_tokens == 9);
  CHECK_FALSE(seen[1].final_text);
}

TEST_CASE("agent: each stage's seed is derived from its own, its name and the stage", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  agent first{model, felix::roles::research, {.id = "research_001", .seed = 7}};
  agent second{model, felix::roles::research, {.id = "research_002", .seed = 7}};
  loop.run(first("a"));
  loop.run(second("a"));
  loop.run(first("a"));
  const auto derived = [](const char* id, std::uint64_t stage) {
    return felix::derive_seed(7, id, stage) & 0x7fff'ffffU;
  };
  CHECK(model.requests()[0].seed() == derived("research_001", 1));
  CHECK(model.requests()[1].seed() == derived("research_002", 1));
  CHECK(model.requests()[2].seed() == derived("research_001", 2));
}

TEST_CASE("agent: the contribution is the answer, with who, where and how sure", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("growth").reply(growth_report);
  model.on("cut").reply(std::string(100, 'x'));
  agent writer{model, felix::roles::synthesis, {.id = "synthesis_001"}};
  const contribution report = loop.run(writer(agent_task{"growth"}.at(0.25)));
  CHECK(report.agent == "synthesis_001");
  CHECK(report.role == "synthesis");
  CHECK(report.text == growth_report);
  CHECK(report.stage == 1);
  CHECK(report.depth == 0.25);
  CHECK_THAT(report.confidence, WithinAbs(0.6 + 0.35 * 0.25 + 0.075 + 0.005 + 0.025, 1e-12));
  CHECK(report.finish_reason == felix::finish_reason::stop);
  CHECK(report.usage == model.usage());
  CHECK(report.usage.completion_tokens == static_cast<felix::token_count>((growth_report.size() + 3) / 4));
  CHECK(report.tick == 0);
  CHECK_FALSE(report.final_text);

  const contribution cut = loop.run(writer(agent_task{"cut"}.max_tokens(10)));
  CHECK(cut.stage == 2);
  CHECK(cut.text == std::string(40, 'x'));
  CHECK(cut.finish_reason == felix::finish_reason::length);
  CHECK(cut.usage.completion_tokens == 10);
}

TEST_CASE("agent: counts its answers and keeps its last ten confidences, oldest first", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("long").reply(growth_report);
  agent critic{model, felix::roles::critic};
  std::vector<double> all;
  for (int stage = 1; stage <= 13; ++stage) {
    CAPTURE(stage);
    const double depth = stage / 20.0;
    const bool report = stage % 3 == 0;
    const contribution made = loop.run(critic(agent_task{report ? "long" : "short"}.at(depth)));
    const double expected =
        felix::confidence(felix::roles::critic.confidence, depth, report ? growth_report : "ok", stage, all);
    CHECK(made.stage == stage);
    CHECK(made.confidence == expected);
    all.push_back(expected);
    CHECK(critic.stages() == stage);
  }
  CHECK(critic.confidences() == std::vector<double>(all.begin() + 3, all.end()));
}

TEST_CASE("agent: a failure passes through and is no stage", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("down").fail(felix::transport_error{"connection refused", 7});
  agent critic{model, felix::roles::critic, {.seed = 1}};
  try {
    loop.run(critic("down"));
    FAIL("answered");
  } catch (const felix::transport_error& failure) {
    CHECK(std::string{failure.what()} == "connection refused");
    CHECK(failure.native_code() == 7);
  }
  CHECK(critic.stages() == 0);
  CHECK(critic.confidences().empty());
  CHECK(loop.run(critic("up")).stage == 1);
  CHECK(model.requests()[0].seed() == model.requests()[1].seed());  // the same stage, tried again
}

TEST_CASE("agent: a stop ends its wait, and is no stage", "[agent][agent_class]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  felix::scripted_model model{loop};
  model.on("").reply("late").after(1h);
  agent critic{model, felix::roles::critic};
  felix::stop_source stop;
  felix::result<contribution> outcome = felix::result<contribution>::failure(nullptr);
  bool ended = false;
  const auto keep = [&](felix::result<contribution> got) {
    outcome = std::move(got);
    ended = true;
  };
  loop.spawn(handed_on(critic, "wait"), keep, stop.get_token());
  loop.poll();
  REQUIRE_FALSE(ended);
  REQUIRE(model.in_flight() == 1);
  stop.request_stop();
  loop.poll();
  REQUIRE(ended);
  CHECK_THROWS_AS(outcome.value(), felix::cancelled);
  CHECK(model.in_flight() == 0);
  CHECK(critic.stages() == 0);
}

TEST_CASE("agent: several work side by side, each answer goes to the agent that asked", "[agent][agent_class]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  felix::scripted_model model{loop};
  model.on("the research agent").reply("facts").after(2s);
  model.on("the critic agent").reply("doubts").after(1s);
  agent researcher{model, felix::roles::research};
  agent critic{model, felix::roles::critic};
  const auto [facts, doubts] = loop.run(felix::when_all(researcher("Rivers"), critic("Rivers")));
  CHECK(facts.text == "facts");
  CHECK(facts.agent == "research");
  CHECK(doubts.text == "doubts");
  CHECK(doubts.agent == "critic");
  CHECK(model.max_in_flight() == 2);
  CHECK(loop.now() == felix::simulated_loop::start + 2s);
}

TEST_CASE("agent: for a session, a request without a limit, and a stage that is taken once it is answered",
          "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  agent writer{model, felix::roles::synthesis, {.id = "synthesis_001", .focus = "report", .seed = 3}};
  const felix::brief about{.task = "Rivers",
                           .focus = "report",
                           .depth = 1.0,
                           .stage = 5,
                           .max_tokens = 200,
                           .style = felix::prompt_style::strict,
                           .final_text = true};
  const felix::chat_request request = writer.request_for(about);
  CHECK(model.requests().empty());
  CHECK(writer.stages() == 0);
  CHECK_FALSE(request.max_tokens());
  CHECK(request.messages()[0].content == felix::prompts::synthesis(about));
  CHECK(request.messages()[1].content == felix::user_text(about));
  CHECK(request.seed() == (felix::derive_seed(3, "synthesis_001", 5) & 0x7fff'ffffU));
  CHECK_THAT(*request.temperature(), WithinAbs(0.1, 1e-12));

  const contribution made = writer.take(about, felix::chat_response{"The end."});
  CHECK(made.final_text);
  CHECK(made.stage == 5);
  CHECK(made.depth == 1.0);
  CHECK(writer.stages() == 1);
  CHECK(writer.confidences() == std::vector<double>{made.confidence});
}

TEST_CASE("agent: is named after its role unless it has a name", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  const agent unnamed{model, felix::roles::critic};
  CHECK(unnamed.id() == "critic");
  CHECK(unnamed.role().name == "critic");
  CHECK(unnamed.focus().empty());
  const agent named{model, felix::roles::critic, {.id = "critic_002", .focus = "accuracy"}};
  CHECK(named.id() == "critic_002");
  CHECK(named.focus() == "accuracy");
}

TEST_CASE("agent: a role that cannot speak is refused", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  try {
    const agent mute{model, felix::role{.name = "mute", .prompt = nullptr}};
    FAIL("accepted");
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    CHECK(std::string{refused.what()} == "agent: its role has no prompt; set role::prompt");
  }
}

TEST_CASE("agent_task: a depth is from 0 to 1", "[agent][agent_class]") {
  CHECK(refusal_of_depth(0) == "accepted");
  CHECK(refusal_of_depth(1) == "accepted");
  CHECK(refusal_of_depth(-0.5) == "agent_task: depth is -0.500000; use 0 to 1");
  CHECK(refusal_of_depth(1.5) == "agent_task: depth is 1.500000; use 0 to 1");
  CHECK(refusal_of_depth(std::numeric_limits<double>::quiet_NaN()) == "agent_task: depth is nan; use 0 to 1");
}

TEST_CASE("agent_task: 0 tokens are not \"no limit\"", "[agent][agent_class]") {
  for (const felix::token_count tokens : {0, -5}) {
    agent_task work = "Rivers";
    try {
      work.max_tokens(tokens);
      FAIL("accepted");
    } catch (const felix::error& refused) {
      CHECK(refused.code() == felix::errc::invalid_argument);
      CHECK(std::string{refused.what()} ==
            "agent_task: max_tokens is " + std::to_string(tokens) + "; ask for at least 1, or do not give the task");
    }
  }
  CHECK_NOTHROW(agent_task{"Rivers"}.max_tokens(1));
}

TEST_CASE("agent_task: a named one is changed in place and can be given again", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  agent critic{model, felix::roles::critic};
  agent_task work = "Rivers";
  agent_task& same = work.at(0.5).max_tokens(7).findings("f").priority(felix::request_priority::urgent);
  CHECK(&same == &work);
  loop.run(critic(work));
  loop.run(critic(work));
  REQUIRE(model.requests().size() == 2);
  for (const auto& sent : model.requests()) {
    CHECK(sent.messages()[1].content == "Topic: Rivers\nFindings:\nf");
    CHECK(sent.max_tokens() == 7);
    CHECK(sent.priority() == felix::request_priority::urgent);
    CHECK_THAT(*sent.temperature(), WithinAbs(0.35, 1e-12));
  }
}

TEST_CASE("agent: is told by its role, depth and stage how much to compress what it reads", "[agent]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  const felix::agent critic{model, felix::roles::critic};
  const auto told = [&](int stage, std::string findings) {
    const auto request = critic.request_for({.task = "tea", .findings = std::move(findings), .stage = stage});
    return request.messages().front().content;
  };
  CHECK(told(1, "- [a] x").find("Compress findings by 85%") != std::string::npos);
  CHECK(told(2, "- [a] x").find("Compress findings by 90%") != std::string::npos);
  CHECK(told(2, "").find("Compress") == std::string::npos);
}

TEST_CASE("agent: says what it has done: answers, failures, tokens, time and trend", "[agent][agent_class]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("down").fail(felix::transport_error{"connection refused", 7}).after(1s);
  model.on("late").reply("late").after(1h);
  model.on("").reply("Fine.").after(2s);
  agent critic{model, felix::roles::critic};
  CHECK(critic.usage_stats().mean_time() == 0s);
  const auto first = loop.run(critic(agent_task{"up"}.at(0.1)));
  const auto second = loop.run(critic(agent_task{"up"}.at(0.7)));
  CHECK_THROWS_AS(loop.run(critic("down")), felix::transport_error);
  CHECK_THROWS_AS(loop.run(felix::timeout(5s, critic("late"))), felix::timed_out);
  const felix::agent_usage used = critic.usage_stats();
  CHECK(used.answers == 2);
  CHECK(used.failed == 1);
  CHECK(used.usage == first.usage + second.usage);
  CHECK(used.time == 5s);
  CHECK(used.mean_time() == std::chrono::nanoseconds{5s} / 3);
  CHECK(used.confidence == second.confidence);
  CHECK(used.confidence_trend == second.confidence - first.confidence);
}
