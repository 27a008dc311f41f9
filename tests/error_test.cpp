// SPDX-License-Identifier: MIT
// core: an exception carries a code that programs compare, whether it may have cost tokens, and a message for people.
#include <felix/error.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

using felix::errc;
using felix::error_kind;
using felix::request_cost;

static_assert(std::is_base_of_v<std::runtime_error, felix::error>);
static_assert(std::is_base_of_v<felix::error, felix::cancelled> && std::is_base_of_v<felix::error, felix::timed_out>);
static_assert(std::is_base_of_v<felix::error, felix::deadlock_error>);
static_assert(std::is_base_of_v<felix::error, felix::transport_error>);
static_assert(std::is_base_of_v<felix::error, felix::api_error>);
static_assert(std::is_error_code_enum_v<errc> && !std::is_convertible_v<int, errc>);
static_assert(std::is_nothrow_copy_constructible_v<std::error_code>);

TEST_CASE("errc: each has its own words, and 0 stays success", "[core][error]") {
  struct row {
    errc condition;
    std::string words;
  };
  const auto [condition, words] = GENERATE(values<row>({{errc::invalid_option, "invalid option"},
                                                        {errc::invalid_argument, "invalid argument"},
                                                        {errc::cancelled, "cancelled"},
                                                        {errc::timed_out, "timed out"},
                                                        {errc::deadlock, "deadlock"},
                                                        {errc::queue_full, "queue full"},
                                                        {errc::budget_exceeded, "budget exceeded"},
                                                        {errc::transport, "transport error"},
                                                        {errc::bad_status, "server error"},
                                                        {errc::protocol, "protocol error"},
                                                        {errc::io, "input/output error"}}));
  const std::error_code code = condition;
  CHECK(code);  // a value of 0 would read as "no error"
  CHECK(code.message() == words);
  CHECK(code == condition);
  CHECK(&code.category() == &felix::felix_category());
}

TEST_CASE("felix_category: is not the system's, and knows what it does not know", "[core][error]") {
  CHECK(std::string{felix::felix_category().name()} == "felix");
  CHECK(felix::felix_category().message(0) == "unknown");
  CHECK(felix::felix_category().message(999) == "unknown");
  const std::error_code ours = errc::invalid_option;
  CHECK(ours != std::error_code{ours.value(), std::generic_category()});
  CHECK(ours != errc::invalid_argument);
}

TEST_CASE("error: keeps its message, its code and its cost, through its base too", "[core][error]") {
  try {
    throw felix::error{errc::protocol, "models: no list; look at the server", request_cost::unknown};
  } catch (const std::runtime_error& caught) {
    CHECK(std::string{caught.what()} == "models: no list; look at the server");
    const auto& kept = dynamic_cast<const felix::error&>(caught);
    CHECK(kept.code() == errc::protocol);
    CHECK(kept.cost() == request_cost::unknown);
  }
  CHECK(felix::error{errc::io, "a"}.cost() == request_cost::none);
  const auto refused = std::make_error_code(std::errc::permission_denied);
  CHECK(felix::error{refused, "pipe: refused"}.code() == std::errc::permission_denied);
}

TEST_CASE("error: what the kinds say and cost when nothing else is said", "[core][error]") {
  const felix::cancelled stopped{"sleeping"};
  CHECK(std::string{stopped.what()} == "cancelled while sleeping");
  CHECK(stopped.code() == errc::cancelled);
  CHECK(stopped.cost() == request_cost::none);
  CHECK(felix::cancelled{"receiving", request_cost::unknown}.cost() == request_cost::unknown);

  const felix::timed_out late{"request: 30 s are over"};
  CHECK(std::string{late.what()} == "request: 30 s are over");
  CHECK(late.code() == errc::timed_out);
  CHECK(late.cost() == request_cost::unknown);  // it was sent, most likely
  CHECK(felix::timed_out{"connect", request_cost::none}.cost() == request_cost::none);

  const felix::deadlock_error stuck{"run: inside run"};
  CHECK(std::string{stuck.what()} == "run: inside run");
  CHECK(stuck.code() == errc::deadlock);
  CHECK(stuck.cost() == request_cost::none);

  const felix::transport_error cut{"body cut short", 18};
  CHECK(cut.code() == errc::transport);
  CHECK(cut.native_code() == 18);
  CHECK(cut.cost() == request_cost::unknown);
  CHECK(felix::transport_error{"refused", 7, request_cost::none}.cost() == request_cost::none);
}

TEST_CASE("api_error: carries what the server said", "[core][error]") {
  const felix::api_error limited{"429: too many requests",
                                 {.status = 429,
                                  .type = "rate_limit",
                                  .code = "slow_down",
                                  .body_excerpt = "{\"error\":…",
                                  .retry_after = std::chrono::milliseconds{1'500}}};
  CHECK(std::string{limited.what()} == "429: too many requests");
  CHECK(limited.code() == errc::bad_status);
  CHECK(limited.status() == 429);
  CHECK(limited.type() == "rate_limit");
  CHECK(limited.provider_code() == "slow_down");
  CHECK(limited.body_excerpt() == "{\"error\":…");
  CHECK(limited.retry_after() == std::chrono::milliseconds{1'500});
  CHECK_FALSE(felix::api_error("500", {.status = 500}).retry_after());
}

TEST_CASE("api_error: a server that fails may have worked, one that refuses has not", "[core][error]") {
  struct row {
    int status;
    request_cost cost;
  };
  const auto [status, cost] = GENERATE(values<row>({{302, request_cost::none},
                                                    {400, request_cost::none},
                                                    {429, request_cost::none},
                                                    {499, request_cost::none},
                                                    {500, request_cost::unknown},
                                                    {502, request_cost::unknown},
                                                    {503, request_cost::none},
                                                    {504, request_cost::unknown}}));
  CAPTURE(status);
  CHECK(felix::api_error("refused", {.status = status}).cost() == cost);
}

TEST_CASE("error: the kind, where no more is known than the code, and where it is", "[core][error]") {
  CHECK(felix::error{errc::invalid_option, "x"}.kind() == error_kind::other);
  CHECK(felix::error{errc::io, "x"}.kind() == error_kind::other);
  CHECK(felix::error{errc::queue_full, "x"}.kind() == error_kind::queue_full);
  CHECK(felix::error{errc::invalid_argument, "x"}.kind() == error_kind::bad_request);
  CHECK(felix::error{errc::budget_exceeded, "x"}.kind() == error_kind::other);
  CHECK(felix::error{errc::protocol, "x", request_cost::unknown}.kind() == error_kind::protocol_error);
  CHECK(felix::error{errc::bad_status, "x"}.kind() == error_kind::server_error);
  CHECK(felix::error{errc::protocol, "x", request_cost::unknown, error_kind::truncated_stream}.kind() ==
        error_kind::truncated_stream);
  CHECK(felix::error{std::make_error_code(std::errc::permission_denied), "x"}.kind() == error_kind::other);
  CHECK(felix::cancelled{"x"}.kind() == error_kind::cancelled);
  CHECK(felix::deadlock_error{"x"}.kind() == error_kind::other);
  CHECK(felix::timed_out{"x"}.kind() == error_kind::timeout_total);
  CHECK(felix::timed_out{"x", request_cost::none, error_kind::timeout_connect}.kind() == error_kind::timeout_connect);
  CHECK(felix::transport_error{"x", 56}.kind() == error_kind::transport_reset);
}

TEST_CASE("error: the kind decides what an attempt may have cost", "[core][error]") {
  CHECK(felix::timed_out{"x", error_kind::timeout_connect}.cost() == request_cost::none);
  CHECK(felix::timed_out{"x", error_kind::timeout_first_byte}.cost() == request_cost::unknown);
  CHECK(felix::timed_out{"x", error_kind::timeout_first_token}.cost() == request_cost::unknown);
  CHECK(felix::timed_out{"x", error_kind::timeout_idle}.cost() == request_cost::unknown);
  CHECK(felix::timed_out{"x", error_kind::timeout_total}.kind() == error_kind::timeout_total);
  for (const auto kind : {error_kind::transport_refused, error_kind::transport_dns, error_kind::transport_tls}) {
    const felix::transport_error failure{"x", 7, kind};
    CHECK(failure.kind() == kind);
    CHECK(failure.native_code() == 7);
    CHECK(failure.cost() == request_cost::none);
  }
  for (const auto kind : {error_kind::transport_stale, error_kind::transport_reset, error_kind::truncated_stream})
    CHECK(felix::transport_error{"x", 56, kind}.cost() == request_cost::unknown);
  for (const auto kind :
       {error_kind::redirect, error_kind::content_filtered, error_kind::context_overflow, error_kind::authentication,
        error_kind::permission, error_kind::quota_exhausted, error_kind::model_loading, error_kind::model_unknown,
        error_kind::not_found, error_kind::rate_limited, error_kind::bad_request, error_kind::overloaded,
        error_kind::queue_full}) {
    CAPTURE(to_string(kind));
    CHECK(felix::request_cost_of(kind) == request_cost::none);
  }
  CHECK(felix::request_cost_of(error_kind::server_error) == request_cost::unknown);
  CHECK(felix::request_cost_of(error_kind::protocol_error) == request_cost::unknown);
}

TEST_CASE("api_error: its kind is the one it is given, else that of its status", "[core][error]") {
  CHECK(felix::api_error("x", {.status = 401}).kind() == error_kind::authentication);
  CHECK(felix::api_error("x", {.status = 503}).kind() == error_kind::overloaded);
  const felix::api_error overflow{"x",
                                  {.status = 500,
                                   .kind = error_kind::context_overflow,
                                   .request_id = "req-1",
                                   .param = "messages",
                                   .should_retry = false,
                                   .prompt_tokens = 1403,
                                   .context_tokens = 512}};
  CHECK(overflow.kind() == error_kind::context_overflow);
  CHECK(overflow.cost() == request_cost::none);  // a 500, but it did not run
  CHECK(overflow.code() == errc::bad_status);
  CHECK(overflow.request_id() == "req-1");
  CHECK(overflow.param() == "messages");
  CHECK(overflow.should_retry() == false);
  CHECK(overflow.prompt_tokens() == 1403);
  CHECK(overflow.context_tokens() == 512);
  CHECK_FALSE(felix::api_error("x", {.status = 400}).should_retry());
  CHECK_FALSE(felix::api_error("x", {.status = 400}).prompt_tokens());
  CHECK_FALSE(felix::api_error("x", {.status = 400}).context_tokens());
  CHECK(felix::api_error("x", {.status = 409}).cost() == request_cost::none);  // kind server_error, and still a 4xx
  CHECK(felix::api_error("x", {.status = 200, .kind = error_kind::server_error}).cost() == request_cost::unknown);
  CHECK(felix::api_error("x", {.status = 429}, request_cost::unknown).cost() == request_cost::unknown);
}
