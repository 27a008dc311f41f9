// SPDX-License-Identifier: MIT
// examples: the model server's faults, each as a client sees it on its socket, and what the server counts then.
#include "model_server/faults.hpp"

#include "examples/model_server_socket.hpp"
#include "model_server/errors.hpp"
#include "model_server/simulated_model.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using felix::test::bees;
using felix::test::chat;
using felix::test::ending;
using felix::test::eventually;
using felix::test::get;
using felix::test::http_socket;
using model_server::fault;
using model_server::fault_kind;
using model_server::parse_fault;
using model_server::server;
using nlohmann::json;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view chat_path = "/v1/chat/completions";
constexpr int prompt = 3 + 4 + 4;

model_server::options with(const std::string& text) { return {.speed = 1000, .faults = {parse_fault(text)}}; }

model_server::answer plain_answer() {
  return model_server::simulate({.messages = {{"user", "Write about bees"}}, .max_tokens = 40}, 0);
}

const json streaming = {{"stream", true}, {"stream_options", {{"include_usage", true}}}};

std::string text_of(const std::vector<json>& events) {
  std::string text;
  for (const auto& each : events)
    for (const auto& choice : each.value("choices", json::array()))
      text += choice["delta"].value("content", std::string{});
  return text;
}

// Nothing is counted but the fault.
bool only_a_fault(const model_server::stats& now, fault_kind kind) {
  return now.faults == 1 && now.faults_by_kind[static_cast<std::size_t>(kind)] == 1 && now.requests == 0 &&
         now.cancelled == 0 && now.total_tokens == 0 && now.in_flight == 0;
}

// What was generated until the fault broke it off.
bool broken_after(const model_server::stats& now, int tokens) {
  return now.faults == 1 && now.requests == 0 && now.cancelled == 0 && now.prompt_tokens == prompt &&
         now.completion_tokens == tokens && now.slots_busy == 0;
}

}  // namespace

TEST_CASE("model_server faults: the command line's words", "[examples][model_server][faults]") {
  CHECK(parse_fault("refuse") == fault{.kind = fault_kind::refuse});
  CHECK(parse_fault("stall:after=3:every=2") == fault{.kind = fault_kind::stall, .every = 2, .after = 3});
  CHECK(parse_fault("truncate:orderly,rate=0.25,first=9") ==
        fault{.kind = fault_kind::truncate, .first = 9, .rate = 0.25, .orderly = true});
  CHECK(parse_fault("error-in-stream:done") == fault{.kind = fault_kind::error_in_stream, .done = true});
  CHECK(parse_fault("drip:ms=7") == fault{.kind = fault_kind::drip, .ms = 7ms});
  for (std::size_t i = 0; i < model_server::fault_kinds; ++i) {
    const auto kind = static_cast<fault_kind>(i);
    const std::string name{model_server::name_of(kind)};
    CHECK(parse_fault(name) == fault{.kind = kind});
    CHECK_THAT(model_server::fault_help(), ContainsSubstring("\n  " + name + " "));
    CHECK_THROWS_WITH(parse_fault("explode"), ContainsSubstring("explode") && ContainsSubstring(name));
  }
}

TEST_CASE("model_server faults: what is wrong is said, and what there is", "[examples][model_server][faults]") {
  struct row {
    std::string text, message;
  };
  const auto [text, message] = GENERATE(values<row>({
      {"", "no such kind"},
      {"stall:aftr=3", "no argument \"aftr\"; stall takes first, every, rate, after"},
      {"stall:ms=3", "no argument \"ms\""},
      {"refuse:after=3", "no argument \"after\""},
      {"stall:", "no argument \"\""},
      {"stall:after", "after needs a number"},
      {"stall:after=x", "after needs a number, has \"x\""},
      {"stall:after=3x", "has \"3x\""},
      {"stall:after=99999999999", "needs a number"},
      {"stall:after=-1", "must not be negative"},
      {"refuse:first=0", "first must be at least 1"},
      {"refuse:every=0", "every must be at least 1"},
      {"refuse:rate=1.5", "rate must be from 0 to 1"},
      {"refuse:rate=nan", "rate must be from 0 to 1"},
      {"drip:ms=-1", "ms must be from 0"},
      {"truncate:orderly=1", "orderly takes no value"},
  }));
  CAPTURE(text);
  CHECK_THROWS_AS(parse_fault(text), std::invalid_argument);
  CHECK_THROWS_WITH(parse_fault(text), ContainsSubstring(message) && ContainsSubstring(text));
}

TEST_CASE("model_server faults: the server refuses faults that make no sense", "[examples][model_server][faults]") {
  using model_server::options;
  CHECK_THROWS_WITH((server{options{.faults = {{.kind = fault_kind::drip, .every = 0}}}}), ContainsSubstring("every"));
  CHECK_THROWS_WITH((server{options{.faults = {{.kind = fault_kind::drip, .after = 1}}}}), ContainsSubstring("after"));
  CHECK_THROWS_WITH((server{options{.faults = {{.kind = fault_kind::stall, .ms = 1ms}}}}), ContainsSubstring("ms"));
  CHECK_THROWS_WITH((server{options{.faults = {{.kind = fault_kind::stall, .done = true}}}}),
                    ContainsSubstring("done"));
}

TEST_CASE("model_server faults: which request is hit", "[examples][model_server][faults]") {
  const auto hits = [](const std::vector<fault>& faults, std::uint64_t seed = 0, bool stream = true) {
    std::vector<int> numbers;
    for (int i = 1; i <= 8; ++i)
      if (model_server::detail::fault_for(faults, i, seed, stream) != nullptr) numbers.push_back(i);
    return numbers;
  };
  CHECK(hits({parse_fault("refuse")}).size() == 8);
  CHECK(hits({parse_fault("refuse:first=2")}) == std::vector{1, 2});
  CHECK(hits({parse_fault("refuse:every=3")}) == std::vector{3, 6});
  CHECK(hits({parse_fault("refuse:every=3:first=5")}) == std::vector{3});
  CHECK(hits({parse_fault("refuse:rate=0")}).empty());
  CHECK(hits({parse_fault("refuse:rate=1")}).size() == 8);
  const std::vector<fault> half{parse_fault("refuse:rate=0.5")};
  CHECK(hits(half) == hits(half));
  CHECK((hits(half, 1) != hits(half, 2) || hits(half, 2) != hits(half, 3)));
  int count = 0;
  for (int i = 1; i <= 10'000; ++i) count += model_server::detail::fault_for(half, i, 7, true) != nullptr ? 1 : 0;
  CHECK((count > 4'700 && count < 5'300));  // six standard deviations
  for (const char* streams_only : {"no-done", "error-in-stream", "truncate:orderly"}) {
    CHECK(hits({parse_fault(streams_only)}, 0, true).size() == 8);
    CHECK(hits({parse_fault(streams_only)}, 0, false).empty());
  }
  const std::vector<fault> both{parse_fault("refuse:every=2"), parse_fault("loading")};
  CHECK(model_server::detail::fault_for(both, 1, 0, true) == &both[1]);
  CHECK(model_server::detail::fault_for(both, 2, 0, true) == both.data());
}

TEST_CASE("model_server faults: only chat requests are hit, and are counted", "[examples][model_server][faults]") {
  const server server{with("rate-limit:first=2")};
  CHECK(get(server, "/v1/models").status() == 200);
  CHECK(felix::test::post(server, std::string{chat_path}, json::object()).status() == 400);  // is not numbered
  CHECK(chat(server).status() == 429);
  CHECK(chat(server, streaming).status() == 429);
  CHECK(chat(server).content()["choices"][0]["message"]["content"] == plain_answer().text);
  const json stats = get(server, "/stats").content();
  CHECK(stats["faults"] == 2);
  CHECK(stats["faults_by_kind"] == json{{"rate-limit", 2}});
  CHECK(stats["requests"] == 1);
}

TEST_CASE("model_server faults: refuse and reset before any byte", "[examples][model_server][faults]") {
  const bool reset = GENERATE(false, true);
  const json more = GENERATE(json::object(), streaming);
  const server server{with(reset ? "reset" : "refuse")};
  const auto got = chat(server, more);
  CHECK(got.all.empty());
  CHECK(got.end == (reset ? ending::reset : ending::fin));
  CHECK(only_a_fault(server.snapshot(), reset ? fault_kind::reset : fault_kind::refuse));
}

TEST_CASE("model_server faults: reset and truncate after some tokens", "[examples][model_server][faults]") {
  const bool reset = GENERATE(false, true);
  const int after = GENERATE(0, 1, 5);
  CAPTURE(reset, after);
  const server server{with((reset ? "reset:after=" : "truncate:after=") + std::to_string(after))};
  SECTION("of a stream") {
    const auto got = chat(server, streaming);
    CHECK(got.status() == 200);
    CHECK(got.end == (reset ? ending::reset : ending::fin));
    CHECK_FALSE(got.is_whole());
    CHECK(got.events().size() == static_cast<std::size_t>(after) + 1);
    CHECK(plain_answer().text.starts_with(text_of(got.events())));
  }
  SECTION("of a whole answer") {
    const auto got = chat(server);
    CHECK(got.end == (reset ? ending::reset : ending::fin));
    CHECK_FALSE(got.is_whole());
    if (after > 0) {
      CHECK(got.status() == 200);
      CHECK(got.raw_body().size() == std::stoul(got.header("Content-Length")) * static_cast<std::size_t>(after) /
                                         static_cast<std::size_t>(plain_answer().completion_tokens));
    }
  }
  CHECK(eventually(server, [&](const auto& now) { return broken_after(now, after); }));
}

TEST_CASE("model_server faults: truncate breaks off in the middle, or at the latest in the last token",
          "[examples][model_server][faults]") {
  const bool late = GENERATE(false, true);
  const server server{with(late ? "truncate:after=1000" : "truncate")};
  REQUIRE(plain_answer().completion_tokens > 30);
  const int expected = late ? plain_answer().completion_tokens - 1 : plain_answer().completion_tokens / 2;
  const auto got = chat(server, streaming);
  CHECK_FALSE(got.is_whole());
  CHECK(got.events().size() == static_cast<std::size_t>(expected) + 1);
  CHECK(eventually(server, [&](const auto& now) { return broken_after(now, expected); }));
}

TEST_CASE("model_server faults: truncate, orderly", "[examples][model_server][faults]") {
  const server server{with("truncate:orderly:after=4")};
  const auto got = chat(server, streaming);
  CHECK(got.is_whole());
  CHECK_FALSE(got.is_done());
  REQUIRE(got.events().size() == 5);
  for (const auto& each : got.events()) CHECK(each["choices"][0]["finish_reason"].is_null());
  CHECK(broken_after(server.snapshot(), 4));
  CHECK(chat(server).is_whole());
  CHECK(server.snapshot().faults == 1);
}

TEST_CASE("model_server faults: a stalled answer holds its slot until its client leaves",
          "[examples][model_server][faults]") {
  const int after = GENERATE(0, 3);
  const bool stream = GENERATE(true, false);
  CAPTURE(after, stream);
  auto chosen = with("stall:first=1:after=" + std::to_string(after));
  chosen.slots = 1;
  const server server{chosen};
  {
    http_socket stalled{server, "POST", std::string{chat_path}, bees(stream ? streaming : json::object()).dump()};
    const auto last = stream && after > 0 ? plain_answer().text.substr(8, 4) + "\"}"
                      : stream            ? "assistant"
                                          : "\r\n\r\n";
    CHECK(stalled.read_until(last).status() == 200);
    http_socket waiting{server, "POST", std::string{chat_path}, bees().dump()};
    REQUIRE(eventually(server, [](const auto& now) { return now.waiting == 1; }));
    CHECK(server.snapshot().slots_busy == 1);
    CHECK(server.snapshot().requests == 0);
  }
  REQUIRE(eventually(server, [](const auto& now) { return now.in_flight == 0; }));
  const auto first = server.snapshot();
  CHECK(first.cancelled + first.requests == 2);  // the one behind it may have been answered before it left
  CHECK(first.cancelled >= 1);
  CHECK(chat(server).status() == 200);
  CHECK(server.snapshot().completion_tokens <= after + 2 * plain_answer().completion_tokens);
}

TEST_CASE("model_server faults: a stalled answer is charged what it told", "[examples][model_server][faults]") {
  const int after = GENERATE(0, 3);
  const bool stream = GENERATE(true, false);
  const server server{with("stall:after=" + std::to_string(after))};
  {
    http_socket stalled{server, "POST", std::string{chat_path}, bees(stream ? streaming : json::object()).dump()};
    const auto last = stream && after > 0 ? plain_answer().text.substr(8, 4) + "\"}"
                      : stream            ? "assistant"
                                          : "\r\n\r\n";
    REQUIRE(stalled.read_until(last).end == ending::silent);
  }
  REQUIRE(eventually(server, [](const auto& now) { return now.cancelled == 1; }));
  CHECK(server.snapshot().prompt_tokens == prompt);
  CHECK(server.snapshot().completion_tokens == after);
  CHECK(server.snapshot().in_flight == 0);
}

TEST_CASE("model_server faults: stop() ends what stalls and what pauses", "[examples][model_server][faults]") {
  const auto text = GENERATE(as<std::string>{}, "stall:after=2", "drip:ms=86400000", "split-utf8:ms=86400000");
  const json more = GENERATE(json::object(), streaming);
  CAPTURE(text);
  server server{with(text)};
  http_socket client{server, "POST", std::string{chat_path}, bees(more).dump()};
  REQUIRE(client.read_until("\r\n\r\n").status() == 200);
  server.stop();
  const auto got = client.read_to_end();
  CHECK(got.end != ending::silent);
  CHECK_FALSE(got.is_whole());
}

TEST_CASE("model_server faults: a client leaves a pause of a day", "[examples][model_server][faults]") {
  const json more = GENERATE(json::object(), streaming);
  const server server{{.tokens_per_second = 1e6, .latency = 0ms, .faults = {parse_fault("drip:ms=86400000")}}};
  http_socket client{server, "POST", std::string{chat_path}, bees(more).dump()};
  REQUIRE(client.read_until("\r\n\r\n").status() == 200);
  REQUIRE(eventually(server, [&](const auto& now) { return now.requests == 1; }));
  client.shut_sending_side();
  CHECK(client.read_to_end().end != ending::silent);
}

TEST_CASE("model_server faults: drip sends each byte alone", "[examples][model_server][faults]") {
  const server server{with("drip:ms=1")};
  const auto streamed = chat(server, streaming);
  CHECK(streamed.is_whole());
  CHECK(streamed.is_done());
  CHECK(text_of(streamed.events()) == plain_answer().text);
  const auto chunks = streamed.chunks();
  CHECK(std::all_of(chunks.begin(), chunks.end() - 1, [](const auto& each) { return each.size() == 1; }));
  CHECK(chat(server).content()["choices"][0]["message"]["content"] == plain_answer().text);
  CHECK(server.snapshot().requests == 2);
  CHECK(server.snapshot().faults == 2);
}

TEST_CASE("model_server faults: split-utf8 cuts characters and an event in two", "[examples][model_server][faults]") {
  const server server{with("split-utf8:ms=1")};
  const auto streamed = chat(server, streaming);
  const auto inside_a_character = [](const std::string& chunk) {
    return !chunk.empty() && (static_cast<unsigned char>(chunk.front()) & 0xC0U) == 0x80U;
  };
  const auto chunks = streamed.chunks();
  CHECK(std::count_if(chunks.begin(), chunks.end(), inside_a_character) > 10);
  CHECK_FALSE(chunks.front().ends_with('\n'));  // the rest of the event is in the next
  CHECK(streamed.is_done());
  const std::string text = text_of(streamed.events());  // parsed as UTF-8
  CHECK_THAT(text, ContainsSubstring("量子") && ContainsSubstring("🐝") && ContainsSubstring("ï"));
  const json whole = chat(server).content();
  CHECK(whole["choices"][0]["message"]["content"] == text);
  CHECK(whole["usage"]["completion_tokens"] == model_server::count_tokens(text));
  CHECK(whole["usage"]["completion_tokens"] <= 40);
  CHECK(server.snapshot().completion_tokens == 2 * model_server::count_tokens(text));
}

TEST_CASE("model_server faults: garbage", "[examples][model_server][faults]") {
  const json more = GENERATE(json::object(), streaming);
  const server server{with("garbage")};
  const auto got = chat(server, more);
  CHECK(got.status() == 200);
  CHECK(got.is_whole());
  CHECK(got.header("Content-Type") == (more.empty() ? "application/json" : "text/event-stream"));
  CHECK_FALSE(json::accept(got.body()));
  CHECK_THAT(got.body(), !ContainsSubstring("data:"));
  CHECK(only_a_fault(server.snapshot(), fault_kind::garbage));
}

TEST_CASE("model_server faults: rate-limit", "[examples][model_server][faults]") {
  const server server{with("rate-limit:ms=1001")};
  const auto got = chat(server, streaming);
  CHECK(got.status() == 429);
  CHECK(got.header("Retry-After") == "2");
  CHECK(got.header("x-ratelimit-remaining-requests") == "0");
  CHECK(got.header("x-ratelimit-reset-requests") == "2s");
  CHECK_FALSE(got.header("x-ratelimit-limit-tokens").empty());
  CHECK(got.content()["error"]["code"] == "rate_limit_exceeded");
  CHECK(only_a_fault(server.snapshot(), fault_kind::rate_limit));
}

TEST_CASE("model_server faults: loading, overflow, bad-key", "[examples][model_server][faults]") {
  {
    const server server{with("loading")};
    const auto got = chat(server);
    CHECK(got.status() == 503);
    CHECK(got.content()["error"] == json{{"message", "Loading model"}, {"type", "unavailable_error"}, {"code", 503}});
    CHECK(got.header("Retry-After").empty());
    CHECK(only_a_fault(server.snapshot(), fault_kind::loading));
  }
  {
    const server server{with("overflow")};
    const auto got = chat(server, streaming);
    CHECK(got.status() == 400);
    const json error = got.content()["error"];
    CHECK(error["type"] == "exceed_context_size_error");
    CHECK(error["n_prompt_tokens"] == prompt);
    CHECK(error["n_ctx"] < prompt);
    CHECK(only_a_fault(server.snapshot(), fault_kind::overflow));
  }
  {
    const server server{with("bad-key")};
    const auto got = chat(server);
    CHECK(got.status() == 401);
    CHECK(got.content()["error"]["code"] == "invalid_api_key");
    CHECK(only_a_fault(server.snapshot(), fault_kind::bad_key));
  }
}

TEST_CASE("model_server faults: slow-start sends a stream's headers, and no token",
          "[examples][model_server][faults]") {
  const server server{
      {.speed = 1, .faults = {parse_fault("slow-start:ms=86400000:first=1"), parse_fault("slow-start:ms=1")}}};
  {
    http_socket slow{server, "POST", std::string{chat_path}, bees(streaming).dump()};
    CHECK(slow.read_until("assistant").status() == 200);
  }
  CHECK(eventually(server, [](const auto& now) { return now.cancelled == 1; }));
  CHECK(server.snapshot().completion_tokens == 0);
}

TEST_CASE("model_server faults: slow-start, then the whole answer", "[examples][model_server][faults]") {
  const json more = GENERATE(json::object(), streaming);
  const server server{with("slow-start:ms=2000")};
  CHECK(chat(server, more).is_whole());
  CHECK(server.snapshot().requests == 1);
  CHECK(server.snapshot().faults == 1);
}

TEST_CASE("model_server faults: error-in-stream", "[examples][model_server][faults]") {
  const bool like_vllm = GENERATE(false, true);
  const server server{with(like_vllm ? "error-in-stream:done" : "error-in-stream:after=2")};
  const auto got = chat(server, streaming);
  CHECK(got.status() == 200);
  CHECK(got.is_whole());
  CHECK(got.is_done() == like_vllm);
  const auto events = got.events();
  REQUIRE(events.size() == (like_vllm ? 5 : 4));  // role, deltas, error
  CHECK(events.back()["error"]["message"].is_string());
  CHECK(events.back()["error"]["code"] == (like_vllm ? json(500) : json{}));
  CHECK(eventually(server, [&](const auto& now) { return broken_after(now, like_vllm ? 3 : 2); }));
}

TEST_CASE("model_server faults: no-usage and no-done", "[examples][model_server][faults]") {
  {
    const server server{with("no-usage")};
    const auto streamed = chat(server, streaming);
    CHECK(streamed.is_done());
    CHECK_THAT(streamed.body(), !ContainsSubstring("usage"));
    CHECK(text_of(streamed.events()) == plain_answer().text);
    CHECK_FALSE(chat(server).content().contains("usage"));
    CHECK(server.snapshot().completion_tokens == 2 * plain_answer().completion_tokens);
  }
  {
    const server server{with("no-done")};
    const auto streamed = chat(server, streaming);
    CHECK(streamed.is_whole());
    CHECK_FALSE(streamed.is_done());
    CHECK(streamed.events().back()["usage"]["prompt_tokens"] == prompt);
    CHECK_FALSE(streamed.events().rbegin()[1]["choices"][0]["finish_reason"].is_null());
    CHECK(server.snapshot().requests == 1);
  }
}
