// SPDX-License-Identifier: MIT
// agent: an answer that is read while it is written is a stage exactly once.
#include <felix/agent/agent_stream.hpp>

#include <felix/agent/agent.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <string>

using namespace std::chrono_literals;

namespace {

felix::task<std::string> read(felix::agent_stream& from, int at_most = 1'000) {
  std::string text;
  for (int i = 0; i < at_most; ++i) {
    const auto delta = co_await from.next();
    if (!delta) break;
    text += delta->text();
  }
  co_return text;
}

}  // namespace

TEST_CASE("agent_stream: gives the answer in pieces, and then what process would have given", "[agent][agent_stream]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply("Tea is old. It comes from China.").after(2s);
  felix::agent streamed{model, felix::roles::research, {.seed = 5}};
  felix::agent whole{model, felix::roles::research, {.seed = 5}};
  auto writing = streamed.stream(felix::agent_task{"Tea"}.at(0.25).max_tokens(100));
  CHECK(model.requests().empty());
  CHECK_FALSE(writing.made());
  CHECK(loop.run(read(writing)) == "Tea is old. It comes from China.");
  REQUIRE(writing.made());
  const auto made = loop.run(whole.process(felix::agent_task{"Tea"}.at(0.25).max_tokens(100)));
  CHECK(writing.made()->text == made.text);
  CHECK(writing.made()->confidence == made.confidence);
  CHECK(writing.made()->usage == made.usage);
  CHECK(writing.made()->depth == 0.25);
  CHECK(streamed.stages() == 1);
  CHECK(loop.run(read(writing)).empty());  // the end stays the end
  CHECK(streamed.stages() == 1);
  CHECK(streamed.usage_stats().time == 2s);
  CHECK(streamed.usage_stats().usage == made.usage);
}

TEST_CASE("agent_stream: is the stage that it is when it begins", "[agent][agent_stream]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply("Fine.");
  felix::agent who{model, felix::roles::research, {.seed = 5}};
  auto later = who.stream("Tea");
  CHECK(later.response().text().empty());
  CHECK(loop.run(who.process("Tea")).stage == 1);
  static_cast<void>(loop.run(read(later)));
  REQUIRE(later.made());
  CHECK(later.made()->stage == 2);
  CHECK(model.requests()[0].seed() != model.requests()[1].seed());
}

TEST_CASE("agent_stream: left early, it is no stage", "[agent][agent_stream]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply("Tea is old. It comes from China.").after(2s);
  felix::agent who{model, felix::roles::research};
  {
    auto writing = who.stream("Tea");
    CHECK_FALSE(loop.run(read(writing, 1)).empty());
    CHECK_FALSE(writing.made());
  }
  CHECK(who.stages() == 0);
  CHECK(who.usage_stats().failed == 0);
}

TEST_CASE("agent_stream: a failure is thrown, and counted", "[agent][agent_stream]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").fail(felix::transport_error{"no answer", 7}).after(3s);
  felix::agent who{model, felix::roles::research};
  auto writing = who.stream("Tea");
  CHECK_THROWS_AS(loop.run(read(writing)), felix::error);
  CHECK(loop.run(read(writing)).empty());  // the end stays the end
  CHECK_FALSE(writing.made());
  CHECK(who.stages() == 0);
  CHECK(who.usage_stats().failed == 1);
  CHECK(who.usage_stats().time == 3s);
}

TEST_CASE("agent_stream: an agent with tools has none", "[agent][agent_stream]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  const felix::tool clock{"time", "The time", R"({"type":"object"})",
                          [](felix::json_value) -> felix::task<std::string> { co_return "noon"; }};
  felix::agent who{model, felix::roles::research, {.tools = {clock}}};
  CHECK_THROWS_AS(who.stream("When?"), felix::error);
}
