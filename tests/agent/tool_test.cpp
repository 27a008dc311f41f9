// SPDX-License-Identifier: MIT
// agent: a function of the program that a model may ask to have called.
#include <felix/agent/tool.hpp>

#include <felix/async/simulated_loop.hpp>
#include "support/catch.hpp"

#include <string>

using felix::json_value;
using felix::tool;

namespace {

std::string refusal(const std::string& name, const std::string& parameters) {
  try {
    const tool refused{name, "", parameters, [](const json_value&) { return "x"; }};
  } catch (const felix::error& failure) {
    CHECK(failure.code() == felix::errc::invalid_argument);
    return failure.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("tool: is what a model is told, and the function", "[agent][tool]") {
  felix::simulated_loop loop;
  const tool weather{"weather", "Current weather of a city", R"({"type":"object"})",
                     [](json_value args) -> felix::task<std::string> { co_return "rain in " + args["city"].string(); }};
  CHECK(weather.name() == "weather");
  CHECK(weather.offered().description == "Current weather of a city");
  CHECK(weather.offered().parameters == R"({"type":"object"})");
  CHECK(loop.run(weather(json_value::parse(R"({"city":"Bern"})"))) == "rain in Bern");
  CHECK_THROWS_WITH(loop.run(weather(json_value::parse("{}"))), "city is missing");
}

TEST_CASE("tool: a function that does not wait is one, too", "[agent][tool]") {
  felix::simulated_loop loop;
  int calls = 0;
  const tool dice{"dice", "Rolls", "", [&calls](const json_value&) { return std::to_string(++calls); }};
  const tool copy = dice;
  CHECK(loop.run(dice({})) == "1");
  CHECK(loop.run(copy({})) == "2");
}

TEST_CASE("tool: bad names and schemas are refused", "[agent][tool]") {
  CHECK_THAT(refusal("my tool", "{}"), Catch::Matchers::ContainsSubstring("name"));
  CHECK_THAT(refusal("", "{}"), Catch::Matchers::ContainsSubstring("name"));
  CHECK(refusal("t", "no") == "tool \"t\": its schema has to be a JSON object: it is no valid JSON");
  CHECK(refusal("t", "[]") ==
        "tool \"t\": its schema has to be a JSON object: the whole: expected an object, it is an array");
  CHECK(refusal("t", "{}") == "accepted");
}
