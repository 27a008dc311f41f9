// SPDX-License-Identifier: MIT
#include <felix/llm/chat_stream.hpp>

#include <felix/llm/model.hpp>
#include <felix/llm/openai_model.hpp>
#include "model_server/model_server.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::test::fault_server;
using felix::test::reply;

namespace {

// All deltas of a stream, joined; stops after `most` of them.
felix::task<std::string> read(felix::chat_stream& stream, int most = 1'000'000) {
  std::string text;
  for (int count = 0; count < most; ++count) {
    const auto delta = co_await stream.next();
    if (!delta) break;
    text += delta->text();
  }
  co_return text;
}

reply events(std::string_view body) {
  auto answer = felix::test::http(200, body, {}, "text/event-stream");
  return answer;
}

}  // namespace

TEST_CASE("chat_stream: gives the answer piece by piece, and then the whole", "[llm][chat_stream]") {
  model_server::server server{{.speed = 1000}};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  const auto ask = felix::chat_request{}.user("Why is the sky blue?").max_tokens(20).seed(1);
  const auto buffered = loop.run(llm.complete(ask));
  auto stream = llm.stream(ask);
  CHECK(loop.run(read(stream)) == buffered.text());
  CHECK(stream.response().text() == buffered.text());
  CHECK(stream.response().usage() == buffered.usage());
  CHECK(stream.response().finish_reason() == buffered.finish_reason());
  CHECK(stream.response().model() == buffered.model());
  CHECK(stream.response().timing().time_to_first_token.count() > 0);
  CHECK(stream.response().timing().total >= stream.response().timing().time_to_first_token);
  CHECK(loop.run(felix::collect(llm.stream(ask))).text() == buffered.text());
}

TEST_CASE("chat_stream: connections are used again for the next stream", "[llm][chat_stream]") {
  fault_server server{[](const felix::test::request&) {
    return events(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: "
        "[DONE]\n\n");
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  for (int i = 0; i < 4; ++i)
    CHECK(loop.run(felix::collect(llm.stream(felix::chat_request{}.user("x")))).text() == "hi");
  CHECK(server.connections() == 1);
}

TEST_CASE("chat_stream: leaving it early closes the connection", "[llm][chat_stream]") {
  model_server::server server{{.tokens_per_second = 50, .latency = 1ms}};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  {
    auto stream = llm.stream(felix::chat_request{}.user("A long story").max_tokens(1000));
    CHECK_FALSE(loop.run(read(stream, 2)).empty());
  }
  CHECK(loop.reactor().running() == 0);
  while (server.snapshot().in_flight != 0) {}  // the server notices
  CHECK(server.snapshot().cancelled == 1);
}

TEST_CASE("chat_stream: one that ends too early is an error with the text so far", "[llm][chat_stream]") {
  const std::string begin = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half an ans\"}}]}\n\n";
  const auto how = GENERATE(reply::ending::keep_alive, reply::ending::close, reply::ending::cut, reply::ending::reset);
  fault_server server{[&](const felix::test::request&) {
    auto answer = how == reply::ending::cut || how == reply::ending::reset ? events(begin + begin) : events(begin);
    answer.end = how;
    return answer;
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  auto stream = llm.stream(felix::chat_request{}.user("x"));
  try {
    loop.run(read(stream));
    FAIL("not interrupted");
  } catch (const felix::stream_interrupted& broken) {
    CHECK_THAT(broken.so_far().text(), ContainsSubstring("half an ans"));
    CHECK(broken.so_far().usage().estimated);
    CHECK(broken.so_far().usage().completion_tokens > 0);
    CHECK(broken.cost() == felix::request_cost::unknown);
  }
  CHECK_THAT(stream.response().text(), ContainsSubstring("half an ans"));
}

TEST_CASE("chat_stream: a stall in the middle is an error although comments keep coming", "[llm][chat_stream]") {
  fault_server server{[&](const felix::test::request&) {
    std::string body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\n";
    for (int i = 0; i < 100'000; ++i) body += ": ping\n\n";
    auto answer = events(body);
    answer.bytes_per_write = 16;
    return answer;
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .timeouts = {.between_tokens = 60ms}}};
  auto stream = llm.stream(felix::chat_request{}.user("x"));
  CHECK_THROWS_WITH(loop.run(read(stream)), ContainsSubstring("between_tokens"));
  CHECK(stream.response().text() == "one");
}

TEST_CASE("chat_stream: role chunks and comments are no first token", "[llm][chat_stream]") {
  fault_server server{[&](const felix::test::request&) {
    std::string body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    for (int i = 0; i < 100'000; ++i) body += ": ping\n\n";
    auto answer = events(body);
    answer.bytes_per_write = 16;
    return answer;
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .timeouts = {.first_token = 80ms}}};
  auto stream = llm.stream(felix::chat_request{}.user("x"));
  CHECK_THROWS_AS(loop.run(read(stream)), felix::timed_out);
}

TEST_CASE("chat_stream: a refusal before the stream is the plain error", "[llm][chat_stream]") {
  fault_server server{[](const felix::test::request&) {
    return felix::test::http(400, R"({"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}})");
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  auto stream = llm.stream(felix::chat_request{}.user("x"));
  CHECK_THROWS_AS(loop.run(read(stream)), felix::api_error);
}

TEST_CASE("chat_stream: an error in the stream is one, and a JSON answer is as good as a stream",
          "[llm][chat_stream]") {
  std::string body = "data: {\"error\":{\"message\":\"boom\",\"code\":500}}\n\ndata: [DONE]\n\n";
  fault_server server{[&](const felix::test::request&) { return events(body); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  auto stream = llm.stream(felix::chat_request{}.user("x"));
  CHECK_THROWS_WITH(loop.run(read(stream)), ContainsSubstring("boom"));
  body = R"({"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]})";
  auto other = llm.stream(felix::chat_request{}.user("x"));
  CHECK(loop.run(read(other)) == "whole");
  CHECK(other.response().finish_reason() == felix::finish_reason::stop);
}

TEST_CASE("chat_stream: an error in one JSON document is one, and no text of a server shows the key",
          "[llm][chat_stream]") {
  const auto [type, body] = GENERATE(table<std::string, std::string>({
      {"application/json", R"({"error":{"message":"no sk-secret-key here"}})"},
      {"text/html", "<html>sk-secret-key</html>"},
      {"text/event-stream", "data: sk-secret-key\n\n"},
      {"text/event-stream", R"(data: {"error":{"message":"sk-secret-key"}})"
                            "\n\n"},
  }));
  fault_server server{[&](const felix::test::request&) { return felix::test::http(200, body, {}, type); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .api_key = felix::secret{"sk-secret-key"}}};
  auto stream = llm.stream(felix::chat_request{}.user("x"));
  CHECK_THROWS_WITH(loop.run(read(stream)), !ContainsSubstring("sk-secret-key") && ContainsSubstring("[API key]"));
}
