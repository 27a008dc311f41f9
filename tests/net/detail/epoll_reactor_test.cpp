// SPDX-License-Identifier: MIT
#if defined(__linux__)
#include <felix/net/detail/epoll_reactor.hpp>

#include "support/catch.hpp"
#include "support/curl_transfer.hpp"
#include "support/fault_server.hpp"
#include "support/raw_peer.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using felix::detail::epoll_reactor;
using felix::test::curl_transfer;
using felix::test::drive;

namespace {

/// Waits that had something to do before one found nothing for its whole time. A reactor that spins has no end of them.
int waits_until_quiet(epoll_reactor& reactor) {
  constexpr auto quiet = 3ms;
  for (int waits = 0; waits < 100; ++waits) {
    const auto begin = std::chrono::steady_clock::now();
    reactor.wait(quiet);
    if (std::chrono::steady_clock::now() - begin >= quiet) return waits;
  }
  return 100;
}

/// One answered request; gives the descriptor of the connection that it opened last.
int ask(epoll_reactor& reactor, curl_transfer& request, felix::test::raw_peer& peer) {
  request.body.clear();
  request.outcome.reset();
  reactor.start(request);
  CHECK(drive(reactor, [&] { return peer.was_asked(); }));
  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  CHECK(drive(reactor, [&] { return request.outcome.has_value(); }));
  CHECK(*request.outcome == CURLE_OK);
  CHECK(request.body == "ok");
  return request.socket;
}

}  // namespace

TEST_CASE("epoll_reactor: an idle connection that its server closes wakes it once", "[net][epoll_reactor]") {
  const bool looks = GENERATE(true, false);  // or the next request comes first
  felix::test::raw_peer peer;
  epoll_reactor reactor;
  curl_transfer request{reactor, peer.url()};
  ask(reactor, request, peer);
  CHECK(waits_until_quiet(reactor) <= 2);  // libcurl may have a timer left
  SECTION("in order") { peer.close(); }
  SECTION("by a reset") { peer.reset(); }
  SECTION("after a word too much") { peer.send("HTTP/1.1 408 Request Timeout\r\n\r\n"); }
  if (looks) CHECK(waits_until_quiet(reactor) <= 2);
  ask(reactor, request, peer);  // on a new one, and libcurl closes the old one
  CHECK(peer.accepted() == 2);
}

TEST_CASE("epoll_reactor: a kept connection is asked again, and readable again", "[net][epoll_reactor]") {
  felix::test::raw_peer peer;
  epoll_reactor reactor;
  curl_transfer request{reactor, peer.url()};
  for (int round = 0; round < 5; ++round) {
    ask(reactor, request, peer);
    waits_until_quiet(reactor);
  }
  CHECK(peer.accepted() == 1);
}

TEST_CASE("epoll_reactor: a descriptor number that is used again is registered again", "[net][epoll_reactor]") {
  felix::test::raw_peer peer;
  epoll_reactor reactor;
  curl_transfer request{reactor, peer.url()};
  const bool seen = GENERATE(true, false);  // that the server has closed
  int same = 0;
  int before = ask(reactor, request, peer);
  for (int round = 0; round < 4; ++round) {
    peer.close();
    if (seen) waits_until_quiet(reactor);
    request.outcome.reset();
    const int now = ask(reactor, request, peer);
    same += now == before;
    before = now;
  }
  CHECK(same > 0);  // else this is no test
  CHECK(peer.accepted() == 5);
}

TEST_CASE("epoll_reactor: a closed socket that a child process has too does not wake it", "[net][epoll_reactor]") {
  felix::test::raw_peer peer;
  epoll_reactor reactor;
  curl_transfer request{reactor, peer.url()};
  const int copy = ::dup(ask(reactor, request, peer));  // as after a fork
  REQUIRE(copy >= 0);
  SECTION("idle") {
    peer.send("stray");  // makes it useless: libcurl closes it when it looks for one
    ask(reactor, request, peer);
    CHECK(peer.accepted() == 2);
  }
  SECTION("in use") {
    reactor.start(request);
    REQUIRE(drive(reactor, [&] { return peer.was_asked(); }));
    reactor.stop(request);
    peer.send("too late");
  }
  CHECK(waits_until_quiet(reactor) <= 3);
  ::close(copy);
}

TEST_CASE("epoll_reactor: more ready sockets than one look gives", "[net][epoll_reactor]") {
  constexpr int at_once = 150;
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  epoll_reactor reactor;
  std::vector<std::unique_ptr<curl_transfer>> requests;
  for (int i = 0; i < at_once; ++i) {
    requests.push_back(std::make_unique<curl_transfer>(reactor, server.url()));
    reactor.start(*requests.back());
  }
  while (reactor.running() != 0) reactor.wait(std::nullopt);
  for (auto& each : requests) CHECK(each->body == "ok");
}

#endif
