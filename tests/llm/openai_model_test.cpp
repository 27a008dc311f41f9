// SPDX-License-Identifier: MIT
#include <felix/llm/openai_model.hpp>

#include <felix/llm/retrying.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::chat_request;
using felix::test::fault_server;

TEST_CASE("openai_model: posts a chat and gives back text, usage, reason and times", "[llm][openai]") {
  fault_server server{[](const felix::test::request&) { return felix::test::chat("Because of Rayleigh.", 11, 6); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url() + "/v1/", .model = "m", .api_key = felix::secret{"sk-1"}}};
  const auto answer = loop.run(llm.complete(chat_request{}.user("Why is the sky blue?").max_tokens(120)));
  CHECK(answer.text() == "Because of Rayleigh.");
  CHECK(answer.usage() == felix::token_usage{.prompt_tokens = 11, .completion_tokens = 6, .total_tokens = 17});
  CHECK(answer.finish_reason() == felix::finish_reason::stop);
  CHECK(answer.timing().total > 0ns);
  const auto seen = server.requests().at(0);
  CHECK(seen.method == "POST");
  CHECK(seen.target == "/v1/chat/completions");
  CHECK(seen.header("authorization") == "Bearer sk-1");
  CHECK(seen.header("content-type") == "application/json");
  CHECK_THAT(seen.body, ContainsSubstring(R"("max_tokens":120)") && ContainsSubstring(R"("model":"m")"));
}

TEST_CASE("openai_model: without a key no Authorization is sent", "[llm][openai]") {
  fault_server server{[](const felix::test::request&) { return felix::test::chat("ok"); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  loop.run(llm.complete(chat_request{}.user("x")));
  CHECK(server.requests().at(0).header("authorization").empty());
}

TEST_CASE("openai_model: each error status is an api_error with the server's words and advice", "[llm][openai]") {
  const int status = GENERATE(300, 301, 302, 307, 308, 400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 429, 500, 501,
                              502, 503, 504, 529);
  CAPTURE(status);
  fault_server server{[&](const felix::test::request&) {
    return felix::test::http(status, R"({"error":{"message":"the reason","type":"t","code":"c"}})",
                             {{"Retry-After", "3"}, {"Location", "http://elsewhere:1/path?key=sk-2"}});
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url() + "/v1"}};
  try {
    loop.run(llm.complete(chat_request{}.user("x")));
    FAIL("no error");
  } catch (const felix::api_error& failure) {
    CHECK(failure.status() == status);
    CHECK(failure.code() == felix::errc::bad_status);
    CHECK(failure.retry_after() == 3000ms);
    CHECK_THAT(failure.what(), ContainsSubstring(server.url()) && ContainsSubstring(std::to_string(status)));
    if (status >= 400) CHECK_THAT(failure.what(), ContainsSubstring("the reason"));
    if (status < 400) CHECK_THAT(failure.what(), ContainsSubstring("http://elsewhere:1") && !ContainsSubstring("sk-2"));
  }
  CHECK(server.requests().size() == 1);  // nothing is followed, nothing is tried again
}

TEST_CASE("openai_model: what is paid for is not sent again on the way, where nobody was asked", "[llm][openai]") {
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request&) {
    // At work on a connection that was kept, the server dies.
    if (++calls == 2) return felix::test::reply{.head_and_body = "", .end = felix::test::reply::ending::close};
    return felix::test::chat("ok");
  }};
  felix::event_loop loop;
  auto llm = felix::openai_model{loop, {.base_url = server.url()}} | felix::retry{};
  loop.run(llm.complete(chat_request{}.user("x")));
  chat_request paid = chat_request{}.user("y");
  int asked = 0;
  bool pays = false;
  paid.repeat_if([&] {
    ++asked;
    CHECK(server.requests().size() == 2);
    return pays;
  });
  SECTION("who pays does not pay again") {
    CHECK_THROWS_AS(loop.run(llm.complete(paid)), felix::transport_error);
    CHECK(calls == 2);
  }
  SECTION("who pays pays again") {
    pays = true;
    CHECK(loop.run(llm.complete(paid)).text() == "ok");
    CHECK(calls == 3);
  }
  CHECK(asked == 1);
}

TEST_CASE("openai_model: a key that the server repeats does not reach an error", "[llm][openai]") {
  const std::string key = "abc/def-0123456789";
  const auto [status, body] = GENERATE(table<int, std::string>(
      {{401,
        R"({"error":{"message":"no: abc/def-0123456789","type":"abc\/def-0123456789","code":"abc/def-0123456789"}})"},
       {200, R"({"error":{"message":"no: abc\/def-0123456789","code":401}})"},
       {200, R"({"choices":[],"error":"no: \u0061bc\/def-0123456789"})"},
       {200, R"({"x":"abc\/def-0123456789"})"},
       {200, "<html>abc/def-0123456789</html>"},
       {200, "abc%2Fdef-0123456789"},
       {200, std::string(185, 'x') + "abc/def-0123456789 and more"}}));
  CAPTURE(status, body);
  fault_server server{[&](const felix::test::request&) {
    return felix::test::http(status, body, {{"X-Request-Id", "abc%2fdef-0123456789"}});
  }};
  felix::event_loop loop;
  felix::openai_model llm{
      loop, {.base_url = server.url(), .api_key = felix::secret{key}, .dialect = felix::dialects::llama_cpp}};
  const auto shown_by = [&](auto asked) {
    std::string shown;
    try {
      loop.run(std::move(asked));
    } catch (const felix::api_error& failure) {
      shown = failure.what() + failure.body_excerpt() + failure.type() + failure.provider_code() + failure.request_id();
    } catch (const felix::error& failure) {
      shown = failure.what();
    }
    CHECK_FALSE(shown.empty());
    CHECK_THAT(shown, !ContainsSubstring("abc") && !ContainsSubstring("def-0"));
  };
  const auto streamed = [&]() -> felix::task<void> {
    auto stream = llm.stream(chat_request{}.user("x"));
    for (;;) {
      const auto delta = co_await stream.next();
      if (!delta) break;
    }
  };
  shown_by(llm.complete(chat_request{}.user("x")));
  shown_by(streamed());
  shown_by(llm.models());
  shown_by(llm.identify());
  shown_by(llm.embeddings(felix::embedding_request{}.text("x")));
  shown_by(llm.count_tokens("x"));
}

TEST_CASE("openai_model: a key that the server repeats in an answer is not in it, streamed or not", "[llm][openai]") {
  const std::string key = "sk-secret-0123456789";
  const bool as_events = GENERATE(false, true);
  fault_server server{[&](const felix::test::request&) {
    if (!as_events) return felix::test::chat("Your key is " + key, 100, 20);
    const auto event = [](const std::string& text) {
      return R"(data: {"choices":[{"index":0,"delta":{"content":")" + text + "\"}}]}\n\n";
    };
    return felix::test::http(200, event("Your key is " + key.substr(0, 9)) + event(key.substr(9)) + "data: [DONE]\n\n",
                             {{"Content-Type", "text/event-stream"}});
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .api_key = felix::secret{key}}};
  const auto answer = loop.run(felix::collect(llm.stream(chat_request{}.user("x"))));
  CHECK_THAT(answer.text(), ContainsSubstring("Your key is ") && !ContainsSubstring(key));
  if (!as_events) CHECK_THAT(loop.run(llm.complete(chat_request{}.user("x"))).text(), !ContainsSubstring(key));
}

TEST_CASE("openai_model: a good answer is left as it is, whatever the key", "[llm][openai]") {
  const auto key = GENERATE(as<std::string>{}, "stop", "0", "EMPTY", "ollama", "content", "\"");
  CAPTURE(key);
  const std::string body =
      R"({"id":"EMPTY-0","model":"ollama","choices":[{"index":0,"message":{"content":"stop 0 EMPTY"},)"
      R"("finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120},)"
      R"("data":[{"id":"ollama-0"}]})";
  fault_server server{[&](const felix::test::request&) { return felix::test::http(200, body); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .api_key = felix::secret{key}}};
  const auto answer = loop.run(llm.complete(chat_request{}.user("x")));
  CHECK(answer.text() == "stop 0 EMPTY");
  CHECK(answer.id() == "EMPTY-0");
  CHECK(answer.model() == "ollama");
  CHECK(answer.finish_reason() == felix::finish_reason::stop);
  CHECK(answer.usage().prompt_tokens == 100);
  CHECK(loop.run(llm.models()).at(0).id == "ollama-0");
  const auto streamed = [&]() -> felix::task<std::string> {
    auto stream = llm.stream(chat_request{}.user("x"));
    for (;;) {
      const auto delta = co_await stream.next();
      if (!delta) break;
    }
    co_return stream.response().text();
  };
  CHECK(loop.run(streamed()) == "stop 0 EMPTY");
}

TEST_CASE("openai_model: a 2xx that is no answer is a protocol error", "[llm][openai]") {
  const auto body = GENERATE(as<std::string>{}, "", "<html>", "{}", "data: {}\n\n");
  fault_server server{[&](const felix::test::request&) { return felix::test::http(200, body); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  try {
    loop.run(llm.complete(chat_request{}.user("x")));
    FAIL("no error");
  } catch (const felix::error& failure) {
    CHECK(failure.code() == felix::errc::protocol);
  }
}

TEST_CASE("openai_model: lists models", "[llm][openai]") {
  fault_server server{
      [](const felix::test::request&) { return felix::test::http(200, R"({"data":[{"id":"a"},{"id":"b"}]})"); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url() + "/v1"}};
  CHECK(loop.run(llm.models()).size() == 2);
  CHECK(server.requests().at(0).method == "GET");
  CHECK(server.requests().at(0).target == "/v1/models");
}

TEST_CASE("openai_model: bad options are found at once", "[llm][openai]") {
  felix::event_loop loop;
  CHECK_THROWS_AS((felix::openai_model{loop, {.base_url = "nonsense"}}), felix::error);
  CHECK_THROWS_AS((felix::openai_model{loop, {.timeouts = {.total = 0ms}}}), felix::error);
}

TEST_CASE("openai_model: can be moved before its first request", "[llm][openai]") {
  fault_server server{[](const felix::test::request&) { return felix::test::chat("ok"); }};
  felix::event_loop loop;
  felix::openai_model first{loop, {.base_url = server.url()}};
  felix::openai_model llm = std::move(first);
  CHECK(loop.run(llm.complete(chat_request{}.user("x"))).text() == "ok");
}

namespace {

std::string streamed(const std::string& text) {
  return R"(data: {"choices":[{"index":0,"delta":{"content":")" + text +
         R"("}}]})"
         "\n\n"
         R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}})"
         "\n\ndata: [DONE]\n\n";
}

}  // namespace

TEST_CASE("openai_model: several answers of a server that gives one at a time", "[llm][openai]") {
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request& asked) {
    const std::string text = "answer " + std::to_string(++calls);
    if (asked.body.find(R"("stream":true)") == std::string::npos) return felix::test::chat(text, 7, 2);
    return felix::test::http(200, streamed(text));
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  const auto check = [](const felix::chat_response& all, int first) {
    REQUIRE(all.choices().size() == 2);
    CHECK(all.choices()[0].text == "answer " + std::to_string(first));
    CHECK(all.choices()[1].text == "answer " + std::to_string(first + 1));
    CHECK(all.usage() == felix::token_usage{.prompt_tokens = 14, .completion_tokens = 4, .total_tokens = 18});
  };
  check(loop.run(llm.complete(chat_request{}.user("x").seed(40).n(2))), 1);
  check(loop.run(felix::collect(llm.stream(chat_request{}.user("x").seed(40).n(2)))), 3);
  REQUIRE(server.requests().size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK_THAT(server.requests()[i].body, ContainsSubstring(i % 2 == 0 ? R"("seed":40)" : R"("seed":41)"));
    CHECK_THAT(server.requests()[i].body, !ContainsSubstring(R"("n":)"));
  }
  CHECK(llm.usage_stats().tokens.total_tokens == 36);
}

TEST_CASE("openai_model: when one of several answers fails, the others have cost what they cost", "[llm][openai]") {
  std::atomic<int> calls{0};
  fault_server server{[&](const felix::test::request& asked) {
    if (++calls % 2 == 0) return felix::test::http(400, "{}");
    if (asked.body.find(R"("stream":true)") == std::string::npos) return felix::test::chat("first", 7, 2);
    return felix::test::http(200, streamed("first"));
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  const bool stream = GENERATE(false, true);
  CAPTURE(stream);
  const auto request = chat_request{}.user("x").n(2);
  try {
    if (stream) loop.run(felix::collect(llm.stream(request)));
    if (!stream) loop.run(llm.complete(request));
    FAIL("the second answer was refused");
  } catch (const felix::stream_interrupted& broken) {
    CHECK(broken.cost() == felix::request_cost::unknown);
    CHECK(broken.kind() == felix::error_kind::bad_request);
    CHECK(broken.so_far().text() == "first");
    CHECK(broken.so_far().usage().total_tokens == 9);
  }
}

TEST_CASE("openai_model: several answers that are left in the first have cost something", "[llm][openai]") {
  fault_server server{[&](const felix::test::request&) { return felix::test::http(200, streamed("first")); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url()}};
  auto stream = std::make_optional(llm.stream(chat_request{}.user("x").n(2)));
  const auto whole = stream->whole();
  const auto one = [&]() -> felix::task<void> { static_cast<void>(co_await stream->next()); };
  loop.run(one());
  stream.reset();
  CHECK(whole->response().usage().total_tokens > 0);
  CHECK(whole->response().usage().estimated);
}

TEST_CASE("openai_model: health is loading only for a server that says so", "[llm][openai]") {
  using health = felix::server_health;
  struct state {
    int status;
    const char* body;
    health is;
  };
  const auto now = GENERATE(
      state{200, "{}", health::ready},
      state{503, R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})", health::loading},
      state{503, "", health::failing}, state{503, "<html>Service Unavailable</html>", health::failing},
      state{500, R"({"error":"broken"})", health::failing}, state{404, "", health::failing});
  CAPTURE(now.status, now.body);
  fault_server server{[&](const felix::test::request&) { return felix::test::http(now.status, now.body); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url() + "/v1", .dialect = felix::dialects::llama_cpp}};
  const health found = loop.run(llm.health());
  CHECK(found == now.is);
  CHECK(fmt::format("{}", found) == to_string(now.is));
}

TEST_CASE("openai_model: a key that an answer repeats is not shown", "[llm][openai]") {
  fault_server server{[](const felix::test::request& asked) {
    return felix::test::chat("You sent " + asked.header("authorization"), 7, 2);
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .api_key = felix::secret{"sk-0123456789abcdef"}}};
  CHECK(loop.run(llm.complete(chat_request{}.user("x"))).text() == "You sent Bearer [API key]");
}
