// SPDX-License-Identifier: MIT
// An agent with tools: functions of the program that the model may ask to have called.
//     ./tools [BASE_URL [QUESTION]]
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <chrono>
#include <map>
#include <string>

using namespace std::chrono_literals;

namespace {

struct station {
  std::map<std::string, std::string> reports{{"Bern", "rain, 7 degrees"}, {"Basel", "sun, 11 degrees"}};

  felix::task<std::string> report(std::string city) const {
    co_await felix::sleep_for(100ms);  // it asks somebody
    const auto found = reports.find(city);
    if (found == reports.end())
      throw felix::error{felix::errc::invalid_argument, "no station there; try Bern or Basel"};
    co_return found->second;
  }
};

}  // namespace

int main(int argc, char** argv) try {
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = argc > 1 ? argv[1] : "http://localhost:1234/v1"}};
  const station here;

  // What the model is told: a name, what it does, and the schema of its arguments. What the function throws is told it, too.
  felix::tool weather{"weather",
                      "Current weather of a city",
                      R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})",
                      [&here](felix::json_value args) -> felix::task<std::string> {
                        co_return co_await here.report(args["city"].string());
                      },
                      {.max_calls = 5, .time = 10s}};
  felix::tool clock{"clock", "Minutes since midnight, UTC", "", [](const felix::json_value&) {
                      const auto now = std::chrono::system_clock::now().time_since_epoch();
                      return std::to_string(std::chrono::duration_cast<std::chrono::minutes>(now).count() % 1'440);
                    }};

  felix::agent guide{llm, felix::roles::research, {.tools = {weather, clock}, .max_tool_rounds = 4}};
  const auto made =
      loop.run(guide.process(argc > 2 ? argv[2] : "Ask the weather tool: should I take an umbrella in Bern?"));

  for (const auto& call : made.tool_calls)
    fmt::print("{}({}) = {} [{} ms]\n", call.name, call.arguments, call.result,
               std::chrono::duration_cast<std::chrono::milliseconds>(call.end - call.begin).count());
  fmt::print("{}\n{}{}\n", made.text, made.usage,
             made.tools_ended_by == felix::tool_loop_end::answered ? "" : ", and it had to hand back what it had");
} catch (const felix::error& failure) {
  fmt::print(stderr, "tools: {}\n", failure.what());
  return 1;
}
