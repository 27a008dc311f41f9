// SPDX-License-Identifier: MIT
// llm: which kind of failure an error of a server is, and what to do about it. Each server has words of its own.
#pragma once

#include <felix/error_kind.hpp>

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace felix::inline v1 {
namespace detail {

/// Where an error stood: in an answer of its own, or as an event in a stream that had begun with 200.
enum class error_place : unsigned char {
  answer,
  first_event,  ///< no token had come
  later_event   ///< after some
};

/// What a server says about a failure, in whatever shape.
struct sent_error {
  std::string type = {};
  std::string code = {};  ///< a number as its digits
  std::string message = {};
  std::string param = {};
  std::optional<std::int64_t> prompt_tokens = {};
  std::optional<std::int64_t> context_tokens = {};
};

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Where `words` (in lower case) begin in `text`, in whatever case they are there; npos when they do not.
[[nodiscard]] constexpr std::size_t find_words(std::string_view text, std::string_view words,
                                               std::size_t from = 0) noexcept {
  for (std::size_t at = from; at + words.size() <= text.size(); ++at) {
    std::size_t same = 0;
    while (same < words.size() && lower(text[at + same]) == words[same]) ++same;
    if (same == words.size()) return at;
  }
  return std::string_view::npos;
}
[[nodiscard]] constexpr bool says(std::string_view text, std::string_view words) noexcept {
  return find_words(text, words) != std::string_view::npos;
}
template <class... Words>
[[nodiscard]] constexpr bool says_any(std::string_view text, const Words&... words) noexcept {
  return (says(text, words) || ...);
}
/// Also at the begin of a word: "loading", but not "overloading" or "/loading".
[[nodiscard]] constexpr bool says_word(std::string_view text, std::string_view word) noexcept {
  for (std::size_t at = find_words(text, word); at != std::string_view::npos; at = find_words(text, word, at + 1)) {
    const char before = at == 0 ? ' ' : lower(text[at - 1]);
    if (before != '/' && !(before >= 'a' && before <= 'z')) return true;
  }
  return false;
}

/// A context that is too small, in the words of OpenAI, llama.cpp, vLLM and LM Studio, and of those before them.
[[nodiscard]] constexpr bool says_context_overflow(std::string_view message) noexcept {
  return says_any(message, "context length", "context size", "n_ctx", "maximum context", "too large to process");
}

/// The status that an event in a stream stands for: its code, or what its type or code would have come with; else 0.
[[nodiscard]] constexpr int status_of_event(std::string_view type, std::string_view code) noexcept {
  int number = code.size() == 3 ? 0 : -1;
  for (const char c : code) number = number >= 0 && c >= '0' && c <= '9' ? number * 10 + (c - '0') : -1;
  if (number >= 400 && number < 600) return number;
  const auto is = [&](std::string_view word) { return type == word || code == word; };
  if (is("authentication_error") || is("invalid_api_key")) return 401;
  if (is("permission_error") || is("permission_denied")) return 403;
  if (is("not_found_error") || is("model_not_found") || is("NotFoundError")) return 404;
  if (is("rate_limit_error") || is("rate_limit_exceeded")) return 429;
  if (is("invalid_request_error") || is("BadRequestError")) return 400;
  return 0;
}

/// The kind of an error that is an answer of its own: the first rule that fits. `message` is what the server says, the
/// text of an HTML page too; all are compared as they came.
[[nodiscard]] constexpr error_kind answer_kind(int status, std::string_view type, std::string_view code,
                                               std::string_view message) noexcept {
  const auto is = [&](std::string_view word) { return type == word || code == word; };
  if (status >= 300 && status < 400) return error_kind::redirect;
  if (is("content_filter") || is("content_policy_violation")) return error_kind::content_filtered;
  if (status == 403 && says_any(message, "moderation", "flagged")) return error_kind::content_filtered;  // OpenRouter
  if (is("exceed_context_size_error") || is("context_length_exceeded")) return error_kind::context_overflow;
  if ((status == 0 || status == 400 || status == 413 || status == 500) && says_context_overflow(message))
    return error_kind::context_overflow;
  if (status == 401) return error_kind::authentication;
  if (status == 403 || status == 407) return error_kind::permission;
  if (status == 402 || is("insufficient_quota") || is("credit_balance_exhausted") || type.starts_with("billing_") ||
      code.starts_with("billing_"))
    return error_kind::quota_exhausted;
  if (status == 503 && says_word(message, "loading")) return error_kind::model_loading;
  if (type == "unavailable_error" && says(message, "loading model")) return error_kind::model_loading;
  if (status == 404 && (code == "model_not_found" || says_word(message, "model"))) return error_kind::model_unknown;
  if (status == 400 &&
      (code == "model_not_found" || (says_word(message, "model") && says_any(message, "not found", "does not exist"))))
    return error_kind::model_unknown;  // llama.cpp as a router
  if (status == 404 || status == 405 || status == 501) return error_kind::not_found;
  if (status == 429) return error_kind::rate_limited;
  if (status >= 400 && status < 500 && error_kind_of_status(status) == error_kind::bad_request)
    return error_kind::bad_request;
  // llama.cpp answers 500 to JSON and UTF-8 that are none, and to an image it cannot see: to try again would loop.
  if (status == 500 && (says(message, "json.exception") || (type == "server_error" && code == "500" &&
                                                            says_any(message, "parse error", "is not supported"))))
    return error_kind::bad_request;
  if (status == 503 || status == 529 || is("server_is_overloaded") || is("slow_down") || is("overloaded_error") ||
      says(message, "server busy"))
    return error_kind::overloaded;
  return error_kind::server_error;
}

/// The kind of an error, wherever it stood. After the first token, what might pass by itself is a truncated stream:
/// a part was delivered, and was paid for.
[[nodiscard]] constexpr error_kind kind_of(error_place place, int status, std::string_view type, std::string_view code,
                                           std::string_view message) noexcept {
  if (place == error_place::answer) return answer_kind(status, type, code, message);
  const error_kind kind = answer_kind(status_of_event(type, code), type, code, message);
  const bool may_pass = kind == error_kind::server_error || kind == error_kind::overloaded ||
                        kind == error_kind::rate_limited || kind == error_kind::model_loading;
  return place == error_place::later_event && may_pass ? error_kind::truncated_stream : kind;
}

/// The number that stands right after `words`; nothing when it is none, or they are not there.
[[nodiscard]] inline std::optional<std::int64_t> number_after(std::string_view text, std::string_view words) noexcept {
  const std::size_t at = find_words(text, words);
  if (at == std::string_view::npos) return std::nullopt;
  std::int64_t number = 0;
  const char* const begin = text.data() + at + words.size();
  const auto [end, failed] = std::from_chars(begin, text.data() + text.size(), number);
  constexpr std::int64_t most = 1'000'000'000'000;  // nobody has such a context
  return failed == std::errc{} && end != begin && number > 0 && number < most ? std::optional{number} : std::nullopt;
}

/// Fills in the numbers of a context overflow where they stand in the message only.
inline void read_context_numbers(sent_error& sent) noexcept {
  const auto first_of = [&](auto... words) {
    std::optional<std::int64_t> found;
    ((found = found ? found : number_after(sent.message, words)), ...);
    return found;
  };
  // vLLM: "you requested 5000 tokens (4000 in the messages, 1000 in the completion)": the second is the prompt.
  if (!sent.prompt_tokens && says(sent.message, " in the messages")) sent.prompt_tokens = first_of("tokens (");
  if (!sent.prompt_tokens)
    sent.prompt_tokens = first_of("resulted in ", "your request has ", "you passed ", "request (");
  if (!sent.context_tokens)
    sent.context_tokens = first_of("maximum context length is ", "context length is only ", "context size (");
}

/// What to do next, as the last words of an error's message. `asked_to_wait`: for how long the server did.
[[nodiscard]] inline std::string advice(error_kind kind, int status, const sent_error& sent,
                                        std::optional<std::chrono::milliseconds> asked_to_wait = {}) {
  switch (kind) {
    case error_kind::redirect: return "redirects are not followed; use the address that it points to as base_url";
    case error_kind::content_filtered: return "the server refuses this text; another attempt ends the same way";
    case error_kind::context_overflow: {
      if (!sent.prompt_tokens || !sent.context_tokens)
        return "the prompt does not fit into the model's context: shorten it, or give the model a larger context";
      return fmt::format("the prompt has {} tokens and the context holds {}: {}", *sent.prompt_tokens,
                         *sent.context_tokens,
                         *sent.prompt_tokens > *sent.context_tokens
                             ? "shorten it, or give the model a larger context"
                             : "there is too little room for the answer; lower max_tokens, or shorten the prompt");
    }
    case error_kind::authentication: return "check the API key";
    case error_kind::permission:
      return status == 407 ? "the proxy wants to know who asks; see its settings" : "the key may not do this";
    case error_kind::quota_exhausted: return "the account has no money left; add some, or use another server";
    case error_kind::model_loading: return "the server is still loading its model; try again in a moment";
    case error_kind::model_unknown: return "check the model's name; models() lists what the server has";
    case error_kind::not_found:
      return status == 404 ? "check base_url (it ends in /v1 for most servers) and the model's name"
                           : "this server cannot do that; see its documentation";
    case error_kind::rate_limited: {
      // Most count a minute's requests and tokens, which fewer at once do not lessen for long.
      const std::string wait = asked_to_wait ? fmt::format("wait {:g} s, as the server asks",
                                                           std::chrono::duration<double>(*asked_to_wait).count())
                                             : "wait before asking again";
      return "too many requests or tokens; " + wait +
             ", and send less: set .rate to what it allows a minute, or lower max_concurrent_requests if it counts "
             "requests at once";
    }
    case error_kind::bad_request:
      return sent.param.empty() ? "the server did not accept the request"
                                : "the server did not accept the field " + sent.param;
    case error_kind::overloaded: return "the server is overloaded; lower max_concurrent_requests, or try again later";
    case error_kind::truncated_stream: return "the answer was cut short";
    default: return "the server failed; see its log";
  }
}

}  // namespace detail
}  // namespace felix::inline v1
