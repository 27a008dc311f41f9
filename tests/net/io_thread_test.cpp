// SPDX-License-Identifier: MIT
#include <felix/net/io_thread.hpp>

#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/net/http_client.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

felix::task<std::thread::id> where() { co_return std::this_thread::get_id(); }
felix::task<int> fails() {
  throw std::runtime_error{"no"};
  co_return 0;
}
felix::task<void> sleeps() { co_await felix::sleep_for(1h); }

}  // namespace

TEST_CASE("io_thread: runs what is spawned on its own thread", "[net][io_thread]") {
  felix::io_thread io;
  CHECK_FALSE(io.loop().is_here());  // not before its thread has begun, either
  const auto first = io.spawn(where()).get();
  CHECK(first != std::this_thread::get_id());
  CHECK(io.spawn(where()).get() == first);
  CHECK_THROWS_AS(io.spawn(fails()).get(), std::runtime_error);
}

TEST_CASE("io_thread: values that can only be moved come through the future", "[net][io_thread]") {
  felix::io_thread io;
  const auto make = []() -> felix::task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
  CHECK(*io.spawn(make()).get() == 7);
}

TEST_CASE("io_thread: shut_down ends what still runs, and what comes later", "[net][io_thread]") {
  felix::io_thread io;
  auto sleeping = io.spawn(sleeps());
  io.shut_down();
  CHECK_THROWS_AS(sleeping.get(), felix::cancelled);
  CHECK_THROWS_AS(io.spawn(sleeps()).get(), felix::cancelled);
  io.shut_down();
}

TEST_CASE("io_thread: the destructor joins too", "[net][io_thread]") {
  std::future<void> sleeping;
  {
    felix::io_thread io;
    sleeping = io.spawn(sleeps());
  }
  CHECK_THROWS_AS(sleeping.get(), felix::cancelled);
}

TEST_CASE("io_thread: a task of its own cannot shut it down", "[net][io_thread]") {
  felix::io_thread io;
  const auto tries = [](felix::io_thread& own) -> felix::task<void> {
    own.shut_down();
    co_return;
  };
  CHECK_THROWS_AS(io.spawn(tries(io)).get(), felix::deadlock_error);
}

TEST_CASE("io_thread: a stop token ends one task", "[net][io_thread]") {
  felix::io_thread io;
  felix::stop_source stop;
  auto sleeping = io.spawn(sleeps(), stop.get_token());
  stop.request_stop();
  CHECK_THROWS_AS(sleeping.get(), felix::cancelled);
}

TEST_CASE("io_thread: many threads spawn while one shuts down, and every future is answered", "[net][io_thread]") {
  for (int round = 0; round < 20; ++round) {
    felix::io_thread io;
    std::atomic<int> answered{0};
    std::vector<std::thread> spawners;
    for (int i = 0; i < 3; ++i) {
      spawners.emplace_back([&] {
        for (int n = 0; n < 20; ++n) {
          try {
            static_cast<void>(io.spawn(where()).get());
          } catch (const felix::cancelled&) {}
          ++answered;
        }
      });
    }
    io.shut_down();
    for (auto& each : spawners) each.join();
    CHECK(answered == 60);
  }
}

TEST_CASE("io_thread: HTTP from plain threads, by future and by sync_wait", "[net][io_thread]") {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "ok"); }};
  felix::io_thread io;
  felix::http_client http{io};
  CHECK(io.spawn(http.send(felix::http_request{server.url()})).get().body == "ok");
  CHECK(felix::sync_wait(http.send(felix::http_request{server.url()})).body == "ok");
}

TEST_CASE("io_thread: what other threads await goes on after shut_down", "[net][io_thread]") {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::http(200, "{}"); }};
  felix::io_thread io;
  felix::http_client http{io};
  CHECK(felix::sync_wait(http.send(felix::http_request{server.url()})).status() == 200);
  io.shut_down();
  CHECK(felix::sync_wait(http.send(felix::http_request{server.url()})).status() == 200);
}
