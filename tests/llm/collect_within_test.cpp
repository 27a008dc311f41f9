// SPDX-License-Identifier: MIT
#include <felix/llm/collect_within.hpp>

#include <felix/async/async_generator.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"
#include "support/simulated_server.hpp"

#include <chrono>
#include <memory>
#include <string>

using namespace std::chrono_literals;
using felix::chat_request;
using felix::finish_reason;
using felix::test::server_manners;
using felix::test::simulated_server;

namespace {

felix::chat_response ask(felix::simulated_loop& loop, simulated_server& server, felix::token_count most) {
  return loop.run(felix::collect_within(server.stream(chat_request{}.user(std::string(400, 'q')).max_tokens(most)),
                                        {.answer_tokens = most, .prompt_bytes = 400}));
}

/// A delta of one letter, and a report of 25 tokens more. Without end, or three of them.
felix::async_generator<felix::chat_delta> count_up(std::shared_ptr<felix::chat_stream::answer> whole, bool ends) {
  for (felix::token_count made = 25; !ends || made <= 75; made += 25) {
    whole->response().text(whole->response().text() + "x");
    whole->response().usage({.prompt_tokens = 20, .completion_tokens = made, .total_tokens = 20 + made});
    co_yield felix::chat_delta{}.text("x");
  }
}
felix::chat_response ask_counting(felix::simulated_loop& loop, felix::answer_allowance paid, bool ends) {
  auto whole = std::make_shared<felix::chat_stream::answer>();
  return loop.run(felix::collect_within(felix::chat_stream{count_up(whole, ends), whole}, paid));
}

}  // namespace

TEST_CASE("collect_within: an honest answer comes whole, with what the server reports", "[llm][collect_within]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  const auto answer = ask(loop, server, 50);
  CHECK(answer.usage() == server.spent());
  CHECK_FALSE(answer.usage().estimated);
  CHECK(answer.usage().completion_tokens <= 50);
  CHECK(server.in_flight() == 0);
}

TEST_CASE("collect_within: who does not honour max_tokens is cut at the next token", "[llm][collect_within]") {
  const int tokens_a_delta = GENERATE(1, 8);
  felix::simulated_loop loop;
  simulated_server server{loop, {.honours_max_tokens = false, .tokens_a_delta = tokens_a_delta}};
  const auto answer = ask(loop, server, 50);
  CHECK(server.in_flight() == 0);  // the connection was closed
  CHECK(answer.finish_reason() == finish_reason::length);
  CHECK(answer.usage().estimated);
  CHECK(answer.usage().completion_tokens > 50);
  CHECK(answer.usage().completion_tokens <= 50 + tokens_a_delta);
  CHECK(server.spent().completion_tokens <= 50 + tokens_a_delta + 2);
  CHECK(server.spent().completion_tokens > 50);
  CHECK_FALSE(answer.text().empty());
}

TEST_CASE("collect_within: a report below what came is not believed, one above it is", "[llm][collect_within]") {
  using report = server_manners::report;
  felix::simulated_loop loop;
  simulated_server modest{loop, {.reports = report::too_little}};
  const auto hidden = ask(loop, modest, 50);
  CHECK(hidden.usage().completion_tokens == modest.spent().completion_tokens);
  CHECK(hidden.usage().estimated);
  CHECK(hidden.usage().prompt_tokens >= 400 / 16);
  simulated_server proud{loop, {.reports = report::too_much}};
  CHECK(ask(loop, proud, 50).usage().completion_tokens > proud.spent().completion_tokens);
}

TEST_CASE("collect_within: what the server says in between counts", "[llm][collect_within]") {
  felix::simulated_loop loop;
  const auto cut = ask_counting(loop, {.answer_tokens = 60, .prompt_bytes = 80}, false);
  CHECK(cut.text() == "xxx");
  CHECK(cut.finish_reason() == finish_reason::length);
  CHECK(cut.usage().completion_tokens == 75);
  CHECK(cut.usage().estimated);
  CHECK_FALSE(ask_counting(loop, {.answer_tokens = 75, .prompt_bytes = 80}, true).usage().estimated);
  const auto hidden = ask_counting(loop, {.answer_tokens = 75, .prompt_bytes = 400}, true);  // a prompt of 20 tokens?
  CHECK(hidden.usage().estimated);
  CHECK(hidden.usage().prompt_tokens == 25);
}

TEST_CASE("collect_within: without a report the usage is what was seen, and is marked", "[llm][collect_within]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.reports = server_manners::report::none}};
  const auto answer = ask(loop, server, 50);
  CHECK(answer.usage().estimated);
  CHECK(answer.usage().completion_tokens == server.spent().completion_tokens);
}

TEST_CASE("collect_within: a model that does not stream is not cut, for all of it is there", "[llm][collect_within]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.streams = false}};
  const auto answer = ask(loop, server, 50);
  CHECK(answer.usage() == server.spent());
}

TEST_CASE("collect_within: what breaks off throws, and a stop closes the stream", "[llm][collect_within]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.breaks_off = 1}};
  CHECK_THROWS_AS(ask(loop, server, 50), felix::stream_interrupted);
  CHECK(server.in_flight() == 0);
}

TEST_CASE("collect_within: when the time is over it is cut, or nothing has come", "[llm][collect_within]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  const auto ask_for = [&](std::chrono::nanoseconds time) {
    return loop.run(felix::collect_within(server.stream(chat_request{}.user("q").max_tokens(500)),
                                          {.answer_tokens = 500, .prompt_bytes = 1, .time = time}));
  };
  const auto answer = ask_for(1s);
  CHECK(answer.finish_reason() == finish_reason::length);
  CHECK(answer.usage().estimated);
  CHECK(answer.usage().completion_tokens < 60);
  CHECK_FALSE(answer.text().empty());
  CHECK_THROWS_AS(ask_for(100ms), felix::timed_out);
  CHECK(ask_for(1h).finish_reason() == finish_reason::stop);
  CHECK(server.in_flight() == 0);
}
