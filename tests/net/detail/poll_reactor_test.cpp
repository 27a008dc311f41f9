// SPDX-License-Identifier: MIT
#include <felix/net/detail/poll_reactor.hpp>

#include "support/catch.hpp"
#include "support/curl_transfer.hpp"
#include "support/fault_server.hpp"
#include "support/raw_peer.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using felix::detail::poll_reactor;
using felix::test::curl_transfer;
using felix::test::drive;

TEST_CASE("poll_reactor: without a request it waits all the same", "[net][poll_reactor]") {
  poll_reactor reactor;
  const auto begin = std::chrono::steady_clock::now();
  reactor.wait(3ms);
  CHECK(std::chrono::steady_clock::now() - begin >= 3ms);
  reactor.wake();
  reactor.poll();  // does not take the wake-up away
  reactor.wait(std::nullopt);
}

TEST_CASE("poll_reactor: wait ends when a request has come further, and runs it to its end", "[net][poll_reactor]") {
  felix::test::fault_server server{[](const felix::test::request&) {
    auto answer = felix::test::http(200, "0123456789");
    answer.bytes_per_write = 50;
    return answer;
  }};
  poll_reactor reactor;
  curl_transfer request{reactor, server.url()};
  reactor.start(request);
  while (!request.outcome) reactor.wait(std::nullopt);
  CHECK(*request.outcome == CURLE_OK);
  CHECK(request.body == "0123456789");
}

TEST_CASE("poll_reactor: a wake-up is taken once", "[net][poll_reactor]") {
  constexpr auto quiet = 3ms;
  poll_reactor reactor;
  reactor.wake();
  reactor.wake();
  reactor.wait(std::nullopt);
  const auto begin = std::chrono::steady_clock::now();
  reactor.wait(quiet);
  CHECK(std::chrono::steady_clock::now() - begin >= quiet);
}

TEST_CASE("poll_reactor: the sockets of libcurl's resolver come and go", "[net][poll_reactor]") {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  poll_reactor reactor;
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

TEST_CASE("poll_reactor: libcurl's own timers fire", "[net][poll_reactor]") {
  felix::test::raw_peer blackhole{0};
  // Fills its queue: the kernel does not answer who comes after that.
  const sockaddr_in address = blackhole.address();
  std::vector<int> queued;
  for (int i = 0; i < 3; ++i) {
    queued.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    static_cast<void>(::connect(queued.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  }
  poll_reactor reactor;
  curl_transfer request{reactor, blackhole.url()};
  request.set(CURLOPT_CONNECTTIMEOUT_MS, 20);
  const auto begin = std::chrono::steady_clock::now();
  reactor.start(request);
  while (!request.outcome) reactor.wait(std::nullopt);
  CHECK(*request.outcome == CURLE_OPERATION_TIMEDOUT);
  CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
  for (const int each : queued) ::close(each);
}

TEST_CASE("poll_reactor: a stopped request closes its connection", "[net][poll_reactor]") {
  felix::test::raw_peer peer;
  poll_reactor reactor;
  curl_transfer request{reactor, peer.url()};
  reactor.start(request);
  REQUIRE(drive(reactor, [&] { return peer.was_asked(); }));
  CHECK_FALSE(peer.was_left());
  reactor.stop(request);
  CHECK(peer.was_left());
  CHECK_FALSE(request.outcome.has_value());
}

TEST_CASE("poll_reactor: its end closes idle connections and those in use", "[net][poll_reactor]") {
  felix::test::fault_server server{[](const felix::test::request& r) {
    if (r.target == "/hang") return felix::test::reply{.head_and_body = "", .end = felix::test::reply::ending::hang};
    return felix::test::http(200, "ok");
  }};
  std::optional<poll_reactor> reactor{std::in_place};
  curl_transfer idle{*reactor, server.url()}, other{*reactor, server.url()}, in_use{*reactor, server.url() + "/hang"};
  reactor->start(idle);
  reactor->start(other);
  reactor->start(in_use);
  REQUIRE(drive(*reactor, [&] { return reactor->running() == 1 && server.requests().size() == 3; }));
  reactor.reset();
  CHECK(in_use.orphaned_count == 1);
  CHECK(server.wait_until([](auto& s) { return s.open_connections() == 0; }));
}
