// SPDX-License-Identifier: MIT
// What every reactor does.
#include <felix/net/detail/poll_reactor.hpp>

#if defined(__linux__)
#include <felix/net/detail/epoll_reactor.hpp>
#endif
#include "support/catch.hpp"
#include "support/curl_transfer.hpp"
#include "support/fault_server.hpp"
#include "support/raw_peer.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;
using felix::test::curl_transfer;
using felix::test::drive;

#if defined(__linux__)
using reactors = std::tuple<felix::detail::poll_reactor, felix::detail::epoll_reactor>;
#else
using reactors = std::tuple<felix::detail::poll_reactor>;
#endif

TEMPLATE_LIST_TEST_CASE("reactors: wait ends when a request has come further, and runs it to its end", "[net][reactor]",
                        reactors) {
  felix::test::fault_server server{[](const felix::test::request&) {
    auto answer = felix::test::http(200, "0123456789");
    answer.bytes_per_write = 50;
    return answer;
  }};
  TestType reactor;
  curl_transfer request{reactor, server.url()};
  reactor.start(request);
  while (!request.outcome) reactor.wait(std::nullopt);
  CHECK(*request.outcome == CURLE_OK);
  CHECK(request.body == "0123456789");
}

TEMPLATE_LIST_TEST_CASE("reactors: a wake-up is taken once", "[net][reactor]", reactors) {
  constexpr auto quiet = 3ms;
  TestType reactor;
  reactor.wake();
  reactor.wake();
  reactor.wait(std::nullopt);
  const auto begin = std::chrono::steady_clock::now();
  reactor.wait(quiet);
  CHECK(std::chrono::steady_clock::now() - begin >= quiet);
}

TEMPLATE_LIST_TEST_CASE("reactors: the sockets of libcurl's resolver come and go", "[net][reactor]", reactors) {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  TestType reactor;
  for (int round = 0; round < 3; ++round) {
    curl_transfer unknown{reactor, "http://no-such-host.invalid/"}, known{reactor, server.url()};
    known.set(CURLOPT_FRESH_CONNECT, 1);
    for (auto* each : {&unknown, &known}) {
      reactor.start(*each);
      while (!each->outcome) reactor.wait(std::nullopt);
    }
    CHECK(*unknown.outcome == CURLE_COULDNT_RESOLVE_HOST);
    CHECK(known.body == "ok");
  }
}

TEMPLATE_LIST_TEST_CASE("reactors: libcurl's own timers fire", "[net][reactor]", reactors) {
  felix::test::raw_peer blackhole{0};
  // Fills its queue: the kernel does not answer who comes after that.
  const sockaddr_in address = blackhole.address();
  std::vector<int> queued;
  for (int i = 0; i < 3; ++i) {
    queued.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    static_cast<void>(::connect(queued.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  }
  TestType reactor;
  curl_transfer request{reactor, blackhole.url()};
  request.set(CURLOPT_CONNECTTIMEOUT_MS, 20);
  const auto begin = std::chrono::steady_clock::now();
  reactor.start(request);
  while (!request.outcome) reactor.wait(std::nullopt);
  CHECK(*request.outcome == CURLE_OPERATION_TIMEDOUT);
  CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
  for (const int each : queued) ::close(each);
}

TEMPLATE_LIST_TEST_CASE("reactors: a stopped request closes its connection", "[net][reactor]", reactors) {
  felix::test::raw_peer peer;
  TestType reactor;
  curl_transfer request{reactor, peer.url()};
  reactor.start(request);
  REQUIRE(drive(reactor, [&] { return peer.was_asked(); }));
  CHECK_FALSE(peer.was_left());
  reactor.stop(request);
  CHECK(peer.was_left());
  CHECK_FALSE(request.outcome.has_value());
}

TEMPLATE_LIST_TEST_CASE("reactors: its end closes idle connections and those in use", "[net][reactor]", reactors) {
  felix::test::fault_server server{[](const felix::test::request& r) {
    if (r.target == "/hang") return felix::test::reply{.head_and_body = "", .end = felix::test::reply::ending::hang};
    return felix::test::http(200, "ok");
  }};
  std::optional<TestType> reactor{std::in_place};
  curl_transfer idle{*reactor, server.url()}, other{*reactor, server.url()}, in_use{*reactor, server.url() + "/hang"};
  reactor->start(idle);
  reactor->start(other);
  reactor->start(in_use);
  REQUIRE(drive(*reactor, [&] { return reactor->running() == 1 && server.requests().size() == 3; }));
  reactor.reset();
  CHECK(in_use.orphaned_count == 1);
  CHECK(server.wait_until([](auto& s) { return s.open_connections() == 0; }));
}
