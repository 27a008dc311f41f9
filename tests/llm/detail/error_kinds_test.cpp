// SPDX-License-Identifier: MIT
// llm: what servers say when they fail, each in its own words, and the kind that is.
#include <felix/llm/detail/error_kinds.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>

using Catch::Matchers::ContainsSubstring;
using felix::error_kind;
using felix::detail::advice;
using felix::detail::answer_kind;
using felix::detail::error_place;
using felix::detail::kind_of;
using felix::detail::sent_error;

namespace {

struct row {
  int status;
  const char* type;
  const char* code;
  const char* message;
  error_kind kind;
};

void check(std::initializer_list<row> rows) {
  for (const auto& [status, type, code, message, kind] : rows) {
    CAPTURE(status, type, code, message);
    CHECK(to_string(answer_kind(status, type, code, message)) == to_string(kind));
  }
}

}  // namespace

static_assert(felix::detail::says("No Models LOADED", "models loaded") && !felix::detail::says("load", "loaded"));
static_assert(felix::detail::says_word("Loading model", "loading") && felix::detail::says_word("(loading)", "loading"));
static_assert(!felix::detail::says_word("overloading, /loading", "loading"));
static_assert(felix::detail::says_word("overloading and loading", "loading"));

TEST_CASE("error_kinds: OpenAI", "[llm][error_kinds]") {
  check({
      {400, "invalid_request_error", "", "We could not parse the JSON body of your request.", error_kind::bad_request},
      {400, "invalid_request_error", "unsupported_parameter", "Unsupported parameter: 'max_tokens'",
       error_kind::bad_request},
      {400, "invalid_request_error", "context_length_exceeded", "too long", error_kind::context_overflow},
      {400, "invalid_request_error", "content_policy_violation", "no", error_kind::content_filtered},
      {400, "", "content_filter", "Azure's", error_kind::content_filtered},
      {400, "invalid_request_error", "", "This model takes no images", error_kind::bad_request},
      {401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided", error_kind::authentication},
      {403, "", "unsupported_country_region_territory", "Country not supported", error_kind::permission},
      {404, "invalid_request_error", "model_not_found", "It does not exist", error_kind::model_unknown},
      {404, "invalid_request_error", "", "Invalid URL (POST /v1/chat)", error_kind::not_found},
      {404, "", "", "Invalid URL (GET /v1/models/x)", error_kind::not_found},
      {405, "", "", "Method not allowed", error_kind::not_found},
      {408, "", "", "", error_kind::server_error},
      {409, "", "", "conflict", error_kind::server_error},
      {425, "", "", "", error_kind::server_error},
      {429, "requests", "rate_limit_exceeded", "Rate limit reached", error_kind::rate_limited},
      {429, "insufficient_quota", "insufficient_quota", "You exceeded your quota", error_kind::quota_exhausted},
      {429, "", "credit_balance_exhausted", "", error_kind::quota_exhausted},
      {429, "", "billing_hard_limit_reached", "", error_kind::quota_exhausted},
      {429, "billing_not_active", "", "", error_kind::quota_exhausted},
      {500, "server_error", "", "The server had an error while processing your request", error_kind::server_error},
      {500, "server_error", "", "a parse error of ours", error_kind::server_error},  // not llama.cpp: no code 500
      {500, "server_error", "server_is_overloaded", "", error_kind::overloaded},
      {502, "", "slow_down", "", error_kind::overloaded},
      {503, "server_error", "", "The engine is overloaded", error_kind::overloaded},
  });
}

TEST_CASE("error_kinds: llama.cpp", "[llm][error_kinds]") {
  check({
      {400, "invalid_request_error", "400", "'messages' is required", error_kind::bad_request},
      {400, "invalid_request_error", "400", "Field 'max_tokens': [json.exception.type_error.302] type must be number",
       error_kind::bad_request},
      {400, "exceed_context_size_error", "400", "request (1403 tokens) exceeds it", error_kind::context_overflow},
      {401, "authentication_error", "401", "Invalid API Key", error_kind::authentication},
      {404, "not_found_error", "404", "File Not Found", error_kind::not_found},
      {400, "invalid_request_error", "400", "model 'x' not found", error_kind::model_unknown},
      {500, "server_error", "500", "[json.exception.parse_error.101] parse error at line 1", error_kind::bad_request},
      {500, "", "", "[json.exception.parse_error.101] wrapped by a proxy", error_kind::bad_request},
      {500, "server_error", "500", "Parse error: '", error_kind::bad_request},
      {500, "server_error", "500", "image input is not supported - hint: mmproj", error_kind::bad_request},
      {500, "server_error", "500", "input (900 tokens) is too large to process. increase the physical batch size",
       error_kind::context_overflow},
      {500, "server_error", "500", "decode failed", error_kind::server_error},
      {501, "not_supported_error", "501", "This server does not support embeddings", error_kind::not_found},
      {503, "unavailable_error", "503", "Loading model", error_kind::model_loading},
      {500, "unavailable_error", "", "Loading model", error_kind::model_loading},
      {503, "unavailable_error", "503", "no slot available", error_kind::overloaded},
  });
}

TEST_CASE("error_kinds: Ollama, vLLM, LM Studio", "[llm][error_kinds]") {
  check({
      {404, "not_found_error", "", "model \"x\" not found, try pulling it first", error_kind::model_unknown},
      {503, "api_error", "", "server busy, please try again.  maximum pending requests exceeded",
       error_kind::overloaded},
      {500, "api_error", "", "Server busy", error_kind::overloaded},
      {400, "BadRequestError", "400", "This model's maximum context length is 4096 tokens",
       error_kind::context_overflow},
      {400, "BadRequestError", "400", "temperature must be non-negative", error_kind::bad_request},
      {401, "", "", "Unauthorized", error_kind::authentication},
      {404, "NotFoundError", "404", "The model `x` does not exist.", error_kind::model_unknown},
      {404, "", "", "Not Found", error_kind::not_found},
      {400, "", "", "The number of tokens to keep from the initial prompt is greater than the context length",
       error_kind::context_overflow},
      {404, "", "model_not_found", "No models loaded. Please load one", error_kind::model_unknown},
  });
}

TEST_CASE("error_kinds: proxies and gateways", "[llm][error_kinds]") {
  check({
      {301, "", "", "", error_kind::redirect},
      {308, "content_filter", "", "context length", error_kind::redirect},  // the first rule wins
      {402, "", "402", "Insufficient credits", error_kind::quota_exhausted},
      {403, "", "403", "Your input was flagged", error_kind::content_filtered},
      {403, "", "403", "requires Moderation", error_kind::content_filtered},
      {403, "", "", "Forbidden", error_kind::permission},
      {400, "", "", "flagged", error_kind::bad_request},
      {407, "", "", "Proxy Authentication Required", error_kind::permission},
      {413, "", "", "Request Entity Too Large", error_kind::bad_request},
      {413, "", "", "exceeds the context size", error_kind::context_overflow},
      {422, "", "", "the context size", error_kind::bad_request},
      {418, "", "slow_down", "", error_kind::bad_request},
      {429, "", "", "<html><h1>429 Too Many Requests</h1></html>", error_kind::rate_limited},
      {502, "", "", "<html>Bad Gateway</html>", error_kind::server_error},
      {503, "", "", "<html><h1>503 Service Unavailable</h1></html>", error_kind::overloaded},
      {503, "", "", "<html>the site is overloading</html>", error_kind::overloaded},
      {504, "", "", "", error_kind::server_error},
      {529, "", "", "<html>Overloaded</html>", error_kind::overloaded},
      {529, "overloaded_error", "", "Overloaded", error_kind::overloaded},
      {500, "overloaded_error", "", "Overloaded", error_kind::overloaded},
  });
}

TEST_CASE("error_kinds: an event before the first token is what it would have been as an answer",
          "[llm][error_kinds]") {
  const auto first = [](std::string_view type, std::string_view code, std::string_view message) {
    return kind_of(error_place::first_event, 200, type, code, message);
  };
  CHECK(first("server_error", "", "x") == error_kind::server_error);
  CHECK(first("", "", "") == error_kind::server_error);
  CHECK(first("invalid_request_error", "400", "x") == error_kind::bad_request);
  CHECK(first("invalid_request_error", "", "x") == error_kind::bad_request);
  CHECK(first("BadRequestError", "", "x") == error_kind::bad_request);
  CHECK(first("", "402", "x") == error_kind::quota_exhausted);
  CHECK(first("", "429", "x") == error_kind::rate_limited);
  CHECK(first("rate_limit_error", "", "x") == error_kind::rate_limited);
  CHECK(first("", "rate_limit_exceeded", "x") == error_kind::rate_limited);
  CHECK(first("", "503", "Loading model") == error_kind::model_loading);
  CHECK(first("unavailable_error", "", "Loading model") == error_kind::model_loading);
  CHECK(first("overloaded_error", "", "x") == error_kind::overloaded);
  CHECK(first("authentication_error", "", "x") == error_kind::authentication);
  CHECK(first("", "invalid_api_key", "x") == error_kind::authentication);
  CHECK(first("permission_error", "", "x") == error_kind::permission);
  CHECK(first("", "permission_denied", "x") == error_kind::permission);
  CHECK(first("NotFoundError", "", "the model") == error_kind::model_unknown);
  CHECK(first("not_found_error", "", "x") == error_kind::not_found);
  CHECK(first("", "model_not_found", "x") == error_kind::model_unknown);
  CHECK(first("", "", "greater than the context length") == error_kind::context_overflow);
  CHECK(first("", "500", "parse error") == error_kind::server_error);
  for (const char* odd : {"200", "302", "600", "4294967700", "4x0", "-400", "040", "40"}) {
    CAPTURE(odd);
    CHECK(first("", odd, "x") == error_kind::server_error);
  }
}

TEST_CASE("error_kinds: after the first token, what might pass is a stream cut short", "[llm][error_kinds]") {
  const auto later = [](std::string_view type, std::string_view code, std::string_view message) {
    return kind_of(error_place::later_event, 200, type, code, message);
  };
  CHECK(later("server_error", "", "x") == error_kind::truncated_stream);
  CHECK(later("overloaded_error", "", "x") == error_kind::truncated_stream);
  CHECK(later("", "429", "x") == error_kind::truncated_stream);
  CHECK(later("", "503", "Loading model") == error_kind::truncated_stream);
  CHECK(later("", "content_filter", "x") == error_kind::content_filtered);
  CHECK(later("", "context_length_exceeded", "x") == error_kind::context_overflow);
  CHECK(later("invalid_request_error", "", "x") == error_kind::bad_request);
  CHECK(later("", "402", "x") == error_kind::quota_exhausted);
}

TEST_CASE("error_kinds: an answer's own code does not replace its status", "[llm][error_kinds]") {
  CHECK(kind_of(error_place::answer, 502, "", "429", "x") == error_kind::server_error);
}

TEST_CASE("error_kinds: how much too long, in the words of each server", "[llm][error_kinds]") {
  struct numbers {
    const char* message;
    std::int64_t prompt, context;
  };
  for (const auto& [message, prompt, context] :
       {numbers{"This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
                5000, 4096},
        {"This model's maximum context length is 4096 tokens. However, you requested 5100 tokens (4000 in the "
         "messages, 1100 in the completion).",
         4000, 4096},
        {"'max_tokens' is too large: 1000. This model's maximum context length is 4096 tokens and your request has "
         "3500 input tokens",
         3500, 4096},
        {"You passed 5000 input tokens and requested 100 output tokens. However, the model's context length is only "
         "4096 tokens",
         5000, 4096},
        {"request (1403 tokens) exceeds the available context size (512 tokens), try increasing it", 1403, 512}}) {
    CAPTURE(message);
    sent_error sent{.message = message};
    felix::detail::read_context_numbers(sent);
    CHECK(sent.prompt_tokens == prompt);
    CHECK(sent.context_tokens == context);
  }
  sent_error told{.message = "request (1 tokens) exceeds the context size (2 tokens)", .prompt_tokens = 7};
  felix::detail::read_context_numbers(told);
  CHECK(told.prompt_tokens == 7);  // a field is better than words
  CHECK(told.context_tokens == 2);
  for (const char* odd : {"", "request (", "request (x", "request (-5 tokens", "request (0 tokens",
                          "request (99999999999999999999 tokens", "request (1000000000000 tokens"}) {
    CAPTURE(odd);
    sent_error none{.message = odd};
    felix::detail::read_context_numbers(none);
    CHECK_FALSE(none.prompt_tokens);
    CHECK_FALSE(none.context_tokens);
  }
}

TEST_CASE("error_kinds: the advice says what to do, by the kind", "[llm][error_kinds]") {
  const auto shown = [](error_kind kind, int status = 0, const sent_error& sent = {}) {
    return advice(kind, status, sent);
  };
  CHECK(shown(error_kind::context_overflow, 400, {.prompt_tokens = 5000, .context_tokens = 4096}) ==
        "the prompt has 5000 tokens and the context holds 4096: shorten it, or give the model a larger context");
  CHECK_THAT(shown(error_kind::context_overflow, 400, {.prompt_tokens = 4000, .context_tokens = 4096}),
             ContainsSubstring("4000") && ContainsSubstring("max_tokens"));
  CHECK_THAT(shown(error_kind::context_overflow, 400, {.prompt_tokens = 4000}), ContainsSubstring("shorten it"));
  CHECK_THAT(shown(error_kind::redirect), ContainsSubstring("base_url"));
  CHECK_THAT(shown(error_kind::content_filtered), ContainsSubstring("refuses this text"));
  CHECK_THAT(shown(error_kind::authentication), ContainsSubstring("check the API key"));
  CHECK_THAT(shown(error_kind::permission, 403), ContainsSubstring("the key may not"));
  CHECK_THAT(shown(error_kind::permission, 407), ContainsSubstring("the proxy"));
  CHECK_THAT(shown(error_kind::quota_exhausted), ContainsSubstring("no money left"));
  CHECK_THAT(shown(error_kind::model_loading), ContainsSubstring("still loading its model"));
  CHECK_THAT(shown(error_kind::model_unknown), ContainsSubstring("model's name"));
  CHECK_THAT(shown(error_kind::not_found, 404), ContainsSubstring("base_url"));
  CHECK_THAT(shown(error_kind::not_found, 501), ContainsSubstring("cannot do that"));
  CHECK_THAT(shown(error_kind::rate_limited),
             ContainsSubstring("; wait before asking again, and send less: set .rate") &&
                 ContainsSubstring("max_concurrent_requests"));
  CHECK_THAT(advice(error_kind::rate_limited, 429, {}, std::chrono::milliseconds{1500}),
             ContainsSubstring("; wait 1.5 s, as the server asks, and send less: set .rate"));
  CHECK_THAT(shown(error_kind::bad_request), ContainsSubstring("did not accept the request"));
  CHECK_THAT(shown(error_kind::bad_request, 400, {.param = "seed"}), ContainsSubstring("the field seed"));
  CHECK_THAT(shown(error_kind::overloaded), ContainsSubstring("overloaded"));
  CHECK_THAT(shown(error_kind::truncated_stream), ContainsSubstring("cut short"));
  CHECK_THAT(shown(error_kind::server_error), ContainsSubstring("its log"));
}
