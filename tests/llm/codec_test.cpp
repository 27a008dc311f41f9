// SPDX-License-Identifier: MIT
#include <felix/llm/codec.hpp>

#include <felix/net/sse.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/sent_headers.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

using Catch::Matchers::ContainsSubstring;
using felix::error_kind;
using felix::test::sent_headers;
namespace codec = felix::codec;

TEST_CASE("codec: reads an answer, and tolerates what servers leave out", "[llm][codec][D21]") {
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

TEST_CASE("codec: JSON is what any server would read as it", "[llm][codec]") {
  for (const char* json : {"{}", "7", R"({"n":123456789012345678901234567890})", "\"\xC3\xBC\"", " [] "})
    CHECK(codec::is_json(json));
  for (const char* none : {"", "x", "\xEF\xBB\xBF{}", "\"\xFF\"", "{"}) CHECK_FALSE(codec::is_json(none));
}

TEST_CASE("codec: choices stand where their index says", "[llm][codec]") {
  const auto texts = [](std::string_view first, std::string_view second) {
    std::string all;
    const auto answer = codec::decode(R"({"choices":[{)" + std::string{first} + R"("message":{"content":"a"}},{)" +
                                          std::string{second} + R"("message":{"content":"b"}}]})",
                                      "s");
    for (const auto& choice : answer.choices()) all += choice.text;
    return all;
  };
  CHECK(texts(R"("index":1,)", R"("index":0,)") == "ba");
  CHECK(texts(R"("index":0,)", R"("index":1,)") == "ab");
  CHECK(texts("", "") == "ab");
  // An index that is none is not believed, nor are those beside it.
  CHECK(texts(R"("index":0,)", R"("index":0,)") == "ab");
  CHECK(texts(R"("index":1,)", R"("index":2,)") == "ab");
  CHECK(texts(R"("index":1,)", R"("index":-1,)") == "ab");
  CHECK(texts(R"("index":1,)", "") == "ab");
}

TEST_CASE("codec: an error beside choices that are empty is that error", "[llm][codec]") {
  CHECK_THROWS_WITH(codec::decode(R"({"choices":[],"error":{"message":"no model loaded"}})", "s"),
                    ContainsSubstring("no model loaded"));
  CHECK_THROWS_AS(codec::decode(R"({"choices":[],"error":{"message":"x"}})", "s"), felix::api_error);
  CHECK_NOTHROW(codec::decode(R"({"choices":[{"message":{}}],"error":{"message":"x"}})", "s"));
}

TEST_CASE("codec: every class of status has its advice", "[llm][codec]") {
  for (const auto& [status, word] : {std::pair{302, "redirects"},
                                     {400, "did not accept"},
                                     {401, "API key"},
                                     {403, "may not"},
                                     {402, "no money"},
                                     {404, "base_url"},
                                     {413, "did not accept"},
                                     {429, "max_concurrent_requests"},
                                     {500, "its log"},
                                     {501, "documentation"},
                                     {503, "overloaded"}}) {
    CAPTURE(status);
    CHECK_THAT(codec::decode_error(status, "", "s").what(), ContainsSubstring(word));
  }
}

TEST_CASE("codec: models", "[llm][codec]") {
  const auto models = codec::decode_models(R"({"object":"list","data":[{"id":"a","owned_by":"o"},{"id":null}]})", "s");
  REQUIRE(models.size() == 2);
  CHECK(models[0].id == "a");
  CHECK(models[0].owned_by == "o");
  CHECK(models[1].id.empty());
  CHECK_THROWS_AS(codec::decode_models("{}", "s"), felix::error);
}

TEST_CASE("codec: an error has its request id, the wait, and the server's advice", "[llm][codec]") {
  const auto with = [](const sent_headers& sent) { return codec::decode_error(429, "x", "s", sent); };
  CHECK(with({{"x-request-id", "a"}, {"request-id", "c"}}).request_id() == "a");
  CHECK(with({{"x-generation-id", "b"}, {"request-id", "c"}}).request_id() == "b");
  CHECK(with({{"request-id", "c"}}).request_id() == "c");
  CHECK_THAT(with({{"request-id", "c"}}).what(), ContainsSubstring("(request c)"));
  CHECK_THAT(with({}).what(), !ContainsSubstring("(request"));
  CHECK(with({{"x-request-id", "a\x1b[2J"}}).request_id() == "a[2J");
  CHECK(with({{"retry-after", "600"}}).retry_after() == std::chrono::seconds{600});
  CHECK_THAT(with({{"retry-after", "600"}}).what(), ContainsSubstring("wait 600 s, as the server asks"));
  CHECK(with({{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "2s"}}).retry_after() ==
        std::chrono::seconds{2});
  CHECK_FALSE(with({}).retry_after());
  CHECK(with({{"x-should-retry", "false"}}).should_retry() == false);
  CHECK_FALSE(with({}).should_retry());
  const std::chrono::sys_seconds now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 25};
  CHECK(codec::decode_error(503, "", "s", sent_headers{{"retry-after", "Wed, 25 Nov 2026 00:00:05 GMT"}}, {}, now)
            .retry_after() == std::chrono::seconds{5});
}

TEST_CASE("codec: an error inside a stream, in every dialect", "[llm][codec]") {
  const auto first = [](std::string_view json) {
    return codec::decode_stream_error(json, "http://h", codec::stream_position::before_the_first_token);
  };
  const auto later = [](std::string_view json) {
    return codec::decode_stream_error(json, "http://h", codec::stream_position::after_it);
  };
  const auto openai = first(R"({"error":{"message":"The server had an error","type":"server_error","code":null}})");
  CHECK(openai.status() == 200);
  CHECK(openai.kind() == error_kind::server_error);
  CHECK(openai.cost() == felix::request_cost::unknown);
  CHECK_THAT(openai.what(), ContainsSubstring("http://h ended its stream with an error: The server had an error; "));
  const auto llama =
      first(R"({"error":{"code":400,"message":"x","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}})");
  CHECK(llama.status() == 400);
  CHECK(llama.kind() == error_kind::context_overflow);
  CHECK(llama.prompt_tokens() == 9);
  CHECK(llama.cost() == felix::request_cost::none);
  CHECK(first(R"({"code":500,"message":"old","type":"server_error"})").status() == 500);  // error: {json}
  CHECK(first(R"({"object":"error","message":"old vLLM","type":"BadRequestError","code":400})").kind() ==
        error_kind::bad_request);
  CHECK_THAT(first(R"({"error":"Ollama"})").what(), ContainsSubstring(": Ollama; "));
  CHECK_THAT(first(R"({"error":{"message":"LM"},"message":"other"})").what(), ContainsSubstring(": LM; "));
  CHECK(first(R"({"id":"gen","choices":[{"delta":{},"finish_reason":"error"}],"error":{"code":502,"message":"up"}})")
            .status() == 502);
  CHECK(first("not json").kind() == error_kind::server_error);
  CHECK(first("").status() == 200);

  CHECK(later(R"({"error":{"message":"x","type":"server_error"}})").kind() == error_kind::truncated_stream);
  const auto late = later(R"({"error":{"message":"slow down","code":429}})");
  CHECK(late.kind() == error_kind::truncated_stream);
  CHECK(late.cost() == felix::request_cost::unknown);  // what came was paid for
  const auto filtered = later(R"({"error":{"message":"x","code":"content_filter"}})");
  CHECK(filtered.kind() == error_kind::content_filtered);
  CHECK(filtered.cost() == felix::request_cost::unknown);
  CHECK(codec::decode_stream_error(R"({"error":"k"})", "s", codec::stream_position::after_it,
                                   sent_headers{{"x-request-id", "r"}}, "k")
            .request_id() == "r");
  CHECK_THAT(codec::decode_stream_error(R"({"error":"my-key"})", "s", codec::stream_position::after_it,
                                        felix::no_headers{}, "my-key")
                 .what(),
             !ContainsSubstring("my-key"));
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

TEST_CASE("codec: a failure that comes with a 200 is one", "[llm][codec]") {
  CHECK_THROWS_AS(codec::decode(R"({"error":{"message":"no model loaded"}})", "s"), felix::api_error);
  CHECK_THROWS_WITH(codec::decode(R"({"error":"no model loaded"})", "s"), ContainsSubstring("no model loaded"));
}
