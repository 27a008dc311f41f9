// SPDX-License-Identifier: MIT
// model_server: chat completions in JSON.
#include "model_server/chat_api.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace model_server::detail {

namespace {

using json = nlohmann::json;
using ordered_json = nlohmann::ordered_json;

constexpr int deepest_nesting = 64;
constexpr std::string_view model_name = "felix-simulated";

// Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF. The text's size if all is well.
std::size_t first_not_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U; };
  const auto trails = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  while (at < text.size()) {
    const unsigned lead = byte(0);
    const unsigned pair = lead << 8U | byte(1);
    if (lead < 0x80)
      at += 1;
    else if (lead >= 0xC2 && lead <= 0xDF && trails(1))
      at += 2;
    else if (pair >= 0xE0A0 && pair <= 0xEFBF && trails(1) && !(pair >= 0xEDA0 && pair <= 0xEDBF) && trails(2))
      at += 3;
    else if (pair >= 0xF090 && pair <= 0xF48F && trails(1) && trails(2) && trails(3))
      at += 4;
    else
      return at;
  }
  return at;
}

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw api_failure{400, where + ": " + what, where};
}

json parse(std::string_view body) {
  if (const std::size_t at = first_not_utf8(body); at < body.size())
    throw api_failure{400, "body: not UTF-8 at byte " + std::to_string(at) + "; send JSON in UTF-8"};
  const auto not_too_deep = [](int depth, json::parse_event_t, json&) {
    if (depth > deepest_nesting)
      throw api_failure{400, "body: nested deeper than " + std::to_string(deepest_nesting) + " levels"};
    return true;
  };
  try {
    return json::parse(body.begin(), body.end(), not_too_deep);
  } catch (const json::exception& failure) {
    const std::string_view what = failure.what();  // "[json.exception.parse_error.101] parse error at line 1, …"
    const std::size_t end = what.find("] ");
    const std::string_view reason = end == std::string_view::npos ? what : what.substr(end + 2);
    throw api_failure{400, "body: not JSON: " + std::string{reason}};
  }
}

std::string described(const json& value) {
  if (!value.is_number()) return std::string{"a value of type "} + value.type_name();
  return value.dump();
}

// A field that is there and not null.
const json* field(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> integer(const json& object, const char* name) {
  const json* const value = field(object, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) refuse(name, "must be an integer, is " + described(*value));
  if (value->is_number_unsigned() &&
      value->get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
    refuse(name, "must fit into 64 bits with a sign, is " + described(*value));
  return value->get<std::int64_t>();
}

bool boolean(const json& object, const char* name, const std::string& where) {
  const json* const value = field(object, name);
  if (value == nullptr) return false;
  if (!value->is_boolean()) refuse(where, "must be true or false, is " + described(*value));
  return value->get<bool>();
}

std::string text_parts(const json& parts, const std::string& where) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string here = where + "[" + std::to_string(i) + "]";
    const json& part = parts[i];
    if (!part.is_object() || part.value("type", json{}) != "text")
      refuse(here, "must be an object with \"type\": \"text\"; this server reads no images, sounds or files");
    const auto found = part.find("text");
    if (found == part.end() || !found->is_string()) refuse(here + ".text", "must be a string");
    text += found->get_ref<const std::string&>();
  }
  return text;
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
  const json* const content = field(value, "content");
  if (content == nullptr && result.role == "assistant") return result;  // one that only calls tools
  if (content != nullptr && content->is_string())
    result.content = content->get<std::string>();
  else if (content != nullptr && content->is_array())
    result.content = text_parts(*content, where + ".content");
  else
    refuse(where + ".content", "must be a string or a list of text parts");
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

std::optional<std::int64_t> read_max_tokens(const json& body) {
  std::optional<std::int64_t> result;
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {  // the second is the newer one and wins
    const auto value = integer(body, name);
    if (value && *value < 1) refuse(name, "must be at least 1, is " + std::to_string(*value));
    if (value) result = value;
  }
  return result;
}

ordered_json usage(const answer& given) {
  return {{"prompt_tokens", given.prompt_tokens},
          {"completion_tokens", given.completion_tokens},
          {"total_tokens", std::int64_t{given.prompt_tokens} + given.completion_tokens}};
}

const char* finish_reason(const answer& given) { return given.cut ? "length" : "stop"; }

ordered_json chunk(const answer_head& head, ordered_json choices) {
  ordered_json event{{"id", head.id},
                     {"object", "chat.completion.chunk"},
                     {"created", head.created},
                     {"model", model_name},
                     {"choices", std::move(choices)}};
  if (head.include_usage) event["usage"] = nullptr;
  return event;
}

ordered_json choice_with(ordered_json delta, ordered_json reason) {
  ordered_json choice{{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", std::move(reason)}};
  return ordered_json::array({std::move(choice)});
}

std::string event(const ordered_json& content) { return "data: " + content.dump() + "\n\n"; }

}  // namespace

chat_call parse_chat(std::string_view body) {
  const json root = parse(body);
  if (!root.is_object()) throw api_failure{400, "body: must be a JSON object, is " + described(root)};
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
  if (const auto answers = integer(root, "n"); answers && *answers != 1)
    refuse("n", "must be 1, is " + std::to_string(*answers) + "; this server gives one answer");
  call.stream = boolean(root, "stream", "stream");
  if (const json* stream_options = field(root, "stream_options")) {
    if (!stream_options->is_object()) refuse("stream_options", "must be an object, is " + described(*stream_options));
    call.include_usage = boolean(*stream_options, "include_usage", "stream_options.include_usage");
  }
  return call;
}

std::string completion_json(const answer_head& head, const answer& given) {
  ordered_json choice{{"index", 0},
                      {"message", {{"role", "assistant"}, {"content", given.text}}},
                      {"finish_reason", finish_reason(given)}};
  return ordered_json{{"id", head.id},
                      {"object", "chat.completion"},
                      {"created", head.created},
                      {"model", model_name},
                      {"choices", ordered_json::array({std::move(choice)})},
                      {"usage", usage(given)}}
      .dump();
}

std::string role_event(const answer_head& head) {
  return event(chunk(head, choice_with({{"role", "assistant"}, {"content", ""}}, nullptr)));
}

std::string delta_event(const answer_head& head, std::string_view text) {
  return event(chunk(head, choice_with({{"content", text}}, nullptr)));
}

std::string last_events(const answer_head& head, const answer& given) {
  std::string events = event(chunk(head, choice_with(ordered_json::object(), finish_reason(given))));
  if (head.include_usage) {
    ordered_json last = chunk(head, ordered_json::array());
    last["usage"] = usage(given);
    events += event(last);
  }
  return events + "data: [DONE]\n\n";
}

std::string error_json(const api_failure& failure) {
  const json param = failure.param().empty() ? json{} : json(failure.param());
  const char* const type = failure.status() < 500 ? "invalid_request_error" : "server_error";
  return ordered_json{{"error", {{"message", failure.what()}, {"type", type}, {"param", param}, {"code", nullptr}}}}
      .dump(-1, ' ', false, ordered_json::error_handler_t::replace);  // the URL in a 404 may be anything
}

std::string models_json() {
  const ordered_json model{{"id", model_name}, {"object", "model"}, {"created", 0}, {"owned_by", "felix"}};
  return ordered_json{{"object", "list"}, {"data", ordered_json::array({model})}}.dump();
}

std::string stats_json(const stats& counted) {
  return ordered_json{{"requests", counted.requests},
                      {"prompt_tokens", counted.prompt_tokens},
                      {"completion_tokens", counted.completion_tokens},
                      {"total_tokens", counted.total_tokens},
                      {"max_in_flight", counted.max_in_flight},
                      {"in_flight", counted.in_flight},
                      {"slots_busy", counted.slots_busy},
                      {"waiting", counted.waiting},
                      {"cancelled", counted.cancelled}}
      .dump();
}

}  // namespace model_server::detail
