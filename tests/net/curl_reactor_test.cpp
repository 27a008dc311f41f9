// SPDX-License-Identifier: MIT
#include <felix/net/curl_reactor.hpp>

#include "support/catch.hpp"

#include <sys/resource.h>

#include <chrono>
#include <exception>
#include <thread>

using namespace std::chrono_literals;

TEST_CASE("curl_reactor: wait ends when another thread wakes it, also if that came first", "[net][reactor]") {
  felix::curl_reactor reactor;
  reactor.wake();
  reactor.wake();
  reactor.wait(std::nullopt);  // would hang if a wake-up were lost
  std::thread waker{[&] { reactor.wake(); }};
  reactor.wait(std::nullopt);
  waker.join();
}

TEST_CASE("curl_reactor: wait ends when its time is over", "[net][reactor]") {
  felix::curl_reactor reactor;
  const auto before = std::chrono::steady_clock::now();
  reactor.wait(3ms);
  CHECK(std::chrono::steady_clock::now() - before >= 3ms);
  reactor.wait(-1s);
}

#if !defined(__SANITIZE_ADDRESS__)  // its undefined-behaviour checks want descriptors of their own
TEST_CASE("curl_reactor: without a free descriptor the error says so", "[net][reactor]") {
  static_cast<void>(felix::curl_reactor{});  // libcurl's own descriptors first
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  std::exception_ptr caught;
  try {
    felix::curl_reactor reactor;
  } catch (...) {
    caught = std::current_exception();
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  REQUIRE(caught);
  CHECK_THROWS_WITH(std::rethrow_exception(caught), Catch::Matchers::ContainsSubstring("too many open files"));
}
#endif
