// SPDX-License-Identifier: MIT
// llm: a chat request, as a value.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/chat_message.hpp>
#include <felix/llm/detail/shared_value.hpp>
#include <felix/priority.hpp>
#include <felix/usage.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Whether the model may, must or must not ask for tools. That it must is an error where none is offered.
enum class tool_mode : unsigned char { automatic, none, required };

/// The form that the answer has to have.
struct response_format {
  enum class kind : unsigned char { text, json_object, json_schema };
  kind form = kind::text;
  std::string name = {};    ///< of the schema
  std::string schema = {};  ///< JSON, as text
  bool strict = true;
};

/// What is asked. A value, built fluently: a setter changes a named request, and gives a new one from a temporary.
///     auto chat = felix::chat_request{}.system("You are terse.").user("Name a river.").temperature(0.2);
///     auto river = co_await llm.complete(chat);
///     auto longer = co_await llm.complete(chat.assistant(river.text()).user("How long is it?"));
/// What is not set is not sent, and the server's default holds. Setters throw error (invalid_argument) for what no server
/// could accept. Copies share their texts until one is changed: to keep one and send it again costs next to nothing.
/// Not an aggregate: g++ 12 destroys aggregate temporaries of a co_await expression twice.
class chat_request {
 public:
  chat_request() = default;

  chat_request& system(std::string text) & { return add({.role = chat_role::system, .content = std::move(text)}); }
  chat_request system(std::string text) && { return std::move(system(std::move(text))); }
  /// Text, and what else belongs to it, in its order: `.user("Which is older?", image::from_file("a.png"), "or", b)`.
  template <std::convertible_to<content_part>... Parts>
  chat_request& user(std::string text, Parts&&... more) & {
    chat_message message{.role = chat_role::user, .content = std::move(text)};
    (message.parts.push_back(content_part(std::forward<Parts>(more))), ...);
    return add(std::move(message));
  }
  template <std::convertible_to<content_part>... Parts>
  chat_request user(std::string text, Parts&&... more) && {
    return std::move(user(std::move(text), std::forward<Parts>(more)...));
  }
  /// What the model said before, with the calls it asked for: `.assistant(answer.text(), answer.tool_calls())`.
  chat_request& assistant(std::string text, std::vector<tool_call> calls = {}) & {
    return add({.role = chat_role::assistant, .content = std::move(text), .tool_calls = std::move(calls)});
  }
  chat_request assistant(std::string text, std::vector<tool_call> calls = {}) && {
    return std::move(assistant(std::move(text), std::move(calls)));
  }
  /// What came of a call that the message before asked for.
  chat_request& tool_result(std::string call_id, std::string text) & {
    return add({.role = chat_role::tool, .content = std::move(text), .tool_call_id = std::move(call_id)});
  }
  chat_request tool_result(std::string call_id, std::string text) && {
    return std::move(tool_result(std::move(call_id), std::move(text)));
  }
  chat_request& message(chat_message added) & { return add(std::move(added)); }
  chat_request message(chat_message added) && { return std::move(message(std::move(added))); }

  /// One that the model may call.
  chat_request& tool(function_tool offered) & {
    check_name("the name of a tool", offered.name);
    rare().tools.push_back(std::move(offered));
    return *this;
  }
  chat_request tool(function_tool offered) && { return std::move(tool(std::move(offered))); }
  chat_request& tool_choice(tool_mode mode) & {
    rare().mode = mode;
    rare().tool_choice.clear();
    return *this;
  }
  chat_request tool_choice(tool_mode mode) && { return std::move(tool_choice(mode)); }
  /// The one tool that has to be called. Error (invalid_argument) when the request is sent, if it is not offered.
  chat_request& tool_choice(std::string name) & {
    check_name("tool_choice", name);
    rare().tool_choice = std::move(name);
    rare().mode = tool_mode::required;
    return *this;
  }
  chat_request tool_choice(std::string name) && { return std::move(tool_choice(std::move(name))); }

  /// The answer has to be a JSON object.
  chat_request& json_object() & {
    rare().format = {.form = response_format::kind::json_object};
    return *this;
  }
  chat_request json_object() && { return std::move(json_object()); }
  /// The answer has to fit a JSON schema. Check it all the same: not every server keeps to it.
  chat_request& json_schema(std::string name, std::string schema, bool strict = true) & {
    check_name("the name of a schema", name);
    rare().format = {response_format::kind::json_schema, std::move(name), std::move(schema), strict};
    return *this;
  }
  chat_request json_schema(std::string name, std::string schema, bool strict = true) && {
    return std::move(json_schema(std::move(name), std::move(schema), strict));
  }

  /// The most tokens of the answer, reasoning included, at least 1: some servers read 0 as "no limit", others as 1.
  chat_request& max_tokens(token_count tokens) & {
    if (tokens < 1)
      throw refused("max_tokens is " + std::to_string(tokens) + "; ask for at least 1, or do not send the request");
    content_.own().max_tokens = tokens;
    return *this;
  }
  chat_request max_tokens(token_count tokens) && { return std::move(max_tokens(tokens)); }

  /// 0 to 2; higher is more varied.
  chat_request& temperature(double value) & {
    content_.own().temperature = in_range("temperature", value, 0, 2);
    return *this;
  }
  chat_request temperature(double value) && { return std::move(temperature(value)); }
  /// 0 to 1: only the likeliest tokens that together have this probability.
  chat_request& top_p(double value) & { return ranged(&rare_fields::top_p, "top_p", value, 0, 1); }
  chat_request top_p(double value) && { return std::move(top_p(value)); }
  /// -2 to 2: above 0, against words that have occurred.
  chat_request& presence_penalty(double value) & {
    return ranged(&rare_fields::presence_penalty, "presence_penalty", value, -2, 2);
  }
  chat_request presence_penalty(double value) && { return std::move(presence_penalty(value)); }
  /// -2 to 2: above 0, the more often a word has occurred, the more against it.
  chat_request& frequency_penalty(double value) & {
    return ranged(&rare_fields::frequency_penalty, "frequency_penalty", value, -2, 2);
  }
  chat_request frequency_penalty(double value) && { return std::move(frequency_penalty(value)); }

  /// Asks the server to repeat itself: the same request and seed, the same answer, as far as it can. Sent in 31 bits,
  /// which every server takes.
  chat_request& seed(std::uint64_t value) & {
    content_.own().seed = static_cast<std::uint32_t>(value & 0x7fff'ffffU);
    content_.own().has_seed = true;
    return *this;
  }
  chat_request seed(std::uint64_t value) && { return std::move(seed(value)); }

  /// The answer ends before this text, which is not part of it. At most 4, as OpenAI has it.
  chat_request& stop(std::string text) & {
    if (text.empty()) throw refused("an empty stop text; leave it out");
    if (rare().stop.size() == 4) throw refused("a fifth stop text; servers take 4");
    rare().stop.push_back(std::move(text));
    return *this;
  }
  chat_request stop(std::string text) && { return std::move(stop(std::move(text))); }

  /// How many answers, 1 to 128. Of a server that cannot give several at once (dialect::many_answers) each is asked for,
  /// one after the other in one slot. When one of them fails, another attempt asks for all of them again; what the
  /// others have cost is lost. Where that is too much, send as many requests, each with a seed of its own.
  chat_request& n(int answers) & {
    if (answers < 1 || answers > 128) throw refused("n is " + std::to_string(answers) + "; use 1 to 128");
    rare().n = answers;
    return *this;
  }
  chat_request n(int answers) && { return std::move(n(answers)); }

  /// Of each token of the answer how likely it was, and `alternatives` others (0 to 20).
  chat_request& logprobs(int alternatives = 0) & {
    if (alternatives < 0 || alternatives > 20)
      throw refused("logprobs asks for " + std::to_string(alternatives) + " alternatives; use 0 to 20");
    rare().logprobs = alternatives;
    return *this;
  }
  chat_request logprobs(int alternatives = 0) && { return std::move(logprobs(alternatives)); }

  /// How long the model may think: none, minimal, low, medium, high. Sent where the server knows it.
  chat_request& reasoning_effort(std::string effort) & {
    rare().reasoning_effort = std::move(effort);
    return *this;
  }
  chat_request reasoning_effort(std::string effort) && { return std::move(reasoning_effort(std::move(effort))); }

  /// Who asks, for a provider that watches for abuse: the field `user`. Use a hash, not a name.
  chat_request& end_user(std::string id) & {
    rare().end_user = std::move(id);
    return *this;
  }
  chat_request end_user(std::string id) && { return std::move(end_user(std::move(id))); }

  /// A field that felix does not know, sent as it is: `.extra("min_p", "0.05")`. Of one that felix does know (`tools`,
  /// `priority`) it takes the place, but not of what felix goes by itself: messages, max_tokens (under any name), n,
  /// stream and stream_options are refused with error (invalid_argument) when the request is sent, and so is what is
  /// not JSON. Said twice, the last counts.
  chat_request& extra(std::string name, std::string json) & {
    if (name.empty()) throw refused("an extra field without a name");
    rare().extra.emplace_back(std::move(name), std::move(json));
    return *this;
  }
  chat_request extra(std::string name, std::string json) && {
    return std::move(extra(std::move(name), std::move(json)));
  }
  /// A setting of one kind of server: `.with(llama_cpp::id_slot{2})`.
  template <class Setting>
    requires requires(const Setting& setting, chat_request& request) { setting.apply(request); }
  chat_request& with(const Setting& setting) & {
    setting.apply(*this);
    return *this;
  }
  template <class Setting>
  chat_request with(const Setting& setting) && {
    return std::move(with(setting));
  }

  /// Overrides the model of the client.
  chat_request& model(std::string name) & {
    rare().model = std::move(name);
    return *this;
  }
  chat_request model(std::string name) && { return std::move(model(std::move(name))); }

  /// Who goes first when a slot is freed.
  chat_request& priority(request_priority level) & {
    content_.own().priority = level;
    return *this;
  }
  chat_request priority(request_priority level) && { return std::move(priority(level)); }

  // For layers that pay: asked before the request is sent once more although what was sent may have cost something, on
  // whatever thread that is decided. False: it is not sent again. Not set: it may be.
  chat_request& repeat_if(std::function<bool()> pays) & {
    rare().repeat_if = std::move(pays);
    return *this;
  }
  [[nodiscard]] const std::function<bool()>& repeat_if() const noexcept { return known().repeat_if; }

  // For layers: which request of a client it is, in logs. Not sent; 0: none.
  chat_request& number(std::uint32_t value) {
    content_.own().number = value;
    return *this;
  }
  [[nodiscard]] std::uint32_t number() const noexcept { return content_.get().number; }

  [[nodiscard]] const std::vector<chat_message>& messages() const noexcept { return content_.get().messages.get(); }
  [[nodiscard]] const std::vector<function_tool>& tools() const noexcept { return known().tools; }
  [[nodiscard]] std::optional<tool_mode> tool_choice() const noexcept { return known().mode; }
  /// The tool that tool_choice names; empty: none.
  [[nodiscard]] const std::string& chosen_tool() const noexcept { return known().tool_choice; }
  [[nodiscard]] const response_format& format() const noexcept { return known().format; }
  [[nodiscard]] std::optional<token_count> max_tokens() const noexcept {
    return content_.get().max_tokens > 0 ? std::optional{content_.get().max_tokens} : std::nullopt;
  }
  [[nodiscard]] std::optional<double> temperature() const noexcept {
    return content_.get().temperature >= 0 ? std::optional{content_.get().temperature} : std::nullopt;
  }
  [[nodiscard]] std::optional<double> top_p() const noexcept { return known().top_p; }
  [[nodiscard]] std::optional<double> presence_penalty() const noexcept { return known().presence_penalty; }
  [[nodiscard]] std::optional<double> frequency_penalty() const noexcept { return known().frequency_penalty; }
  [[nodiscard]] std::optional<std::uint64_t> seed() const noexcept {
    return content_.get().has_seed ? std::optional<std::uint64_t>{content_.get().seed} : std::nullopt;
  }
  [[nodiscard]] const std::vector<std::string>& stop() const noexcept { return known().stop; }
  [[nodiscard]] int n() const noexcept { return known().n; }
  [[nodiscard]] std::optional<int> logprobs() const noexcept { return known().logprobs; }
  [[nodiscard]] const std::string& reasoning_effort() const noexcept { return known().reasoning_effort; }
  [[nodiscard]] const std::string& end_user() const noexcept { return known().end_user; }
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& extra() const noexcept { return known().extra; }
  [[nodiscard]] const std::string& model() const noexcept { return known().model; }
  [[nodiscard]] request_priority priority() const noexcept { return content_.get().priority; }

 private:
  /// What most requests do without: apart, since a thousand of them may wait in a queue.
  struct rare_fields {
    std::vector<function_tool> tools;
    std::vector<std::string> stop;
    std::vector<std::pair<std::string, std::string>> extra;
    response_format format;
    std::string model;  // empty: the client's
    std::string tool_choice;
    std::string reasoning_effort;
    std::string end_user;
    std::optional<double> top_p, presence_penalty, frequency_penalty;
    std::optional<int> logprobs;
    int n = 1;
    std::optional<tool_mode> mode;
    std::function<bool()> repeat_if;
  };
  rare_fields& rare() { return content_.own().rare.own(); }
  [[nodiscard]] const rare_fields& known() const noexcept { return content_.get().rare.get(); }

  static error refused(const std::string& why) { return {errc::invalid_argument, "chat_request: " + why}; }
  static void check_name(std::string_view what, std::string_view name) {
    const auto fits = [](char c) {
      return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') || c == '_' || c == '-';
    };
    bool all = !name.empty() && name.size() <= 64;
    for (const char c : name) all = all && fits(c);
    if (!all) throw refused(std::string{what} + " is not 1 to 64 letters, digits, _ or -");
  }
  static double in_range(const char* name, double value, int least, int most) {
    if (value >= least && value <= most) return value;
    throw refused(std::string{name} + " is " + std::to_string(value) + "; use " + std::to_string(least) + " to " +
                  std::to_string(most));
  }
  chat_request& ranged(std::optional<double> rare_fields::* field, const char* name, double value, int least,
                       int most) {
    rare().*field = in_range(name, value, least, most);
    return *this;
  }
  chat_request& add(chat_message message) {
    content_.own().messages.own().push_back(std::move(message));
    return *this;
  }

  struct content {
    detail::shared_value<std::vector<chat_message>> messages;
    detail::shared_value<rare_fields> rare;
    token_count max_tokens = 0;  // 0: not set
    double temperature = -1;     // below 0: not set
    std::uint32_t seed = 0;
    std::uint32_t number = 0;
    bool has_seed = false;
    request_priority priority = request_priority::normal;
  };
  detail::shared_value<content> content_;
};

}  // namespace felix::inline v1
