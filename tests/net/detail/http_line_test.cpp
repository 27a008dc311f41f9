// SPDX-License-Identifier: MIT
// What http_exchange does not show: the windows between two steps of a line, opened by hand. See http_exchange_test.cpp.
#include <felix/net/detail/http_line.hpp>

#include <felix/net/detail/http_wait.hpp>

#include <felix/async/posted_call.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/task.hpp>
#include <felix/net/http_client.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/raw_peer.hpp"

#include <atomic>
#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::detail::http_line;
using felix::test::drive;
using felix::test::raw_peer;
using part = http_line::part;
using reading = http_line::reading;

namespace {

/// A line and its loop, outside of any coroutine.
struct by_hand {
  explicit by_hand(felix::http_timeouts limits = {}) {
    felix::http_request request{peer.url()};
    line->prepare(std::move(request.timeouts(limits)), reading::as_it_comes);
  }
  ~by_hand() {
    if (line) http_line::abandon(std::move(line), lines);
  }

  raw_peer peer;
  felix::event_loop loop;
  std::shared_ptr<felix::detail::http_lines> lines = std::make_shared<felix::detail::http_lines>(loop);
  std::unique_ptr<http_line> line = lines->take();
};

/// Of a type of its own, with a context that the test chooses.
class waiter {
 public:
  class promise_type {
   public:
    promise_type() noexcept {}
    waiter get_return_object() noexcept { return waiter{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
    [[nodiscard]] const felix::task_context& context() const noexcept { return context_; }
    felix::task_context context_;
  };
  explicit waiter(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_{coroutine} {}
  waiter(waiter&&) = delete;
  ~waiter() { coroutine_.destroy(); }
  void start(felix::task_context where) {
    coroutine_.promise().context_ = where;
    coroutine_.resume();
  }
  [[nodiscard]] bool done() const noexcept { return coroutine_.done(); }

 private:
  std::coroutine_handle<promise_type> coroutine_;
};

waiter wait_for(http_line& line, part what) { co_await felix::detail::http_wait{line, what}; }

/// A scheduler that keeps what is posted, until the test runs it.
class held : public felix::scheduler {
 public:
  void post(felix::work_item& item) noexcept override { posted = &item; }
  [[nodiscard]] time_point now() const noexcept override { return std::chrono::steady_clock::now(); }
  bool arm(felix::detail::timer&) override { return false; }
  bool disarm(felix::detail::timer&) noexcept override { return false; }
  felix::work_item* posted = nullptr;
};

}  // namespace

TEST_CASE("http_line: a stop between the first look and the suspension sends nothing", "[net][http_line]") {
  by_hand on;
  felix::stop_source stop;
  felix::task_context context{.where = &on.loop, .stop = stop.get_token()};
  waiter reader = wait_for(*on.line, part::head);
  stop.request_stop();
  reader.start(context);
  CHECK(reader.done());
  CHECK_THROWS_AS(on.line->check(), felix::cancelled);
  on.loop.poll();
  CHECK_FALSE(on.peer.was_asked());
}

TEST_CASE("http_line: a stop between the posted start and the start sends nothing", "[net][http_line]") {
  by_hand on;
  felix::stop_source stop;
  felix::task_context context{.where = &on.loop, .stop = stop.get_token()};
  waiter reader = wait_for(*on.line, part::head);
  reader.start(context);  // not on the loop's thread, which is nobody's now: the start is posted
  CHECK_FALSE(reader.done());
  stop.request_stop();
  CHECK(drive(on.loop, [&] { return reader.done(); }));
  try {
    on.line->check();
    FAIL("not cancelled");
  } catch (const felix::cancelled& ended) {
    CHECK(ended.cost() == felix::request_cost::none);
  }
  CHECK(on.peer.accepted() == 0);
  CHECK(on.loop.reactor().running() == 0);
}

TEST_CASE("http_line: a stop while the start is under way ends it", "[net][http_line]") {
  by_hand on;
  felix::stop_source stop;
  felix::task_context context{.where = &on.loop, .stop = stop.get_token()};
  // The start of a line lets go of the sockets that are closed and nobody's: a moment in which the test can act.
  bool stopped = false;
  on.loop.reactor().keep(std::shared_ptr<const felix::detail::socket_count>{
      new felix::detail::socket_count, [&](const felix::detail::socket_count* count) {
        stopped = stop.request_stop();
        delete count;
      }});
  waiter reader = wait_for(*on.line, part::head);
  reader.start(context);
  CHECK_FALSE(stopped);
  CHECK(drive(on.loop, [&] { return reader.done(); }));
  CHECK(stopped);
  CHECK_THROWS_AS(on.line->check(), felix::cancelled);
  CHECK(on.loop.reactor().running() == 0);
}

TEST_CASE("http_line: an answer that overtakes a posted stop wins, and wakes once", "[net][http_line]") {
  by_hand on;
  felix::stop_source stop;
  held elsewhere;
  felix::task_context context{.where = &elsewhere, .stop = stop.get_token()};
  waiter reader = wait_for(*on.line, part::head);
  reader.start(context);
  REQUIRE(drive(on.loop, [&] { return on.peer.was_asked(); }));
  // On the loop, so that the stop is posted behind this, and the reactor looks before it runs.
  felix::posted_call both{[&] {
    on.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    stop.request_stop();
  }};
  on.loop.post(both);
  REQUIRE(drive(on.loop, [&] { return elsewhere.posted != nullptr; }));
  CHECK_FALSE(on.line->is_running());
  (*std::exchange(elsewhere.posted, nullptr))();
  CHECK(reader.done());
  CHECK_NOTHROW(on.line->check());
  CHECK(on.line->has_head());
  on.loop.poll();
  CHECK(elsewhere.posted == nullptr);
}

TEST_CASE("http_line: a stop of a reader that is woken already is nothing", "[net][http_line]") {
  by_hand on;
  felix::stop_source stop;
  held elsewhere;
  felix::task_context context{.where = &elsewhere, .stop = stop.get_token()};
  waiter reader = wait_for(*on.line, part::head);
  reader.start(context);
  REQUIRE(drive(on.loop, [&] { return on.peer.was_asked(); }));
  on.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
  REQUIRE(drive(on.loop, [&] { return elsewhere.posted != nullptr; }));
  stop.request_stop();
  on.loop.poll();
  CHECK(on.line->is_running());
  (*std::exchange(elsewhere.posted, nullptr))();
  CHECK(reader.done());
  // The next wait sees it.
  waiter next = wait_for(*on.line, part::bytes);
  next.start(context);
  REQUIRE(drive(on.loop, [&] { return elsewhere.posted != nullptr; }));
  (*std::exchange(elsewhere.posted, nullptr))();
  CHECK(next.done());
  CHECK_THROWS_AS(on.line->check(), felix::cancelled);
}

TEST_CASE("http_line: bytes do not wake who waits for the end", "[net][http_line]") {
  by_hand on;
  held elsewhere;
  felix::task_context context{.where = &elsewhere, .stop = {}};
  waiter reader = wait_for(*on.line, part::all);
  reader.start(context);
  REQUIRE(drive(on.loop, [&] { return on.peer.was_asked(); }));
  on.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
  REQUIRE(drive(on.loop, [&] { return on.line->has_head(); }));
  on.loop.poll();
  CHECK(elsewhere.posted == nullptr);
  on.peer.send("def");
  REQUIRE(drive(on.loop, [&] { return elsewhere.posted != nullptr; }));
  (*elsewhere.posted)();
  std::string body;
  on.line->take_bytes(body);
  CHECK(body == "abcdef");
}

TEST_CASE("http_line: content after the end arms nothing, and a line that goes back leaves no timer",
          "[net][http_line]") {
  by_hand on{{.between_tokens = 1ms, .first_token = 2ms}};
  held elsewhere;
  felix::task_context context{.where = &elsewhere, .stop = {}};
  waiter reader = wait_for(*on.line, part::bytes);
  reader.start(context);
  REQUIRE(drive(on.loop, [&] { return on.peer.was_asked(); }));
  on.peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  REQUIRE(drive(on.loop, [&] { return !on.line->is_running(); }));
  on.line->content_arrived();
  if (elsewhere.posted != nullptr) (*elsewhere.posted)();
  REQUIRE(reader.done());
  http_line::abandon(std::move(on.line), on.lines);
  const auto begin = on.loop.now();
  CHECK(drive(on.loop, [&] { return on.loop.now() > begin + 5ms; }));  // a timer that was left would fire
}

TEST_CASE("http_line: content that arrives on another thread as the answer ends", "[net][http_line][threads]") {
  felix::test::fault_server server{[](const felix::test::request&) {
    auto answer = felix::test::http(200, "ok");
    answer.bytes_per_write = answer.head_and_body.size() - 1;
    return answer;
  }};
  felix::event_loop loop;
  felix::http_client http{loop};
  std::atomic<bool> done{false};
  std::thread other{[&] {
    const auto reads = [](felix::http_client& client, std::string url) -> felix::task<void> {
      auto exchange = client.open(felix::http_request{std::move(url)}.timeouts({.between_tokens = 1ms}));
      co_await exchange.head();
      for (int i = 0; i < 2'000; ++i) exchange.content_arrived();  // the first arms, at some moment of the end
    };
    for (int i = 0; i < 100; ++i) felix::sync_wait(reads(http, server.url()));
    done = true;
  }};
  CHECK(drive(loop, [&] { return done.load(); }));
  other.join();
  CHECK(drive(loop, [&] { return loop.reactor().running() == 0; }));
}

TEST_CASE("http_line: no more answers linger than were ever read at once", "[net][http_line]") {
  felix::test::fault_server server{[](const felix::test::request&) {
    auto answer = felix::test::http(200, "");
    answer.head_and_body = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab";
    answer.end = felix::test::reply::ending::hang;
    return answer;
  }};
  felix::event_loop loop;
  {
    felix::http_client http{loop};
    const auto leave_open = [&](int requests) -> felix::task<void> {
      std::vector<felix::http_exchange> exchanges;
      for (int i = 0; i < requests; ++i) {
        exchanges.push_back(http.open(felix::http_request{server.url()}));
        co_await exchanges.back().read();
      }
      for (felix::http_exchange& each : exchanges) each.let_end();
    };
    for (int i = 0; i < 5; ++i) {
      loop.run(leave_open(1));
      CHECK(loop.reactor().running() == 1);
    }
    for (int i = 0; i < 5; ++i) {
      loop.run(leave_open(2));
      CHECK(loop.reactor().running() == 2);
    }
  }
  // The latest end on their own, or with the loop.
  CHECK(server.wait_until([](const felix::test::fault_server& its) { return its.open_connections() <= 2; }));
}
