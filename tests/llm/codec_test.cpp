// SPDX-License-Identifier: MIT
#include <felix/llm/codec.hpp>

#include <felix/net/sse.hpp>
#include <felix/random.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>

using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using felix::error_kind;
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

namespace {

struct sent_headers {
  std::map<std::string, std::string, std::less<>> lines;
  [[nodiscard]] std::string_view header(std::string_view name) const {
    const auto found = lines.find(name);
    return found == lines.end() ? std::string_view{} : std::string_view{found->second};
  }
};

/// The body, chunks put together, and the headers of a recorded answer.
struct recorded {
  int status = 0;
  sent_headers headers = {};
  std::string body = {};

  explicit recorded(std::string_view bytes) {
    const auto line = [&] {
      const std::size_t end = bytes.find("\r\n");
      const auto got = bytes.substr(0, end);
      bytes.remove_prefix(std::min(bytes.size(), end + 2));
      return got;
    };
    status = std::stoi(std::string{line().substr(9, 3)});
    for (auto next = line(); !next.empty(); next = line()) {
      const std::size_t colon = next.find(':');
      std::string name{next.substr(0, colon)};
      for (char& c : name) c = felix::detail::lower(c);
      headers.lines[name] = next.substr(std::min(colon + 2, next.size()));
    }
    if (headers.header("transfer-encoding") != "chunked") {
      body = bytes;
      return;
    }
    for (auto size = std::stoul(std::string{line()}, nullptr, 16); size > 0;
         size = std::stoul(std::string{line()}, nullptr, 16)) {
      body += bytes.substr(0, size);
      bytes.remove_prefix(size + 2);
    }
  }
  [[nodiscard]] felix::api_error error() const { return codec::decode_error(status, body, "http://h", headers); }
};

}  // namespace

TEST_CASE("codec: every shape of an error, with what each of them holds", "[llm][codec]") {
  const auto shown = [](int status, std::string_view body) { return codec::decode_error(status, body, "http://h"); };
  struct row {
    int status;
    std::string_view body;
    std::string_view words;
    std::string_view type, code, param;
  };
  for (const auto& [status, body, words, type, code, param] :
       {row{400, R"({"error":{"message":"m1","type":"t","param":"p","code":"c"}})", ": m1; ", "t", "c", "p"},
        {400, R"({"error":{"message":"m2","type":null,"param":null,"code":null}})", ": m2; ", "", "", ""},
        {400, R"({"error":{"message":"m3","code":401}})", ": m3; ", "", "401", ""},
        {400, R"({"error":"m4"})", ": m4; ", "", "", ""},
        {400, R"({"object":"error","message":"m5","type":"BadRequestError","param":null,"code":400})", ": m5; ",
         "BadRequestError", "400", ""},
        {400, R"({"message":"m6"})", ": m6; ", "", "", ""},
        {400, R"({"detail":"m7"})", ": m7; ", "", "", ""},
        {400, R"({"detail":{"message":"m8"}})", ": m8; ", "", "", ""},
        {422,
         R"({"detail":[{"loc":["body","messages",0,"role"],"msg":"Field required","type":"missing"},)"
         R"({"loc":["body","n"],"msg":"too big"},{"msg":"3"},{"msg":"4"}]})",
         ": messages.0.role: Field required, n: too big, 3; ", "", "", "messages.0.role"},
        {400, R"({"status":"failure","message":"m9"})", ": m9; ", "", "", ""},
        {400, R"([{"error":{"code":400,"message":"m10","status":"INVALID_ARGUMENT"}}])", ": m10; ", "", "400", ""},
        {400, R"({"error":{},"message":"m11"})", ": m11; ", "", "", ""},
        {400, R"({"error":{"message":""}})", R"(: {"error":{"message":""}}; )", "", "", ""},
        {400, "plain words", ": plain words; ", "", "", ""},
        {400, "<html>\r\n <h1>Bad</h1></html>", ": <html> <h1>Bad</h1></html>; ", "", "", ""},
        {400, R"({"error":)", R"(: {"error":; )", "", "", ""},
        {400, "[]", ": []; ", "", "", ""},
        {400, "null", ": null; ", "", "", ""},
        {400, R"({"error":{"message":{"a":1},"type":["x"],"code":{}}})", "; ", "", "", ""},
        {400, R"({"detail":[]})", "; ", "", "", ""},
        {400, R"({"detail":[1,{"loc":7,"msg":null}]})", "; ", "", "", ""},
        {400, "", ": (no message); ", "", "", ""}}) {
    CAPTURE(body);
    const auto failure = shown(status, body);
    CHECK_THAT(failure.what(), ContainsSubstring(std::string{words}));
    CHECK(failure.type() == type);
    CHECK(failure.provider_code() == code);
    CHECK(failure.param() == param);
    CHECK(failure.kind() == error_kind::bad_request);
  }
}

TEST_CASE("codec: an error has its request id, the wait, and the server's advice", "[llm][codec]") {
  const auto with = [](std::map<std::string, std::string, std::less<>> lines) {
    return codec::decode_error(429, "x", "s", sent_headers{std::move(lines)});
  };
  CHECK(with({{"x-request-id", "a"}, {"request-id", "c"}}).request_id() == "a");
  CHECK(with({{"x-generation-id", "b"}, {"request-id", "c"}}).request_id() == "b");
  CHECK(with({{"request-id", "c"}}).request_id() == "c");
  CHECK_THAT(with({{"request-id", "c"}}).what(), ContainsSubstring("(request c)"));
  CHECK_THAT(with({}).what(), !ContainsSubstring("(request"));
  CHECK(with({{"x-request-id", "a\x1b[2J"}}).request_id() == "a[2J");
  CHECK(with({{"retry-after", "600"}}).retry_after() == std::chrono::seconds{600});
  CHECK(with({{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "2s"}}).retry_after() ==
        std::chrono::seconds{2});
  CHECK_FALSE(with({}).retry_after());
  CHECK(with({{"x-should-retry", "false"}}).should_retry() == false);
  CHECK_FALSE(with({}).should_retry());
  const std::chrono::sys_seconds now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 25};
  CHECK(codec::decode_error(503, "", "s", sent_headers{{{"retry-after", "Wed, 25 Nov 2026 00:00:05 GMT"}}}, {}, now)
            .retry_after() == std::chrono::seconds{5});
}

TEST_CASE("codec: an error shows no key, not even one that JSON hid", "[llm][codec]") {
  const std::string key = "very+secret";
  for (
      const std::string& body :
      {R"({"error":{"message":"wrong: very+secret!","type":"very+secret","param":"very+secret","code":"very+secret"}})"s,
       R"({"error":{"message":"\u0076ery+secret","type":"\u0076ery+secret","code":"\u0076ery+secret"}})"s,
       R"({"detail":[{"loc":["very+secret"],"msg":"very+secret"}]})"s, "<html>very+secret</html>"s,
       std::string(505, 'x') + key, std::string(1'020, 'x') + key, std::string(195, 'x') + key}) {
    const auto failure = codec::decode_error(401, body, "s", sent_headers{{{"x-request-id", "id-very+secret"}}}, key);
    CAPTURE(body);
    for (const std::string& shown : {std::string{failure.what()}, failure.body_excerpt(), failure.type(),
                                     failure.provider_code(), failure.param(), failure.request_id()})
      CHECK_THAT(shown, !ContainsSubstring("very+s") && !ContainsSubstring("ery+secret"));
  }
  const auto shown = [](std::string_view body) { return std::string{codec::decode_error(401, body, "s").what()}; };
  CHECK_THAT(shown("Incorrect API key provided: sk-proj-abc_123DEF***x."),
             ContainsSubstring("provided: [API key].") && !ContainsSubstring("abc"));
  CHECK_THAT(shown("sk-learn and task-12345678910 are none"), ContainsSubstring("sk-learn and task-12345678910 are"));
}

TEST_CASE("codec: an excerpt is short, on one line, and safe to show", "[llm][codec]") {
  const auto failure = codec::decode_error(502, "a\r\n\tb\x1b[31m\x07 " + std::string(5'000, 'x'), "s");
  CHECK(failure.body_excerpt().size() == 512);
  CHECK(failure.body_excerpt().starts_with("a b[31m x"));
  CHECK(codec::decode_error(502, std::string(100'000, '['), "s").kind() == error_kind::server_error);
  const std::string huge = R"({"error":{"message":")" + std::string(70'000, 'y') + R"("}})";  // more is not read
  CHECK(codec::decode_error(502, huge, "s").body_excerpt().starts_with(R"({"error")"));
}

TEST_CASE("codec: a prompt that is too long is told in numbers", "[llm][codec]") {
  const auto llama = codec::decode_error(
      400,
      R"({"error":{"code":400,"message":"request (1403 tokens) exceeds it","type":"exceed_context_size_error","n_prompt_tokens":1403,"n_ctx":512}})",
      "s");
  CHECK(llama.kind() == error_kind::context_overflow);
  CHECK(llama.prompt_tokens() == 1403);
  CHECK(llama.context_tokens() == 512);
  CHECK_THAT(llama.what(), ContainsSubstring("the prompt has 1403 tokens and the context holds 512: shorten it"));
  const auto openai = codec::decode_error(
      400,
      R"({"error":{"message":"This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.","code":"context_length_exceeded"}})",
      "s");
  CHECK(openai.prompt_tokens() == 5000);
  CHECK(openai.context_tokens() == 4096);
  CHECK_FALSE(codec::decode_error(500, R"({"error":{"message":"request (7 tokens"}})", "s").prompt_tokens());
}

TEST_CASE("codec: whatever a server sends, an error comes of it", "[llm][codec]") {
  const std::string_view pieces[] = {"{",
                                     "}",
                                     "[",
                                     "]",
                                     ":",
                                     ",",
                                     "null",
                                     "17",
                                     "-1e400",
                                     "\"error\":",
                                     "\"message\":",
                                     "\"detail\":",
                                     "\"loc\":",
                                     "\"x\"",
                                     "\"\\u0000\"",
                                     "\"type\":",
                                     "\"code\":",
                                     "<",
                                     "\xff",
                                     "\xe2\x82",
                                     "{\"error\":{",
                                     "{\"detail\":[{",
                                     "sk-",
                                     "n_ctx",
                                     "503"};
  felix::seeded_random random{3};
  for (int round = 0; round < 20'000; ++round) {
    std::string body;
    for (auto parts = random.next() % 12; parts > 0; --parts) body += pieces[random.next() % std::size(pieces)];
    const auto failure = codec::decode_error(400 + static_cast<int>(random.next() % 200), body, "s", {}, "x");
    const auto event = codec::decode_stream_error(body, "s", codec::stream_position::after_it);
    if (failure.kind() == error_kind::other || failure.body_excerpt().size() > 512 ||
        event.cost() != felix::request_cost::unknown)
      FAIL(body);
  }
}

TEST_CASE("codec: the kind reads the whole page of a proxy", "[llm][codec]") {
  CHECK(codec::decode_error(
            503, "<html>" + std::string(300, ' ') + "<p>" + std::string(250, 'x') + " loading</p></html>", "s")
            .kind() == error_kind::model_loading);
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
                                   sent_headers{{{"x-request-id", "r"}}}, "k")
            .request_id() == "r");
  CHECK_THAT(codec::decode_stream_error(R"({"error":"my-key"})", "s", codec::stream_position::after_it,
                                        felix::no_headers{}, "my-key")
                 .what(),
             !ContainsSubstring("my-key"));
}

TEST_CASE("codec: errors of real servers, byte for byte", "[llm][codec]") {
  const recorded loading{
      "HTTP/1.1 503 Service Unavailable\r\nServer: llama.cpp\r\nAccess-Control-Allow-Origin: \r\n"
      "Content-Type: application/json; charset=utf-8\r\nContent-Length: 75\r\nConnection: close\r\n\r\n"
      R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})"};
  CHECK(loading.error().kind() == error_kind::model_loading);
  const recorded bad_json{
      "HTTP/1.1 500 Internal Server Error\r\nServer: llama.cpp\r\nContent-Length: 224\r\n\r\n"
      R"({"error":{"code":500,"message":"[json.exception.parse_error.101] parse error at line 1, column 1: attempting to parse an empty input; check that your input string or stream contains the expected JSON","type":"server_error"}})"};
  CHECK(bad_json.error().kind() == error_kind::bad_request);
  CHECK(bad_json.error().cost() == felix::request_cost::none);
  const recorded limited{
      "HTTP/1.1 429 Too Many Requests\r\nX-Request-Id: req-FVe4wLD5ZCRJFEE4\r\nRetry-After: 1\r\n"
      "x-ratelimit-limit-tokens: 150000\r\nx-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\n"
      "Date: Tue, 24 Nov 2026 12:28:59 GMT\r\nTransfer-Encoding: chunked\r\n\r\n7f\r\n"
      R"({"error":{"message":"Rate limit reached, try again in 1s","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}})"
      "\r\n0\r\n\r\n"};
  CHECK(limited.error().kind() == error_kind::rate_limited);
  CHECK(limited.error().retry_after() == std::chrono::seconds{1});
  CHECK(limited.error().request_id() == "req-FVe4wLD5ZCRJFEE4");
  const recorded haproxy{
      "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\ncontent-type: text/html\r\n\r\n"
      "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>"};
  CHECK(haproxy.error().kind() == error_kind::overloaded);
  CHECK_THAT(haproxy.error().what(), ContainsSubstring("No server is available"));
}

TEST_CASE("codec: the kind of every error that was recorded", "[llm][codec][samples]") {
  struct row {
    const char* name;
    error_kind kind;
  };
  for (const auto& [name, kind] : {row{"llamacpp-2026/err-401-no-key.http", error_kind::authentication},
                                   {"llamacpp-2026/err-401-wrong-key.http", error_kind::authentication},
                                   {"llamacpp-2026/err-404-path.http", error_kind::not_found},
                                   {"llamacpp-2026/err-503-loading.http", error_kind::model_loading},
                                   {"llamacpp-2026/err-503-no-slot.http", error_kind::overloaded},
                                   {"llamacpp-2026/err-bad-json.http", error_kind::bad_request},
                                   {"llamacpp-2026/err-bad-utf8.http", error_kind::bad_request},
                                   {"llamacpp-2026/err-context-overflow.http", error_kind::context_overflow},
                                   {"llamacpp-2026/err-context-overflow-stream.http", error_kind::context_overflow},
                                   {"llamacpp-2026/err-embeddings-off.http", error_kind::not_found},
                                   {"llamacpp-2026/err-empty-body.http", error_kind::bad_request},
                                   {"llamacpp-2026/err-get-on-post.http", error_kind::not_found},
                                   {"llamacpp-2026/err-max-tokens-type.http", error_kind::bad_request},
                                   {"llamacpp-2026/err-messages-type.http", error_kind::bad_request},
                                   {"llamacpp-2026/err-no-messages.http", error_kind::bad_request},
                                   {"aimock/err-401.http", error_kind::authentication},
                                   {"aimock/err-404-path.http", error_kind::not_found},
                                   {"aimock/err-bad-json.http", error_kind::bad_request},
                                   {"aimock/err-no-messages.http", error_kind::bad_request},
                                   {"aimock/fail-400.http", error_kind::context_overflow},
                                   {"aimock/fail-429.http", error_kind::rate_limited},
                                   {"aimock/fail-429-stream.http", error_kind::rate_limited},
                                   {"aimock/fail-503.http", error_kind::overloaded},
                                   {"aimock/chaos-drop.http", error_kind::server_error},
                                   {"aimock/chaos-ratelimit.http", error_kind::rate_limited},
                                   {"nginx/limited-2.http", error_kind::rate_limited},
                                   {"haproxy/queue-timeout-503.http", error_kind::overloaded}}) {
    const auto bytes = felix::test::sample(name);
    if (!bytes) {
      WARN("skipped: FELIX_TEST_SAMPLES does not name the folder of recorded answers");
      return;
    }
    CAPTURE(name);
    const recorded answer{*bytes};
    const auto failure = answer.error();
    CHECK(to_string(failure.kind()) == to_string(kind));
    CHECK(failure.request_id() == answer.headers.header("x-request-id"));
    if (std::string_view{name}.starts_with("aimock") && answer.status == 429)
      CHECK(failure.retry_after() == std::chrono::seconds{1});
    if (std::string_view{name}.find("context-overflow") != std::string_view::npos) {
      CHECK(failure.prompt_tokens() == 1403);
      CHECK(failure.context_tokens() == 512);
    }
    if (std::string_view{name} == "aimock/fail-400.http") CHECK(failure.context_tokens() == 512);
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

TEST_CASE("codec: a failure that comes with a 200 is one", "[llm][codec]") {
  CHECK_THROWS_AS(codec::decode(R"({"error":{"message":"no model loaded"}})", "s"), felix::api_error);
  CHECK_THROWS_WITH(codec::decode(R"({"error":"no model loaded"})", "s"), ContainsSubstring("no model loaded"));
}
