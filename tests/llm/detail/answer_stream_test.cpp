// SPDX-License-Identifier: MIT
#include <felix/llm/detail/answer_stream.hpp>

#include "support/catch.hpp"
#include "support/fault_server.hpp"
#include "support/raw_peer.hpp"
#include "support/recorded_answer.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::error_kind;
using felix::test::drive;
using felix::test::raw_peer;

namespace {

constexpr std::string_view chunked_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view unframed_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

std::string content(std::string_view text, std::string_view more = "") {
  return fmt::format("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}{}}}]}}\n\n", text, more);
}
std::string calls(std::string_view pieces) {
  return fmt::format("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":{}}}}}]}}\n\n", pieces);
}
constexpr std::string_view role =
    "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n";
constexpr std::string_view stop = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
constexpr std::string_view usage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n";
constexpr std::string_view done = "data: [DONE]\n\n";

std::string whole_answer() {
  return fmt::format("{}{}: a comment\r\n\r\n{}{}{}{}", role, content("Bees "), content("hum \xC3\xBC"), stop, usage,
                     done);
}

felix::chat_request question() { return felix::chat_request{}.user("Why?"); }

std::string chunk(std::string_view bytes) { return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes); }
std::string of_length(std::string_view body, int status = 200, std::string_view type = "application/json") {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}", status, type, body.size(),
                     body);
}

/// What the reader of a stream has seen.
struct seen {
  std::string log;  // the deltas, each with a bar behind it; then "end", or the kind of the error
  std::string error;
  std::string so_far;
  bool interrupted = false;
  felix::request_cost cost = felix::request_cost::none;
  felix::errc code = {};
  bool over = false;
};

felix::task<void> read(felix::chat_stream& stream, seen& got) {
  try {
    while (const auto delta = co_await stream.next())
      got.log += (delta->choice() == 0 ? "" : std::to_string(delta->choice()) + ":") + delta->text() +
                 delta->reasoning() + "|";
    got.log += "end";
  } catch (const felix::error& failure) {
    got.error = failure.what();
    got.cost = failure.cost();
    got.code = static_cast<felix::errc>(failure.code().value());
    if (const auto* broken = dynamic_cast<const felix::stream_interrupted*>(&failure)) {
      got.interrupted = true;
      got.so_far = broken->so_far().text();
    }
    got.log += to_string(failure.kind());
  }
  got.over = true;
}

/// A loop, a server that is a socket in the hands of the test, and one stream after the other.
struct scene {
  explicit scene(std::string key = "", felix::http_timeouts limits = {})
      : server{loop,
               {.base_url = peer.url() + "/v1",
                .api_key = key.empty() ? felix::secret{} : felix::secret{std::move(key)},
                .timeouts = limits}} {}
  ~scene() { loop.shut_down(); }

  felix::chat_stream open() {
    auto whole = std::make_shared<felix::chat_stream::answer>();
    return {felix::detail::answer_stream::deltas(server, question().n(choices), whole), whole};
  }
  /// What is said of a prompt that nobody has counted: four bytes of the request are a token.
  felix::token_count prompt_tokens() {
    const auto bytes = server.post(question(), felix::detail::openai_server::answer_form::stream).body()->size();
    return static_cast<felix::token_count>((bytes + 3) / 4);
  }
  void begin() {
    got = {};
    stream.emplace(open());
    loop.spawn(read(*stream, got), [](felix::result<void>) {}, asked_to_stop.get_token());
    REQUIRE(drive(loop, [&] { return peer.was_asked(); }));
  }
  bool logs(std::string_view log) {
    const bool right = drive(loop, [&] { return got.log == log || got.over; }) && got.log == log;
    if (!right) UNSCOPED_INFO("the log is " + got.log + ", the error " + got.error);
    return right;
  }
  /// What the client can read now, it has read then.
  void settle() {
    for (int i = 0; i < 3; ++i) loop.poll();
  }
  /// The whole exchange; `bytes` are all that is sent.
  const seen& answered(std::string_view bytes) {
    begin();
    peer.send(bytes);
    peer.close();
    REQUIRE(drive(loop, [&] { return got.over; }));
    return got;
  }
  const seen& streamed(std::string_view body) { return answered(std::string{unframed_head} + std::string{body}); }
  [[nodiscard]] const felix::chat_response& response() const { return stream->response(); }

  raw_peer peer;
  felix::event_loop loop;
  felix::detail::openai_server server;
  felix::stop_source asked_to_stop;
  int choices = 1;
  seen got;
  std::optional<felix::chat_stream> stream;
};

std::size_t events_in(std::string_view bytes, std::string_view which) {
  std::size_t count = 0;
  for (std::size_t at = bytes.find(which); at != std::string_view::npos; at = bytes.find(which, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("answer_stream: the same deltas, wherever the bytes are cut in two", "[llm][answer_stream]") {
  scene on;
  const std::string bytes = std::string{chunked_head} + chunk(whole_answer()) + "0\r\n\r\n";
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    CAPTURE(cut);
    on.begin();
    on.peer.send(std::string_view{bytes}.substr(0, cut));
    on.settle();
    on.peer.send(std::string_view{bytes}.substr(cut));
    REQUIRE(on.logs("Bees |hum \xC3\xBC|end"));
    REQUIRE(on.response().text() == "Bees hum \xC3\xBC");
    REQUIRE(on.response().usage() == felix::token_usage{.prompt_tokens = 7, .completion_tokens = 2, .total_tokens = 9});
    REQUIRE(on.response().finish_reason() == felix::finish_reason::stop);
    REQUIRE(drive(on.loop, [&] { return on.loop.reactor().running() == 0; }));
  }
  CHECK(on.peer.accepted() == 1);
}

TEST_CASE("answer_stream: byte after byte", "[llm][answer_stream]") {
  scene on;
  on.begin();
  for (const char byte : std::string{unframed_head} + whole_answer()) {
    on.peer.send({&byte, 1});
    on.settle();
  }
  CHECK(on.logs("Bees |hum \xC3\xBC|end"));
}

TEST_CASE("answer_stream: whatever of it comes before the end, it is what came", "[llm][answer_stream]") {
  scene on;
  const std::string body = whole_answer();
  const std::size_t first = body.find("Bees"), second = body.find("hum");
  const std::size_t after_first = body.find("\n\n", first) + 2, after_second = body.find("\n\n", second) + 2;
  const std::size_t after_stop = body.find("\n\n", body.find("\"stop\"")) + 2;
  const std::size_t after_usage = body.find("\n\n", body.find("total_tokens")) + 2;
  for (std::size_t size = 0; size <= body.size(); ++size) {
    CAPTURE(size);
    const seen& got = on.streamed(std::string_view{body}.substr(0, size));
    const std::string came = size >= after_second ? "Bees |hum \xC3\xBC|" : size >= after_first ? "Bees |" : "";
    REQUIRE(got.log == came + (size >= after_stop ? "end" : "truncated_stream"));
    REQUIRE(got.interrupted == (size >= after_first && size < after_stop));
    REQUIRE(on.response().usage().estimated == (size < after_usage));
    REQUIRE(on.response().finish_reason() ==
            (size >= after_stop ? felix::finish_reason::stop : felix::finish_reason::other));
    if (size >= after_stop) continue;
    REQUIRE(got.cost == felix::request_cost::unknown);
    REQUIRE(got.so_far == (size >= after_second ? "Bees hum \xC3\xBC" : size >= after_first ? "Bees " : ""));
    REQUIRE(on.response().usage().prompt_tokens == on.prompt_tokens());
    REQUIRE(on.response().usage().completion_tokens == (size >= after_second ? 3 : size >= after_first ? 2 : 0));
  }
}

TEST_CASE("answer_stream: a header that ends too early is an error, and nothing came", "[llm][answer_stream]") {
  scene on;
  for (std::size_t size = 0; size < unframed_head.size(); ++size) {
    CAPTURE(size);
    const seen& got = on.answered(unframed_head.substr(0, size));
    REQUIRE_FALSE(got.log.ends_with("end"));
    REQUIRE_FALSE(got.interrupted);
    REQUIRE(on.response().text().empty());
    REQUIRE(on.response().usage().estimated);
  }
}

TEST_CASE("answer_stream: a framed stream that breaks off in a chunk is cut short", "[llm][answer_stream]") {
  scene on;
  const bool reset = GENERATE(false, true);
  on.begin();
  on.peer.send(std::string{chunked_head} + chunk(content("one")) + "400\r\ndata: {\"choi");
  REQUIRE(drive(on.loop, [&] { return on.got.log == "one|"; }));
  reset ? on.peer.reset() : on.peer.close();
  CHECK(on.logs("one|truncated_stream"));
  CHECK(on.got.so_far == "one");
  CHECK(on.got.code == felix::errc::transport);
}

TEST_CASE("answer_stream: [DONE] is known by its begin, and nothing after it is read", "[llm][answer_stream]") {
  scene on;
  const auto mark = GENERATE(as<std::string>{}, "[DONE]", "[DONE] ", "[DONE]]", "[DONE]{\"x\":1}");
  const auto after = GENERATE(as<std::string>{}, "", "data: {\"error\":{\"message\":\"late\"}}\n\n",
                              "event: error\ndata: {}\n\n", "data: no JSON\n\n", "data: [DONE]\n\n");
  CAPTURE(mark, after);
  CHECK(on.streamed(content("one") + "data: " + mark + "\n\n" + after + content("two")).log == "one|end");
  CHECK(on.response().text() == "one");
  CHECK(on.response().finish_reason() == felix::finish_reason::other);  // none was said
  CHECK(on.streamed(content("one") + "data:[DONE]").log == "one|end");  // the blank line is missing
}

TEST_CASE("answer_stream: [DONE] ends it, whatever the server does then, and its connection is used again",
          "[llm][answer_stream]") {
  scene on;
  on.begin();
  on.peer.send(std::string{chunked_head} + chunk(whole_answer()));
  CHECK(on.logs("Bees |hum \xC3\xBC|end"));  // the last chunk has not come
  CHECK(on.response().timing().total >= on.response().timing().time_to_first_token);
  on.peer.send("0\r\n\r\n");
  REQUIRE(drive(on.loop, [&] { return on.loop.reactor().running() == 0; }));
  on.begin();
  on.peer.send(std::string{chunked_head} + chunk(whole_answer()) + "0\r\n\r\n");
  CHECK(on.logs("Bees |hum \xC3\xBC|end"));
  CHECK(on.peer.accepted() == 1);
}

TEST_CASE("answer_stream: a whole answer behind a byte order mark is read", "[llm][answer_stream]") {
  scene on;
  CHECK(on.answered(of_length("\xEF\xBB\xBF{\"choices\":[{\"message\":{\"content\":\"all\"}}]}")).log == "all|end");
  CHECK(on.streamed("\xEF\xBB\xBF" + whole_answer()).log == "Bees |hum \xC3\xBC|end");
}

TEST_CASE("answer_stream: each choice has its end, and so has the stream, however the connection ends",
          "[llm][answer_stream]") {
  scene on{"", {.between_tokens = 80ms, .total = 10s}};
  const auto ending = GENERATE(as<std::string>{}, "reset", "close", "hang");
  const bool counted = GENERATE(true, false);
  CAPTURE(ending, counted);
  on.choices = GENERATE(1, 2);
  const auto end = [&](std::string_view log) {
    if (ending == "reset") on.peer.reset();
    if (ending == "close") on.peer.close();
    return on.logs(log);
  };
  const std::string second = "data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n";
  on.begin();
  on.peer.send(std::string{chunked_head} + chunk(content("all")) + chunk(stop) +
               chunk(on.choices == 2 ? second : ": none\n\n") + chunk(counted ? usage : ": none\n\n"));
  REQUIRE(drive(on.loop, [&] { return on.got.log == "all|"; }));
  on.settle();
  CHECK(end("all|end"));
  CHECK(on.response().finish_reason() == felix::finish_reason::stop);
  CHECK(on.response().usage().estimated == !counted);
}

TEST_CASE("answer_stream: a choice that was asked for and has not begun is missing", "[llm][answer_stream]") {
  scene on;
  on.choices = 2;
  CHECK(on.streamed(content("one") + std::string{stop}).log == "one|truncated_stream");
  CHECK(on.streamed(content("one") + std::string{stop} + std::string{done}).log == "one|end");
}

TEST_CASE("answer_stream: a stop is one after the last finish_reason too", "[llm][answer_stream]") {
  scene on;
  on.begin();
  on.peer.send(std::string{chunked_head} + chunk(content("all")) + chunk(stop));
  REQUIRE(drive(on.loop, [&] { return on.got.log == "all|"; }));
  on.settle();
  on.asked_to_stop.request_stop();
  CHECK(on.logs("all|cancelled"));
}

TEST_CASE("answer_stream: an error before the first content is one, later it interrupts", "[llm][answer_stream]") {
  scene on;
  const auto event =
      GENERATE(as<std::string>{}, R"(data: {"error":{"message":"boom","type":"server_error"}})",
               "event: error\ndata: {\"message\":\"boom\"}", R"(error: {"message":"boom"})", R"(error: "boom")",
               R"(data: {"error":"boom"})", R"(data: {"object":"error","message":"boom"})",
               R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}],"error":"boom"})");
  const auto end = GENERATE(as<std::string>{}, "", "data: [DONE]\n\n");
  CAPTURE(event, end);
  CHECK(on.streamed(std::string{role} + event + "\n\n" + end).log == "server_error");
  CHECK_FALSE(on.got.interrupted);
  CHECK(on.got.code == felix::errc::bad_status);
  CHECK_THAT(on.got.error, ContainsSubstring("boom"));
  CHECK(on.streamed(content("one") + event + "\n\n" + end).log == "one|truncated_stream");
  CHECK(on.got.so_far == "one");
  CHECK(on.got.cost == felix::request_cost::unknown);
  CHECK_THAT(on.got.error, ContainsSubstring("boom") && ContainsSubstring("3 bytes of the answer had come"));
}

TEST_CASE("answer_stream: what is no JSON is an error, and shows no key", "[llm][answer_stream]") {
  scene on{"a+key"};
  CHECK(on.streamed("data: {\"object\" a+key\n\n").log == "protocol_error");
  CHECK_THAT(on.got.error, ContainsSubstring("an event that is no JSON") && ContainsSubstring("[API key]") &&
                               !ContainsSubstring("a+key"));
  CHECK(on.streamed(content("one") + "data: nonsense\n\n").log == "one|protocol_error");
  CHECK(on.got.so_far == "one");
}

TEST_CASE("answer_stream: what is no event at all", "[llm][answer_stream]") {
  scene on;
  const auto body =
      GENERATE(as<std::string>{}, "", "\r\n\r\n", ": ping\n\n", "dat", "data:\n\n", "id: 7\n\n", "data: {\"choices\":");
  CAPTURE(body);
  CHECK(on.streamed(body).log == "truncated_stream");
  CHECK_FALSE(on.got.interrupted);
  CHECK_THAT(on.got.error, ContainsSubstring("neither a finish_reason nor [DONE] came"));
}

TEST_CASE("answer_stream: [DONE] without any choice is no answer", "[llm][answer_stream]") {
  scene on;
  const auto before = GENERATE(as<std::string>{}, "", ": ping\n\n", "data: {\"choices\":[]}\n\n", "data: {}\n\n");
  CAPTURE(before);
  CHECK(on.streamed(before + std::string{done}).log == "protocol_error");
  CHECK_THAT(on.got.error, ContainsSubstring("no choice came"));
  CHECK(on.got.cost == felix::request_cost::unknown);
  CHECK(on.streamed(before + std::string{role} + std::string{done}).log == "end");
}

TEST_CASE("answer_stream: bytes that are neither events nor JSON are no answer", "[llm][answer_stream]") {
  scene on{"a+key"};
  const auto body = GENERATE(as<std::string>{}, "plain words", "[]", "null", "\x7f\x01\xff garbage\n\n", "a+key");
  CAPTURE(body);
  CHECK(on.streamed(body).log == "protocol_error");
  CHECK_FALSE(on.got.interrupted);
  CHECK_THAT(on.got.error, ContainsSubstring("sent no stream") && !ContainsSubstring("a+key"));
}

TEST_CASE("answer_stream: empty events and unknown ones are passed over", "[llm][answer_stream]") {
  scene on;
  CHECK(on.streamed("data:\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n" + content("one") + "data: {}\n\n" +
                    content("") + std::string{stop})
            .log == "one|end");
  CHECK(on.streamed("\xEF\xBB\xBF" + content("one") + std::string{done}).log == "one|end");
}

TEST_CASE("answer_stream: a whole JSON answer is as good as a stream", "[llm][answer_stream]") {
  scene on{"a+key"};
  const std::string body =
      "\r\n  "
      R"({"model":"m","choices":[{"message":{"content":"whole","reasoning":"hm "},"finish_reason":"length"},)"
      R"({"message":{"content":"other"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2}})";
  const auto bytes = of_length(body);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    CAPTURE(cut);
    on.begin();
    on.peer.send(std::string_view{bytes}.substr(0, cut));
    on.settle();
    on.peer.send(std::string_view{bytes}.substr(cut));
    REQUIRE(on.logs("wholehm |1:other|end"));
  }
  CHECK(on.response().finish_reason() == felix::finish_reason::length);
  CHECK(on.response().usage() == felix::token_usage{.prompt_tokens = 7, .completion_tokens = 2, .total_tokens = 9});
  CHECK(on.response().model() == "m");
  CHECK(on.response().timing().time_to_first_token > 0ns);

  CHECK(on.answered(of_length(R"({"choices":[{"message":{"content":"sees a+key"}}]})")).log == "sees a+key|end");
  CHECK(on.response().usage().estimated);
  CHECK(on.response().usage().prompt_tokens == on.prompt_tokens());
  CHECK(on.response().usage().completion_tokens == 3);
  CHECK(on.response().usage().total_tokens == on.prompt_tokens() + 3);
}

TEST_CASE("answer_stream: JSON that is no answer is an error", "[llm][answer_stream]") {
  scene on{"a+key"};
  CHECK(on.answered(of_length(R"({"error":{"message":"no a+key","code":429}})")).log == "rate_limited");
  CHECK_THAT(on.got.error, ContainsSubstring("no [API key]") && !ContainsSubstring("a+key"));
  CHECK(on.answered(of_length(R"({"choices":[]})")).log == "protocol_error");
  CHECK(on.answered(of_length(R"({"choices":[{"message":)")).log == "protocol_error");
  CHECK(on.answered(of_length("{a+key")).log == "protocol_error");
  CHECK_THAT(on.got.error, ContainsSubstring("[API key]") && !ContainsSubstring("a+key"));
  const std::string whole = of_length(R"({"choices":[{"message":{"content":"whole"}}]})");
  CHECK(on.answered(std::string_view{whole}.substr(0, whole.size() - 1)).log == "truncated_stream");
  CHECK_FALSE(on.got.interrupted);
}

TEST_CASE("answer_stream: a page is no stream, and its begin is shown without the key", "[llm][answer_stream]") {
  scene on{"a+key"};
  const auto begin = GENERATE(as<std::string>{}, "<html>", "\n <!doctype html>");
  CHECK(on.answered(of_length(begin + "Who are you, a+key?", 200, "text/html")).log == "protocol_error");
  CHECK_THAT(on.got.error, ContainsSubstring("base_url right? It begins: <") &&
                               ContainsSubstring("Who are you, [API key]?") && !ContainsSubstring("a+key"));
  const std::string page = of_length(begin + "a+key", 200, "text/html");
  for (std::size_t cut = page.find(begin); cut < page.size(); ++cut) {  // half a key is a secret too
    on.begin();
    on.peer.send(std::string_view{page}.substr(0, cut));
    on.settle();
    on.peer.send(std::string_view{page}.substr(cut));
    REQUIRE(on.logs("protocol_error"));
    REQUIRE_THAT(on.got.error, ContainsSubstring(">[API key]"));
  }
}

TEST_CASE("answer_stream: a refusal is read whole, as far as it is worth it", "[llm][answer_stream]") {
  scene on{"a+key"};
  const std::string refusal = of_length(R"({"error":{"message":"slow a+key down"}})", 429);
  for (std::size_t cut = refusal.find("\r\n\r\n"); cut < refusal.size(); ++cut) {
    on.begin();
    on.peer.send(std::string_view{refusal}.substr(0, cut));
    on.settle();
    on.peer.send(std::string_view{refusal}.substr(cut));
    REQUIRE(on.logs("rate_limited"));
    REQUIRE_THAT(on.got.error, ContainsSubstring("slow [API key] down"));
  }
  CHECK(on.got.code == felix::errc::bad_status);
  CHECK_FALSE(on.got.interrupted);
  on.begin();
  on.peer.send("HTTP/1.1 502 Bad\r\nContent-Length: 1000000\r\n\r\n");
  for (int i = 0; i < 80 && !on.got.over; ++i) {
    on.peer.send("<p>" + std::string(1'021, 'x'));
    on.settle();
  }
  CHECK(on.logs("server_error"));  // though the rest never comes
}

TEST_CASE("answer_stream: a refusal whose explanation stalls is a refusal", "[llm][answer_stream]") {
  scene on{"", {.first_token = 80ms}};
  on.begin();
  on.peer.send("HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\n{\"error\":");
  REQUIRE(drive(on.loop, [&] { return on.got.over; }));
  CHECK(on.got.log == "rate_limited");
  CHECK(on.got.code == felix::errc::bad_status);
}

TEST_CASE("answer_stream: usage as each server says it", "[llm][answer_stream]") {
  scene on;
  const auto with = [](int completion) {
    return fmt::format(R"(,"usage":{{"prompt_tokens":7,"completion_tokens":{}}})", completion);
  };
  const auto event = [](std::string_view text, const std::string& more) {
    return fmt::format("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]{}}}\n\n", text, more);
  };
  const auto usage_of = [&](const std::string& body) {
    CHECK(on.streamed(body).log.ends_with("end"));
    return on.response().usage();
  };
  const felix::token_usage told{.prompt_tokens = 7, .completion_tokens = 5, .total_tokens = 12};
  const std::string end = std::string{stop} + std::string{done};
  CHECK(usage_of(event("a", with(1)) + event("b", with(5)) + end) == told);  // in each chunk: the last counts
  CHECK(usage_of(event("a", R"(,"usage":null)") + event("b", with(5)) + event("c", R"(,"usage":null)") + end) == told);
  CHECK(usage_of(event("a", "") + R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}])" + with(5) +
                 "}\n\n" + std::string{done}) == told);
  CHECK(usage_of(event("a", "") + std::string{stop} + "data: {\"choices\":[]" + with(5) + "}\n\n") == told);

  const auto never = usage_of(event("twelve bytes", "") + event("4 + ", "") + end);
  CHECK(never == felix::token_usage{.prompt_tokens = on.prompt_tokens(),
                                    .completion_tokens = 4,
                                    .total_tokens = on.prompt_tokens() + 4,
                                    .estimated = true});  // by the bytes
  const auto half = usage_of(event("four", R"(,"usage":{"total_tokens":90})") + end);
  CHECK(half ==
        felix::token_usage{
            .prompt_tokens = on.prompt_tokens(), .completion_tokens = 1, .total_tokens = 90, .estimated = true});
  CHECK(usage_of(event("a", "") + event("b", "") + event("c", "") + end).completion_tokens == 3);  // by the deltas
  CHECK(usage_of(event("a", "") + std::string{done} + "data: {\"choices\":[]" + with(5) + "}\n\n").estimated);
  CHECK(usage_of(
            std::string{
                "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"eight by\",\"tool_calls\":"
                "[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}]}}]}\n\n"} +
            end)
            .completion_tokens == 4);  // 8 + 7 bytes
}

TEST_CASE("answer_stream: a stop, and a reader that leaves, settle what it cost", "[llm][answer_stream]") {
  const bool leaves = GENERATE(false, true);
  const bool counted = GENERATE(false, true);
  CAPTURE(leaves, counted);
  scene on;
  on.begin();
  on.peer.send(std::string{chunked_head} + chunk(role) + chunk(content("half an")) + chunk(counted ? usage : ": -\n"));
  REQUIRE(on.logs("half an|"));
  on.settle();
  const auto whole = on.stream->whole();
  CHECK(whole->response().usage().total_tokens == (counted ? 9 : 0));  // what the server has said
  on.asked_to_stop.request_stop();
  if (leaves) {
    while (!on.got.over) on.loop.poll();
    on.stream.reset();
  } else {
    REQUIRE(on.logs("half an|cancelled"));
    CHECK_FALSE(on.got.interrupted);
  }
  CHECK(drive(on.loop, [&] { return on.peer.was_left(); }));
  const felix::chat_response& answer = whole->response();
  CHECK(answer.text() == "half an");
  CHECK(answer.finish_reason() == felix::finish_reason::other);
  CHECK(answer.usage().estimated == !counted);
  CHECK(answer.usage().prompt_tokens == (counted ? 7 : on.prompt_tokens()));
  CHECK(answer.usage().completion_tokens == 2);
  CHECK(answer.timing().time_to_first_byte > 0ns);
  CHECK(answer.timing().time_to_first_token >= answer.timing().time_to_first_byte);
  CHECK(answer.timing().total >= answer.timing().time_to_first_token);
}

TEST_CASE(
    "answer_stream: times begin when the request is sent, and end with the first byte, the first content, the end",
    "[llm][answer_stream]") {
  using clock = std::chrono::steady_clock;
  scene on;
  // What lies between two steps is longer than all that came before, so that a wrong begin or end shows.
  const auto begun = clock::now();
  const auto pause = [&] {
    const auto until = clock::now() + (clock::now() - begun) + 1ms;
    REQUIRE(drive(on.loop, [&] { return clock::now() >= until; }));
    return clock::now();
  };
  on.begin();
  const auto asked = clock::now();
  const auto headed = pause();
  on.peer.send(unframed_head);
  on.peer.send(role);
  REQUIRE(drive(on.loop, [&] { return on.response().model() == "m"; }));
  const auto saw_head = clock::now();
  const auto answered = pause();
  on.peer.send(content("one"));
  REQUIRE(drive(on.loop, [&] { return on.got.log == "one|"; }));
  const auto saw_content = clock::now();
  const auto went_on = pause();
  on.peer.send(content("two") + std::string{done});
  REQUIRE(on.logs("one|two|end"));
  const felix::chat_timing& timing = on.response().timing();
  CHECK(timing.time_to_first_byte >= headed - asked);
  CHECK(timing.time_to_first_byte <= saw_head - begun);
  CHECK(timing.time_to_first_token >= answered - asked);
  CHECK(timing.time_to_first_token <= saw_content - begun);
  CHECK(timing.total >= went_on - asked);
}

TEST_CASE("answer_stream: stopped before anything came, it cost the prompt perhaps", "[llm][answer_stream]") {
  scene on;
  on.begin();
  on.asked_to_stop.request_stop();
  REQUIRE(on.logs("cancelled"));
  CHECK(on.response().text().empty());
  CHECK(on.response().usage() ==
        felix::token_usage{.prompt_tokens = on.prompt_tokens(), .total_tokens = on.prompt_tokens(), .estimated = true});
  CHECK(drive(on.loop, [&] { return on.peer.was_left(); }));
  CHECK(on.loop.reactor().running() == 0);
}

TEST_CASE("answer_stream: left between two deltas, it is settled and the connection closed", "[llm][answer_stream]") {
  scene on;
  std::optional<felix::chat_stream> left{on.open()};
  const auto whole = left->whole();
  std::string first;
  const auto one = [](felix::chat_stream& stream, std::string& text) -> felix::task<void> {
    const auto delta = co_await stream.next();
    text = delta->text();
  };
  on.loop.spawn(one(*left, first), [](felix::result<void>) {});
  REQUIRE(drive(on.loop, [&] { return on.peer.was_asked(); }));
  on.peer.send(std::string{chunked_head} + chunk(content("one") + content("two")));
  REQUIRE(drive(on.loop, [&] { return first == "one"; }));
  left.reset();
  CHECK(whole->response().text() == "one");
  CHECK(whole->response().usage().completion_tokens == 1);
  CHECK(whole->response().timing().total > 0ns);
  CHECK(drive(on.loop, [&] { return on.peer.was_left(); }));
}

TEST_CASE("answer_stream: one that is never read sends nothing", "[llm][answer_stream]") {
  scene on;
  {
    const felix::chat_stream unread = on.open();
    on.settle();
  }
  CHECK_FALSE(on.peer.was_asked());
  CHECK(on.peer.accepted() == 0);
}

TEST_CASE("answer_stream: answers that interleave are told apart, and each has to end", "[llm][answer_stream]") {
  scene on;
  const std::string second = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n\n";
  const std::string both = content("a") + second + std::string{stop};
  CHECK(on.streamed(both).log == "a|1:b|truncated_stream");
  CHECK(on.streamed(both + "data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n").log ==
        "a|1:b|end");
  CHECK(on.response().choices().at(1).finish_reason == felix::finish_reason::length);
  CHECK(on.streamed(both + std::string{done}).log == "a|1:b|end");
}

TEST_CASE("answer_stream: a call that is told again and again is no content", "[llm][answer_stream]") {
  scene on{"", {.between_tokens = 80ms}};
  const std::string call = calls(R"([{"index":0,"id":"a","function":{"name":"f","arguments":""}}])");
  on.begin();
  on.peer.send(std::string{chunked_head} + chunk(call));
  while (!on.got.over) {
    on.peer.send(chunk(call));
    on.loop.poll();
  }
  CHECK(on.got.log == "|timeout_idle");
}

TEST_CASE("answer_stream: characters that events have halves of, and a half at the end", "[llm][answer_stream]") {
  scene on;
  const std::string cut = content("a\\ud83d") + content("\\ude00\\ud83d");
  CHECK(on.streamed(cut + std::string{stop} + std::string{done}).log == "a|\xF0\x9F\x98\x80|\xEF\xBF\xBD|end");
  CHECK(on.streamed(cut + std::string{done}).log == "a|\xF0\x9F\x98\x80|\xEF\xBF\xBD|end");
  CHECK(on.response().text() == "a\xF0\x9F\x98\x80\xEF\xBF\xBD");
  CHECK(on.streamed(content("\xE6\x9D") + content("\xB1") + std::string{done}).log == "\xE6\x9D\xB1|end");
}

TEST_CASE("answer_stream: the time limits of tokens are about content", "[llm][answer_stream]") {
  scene on{"", {.between_tokens = 80ms, .first_token = 80ms}};
  const bool first = GENERATE(true, false);
  on.begin();
  on.peer.send(std::string{chunked_head} + chunk(first ? role : std::string_view{content("one")}));
  // What is no content is not, however often it comes.
  while (!on.got.over) {
    on.peer.send(chunk(": ping\n\n") + chunk(role) + chunk(content("")) + chunk(calls("[]")) + chunk(calls("[{}]")) +
                 chunk(calls(R"([{"index":0,"function":{"arguments":""}}])")));
    on.loop.poll();
  }
  CHECK(on.got.log == (first ? "timeout_first_token" : "one|timeout_idle"));
  CHECK(on.got.interrupted == !first);
  CHECK(on.got.code == felix::errc::timed_out);
}

TEST_CASE("answer_stream: streams that were recorded, whole and cut anywhere", "[llm][answer_stream][samples]") {
  struct row {
    const char* name;
    std::string_view end;
  };
  for (const auto& [name, end] : {row{"llamacpp-2026/chat-stream.http", "end"},
                                  {"llamacpp-2026/chat-stream-usage.http", "end"},
                                  {"llamacpp-2026/chat-stream-n2.http", "end"},
                                  {"aimock/hello-stream.http", "end"},
                                  {"aimock/hello-stream-usage.http", "end"},
                                  {"aimock/tool-stream.http", "end"},
                                  {"aimock/unicode-stream.http", "end"},  // half a surrogate pair in an event
                                  {"aimock/empty-stream.http", "end"},
                                  {"aimock/short-length-stream.http", "end"},
                                  {"aimock/drop-stream-stream.http", "truncated_stream"},
                                  {"aimock/chaos-malformed-stream.http", "protocol_error"}}) {
    const auto bytes = felix::test::sample(name);
    if (!bytes) {
      WARN("skipped: FELIX_TEST_SAMPLES does not name the folder of recorded answers");
      return;
    }
    CAPTURE(name);
    scene on;
    const std::string log = on.answered(*bytes).log;
    CHECK_THAT(log, Catch::Matchers::EndsWith(std::string{end}));
    CHECK(on.got.interrupted == (end != "end" && !on.response().text().empty()));
    const std::string text = on.response().text();
    CHECK(text.find("\xEF\xBF\xBD") == std::string::npos);
    const auto all = felix::test::recorded_answer{*bytes}.body;
    CHECK(on.response().usage().estimated == (events_in(all, "\"prompt_tokens\":") == 0));
    for (std::size_t cut = 1; cut < bytes->size(); cut += 1 + bytes->size() / 150) {
      CAPTURE(cut);
      on.begin();
      on.peer.send(std::string_view{*bytes}.substr(0, cut));
      on.settle();
      on.peer.send(std::string_view{*bytes}.substr(cut));
      on.peer.close();
      REQUIRE(drive(on.loop, [&] { return on.got.over; }));
      REQUIRE(on.got.log == log);
      REQUIRE(text.starts_with(on.answered(std::string_view{*bytes}.substr(0, cut)).so_far));
    }
  }
}
