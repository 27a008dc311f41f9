// SPDX-License-Identifier: MIT
#include <felix/net/http_client.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/when_all.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/raw_peer.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::test::fault_server;
using felix::test::reply;
using ending = felix::test::reply::ending;

namespace {

felix::task<felix::http_response> get(felix::http_client& http, std::string url) {
  co_return co_await http.send(felix::http_request{std::move(url)});
}

felix::task<int> get_all(felix::http_client& http, std::string url, int count) {
  std::vector<felix::task<felix::http_response>> requests;
  for (int i = 0; i < count; ++i) requests.push_back(get(http, url));
  int ok = 0;
  for (const auto& got : co_await felix::when_all(std::move(requests))) ok += got.status() == 200;
  co_return ok;
}

felix::error failure_of(felix::event_loop& loop, felix::http_client& http, felix::http_request request) {
  try {
    loop.run(http.send(std::move(request)));
  } catch (const felix::error& failure) {
    return failure;
  }
  FAIL("no failure");
  return {felix::errc::io, ""};
}

}  // namespace

TEST_CASE("http_client: POSTs the body and the headers, and gives back status, headers and body", "[net][http]") {
  fault_server server{[](const felix::test::request&) {
    return felix::test::http(201, R"({"a":1})", {{"X-Request-Id", "r1"}, {"X-Empty", ""}});
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::http_request post{server.url() + "/v1/chat"};
  post.header("X-Test", "yes").header("X-Nothing", "").body(std::string(100'000, 'b'));
  const auto got = loop.run(http.send(post));
  CHECK(got.status() == 201);
  CHECK(got.body == R"({"a":1})");
  CHECK(got.header("content-type") == "application/json");
  CHECK(got.header("x-request-id") == "r1");
  CHECK(got.header("x-empty").empty());
  CHECK(got.timing.total >= got.timing.first_byte);
  const auto seen = server.requests().at(0);
  CHECK(seen.method == "POST");
  CHECK(seen.target == "/v1/chat");
  CHECK(seen.header("x-test") == "yes");
  CHECK(seen.header("expect").empty());
  CHECK(seen.header("user-agent") == "felix");
  CHECK(seen.body.size() == 100'000);
}

TEST_CASE("http_client: a status is not an error of the transport, and a redirect is not followed", "[net][http]") {
  fault_server server{[](const felix::test::request& r) {
    if (r.target == "/evil") return felix::test::http(200, "stolen");
    return felix::test::http(307, "", {{"Location", "/evil"}});
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::http_request post{server.url() + "/start"};
  post.header("Authorization", "Bearer key").body("prompt");
  CHECK(loop.run(http.send(post)).status() == 307);
  CHECK(server.requests().size() == 1);
}

TEST_CASE("http_client: connections are kept alive and used again", "[net][http]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  CHECK_FALSE(loop.run(get(http, server.url())).reused_connection);
  for (int i = 0; i < 5; ++i) CHECK(loop.run(get(http, server.url())).reused_connection);
  CHECK(server.connections() == 1);
}

TEST_CASE("http_client: a kept connection that dies as it is used again is replaced once, at once", "[net][http]") {
  // The first answer promises keep-alive; the second request on that connection finds it reset without an answer.
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request& r) {
    if (++calls == 2 && r.connection == 0) return reply{.head_and_body = "", .end = ending::reset};
    return felix::test::http(200, "ok");
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  CHECK(loop.run(get(http, server.url())).body == "ok");
  CHECK(loop.run(get(http, server.url())).body == "ok");
  CHECK(server.connections() == 2);
  CHECK(calls == 3);
}

TEST_CASE("http_client: a request that is sent at most once is not sent again when a kept connection dies",
          "[net][http]") {
  const auto how = GENERATE(ending::close, ending::reset);
  const int kept = GENERATE(1, 3);
  std::atomic<bool> dies{false};
  fault_server server{[&](const felix::test::request&) {
    if (dies) return reply{.head_and_body = "", .end = how};
    return felix::test::http(200, "ok");
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  REQUIRE(loop.run(get_all(http, server.url(), kept)) == kept);
  dies = true;
  try {
    loop.run(http.send(felix::http_request{server.url()}.at_most_once()));
    FAIL("no failure");
  } catch (const felix::error& failure) {
    CHECK(failure.kind() == felix::error_kind::transport_stale);
    CHECK(failure.cost() == felix::request_cost::unknown);
    CHECK_THAT(failure.what(), !ContainsSubstring("callback"));
  }
  CHECK(server.requests().size() == static_cast<std::size_t>(kept) + 1);
  dies = false;
  CHECK(loop.run(get(http, server.url())).body == "ok");
}

TEST_CASE("http_client: a kept connection that dies after an interim answer is not asked again", "[net][http]") {
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request& r) {
    if (++calls == 2 && r.connection == 0)
      return reply{.head_and_body = "HTTP/1.1 100 Continue\r\n\r\n", .end = ending::close};
    return felix::test::http(200, "ok");
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  CHECK(loop.run(get(http, server.url())).body == "ok");
  CHECK(failure_of(loop, http, felix::http_request{server.url()}).code() == felix::errc::transport);
  CHECK(calls == 2);
}

TEST_CASE("http_client: a fresh connection that gives nothing is an error, not tried again", "[net][http]") {
  std::atomic<int> calls{0};
  const auto how = GENERATE(ending::close, ending::reset);
  fault_server server{[&](const felix::test::request&) {
    ++calls;
    return reply{.head_and_body = "", .end = how};
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  const auto failure = failure_of(loop, http, felix::http_request{server.url()});
  CHECK(failure.code() == felix::errc::transport);
  CHECK(failure.cost() == felix::request_cost::unknown);
  CHECK(calls == 1);
}

TEST_CASE("http_client: connection refused names the origin and what to check, and cost nothing", "[net][http]") {
  felix::event_loop loop;
  felix::http_client http{loop};
  const auto url = felix::test::unused_port_url();
  const auto failure = failure_of(loop, http, felix::http_request{url + "/secret/path?key=1"});
  CHECK(failure.code() == felix::errc::transport);
  CHECK(failure.cost() == felix::request_cost::none);
  CHECK_THAT(failure.what(), ContainsSubstring(url) && ContainsSubstring("listening") && !ContainsSubstring("secret"));
}

#if !defined(__SANITIZE_ADDRESS__)  // its undefined-behaviour checks want descriptors of their own
TEST_CASE("http_client: without a free descriptor the error says what to look at, and the loop goes on",
          "[net][http]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  const int next_free = ::dup(0);
  REQUIRE(next_free >= 0);
  ::close(next_free);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next_free);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  std::string why;
  felix::request_cost cost{};
  try {
    loop.run(get(http, server.url()));
  } catch (const felix::error& failure) {
    why = failure.what();
    cost = failure.cost();
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK_THAT(why, ContainsSubstring("descriptors"));
  CHECK(cost == felix::request_cost::none);
  CHECK(loop.run(get(http, server.url())).status() == 200);
}
#endif

TEST_CASE("http_client: a server that does not take the connection is late, by name, and cost nothing", "[net][http]") {
  felix::test::raw_peer blackhole{0};
  const sockaddr_in address = blackhole.address();
  std::vector<int> queued;  // the kernel does not answer who comes after these
  for (int i = 0; i < 3; ++i) {
    queued.push_back(::socket(AF_INET, SOCK_STREAM, 0));
    ::fcntl(queued.back(), F_SETFL, O_NONBLOCK);
    static_cast<void>(::connect(queued.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  }
  felix::event_loop loop;
  felix::http_client http{loop};
  const auto failure =
      failure_of(loop, http, felix::http_request{blackhole.url()}.timeouts({.connect = 20ms, .total = 10s}));
  for (const int each : queued) ::close(each);
  CHECK(failure.code() == felix::errc::timed_out);
  CHECK(failure.cost() == felix::request_cost::none);
  CHECK_THAT(failure.what(), ContainsSubstring("20 ms") && ContainsSubstring("timeouts.connect"));
}

TEST_CASE("http_client: an unknown host is an error that cost nothing", "[net][http]") {
  felix::event_loop loop;
  felix::http_client http{loop};
  const auto failure =
      failure_of(loop, http, felix::http_request{"http://no-such-host.invalid/"}.connection({.no_proxy = true}));
  CHECK(failure.cost() == felix::request_cost::none);
}

TEST_CASE("http_client: bodies cut short and garbage are errors", "[net][http]") {
  felix::event_loop loop;
  felix::http_client http{loop};
  const auto bytes = GENERATE(as<std::string>{}, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "SSH-2.0-OpenSSH\r\n",
                              "garbage\n\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n");
  CAPTURE(bytes);
  fault_server server{[&](const felix::test::request&) { return reply{.head_and_body = bytes, .end = ending::close}; }};
  const auto failure = failure_of(loop, http, felix::http_request{server.url()});
  CHECK(failure.code() == felix::errc::transport);
  CHECK(failure.cost() == felix::request_cost::unknown);
}

TEST_CASE("http_client: a body over its bound is an error, also without a length and in chunks", "[net][http]") {
  felix::event_loop loop;
  felix::http_client http{loop};
  const std::string big(10'000, 'x');
  const bool chunked = GENERATE(false, true);
  fault_server server{[&](const felix::test::request&) {
    if (!chunked) return felix::test::http(200, big);
    return reply{
        .head_and_body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n" + big + "\r\n0\r\n\r\n",
        .end = ending::close};
  }};
  felix::http_request request{server.url()};
  CHECK(loop.run(http.send(request.max_response_bytes(10'000))).body.size() == 10'000);
  const auto failure = failure_of(loop, http, request.max_response_bytes(9'999));
  CHECK(failure.code() == felix::errc::protocol);
  CHECK_THAT(failure.what(), ContainsSubstring("9999 bytes"));
}

TEST_CASE("http_client: the total time limit ends a server that hangs, drips or never begins", "[net][http]") {
  felix::event_loop loop;
  felix::http_client http{loop};
  const int kind = GENERATE(0, 1, 2);
  fault_server server{[&](const felix::test::request&) {
    reply answer = felix::test::http(200, std::string(100'000, 'x'));
    if (kind == 0) answer = {.head_and_body = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", .end = ending::hang};
    if (kind == 1) answer.bytes_per_write = 1;
    if (kind == 2) answer.delay = 1h;
    return answer;
  }};
  const auto failure = failure_of(loop, http, felix::http_request{server.url()}.timeouts({.total = 150ms}));
  CHECK(failure.code() == felix::errc::timed_out);
  CHECK(failure.cost() == felix::request_cost::unknown);
  CHECK_THAT(failure.what(), ContainsSubstring("150 ms") && ContainsSubstring("timeouts.total"));
  CHECK(server.wait_until([](auto& s) { return s.open_connections() == 0; }));  // closed, so that it stops working
}

TEST_CASE("http_client: a stop closes the connection at once", "[net][http]") {
  fault_server server{[](const felix::test::request&) { return reply{.head_and_body = "", .end = ending::hang}; }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::stop_source stop;
  std::thread stopper{[&] {
    CHECK(server.wait_until([](auto& s) { return s.requests().size() == 1; }));
    stop.request_stop();  // from another thread
  }};
  try {
    loop.run(get(http, server.url()), stop.get_token());
    FAIL("not cancelled");
  } catch (const felix::cancelled& ended) {
    CHECK(ended.cost() == felix::request_cost::unknown);
  }
  stopper.join();
  CHECK(loop.reactor().running() == 0);
  CHECK(server.wait_until([](auto& s) { return s.gone_early() == 1 && s.open_connections() == 0; }));
}

TEST_CASE("http_client: a stop that came before costs nothing and sends nothing", "[net][http]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::stop_source stop;
  stop.request_stop();
  try {
    loop.run(get(http, server.url()), stop.get_token());
    FAIL("not cancelled");
  } catch (const felix::cancelled& ended) {
    CHECK(ended.cost() == felix::request_cost::none);
  }
  CHECK(server.connections() == 0);
}

TEST_CASE("http_client: stops race with answers, and each request ends exactly once", "[net][http]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  int answered = 0, cancelled = 0;
  for (int round = 0; round < 100; ++round) {
    felix::stop_source stop;
    std::thread stopper{[&] {
      felix::test::spin_for(round * 8us);
      stop.request_stop();
    }};
    const auto ended = loop.run(felix::as_result(get(http, server.url())), stop.get_token());
    (ended ? answered : cancelled) += 1;
    stopper.join();
    CHECK(loop.reactor().running() == 0);
  }
  CHECK(answered + cancelled == 100);
}

TEST_CASE("http_client: many at once", "[net][http]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  CHECK(loop.run(get_all(http, server.url(), 64)) == 64);
  CHECK(server.requests().size() == 64);
}

TEST_CASE(
    "http_client: when all kept connections have died, the request goes out on one of them, and once on a new one",
    "[net][http]") {
  constexpr int kept = 12;
  std::atomic<int> dead{0};
  fault_server server{[&](const felix::test::request& r) {
    if (r.connection < dead) return reply{.head_and_body = "", .end = ending::reset};
    return felix::test::http(200, "ok");
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  REQUIRE(loop.run(get_all(http, server.url(), kept)) == kept);
  REQUIRE(server.connections() == kept);
  SECTION("which answers, and is kept") {
    dead = kept;
    const auto answer = loop.run(get(http, server.url()));
    CHECK(answer.body == "ok");
    CHECK_FALSE(answer.reused_connection);
    CHECK(server.requests().size() == kept + 2);
    dead = 0;
    CHECK(loop.run(get(http, server.url())).reused_connection);
  }
  SECTION("which dies too") {
    dead = kept + 100;
    const auto failure = failure_of(loop, http, felix::http_request{server.url()}.timeouts({.total = 5s}));
    CHECK(failure.code() == felix::errc::transport);
    CHECK(server.requests().size() == kept + 2);
  }
  CHECK(server.connections() == kept + 1);
}

TEST_CASE("http_client: from another thread, the coroutine goes on where it lives", "[net][http]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  std::atomic<bool> done{false};
  std::thread other{[&] {
    const auto here = std::this_thread::get_id();
    const auto stays = [](felix::http_client& client, std::string url, std::thread::id where) -> felix::task<bool> {
      const auto got = co_await client.send(felix::http_request{std::move(url)});
      co_return got.body == "ok" && std::this_thread::get_id() == where;
    };
    for (int i = 0; i < 20; ++i) CHECK(felix::sync_wait(stays(http, server.url(), here)));
    done = true;
  }};
  const auto drive = [](std::atomic<bool>& until) -> felix::task<void> {
    while (!until) co_await felix::sleep_for(1ms);
  };
  loop.run(drive(done));
  other.join();
}

TEST_CASE("http_client: what real servers sent, byte by byte", "[net][http][samples]") {
  const auto name = GENERATE(as<std::string>{}, "llamacpp-2026/chat.http", "llamacpp-2026/err-context-overflow.http",
                             "nginx/limited-2.http", "haproxy/queue-timeout-503.http", "aimock/fail-429.http",
                             "llamacpp-2026/options-cors.http");
  const auto bytes = felix::test::sample(name);
  if (!bytes) {
    WARN("skipped: FELIX_TEST_SAMPLES does not name the folder of recorded answers");
    return;
  }
  fault_server server{[&](const felix::test::request&) {
    return reply{.head_and_body = *bytes, .end = ending::close, .bytes_per_write = 7};
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  const auto got = loop.run(get(http, server.url()));
  CHECK(got.status() == std::stoi(bytes->substr(9, 3)));
}

TEST_CASE("http_client: tells how many connections it has opened, uses and keeps", "[net][http]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "{}"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  const auto during = [&]() -> felix::task<felix::http_usage> {
    co_await http.send(felix::http_request{server.url()});
    co_return http.usage_stats();
  };
  CHECK(http.usage_stats().opened == 0);
  loop.run(felix::when_all(get(http, server.url()), get(http, server.url())));
  CHECK(http.usage_stats().in_use == 0);
  CHECK(http.usage_stats().idle == 2);
  CHECK(http.usage_stats().opened == 2);
  {
    auto exchange = http.open(felix::http_request{server.url()});
    const auto begin = [&]() -> felix::task<void> { co_await exchange.head(); };
    loop.run(begin());
    CHECK(http.usage_stats().in_use == 1);
    CHECK(http.usage_stats().idle == 1);
  }
  CHECK(loop.run(during()).in_use == 0);
  CHECK(http.usage_stats().in_use == 0);
}

TEST_CASE("http_client: a request that libcurl refuses is not in use, and the next one goes well", "[net][http]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::http_request request{server.url()};
  request.connection({.ca_file = std::string(9'000'000, 'x')});  // longer than any option of libcurl may be
  CHECK_THROWS_WITH(http.open(request), ContainsSubstring("refused an option"));
  CHECK(http.usage_stats().in_use == 0);
  CHECK(loop.run(get(http, server.url())).body == "ok");
  CHECK(http.usage_stats().in_use == 0);
}

TEST_CASE("http_client: the longest time limits are limits", "[net][http]") {
  constexpr auto endless = std::chrono::milliseconds::max();
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::http_request request{server.url()};
  request.timeouts(
      {.connect = endless, .between_tokens = endless, .first_byte = endless, .first_token = endless, .total = endless});
  CHECK(loop.run(http.send(request)).body == "ok");
}
