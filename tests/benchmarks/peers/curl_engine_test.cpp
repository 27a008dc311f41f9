// SPDX-License-Identifier: MIT
// tests: the raw libcurl engines of the benchmarks keep their connections, and notice when the server closes one.
#include "../../../benchmarks/peers/curl_engine.hpp"  // first: this file proves that the header needs no other before it

#include "../../../benchmarks/peers/chat_readers.hpp"

#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <chrono>
#include <stdexcept>
#include <string>

using felix::test::fault_server;
using felix::test::reply;
using felix::test::request;
using peers::epoll_removal;

namespace {

using engine = peers::curl_engine<peers::json_reader>;

constexpr std::size_t slots = 4;

peers::curl_engine_options options(const fault_server& server, epoll_removal removal) {
  return {
      .url = server.url() + "/v1/chat/completions", .body = R"({"messages":[]})", .slots = slots, .removal = removal};
}

/// One request in each slot; gives the number of answers whose text was as long.
std::size_t one_round(engine& raw, std::size_t length) {
  std::size_t right = 0;
  raw.run(engine::clock::now(), [&](std::chrono::nanoseconds, std::size_t text) { right += text == length ? 1U : 0U; });
  return right;
}

}  // namespace

TEST_CASE("curl_engine: a connection for each slot serves all rounds", "[benchmarks]") {
  for (const epoll_removal removal : {epoll_removal::eager, epoll_removal::lazy}) {
    fault_server server{[](const request&) { return felix::test::chat("a river"); }};
    engine raw{options(server, removal)};
    for (int round = 0; round < 5; ++round) CHECK(one_round(raw, 7) == slots);
    CHECK(server.connections() == slots);
    CHECK(server.requests().size() == 5 * slots);
    if (removal == epoll_removal::lazy) CHECK(raw.epoll_ctl_per_request() < 1);  // to write and to read, once in 5
    CHECK(server.requests().front().method == "POST");
    CHECK(server.requests().front().body == R"({"messages":[]})");
  }
}

TEST_CASE("curl_engine: what the server has closed is opened again", "[benchmarks]") {
  for (const epoll_removal removal : {epoll_removal::eager, epoll_removal::lazy}) {
    fault_server server{[](const request&) {
      reply answer = felix::test::chat("a river");
      answer.end = reply::ending::close;  // unannounced: the client keeps the connection, until it sees the end
      return answer;
    }};
    engine raw{options(server, removal)};
    for (int round = 0; round < 4; ++round) {
      CHECK(one_round(raw, 7) == slots);
      REQUIRE(server.wait_until([](const fault_server& at) { return at.open_connections() == 0; }));
      raw.drive(engine::clock::now() +
                std::chrono::milliseconds{1});  // the ends arrive, and libcurl wants none of them
    }
    CHECK(server.connections() == 4 * slots);
  }
}

TEST_CASE("curl_engine: a connection that libcurl closes itself is forgotten", "[benchmarks]") {
  for (const epoll_removal removal : {epoll_removal::eager, epoll_removal::lazy}) {
    fault_server server{[](const request&) {
      return felix::test::http(200, R"({"choices":[{"message":{"content":"a river"}}]})", {{"Connection", "close"}});
    }};
    engine raw{options(server, removal)};
    for (int round = 0; round < 3; ++round) CHECK(one_round(raw, 7) == slots);  // the descriptors come again
    CHECK(server.connections() == 3 * slots);
  }
}

TEST_CASE("curl_engine: an error of the server ends the run", "[benchmarks]") {
  fault_server server{[](const request&) { return felix::test::http(503, "{}"); }};
  engine raw{options(server, epoll_removal::lazy)};
  CHECK_THROWS_WITH(one_round(raw, 7), Catch::Matchers::ContainsSubstring("503"));
}
