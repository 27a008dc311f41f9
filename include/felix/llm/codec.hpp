// SPDX-License-Identifier: MIT
// llm: JSON to and from OpenAI-compatible servers. The one header that includes simdjson: it costs 1.8 s to compile.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/chat.hpp>
#include <felix/utf8.hpp>

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// A model that a server offers.
struct model_info {
  std::string id = {};
  std::string owned_by = {};
};

/// The wire format. Pure functions: no network, no state.
/// See: the OpenAI API's chat/completions and models; what other servers send instead is tolerated where it can be.
namespace codec {

/// Appends `text` as a JSON string. A byte that is not UTF-8 becomes U+FFFD: llama.cpp answers 500 to it.
inline void append_string(std::string& json, std::string_view text) {
  json += '"';
  for (std::size_t at = 0; at < text.size();) {
    const code_point next = code_point_at(text, at);
    if (!next.valid) {
      json += "\xEF\xBF\xBD";
    } else if (next.value == U'"' || next.value == U'\\') {
      json += '\\';
      json += text[at];
    } else if (next.value == U'\n') {
      json += "\\n";
    } else if (next.value == U'\t') {
      json += "\\t";
    } else if (next.value < 0x20 || next.value == 0x7f) {
      fmt::format_to(std::back_inserter(json), "\\u{:04x}", static_cast<unsigned>(next.value));
    } else {
      json.append(text, at, next.bytes);
    }
    at += next.bytes;
  }
  json += '"';
}

/// The body of POST /chat/completions. `default_model` is used where the request names none.
[[nodiscard]] inline std::string encode(const chat_request& request, std::string_view default_model) {
  if (request.messages().empty())
    throw error{errc::invalid_argument, "chat_request: there is no message; add one with user(text)"};
  std::string json = R"({"model":)";
  append_string(json, request.model().empty() ? default_model : std::string_view{request.model()});
  json += R"(,"messages":[)";
  for (bool first = true; const chat_message& message : request.messages()) {
    if (!std::exchange(first, false)) json += ',';
    json += R"({"role":)";
    append_string(json, to_string(message.role));
    json += R"(,"content":)";
    append_string(json, message.content);
    json += '}';
  }
  json += ']';
  const auto out = std::back_inserter(json);
  if (request.max_tokens()) fmt::format_to(out, R"(,"max_tokens":{})", *request.max_tokens());
  if (request.temperature()) fmt::format_to(out, R"(,"temperature":{})", *request.temperature());
  if (request.seed()) fmt::format_to(out, R"(,"seed":{})", *request.seed());
  json += R"(,"stream":false})";
  return json;
}

namespace detail {

using element = simdjson::dom::element;

[[nodiscard]] inline std::optional<element> member(const element& object, std::string_view name) noexcept {
  element found;
  if (object[name].get(found) != simdjson::SUCCESS || found.is_null()) return std::nullopt;
  return found;
}
[[nodiscard]] inline std::string string_of(const element& object, std::string_view name) {
  std::string_view text;
  const auto found = member(object, name);
  return found && found->get(text) == simdjson::SUCCESS ? std::string{text} : std::string{};
}
/// A count that a server sent; anything that is not a number of at least 0 counts as not sent.
[[nodiscard]] inline std::optional<token_count> count_of(const element& object, std::string_view name) noexcept {
  const auto found = member(object, name);
  if (!found) return std::nullopt;
  constexpr std::int64_t most = 1'000'000'000'000'000;  // sums of what a server invents must not overflow
  std::int64_t whole = 0;
  if (found->get(whole) == simdjson::SUCCESS)
    return whole >= 0 && whole < most ? std::optional<token_count>{whole} : std::nullopt;
  double number = 0;
  if (found->get(number) != simdjson::SUCCESS || !(number >= 0 && number < static_cast<double>(most)))
    return std::nullopt;
  return static_cast<token_count>(number);
}

/// What people may read of a body: at most 512 bytes on one line, without control characters.
[[nodiscard]] inline std::string excerpt(std::string_view body) {
  std::string shown;
  for (const char c : without_controls(body.substr(0, 1024))) {
    const bool space = c == ' ' || c == '\n' || c == '\t';
    if (!space) {
      shown += c;
    } else if (!shown.empty() && shown.back() != ' ') {
      shown += ' ';
    }
  }
  if (shown.size() <= 512) return shown;
  std::size_t end = 512;
  while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xC0U) == 0x80U) --end;  // not inside a code point
  return shown.substr(0, end);
}

[[nodiscard]] inline finish_reason finish_reason_of(std::string_view word) noexcept {
  if (word == "stop") return finish_reason::stop;
  if (word == "length") return finish_reason::length;
  if (word == "content_filter") return finish_reason::content_filter;
  return finish_reason::other;
}

[[nodiscard]] inline error not_an_answer(std::string_view from, std::string_view why, std::string_view body) {
  return {errc::protocol,
          fmt::format("{} sent {}; is it an OpenAI-compatible server, and base_url right? It begins: {}", from, why,
                      body.empty() ? "(nothing)" : excerpt(body.substr(0, 200))),
          request_cost::unknown};
}

}  // namespace detail

/// The answer in the body of a 2xx. `from` names the server in errors. Throws error (protocol) when it holds no answer.
/// content null or missing is an empty text; usage missing is 0 and marked as estimated.
[[nodiscard]] inline chat_response decode(std::string_view body, std::string_view from) {
  simdjson::dom::parser parser;
  detail::element root;
  if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS)
    throw detail::not_an_answer(from, "no JSON", body);
  simdjson::dom::array choices;
  const auto found = detail::member(root, "choices");
  if (!found || found->get(choices) != simdjson::SUCCESS || choices.size() == 0)
    throw detail::not_an_answer(from, "JSON without choices", body);
  const detail::element choice = choices.at(0).value_unsafe();
  const auto message = detail::member(choice, "message");
  if (!message) throw detail::not_an_answer(from, "a choice without a message", body);

  chat_response answer{detail::string_of(*message, "content")};
  answer.finish_reason(detail::finish_reason_of(detail::string_of(choice, "finish_reason")));
  answer.model(detail::string_of(root, "model"));
  token_usage usage;
  if (const auto sent = detail::member(root, "usage")) {
    const auto prompt = detail::count_of(*sent, "prompt_tokens");
    const auto completion = detail::count_of(*sent, "completion_tokens");
    const auto total = detail::count_of(*sent, "total_tokens");
    usage.estimated = !(prompt && completion);
    usage.prompt_tokens = prompt.value_or(0);
    usage.completion_tokens = completion.value_or(0);
    // A total below its parts is not believed.
    usage.total_tokens = std::max(total.value_or(0), usage.prompt_tokens + usage.completion_tokens);
  } else {
    usage.estimated = true;
  }
  return std::move(answer.usage(usage));
}

/// The models in the body of GET /models.
[[nodiscard]] inline std::vector<model_info> decode_models(std::string_view body, std::string_view from) {
  simdjson::dom::parser parser;
  detail::element root;
  simdjson::dom::array data;
  if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS)
    throw detail::not_an_answer(from, "no JSON", body);
  const auto found = detail::member(root, "data");
  if (!found || found->get(data) != simdjson::SUCCESS) throw detail::not_an_answer(from, "no list of models", body);
  std::vector<model_info> models;
  for (const detail::element entry : data)
    models.push_back({.id = detail::string_of(entry, "id"), .owned_by = detail::string_of(entry, "owned_by")});
  return models;
}

/// The error in an answer that is not a 2xx, in any of the shapes that servers use: an object or a string in `error`,
/// `message` or `detail` at the top, HTML or plain text.
[[nodiscard]] inline api_error decode_error(int status, std::string_view body, std::string_view from,
                                            std::optional<std::chrono::milliseconds> retry_after = {}) {
  api_error::details details{.status = status, .body_excerpt = detail::excerpt(body), .retry_after = retry_after};
  std::string said;
  simdjson::dom::parser parser;
  detail::element root;
  if (!body.empty() && parser.parse(body.data(), body.size()).get(root) == simdjson::SUCCESS) {
    const auto inner = detail::member(root, "error");
    std::string_view text;
    if (inner && inner->get(text) == simdjson::SUCCESS) {
      said = detail::excerpt(text);
    } else {
      const detail::element holder = inner ? *inner : root;
      said = detail::excerpt(detail::string_of(holder, "message"));
      if (said.empty()) said = detail::excerpt(detail::string_of(holder, "detail"));
      details.type = detail::excerpt(detail::string_of(holder, "type"));
      details.code = detail::excerpt(detail::string_of(holder, "code"));
      if (details.code.empty()) {
        if (const auto number = detail::count_of(holder, "code")) details.code = std::to_string(*number);
      }
    }
  }
  if (said.empty()) said = details.body_excerpt.empty() ? "(no message)" : details.body_excerpt.substr(0, 200);

  const auto advice = [&]() -> std::string_view {
    if (status >= 300 && status < 400)
      return "redirects are not followed; use the address that it points to as base_url";
    if (status == 400 || status == 413 || status == 422) return "the server did not accept the request";
    if (status == 401) return "check the API key";
    if (status == 403) return "the key may not do this";
    if (status == 404) return "check base_url (it ends in /v1 for most servers) and the model's name";
    if (status == 429) return "too many requests or tokens; lower max_concurrent_requests or wait";
    if (status == 503) return "the server is overloaded or still loading its model; try again later";
    if (status >= 500) return "the server failed; see its log";
    return "see the server's documentation";
  }();
  return {fmt::format("{} answered {}: {}; {}", from, status, said, advice), std::move(details)};
}

/// Retry-After as a number of seconds (RFC 9110 §10.2.3); anything else counts as not sent.
[[nodiscard]] inline std::optional<std::chrono::milliseconds> decode_retry_after(std::string_view value) noexcept {
  double seconds = 0;
  const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (failed != std::errc{} || end != value.data() + value.size() || !(seconds > 0 && seconds <= 86'400)) return {};
  return std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000)};
}

}  // namespace codec
}  // namespace felix::inline v1
