// SPDX-License-Identifier: MIT
#include <felix/llm/client.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/when_all.hpp>
#include <felix/llm/gradient_limit.hpp>
#include <felix/net/io_thread.hpp>
#include "model_server/model_server.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <unistd.h>
#include <algorithm>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::chat_request;
using felix::request_priority;
using felix::test::fault_server;
using ending = felix::test::reply::ending;

TEST_CASE("client: statistics are one snapshot, and print", "[llm][client]") {
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request&) {
    return ++calls == 3 ? felix::test::http(400, "{}") : felix::test::chat("ok", 10, 5);
  }};
  felix::event_loop loop;
  std::vector<std::string> log;
  felix::client llm{
      loop, {.base_url = server.url(), .api_key = felix::secret{"sk-hidden"}, .log = [&](const felix::log_line& l) {
               log.push_back(l.text);
             }}};
  loop.run(llm.complete(chat_request{}.user("a")));
  loop.run(llm.complete(chat_request{}.user("b")));
  CHECK_THROWS_AS(loop.run(llm.complete(chat_request{}.user("c"))), felix::api_error);
  const auto stats = llm.usage_stats();
  CHECK(stats.requests == 3);
  CHECK(stats.failed == 1);
  CHECK(stats.tokens == felix::token_usage{.prompt_tokens = 20, .completion_tokens = 10, .total_tokens = 30});
  CHECK(stats.slots.limit == 4);
  CHECK(stats.slots.in_use == 0);
  CHECK_THAT(fmt::format("{}", stats),
             ContainsSubstring("3 requests, 1 failed, 0 left, 0 retried, 0 refused, 0 in flight, 30 tokens"));
  CHECK(stats.server.requests == 3);
  CHECK(stats.server.connections.opened == 1);
  CHECK(stats.server.connections.idle == 1);
  REQUIRE(log.size() == 6);
  CHECK(log[0] == "#1 asked: 1 messages, 1 bytes, at most all tokens, normal");
  CHECK_THAT(log[1], ContainsSubstring("#1 answered: 15 tokens"));
  CHECK_THAT(log[5], ContainsSubstring("#3 failed") && ContainsSubstring("400"));
  for (const auto& line : log) CHECK_THAT(line, !ContainsSubstring("sk-hidden"));
}

TEST_CASE("client: whatever moment statistics are taken, they fit together", "[llm][client]") {
  fault_server server{[](const felix::test::request&) { return felix::test::chat("ok", 10, 5); }};
  felix::io_thread io;
  felix::client llm{io, {.base_url = server.url(), .max_concurrent_requests = 3}};
  const auto all = [&]() -> felix::task<void> {
    std::vector<felix::task<felix::chat_response>> asked;
    for (int i = 0; i < 200; ++i) asked.push_back(llm.complete(chat_request{}.user("x")));
    co_await felix::when_all(std::move(asked));
  };
  auto done = io.spawn(all());
  std::uint64_t in_flight_seen = 0;
  for (bool is_over = false; !is_over;) {
    is_over = done.wait_for(0s) == std::future_status::ready;
    const auto now = llm.usage_stats();
    REQUIRE(now.slots.in_use <= now.in_flight);
    REQUIRE(now.server.in_flight <= now.slots.in_use);
    REQUIRE(now.requests <= now.server.requests);
    REQUIRE(now.tokens.total_tokens <= now.server.tokens.total_tokens);
    REQUIRE(now.requests <= now.retries.requests);
    in_flight_seen = std::max(in_flight_seen, now.in_flight);
  }
  CHECK(in_flight_seen > 0);
  const auto end = llm.usage_stats();
  CHECK(end.requests == 200);
  CHECK(end.server.requests == 200);
  CHECK(end.waits.count() == 200);
  CHECK(end.server.connections.opened <= 3);
}

TEST_CASE("client: options that cannot work are refused at once", "[llm][client]") {
  felix::event_loop loop;
  CHECK_THROWS_AS((felix::client{loop, {.max_concurrent_requests = 0}}), felix::error);
  CHECK_THROWS_AS((felix::client{loop, {.base_url = "ftp://x"}}), felix::error);
}

TEST_CASE("client: the bound of an answer is an option", "[llm][client]") {
  felix::test::fault_server server{[](const felix::test::request&) { return felix::test::chat("a river"); }};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .max_response_bytes = 20}};
  CHECK_THROWS_WITH(loop.run(llm.complete(felix::chat_request{}.user("x"))),
                    Catch::Matchers::ContainsSubstring("longer than 20 bytes"));
}

TEST_CASE("client: at most max_concurrent_requests at the server, over real sockets", "[llm][client]") {
  model_server::server server{{.slots = 64, .speed = 100}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = 4}};
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 40; ++i)
    asked.push_back(llm.complete(chat_request{}.user("Topic: " + std::to_string(i)).max_tokens(20)));
  const auto answers = loop.run(felix::when_all(std::move(asked)));
  CHECK(answers.size() == 40);
  CHECK(server.snapshot().max_in_flight == 4);
  CHECK(server.snapshot().requests == 40);
  CHECK(server.snapshot().total_tokens == llm.usage_stats().tokens.total_tokens);
}

TEST_CASE("client: one limit for several clients, at one server and in what they tell", "[llm][client]") {
  model_server::server server{{.slots = 64, .speed = 100}};
  felix::event_loop loop;
  felix::priority_semaphore slots{2};
  felix::priority_semaphore::group team{slots, "team", {.ceiling = 1}};
  felix::client one{loop, {.base_url = server.url(), .limit_by = slots}};
  felix::client two{loop, {.base_url = server.url(), .limit_by = team}};
  felix::client alone{loop, {.base_url = server.url(), .limit_by = felix::limit{{.limit = 3, .held_back = 1}}}};
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 20; ++i)
    asked.push_back(
        (i % 2 == 0 ? one : two).complete(chat_request{}.user("Topic: " + std::to_string(i)).max_tokens(20)));
  CHECK(loop.run(felix::when_all(std::move(asked))).size() == 20);
  CHECK(server.snapshot().max_in_flight == 2);
  CHECK(one.usage_stats().slots.limit == 2);
  CHECK(two.usage_stats().slots.limit == 1);
  CHECK(one.usage_stats().shares_slots);
  CHECK_FALSE(alone.usage_stats().shares_slots);
  CHECK_THAT(fmt::format("{}", one.usage_stats()), ContainsSubstring("0 of 2 shared slots in use"));
  CHECK_THAT(fmt::format("{}", alone.usage_stats()), ContainsSubstring("0 of 3 slots in use"));
}

TEST_CASE("client: of several answers that come one by one, another attempt asks for all", "[llm][client]") {
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request&) {
    const int call = ++calls;
    return call == 2 ? felix::test::http(503, "busy") : felix::test::chat("answer " + std::to_string(call));
  }};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .retry = {.base = 0ms, .cap = 0ms}}};
  const auto all = loop.run(llm.complete(chat_request{}.user("x").n(2)));
  REQUIRE(all.choices().size() == 2);
  CHECK(all.choices()[0].text == "answer 3");
  CHECK(all.choices()[1].text == "answer 4");
  CHECK(llm.usage_stats().retries.retries == 1);
}

TEST_CASE("client: urgent overtakes forty waiting low requests, over real sockets", "[llm][client]") {
  fault_server server{[](const felix::test::request&) { return felix::test::chat("ok"); }};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = 1}};
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 41; ++i) n.spawn(llm.complete(chat_request{}.user("low").priority(request_priority::low)));
    n.spawn(llm.complete(chat_request{}.user("urgent").priority(request_priority::urgent)));
    co_return;
  };
  loop.run(felix::with_nursery(body));
  const auto seen = server.requests();
  REQUIRE(seen.size() == 42);
  CHECK(seen[0].body.find("low") != std::string::npos);     // it was in its slot already
  CHECK(seen[1].body.find("urgent") != std::string::npos);  // next, before the forty that wait
}

TEST_CASE("client: a limit that adapts itself, over real sockets", "[llm][client]") {
  model_server::server server{{.slots = 3, .speed = 20}};
  felix::event_loop loop;
  felix::client llm{loop,
                    {.base_url = server.url(),
                     .dialect = felix::dialects::llama_cpp,
                     .limit_by = felix::gradient_limit{{.max = 16}}}};
  CHECK(llm.usage_stats().slots.limit == 1);
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 60; ++i)
    asked.push_back(llm.complete(chat_request{}.user("Topic: " + std::to_string(i)).max_tokens(10)));
  for (const auto& answer : loop.run(felix::when_all(std::move(asked)))) {
    CHECK_FALSE(answer.text().empty());
    CHECK(answer.timing().time_to_first_token > 0ns);  // streamed, so that the limit sees it
    CHECK(answer.timing().queued);
  }
  const auto stats = llm.usage_stats();
  CHECK(server.snapshot().requests == 60);
  CHECK(server.snapshot().max_in_flight >= 2);  // it tries
  CHECK(server.snapshot().max_in_flight <= 16);
  CHECK(stats.slots.limit >= 1);
  CHECK(stats.slots.limit <= 16);
  CHECK(stats.slots.in_use == 0);
}

TEST_CASE("client: a stop while waiting for a slot and one while in flight free everything", "[llm][client]") {
  fault_server server{
      [](const felix::test::request&) { return felix::test::reply{.head_and_body = "", .end = ending::hang}; }};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = 1}};
  felix::stop_source stop_waiting, stop_flying;
  int ended = 0;
  const auto count = [&](felix::result<felix::chat_response> r) { ended += !r; };
  loop.spawn(llm.complete(chat_request{}.user("in flight")), count, stop_flying.get_token());
  loop.spawn(llm.complete(chat_request{}.user("waiting")), count, stop_waiting.get_token());
  while (server.requests().empty()) loop.poll();
  CHECK(llm.usage_stats().slots.in_use == 1);
  CHECK(llm.usage_stats().slots.waiting_in_all() == 1);
  stop_waiting.request_stop();
  loop.poll();
  CHECK(ended == 1);
  CHECK(llm.usage_stats().slots.waiting_in_all() == 0);
  stop_flying.request_stop();
  loop.poll();
  CHECK(ended == 2);
  CHECK(llm.usage_stats().slots.in_use == 0);
  CHECK(server.wait_until([](auto& s) { return s.open_connections() == 0; }));
  CHECK(server.requests().size() == 1);
}

TEST_CASE("client: ten thousand requests in one when_all", "[llm][client]") {
  model_server::server server{{.slots = 64, .tokens_per_second = 1e9, .latency = 0ms, .speed = 1000}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = 32}};
  std::vector<felix::task<felix::chat_response>> asked;
  asked.reserve(10'000);
  for (int i = 0; i < 10'000; ++i) asked.push_back(llm.complete(chat_request{}.user("Topic: x").max_tokens(5)));
  CHECK(loop.run(felix::when_all(std::move(asked))).size() == 10'000);
  CHECK(server.snapshot().requests == 10'000);
  CHECK(server.snapshot().max_in_flight <= 32);
}

TEST_CASE("client: models are listed beside a full limit", "[llm][client]") {
  model_server::server server{{.speed = 1000}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  CHECK(loop.run(llm.models()).at(0).id == "felix-simulated");
}

TEST_CASE("client: what may pass is asked again, and told", "[llm][client]") {
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request&) {
    return ++calls == 1 ? felix::test::http(503, R"({"error":{"message":"busy"}})") : felix::test::chat("ok");
  }};
  felix::event_loop loop;
  std::vector<std::string> log;
  felix::client llm{loop, {.base_url = server.url(), .retry = {.base = 1ms}, .log = [&](const felix::log_line& l) {
                             log.push_back(l.text);
                           }}};
  CHECK(loop.run(llm.complete(chat_request{}.user("x"))).text() == "ok");
  CHECK(llm.usage_stats().retries.retries == 1);
  CHECK(llm.usage_stats().server.requests == 2);
  CHECK(llm.usage_stats().server.failed == 1);
  REQUIRE(log.size() == 3);
  CHECK_THAT(log[1], ContainsSubstring("#1 again in") && ContainsSubstring("busy"));
  felix::client never{loop, {.base_url = server.url(), .retry = {.attempts = 1}}};
  calls = 0;
  CHECK_THROWS_AS(loop.run(never.complete(chat_request{}.user("x"))), felix::api_error);
}

namespace {

felix::task<std::string> read_some(felix::chat_stream& stream, int most) {
  std::string text;
  for (int i = 0; i < most; ++i) {
    const auto delta = co_await stream.next();
    if (!delta) break;
    text += delta->text();
  }
  co_return text;
}

}  // namespace

TEST_CASE("client: streams hold a slot and are counted, those that are left too", "[llm][client]") {
  model_server::server server{{.speed = 100}};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = 1}};
  const auto ask = chat_request{}.user("A long story").max_tokens(60);
  auto whole = llm.stream(ask);
  CHECK_FALSE(loop.run(read_some(whole, 1'000)).empty());
  CHECK(llm.usage_stats().slots.in_use == 0);
  {
    auto left = llm.stream(ask);
    CHECK_FALSE(loop.run(read_some(left, 2)).empty());
    CHECK(llm.usage_stats().slots.in_use == 1);
    CHECK(llm.usage_stats().in_flight == 1);
  }
  const auto stats = llm.usage_stats();
  CHECK(stats.slots.in_use == 0);
  CHECK(stats.in_flight == 0);
  CHECK(stats.requests == 2);
  CHECK(stats.left == 1);
  CHECK(stats.failed == 0);
  CHECK(stats.first_tokens.count() == 2);
  CHECK(stats.answers.count() == 1);
  CHECK(stats.tokens.estimated);  // of the one that was left
  CHECK(stats.tokens.completion_tokens > whole.response().usage().completion_tokens);
}

TEST_CASE("client: destroyed with work in flight, it stops it and waits for it", "[llm][client]") {
  fault_server server{
      [](const felix::test::request&) { return felix::test::reply{.head_and_body = "", .end = ending::hang}; }};
  felix::event_loop loop;
  int cancelled = 0;
  const auto count = [&](const felix::result<felix::chat_response>& got) {
    try {
      static_cast<void>(got.value());
    } catch (const felix::cancelled&) {
      ++cancelled;
    }
  };
  {
    felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = 2}};
    for (int i = 0; i < 3; ++i) loop.spawn(llm.complete(chat_request{}.user("x")), count);
    while (server.requests().size() < 2) loop.poll();
  }
  CHECK(cancelled == 3);
  CHECK(loop.reactor().running() == 0);
  CHECK(server.wait_until([](auto& s) { return s.open_connections() == 0; }));
}

// Of this process; it waits in the kernel.
static bool sleeps(pid_t thread) {
  std::ifstream stat{"/proc/self/task/" + std::to_string(thread) + "/stat"};
  std::string line;
  std::getline(stat, line);
  return line.find(") S ") != std::string::npos;
}

TEST_CASE("client: destroyed by another thread than its loop's", "[llm][client]") {
  fault_server server{
      [](const felix::test::request&) { return felix::test::reply{.head_and_body = "", .end = ending::hang}; }};
  felix::io_thread io;
  const pid_t here = ::gettid();
  std::future<felix::chat_response> waiting;
  {
    // The request ends when the destructor waits for it in earnest, and has to be woken.
    felix::client llm{io, {.base_url = server.url(), .log = [here](const felix::log_line& line) {
                             while (line.text.find("stopped") != std::string::npos && !sleeps(here))
                               std::this_thread::yield();
                           }}};
    waiting = io.spawn(llm.complete(chat_request{}.user("x")));
    CHECK(server.wait_until([](auto& s) { return s.requests().size() == 1; }));
  }
  CHECK_THROWS_AS(waiting.get(), felix::cancelled);
}

TEST_CASE("client: a stream that outlives its client ends with cancelled", "[llm][client]") {
  model_server::server server{{.tokens_per_second = 50, .latency = 1ms}};
  felix::event_loop loop;
  std::optional<felix::client> llm{std::in_place, loop, felix::client_options{.base_url = server.url()}};
  auto stream = llm->stream(chat_request{}.user("A long story").max_tokens(1'000));
  CHECK_FALSE(loop.run(read_some(stream, 2)).empty());
  CHECK(server.snapshot().in_flight == 1);
  llm.reset();  // closes the connection, though nobody reads it now
  while (server.snapshot().in_flight > 0) loop.poll();
  CHECK_THROWS_AS(loop.run(read_some(stream, 1'000)), felix::cancelled);
  CHECK_FALSE(stream.response().text().empty());
}

TEST_CASE("client: destroyed on one thread while its streams are read, or not, on others", "[llm][client]") {
  model_server::server server{{.slots = 8, .tokens_per_second = 400, .latency = 1ms}};
  felix::io_thread io;
  for (int round = 0; round < 5; ++round) {
    std::optional<felix::client> llm{std::in_place, io, felix::client_options{.base_url = server.url()}};
    std::atomic<int> begun{0};
    std::vector<std::thread> readers;
    for (int reader = 0; reader < 3; ++reader) {
      readers.emplace_back([&, stream = llm->stream(chat_request{}.user("A long story").max_tokens(1'000))]() mutable {
        // Catch2's checks are for one thread: what is wrong here ends the process.
        static_cast<void>(felix::sync_wait(read_some(stream, 2)));
        ++begun;
        try {
          while (!felix::sync_wait(read_some(stream, 1)).empty()) std::this_thread::yield();
        } catch (const felix::cancelled&) {}
      });
    }
    while (begun < 3) std::this_thread::yield();
    llm.reset();
    for (std::thread& each : readers) each.join();
  }
  while (server.snapshot().in_flight > 0) std::this_thread::yield();  // each connection was closed
}

TEST_CASE("client: what did not run costs nothing, whichever way it was asked for", "[llm][client]") {
  fault_server server{[](const felix::test::request&) { return felix::test::http(401, "{}"); }};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  const auto stream = [&]() -> felix::task<felix::token_usage> {
    auto refused = llm.stream(chat_request{}.user("x"));
    CHECK_THROWS_AS(co_await refused.next(), felix::api_error);
    co_return refused.response().usage();
  };
  CHECK(loop.run(stream()).total_tokens == 0);
  CHECK_THROWS_AS(loop.run(llm.complete(chat_request{}.user("x"))), felix::api_error);
  const auto stats = llm.usage_stats();
  CHECK(stats.failed == 2);
  CHECK(stats.tokens.total_tokens == 0);
  CHECK(stats.server.tokens.total_tokens == 0);
}

TEST_CASE("client: a stop is no failure, in statistics and in the log", "[llm][client]") {
  model_server::server server{{.speed = 1}};
  felix::event_loop loop;
  std::vector<std::string> log;
  felix::client llm{loop, {.base_url = server.url(), .log = [&](const felix::log_line& l) { log.push_back(l.text); }}};
  felix::stop_source stop;
  loop.spawn(llm.complete(chat_request{}.user("x")), [](felix::result<felix::chat_response>) {}, stop.get_token());
  while (server.snapshot().in_flight == 0) loop.poll();
  stop.request_stop();
  while (llm.usage_stats().in_flight > 0) loop.poll();
  CHECK(llm.usage_stats().failed == 0);
  CHECK(llm.usage_stats().left == 1);
  REQUIRE(log.size() == 2);
  CHECK_THAT(log[1], ContainsSubstring("#1 stopped: "));
}

TEST_CASE("client: hands its options on to its layers, and their figures back", "[llm][client]") {
  model_server::server server{{.speed = 100}};
  felix::event_loop loop;
  std::vector<std::string> log;
  felix::client llm{loop,
                    {.base_url = server.url(),
                     .limit_by = felix::limit{1}.waiting({.max_waiting = 0}),
                     .rate = felix::rate_limit_options{.requests_per_minute = 6'000},
                     .log = [&](const felix::log_line& l) { log.push_back(l.text); }}};
  {
    auto left = llm.stream(chat_request{}.user("A long story").max_tokens(60));
    CHECK_FALSE(loop.run(read_some(left, 2)).empty());
    CHECK_THROWS_AS(loop.run(llm.complete(chat_request{}.user("x"))), felix::error);  // nobody may wait
  }
  const auto stats = llm.usage_stats();
  CHECK(stats.rate.requests.per_minute == 6'000);
  CHECK(stats.refused == 1);
  CHECK(stats.left == 1);
  REQUIRE(log.size() == 4);
  CHECK(log[3] == "#1 left");
  felix::client elsewhere{
      loop, {.base_url = "https" + server.url().substr(4), .retry = {.attempts = 1}, .ca_file = "/nowhere.pem"}};
  CHECK_THROWS_WITH(loop.run(elsewhere.complete(chat_request{}.user("x"))), ContainsSubstring("CA"));
}

TEST_CASE("client: destroyed while it is asked for models, it ends that too", "[llm][client]") {
  fault_server server{[](const felix::test::request&) {
    auto silent = felix::test::http(200, "{}");
    silent.delay = 600s;  // the server ends it with the test
    return silent;
  }};
  felix::event_loop loop;
  std::optional<felix::client> llm{std::in_place, loop, felix::client_options{.base_url = server.url()}};
  int ended = 0;
  const auto count = [&](auto outcome) { ended += outcome ? 0 : 1; };
  loop.spawn(llm->models(), count);
  loop.spawn(llm->health(), count);
  loop.spawn(llm->embeddings(felix::embedding_request{}.text("x")), count);
  while (server.requests().size() < 3) loop.poll();
  llm.reset();
  CHECK(ended == 3);
}
