// SPDX-License-Identifier: MIT
#include <felix/llm/openai_model.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <chrono>
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

TEST_CASE("openai_model: a key that the server repeats reaches neither error nor text", "[llm][openai]") {
  const std::string key = "sk-very-secret-0123456789";
  const bool as_error = GENERATE(true, false);
  fault_server server{[&](const felix::test::request& r) {
    const std::string echo = "you sent " + r.header("authorization") + " and again " + key;
    if (as_error)
      return felix::test::http(
          401, R"({"error":{"message":")" + echo + R"(","type":")" + key + R"(","code":")" + key + R"("}})");
    return felix::test::chat(echo);
  }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .api_key = felix::secret{key}}};
  if (as_error) {
    try {
      loop.run(llm.complete(chat_request{}.user("x")));
      FAIL("no error");
    } catch (const felix::api_error& failure) {
      for (const std::string& shown :
           {std::string{failure.what()}, failure.body_excerpt(), failure.type(), failure.provider_code()})
        CHECK_THAT(shown, !ContainsSubstring(key));
    }
  } else {
    CHECK(loop.run(llm.complete(chat_request{}.user("x"))).text() == "you sent Bearer [API key] and again [API key]");
  }
}

TEST_CASE("openai_model: a key in an answer that is none, or escaped in one, is not shown either", "[llm][openai]") {
  const std::string key = "sk-very-secret-0123456789";
  const auto body = GENERATE_COPY(as<std::string>{}, "<html>" + key + "</html>",
                                  R"({"choices":[{"message":{"content":"\u0073k-very-secret-0123456789"}}]})");
  fault_server server{[&](const felix::test::request&) { return felix::test::http(200, body); }};
  felix::event_loop loop;
  felix::openai_model llm{loop, {.base_url = server.url(), .api_key = felix::secret{key}}};
  for (const bool list : {true, false}) {
    std::string shown;
    try {
      shown = list ? loop.run(llm.models()).at(0).id : loop.run(llm.complete(chat_request{}.user("x"))).text();
    } catch (const felix::error& failure) {
      shown = failure.what();
    }
    CHECK_THAT(shown, !ContainsSubstring(key));
  }
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
  CHECK(loop.run(llm.health()) == now.is);
}
