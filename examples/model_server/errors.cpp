// SPDX-License-Identifier: MIT
// model_server: error bodies, of OpenAI's form and of llama.cpp's.
#include "model_server/errors.hpp"

#include <algorithm>
#include <cstdint>

namespace model_server::detail {

namespace {

ordered_json openai_error(const std::string& message, const char* type, const ordered_json& param,
                          const ordered_json& code) {
  return {{"error", {{"message", message}, {"type", type}, {"param", param}, {"code", code}}}};
}

// See: https://platform.openai.com/docs/guides/rate-limits
error_answer rate_limited(std::chrono::milliseconds wait) {
  const std::string seconds = std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count());
  return {429,
          openai_error("Rate limit reached for requests. Please try again in " + seconds + "s.", "requests", nullptr,
                       "rate_limit_exceeded")
              .dump(),
          {{"Retry-After", seconds},
           {"x-ratelimit-limit-requests", "60"},
           {"x-ratelimit-remaining-requests", "0"},
           {"x-ratelimit-reset-requests", seconds + "s"},
           {"x-ratelimit-limit-tokens", "150000"},
           {"x-ratelimit-remaining-tokens", "149984"},
           {"x-ratelimit-reset-tokens", "6ms"}}};
}

}  // namespace

error_answer answer_to(const api_failure& failure) {
  const ordered_json param = failure.param().empty() ? ordered_json{} : ordered_json(failure.param());
  const char* const type = failure.status() < 500 ? "invalid_request_error" : "server_error";
  return {static_cast<unsigned>(failure.status()),
          openai_error(failure.what(), type, param, nullptr)
              .dump(-1, ' ', false, ordered_json::error_handler_t::replace)};  // the URL in a 404 may be anything
}

error_answer wrong_key() {
  return {401,
          openai_error("Incorrect API key provided.", "invalid_request_error", nullptr, "invalid_api_key").dump(),
          {{"WWW-Authenticate", "Bearer"}}};  // RFC 9110 §15.5.2 wants one
}

error_answer context_overflow(int prompt_tokens, int context_tokens) {
  const ordered_json error{
      {"code", 400},
      {"message", "request (" + std::to_string(prompt_tokens) + " tokens) exceeds the available context size (" +
                      std::to_string(context_tokens) + " tokens), try increasing it"},
      {"type", "exceed_context_size_error"},
      {"n_prompt_tokens", prompt_tokens},
      {"n_ctx", context_tokens}};
  return {400, ordered_json{{"error", error}}.dump()};
}

std::optional<error_answer> answer_of(const fault& struck, int prompt_tokens, bool stream) {
  using namespace std::chrono_literals;
  switch (struck.kind) {
    case fault_kind::garbage:
      return error_answer{.status = 200,
                          .body = "\x16\x03\x01 this is \xFF\xFE not what was asked for\n",
                          .content_type = stream ? "text/event-stream" : "application/json"};
    case fault_kind::rate_limit: return rate_limited(struck.ms.value_or(1s));
    case fault_kind::loading: {
      const ordered_json error{{"message", "Loading model"}, {"type", "unavailable_error"}, {"code", 503}};
      return error_answer{.status = 503, .body = ordered_json{{"error", error}}.dump()};
    }
    case fault_kind::overflow: return context_overflow(prompt_tokens, std::max(1, prompt_tokens / 2));
    case fault_kind::bad_key: return wrong_key();
    case fault_kind::refuse:
    case fault_kind::reset:
    case fault_kind::stall:
    case fault_kind::drip:
    case fault_kind::truncate:
    case fault_kind::slow_start:
    case fault_kind::error_in_stream:
    case fault_kind::no_usage:
    case fault_kind::no_done:
    case fault_kind::split_utf8: break;
  }
  return std::nullopt;
}

}  // namespace model_server::detail
