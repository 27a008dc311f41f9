// SPDX-License-Identifier: MIT
// llm: a chat request as the JSON that a server understands.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/dialect.hpp>
#include <felix/llm/json_text.hpp>
#include <felix/priority.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// Writes the body of POST /chat/completions. Texts that are JSON already (schemas, extra fields) are written as they
/// are: whoever sends them has checked them.
class request_body {
 public:
  /// `default_model` is used where the request names none. `n`: how many answers this one asks for.
  [[nodiscard]] static std::string of(const chat_request& request, const dialect& spoken,
                                      std::string_view default_model, bool stream, int n = 1) {
    if (request.messages().empty()) throw refused("there is no message; add one with user(text)");
    request_body body{request.extra()};
    body.json_.reserve(size_of(request));
    body.write(request, spoken, default_model, stream, n);
    return std::move(body.json_);
  }

 private:
  using extra_fields = std::vector<std::pair<std::string, std::string>>;

  explicit request_body(const extra_fields& extra) noexcept : extra_{extra} {}

  static error refused(const std::string& why) { return {errc::invalid_argument, "chat_request: " + why}; }
  static std::size_t size_of(const chat_request& request) {
    std::size_t bytes = 256;
    for (const chat_message& message : request.messages()) bytes += message.content.size() + 40;
    return bytes + bytes / 32;  // some line breaks are escaped
  }

  void write(const chat_request& request, const dialect& spoken, std::string_view default_model, bool stream, int n) {
    json_ += '{';
    if (!is_replaced("model")) {
      json_ += R"("model":)";
      append_json_string(json_, request.model().empty() ? default_model : std::string_view{request.model()});
      json_ += ',';
    }
    json_ += R"("messages":[)";
    for (bool first = true; const chat_message& each : request.messages()) {
      if (!std::exchange(first, false)) json_ += ',';
      message(each);
    }
    json_ += ']';
    const auto number = [this](std::string_view name, const auto& value) {
      if (value && !is_replaced(name)) fmt::format_to(std::back_inserter(json_), R"(,"{}":{})", name, *value);
    };
    number(spoken.max_tokens_field, request.max_tokens());
    number("temperature", request.temperature());
    number("top_p", request.top_p());
    number("presence_penalty", request.presence_penalty());
    number("frequency_penalty", request.frequency_penalty());
    number("seed", request.seed());
    if (n > 1) fmt::format_to(std::back_inserter(json_), R"(,"n":{})", n);
    if (request.logprobs() && !is_replaced("logprobs")) {
      json_ += R"(,"logprobs":true)";
      if (*request.logprobs() > 0) number("top_logprobs", request.logprobs());
    }
    if (!request.stop().empty() && !is_replaced("stop")) {
      list("stop", request.stop(), [this](const std::string& text) { append_json_string(json_, text); });
    }
    tools(request, spoken);
    if (!is_replaced("response_format")) format(request.format());
    if (spoken.reasoning_effort && !request.reasoning_effort().empty() && !is_replaced("reasoning_effort"))
      text("reasoning_effort", request.reasoning_effort());
    if (spoken.end_user && !request.end_user().empty() && !is_replaced("user")) text("user", request.end_user());
    if (spoken.priority && !is_replaced("priority"))  // vLLM's: lower goes first
      fmt::format_to(std::back_inserter(json_), R"(,"priority":{})",
                     10 * (static_cast<int>(request_priority::urgent) - static_cast<int>(request.priority())));
    extra(spoken);
    if (!stream) {
      json_ += R"(,"stream":false})";
      return;
    }
    if (spoken.timings && !is_replaced("timings_per_token")) json_ += R"(,"timings_per_token":true)";
    json_ += R"(,"stream":true,"stream_options":{"include_usage":true)";
    if (spoken.usage_in_each_chunk) json_ += R"(,"continuous_usage_stats":true)";
    json_ += "}}";
  }

  /// Whether an extra field takes the place of what would be written.
  [[nodiscard]] bool is_replaced(std::string_view name) const noexcept {
    return std::any_of(extra_.begin(), extra_.end(), [name](const auto& field) { return field.first == name; });
  }
  void extra(const dialect& spoken) {
    for (auto each = extra_.begin(); each != extra_.end(); ++each) {
      const std::string& name = each->first;
      refuse_own(name, spoken);
      const auto same = [&name](const auto& field) { return field.first == name; };
      if (std::any_of(std::next(each), extra_.end(), same)) continue;  // the last counts, as with every setter
      key(name);
      json_ += each->second;
    }
  }
  /// What felix goes by itself is not to be said behind its back.
  static void refuse_own(const std::string& name, const dialect& spoken) {
    struct field {
      std::string_view name, instead;
    };
    for (const auto& [own, instead] : {field{"messages", "use user(), system() or message()"},
                                       {"max_tokens", "use max_tokens()"},
                                       {"max_completion_tokens", "use max_tokens()"},
                                       {"n_predict", "use max_tokens()"},  // llama.cpp's, which goes before the others
                                       {spoken.max_tokens_field, "use max_tokens()"},
                                       {"n", "use n()"},
                                       {"n_cmpl", "use n()"},  // llama.cpp's, for which n is another name
                                       {"stream", "ask with complete() or stream()"},
                                       {"stream_options", "felix asks for the usage itself"}}) {
      if (is_same(name, own))
        throw refused("the extra field \"" + name + "\" is one that felix goes by; " + std::string{instead});
    }
  }

  /// Ollama, as all that Go decodes, takes MAX_TOKENS for max_tokens.
  [[nodiscard]] static bool is_same(std::string_view name, std::string_view own) noexcept {
    const auto lower = [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(name.begin(), name.end(), own.begin(), own.end(),
                      [lower](char said, char known) { return lower(said) == lower(known); });
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
    const bool writes_tools = !is_replaced("tools");
    const bool writes_choice = request.tool_choice().has_value() && !is_replaced("tool_choice");
    const std::string& chosen = request.chosen_tool();
    if (writes_tools && writes_choice) check_choice(request);
    const bool alone = writes_tools && writes_choice && !chosen.empty() && !spoken.named_tool_choice;
    if (writes_tools) {
      if (request.tools().empty()) return;
      key("tools");
      json_ += '[';
      for (bool first = true; const function_tool& offered : request.tools()) {
        if (alone && offered.name != chosen) continue;
        if (!std::exchange(first, false)) json_ += ',';
        tool(offered);
      }
      json_ += ']';
    }
    if (!writes_choice) return;
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
  void tool(const function_tool& offered) {
    json_ += R"({"type":"function","function":{"name":)";
    append_json_string(json_, offered.name);
    if (!offered.description.empty()) text("description", offered.description);
    if (!offered.parameters.empty()) {
      key("parameters");
      json_ += offered.parameters;
    }
    json_ += "}}";
  }
  /// Servers refuse a call of what is not offered, or ignore it.
  static void check_choice(const chat_request& request) {
    if (request.tool_choice() != tool_mode::required) return;
    const std::string& chosen = request.chosen_tool();
    const std::string what = chosen.empty() ? "tool_choice requires a call" : "tool_choice names \"" + chosen + '"';
    if (request.tools().empty()) throw refused(what + ", but no tool is offered; add one with tool()");
    if (chosen.empty()) return;
    std::string names;
    for (const function_tool& offered : request.tools()) {
      if (offered.name == chosen) return;
      names += (names.empty() ? "" : ", ") + offered.name;
    }
    throw refused(what + ", which is not offered; add it with tool(), or name one of: " + names);
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

  const extra_fields& extra_;
  std::string json_;
};

}  // namespace detail
}  // namespace felix::inline v1
