// SPDX-License-Identifier: MIT
// llm: what OpenAI-compatible servers answer, read from its JSON.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/detail/answer_reader.hpp>
#include <felix/llm/detail/base64.hpp>
#include <felix/llm/detail/error_reader.hpp>
#include <felix/llm/detail/json_element.hpp>
#include <felix/llm/retry_hint.hpp>
#include <felix/utf8.hpp>

#include <fmt/format.h>

#include <bit>
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

/// Whether a text is JSON, as any server would read it.
[[nodiscard]] inline bool is_json(std::string_view text) {
  return !text.starts_with("\xEF") && valid_utf8_end(text) == text.size() && detail::parse(text).has_value();
}

/// The error in an answer that is not a 2xx, in any of the shapes that servers use: an object or a string in `error`,
/// `message` or `detail` at the top, HTML or plain text. `from` names the server; `headers` are the answer's
/// (http_response is one); `key` and what looks like one is shown nowhere; `now` is for a Retry-After that is a date.
template <header_source Headers = no_headers>
[[nodiscard]] api_error decode_error(int status, std::string_view body, std::string_view from,
                                     const Headers& headers = {}, std::string_view key = {},
                                     std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) {
  api_error::details details{.status = status,
                             .retry_after = retry_hint(status, headers, now),
                             .request_id = detail::request_id_of(headers, key),
                             .should_retry = should_retry(headers)};
  auto sent = detail::sent_by(body, key, details);
  return detail::made_error(felix::detail::error_place::answer, fmt::format("{} answered {}", from, status),
                            std::move(sent), std::move(details));
}

/// Whether a token had come.
enum class stream_position : unsigned char { before_the_first_token, after_it };

/// The error in an event of a stream that began with 200; `json` is its data, in any of the shapes of decode_error.
/// After the first token what might pass by itself is a truncated_stream, and nothing is free.
template <header_source Headers = no_headers>
[[nodiscard]] api_error decode_stream_error(std::string_view json, std::string_view from, stream_position position,
                                            const Headers& headers = {}, std::string_view key = {}) {
  api_error::details details{.status = 200, .request_id = detail::request_id_of(headers, key)};
  auto sent = detail::sent_by(json, key, details);
  if (const int named = felix::detail::status_of_event({}, sent.code); named != 0) details.status = named;
  return detail::made_error(position == stream_position::after_it ? felix::detail::error_place::later_event
                                                                  : felix::detail::error_place::first_event,
                            fmt::format("{} ended its stream with an error", from), std::move(sent),
                            std::move(details));
}

/// The answer in the body of a 2xx. `from` names the server in errors, and `key` is not shown in them.
/// Throws error (protocol) when it holds no answer, and api_error when it tells of a failure. content null or missing is
/// an empty text; usage missing is 0 and marked as estimated.
[[nodiscard]] inline chat_response decode(std::string_view body, std::string_view from, std::string_view key = {}) {
  const auto root = detail::parse(body);
  if (!root) throw detail::not_an_answer(from, "no JSON", body, key);
  const auto choices = detail::array_of(*root, "choices");
  const bool is_empty = !choices || choices->size() == 0;
  if (is_empty && detail::member(*root, "error"))  // gateways say 200 to it
    throw decode_stream_error(body, from, stream_position::before_the_first_token, no_headers{}, key);
  if (is_empty) throw detail::not_an_answer(from, "JSON without choices", body, key);

  chat_response answer;
  const std::vector<std::size_t> places = detail::places_of(*choices);
  std::size_t position = 0;
  for (const detail::element sent : *choices) {
    const auto message = detail::member(sent, "message");
    if (!message) throw detail::not_an_answer(from, "a choice without a message", body, key);
    chat_choice& choice = answer.choice(places[position++]);
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
[[nodiscard]] inline std::vector<model_info> decode_models(std::string_view body, std::string_view from,
                                                           std::string_view key = {}) {
  const auto root = detail::parse(body);
  if (!root) throw detail::not_an_answer(from, "no JSON", body, key);
  const auto data = detail::array_of(*root, "data");
  if (!data) throw detail::not_an_answer(from, "no list of models", body, key);
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
[[nodiscard]] inline embedding_list decode_embeddings(std::string_view body, std::string_view from, std::size_t texts,
                                                      std::string_view key = {}) {
  const auto root = detail::parse(body);
  if (!root) throw detail::not_an_answer(from, "no JSON", body, key);
  const auto data = detail::array_of(*root, "data");
  if (!data) throw detail::not_an_answer(from, "no list of embeddings", body, key);
  embedding_list read;
  read.vectors.resize(texts);
  std::size_t position = 0;
  for (const detail::element entry : *data) {
    const auto index =
        static_cast<std::size_t>(detail::count_of(entry, "index").value_or(static_cast<token_count>(position)));
    ++position;
    if (index >= texts) throw detail::not_an_answer(from, "an embedding that was not asked for", body, key);
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
      if (!bytes || bytes->size() % 4 != 0)
        throw detail::not_an_answer(from, "an embedding that is no vector", body, key);
      for (std::size_t at = 0; at < bytes->size(); at += 4) {
        std::uint32_t bits = 0;
        for (std::size_t i = 4; i-- > 0;) bits = bits << 8U | static_cast<unsigned char>((*bytes)[at + i]);
        vector.push_back(std::bit_cast<float>(bits));
      }
    }
    double norm = 0;
    for (const float value : vector) norm += static_cast<double>(value) * static_cast<double>(value);
    if (vector.empty() || !std::isfinite(norm))
      throw detail::not_an_answer(from, "an embedding that is no vector", body, key);
  }
  for (const auto& vector : read.vectors) {
    if (vector.empty()) throw detail::not_an_answer(from, "fewer embeddings than texts", body, key);
  }
  const auto usage = detail::member(*root, "usage");
  read.usage = usage ? detail::usage_of(*usage) : token_usage{.estimated = true};
  if (detail::count_of(usage ? *usage : *root, "prompt_tokens")) read.usage.estimated = false;  // there is no answer
  read.model = detail::string_of(*root, "model");
  return read;
}

/// What a tokenize endpoint counted: vLLM's `count`, or the length of llama.cpp's list.
[[nodiscard]] inline token_count decode_token_count(std::string_view body, std::string_view from,
                                                    std::string_view key = {}) {
  const auto root = detail::parse(body);
  if (!root) throw detail::not_an_answer(from, "no JSON", body, key);
  if (const auto count = detail::count_of(*root, "count")) return *count;
  const auto tokens = detail::array_of(*root, "tokens");
  if (!tokens) throw detail::not_an_answer(from, "no count of tokens", body, key);
  return static_cast<token_count>(tokens->size());
}

}  // namespace codec
}  // namespace felix::inline v1
