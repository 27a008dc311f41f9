// SPDX-License-Identifier: MIT
// net: why a request ended without a whole answer, and the error that says so.
#pragma once

#include <felix/error.hpp>
#include <felix/net/detail/easy_handle.hpp>
#include <felix/net/detail/transport_kinds.hpp>
#include <felix/net/http.hpp>

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <string>

namespace felix::inline v1 {
namespace detail {

/// No answer may have a longer header. Servers send a few hundred bytes, and refuse headers of 8 to 64 KiB themselves.
inline constexpr std::size_t most_header_bytes = std::size_t{256} << 10U;

enum class http_failure : unsigned char {
  none,
  start,    // it could not be begun
  stopped,  // by a stop request
  too_long,
  header_too_long,
  late_first_byte,
  late_first_token,
  late_between,
  late_total,
  curl  // libcurl's outcome says why
};

[[noreturn]] inline void throw_late(const std::string& what, std::chrono::milliseconds limit, const char* name,
                                    error_kind kind) {
  throw timed_out{what + " within " + std::to_string(limit.count()) + " ms; is the server overloaded? Raise timeouts." +
                      name + " if it needs longer",
                  kind};
}

/// libcurl's outcome. `detail` is what it has to add, or empty.
[[noreturn]] inline void throw_curl_failure(CURLcode outcome, const char* detail, const http_request& request,
                                            const easy_handle& easy, bool reused, bool any_byte) {
  const std::string to = request.origin();
  if (outcome == CURLE_OPERATION_TIMEDOUT)
    throw timed_out{to + " could not be connected to within " + std::to_string(request.timeouts().connect.count()) +
                        " ms; is the server overloaded? Raise timeouts.connect if it needs longer",
                    error_kind::timeout_connect};
  std::string message =
      (any_byte ? "the answer of " + to + " broke off: " : "no answer from " + to + ": ") + curl_easy_strerror(outcome);
  if (*detail != '\0') message += std::string{" ("} + detail + ")";
  if (any_byte) message += "; ask again";
  if (outcome == CURLE_COULDNT_CONNECT) {
    message += easy.get_info<long>(CURLINFO_OS_ERRNO) != 0  // 0: it was not the network that refused
                   ? "; is a server listening there?"
                   : "; is a server listening there, and has this process descriptors left (ulimit -n)?";
  }
  const bool sent = easy.get_info<curl_off_t>(CURLINFO_PRETRANSFER_TIME_T) > 0;
  throw transport_error{message, static_cast<int>(outcome), sent ? request_cost::unknown : request_cost::none,
                        transport_kind(outcome, {.reused = reused, .sent = sent, .any_byte = any_byte})};
}

/// Each failure but none, start and curl. `sent`: the server may have been at work.
[[noreturn]] inline void throw_http_failure(http_failure why, const http_request& request, bool sent) {
  const std::string to = request.origin();
  const http_timeouts& limits = request.timeouts();
  switch (why) {
    case http_failure::too_long:
      throw error{errc::protocol,
                  "the answer of " + to + " is longer than " + std::to_string(request.max_response_bytes()) +
                      " bytes; raise max_response_bytes if it should be",
                  request_cost::unknown};
    case http_failure::header_too_long:
      throw error{errc::protocol,
                  "the header of the answer of " + to + " is longer than " + std::to_string(most_header_bytes) +
                      " bytes; is it the server that you mean?",
                  request_cost::unknown};
    case http_failure::late_first_byte:
      throw_late(to + " did not begin to answer", limits.first_byte, "first_byte", error_kind::timeout_first_byte);
    case http_failure::late_first_token:
      throw_late(to + " sent no token", limits.first_token, "first_token", error_kind::timeout_first_token);
    case http_failure::late_between:
      throw_late(to + " stopped in the middle of its answer and sent no more tokens", limits.between_tokens,
                 "between_tokens", error_kind::timeout_idle);
    case http_failure::late_total:
      throw_late(to + " did not answer", limits.total,
                 limits.total == limits.first_byte ? "total and timeouts.first_byte" : "total",  // both: a GET
                 error_kind::timeout_total);
    case http_failure::none:
    case http_failure::start:
    case http_failure::curl:
    case http_failure::stopped: break;
  }
  throw cancelled{"waiting for " + to, sent ? request_cost::unknown : request_cost::none};
}

}  // namespace detail
}  // namespace felix::inline v1
