// SPDX-License-Identifier: MIT
// model_server: a chat request, field by field.
#include "model_server/chat_api.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

namespace model_server::detail {

namespace {

constexpr int image_tokens = 85;  // OpenAI's for an image of low detail
constexpr std::size_t most_stops = 4;
constexpr int most_top_logprobs = 20;

// ---- messages -------------------------------------------------------------------------------------------------------

void read_parts(const json& parts, const std::string& where, message& into) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string here = where + "[" + std::to_string(i) + "]";
    const json& part = parts[i];
    const json type = part.is_object() ? part.value("type", json{}) : json{};
    if (type == "text") {
      into.content += required_string(part, "text", here + ".text");
    } else if (type == "image_url") {
      const json* const image = field(part, "image_url");
      if (image == nullptr || !image->is_object()) refuse(here + ".image_url", "must be an object with a \"url\"");
      static_cast<void>(required_string(*image, "url", here + ".image_url.url"));
      into.other_tokens += image_tokens;
    } else {
      refuse(here, "must be an object with \"type\": \"text\" or \"image_url\"; this server reads no sounds or files");
    }
  }
}

message read_message(const json& value, const std::string& where) {
  if (!value.is_object()) refuse(where, "must be an object, is " + described(value));
  const json* const role = field(value, "role");
  if (role == nullptr || !role->is_string()) refuse(where + ".role", "must be a string, such as \"user\"");
  message result;
  result.role = role->get<std::string>();
  constexpr std::string_view roles[] = {"system", "developer", "user", "assistant", "tool"};
  if (std::find(std::begin(roles), std::end(roles), result.role) == std::end(roles))
    refuse(where + ".role", "must be system, developer, user, assistant or tool");
  if (const json* const calls = field(value, "tool_calls")) result.other_tokens += count_tokens(calls->dump());
  const json* const content = field(value, "content");
  if (content == nullptr && result.role == "assistant") return result;  // one that only calls tools
  if (content != nullptr && content->is_string())
    result.content = content->get<std::string>();
  else if (content != nullptr && content->is_array())
    read_parts(*content, where + ".content", result);
  else
    refuse(where + ".content", "must be a string or a list of parts");
  return result;
}

std::vector<message> read_messages(const json& body) {
  const auto found = body.find("messages");
  if (found == body.end()) refuse("messages", "missing; a list with at least one message is required");
  if (!found->is_array()) refuse("messages", "must be a list, is " + described(*found));
  if (found->empty()) refuse("messages", "empty; at least one message is required");
  std::vector<message> messages;
  for (std::size_t i = 0; i < found->size(); ++i)
    messages.push_back(read_message((*found)[i], "messages[" + std::to_string(i) + "]"));
  return messages;
}

// ---- tools ----------------------------------------------------------------------------------------------------------

constexpr bool is_name_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

tool read_tool(const json& value, const std::string& where) {
  constexpr std::size_t longest_name = 64;
  if (!value.is_object() || value.value("type", json{}) != "function")
    refuse(where, "must be an object with \"type\": \"function\"");
  const json* const function = field(value, "function");
  if (function == nullptr || !function->is_object()) refuse(where + ".function", "must be an object with a \"name\"");
  tool result{.name = required_string(*function, "name", where + ".function.name")};
  if (result.name.empty() || result.name.size() > longest_name ||
      !std::all_of(result.name.begin(), result.name.end(), is_name_character))
    refuse(where + ".function.name", "must be 1 to 64 of a-z, A-Z, 0-9, _ and -");
  if (const json* const parameters = field(*function, "parameters")) {
    if (!parameters->is_object()) refuse(where + ".function.parameters", "must be a JSON schema, an object");
    result.parameters = *parameters;
  }
  return result;
}

std::vector<tool> read_tools(const json& body) {
  const json* const list = field(body, "tools");
  if (list == nullptr) return {};
  if (!list->is_array()) refuse("tools", "must be a list, is " + described(*list));
  std::vector<tool> tools;
  for (std::size_t i = 0; i < list->size(); ++i)
    tools.push_back(read_tool((*list)[i], "tools[" + std::to_string(i) + "]"));
  return tools;
}

// Where the name stands as a word of its own; npos if it does not.
std::size_t mention(std::string_view text, std::string_view name) noexcept {
  const auto inside_a_word = [&](std::size_t at) { return at < text.size() && is_name_character(text[at]); };
  std::size_t at = text.find(name);
  while (at != std::string_view::npos && ((at > 0 && inside_a_word(at - 1)) || inside_a_word(at + name.size())))
    at = text.find(name, at + 1);
  return at;
}

const tool* first_mentioned(const std::vector<tool>& tools, std::string_view text) noexcept {
  const tool* first = nullptr;
  std::size_t where = std::string_view::npos;
  for (const tool& each : tools) {
    const std::size_t at = mention(text, each.name);
    if (at >= where) continue;
    first = &each;
    where = at;
  }
  return first;
}

// A conversation that ends with a tool's answer gets a text, even if tool_choice demands a call: so it ends.
std::optional<tool> called_tool(const json& body, const std::vector<tool>& tools, const message& last) {
  const json* const choice = field(body, "tool_choice");
  const tool* const mentioned = last.role == "user" ? first_mentioned(tools, last.content) : nullptr;
  const tool* called = mentioned;
  if (choice != nullptr && choice->is_object()) {
    const json* const function = field(*choice, "function");
    if (function == nullptr || !function->is_object())
      refuse("tool_choice.function", "must be an object with a \"name\"");
    const std::string name = required_string(*function, "name", "tool_choice.function.name");
    const auto found = std::find_if(tools.begin(), tools.end(), [&](const tool& each) { return each.name == name; });
    if (found == tools.end()) refuse("tool_choice.function.name", "no such tool in \"tools\"");
    called = &*found;
  } else if (choice != nullptr && *choice == "required") {
    if (tools.empty()) refuse("tool_choice", "\"required\" needs a tool in \"tools\"");
    if (called == nullptr) called = &tools.front();
  } else if (choice != nullptr && *choice == "none") {
    called = nullptr;
  } else if (choice != nullptr && *choice != "auto") {
    refuse("tool_choice", "must be \"none\", \"auto\", \"required\", or an object that names a function");
  }
  return called == nullptr || last.role == "tool" ? std::nullopt : std::optional{*called};
}

// ---- the other fields -----------------------------------------------------------------------------------------------

std::optional<std::int64_t> read_max_tokens(const json& body) {
  std::optional<std::int64_t> result;
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {  // the second is the newer one and wins
    const auto value = integer(body, name);
    if (value && *value < 1) refuse(name, "must be at least 1, is " + std::to_string(*value));
    if (value) result = value;
  }
  return result;
}

std::vector<std::string> read_stop(const json& body) {
  const json* const value = field(body, "stop");
  if (value == nullptr) return {};
  const json list = value->is_array() ? *value : json::array({*value});
  if (list.size() > most_stops) refuse("stop", "must be at most 4 strings, is " + std::to_string(list.size()));
  std::vector<std::string> stops;
  for (const json& each : list) {
    if (!each.is_string() || each.get_ref<const std::string&>().empty())
      refuse("stop", "must be a string, or a list of up to 4, none of them empty");
    stops.push_back(each.get<std::string>());
  }
  return stops;
}

void read_response_format(const json& body, chat_call& into) {
  const json* const format = field(body, "response_format");
  if (format == nullptr) return;
  const json type = format->is_object() ? format->value("type", json{}) : json{};
  if (type == "json_object") {
    into.json_object = true;
  } else if (type == "json_schema") {
    const json* const wrapped = field(*format, "json_schema");
    const json* const schema = wrapped != nullptr && wrapped->is_object() ? field(*wrapped, "schema") : nullptr;
    if (schema == nullptr || !schema->is_object())
      refuse("response_format.json_schema.schema", "must be a JSON schema, an object");
    into.schema = *schema;
  } else if (type != "text") {
    refuse("response_format", "must be an object whose \"type\" is text, json_object or json_schema");
  }
  if (type != "text") into.other_prompt_tokens += count_tokens(format->dump());
}

void read_logprobs(const json& body, chat_call& into) {
  into.logprobs = boolean(body, "logprobs", "logprobs");
  const auto top = integer(body, "top_logprobs");
  if (!top) return;
  if (*top < 0 || *top > most_top_logprobs) refuse("top_logprobs", "must be from 0 to 20, is " + std::to_string(*top));
  if (!into.logprobs) refuse("top_logprobs", "needs \"logprobs\": true");
  into.top_logprobs = static_cast<int>(*top);
}

}  // namespace

chat_call parse_chat(std::string_view body, int slots) {
  const json root = parse_object(body);
  chat_call call;
  call.asked.messages = read_messages(root);
  if (const json* model = field(root, "model"); model != nullptr && !model->is_string())
    refuse("model", "must be a string, is " + described(*model));
  call.asked.max_tokens = read_max_tokens(root);
  if (const json* temperature = field(root, "temperature")) {
    if (!temperature->is_number()) refuse("temperature", "must be a number, is " + described(*temperature));
    call.asked.temperature = temperature->get<double>();
    if (!(call.asked.temperature >= 0 && call.asked.temperature <= 2))
      refuse("temperature", "must be from 0 to 2, is " + described(*temperature));
  }
  call.asked.seed = integer(root, "seed");
  const auto choices = integer(root, "n").value_or(1);
  if (choices < 1 || choices > slots)
    refuse("n",
           "must be from 1 to " + std::to_string(slots) + ", the slots of this server, is " + std::to_string(choices));
  call.choices = static_cast<int>(choices);
  call.stop = read_stop(root);
  const std::vector<tool> tools = read_tools(root);
  if (!tools.empty()) call.other_prompt_tokens += count_tokens(root["tools"].dump());
  call.called = called_tool(root, tools, call.asked.messages.back());
  read_response_format(root, call);
  read_logprobs(root, call);
  call.stream = boolean(root, "stream", "stream");
  if (const json* stream_options = field(root, "stream_options")) {
    if (!stream_options->is_object()) refuse("stream_options", "must be an object, is " + described(*stream_options));
    call.include_usage = boolean(*stream_options, "include_usage", "stream_options.include_usage");
  }
  return call;
}

}  // namespace model_server::detail
