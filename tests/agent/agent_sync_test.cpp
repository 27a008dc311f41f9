// SPDX-License-Identifier: MIT
// agent: process_sync, over a real socket: it drives the client's loop where that is its own to drive.
#include <felix/agent/agent.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/llm/client.hpp>
#include <felix/llm/scripted_model.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/io_thread.hpp>
#include "model_server/model_server.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <thread>

using namespace std::chrono_literals;

TEST_CASE("agent: process_sync drives the idle loop of this thread", "[agent][agent_sync]") {
  model_server::server server{{.speed = 5000}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  felix::agent who{llm, felix::roles::research};
  CHECK_FALSE(who.process_sync(felix::agent_task{"Tea"}.max_tokens(40)).text.empty());
  CHECK(who.process_sync(felix::agent_task{"Tea"}.max_tokens(40)).stage == 2);
}

TEST_CASE("agent: process_sync waits for a loop on another thread", "[agent][agent_sync]") {
  model_server::server server{{.speed = 5000}};
  felix::io_thread io;
  felix::client llm{io, {.base_url = server.url()}};
  felix::agent who{llm, felix::roles::research};
  CHECK_FALSE(who.process_sync(felix::agent_task{"Tea"}.max_tokens(40)).text.empty());
}

TEST_CASE("agent: process_sync inside a running loop is refused, and does not hang", "[agent][agent_sync]") {
  model_server::server server{{.speed = 5000}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  felix::agent who{llm, felix::roles::research};
  const auto refused = loop.run([](felix::agent& asked) -> felix::task<bool> {
    try {
      static_cast<void>(asked.process_sync("Tea"));
    } catch (const felix::deadlock_error&) {
      co_return true;
    }
    co_return false;
  }(who));
  CHECK(refused);
  CHECK(who.stages() == 0);
}

TEST_CASE("agent: process_sync throws what the request throws", "[agent][agent_sync]") {
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = "http://127.0.0.1:1/v1", .retry = {.attempts = 1}}};
  felix::agent who{llm, felix::roles::research};
  CHECK_THROWS_AS(who.process_sync("Tea"), felix::transport_error);
  CHECK(who.usage_stats().failed == 1);
}

TEST_CASE("client: run_here is refused where the loop is another's", "[agent][agent_sync]") {
  felix::event_loop loop;
  felix::client llm{loop};
  bool ran = false, here = true;
  const auto work = [](bool& flag) -> felix::task<void> {
    flag = true;
    co_return;
  };
  std::thread{[&] {
    felix::task<void> elsewhere = work(ran);
    here = llm.run_here(elsewhere);
  }}.join();
  CHECK_FALSE(here);
  CHECK_FALSE(ran);
  felix::task<void> own = work(ran);
  CHECK(llm.run_here(own));
  CHECK(ran);

  felix::simulated_loop other;
  felix::scripted_model model{other};
  felix::task<void> nowhere = work(ran);
  CHECK_FALSE(felix::model_ref{model}.run_here(nowhere));
  felix::task<void> through = work(ran);
  CHECK(felix::model_ref{llm}.run_here(through));
}
