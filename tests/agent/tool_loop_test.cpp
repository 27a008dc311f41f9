// SPDX-License-Identifier: MIT
// agent: asks a model, calls the tools that it asks for, and asks again, until it has answered.
#include <felix/agent/tool_loop.hpp>

#include <felix/agent/agent.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/timeout.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using felix::chat_request;
using felix::chat_response;
using felix::json_value;
using felix::tool;
using felix::tool_call;
using felix::tool_loop_end;
using namespace std::chrono_literals;

namespace {

/// Asks for what the test says in each round, and answers when that is nothing.
struct calling_model {
  std::function<std::vector<tool_call>(int)> calls;
  std::vector<chat_request> requests = {};
  bool obeys = true;  // tool_choice

  felix::task<chat_response> complete(chat_request request) {
    co_await felix::sleep_for(100ms);
    requests.push_back(request);
    const bool may_call = !obeys || request.tool_choice() != felix::tool_mode::none;
    chat_response answer{may_call ? "I call." : "Handed back."};
    if (may_call) {
      auto asked = calls(static_cast<int>(requests.size()));
      if (asked.empty()) answer = chat_response{"Done."};
      answer.choice(0).tool_calls = std::move(asked);
    }
    answer.usage({.prompt_tokens = 10, .completion_tokens = 5, .total_tokens = 15});
    co_return answer;
  }
};

tool_call call(std::string id, std::string name, std::string arguments = "{}") {
  return {.id = std::move(id), .name = std::move(name), .arguments = std::move(arguments)};
}

struct rig {
  explicit rig(std::function<std::vector<tool_call>(int)> calls) : model{std::move(calls)} {}
  rig(rig&&) = delete;  // its tools refer to it

  felix::simulated_loop loop;
  calling_model model;
  std::vector<std::string> called = {};
  std::vector<tool> tools = {
      tool{"weather", "Of a city", R"({"type":"object"})",
           [this](json_value args) -> felix::task<std::string> {
             called.push_back(args["city"].string());
             co_await felix::sleep_for(args["city"].string() == "Bern" ? 2s : 1s);
             co_return "rain in " + args["city"].string();
           }},
      tool{"broken", "Throws", "",
           [](const json_value&) -> std::string { throw std::runtime_error{"no such station"}; }},
      tool{"slow",
           "Waits",
           "",
           [](const json_value&) -> felix::task<std::string> {
             co_await felix::sleep_for(1h);
             co_return "late";
           },
           {.time = 5s}},
      tool{"once", "Once", "", [](const json_value&) { return "now"; }, {.max_calls = 1}}};

  felix::tool_loop_result run(const felix::tool_loop_options& options = {}) {
    felix::tool_loop asking{tools, options, [this](chat_request next) { return model.complete(std::move(next)); }};
    return loop.run(asking.run(chat_request{}.user("What of the weather?")));
  }
};

}  // namespace

TEST_CASE("tool_loop: calls what is asked for, side by side, and gives each result to its call", "[agent][tool_loop]") {
  rig with{[](int round) {
    return round > 1
               ? std::vector<tool_call>{}
               : std::vector{call("a", "weather", R"({"city":"Bern"})"), call("b", "weather", R"({"city":"Basel"})")};
  }};
  const auto got = with.run();
  CHECK(got.answer.text() == "Done.");
  CHECK(got.ended_by == tool_loop_end::answered);
  CHECK(got.rounds == 2);
  CHECK(got.usage.total_tokens == 30);
  CHECK(with.loop.now() - felix::simulated_loop::start == 2'200ms);  // two rounds, and the slower of the tools
  REQUIRE(got.calls.size() == 2);
  CHECK(got.calls[0].result == "rain in Bern");
  CHECK(got.calls[0].end - got.calls[0].begin == 2s);
  CHECK(got.calls[1].result == "rain in Basel");
  CHECK(got.calls[1].round == 1);
  CHECK_FALSE(got.calls[1].failed);
  REQUIRE(with.model.requests.size() == 2);
  CHECK(with.model.requests[0].tools().size() == 4);
  const auto& said = with.model.requests[1].messages();
  REQUIRE(said.size() == 4);
  CHECK(said[1].role == felix::chat_role::assistant);
  CHECK(said[1].content == "I call.");
  CHECK(said[1].tool_calls.size() == 2);
  CHECK(said[2].tool_call_id == "a");
  CHECK(said[2].content == "rain in Bern");
  CHECK(said[3].tool_call_id == "b");
}

TEST_CASE("tool_loop: what goes wrong is told to the model, and it goes on", "[agent][tool_loop]") {
  rig with{[](int round) {
    return round > 1 ? std::vector<tool_call>{}
                     : std::vector{call("1", "whether"),       call("2", "weather", "no JSON"),
                                   call("3", "weather", "[]"), call("4", "weather", "{}"),
                                   call("5", "broken"),        call("6", "slow"),
                                   call("7", "once"),          call("8", "once", "")};
  }};
  const auto got = with.run();
  CHECK(got.answer.text() == "Done.");
  REQUIRE(got.calls.size() == 8);
  CHECK(got.calls[0].result == "error: there is no tool of that name; there are: weather broken slow once");
  CHECK(got.calls[1].result == "error: the arguments are no JSON object: it is no valid JSON");
  CHECK(got.calls[2].result ==
        "error: the arguments are no JSON object: the whole: expected an object, it is an array");
  CHECK(got.calls[3].result == "error: city is missing");
  CHECK(got.calls[4].result == "error: no such station");
  CHECK(got.calls[5].result == "error: it took too long");
  CHECK(got.calls[6].result == "now");
  CHECK(got.calls[7].result == "error: this tool may not be called more often");
  for (std::size_t i = 0; i < 8; ++i) CHECK(got.calls[i].failed == (i != 6));
}

TEST_CASE("tool_loop: after so many rounds the model hands back what it has", "[agent][tool_loop]") {
  rig with{[](int round) { return std::vector{call("x", "weather", R"({"city":")" + std::to_string(round) + "\"}")}; }};
  const auto got = with.run({.max_rounds = 2});
  CHECK(got.answer.text() == "Handed back.");
  CHECK(got.ended_by == tool_loop_end::rounds);
  CHECK(got.rounds == 3);
  CHECK(with.called == std::vector<std::string>{"1", "2"});
  CHECK(with.model.requests[2].tool_choice() == felix::tool_mode::none);
  CHECK(with.model.requests[2].tools().size() == 4);  // what was called is still known
}

TEST_CASE("tool_loop: a server that goes on asking for calls gets none", "[agent][tool_loop]") {
  rig with{[](int round) { return std::vector{call("x", "weather", R"({"city":")" + std::to_string(round) + "\"}")}; }};
  with.model.obeys = false;
  const auto got = with.run({.max_rounds = 2});
  CHECK(got.ended_by == tool_loop_end::rounds);
  CHECK(got.rounds == 3);
  CHECK(with.called.size() == 2);
  CHECK(got.answer.text() == "I call.");
}

TEST_CASE("tool_loop: the same call is carried out three times, however it is written, and then it is enough",
          "[agent][tool_loop]") {
  rig with{[](int round) {
    return std::vector{
        call("x", "weather", round % 2 == 0 ? R"({"city":"Bern","n":1})" : R"({ "n": 1.0, "city": "Bern" })")};
  }};
  const auto got = with.run({.max_rounds = 20});
  CHECK(got.ended_by == tool_loop_end::no_progress);
  CHECK(with.called.size() == 3);
  CHECK(got.answer.text() == "Handed back.");
}

TEST_CASE("tool_loop: rounds that bring nothing new end it", "[agent][tool_loop]") {
  rig with{[](int round) { return std::vector{call("x", "broken", "{\"n\":" + std::to_string(round) + "}")}; }};
  const auto got = with.run({.max_rounds = 20});
  CHECK(got.ended_by == tool_loop_end::no_progress);
  CHECK(got.calls.size() == 4);  // the first was new
}

TEST_CASE("tool_loop: limits of tokens, time and calls hold", "[agent][tool_loop]") {
  const auto asks_on = [](int round) {
    return std::vector{call("x", "weather", R"({"city":")" + std::to_string(round) + "\"}"),
                       call("y", "weather", R"({"city":"and )" + std::to_string(round) + "\"}")};
  };
  rig tokens{asks_on};
  CHECK(tokens.run({.max_rounds = 20, .limits = {.tokens = 50}}).ended_by == tool_loop_end::limits);
  CHECK(tokens.model.requests.size() == 4);  // 15 each: after three 45, which is beyond 40
  rig time{asks_on};
  CHECK(time.run({.max_rounds = 20, .limits = {.time = 3s}}).ended_by == tool_loop_end::limits);
  CHECK(time.loop.now() - felix::simulated_loop::start <= 4s);
  rig calls{asks_on};
  const auto got = calls.run({.max_rounds = 20, .limits = {.tool_calls = 3, .hand_back_at = 1}});
  CHECK(got.ended_by == tool_loop_end::limits);
  CHECK(calls.called.size() == 3);
  CHECK(got.calls.back().result == "error: no more calls may be made; answer with what you have");
}

TEST_CASE("tool_loop: a stop ends the tools that run", "[agent][tool_loop]") {
  rig with{[](int) { return std::vector{call("x", "slow")}; }};
  felix::tool_loop asking{with.tools, {}, [&](chat_request next) { return with.model.complete(std::move(next)); }};
  CHECK_THROWS_AS(with.loop.run(felix::timeout(1s, asking.run(chat_request{}.user("?")))), felix::timed_out);
  CHECK(with.loop.now() - felix::simulated_loop::start == 1s);
  CHECK(with.model.requests.size() == 1);
}

TEST_CASE("agent: with tools it works until it has answered, and tells what it called", "[agent][tool_loop]") {
  rig with{[](int round) {
    return round > 1 ? std::vector<tool_call>{} : std::vector{call("a", "weather", R"({"city":"Bern"})")};
  }};
  felix::agent guide{with.model, felix::roles::research, {.tools = with.tools, .max_tool_rounds = 2}};
  const auto made = with.loop.run(guide.process("Bern?"));
  CHECK(made.text == "Done.");
  CHECK(made.usage.total_tokens == 30);
  REQUIRE(made.tool_calls.size() == 1);
  CHECK(made.tool_calls[0].result == "rain in Bern");
  CHECK(made.tools_ended_by == tool_loop_end::answered);
  CHECK(guide.stages() == 1);
  CHECK_THROWS_WITH((felix::agent{with.model, felix::roles::research, {.tools = with.tools, .max_tool_rounds = 0}}),
                    Catch::Matchers::ContainsSubstring("max_tool_rounds is 0"));
}
