// SPDX-License-Identifier: MIT
// http_exchange, of http_client.hpp: answers that are read as they come.
#include <felix/net/http_client.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/thread_pool.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/fault_server.hpp"
#include "support/raw_peer.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::test::drive;
using felix::test::fault_server;
using felix::test::raw_peer;
using felix::test::reply;
using ending = felix::test::reply::ending;

static_assert(!std::is_aggregate_v<felix::http_exchange>);
static_assert(std::is_nothrow_move_constructible_v<felix::http_exchange>);

namespace {

constexpr const char* head_of_100 = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
constexpr const char* chunked_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What a reader has seen so far.
struct seen {
  int status = 0;
  std::string log;  // the pieces, each with a bar behind it; then "end", or the kind of the error
  std::string error;
  felix::request_cost cost = felix::request_cost::none;
  bool done = false;
};

felix::task<void> read_all(felix::http_exchange& exchange, seen& got) {
  got.status = (co_await exchange.head())->status();
  for (;;) {
    const std::string_view bytes = co_await exchange.read();
    if (bytes.empty()) break;
    // What simdjson may read too: a sanitizer would tell.
    for (std::size_t i = 0; i < felix::http_exchange::padding; ++i)
      static_cast<void>(*static_cast<const volatile char*>(bytes.data() + bytes.size() + i));
    got.log += std::string{bytes} + "|";
    if (bytes.find("token") != std::string_view::npos) exchange.content_arrived();
  }
}

/// Reads to the end and tells it.
felix::task<void> read(felix::http_client& http, felix::http_request request, seen& got) {
  felix::http_exchange exchange = http.open(std::move(request));
  try {
    co_await read_all(exchange, got);
    got.log += "end";
  } catch (const felix::error& failure) {
    got.error = failure.what();
    got.cost = failure.cost();
    got.log += failure.code() == felix::errc::timed_out   ? "timed_out"
               : failure.code() == felix::errc::cancelled ? "cancelled"
               : failure.code() == felix::errc::protocol  ? "protocol"
               : failure.code() == felix::errc::transport ? "transport"
                                                          : "?";
  }
  got.done = true;
}

/// A loop, a client and one reader on it, all in the hands of the test.
struct scene {
  explicit scene(felix::http_timeouts limits = {}) {
    loop.spawn(
        read(http, felix::http_request{peer.url()}.timeouts(limits), got), [](felix::result<void>) {},
        stop.get_token());
  }
  ~scene() { loop.shut_down(); }
  bool until(auto pred) {
    bool reached = false;
    return drive(loop, [&] { return (reached = pred()) || got.done; }) && reached;
  }
  bool asked() {
    return until([&] { return peer.was_asked(); });
  }
  bool logs(const std::string& log) {
    const bool right = until([&] { return got.log == log; });
    if (!right) UNSCOPED_INFO("the log is " + got.log + ", the error " + got.error);
    return right;
  }

  raw_peer peer;
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::stop_source stop;
  seen got;
};

}  // namespace

TEST_CASE("http_exchange: the head comes before the body, and pieces as they come", "[net][http][exchange]") {
  scene on;
  REQUIRE(on.asked());
  on.peer.send("HTTP/1.1 200 OK\r\nContent-");
  CHECK_FALSE(on.loop.poll());
  CHECK(on.got.status == 0);
  on.peer.send("Length: 9\r\n\r\n");
  CHECK(on.until([&] { return on.got.status == 200; }));
  for (const char* piece : {"abc", "def", "ghi"}) {
    on.peer.send(piece);
    const std::string before = on.got.log;
    CHECK(on.until([&] { return on.got.log.starts_with(before + piece + "|"); }));
  }
  CHECK(on.logs("abc|def|ghi|end"));
}

TEST_CASE("http_exchange: what came while the reader was away is one piece", "[net][http][exchange]") {
  raw_peer peer;
  felix::event_loop loop;
  felix::http_client http{loop};
  std::optional<felix::http_exchange> exchange{http.open(felix::http_request{peer.url()})};
  felix::http_exchange moved = std::move(*exchange);
  exchange.reset();  // moved from: nothing to end
  int status = 0;
  loop.spawn(moved.head(), [&](felix::result<const felix::http_head*> head) { status = (*head)->status(); });
  REQUIRE(drive(loop, [&] { return peer.was_asked(); }));
  CHECK(moved.timing().total == 0ns);
  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
  REQUIRE(drive(loop, [&] { return status == 200; }));
  CHECK(moved.timing().first_byte > 0ns);
  peer.send("def");
  REQUIRE(drive(loop, [&] { return loop.reactor().running() == 0; }));
  CHECK(loop.run(moved.read()) == "abcdef");
  CHECK(loop.run(moved.read()).empty());
  CHECK(loop.run(moved.read()).empty());
  CHECK(moved.timing().total >= moved.timing().first_byte);
  CHECK(moved.since_sent().count() >= 0);
}

TEST_CASE("http_exchange: one that is opened and not read sends nothing", "[net][http][exchange]") {
  raw_peer peer;
  felix::event_loop loop;
  felix::http_client http{loop};
  static_cast<void>(http.open(felix::http_request{peer.url()}));
  loop.poll();
  CHECK_FALSE(peer.was_asked());
  CHECK(peer.accepted() == 0);
}

TEST_CASE("http_exchange: a line that is used again has nothing of the request before", "[net][http][exchange]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok", {{"X-Once", "1"}}); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  CHECK(loop.run(http.send(felix::http_request{server.url()}.body("post"))).status() == 200);
  auto exchange = http.open(felix::http_request{server.url()});
  CHECK(exchange.timing().total == 0ns);
  CHECK(exchange.timing().first_byte == 0ns);
  CHECK(exchange.since_sent().count() == 0);
  CHECK(loop.run(exchange.read()) == "ok");
  CHECK(server.requests().at(1).method == "GET");
  CHECK(server.requests().at(1).body.empty());
}

TEST_CASE("http_exchange: a body cut short, reset or garbled gives its pieces, then the error",
          "[net][http][exchange]") {
  scene on;
  REQUIRE(on.asked());
  SECTION("Content-Length, cut") {
    on.peer.send(std::string{head_of_100} + "hello");
    REQUIRE(on.logs("hello|"));
    on.peer.close();
  }
  SECTION("chunks, cut") {
    on.peer.send(std::string{chunked_head} + "9\r\nhello");
    REQUIRE(on.logs("hello|"));
    on.peer.close();
  }
  SECTION("reset") {
    on.peer.send(std::string{head_of_100} + "hello");
    REQUIRE(on.logs("hello|"));
    on.peer.reset();
  }
  SECTION("garbage where a chunk should be") { on.peer.send(std::string{chunked_head} + "5\r\nhello\r\nZZ\r\n"); }
  SECTION("all of it at once") {
    on.peer.send(std::string{head_of_100} + "hello");
    on.peer.close();
  }
  CHECK(on.logs("hello|transport"));
  CHECK(on.got.cost == felix::request_cost::unknown);
}

TEST_CASE("http_exchange: every framing of a body", "[net][http][exchange]") {
  const auto [bytes, closes, status, log] = GENERATE(table<std::string, bool, int, std::string>({
      {"HTTP/1.0 200 OK\r\n\r\nabc", true, 200, "abc|end"},
      {"HTTP/1.1 200 OK\r\n\r\nabc", true, 200, "abc|end"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n", false, 200,
       "abc|end"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
       "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc",
       false, 201, "abc|end"},
      {"HTTP/1.1 204 No Content\r\n\r\n", false, 204, "end"},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 304, "end"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 200, "end"},
      {"HTTP/1.1 101 Switching Protocols\r\n\r\n", true, 0, "transport"},
      {"HTTP/1.1 100 Continue\r\n\r\n", true, 0, "transport"},
      {"HTTP/1.1 099 Too Low\r\nContent-Length: 0\r\n\r\n", false, 0, "transport"},
  }));
  CAPTURE(bytes);
  scene on;
  REQUIRE(on.asked());
  on.peer.send(bytes);
  if (closes) on.peer.close();
  CHECK(on.logs(log));
  CHECK(on.got.status == status);
}

TEST_CASE("http_exchange: a request that the kernel does not take at once", "[net][http][exchange]") {
  fault_server server{
      [](const felix::test::request& r) { return felix::test::http(200, std::to_string(r.body.size())); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  seen got;
  felix::http_request request{server.url()};
  loop.run(read(http, request.body(std::string(20'000'000, 'x')).timeouts({.total = 20s}), got));
  CHECK(got.log == "20000000|end");
}

TEST_CASE("http_exchange: trailers do not change the head", "[net][http][exchange]") {
  fault_server server{[](const felix::test::request&) {
    return reply{.head_and_body = std::string{chunked_head} + "3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n",
                 .end = ending::keep_alive};
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  const auto got = loop.run(http.send(felix::http_request{server.url()}));
  CHECK(got.header("x-late").empty());
  CHECK(got.body == "abc");
}

TEST_CASE("http_exchange: endless headers are an error, before they fill the memory", "[net][http][exchange]") {
  scene on;
  REQUIRE(on.asked());
  on.peer.send("HTTP/1.1 200 OK\r\n");
  const std::string line = "X-Line: " + std::string(1'000, 'x') + "\r\n";
  REQUIRE(drive(on.loop, [&] {
    on.peer.send(line);
    return on.got.done;
  }));
  CHECK(on.got.log == "protocol");
  CHECK_THAT(on.got.error, ContainsSubstring("header") && ContainsSubstring("262144"));
}

TEST_CASE("http_exchange: a body over its bound gives what was within, then the error", "[net][http][exchange]") {
  fault_server server{[](const felix::test::request&) {
    return reply{.head_and_body = std::string{chunked_head} + "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n",
                 .end = ending::close,
                 .bytes_per_write = 5};
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  seen got;
  loop.run(read(http, felix::http_request{server.url()}.max_response_bytes(7), got));
  CHECK(got.log.ends_with("protocol"));
  CHECK_THAT(got.error, ContainsSubstring("7 bytes"));
}

TEST_CASE("http_exchange: a kept connection that died is replaced at once", "[net][http][exchange]") {
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request& r) {
    if (++calls == 2 && r.connection == 0) return reply{.head_and_body = "", .end = ending::reset};
    return felix::test::http(200, "ok");
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  for (int i = 0; i < 3; ++i) {
    seen got;
    loop.run(read(http, felix::http_request{server.url()}, got));
    CHECK(got.log == "ok|end");
  }
  CHECK(server.connections() == 2);
  CHECK(calls == 4);
}

// ---- leaving early

TEST_CASE("http_exchange: destroyed before the end it closes the connection", "[net][http][exchange]") {
  fault_server server{[](const felix::test::request&) {
    return reply{.head_and_body = std::string{head_of_100} + "abc", .end = ending::hang};
  }};
  const auto peek = [](felix::http_client& client, std::string url) -> felix::task<int> {
    auto exchange = client.open(felix::http_request{std::move(url)});
    co_return (co_await exchange.head())->status();
  };
  std::optional<felix::event_loop> loop{std::in_place};
  std::optional<felix::http_client> http{*loop};
  SECTION("on the loop's thread, at once") {
    CHECK(loop->run(peek(*http, server.url())) == 200);
    CHECK(loop->reactor().running() == 0);
  }
  SECTION("on another thread") {
    std::atomic<bool> left{false};
    std::thread other{[&] {
      CHECK(felix::sync_wait(peek(*http, server.url())) == 200);
      left = true;
    }};
    CHECK(drive(*loop, [&] { return left && loop->reactor().running() == 0; }));
    other.join();
  }
  SECTION("while the loop does not run") {
    auto exchange = std::make_unique<felix::http_exchange>(http->open(felix::http_request{server.url()}));
    CHECK(loop->run(exchange->head())->status() == 200);
    exchange.reset();  // at once: nobody else drives the loop
    CHECK(loop->reactor().running() == 0);
  }
  SECTION("while the loop does not run, and never does again") {
    auto exchange = std::make_unique<felix::http_exchange>(http->open(felix::http_request{server.url()}));
    CHECK(loop->run(exchange->head())->status() == 200);
    exchange.reset();
    http.reset();
    loop.reset();
  }
  CHECK(server.wait_until([](auto& s) { return s.gone_early() == 1 && s.open_connections() == 0; }));
}

TEST_CASE("http_exchange: left by another thread as the answer ends and the loop too, nothing stays behind",
          "[net][http][exchange]") {
  raw_peer peer;
  std::weak_ptr<felix::detail::http_lines> memory;
  {
    felix::event_loop loop;
    auto lines = std::make_shared<felix::detail::http_lines>(loop);
    memory = lines;
    auto exchange = std::make_unique<felix::http_exchange>(lines, felix::http_request{peer.url()},
                                                           felix::detail::http_line::reading::as_it_comes);
    bool has_head = false;
    loop.spawn(exchange->head(), [&](felix::result<const felix::http_head*> head) { has_head = head.has_value(); });
    REQUIRE(drive(loop, [&] { return peer.was_asked(); }));
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    REQUIRE(drive(loop, [&] { return has_head; }));
    // The stop that the reader posts comes after this round has looked for posts, and the end of the answer within it.
    const auto leave = [](raw_peer& to, std::unique_ptr<felix::http_exchange> left) -> felix::task<void> {
      co_await felix::sleep_for(1ns);  // into a round of the loop
      to.send("abc");
      std::thread{[&] { left.reset(); }}.join();
      co_return;
    };
    const auto moved = [&](felix::http_exchange* raw) {
      return leave(peer, std::unique_ptr<felix::http_exchange>{raw});
    };
    loop.run(moved(exchange.release()));
    lines.reset();
    CHECK_FALSE(memory.expired());
  }
  CHECK(memory.expired());
}

// ---- stopping

TEST_CASE("http_exchange: a stop ends the wait for the head, and for bytes", "[net][http][exchange]") {
  const bool with_head = GENERATE(false, true);
  const bool by_another_thread = GENERATE(false, true);
  scene on;
  REQUIRE(on.asked());
  if (with_head) on.peer.send(std::string{head_of_100} + "abc");
  REQUIRE(on.logs(with_head ? "abc|" : ""));
  if (by_another_thread) {
    std::thread{[&] { on.stop.request_stop(); }}.join();
  } else {
    on.stop.request_stop();
  }
  CHECK(on.logs(with_head ? "abc|cancelled" : "cancelled"));
  CHECK(on.got.cost == felix::request_cost::unknown);
  CHECK(on.loop.reactor().running() == 0);
  CHECK(drive(on.loop, [&] { return on.peer.was_left(); }));
}

TEST_CASE("http_exchange: a stop that came before sends nothing, one between two reads stops the next",
          "[net][http][exchange]") {
  raw_peer peer;
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::stop_source stop;
  const bool before = GENERATE(true, false);
  const bool on_pool = GENERATE(true, false);
  felix::thread_pool pool{1};
  const auto stops = [](felix::http_exchange& exchange, felix::stop_source& source, bool first,
                        felix::thread_pool* elsewhere) -> felix::task<void> {
    if (elsewhere != nullptr) co_await elsewhere->schedule();
    if (first) source.request_stop();
    co_await exchange.head();
    source.request_stop();
    co_await exchange.read();
  };
  auto exchange = http.open(felix::http_request{peer.url()});
  std::string log;
  bool done = false;
  loop.spawn(
      felix::test::noted(stops(exchange, stop, before, on_pool ? &pool : nullptr), "read", log),
      [&](felix::result<void>) { done = true; }, stop.get_token());
  CHECK(drive(loop, [&] {
    if (peer.was_asked()) peer.send(head_of_100);
    return done;
  }));
  CHECK(log == "(read)");
  CHECK(peer.accepted() == (before ? 0 : 1));
  CHECK(loop.reactor().running() == 0);
}

TEST_CASE("http_exchange: stops race with heads, pieces and ends, and each reader ends once", "[net][http][exchange]") {
  fault_server server{[](const felix::test::request& r) {
    auto answer = felix::test::http(200, "abcdef");
    if (r.target == "/pieces") answer.bytes_per_write = 45;
    return answer;
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::thread_pool pool{2};
  const bool on_pool = GENERATE(false, true);
  const auto move_to = [](felix::thread_pool* elsewhere, felix::http_client& client, felix::http_request request,
                          seen& got) -> felix::task<void> {
    if (elsewhere != nullptr) co_await elsewhere->schedule();
    co_await read(client, std::move(request), got);
  };
  int ended = 0, cancelled = 0;
  for (int seed = 0; seed < 60; ++seed) {
    felix::stop_source stop;
    std::thread stopper{[&] {
      felix::test::spin_for(seed * 20us);
      stop.request_stop();
    }};
    seen got;
    const auto outcome =
        loop.run(felix::as_result(move_to(on_pool ? &pool : nullptr, http,
                                          felix::http_request{server.url() + (seed % 2 == 0 ? "/pieces" : "/")}, got)),
                 stop.get_token());
    stopper.join();
    if (got.log.ends_with("end")) {
      ++ended;
    } else if (got.log.ends_with("cancelled") || (got.log.empty() && !outcome)) {
      ++cancelled;
    }
    loop.poll();
    CHECK(loop.reactor().running() == 0);
  }
  CHECK(ended + cancelled == 60);
}

// ---- time limits

TEST_CASE("http_exchange: no head in time", "[net][http][exchange][limits]") {
  scene on{{.first_byte = 30ms, .first_token = 1h, .total = 2h}};
  CHECK(on.logs("timed_out"));
  CHECK_THAT(on.got.error, ContainsSubstring("30 ms") && ContainsSubstring("timeouts.first_byte"));
}

TEST_CASE("http_exchange: interim answers are no head", "[net][http][exchange][limits]") {
  scene on{{.first_byte = 30ms}};
  REQUIRE(on.asked());
  CHECK(drive(on.loop, [&] {
    on.peer.send("HTTP/1.1 102 Processing\r\n\r\n");
    return on.got.done;
  }));
  CHECK_THAT(on.got.error, ContainsSubstring("timeouts.first_byte"));
}

TEST_CASE("http_exchange: a head and comments for ever are no token", "[net][http][exchange][limits]") {
  scene on{{.first_byte = 1h, .first_token = 40ms, .total = 2h}};
  REQUIRE(on.asked());
  on.peer.send("HTTP/1.1 200 OK\r\n\r\n");
  CHECK(drive(on.loop, [&] {
    on.peer.send(": ping\n\n");
    return on.got.done;
  }));
  CHECK_THAT(on.got.error, ContainsSubstring("40 ms") && ContainsSubstring("timeouts.first_token"));
  CHECK_THAT(on.got.log, ContainsSubstring(": ping"));
}

TEST_CASE("http_exchange: after a token, comments for ever are no further one", "[net][http][exchange][limits]") {
  scene on{{.between_tokens = 40ms, .first_token = 20ms}};
  REQUIRE(on.asked());
  on.peer.send("HTTP/1.1 200 OK\r\n\r\ntoken");
  CHECK(drive(on.loop, [&] {
    on.peer.send(": ping\n\n");
    return on.got.done;
  }));
  CHECK_THAT(on.got.error, ContainsSubstring("40 ms") && ContainsSubstring("timeouts.between_tokens"));
}

TEST_CASE("http_exchange: tokens for ever end by the total", "[net][http][exchange][limits]") {
  scene on{{.between_tokens = 1h, .first_byte = 20ms, .first_token = 20ms, .total = 60ms}};
  REQUIRE(on.asked());
  on.peer.send("HTTP/1.1 200 OK\r\n\r\n");
  CHECK(drive(on.loop, [&] {
    on.peer.send("token");
    return on.got.done;
  }));
  CHECK_THAT(on.got.error, ContainsSubstring("60 ms") && ContainsSubstring("timeouts.total"));
}

TEST_CASE("http_exchange: the time that the reader takes does not count, before and after a token",
          "[net][http][exchange][limits]") {
  constexpr auto limit = 200ms;
  const bool has_token = GENERATE(true, false);
  raw_peer peer;
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::event work_is_done;
  const auto works = [](felix::http_exchange& exchange, felix::event& until, bool tells) -> felix::task<std::string> {
    std::string all{co_await exchange.read()};
    if (tells) exchange.content_arrived();
    co_await until;
    all += co_await exchange.read();  // nothing has come meanwhile: the server gets its whole time
    co_return all;
  };
  auto exchange = http.open(felix::http_request{peer.url()}.timeouts({.between_tokens = limit, .first_token = limit}));
  std::optional<felix::result<std::string>> outcome;
  loop.spawn(works(exchange, work_is_done, has_token), [&](felix::result<std::string> got) { outcome.emplace(got); });
  REQUIRE(drive(loop, [&] { return peer.was_asked(); }));
  peer.send("HTTP/1.1 200 OK\r\n\r\none");
  const auto begin = loop.now();
  // Looked at after one limit, while the reader works, and after two, when it has asked for a moment.
  REQUIRE(drive(loop, [&] { return loop.now() > begin + limit * 19 / 10; }));
  CHECK(loop.reactor().running() == 1);
  work_is_done.set();
  REQUIRE(drive(loop, [&] { return loop.now() > begin + limit * 21 / 10; }));
  CHECK(loop.reactor().running() == 1);
  peer.send("two");
  REQUIRE(drive(loop, [&] { return outcome.has_value(); }));
  REQUIRE(outcome->has_value());
  CHECK(**outcome == "onetwo");
}

// ---- other coroutines, other threads

namespace {

felix::test::foreign ask_twice(felix::http_client& http, std::string url, std::string& log) {
  {
    felix::http_exchange exchange = http.open(felix::http_request{url});
    log += std::to_string((co_await exchange.head())->status());
    // Inside libcurl neither would be possible.
    log += (co_await http.send(felix::http_request{url + "/whole"})).body;
    log += co_await exchange.read();
  }
  {
    felix::http_exchange exchange = http.open(felix::http_request{url});
    co_await exchange.head();
  }  // inside libcurl it could not be stopped
  log += "!";
}

}  // namespace

TEST_CASE("http_exchange: a coroutine type that is not felix's goes on outside libcurl", "[net][http][exchange]") {
  fault_server server{[](const felix::test::request& r) {
    if (r.target == "/whole") return felix::test::http(200, " whole ");
    return reply{.head_and_body = std::string{head_of_100} + "abc", .end = ending::hang};
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  std::string log;
  ask_twice(http, server.url(), log);
  CHECK(drive(loop, [&] { return log.ends_with("!"); }));
  CHECK(log == "200 whole abc!");
  CHECK(server.wait_until([](auto& s) { return s.gone_early() == 2; }));
}

TEST_CASE("http_exchange: readers on the threads of a pool", "[net][http][exchange][threads]") {
  fault_server server{[](const felix::test::request&) {
    auto answer = felix::test::http(200, "token token");
    answer.bytes_per_write = 50;
    return answer;
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  felix::thread_pool pool{2};
  std::atomic<int> ended{0}, whole{0};
  const auto reads = [](felix::http_client& client, std::string url, std::atomic<int>& count) -> felix::task<void> {
    seen got;
    co_await read(client, felix::http_request{std::move(url)}, got);
    std::erase(got.log, '|');
    count += got.log == "token tokenend";
  };
  for (int i = 0; i < 24; ++i) pool.spawn(reads(http, server.url(), whole), [&](felix::result<void>) { ++ended; });
  CHECK(drive(loop, [&] { return ended == 24; }));
  CHECK(whole == 24);
}

TEST_CASE("http_exchange: many at once from several threads, some left early, some stopped",
          "[net][http][exchange][threads]") {
  fault_server server{[](const felix::test::request& r) {
    auto answer = felix::test::http(200, "token");
    if (r.target == "/hang") answer.end = ending::hang;
    if (r.target == "/hang") answer.head_and_body = std::string{head_of_100} + "token";
    return answer;
  }};
  const auto one = [](felix::http_client& client, std::string url, int kind,
                      felix::stop_source& stop) -> felix::task<int> {
    if (kind == 0) co_return (co_await client.send(felix::http_request{url})).status();
    auto exchange = client.open(felix::http_request{url + (kind == 1 ? "/" : "/hang")});
    const int status = (co_await exchange.head())->status();
    if (co_await exchange.read() != "token") co_return 0;
    exchange.content_arrived();
    if (kind == 1) co_await exchange.read();
    if (kind == 3) {
      stop.request_stop();
      co_await exchange.read();
    }
    co_return status;
  };
  felix::event_loop loop;
  {
    felix::http_client http{loop};
    std::atomic<int> good{0}, ended{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 12; ++i) {
          felix::stop_source stop;
          const int kind = (i + t) % 4;
          const auto got = felix::sync_wait(felix::as_result(one(http, server.url(), kind, stop)), stop.get_token());
          good += kind == 3 ? !got.has_value() : got.has_value() && *got == 200;
        }
        ++ended;
      });
    CHECK(drive(loop, [&] { return ended == 4; }));
    for (auto& each : threads) each.join();
    CHECK(good == 48);
  }
}  // the loop may end with transfers that nobody waits for

TEST_CASE("http_exchange: the rest of an answer may come, and its connection is used again", "[net][http][exchange]") {
  raw_peer peer;
  felix::event_loop loop;
  felix::http_client http{loop};
  auto exchange = http.open(felix::http_request{peer.url()});
  auto reading = exchange.read();
  std::string got;
  loop.spawn(std::move(reading), [&](felix::result<std::string_view> bytes) { got = *bytes; });
  REQUIRE(drive(loop, [&] { return peer.was_asked(); }));
  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
  REQUIRE(drive(loop, [&] { return got == "abc"; }));
  exchange.let_end();
  CHECK(exchange.timing().first_byte.count() > 0);
  loop.poll();
  CHECK(loop.reactor().running() == 1);  // it goes on without a reader
  peer.send("def");
  REQUIRE(drive(loop, [&] { return loop.reactor().running() == 0; }));
  CHECK_FALSE(peer.was_left());
}

TEST_CASE("http_exchange: the rest of an answer may not come for ever", "[net][http][exchange]") {
  raw_peer peer;
  felix::event_loop loop;
  felix::http_client http{loop};
  auto exchange = http.open(felix::http_request{peer.url()});
  std::string got;
  loop.spawn(exchange.read(), [&](felix::result<std::string_view> bytes) { got = *bytes; });
  REQUIRE(drive(loop, [&] { return peer.was_asked(); }));
  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
  REQUIRE(drive(loop, [&] { return got == "abc"; }));
  exchange.let_end();
  REQUIRE(drive(loop, [&] { return loop.reactor().running() == 0; }));
  CHECK(peer.was_left());
}
