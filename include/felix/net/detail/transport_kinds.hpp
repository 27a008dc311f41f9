// SPDX-License-Identifier: MIT
// net: which kind of failure a result of libcurl is.
#pragma once

#include <felix/error_kind.hpp>

#include <curl/curl.h>

namespace felix::inline v1 {
namespace detail {

/// What is known of a transfer that failed.
struct transfer_facts {
  bool reused = false;    ///< on a connection that had served another request
  bool sent = false;      ///< the request, or a part of it, went out
  bool any_byte = false;  ///< a byte of the answer came
};

/// The kind of failure. Servers close idle connections: before any byte on a reused one that is a race, not a fault.
/// See: libcurl-errors(3).
[[nodiscard]] constexpr error_kind transport_kind(int code, const transfer_facts& facts) noexcept {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST: return error_kind::transport_dns;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_PROXY: return error_kind::transport_refused;
    case CURLE_OPERATION_TIMEDOUT:
      return facts.sent || facts.any_byte ? error_kind::timeout_total : error_kind::timeout_connect;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      if (facts.any_byte) return error_kind::truncated_stream;
      return facts.reused ? error_kind::transport_stale : error_kind::transport_reset;
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_HTTP3:
    case CURLE_QUIC_CONNECT_ERROR: return facts.any_byte ? error_kind::truncated_stream : error_kind::transport_reset;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT: return error_kind::transport_tls;
    case CURLE_UNSUPPORTED_PROTOCOL:  // HTTP/0.9, or bytes that are no HTTP
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_WRITE_ERROR:    // we refused to take more: the body is over its bound
    case CURLE_OUT_OF_MEMORY:  // what libcurl says of a header line over its bound
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_TOO_MANY_REDIRECTS: return error_kind::protocol_error;
    case CURLE_ABORTED_BY_CALLBACK: return error_kind::cancelled;
    default: return error_kind::other;
  }
}

}  // namespace detail
}  // namespace felix::inline v1
