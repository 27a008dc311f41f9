// SPDX-License-Identifier: MIT
// llm: what OpenAI-compatible servers answer, read from its JSON.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/detail/answer_reader.hpp>
#include <felix/llm/detail/base64.hpp>
#include <felix/llm/detail/json_element.hpp>

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
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
  token_count context_tokens = 0;  ///< how many tokens its context holds; 0: the server does not say
};

/// Texts as vectors.
struct embedding_list {
  std::vector<std::vector<float>> vectors = {};  ///< one a text, in their order
  token_usage usage = {};
  std::string model = {};
};

/// The wire format. Pure functions: no network, no state.
/// See: the OpenAI API's chat/completions and models; what other servers send instead is tolerated where it can be.
namespace codec {

/// Whether a text is JSON.
[[nodiscard]] inline bool is_json(std::string_view text) { return detail::parse(text).has_value(); }

/// The answer in the body of a 2xx. `from` names the server in errors. Throws error (protocol) when it holds no answer.
/// content null or missing is an empty text; usage missing is 0 and marked as estimated.
[[nodiscard]] inline chat_response decode(std::string_view body, std::string_view from) {
  const auto root = detail::parse(body);
  if (!root) throw detail::not_an_answer(from, "no JSON", body);
  const auto choices = detail::array_of(*root, "choices");
  if (!choices || choices->size() == 0) throw detail::not_an_answer(from, "JSON without choices", body);

  chat_response answer;
  std::size_t position = 0;
  for (const detail::element sent : *choices) {
    const auto message = detail::member(sent, "message");
    if (!message) throw detail::not_an_answer(from, "a choice without a message", body);
    chat_choice& choice = answer.choice(position++);
    choice.text = detail::string_of(*message, "content");
    choice.reasoning = detail::reasoning_of(*message);
    choice.refusal = detail::string_of(*message, "refusal");
    choice.finish_reason = detail::finish_reason_of(detail::view_of(sent, "finish_reason"));
    detail::read_logprobs(sent, choice.logprobs);
    const auto calls = detail::array_of(*message, "tool_calls");
    if (!calls) continue;
    for (const detail::element call : *calls) {
      const auto function = detail::member(call, "function");
      if (!function) continue;
      choice.tool_calls.push_back({.id = detail::string_of(call, "id"),
                                   .name = detail::string_of(*function, "name"),
                                   .arguments = detail::arguments_of(*function)});
    }
  }
  answer.model(detail::string_of(*root, "model")).id(detail::string_of(*root, "id"));
  detail::read_timings(*root, answer);
  const auto usage = detail::member(*root, "usage");
  answer.usage(usage ? detail::usage_of(*usage) : token_usage{.estimated = true});
  return answer;
}

/// The models in the body of GET /models.
[[nodiscard]] inline std::vector<model_info> decode_models(std::string_view body, std::string_view from) {
  const auto root = detail::parse(body);
  if (!root) throw detail::not_an_answer(from, "no JSON", body);
  const auto data = detail::array_of(*root, "data");
  if (!data) throw detail::not_an_answer(from, "no list of models", body);
  std::vector<model_info> models;
  for (const detail::element entry : *data) {
    const auto meta = detail::member(entry, "meta");  // llama.cpp
    models.push_back({.id = detail::string_of(entry, "id"),
                      .owned_by = detail::string_of(entry, "owned_by"),
                      .context_tokens = meta ? detail::count_of(*meta, "n_ctx").value_or(0)
                                             : detail::count_of(entry, "max_model_len").value_or(0)});  // vLLM
  }
  return models;
}

/// The vectors in the body of an answer of /embeddings to `texts` texts, as numbers or as base64 of little-endian floats.
/// Throws error (protocol) when one is missing, is no vector, or has a length that is no number.
[[nodiscard]] inline embedding_list decode_embeddings(std::string_view body, std::string_view from, std::size_t texts) {
  const auto root = detail::parse(body);
  if (!root) throw detail::not_an_answer(from, "no JSON", body);
  const auto data = detail::array_of(*root, "data");
  if (!data) throw detail::not_an_answer(from, "no list of embeddings", body);
  embedding_list read;
  read.vectors.resize(texts);
  std::size_t position = 0;
  for (const detail::element entry : *data) {
    const auto index =
        static_cast<std::size_t>(detail::count_of(entry, "index").value_or(static_cast<token_count>(position)));
    ++position;
    if (index >= texts) throw detail::not_an_answer(from, "an embedding that was not asked for", body);
    std::vector<float>& vector = read.vectors[index];
    vector.clear();
    if (const auto numbers = detail::array_of(entry, "embedding")) {
      for (const detail::element number : *numbers) {
        double value = 0;
        if (number.get(value) != simdjson::SUCCESS) value = std::nan("");
        vector.push_back(static_cast<float>(value));
      }
    } else {
      const auto bytes = felix::detail::from_base64(detail::view_of(entry, "embedding"));
      if (!bytes || bytes->size() % 4 != 0) throw detail::not_an_answer(from, "an embedding that is no vector", body);
      for (std::size_t at = 0; at < bytes->size(); at += 4) {
        std::uint32_t bits = 0;
        for (std::size_t i = 4; i-- > 0;) bits = bits << 8U | static_cast<unsigned char>((*bytes)[at + i]);
        vector.push_back(std::bit_cast<float>(bits));
      }
    }
    double norm = 0;
    for (const float value : vector) norm += static_cast<double>(value) * static_cast<double>(value);
    if (vector.empty() || !std::isfinite(norm))
      throw detail::not_an_answer(from, "an embedding that is no vector", body);
  }
  for (const auto& vector : read.vectors) {
    if (vector.empty()) throw detail::not_an_answer(from, "fewer embeddings than texts", body);
  }
  const auto usage = detail::member(*root, "usage");
  read.usage = usage ? detail::usage_of(*usage) : token_usage{.estimated = true};
  if (detail::count_of(usage ? *usage : *root, "prompt_tokens")) read.usage.estimated = false;  // there is no answer
  read.model = detail::string_of(*root, "model");
  return read;
}

/// What a tokenize endpoint counted: vLLM's `count`, or the length of llama.cpp's list.
[[nodiscard]] inline token_count decode_token_count(std::string_view body, std::string_view from) {
  const auto root = detail::parse(body);
  if (!root) throw detail::not_an_answer(from, "no JSON", body);
  if (const auto count = detail::count_of(*root, "count")) return *count;
  const auto tokens = detail::array_of(*root, "tokens");
  if (!tokens) throw detail::not_an_answer(from, "no count of tokens", body);
  return static_cast<token_count>(tokens->size());
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

/// The error in an event of a stream whose status was 200.
[[nodiscard]] inline api_error decode_stream_error(std::string_view data, std::string_view from) {
  return decode_error(500, data, from);
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
