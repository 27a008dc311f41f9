// SPDX-License-Identifier: MIT
// agent: over real sockets, from plain code: process_sync() with a client on another thread's loop, and on this one's.
#include <felix/agent/agent.hpp>

#include <felix/llm/client.hpp>
#include <felix/llm/limited.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/io_thread.hpp>
#include "model_server/model_server.hpp"
#include "support/catch.hpp"

#include <string>
#include <thread>

using felix::agent;

namespace {

felix::task<std::string> blocks(agent& who) {
  try {
    static_cast<void>(who.process_sync("tea"));
  } catch (const felix::deadlock_error& refused) {
    co_return refused.what();
  }
  co_return "answered";
}

}  // namespace

TEST_CASE("agent: process_sync waits for a client on an io_thread", "[agent][sockets]") {
  model_server::server server{{.speed = 1'000}};
  for (int i = 0; i < 20; ++i) {  // also right after the thread has been started, before it runs
    felix::io_thread io;
    felix::client llm{io, {.base_url = server.url()}};
    agent critic{llm, felix::roles::critic};
    CHECK_FALSE(io.loop().is_here());
    const auto made = critic.process_sync("tea");
    CHECK_FALSE(made.text.empty());
    CHECK(critic.process_sync("tea").stage == 2);
  }
}

TEST_CASE("agent: process_sync drives a client's loop that is this thread's and idle", "[agent][sockets]") {
  model_server::server server{{.speed = 1'000}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  agent critic{llm, felix::roles::critic};
  CHECK_FALSE(critic.process_sync("tea").text.empty());
  CHECK(loop.run(critic("tea")).stage == 2);
  CHECK(critic.process_sync("tea").stage == 3);

  // Layers lead to it too.
  auto stack = felix::openai_model{loop, {.base_url = server.url()}} | felix::limit{1};
  agent second{stack, felix::roles::critic};
  CHECK(second.process_sync("tea").stage == 1);
}

TEST_CASE("agent: process_sync inside a running loop is a deadlock_error, and no stage", "[agent][sockets]") {
  model_server::server server{{.speed = 1'000}};
  felix::event_loop loop, other;
  felix::client llm{loop, {.base_url = server.url()}};
  agent critic{llm, felix::roles::critic};
  CHECK_THAT(loop.run(blocks(critic)), Catch::Matchers::ContainsSubstring("co_await the task instead"));
  CHECK_THAT(other.run(blocks(critic)), Catch::Matchers::ContainsSubstring("co_await the task instead"));
  felix::io_thread io;
  felix::client far{io, {.base_url = server.url()}};
  agent distant{far, felix::roles::critic};
  CHECK_THAT(io.spawn(blocks(distant)).get(), Catch::Matchers::ContainsSubstring("co_await the task instead"));
  CHECK(server.snapshot().requests == 0);
  CHECK(critic.stages() == 0);
  CHECK(critic.process_sync("tea").stage == 1);
}

TEST_CASE("agent: process_sync throws what the request throws", "[agent][sockets]") {
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = "http://127.0.0.1:1/v1", .retry = {.attempts = 1}}};
  felix::agent who{llm, felix::roles::research};
  CHECK_THROWS_AS(who.process_sync("Tea"), felix::transport_error);
  CHECK(who.usage_stats().failed == 1);
}
