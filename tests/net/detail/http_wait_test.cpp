// SPDX-License-Identifier: MIT
#include <felix/net/detail/http_wait.hpp>

#include <felix/net/event_loop.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <memory>
#include <string>
#include <utility>

using felix::detail::http_line;
using felix::detail::http_wait;
using felix::test::fault_server;

namespace {

felix::task<std::string> read(http_line& line) {
  std::string all, bytes;
  co_await http_wait{line, http_line::part::head};
  for (;;) {
    co_await http_wait{line, http_line::part::bytes};
    line.take_bytes(bytes);
    if (bytes.empty()) break;
    all += bytes;
  }
  line.check();
  co_return all;
}
felix::task<void> wait_for_all(http_line& line) { co_await http_wait{line, http_line::part::all}; }

}  // namespace

TEST_CASE("http_wait: gives the head, then bytes as long as there are some", "[net][http_wait]") {
  fault_server server{[](const felix::test::request&) {
    auto answer = felix::test::http(200, "0123456789");
    answer.bytes_per_write = 20;
    return answer;
  }};
  felix::event_loop loop;
  http_line line{loop, std::make_shared<felix::detail::socket_count>()};
  line.prepare(felix::http_request{server.url()}, http_line::reading::as_it_comes);
  CHECK(loop.run(read(line)) == "0123456789");
}

TEST_CASE("http_wait: what has ended is there at once, and a stop before the start sends nothing", "[net][http_wait]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::event_loop loop;
  http_line line{loop, std::make_shared<felix::detail::socket_count>()};
  line.prepare(felix::http_request{server.url()}, http_line::reading::as_a_whole);
  felix::stop_source stop;
  stop.request_stop();
  loop.run(wait_for_all(line), stop.get_token());
  CHECK_THROWS_AS(line.check(), felix::cancelled);
  loop.run(wait_for_all(line));  // does not hang
  CHECK(server.connections() == 0);
}
