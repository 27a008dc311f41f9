// SPDX-License-Identifier: MIT
#include <felix/llm/codec.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <felix/net/sse.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using Catch::Matchers::ContainsSubstring;
namespace codec = felix::codec;

TEST_CASE("codec: reads an answer, and tolerates what servers leave out", "[llm][codec]") {
  const auto whole = codec::decode(
      R"({"model":"m1","choices":[{"index":0,"message":{"role":"assistant","content":"hi \u00fc"},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"x":{}}})",
      "s");
  CHECK(whole.text() == "hi ü");
  CHECK(whole.model() == "m1");
  CHECK(whole.finish_reason() == felix::finish_reason::length);
  CHECK(whole.usage() == felix::token_usage{.prompt_tokens = 3, .completion_tokens = 4, .total_tokens = 7});

  const auto null_content = codec::decode(R"({"choices":[{"message":{"content":null}}],"usage":null})", "s");
  CHECK(null_content.text().empty());
  CHECK(null_content.finish_reason() == felix::finish_reason::other);
  CHECK(null_content.usage().estimated);
  CHECK(codec::decode(R"({"choices":[{"message":{}}]})", "s").usage().estimated);
  CHECK(
      codec::decode(R"({"choices":[{"message":{"content":"x"}}],"usage":{"total_tokens":5}})", "s").usage().estimated);

  const auto odd = codec::decode(
      R"({"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":3.0,"completion_tokens":4,"total_tokens":1}})",
      "s");
  CHECK(odd.usage().total_tokens == 7);  // a total below its parts is not believed
  const auto negative = codec::decode(
      R"({"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":-3,"completion_tokens":4}})", "s");
  CHECK(negative.usage().estimated);
  CHECK(negative.usage().prompt_tokens == 0);
}

TEST_CASE("codec: what is no answer is an error that says where it came from and how it begins", "[llm][codec]") {
  for (const char* body :
       {"", "<html>no</html>", "null", "[]", "{}", R"({"choices":[]})", R"({"choices":{}})", R"({"choices":[{}]})",
        R"({"choices":[{"message":null}]})", R"({"choices":[1]})", "{\"choices\":[{\"message\":{\"content\":\"cut"}) {
    CAPTURE(body);
    try {
      static_cast<void>(codec::decode(body, "http://host"));
      FAIL("accepted");
    } catch (const felix::error& failure) {
      CHECK(failure.code() == felix::errc::protocol);
      CHECK(failure.cost() == felix::request_cost::unknown);
      CHECK_THAT(failure.what(), ContainsSubstring("http://host"));
    }
  }
}

TEST_CASE("codec: deep nesting and hostile numbers do no harm", "[llm][codec]") {
  CHECK_THROWS_AS(codec::decode(std::string(100'000, '['), "s"), felix::error);
  const auto huge = codec::decode(
      R"({"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":1e300,"completion_tokens":1e30}})", "s");
  CHECK(huge.usage().estimated);
  const auto whole = codec::decode(
      R"({"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807}})",
      "s");
  CHECK(whole.usage().total_tokens == 0);
}

TEST_CASE("codec: errors in every shape that servers use", "[llm][codec]") {
  const auto shown = [](int status, std::string_view body) { return codec::decode_error(status, body, "http://h"); };
  const auto openai = shown(
      400,
      R"({"error":{"message":"too long","type":"invalid_request_error","param":"x","code":"context_length_exceeded"}})");
  CHECK(openai.status() == 400);
  CHECK(openai.type() == "invalid_request_error");
  CHECK(openai.provider_code() == "context_length_exceeded");
  CHECK_THAT(openai.what(), ContainsSubstring("http://h answered 400: too long"));
  CHECK(shown(500, R"({"error":{"code":500,"message":"m"}})").provider_code() == "500");  // llama.cpp: a number
  CHECK_THAT(shown(401, R"({"error":"Unauthorized"})").what(),
             ContainsSubstring("Unauthorized") && ContainsSubstring("API key"));
  CHECK_THAT(shown(400, R"({"object":"error","message":"older vLLM"})").what(), ContainsSubstring("older vLLM"));
  CHECK_THAT(shown(422, R"({"detail":"FastAPI"})").what(), ContainsSubstring("FastAPI"));
  CHECK_THAT(shown(503, "<html>\r\n<b>Busy</b>\x1b[2J</html>").what(),
             ContainsSubstring("<b>Busy</b>") && !ContainsSubstring("\x1b"));
  CHECK_THAT(shown(502, "").what(), ContainsSubstring("no message"));
  CHECK(shown(500, std::string(5'000, 'x')).body_excerpt().size() == 512);
  CHECK(shown(503, "x").cost() == felix::request_cost::none);
  CHECK(shown(429, "x").cost() == felix::request_cost::none);
  CHECK(shown(500, "x").cost() == felix::request_cost::unknown);
}

TEST_CASE("codec: every class of status has its advice", "[llm][codec]") {
  for (const auto& [status, word] : {std::pair{302, "redirects"},
                                     {400, "did not accept"},
                                     {401, "API key"},
                                     {403, "may not"},
                                     {404, "base_url"},
                                     {413, "did not accept"},
                                     {429, "max_concurrent_requests"},
                                     {500, "its log"},
                                     {503, "loading"},
                                     {418, "documentation"}}) {
    CAPTURE(status);
    CHECK_THAT(codec::decode_error(status, "", "s").what(), ContainsSubstring(word));
  }
}

TEST_CASE("codec: models, and Retry-After in seconds", "[llm][codec]") {
  const auto models = codec::decode_models(R"({"object":"list","data":[{"id":"a","owned_by":"o"},{"id":null}]})", "s");
  REQUIRE(models.size() == 2);
  CHECK(models[0].id == "a");
  CHECK(models[0].owned_by == "o");
  CHECK(models[1].id.empty());
  CHECK_THROWS_AS(codec::decode_models("{}", "s"), felix::error);
  CHECK(codec::decode_retry_after("2") == std::chrono::milliseconds{2000});
  CHECK(codec::decode_retry_after("0.5") == std::chrono::milliseconds{500});
  for (const char* odd : {"", "0", "-1", "nan", "inf", "1e9", "soon", "2 s", "Wed, 21 Oct 2015 07:28:00 GMT"}) {
    CAPTURE(odd);
    CHECK_FALSE(codec::decode_retry_after(odd));
  }
}

TEST_CASE("codec: what real servers answered", "[llm][codec][samples]") {
  const auto body_of = [](std::string_view name) -> std::optional<std::string> {
    auto bytes = felix::test::sample(name);
    if (bytes) bytes->erase(0, bytes->find("\r\n\r\n") + 4);
    return bytes;
  };
  const auto chat = body_of("llamacpp-2026/chat.http");
  if (!chat) {
    WARN("skipped: FELIX_TEST_SAMPLES does not name the folder of recorded answers");
    return;
  }
  const auto answer = codec::decode(*chat, "s");
  CHECK(answer.usage() == felix::token_usage{.prompt_tokens = 6, .completion_tokens = 24, .total_tokens = 30});
  CHECK(answer.finish_reason() == felix::finish_reason::length);
  CHECK_THAT(answer.text(), ContainsSubstring("Lily"));
  const auto overflow = codec::decode_error(400, *body_of("llamacpp-2026/err-context-overflow.http"), "s");
  CHECK(overflow.type() == "exceed_context_size_error");
  CHECK(codec::decode_models(*body_of("llamacpp-2026/models.http"), "s").at(0).owned_by == "llamacpp");
  CHECK_FALSE(codec::decode(*body_of("llamacpp-2026/ok-key.http"), "s").text().empty());
}

static_assert(felix::sse_parser::padding >= simdjson::SIMDJSON_PADDING);

TEST_CASE("codec: the data of an event can be parsed where it lies", "[llm][codec]") {
  std::string stream;
  for (int i = 0; i < 40; ++i) stream += "data: {\"n\":" + std::to_string(i) + "}\n\n";
  const std::size_t size = stream.size();
  stream.append(simdjson::SIMDJSON_PADDING, '"');
  for (std::size_t piece : {1U, 7U, 20U, 1'000U}) {
    felix::sse_parser parser;
    simdjson::dom::parser json;
    std::int64_t expected = 0;
    for (std::size_t at = 0; at < size; at += piece) {
      parser.feed(std::string_view{stream}.substr(at, std::min(piece, size - at)));
      while (const auto event = parser.next()) {
        std::int64_t n = -1;
        REQUIRE(json.parse(event->data.data(), event->data.size(), false)["n"].get(n) == simdjson::SUCCESS);
        CHECK(n == expected++);
      }
    }
    CHECK(expected == 40);
  }
}
