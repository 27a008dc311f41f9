// SPDX-License-Identifier: MIT
#include <felix/net/detail/curl_multi.hpp>

#include "support/catch.hpp"
#include "support/curl_transfer.hpp"
#include "support/fault_server.hpp"
#include "support/raw_peer.hpp"

#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

using namespace std::chrono_literals;
using felix::test::curl_transfer;
using felix::test::drive;

namespace {

/// The least that is a reactor.
struct bare : felix::detail::curl_multi {
  bare() = default;
  ~bare() { clean_up(); }
  void prepare(CURL*) noexcept {}
  static felix::detail::socket_count::closing on_closing() noexcept { return {}; }
  void poll() {
    int running = 0;
    curl_multi_perform(multi(), &running);
    tell_finished();
  }
  using curl_multi::milliseconds;
};
struct never_cleaned : felix::detail::curl_multi {
  ~never_cleaned() = default;
};

}  // namespace

TEST_CASE("curl_multi: a request runs, and is told once that it has finished", "[net][curl_multi]") {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  bare reactor;
  curl_transfer request{reactor, server.url()};
  for (int round = 0; round < 2; ++round) {
    request.outcome.reset();
    reactor.start(request);
    CHECK(reactor.running() == 1);
    REQUIRE(drive(reactor, [&] { return request.outcome.has_value(); }));
    CHECK(*request.outcome == CURLE_OK);
    CHECK(reactor.running() == 0);
    CHECK(request.opened_connections() == (round == 0 ? 1 : 0));
  }
  CHECK(request.body == "okok");
  reactor.stop(request);  // does not run: nothing happens
  CHECK(reactor.running() == 0);
}

TEST_CASE("curl_multi: those that run can be stopped in any order, and start again", "[net][curl_multi]") {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  bare reactor;
  curl_transfer first{reactor, server.url()}, second{reactor, server.url()}, third{reactor, server.url()};
  for (const int order : {0, 1, 2}) {
    for (auto* each : {&first, &second, &third}) reactor.start(*each);
    CHECK(reactor.running() == 3);
    CHECK_THROWS_WITH(reactor.start(first), Catch::Matchers::ContainsSubstring("libcurl"));  // it runs already
    CHECK(reactor.running() == 3);
    curl_transfer& stopped = order == 0 ? first : order == 1 ? second : third;
    reactor.stop(stopped);
    REQUIRE(drive(reactor, [&] { return reactor.running() == 0; }));
    for (auto* each : {&first, &second, &third}) {
      CHECK(each->outcome.has_value() == (each != &stopped));
      each->outcome.reset();
    }
  }
}

TEST_CASE("curl_multi: at its end it orphans what runs and what is kept, and nothing else", "[net][curl_multi]") {
  felix::test::raw_peer peer;
  std::optional<bare> reactor{std::in_place};
  curl_transfer runs{*reactor, peer.url()}, kept{*reactor, peer.url()}, stopped{*reactor, peer.url()},
      freed{*reactor, peer.url()};
  reactor->start(runs);
  reactor->start(stopped);
  reactor->stop(stopped);
  reactor->keep(kept);
  reactor->keep(freed);
  reactor->stop(freed);
  CHECK(reactor->running() == 1);
  REQUIRE(drive(*reactor, [&] { return peer.was_asked(); }));
  reactor.reset();
  CHECK(runs.orphaned_count == 1);
  CHECK(kept.orphaned_count == 1);
  CHECK(stopped.orphaned_count == 0);
  CHECK(freed.orphaned_count == 0);
  CHECK_FALSE(runs.outcome.has_value());
  CHECK(peer.was_left());
}

TEST_CASE("curl_multi: a reactor that could not be made cleans up all the same", "[net][curl_multi]") {
  static_cast<void>(std::make_unique<never_cleaned>());  // a leak check would tell
}

TEST_CASE("curl_multi: as many connections are kept as there were requests at once", "[net][curl_multi]") {
  constexpr int at_once = 24;
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  bare reactor;
  std::vector<std::unique_ptr<curl_transfer>> requests;
  for (int i = 0; i < at_once; ++i) requests.push_back(std::make_unique<curl_transfer>(reactor, server.url()));
  for (int round = 0; round < 3; ++round) {
    for (auto& each : requests) reactor.start(*each);
    REQUIRE(drive(reactor, [&] { return reactor.running() == 0; }));
  }
  CHECK(server.connections() <= at_once);
  CHECK(server.open_connections() == server.connections());
}

TEST_CASE("curl_multi: waits are rounded up to milliseconds, and bounded", "[net][curl_multi]") {
  CHECK(bare::milliseconds(std::nullopt) == -1);
  CHECK(bare::milliseconds(0ns) == 0);
  CHECK(bare::milliseconds(1ns) == 1);
  CHECK(bare::milliseconds(1ms) == 1);
  CHECK(bare::milliseconds(1'000'001ns) == 2);
  CHECK(bare::milliseconds(-5s) == 0);
  CHECK(bare::milliseconds(24h * 365) == std::numeric_limits<int>::max());
}
