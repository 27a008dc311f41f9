// SPDX-License-Identifier: MIT
#include <felix/net/detail/socket_count.hpp>

#include <felix/net/event_loop.hpp>
#include <felix/net/http_client.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <sys/socket.h>

#include <memory>
#include <optional>

using felix::detail::socket_count;

TEST_CASE("socket_count: what was opened and not closed is open", "[net][socket_count]") {
  socket_count sockets;
  curl_sockaddr address{};
  address.family = AF_INET;
  address.socktype = SOCK_STREAM;
  const curl_socket_t one = socket_count::open_socket(&sockets, CURLSOCKTYPE_IPCXN, &address);
  const curl_socket_t two = socket_count::open_socket(&sockets, CURLSOCKTYPE_IPCXN, &address);
  REQUIRE(one >= 0);
  CHECK((fcntl(one, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(sockets.open_now() == 2);
  CHECK(socket_count::close_socket(&sockets, one) == 0);
  CHECK(sockets.open_now() == 1);
  CHECK(sockets.opened() == 2);
  address.family = -1;
  CHECK(socket_count::open_socket(&sockets, CURLSOCKTYPE_IPCXN, &address) == CURL_SOCKET_BAD);
  CHECK(sockets.opened() == 2);
  CHECK(socket_count::close_socket(&sockets, two) == 0);
}

TEST_CASE("socket_count: connections outlive their client, and the next client begins at 0", "[net][socket_count]") {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "{}"); }};
  felix::event_loop loop;
  for (int i = 0; i < 3; ++i) {
    std::optional<felix::http_client> http{std::in_place, loop};
    CHECK(http->usage_stats().opened == 0);
    loop.run(http->send(felix::http_request{server.url()}));
    CHECK(http->usage_stats().opened == (i == 0 ? 1 : 0));  // the reactor has kept the first one's
  }
}

TEST_CASE("socket_count: a connection that was closed is not idle", "[net][socket_count]") {
  felix::test::fault_server server{
      [](const felix::test::request&) { return felix::test::http(200, "{}", {{"Connection", "close"}}); }};
  felix::event_loop loop;
  felix::http_client http{loop};
  for (int i = 0; i < 3; ++i) loop.run(http.send(felix::http_request{server.url()}));
  CHECK(http.usage_stats().opened == 3);
  CHECK(http.usage_stats().idle == 0);
  CHECK_THROWS_AS(loop.run(http.send(felix::http_request{felix::test::unused_port_url()})), felix::transport_error);
  CHECK(http.usage_stats().opened == 4);
  CHECK(http.usage_stats().idle == 0);
  CHECK(http.usage_stats().in_use == 0);
}
