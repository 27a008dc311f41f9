// SPDX-License-Identifier: MIT
// agent: a function of the program that a model may ask to have called.
#pragma once

#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_message.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/json_value.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

struct tool_options {
  std::optional<int> max_calls = {};  ///< in one task of an agent; empty: as many as the agent may make
  std::chrono::nanoseconds time = std::chrono::seconds{30};  ///< of one call; then it is stopped
};

/// What a model is told of a function, and the function.
///     felix::tool weather{"weather", "Current weather of a city",
///                         R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})",
///                         [&](felix::json_value args) -> felix::task<std::string> {
///                           co_return co_await station.report(args["city"].string());
///                         }};
/// The function is called with an object, which need not be what the schema says: what it throws is told to the model, so an
/// exception says what to do better, and no secret. It is called by several calls of one answer at the same time.
/// A value; copies share the function.
class tool {
 public:
  using function = std::function<task<std::string>(json_value)>;

  /// `parameters` is a JSON schema; empty: the function has none. Throws error (invalid_argument) for a name that is none
  /// (1 to 64 of A-Z a-z 0-9 _ -) and a schema that is no object.
  template <class F>
    requires std::invocable<F&, json_value>
  tool(std::string name, std::string description, std::string parameters, F run, tool_options options = {})
      : offered_{std::move(name), std::move(description), std::move(parameters)},
        run_{as_function(std::move(run))},
        options_{options} {
    static_cast<void>(chat_request{}.tool(offered_));  // checks the name
    if (offered_.parameters.empty()) return;
    try {
      static_cast<void>(json_value::parse(offered_.parameters).object());
    } catch (const error& wrong) {
      throw error{errc::invalid_argument,
                  "tool \"" + offered_.name + "\": its schema has to be a JSON object: " + wrong.what()};
    }
  }

  [[nodiscard]] const std::string& name() const noexcept { return offered_.name; }
  [[nodiscard]] const function_tool& offered() const noexcept { return offered_; }
  [[nodiscard]] const tool_options& options() const noexcept { return options_; }
  [[nodiscard]] task<std::string> operator()(json_value arguments) const { return run_(std::move(arguments)); }

 private:
  /// A function that does not wait is one, too.
  template <class F>
  static function as_function(F run) {
    if constexpr (std::is_convertible_v<std::invoke_result_t<F&, json_value>, std::string>) {
      return [run = std::move(run)](json_value arguments) mutable { return at_once(run, std::move(arguments)); };
    } else {
      return run;
    }
  }
  template <class F>
  static task<std::string> at_once(F& run, json_value arguments) {
    co_return run(std::move(arguments));
  }

  function_tool offered_;
  function run_;
  tool_options options_;
};

}  // namespace felix::inline v1
