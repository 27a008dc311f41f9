// SPDX-License-Identifier: MIT
#include <felix/net/detail/transport_kinds.hpp>

#include "support/catch.hpp"

#include <string>

using felix::error_kind;
using felix::detail::transport_kind;

TEST_CASE("transport_kind: a connection that broke, by what it had done before", "[net][transport_kinds]") {
  const int code = GENERATE(52, 55, 56);
  CAPTURE(code);
  CHECK(transport_kind(code, {}) == error_kind::transport_reset);
  CHECK(transport_kind(code, {.sent = true}) == error_kind::transport_reset);
  CHECK(transport_kind(code, {.reused = true, .sent = true}) == error_kind::transport_stale);
  CHECK(transport_kind(code, {.sent = true, .any_byte = true}) == error_kind::truncated_stream);
  CHECK(transport_kind(code, {.reused = true, .sent = true, .any_byte = true}) == error_kind::truncated_stream);
}

TEST_CASE("transport_kind: a stream of HTTP/2 that broke is no race of an idle connection", "[net][transport_kinds]") {
  const int code = GENERATE(16, 18, 92, 95, 96);
  CAPTURE(code);
  CHECK(transport_kind(code, {.reused = true, .sent = true}) == error_kind::transport_reset);
  CHECK(transport_kind(code, {.sent = true, .any_byte = true}) == error_kind::truncated_stream);
}

TEST_CASE("transport_kind: a time limit of libcurl's own is that of the connection until something was sent",
          "[net][transport_kinds]") {
  CHECK(transport_kind(28, {}) == error_kind::timeout_connect);
  CHECK(transport_kind(28, {.reused = true}) == error_kind::timeout_connect);
  CHECK(transport_kind(28, {.sent = true}) == error_kind::timeout_total);
  CHECK(transport_kind(28, {.any_byte = true}) == error_kind::timeout_total);
}

TEST_CASE("transport_kind: codes that say it all", "[net][transport_kinds]") {
  struct row {
    int code;
    error_kind kind;
  };
  const auto [code, kind] = GENERATE(values<row>({{5, error_kind::transport_dns},
                                                  {6, error_kind::transport_dns},
                                                  {7, error_kind::transport_refused},
                                                  {45, error_kind::transport_refused},
                                                  {97, error_kind::transport_refused},
                                                  {35, error_kind::transport_tls},
                                                  {53, error_kind::transport_tls},
                                                  {54, error_kind::transport_tls},
                                                  {58, error_kind::transport_tls},
                                                  {59, error_kind::transport_tls},
                                                  {60, error_kind::transport_tls},
                                                  {64, error_kind::transport_tls},
                                                  {66, error_kind::transport_tls},
                                                  {77, error_kind::transport_tls},
                                                  {80, error_kind::transport_tls},
                                                  {82, error_kind::transport_tls},
                                                  {83, error_kind::transport_tls},
                                                  {90, error_kind::transport_tls},
                                                  {91, error_kind::transport_tls},
                                                  {98, error_kind::transport_tls},
                                                  {1, error_kind::protocol_error},
                                                  {8, error_kind::protocol_error},
                                                  {23, error_kind::protocol_error},
                                                  {27, error_kind::protocol_error},
                                                  {47, error_kind::protocol_error},
                                                  {61, error_kind::protocol_error},
                                                  {63, error_kind::protocol_error},
                                                  {42, error_kind::cancelled},
                                                  {2, error_kind::other},
                                                  {3, error_kind::other},
                                                  {43, error_kind::other},
                                                  {9'999, error_kind::other},
                                                  {-1, error_kind::other}}));
  for (const bool reused : {false, true})
    for (const bool any_byte : {false, true}) {
      CAPTURE(code, reused, any_byte);
      CHECK(transport_kind(code, {.reused = reused, .any_byte = any_byte}) == kind);
    }
}
