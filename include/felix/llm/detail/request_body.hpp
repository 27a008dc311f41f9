// SPDX-License-Identifier: MIT
// llm: a chat request as the JSON that a server understands.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/dialect.hpp>
#include <felix/llm/json_text.hpp>
#include <felix/priority.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace felix::inline v1 {
namespace detail {

/// Writes the body of POST /chat/completions. Texts that are JSON already (schemas, extra fields) are written as they
/// are: whoever sends them has checked them.
class request_body {
 public:
  /// `default_model` is used where the request names none. `n`: how many answers this one asks for.
  [[nodiscard]] static std::string of(const chat_request& request, const dialect& spoken,
                                      std::string_view default_model, bool stream, int n = 1) {
    if (request.messages().empty())
      throw error{errc::invalid_argument, "chat_request: there is no message; add one with user(text)"};
    request_body body;
    body.json_.reserve(size_of(request));
    body.write(request, spoken, default_model, stream, n);
    return std::move(body.json_);
  }

 private:
  static std::size_t size_of(const chat_request& request) {
    std::size_t bytes = 256;
    for (const chat_message& message : request.messages()) bytes += message.content.size() + 40;
    return bytes + bytes / 32;  // some line breaks are escaped
  }

  void write(const chat_request& request, const dialect& spoken, std::string_view default_model, bool stream, int n) {
    json_ += R"({"model":)";
    append_json_string(json_, request.model().empty() ? default_model : std::string_view{request.model()});
    json_ += R"(,"messages":[)";
    for (bool first = true; const chat_message& each : request.messages()) {
      if (!std::exchange(first, false)) json_ += ',';
      message(each);
    }
    json_ += ']';
    const auto number = [this](std::string_view name, const auto& value) {
      if (value) fmt::format_to(std::back_inserter(json_), R"(,"{}":{})", name, *value);
    };
    number(spoken.max_tokens_field, request.max_tokens());
    number("temperature", request.temperature());
    number("top_p", request.top_p());
    number("presence_penalty", request.presence_penalty());
    number("frequency_penalty", request.frequency_penalty());
    number("seed", request.seed());
    if (n > 1) fmt::format_to(std::back_inserter(json_), R"(,"n":{})", n);
    if (request.logprobs()) {
      json_ += R"(,"logprobs":true)";
      if (*request.logprobs() > 0) number("top_logprobs", request.logprobs());
    }
    if (!request.stop().empty()) {
      list("stop", request.stop(), [this](const std::string& text) { append_json_string(json_, text); });
    }
    tools(request, spoken);
    format(request.format());
    if (spoken.reasoning_effort && !request.reasoning_effort().empty())
      text("reasoning_effort", request.reasoning_effort());
    if (spoken.end_user && !request.end_user().empty()) text("user", request.end_user());
    if (spoken.priority)  // vLLM's: lower goes first
      fmt::format_to(std::back_inserter(json_), R"(,"priority":{})",
                     10 * (static_cast<int>(request_priority::urgent) - static_cast<int>(request.priority())));
    for (const auto& [name, value] : request.extra()) {
      key(name);
      json_ += value;
    }
    if (!stream) {
      json_ += R"(,"stream":false})";
      return;
    }
    if (spoken.timings) json_ += R"(,"timings_per_token":true)";
    json_ += R"(,"stream":true,"stream_options":{"include_usage":true)";
    if (spoken.usage_in_each_chunk) json_ += R"(,"continuous_usage_stats":true)";
    json_ += "}}";
  }

  void message(const chat_message& said) {
    json_ += R"({"role":)";
    append_json_string(json_, to_string(said.role));
    if (said.content.empty() && said.parts.empty() && !said.tool_calls.empty()) {
      json_ += R"(,"content":null)";
    } else if (said.parts.empty()) {
      text("content", said.content);
    } else {
      json_ += R"(,"content":[)";
      if (!said.content.empty()) part(said.content);
      for (const content_part& each : said.parts) {
        if (json_.back() != '[') json_ += ',';
        std::visit([this](const auto& piece) { part(piece); }, each);
      }
      json_ += ']';
    }
    if (!said.tool_calls.empty()) {
      list("tool_calls", said.tool_calls, [this](const tool_call& call) {
        json_ += R"({"type":"function")";
        text("id", call.id);
        json_ += R"(,"function":{"name":)";
        append_json_string(json_, call.name);
        text("arguments", call.arguments.empty() ? std::string_view{"{}"} : std::string_view{call.arguments});
        json_ += "}}";
      });
    }
    if (said.role == chat_role::tool) text("tool_call_id", said.tool_call_id);
    json_ += '}';
  }
  void part(const std::string& words) {
    json_ += R"({"type":"text")";
    text("text", words);
    json_ += '}';
  }
  void part(const image& picture) {
    json_ += R"({"type":"image_url","image_url":{"url":)";
    append_json_string(json_, picture.url());
    json_ += "}}";
  }

  void tools(const chat_request& request, const dialect& spoken) {
    if (request.tools().empty()) return;
    const std::string& chosen = request.chosen_tool();
    const bool alone = !chosen.empty() && !spoken.named_tool_choice;
    json_ += R"(,"tools":[)";
    bool found = chosen.empty();
    for (bool first = true; const function_tool& offered : request.tools()) {
      found = found || offered.name == chosen;
      if (alone && offered.name != chosen) continue;
      if (!std::exchange(first, false)) json_ += ',';
      json_ += R"({"type":"function","function":{"name":)";
      append_json_string(json_, offered.name);
      if (!offered.description.empty()) text("description", offered.description);
      if (!offered.parameters.empty()) {
        key("parameters");
        json_ += offered.parameters;
      }
      json_ += "}}";
    }
    json_ += ']';
    if (!found)
      throw error{errc::invalid_argument,
                  "chat_request: tool_choice names \"" + chosen + "\", which is not offered; add it with tool()"};
    if (!request.tool_choice()) return;
    switch (*request.tool_choice()) {
      case tool_mode::automatic: return text("tool_choice", "auto");
      case tool_mode::none: return text("tool_choice", "none");
      case tool_mode::required: break;
    }
    if (chosen.empty() || alone) return text("tool_choice", "required");
    json_ += R"(,"tool_choice":{"type":"function","function":{"name":)";
    append_json_string(json_, chosen);
    json_ += "}}";
  }

  void format(const response_format& wanted) {
    if (wanted.form == response_format::kind::text) return;
    if (wanted.form == response_format::kind::json_object) {
      json_ += R"(,"response_format":{"type":"json_object"})";
      return;
    }
    json_ += R"(,"response_format":{"type":"json_schema","json_schema":{"name":)";
    append_json_string(json_, wanted.name);
    json_ += wanted.strict ? R"(,"strict":true,"schema":)" : R"(,"strict":false,"schema":)";
    json_ += wanted.schema;
    json_ += "}}";
  }

  void key(std::string_view name) {
    json_ += ',';
    append_json_string(json_, name);
    json_ += ':';
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    append_json_string(json_, value);
  }
  template <class Range, class Write>
  void list(std::string_view name, const Range& values, Write write) {
    key(name);
    json_ += '[';
    for (bool first = true; const auto& value : values) {
      if (!std::exchange(first, false)) json_ += ',';
      write(value);
    }
    json_ += ']';
  }

  std::string json_;
};

}  // namespace detail
}  // namespace felix::inline v1
