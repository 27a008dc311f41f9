// SPDX-License-Identifier: MIT
#include <felix/net/stop_on_signal.hpp>

#include <felix/async/sleep.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <csignal>
#include <thread>

using namespace std::chrono_literals;

namespace {
int former_calls = 0;
void former_handler(int) { ++former_calls; }
}  // namespace

TEST_CASE("stop_on_signal: the first signal stops what runs, wherever it is delivered", "[net][signal]") {
  felix::event_loop loop;
  felix::stop_on_signal on_usr1{loop, SIGUSR1};
  CHECK_FALSE(on_usr1.stop_requested());
  std::thread sender{[] { ::raise(SIGUSR1); }};  // delivered to that thread: the loop sleeps in this one
  CHECK_THROWS_AS(loop.run(felix::sleep_for(1h), on_usr1.get_token()), felix::cancelled);
  sender.join();
  CHECK(on_usr1.stop_requested());
}

TEST_CASE("stop_on_signal: a second signal does what it did before", "[net][signal]") {
  former_calls = 0;
  std::signal(SIGUSR2, former_handler);
  {
    felix::event_loop loop;
    felix::stop_on_signal on_usr2{loop, SIGUSR2};
    ::raise(SIGUSR2);
    CHECK(former_calls == 0);
    ::raise(SIGUSR2);
    CHECK(former_calls == 1);
  }
  std::signal(SIGUSR2, SIG_DFL);
}

TEST_CASE("stop_on_signal: puts the former handler back, and leaves nothing posted behind", "[net][signal]") {
  former_calls = 0;
  std::signal(SIGUSR2, former_handler);
  felix::event_loop loop;
  {
    felix::stop_on_signal on_usr2{loop, SIGUSR2};
    ::raise(SIGUSR2);
  }
  ::raise(SIGUSR2);
  CHECK(former_calls == 1);
  loop.poll();
  std::signal(SIGUSR2, SIG_DFL);
}

TEST_CASE("stop_on_signal: one object a signal, and no signal that cannot be caught", "[net][signal]") {
  felix::event_loop loop;
  felix::stop_on_signal on_usr1{loop, SIGUSR1};
  CHECK_THROWS_AS((felix::stop_on_signal{loop, SIGUSR1}), felix::error);
  CHECK_THROWS_AS((felix::stop_on_signal{loop, SIGKILL}), felix::error);
  CHECK_THROWS_AS((felix::stop_on_signal{loop, 0}), felix::error);
  CHECK_THROWS_AS((felix::stop_on_signal{loop, 1000}), felix::error);
  CHECK_THROWS_AS((felix::stop_on_signal{loop, SIGKILL}), felix::error);  // the slot was given back
}
