// SPDX-License-Identifier: MIT
// model_server: chat answers in JSON.
#include "model_server/chat_answer.hpp"

#include "model_server/hash.hpp"
#include "model_server/other_api.hpp"  // model_name

#include <cmath>
#include <utility>

namespace model_server::detail {

namespace {

ordered_json usage(const completion& given) {
  std::int64_t tokens = 0;
  for (const choice& each : given.choices) tokens += each.completion_tokens;
  return {{"prompt_tokens", given.prompt_tokens},
          {"completion_tokens", tokens},
          {"total_tokens", given.prompt_tokens + tokens}};
}

const char* finish_reason(const choice& given) {
  return given.cut ? "length" : given.is_call() ? "tool_calls" : "stop";
}

std::string call_id(const answer_head& head, std::size_t index) {
  return "call-" + head.id.substr(head.id.rfind('-') + 1) + "-" + std::to_string(index);
}

// ---- logprobs -------------------------------------------------------------------------------------------------------

ordered_json token_entry(std::string_view token, double probability) {
  ordered_json bytes = ordered_json::array();
  for (const char c : token) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", token}, {"logprob", std::log(probability)}, {"bytes", std::move(bytes)}};
}

// The token itself is the likeliest, with 0.5 to 1 by its text; each other one has half of what is left.
ordered_json logprob(std::string_view token, int top) {
  hash sum;
  sum.add(token);
  double probability = 0.5 + static_cast<double>(sum.value() % 499) / 1'000;
  ordered_json entry = token_entry(token, probability);
  ordered_json alternatives = ordered_json::array();
  double left = 1 - probability;
  for (int i = 0; i < top; ++i) {
    alternatives.push_back(i == 0 ? entry : token_entry(std::string{token} + std::to_string(i), probability));
    left /= 2;
    probability = left;
  }
  entry["top_logprobs"] = std::move(alternatives);
  return entry;
}

// Of the tokens `first` to `last`; those that bring no whole character have none. A call has none either.
ordered_json logprobs(const answer_head& head, const choice& given, int first, int last) {
  if (given.is_call()) return nullptr;
  ordered_json content = ordered_json::array();
  for (int token = first; token < last; ++token)
    if (const auto piece = given.piece(token); !piece.empty()) content.push_back(logprob(piece, head.top_logprobs));
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

// ---- events ---------------------------------------------------------------------------------------------------------

ordered_json chunk(const answer_head& head, ordered_json choices) {
  ordered_json event{{"id", head.id},
                     {"object", "chat.completion.chunk"},
                     {"created", head.created},
                     {"model", model_name},
                     {"choices", std::move(choices)}};
  if (head.include_usage) event["usage"] = nullptr;
  return event;
}

std::string event(const ordered_json& content) { return "data: " + content.dump() + "\n\n"; }

std::string choice_event(const answer_head& head, std::size_t index, ordered_json delta, ordered_json reason,
                         ordered_json probabilities = nullptr) {
  ordered_json choice{{"index", index}, {"delta", std::move(delta)}};
  if (!probabilities.is_null()) choice["logprobs"] = std::move(probabilities);
  choice["finish_reason"] = std::move(reason);
  return event(chunk(head, ordered_json::array({std::move(choice)})));
}

ordered_json message(const answer_head& head, const choice& given, std::size_t index) {
  if (!given.is_call()) return {{"role", "assistant"}, {"content", given.text}};
  ordered_json call{{"id", call_id(head, index)},
                    {"type", "function"},
                    {"function", {{"name", given.tool}, {"arguments", given.text}}}};
  return {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", ordered_json::array({std::move(call)})}};
}

}  // namespace

std::string completion_json(const answer_head& head, const completion& given) {
  ordered_json choices = ordered_json::array();
  for (std::size_t i = 0; i < given.choices.size(); ++i) {
    const choice& each = given.choices[i];
    ordered_json choice{{"index", i}, {"message", message(head, each, i)}};
    if (head.logprobs) choice["logprobs"] = logprobs(head, each, 0, each.completion_tokens);
    choice["finish_reason"] = finish_reason(each);
    choices.push_back(std::move(choice));
  }
  ordered_json body{{"id", head.id},
                    {"object", "chat.completion"},
                    {"created", head.created},
                    {"model", model_name},
                    {"choices", std::move(choices)}};
  if (head.usage) body["usage"] = usage(given);
  return body.dump();
}

std::string role_event(const answer_head& head, const completion& given, std::size_t index) {
  const ordered_json content = given.choices[index].is_call() ? ordered_json{} : ordered_json("");
  return choice_event(head, index, {{"role", "assistant"}, {"content", content}}, nullptr);
}

std::string delta_event(const answer_head& head, const completion& given, std::size_t index, int token) {
  const choice& from = given.choices[index];
  if (!from.is_call())
    return choice_event(head, index, {{"content", from.piece(token)}}, nullptr,
                        head.logprobs ? logprobs(head, from, token, token + 1) : ordered_json{});
  ordered_json call{{"index", 0}};
  if (token == 0) {
    call["id"] = call_id(head, index);
    call["type"] = "function";
    call["function"] = {{"name", from.tool}, {"arguments", ""}};
  } else {
    call["function"] = {{"arguments", from.piece(token)}};
  }
  ordered_json delta;
  delta["tool_calls"] = ordered_json::array({std::move(call)});
  return choice_event(head, index, std::move(delta), nullptr);
}

std::string finish_event(const answer_head& head, const completion& given, std::size_t index) {
  return choice_event(head, index, ordered_json::object(), finish_reason(given.choices[index]));
}

std::string usage_event(const answer_head& head, const completion& given) {
  if (!head.include_usage) return {};
  ordered_json last = chunk(head, ordered_json::array());
  last["usage"] = usage(given);
  return event(last);
}

std::string done_event() { return "data: [DONE]\n\n"; }

std::string error_event(bool like_vllm) {
  constexpr const char* message = "The server had an error while processing your request.";
  if (like_vllm)
    return event(
        {{"error", {{"message", message}, {"type", "InternalServerError"}, {"param", nullptr}, {"code", 500}}}});
  return event({{"error", {{"message", message}, {"type", "server_error"}, {"param", nullptr}, {"code", nullptr}}}});
}

}  // namespace model_server::detail
