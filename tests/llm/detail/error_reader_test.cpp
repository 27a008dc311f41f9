// SPDX-License-Identifier: MIT
// error_reader.hpp, mostly through codec::decode_error, which is what uses it.
#include <felix/llm/detail/error_reader.hpp>

#include <felix/llm/codec.hpp>
#include <felix/random.hpp>
#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/recorded_answer.hpp"
#include "support/sent_headers.hpp"

#include <chrono>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using felix::error_kind;
using felix::codec::detail::error_reader;
using felix::test::sent_headers;
namespace codec = felix::codec;

namespace {

felix::api_error error_of(const felix::test::recorded_answer& answer) {
  return codec::decode_error(answer.status, answer.body, "http://h", answer.headers);
}

}  // namespace

TEST_CASE("error_reader: what cannot be read is nothing, and no failure", "[llm][error_reader]") {
  for (const char* body : {"", "{", "null", "7", "\"text\"", "[]", "[1]", "[[]]", "{}", R"({"error":null})",
                           R"({"error":7})", R"({"error":[]})", R"({"error":{}})", R"({"detail":7})",
                           R"({"detail":[7,[],{},{"loc":[[],{}]}]})", R"({"message":["x"]})"}) {
    CAPTURE(body);
    error_reader reader{"key"};
    const auto sent = reader.read(body);
    CHECK(sent.type.empty());
    CHECK(sent.code.empty());
    CHECK(sent.param.empty());
    CHECK_FALSE(sent.prompt_tokens);
    CHECK_FALSE(sent.context_tokens);
    CHECK_FALSE(reader.has_hidden());
    CHECK_THAT(sent.message, !Catch::Matchers::Matches(".*[a-z].*"));
  }
}

TEST_CASE("error_reader: it says whether it has hidden a key", "[llm][error_reader]") {
  error_reader reader{"key"};
  CHECK(reader.read(R"({"error":{"message":"no \u006bey"}})").message == "no [API key]");
  CHECK(reader.has_hidden());
  error_reader other{"key"};
  CHECK(other.read(R"({"error":{"message":"no","type":"t"}})").type == "t");
  CHECK_FALSE(other.has_hidden());
  error_reader in_type{"key"};
  CHECK(in_type.read(R"({"error":{"type":"a-key"}})").type == "a-[API key]");
  CHECK(in_type.has_hidden());
}

TEST_CASE("error_reader: of several errors the first is read", "[llm][error_reader]") {
  error_reader reader{""};
  CHECK(reader.read(R"([{"error":{"message":"one","code":1}},{"error":{"message":"two"}}])").message == "one");
  CHECK(reader.read(R"([{"error":{"message":"one","code":1}},{"error":{"message":"two"}}])").code == "1");
  CHECK(reader.read(R"([{"message":"one"}])").message == "one");
  CHECK(reader.read(R"({"error":{"message":"inner"},"message":"outer","detail":"more"})").message == "inner");
  CHECK(reader.read(R"({"error":{"message":null},"message":"outer","detail":"more"})").message == "outer");
  CHECK(reader.read(R"({"error":{"detail":"inner"},"detail":"outer"})").message == "inner");
  CHECK(reader.read(R"({"error":"text","type":"t","code":"c","param":"p"})").type == "t");
  CHECK(reader.read(R"({"error":"text","type":"t","code":"c","param":"p"})").param == "p");
}

TEST_CASE("error_reader: what was wrong with a field, as FastAPI says it", "[llm][error_reader]") {
  error_reader reader{"key"};
  const auto sent =
      reader.read(R"({"detail":[{"loc":["body","a",-1,"key"],"msg":"first"},{"loc":["query"],"msg":"second"},)"
                  R"({"loc":["body"],"msg":"third"},{"loc":["x"],"msg":"too many"}]})");
  CHECK(sent.message == "a.-1.[API key]: first, query: second, third");
  CHECK(sent.param == "a.-1.[API key]");
  CHECK(reader.has_hidden());
  const auto named = reader.read(R"({"detail":[{"loc":["body"],"msg":"m"}],"param":"p"})");
  CHECK(named.param == "p");
  const auto huge = reader.read(R"({"detail":[{"msg":")" + std::string(2'000, 'x') + R"("},{"msg":")" +
                                std::string(2'000, 'y') + R"("}]})");
  CHECK(huge.message.size() == 512);
}

TEST_CASE("error_reader: codes that are numbers", "[llm][error_reader]") {
  const auto code = [](const std::string& json) {
    return error_reader{""}.read(R"({"error":{"message":"m","code":)" + json + "}}").code;
  };
  CHECK(code("500") == "500");
  CHECK(code("0") == "0");
  CHECK(code("5e2") == "500");
  CHECK(code("\"500\"") == "500");
  CHECK(code("-7").empty());
  CHECK(code("null").empty());
  CHECK(code("[500]").empty());
}

TEST_CASE("error_reader: the server's own name for the request", "[llm][error_reader]") {
  const auto id = [](std::string_view name, std::string value) {
    return codec::detail::request_id_of(sent_headers{{std::string{name}, std::move(value)}}, "key");
  };
  for (const char* name : {"x-request-id", "x-generation-id", "request-id"}) CHECK(id(name, "r-1") == "r-1");
  CHECK(id("x-id", "r-1").empty());
  CHECK(id("x-request-id", "r-key\x1b") == "r-[API key]");
  CHECK(id("x-request-id", std::string(2'000, 'x')).size() == 512);
}

TEST_CASE("error_reader: of a long body 64 KiB are read", "[llm][error_reader]") {
  const auto message_of = [](std::size_t padding) {
    felix::api_error::details details;
    const std::string body = R"({"error":{"type":"t","padding":")" + std::string(padding, 'x') + R"("}})";
    return codec::detail::sent_by(body, "", details).type;
  };
  CHECK(message_of(65'000) == "t");
  CHECK(message_of(65'536).empty());
}

TEST_CASE("error_reader: errors in every shape that servers use", "[llm][error_reader]") {
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

TEST_CASE("error_reader: every shape of an error, with what each of them holds", "[llm][error_reader]") {
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

TEST_CASE("error_reader: an error shows no key, not even one that JSON hid", "[llm][error_reader]") {
  const std::string key = "very+secret";
  for (
      const std::string& body :
      {R"({"error":{"message":"wrong: very+secret!","type":"very+secret","param":"very+secret","code":"very+secret"}})"s,
       R"({"error":{"message":"\u0076ery+secret","type":"\u0076ery+secret","code":"\u0076ery+secret"}})"s,
       R"({"detail":[{"loc":["very+secret"],"msg":"very+secret"}]})"s, "<html>very+secret</html>"s,
       std::string(505, 'x') + key, std::string(1'020, 'x') + key, std::string(195, 'x') + key}) {
    const auto failure = codec::decode_error(401, body, "s", sent_headers{{"x-request-id", "id-very+secret"}}, key);
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

TEST_CASE("error_reader: a key with a slash is hidden where JSON escaped it, too", "[llm][error_reader]") {
  const auto failure = codec::decode_error(401, R"({"error":{"message":"wrong: abc\/def123456"},"x":"abc\/def123456"})",
                                           "s", {}, "abc/def123456");
  for (const std::string& shown : {std::string{failure.what()}, failure.body_excerpt()})
    CHECK_THAT(shown, !ContainsSubstring("abc") && !ContainsSubstring("def123456"));
  // The key may be a word of JSON itself.
  const auto odd = codec::decode_error(400, R"({"error":{"message":"a\"b"}})", "s", {}, "\"");
  CHECK_THAT(odd.what(), ContainsSubstring("a[API key]b"));
}

TEST_CASE("error_reader: of an error in an answer only what it says is shown", "[llm][error_reader]") {
  const auto event = [](std::string_view error) {
    return codec::decode_stream_error(
        R"({"choices":[{"delta":{"content":"secret"},"finish_reason":"error"}])" + std::string{error} + "}", "s",
        codec::stream_position::after_it);
  };
  CHECK(event(R"(,"error":{"message":"boom"})").body_excerpt() == "boom");
  CHECK_THAT(event(R"(,"error":{"message":"boom"})").what(), ContainsSubstring("boom") && !ContainsSubstring("secret"));
  CHECK(event("").body_excerpt().empty());
  CHECK_THAT(event("").what(), ContainsSubstring("(no message)") && !ContainsSubstring("secret"));
}

TEST_CASE("error_reader: an error that is not quite JSON is read", "[llm][error_reader]") {
  const auto body = GENERATE(
      as<std::string>{}, "{\"error\":{\"message\":\"too long \xF0\x9F\",\"code\":\"context_length_exceeded\"}}",
      "\xEF\xBB\xBF{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}",
      R"({"error":{"message":"too long \ud83d","code":"context_length_exceeded"}})",
      R"({"error":{"message":"too long","code":"context_length_exceeded","n":123456789012345678901}})");
  CAPTURE(body);
  const auto failure = codec::decode_error(400, body, "s");
  CHECK(failure.kind() == error_kind::context_overflow);
  CHECK(failure.provider_code() == "context_length_exceeded");
  CHECK_THAT(failure.what(), ContainsSubstring(": too long"));
}

TEST_CASE("error_reader: an excerpt is short, on one line, and safe to show", "[llm][error_reader]") {
  const auto failure = codec::decode_error(502, "a\r\n\tb\x1b[31m\x07 " + std::string(5'000, 'x'), "s");
  CHECK(failure.body_excerpt().size() == 512);
  CHECK(failure.body_excerpt().starts_with("a b[31m x"));
  CHECK(codec::decode_error(502, std::string(100'000, '['), "s").kind() == error_kind::server_error);
  const std::string huge = R"({"error":{"message":")" + std::string(70'000, 'y') + R"("}})";  // more is not read
  CHECK(codec::decode_error(502, huge, "s").body_excerpt().starts_with(R"({"error")"));
}

TEST_CASE("error_reader: a prompt that is too long is told in numbers", "[llm][error_reader]") {
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

TEST_CASE("error_reader: whatever a server sends, an error comes of it", "[llm][error_reader]") {
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

TEST_CASE("error_reader: the kind reads the whole page of a proxy", "[llm][error_reader]") {
  CHECK(codec::decode_error(
            503, "<html>" + std::string(300, ' ') + "<p>" + std::string(250, 'x') + " loading</p></html>", "s")
            .kind() == error_kind::model_loading);
}

TEST_CASE("error_reader: errors of real servers, byte for byte", "[llm][error_reader]") {
  const felix::test::recorded_answer loading{
      "HTTP/1.1 503 Service Unavailable\r\nServer: llama.cpp\r\nAccess-Control-Allow-Origin: \r\n"
      "Content-Type: application/json; charset=utf-8\r\nContent-Length: 75\r\nConnection: close\r\n\r\n"
      R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})"};
  CHECK(error_of(loading).kind() == error_kind::model_loading);
  const felix::test::recorded_answer bad_json{
      "HTTP/1.1 500 Internal Server Error\r\nServer: llama.cpp\r\nContent-Length: 224\r\n\r\n"
      R"({"error":{"code":500,"message":"[json.exception.parse_error.101] parse error at line 1, column 1: attempting to parse an empty input; check that your input string or stream contains the expected JSON","type":"server_error"}})"};
  CHECK(error_of(bad_json).kind() == error_kind::bad_request);
  CHECK(error_of(bad_json).cost() == felix::request_cost::none);
  const felix::test::recorded_answer limited{
      "HTTP/1.1 429 Too Many Requests\r\nX-Request-Id: req-FVe4wLD5ZCRJFEE4\r\nRetry-After: 1\r\n"
      "x-ratelimit-limit-tokens: 150000\r\nx-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\n"
      "Date: Tue, 24 Nov 2026 12:28:59 GMT\r\nTransfer-Encoding: chunked\r\n\r\n7f\r\n"
      R"({"error":{"message":"Rate limit reached, try again in 1s","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}})"
      "\r\n0\r\n\r\n"};
  CHECK(error_of(limited).kind() == error_kind::rate_limited);
  CHECK(error_of(limited).retry_after() == std::chrono::seconds{1});
  CHECK(error_of(limited).request_id() == "req-FVe4wLD5ZCRJFEE4");
  const felix::test::recorded_answer haproxy{
      "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\ncontent-type: text/html\r\n\r\n"
      "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>"};
  CHECK(error_of(haproxy).kind() == error_kind::overloaded);
  CHECK_THAT(error_of(haproxy).what(), ContainsSubstring("No server is available"));
}

TEST_CASE("error_reader: the kind of every error that was recorded", "[llm][error_reader][samples]") {
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
    const felix::test::recorded_answer answer{*bytes};
    const auto failure = error_of(answer);
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
