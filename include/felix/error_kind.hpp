// SPDX-License-Identifier: MIT
// What kind of failure an error is: finer than its code, and what decides whether another attempt is worth it.
#pragma once

#include <cstddef>
#include <string_view>

namespace felix::inline v1 {

/// The kinds of failure of a request, by what can be done about them.
/// See: retry_policy.hpp for which of them are tried again.
enum class error_kind : unsigned char {
  other,                ///< none of these: an invalid option, say, or a file
  cancelled,            ///< a stop was requested
  timeout_connect,      ///< no connection in time; nothing was sent
  timeout_first_byte,   ///< no byte of the answer in time; the server may still be at work
  timeout_first_token,  ///< the answer began, but no token came in time
  timeout_idle,         ///< the answer stopped half way
  timeout_total,        ///< the whole took too long
  transport_refused,    ///< nobody listens there, or no way leads there; nothing was sent
  transport_dns,        ///< the host has no address; nothing was sent
  transport_stale,      ///< the server had closed the connection that was to be used again
  transport_reset,      ///< the connection broke before any byte of the answer
  transport_tls,        ///< no secure connection: certificates, versions; nothing was sent
  redirect,             ///< the answer points elsewhere; redirects are not followed
  content_filtered,     ///< the server refuses this text
  context_overflow,     ///< the prompt does not fit into the model's context
  authentication,       ///< the key is missing or wrong
  permission,           ///< the key is right and may not do this
  quota_exhausted,      ///< no money left, which no waiting changes
  model_loading,        ///< the server is not ready yet
  model_unknown,        ///< the server has no such model
  not_found,            ///< the server has no such path, or cannot do this
  rate_limited,         ///< too many requests or tokens; this one did not run
  bad_request,          ///< the request is wrong, and will be the next time too
  overloaded,           ///< the server is too busy; this request did not run
  server_error,         ///< the server failed
  protocol_error,       ///< the answer is not what the protocol says, or over a bound
  truncated_stream,     ///< the answer ended before its end
  queue_full            ///< as many wait at a limit of ours as may, or this one has waited too long; nothing was sent
};

inline constexpr std::size_t error_kind_count = 28;

/// Its name as it is written here.
[[nodiscard]] constexpr std::string_view to_string(error_kind kind) noexcept {
  switch (kind) {
    case error_kind::other: return "other";
    case error_kind::cancelled: return "cancelled";
    case error_kind::timeout_connect: return "timeout_connect";
    case error_kind::timeout_first_byte: return "timeout_first_byte";
    case error_kind::timeout_first_token: return "timeout_first_token";
    case error_kind::timeout_idle: return "timeout_idle";
    case error_kind::timeout_total: return "timeout_total";
    case error_kind::transport_refused: return "transport_refused";
    case error_kind::transport_dns: return "transport_dns";
    case error_kind::transport_stale: return "transport_stale";
    case error_kind::transport_reset: return "transport_reset";
    case error_kind::transport_tls: return "transport_tls";
    case error_kind::redirect: return "redirect";
    case error_kind::content_filtered: return "content_filtered";
    case error_kind::context_overflow: return "context_overflow";
    case error_kind::authentication: return "authentication";
    case error_kind::permission: return "permission";
    case error_kind::quota_exhausted: return "quota_exhausted";
    case error_kind::model_loading: return "model_loading";
    case error_kind::model_unknown: return "model_unknown";
    case error_kind::not_found: return "not_found";
    case error_kind::rate_limited: return "rate_limited";
    case error_kind::bad_request: return "bad_request";
    case error_kind::overloaded: return "overloaded";
    case error_kind::server_error: return "server_error";
    case error_kind::protocol_error: return "protocol_error";
    case error_kind::truncated_stream: return "truncated_stream";
    case error_kind::queue_full: return "queue_full";
  }
  return "unknown";
}

/// What a status says when nothing else is known about the answer; `other` for what is not an error.
/// See: RFC 9110 §15; 529 is what Anthropic and its gateways send when they are overloaded.
[[nodiscard]] constexpr error_kind error_kind_of_status(int status) noexcept {
  switch (status) {
    case 401: return error_kind::authentication;
    case 402: return error_kind::quota_exhausted;
    case 403:
    case 407: return error_kind::permission;
    case 404:
    case 405:
    case 501: return error_kind::not_found;
    case 408:
    case 409:
    case 425: return error_kind::server_error;
    case 429: return error_kind::rate_limited;
    case 503:
    case 529: return error_kind::overloaded;
    default: break;
  }
  if (status >= 300 && status < 400) return error_kind::redirect;
  if (status >= 400 && status < 500) return error_kind::bad_request;
  if (status >= 500 && status < 600) return error_kind::server_error;
  return error_kind::other;
}

}  // namespace felix::inline v1
