// SPDX-License-Identifier: MIT
// client.hpp under each fault of the model server, over real sockets: what the user gets, and what is left behind.
#include <felix/llm/client.hpp>

#include <felix/async/when_all.hpp>
#include "model_server/model_server.hpp"
#include "model_server/simulated_model.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::error_kind;
using felix::test::drive;
using model_server::parse_fault;

namespace {

constexpr const char* key = "sk-felix-0123456789-secret";
constexpr std::size_t token_bytes = 4;  // of the simulated model

felix::chat_request question() { return felix::chat_request{}.user("Write about bees").max_tokens(40); }

model_server::answer plain_answer() {
  return model_server::simulate({.messages = {{"user", "Write about bees"}}, .max_tokens = 40}, 0);
}

std::string tokens_of_answer(int count) {
  return plain_answer().text.substr(0, token_bytes * static_cast<std::size_t>(count));
}

model_server::options with(std::vector<std::string> faults, double speed = 1) {
  model_server::options chosen{.tokens_per_second = 1e6, .latency = 0ms, .speed = speed};
  for (const std::string& each : faults) chosen.faults.push_back(parse_fault(each));
  return chosen;
}

/// What a user has of one request.
struct outcome {
  std::string text;          // of the answer, or of the deltas that came
  felix::token_usage usage;  // nothing after a failure of a whole answer
  bool answered = false;     // else there is an error:
  error_kind kind = {};
  std::string so_far;        // of a stream_interrupted
  bool interrupted = false;  // it was one
  std::optional<std::chrono::milliseconds> retry_after;
  std::string shown;  // everything that the error says
};

void note(outcome& got, const felix::error& failure) {
  got.kind = failure.kind();
  got.shown = failure.what();
  if (const auto* answer = dynamic_cast<const felix::api_error*>(&failure)) {
    got.retry_after = answer->retry_after();
    for (const std::string& each :
         {answer->type(), answer->provider_code(), answer->body_excerpt(), answer->param(), answer->request_id()})
      got.shown += '\n' + each;
  }
  if (const auto* broken = dynamic_cast<const felix::stream_interrupted*>(&failure)) {
    got.interrupted = true;
    got.so_far = broken->so_far().text();
  }
}

template <class Model>
felix::task<outcome> whole(Model& llm) {
  outcome got;
  try {
    const felix::chat_response answer = co_await llm.complete(question());
    got.text = answer.text();
    got.usage = answer.usage();
    got.answered = true;
  } catch (const felix::error& failure) {
    note(got, failure);
  }
  co_return got;
}

template <class Model>
felix::task<outcome> streamed(Model& llm) {
  outcome got;
  felix::chat_stream stream = llm.stream(question());
  try {
    while (const auto delta = co_await stream.next()) got.text += delta->text();
    got.answered = true;
  } catch (const felix::error& failure) {
    note(got, failure);
  }
  got.usage = stream.response().usage();
  if (stream.response().text() != got.text) got.text = "response() has another text than the deltas";
  co_return got;
}

template <class Model>
felix::task<outcome> ask(Model& llm, bool stream) {
  return stream ? streamed(llm) : whole(llm);
}

void check_answer(const outcome& got) {
  const auto expected = plain_answer();
  CHECK(got.shown.empty());
  REQUIRE(got.answered);
  CHECK(got.text == expected.text);
  CHECK(got.usage == felix::token_usage{.prompt_tokens = expected.prompt_tokens,
                                        .completion_tokens = expected.completion_tokens,
                                        .total_tokens = expected.prompt_tokens + expected.completion_tokens});
}

/// How a request of each form ends.
struct ending {
  std::optional<error_kind> kind;  // none: it is answered as if there were no fault
  int attempts = 1;                // that the fault struck
  int tokens = 0;                  // that had come, of a stream
};

struct row {
  const char* fault;
  ending whole;
  ending streamed;
};

constexpr ending answered{};

const std::vector<row>& rows() {
  static const std::vector<row> all{
      {"refuse", {error_kind::transport_reset, 3}, {error_kind::transport_reset, 3}},
      {"reset", {error_kind::transport_reset, 3}, {error_kind::transport_reset, 3}},
      {"reset:after=5", {error_kind::truncated_stream, 2}, {error_kind::truncated_stream, 1, 5}},
      {"reset:after=0", {error_kind::truncated_stream, 2}, {error_kind::truncated_stream, 2}},
      {"stall", {error_kind::timeout_total, 1}, {error_kind::timeout_first_token, 2}},
      {"stall:after=3", {error_kind::timeout_total, 1}, {error_kind::timeout_idle, 1, 3}},
      {"drip:ms=0", answered, answered},
      {"drip:ms=20", {error_kind::timeout_total, 1}, {error_kind::timeout_first_token, 2}},
      {"truncate", {error_kind::truncated_stream, 2}, {error_kind::truncated_stream, 1, -1}},
      {"truncate:after=7", {error_kind::truncated_stream, 2}, {error_kind::truncated_stream, 1, 7}},
      {"truncate:after=0:orderly", answered, {error_kind::truncated_stream, 2}},
      {"truncate:after=7:orderly", answered, {error_kind::truncated_stream, 1, 7}},
      {"garbage", {error_kind::protocol_error, 2}, {error_kind::protocol_error, 2}},
      {"rate-limit:ms=0", {error_kind::rate_limited, 3}, {error_kind::rate_limited, 3}},
      {"loading", {error_kind::model_loading, 1}, {error_kind::model_loading, 1}},
      {"slow-start", {error_kind::timeout_total, 1}, {error_kind::timeout_first_token, 2}},
      {"slow-start:ms=1", answered, answered},
      {"error-in-stream", answered, {error_kind::truncated_stream, 1, 3}},
      {"error-in-stream:done", answered, {error_kind::truncated_stream, 1, 3}},
      {"error-in-stream:after=0", answered, {error_kind::server_error, 3}},
      {"error-in-stream:after=0:done", answered, {error_kind::server_error, 2}},
      {"no-done", answered, answered},
      {"overflow", {error_kind::context_overflow, 1}, {error_kind::context_overflow, 1}},
      {"bad-key", {error_kind::authentication, 1}, {error_kind::authentication, 1}}};
  return all;
}

// A buffered answer has no place for these.
bool is_of_streams(std::string_view fault) {
  return fault == "no-done" || fault.starts_with("error-in-stream") || fault.ends_with("orderly");
}

bool is_timeout(const ending& end) {
  return end.kind == error_kind::timeout_total || end.kind == error_kind::timeout_first_token ||
         end.kind == error_kind::timeout_idle;
}

/// Short where the fault is a wait that must not end by itself.
felix::http_timeouts limits_for(const ending& end, bool stream) {
  if (!is_timeout(end)) return {};
  if (!stream) return {.total = 200ms};
  return {.between_tokens = 200ms, .first_token = 200ms};
}

/// The waits between attempts are none, and a model that loads is not waited for.
constexpr felix::retry_options at_once{.base = 0ms, .cap = 0ms, .model_loading = 0ms};

void check_ending(const outcome& got, const ending& expected, bool stream) {
  if (!expected.kind) return check_answer(got);
  REQUIRE_FALSE(got.answered);
  CHECK(to_string(got.kind) == to_string(*expected.kind));
  CHECK_THAT(got.shown, !ContainsSubstring(key) && !ContainsSubstring("0123456789"));
  CHECK_THAT(got.shown, ContainsSubstring("http://127.0.0.1:"));
  const int tokens = expected.tokens >= 0 ? expected.tokens : plain_answer().completion_tokens / 2;
  CHECK(got.interrupted == (tokens > 0));
  CHECK(got.text == tokens_of_answer(tokens));
  CHECK(got.so_far == tokens_of_answer(tokens));
  if (!stream) return;
  const bool ran = tokens > 0 || felix::request_cost_of(*expected.kind) == felix::request_cost::unknown;
  if (!ran) {
    CHECK(got.usage == felix::token_usage{});
    return;
  }
  CHECK(got.usage.estimated);
  CHECK(got.usage.completion_tokens == tokens);
  CHECK(got.usage.total_tokens == got.usage.prompt_tokens + tokens);
}

// What is in the server, and in the limit, when nobody asks.
void check_idle(felix::event_loop& loop, const model_server::server& server, const felix::limit_status& slots) {
  CHECK(slots.in_use == 0);
  CHECK(slots.waiting_in_all() == 0);
  CHECK(drive(loop, [&] { return loop.reactor().running() == 0; }));  // a stream's connection may linger after [DONE]
  CHECK(drive(loop, [&] { return server.snapshot().in_flight == 0; }));
}

}  // namespace

TEST_CASE("client: every fault, what the user gets of it, and that the next request works", "[llm][client][faults]") {
  for (const row& each : rows()) {
    for (const bool stream : {false, true}) {
      const ending& expected = stream ? each.streamed : each.whole;
      CAPTURE(each.fault, stream);
      const model_server::server server{with({each.fault + (":first=" + std::to_string(expected.attempts))})};
      felix::event_loop loop;
      std::vector<std::string> log;
      felix::client llm{loop,
                        {.base_url = server.url(),
                         .api_key = felix::secret{key},
                         .max_concurrent_requests = 1,
                         .retry = at_once,
                         .timeouts = limits_for(expected, stream),
                         .log = [&](const felix::log_line& line) { log.push_back(line.text); }}};
      const outcome first = loop.run(ask(llm, stream));
      check_ending(first, expected, stream);
      const auto after_first = llm.usage_stats();
      CHECK(after_first.retries.retries == static_cast<std::uint64_t>(expected.attempts - 1));
      CHECK(after_first.in_flight == 0);
      check_idle(loop, server, after_first.slots);
      CHECK(server.snapshot().faults == (stream || !is_of_streams(each.fault) ? expected.attempts : 0));

      check_answer(loop.run(ask(llm, !stream)));
      check_answer(loop.run(ask(llm, stream)));
      const auto stats = llm.usage_stats();
      CHECK(stats.requests == 3);
      CHECK(stats.failed == (expected.kind ? 1U : 0U));
      CHECK(stats.left == 0);
      CHECK(stats.in_flight == 0);
      CHECK(stats.tokens.total_tokens == (stream || first.answered ? first.usage.total_tokens : 0) +
                                             2 * (plain_answer().prompt_tokens + plain_answer().completion_tokens));
      check_idle(loop, server, stats.slots);
      CHECK(log.size() == 2 * 3 + after_first.retries.retries);  // asked, and how it ended
      for (const std::string& line : log) CHECK_THAT(line, !ContainsSubstring("0123456789"));
    }
  }
}

TEST_CASE("client: the layers by hand do under every fault what the client does", "[llm][client][faults]") {
  for (const row& each : rows()) {
    for (const bool stream : {false, true}) {
      const ending& expected = stream ? each.streamed : each.whole;
      if (is_timeout(expected) && each.fault != std::string_view{"stall"})
        continue;  // one is enough of what takes time
      CAPTURE(each.fault, stream);
      const model_server::server server{with({each.fault + (":first=" + std::to_string(expected.attempts))})};
      felix::event_loop loop;
      auto llm =
          felix::openai_model{
              loop,
              {.base_url = server.url(), .api_key = felix::secret{key}, .timeouts = limits_for(expected, stream)}} |
          felix::limit{1} | felix::retry{at_once};
      check_ending(loop.run(ask(llm, stream)), expected, stream);
      CHECK(llm.usage_stats().retries == static_cast<std::uint64_t>(expected.attempts - 1));
      check_idle(loop, server, llm.inner().status());
      check_answer(loop.run(ask(llm, stream)));
      check_idle(loop, server, llm.inner().status());
      CHECK(llm.usage_stats().requests == 2);
      CHECK(llm.usage_stats().given_up == (expected.kind ? 1U : 0U));
    }
  }
}

TEST_CASE("client: a fault that passes is not noticed", "[llm][client][faults]") {
  const auto [fault, forms] = GENERATE(table<std::string, std::string>({{"refuse", "both"},
                                                                        {"reset", "both"},
                                                                        {"reset:after=5", "whole"},
                                                                        {"reset:after=0", "both"},
                                                                        {"truncate", "whole"},
                                                                        {"truncate:after=0:orderly", "stream"},
                                                                        {"garbage", "both"},
                                                                        {"rate-limit:ms=0", "both"},
                                                                        {"error-in-stream:after=0", "stream"},
                                                                        {"error-in-stream:after=0:done", "stream"}}));
  for (const bool stream : {false, true}) {
    if (forms != "both" && stream != (forms == "stream")) continue;
    CAPTURE(fault, stream);
    const model_server::server server{with({fault + ":first=1"})};
    felix::event_loop loop;
    felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = 1, .retry = at_once}};
    check_answer(loop.run(ask(llm, stream)));
    CHECK(server.snapshot().faults == 1);
    CHECK(llm.usage_stats().retries.retries == 1);
    CHECK(llm.usage_stats().failed == 0);
    check_idle(loop, server, llm.usage_stats().slots);
  }
}

TEST_CASE("client: a server that loads its model, or names a wait, is waited for", "[llm][client][faults]") {
  const model_server::server server{with({"rate-limit:first=2", "loading:first=4"})};
  felix::event_loop loop;
  std::vector<std::string> log;
  felix::client llm{loop,
                    {.base_url = server.url(), .log = [&](const felix::log_line& line) { log.push_back(line.text); }}};
  const auto both = [](felix::client& model) -> felix::task<std::pair<outcome, outcome>> {
    auto [first, second] = co_await felix::when_all(whole(model), streamed(model));
    co_return std::pair{std::move(first), std::move(second)};
  };
  const auto [first, second] = loop.run(both(llm));
  check_answer(first);
  check_answer(second);
  CHECK(server.snapshot().faults == 4);
  const auto stats = llm.usage_stats();
  CHECK(stats.retries.retries == 4);
  CHECK(stats.retries.waited >= 3s);  // as decided: twice the 1 s of the hint, and 0.5 s
  CHECK(stats.retries.waited < 3s + 200ms);
  check_idle(loop, server, stats.slots);
  CHECK(log.size() == 2 * 2 + 4);
}

TEST_CASE("client: a wait that is too long is not waited for, and told", "[llm][client][faults]") {
  const bool stream = GENERATE(false, true);
  const model_server::server server{with({"rate-limit:ms=90000:first=1"})};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .retry = {.longest_hint = 60s}}};
  const outcome got = loop.run(ask(llm, stream));
  CHECK(to_string(got.kind) == to_string(error_kind::rate_limited));
  CHECK(got.retry_after == 90s);
  CHECK(server.snapshot().faults == 1);
  check_answer(loop.run(ask(llm, stream)));
}

TEST_CASE("client: usage that a server does not send is estimated, and marked", "[llm][client][faults]") {
  const bool stream = GENERATE(false, true);
  CAPTURE(stream);
  const model_server::server server{with({"no-usage:first=1"})};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  const outcome got = loop.run(ask(llm, stream));
  CHECK(got.answered);
  CHECK(got.text == plain_answer().text);
  CHECK(got.usage.estimated);
  CHECK(got.usage.completion_tokens == plain_answer().completion_tokens);
  CHECK(got.usage.prompt_tokens >= plain_answer().prompt_tokens);  // of the whole body, which has more than the prompt
  CHECK(got.usage.total_tokens == got.usage.prompt_tokens + got.usage.completion_tokens);
  CHECK(llm.usage_stats().tokens == got.usage);
  check_answer(loop.run(ask(llm, stream)));
  check_idle(loop, server, llm.usage_stats().slots);
}

TEST_CASE("client: characters that come in pieces are whole", "[llm][client][faults]") {
  const model_server::server server{with({"split-utf8:ms=0"})};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url()}};
  const outcome buffered = loop.run(whole(llm));
  const outcome pieces = loop.run(streamed(llm));
  CHECK_THAT(buffered.text, ContainsSubstring("量子") && ContainsSubstring("🐝"));
  CHECK(pieces.text == buffered.text);
  CHECK(pieces.usage == buffered.usage);
  CHECK_FALSE(pieces.usage.estimated);
  CHECK(felix::valid_utf8_end(pieces.text) == pieces.text.size());
}

TEST_CASE("client: a kept connection that the server closes as a request goes out costs no retry",
          "[llm][client][faults]") {
  const auto fault = GENERATE(as<std::string>{}, "refuse:every=2", "reset:every=2");
  const bool stream = GENERATE(false, true);
  CAPTURE(fault, stream);
  const model_server::server server{with({fault})};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .retry = {.attempts = 1}}};
  for (int i = 0; i < 4; ++i) {
    check_answer(loop.run(ask(llm, stream)));
    CHECK(drive(loop, [&] { return loop.reactor().running() == 0; }));  // so that the connection is kept
  }
  CHECK(server.snapshot().faults == 3);  // of requests 2, 4 and 6
  CHECK(server.snapshot().requests == 4);
  CHECK(llm.usage_stats().retries.retries == 0);
}

TEST_CASE("client: who waits in the server's queue behind an answer that stalls gives up by first_byte",
          "[llm][client][faults]") {
  auto chosen = with({"stall:first=1:after=2"});
  chosen.slots = 1;
  const model_server::server server{chosen};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .retry = at_once, .timeouts = {.first_byte = 150ms}}};
  {
    auto stalled = llm.stream(question());
    const auto two = [](felix::chat_stream& stream) -> felix::task<std::string> {
      std::string text;
      for (int i = 0; i < 2; ++i) {
        const auto delta = co_await stream.next();
        text += delta->text();
      }
      co_return text;
    };
    CHECK(loop.run(two(stalled)) == tokens_of_answer(2));
    const outcome waited = loop.run(streamed(llm));
    CHECK(to_string(waited.kind) == to_string(error_kind::timeout_first_byte));
    CHECK(llm.usage_stats().retries.retries == 1);
    CHECK(llm.usage_stats().slots.in_use == 1);
  }
  CHECK(llm.usage_stats().left == 1);
  CHECK(llm.usage_stats().tokens.estimated);
  check_idle(loop, server, llm.usage_stats().slots);
  check_answer(loop.run(streamed(llm)));
}

TEST_CASE("client: many at once under several faults are answered or fail, each by itself", "[llm][client][faults]") {
  auto chosen = with({"refuse:rate=0.04", "reset:after=5:rate=0.04", "truncate:rate=0.04", "garbage:rate=0.04",
                      "error-in-stream:rate=0.04", "rate-limit:ms=0:rate=0.04", "overflow:rate=0.04"});
  chosen.slots = 8;
  const model_server::server server{chosen};
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = server.url(), .max_concurrent_requests = 8, .retry = at_once}};
  constexpr int requests = 200;
  std::vector<felix::task<outcome>> asked;
  for (int i = 0; i < requests; ++i) asked.push_back(ask(llm, i % 2 == 0));
  std::uint64_t failed = 0;
  for (const outcome& got : loop.run(felix::when_all(std::move(asked)))) {
    if (got.answered) {
      check_answer(got);
    } else {
      ++failed;
      CHECK(plain_answer().text.starts_with(got.text));
    }
  }
  CHECK((failed > 3 && failed < requests / 2));
  const auto stats = llm.usage_stats();
  CHECK(stats.requests == requests);
  CHECK(stats.failed == failed);
  CHECK(stats.left == 0);
  CHECK(stats.in_flight == 0);
  CHECK(stats.retries.given_up == failed);
  CHECK(stats.slots.in_use == 0);
  CHECK(server.snapshot().max_in_flight <= 8);
  check_idle(loop, server, stats.slots);
}
