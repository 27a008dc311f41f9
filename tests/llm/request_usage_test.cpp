// SPDX-License-Identifier: MIT
#include <felix/llm/request_usage.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <memory>

using namespace std::chrono_literals;
using felix::detail::request_counter;

namespace {

felix::request_usage usage_of(const request_counter& counter) {
  felix::request_usage copy;
  counter.with_usage([&](const felix::request_usage& now) { copy = now; });
  return copy;
}

felix::chat_response answer(felix::token_count tokens, std::chrono::nanoseconds total) {
  felix::chat_response made{"text"};
  made.usage({.completion_tokens = tokens, .total_tokens = tokens});
  made.timing({.time_to_first_byte = total / 4, .time_to_first_token = total / 2, .total = total});
  return made;
}

}  // namespace

TEST_CASE("request_usage: each request ends once, answered, failed or left", "[llm][request_usage]") {
  request_counter counter;
  {
    request_counter::counted one{counter}, two{counter};
    CHECK(usage_of(counter).in_flight == 2);
    CHECK(usage_of(counter).requests == 0);
    one.answered(answer(7, 4s));
    CHECK(one.is_over());
    two.failed(felix::error{felix::errc::transport, "gone", felix::request_cost::unknown});
    CHECK(usage_of(counter).in_flight == 0);
    const request_counter::counted left{counter};
  }
  const felix::request_usage all = usage_of(counter);
  CHECK(all.requests == 3);
  CHECK(all.failed == 1);
  CHECK(all.left == 1);
  CHECK(all.in_flight == 0);
  CHECK(all.tokens.total_tokens == 7);
  CHECK(all.answers.count() == 1);
  CHECK(all.answers.max() == 4s);
  CHECK(all.first_tokens.max() == 2s);
}

TEST_CASE("request_usage: an answer that was no stream has no first token", "[llm][request_usage]") {
  request_counter counter;
  felix::chat_response whole{"text"};
  whole.timing({.time_to_first_byte = 1s, .total = 2s});
  request_counter::counted one{counter};
  one.answered(whole);
  CHECK(usage_of(counter).first_tokens.count() == 0);
  CHECK(usage_of(counter).answers.max() == 2s);
}

TEST_CASE("request_usage: what had come of a stream is counted however it ends", "[llm][request_usage]") {
  request_counter counter;
  const auto whole = std::make_shared<felix::chat_stream::answer>();
  whole->response() = answer(5, 4s);
  { const request_counter::counted left{counter, whole}; }
  {
    request_counter::counted failed{counter, whole};
    failed.failed(felix::error{felix::errc::transport, "gone", felix::request_cost::unknown});
  }
  const felix::request_usage all = usage_of(counter);
  CHECK(all.requests == 2);
  CHECK(all.left == 1);
  CHECK(all.failed == 1);
  CHECK(all.tokens.total_tokens == 10);
  CHECK(all.first_tokens.count() == 2);
  CHECK(all.answers.count() == 0);  // neither came to its end
}

TEST_CASE("request_usage: what did not run costs nothing, and a stop is no failure", "[llm][request_usage]") {
  request_counter counter;
  const auto whole = std::make_shared<felix::chat_stream::answer>();
  whole->response() = answer(5, 4s);
  request_counter::counted refused{counter, whole}, stopped{counter, whole}, broken{counter};
  refused.failed(felix::error{felix::errc::transport, "nobody there", felix::request_cost::none});
  CHECK(usage_of(counter).tokens.total_tokens == 0);
  stopped.failed(felix::cancelled{"waiting", felix::request_cost::unknown});
  CHECK(usage_of(counter).tokens.total_tokens == 5);
  broken.failed(felix::stream_interrupted{felix::error{felix::errc::transport, "gone"}, answer(3, 1s)});
  const felix::request_usage all = usage_of(counter);
  CHECK(all.tokens.total_tokens == 8);  // of whoever collected a stream
  CHECK(all.failed == 2);
  CHECK(all.left == 1);
}
