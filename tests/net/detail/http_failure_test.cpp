// SPDX-License-Identifier: MIT
#include <felix/net/detail/http_failure.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::detail::http_failure;

namespace {

felix::http_request request() {
  return felix::http_request{"http://host:1/secret?key=1"}
      .timeouts({.connect = 1ms, .between_tokens = 2ms, .first_byte = 3ms, .first_token = 4ms, .total = 5ms})
      .max_response_bytes(7);
}
template <class Error>
Error thrown(http_failure why, bool sent = true) {
  try {
    felix::detail::throw_http_failure(why, request(), sent);
  } catch (const Error& failure) {
    return failure;
  }
}

}  // namespace

TEST_CASE("http_failure: a limit is named, with its length and its option", "[net][http_failure]") {
  const auto [why, length, option] = GENERATE(table<http_failure, std::string, std::string>({
      {http_failure::late_between, "2 ms", "timeouts.between_tokens"},
      {http_failure::late_first_byte, "3 ms", "timeouts.first_byte"},
      {http_failure::late_first_token, "4 ms", "timeouts.first_token"},
      {http_failure::late_total, "5 ms", "timeouts.total"},
  }));
  const auto failure = thrown<felix::timed_out>(why);
  CHECK_THAT(failure.what(), ContainsSubstring("http://host:1 ") && ContainsSubstring(" " + length) &&
                                 ContainsSubstring(option) && !ContainsSubstring("secret"));
  CHECK(failure.cost() == felix::request_cost::unknown);
}

TEST_CASE("http_failure: a bound is named, and what to do", "[net][http_failure]") {
  const auto body = thrown<felix::error>(http_failure::too_long);
  CHECK(body.code() == felix::errc::protocol);
  CHECK_THAT(body.what(), ContainsSubstring("longer than 7 bytes; raise"));
  const auto head = thrown<felix::error>(http_failure::header_too_long);
  CHECK(head.code() == felix::errc::protocol);
  CHECK_THAT(head.what(), ContainsSubstring("header") && ContainsSubstring("262144"));
}

TEST_CASE("http_failure: a stop costs nothing before the sending", "[net][http_failure]") {
  CHECK(thrown<felix::cancelled>(http_failure::stopped, true).cost() == felix::request_cost::unknown);
  CHECK(thrown<felix::cancelled>(http_failure::stopped, false).cost() == felix::request_cost::none);
}

TEST_CASE("http_failure: what libcurl says, and its detail", "[net][http_failure]") {
  const felix::detail::easy_handle easy;
  const auto why = [&](CURLcode outcome) {
    felix::detail::throw_curl_failure(outcome, "detail", request(), easy, false, false);
  };
  CHECK_THROWS_WITH(why(CURLE_RECV_ERROR), ContainsSubstring("no answer from http://host:1: ") &&
                                               ContainsSubstring("(detail)") && !ContainsSubstring("secret"));
  CHECK_THROWS_WITH(why(CURLE_COULDNT_CONNECT), ContainsSubstring("listening") && ContainsSubstring("ulimit"));
  CHECK_THROWS_AS(why(CURLE_OPERATION_TIMEDOUT), felix::timed_out);
  CHECK_THROWS_WITH(why(CURLE_OPERATION_TIMEDOUT), ContainsSubstring("1 ms") && ContainsSubstring("timeouts.connect"));
}

TEST_CASE("http_failure: each limit has its kind", "[net][http_failure]") {
  using felix::error_kind;
  CHECK(thrown<felix::timed_out>(http_failure::late_between).kind() == error_kind::timeout_idle);
  CHECK(thrown<felix::timed_out>(http_failure::late_first_byte).kind() == error_kind::timeout_first_byte);
  CHECK(thrown<felix::timed_out>(http_failure::late_first_token).kind() == error_kind::timeout_first_token);
  CHECK(thrown<felix::timed_out>(http_failure::late_total).kind() == error_kind::timeout_total);
}

TEST_CASE("http_failure: libcurl's outcome has its kind, by what was known of the connection", "[net][http_failure]") {
  const felix::detail::easy_handle easy;
  const auto kind = [&](CURLcode outcome, bool reused, bool any_byte) {
    try {
      felix::detail::throw_curl_failure(outcome, "", request(), easy, reused, any_byte);
    } catch (const felix::error& failure) {
      return failure.kind();
    }
  };
  CHECK(kind(CURLE_GOT_NOTHING, true, false) == felix::error_kind::transport_stale);
  CHECK(kind(CURLE_GOT_NOTHING, false, false) == felix::error_kind::transport_reset);
  CHECK(kind(CURLE_RECV_ERROR, false, true) == felix::error_kind::truncated_stream);
  CHECK(kind(CURLE_OPERATION_TIMEDOUT, false, false) == felix::error_kind::timeout_connect);
}
