// SPDX-License-Identifier: MIT
#include <felix/llm/scripted_model.hpp>

#include <felix/async/simulated_loop.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using felix::chat_request;

namespace {

/// What a stream gave, and when.
struct read_stream {
  std::vector<std::string> pieces = {};
  std::vector<std::chrono::nanoseconds> at = {};
  felix::chat_response whole = {};
};

felix::task<read_stream> read(felix::simulated_loop& loop, felix::chat_stream stream, std::size_t most = 1'000) {
  read_stream got;
  while (got.pieces.size() < most) {
    const auto delta = co_await stream.next();
    if (!delta) break;
    got.pieces.push_back(delta->text());
    got.at.push_back(loop.now() - felix::simulated_loop::start);
  }
  got.whole = stream.response();
  co_return got;
}

}  // namespace

TEST_CASE("scripted_model: the first rule that matches answers, after its time", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("story").reply("Once").after(1h);
  model.on("bomb").fail(felix::error{felix::errc::transport, "gone"});
  model.on("echo").compute([](const chat_request& r) { return r.messages().back().content; });
  CHECK(loop.run(model.complete(chat_request{}.user("a story"))).text() == "Once");
  CHECK(loop.now() == felix::simulated_loop::start + 1h);
  CHECK_THROWS_WITH(loop.run(model.complete(chat_request{}.user("a bomb"))), "gone");
  CHECK(loop.run(model.complete(chat_request{}.user("echo this"))).text() == "echo this");
  CHECK(loop.run(model.complete(chat_request{}.user("else"))).text() == "ok");
  CHECK(model.requests().size() == 4);
  CHECK(model.in_flight() == 0);
}

TEST_CASE("scripted_model: max_tokens and usage follow its rule", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply(std::string(41, 'x'));
  const auto whole = loop.run(model.complete(chat_request{}.user("12345")));
  CHECK(whole.usage() == felix::token_usage{.prompt_tokens = 4 + 2, .completion_tokens = 11, .total_tokens = 17});
  CHECK(whole.finish_reason() == felix::finish_reason::stop);
  const auto cut = loop.run(model.complete(chat_request{}.user("12345").max_tokens(10)));
  CHECK(cut.text().size() == 40);
  CHECK(cut.usage().completion_tokens == 10);
  CHECK(cut.finish_reason() == felix::finish_reason::length);
  CHECK(model.usage().total_tokens == 17 + 16);
}

TEST_CASE("scripted_model: a stop ends a wait, and may have cost tokens", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply("x").after(1h);
  felix::stop_source stop;
  felix::request_cost cost = felix::request_cost::none;
  loop.spawn(
      model.complete(chat_request{}.user("x")),
      [&](felix::result<felix::chat_response> r) {
        try {
          r.value();
        } catch (const felix::cancelled& ended) {
          cost = ended.cost();
        }
      },
      stop.get_token());
  stop.request_stop();
  loop.poll();
  CHECK(cost == felix::request_cost::unknown);
  CHECK(model.in_flight() == 0);
  CHECK(model.usage().total_tokens == 0);
}

TEST_CASE("scripted_model: a stream gives a token a delta, evenly in its time", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("even").reply("0123456789").after(3s);
  model.on("late").reply("0123456789").after(12s).first_token_after(10s);
  model.on("none").reply("").after(1s);
  const auto even = loop.run(read(loop, model.stream(chat_request{}.user("even"))));
  CHECK(even.pieces == std::vector<std::string>{"0123", "4567", "89"});
  CHECK(even.at == std::vector<std::chrono::nanoseconds>{1s, 2s, 3s});
  CHECK(even.whole.text() == "0123456789");
  CHECK(even.whole.finish_reason() == felix::finish_reason::stop);
  CHECK(even.whole.usage() == felix::token_usage{.prompt_tokens = 5, .completion_tokens = 3, .total_tokens = 8});
  CHECK(even.whole.timing().time_to_first_token == 1s);
  CHECK(even.whole.timing().total == 3s);
  const auto late = loop.run(read(loop, model.stream(chat_request{}.user("late"))));
  CHECK(late.at == std::vector<std::chrono::nanoseconds>{13s, 14s, 15s});
  const auto none = loop.run(read(loop, model.stream(chat_request{}.user("none"))));
  CHECK(none.pieces.empty());
  CHECK(loop.now() == felix::simulated_loop::start + 16s);
  CHECK(model.usage().completion_tokens == 6);
  CHECK(model.in_flight() == 0);
}

TEST_CASE("scripted_model: no delta ends within a character", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply("aä€𝄞ä€𝄞");
  const auto got = loop.run(read(loop, model.stream(chat_request{}.user("x"))));
  CHECK(got.pieces == std::vector<std::string>{"aä€", "𝄞", "ä€", "𝄞"});
  CHECK(got.whole.usage().completion_tokens == 5);  // by its bytes
}

TEST_CASE("scripted_model: a stream breaks off with what came before", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  const felix::error gone{felix::errc::transport, "gone", felix::request_cost::unknown,
                          felix::error_kind::truncated_stream};
  model.on("half").reply("0123456789").after(3s).fail_after(2, gone);
  model.on("at once").reply("0123456789").after(3s).fail(gone);
  try {
    loop.run(read(loop, model.stream(chat_request{}.user("half"))));
    FAIL("it has to break off");
  } catch (const felix::stream_interrupted& ended) {
    CHECK(ended.so_far().text() == "01234567");
    CHECK(ended.so_far().usage().estimated);
    CHECK(ended.so_far().usage().completion_tokens == 2);
    CHECK(ended.kind() == felix::error_kind::truncated_stream);
  }
  CHECK(loop.now() == felix::simulated_loop::start + 3s);
  CHECK_THROWS_WITH(loop.run(read(loop, model.stream(chat_request{}.user("at once")))), "gone");
  CHECK_THROWS_WITH(loop.run(model.complete(chat_request{}.user("half"))), "gone");
  CHECK(model.usage().completion_tokens == 2);
}

TEST_CASE("scripted_model: who leaves a stream early pays for what came", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("").reply("0123456789").after(3s);
  const auto got = loop.run(read(loop, model.stream(chat_request{}.user("x").max_tokens(50)), 1));
  CHECK(got.pieces.size() == 1);
  CHECK(got.whole.usage().estimated);
  CHECK(got.whole.finish_reason() == felix::finish_reason::other);
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
  CHECK(model.in_flight() == 0);
  CHECK(model.usage().completion_tokens == 1);
}

TEST_CASE("scripted_model: a rule for so many requests, and what comes then", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("x").fail(felix::error{felix::errc::transport, "gone"}).times(2);
  model.on("x").reply("at last");
  for (int i = 0; i < 2; ++i) CHECK_THROWS_WITH(loop.run(model.complete(chat_request{}.user("x"))), "gone");
  CHECK(loop.run(model.complete(chat_request{}.user("x"))).text() == "at last");
  CHECK(loop.run(model.complete(chat_request{}.user("x"))).text() == "at last");
}

TEST_CASE("scripted_model: answers with all that an answer may have, whole and streamed", "[llm][scripted]") {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::chat_response calls{"Let me look."};
  calls.choice(0).reasoning = "a tool knows";
  calls.choice(0).tool_calls.push_back({"c1", "weather", "{}"});
  calls.finish_reason(felix::finish_reason::tool_calls);
  calls.usage({.prompt_tokens = 7, .completion_tokens = 9, .total_tokens = 16, .reasoning_tokens = 4});
  model.on("").answer(calls);
  const auto whole = loop.run(model.complete(chat_request{}.user("x")));
  CHECK(whole.tool_calls() == calls.tool_calls());
  CHECK(whole.usage() == calls.usage());
  const auto streamed = loop.run(read(loop, model.stream(chat_request{}.user("x"))));
  CHECK(streamed.whole.text() == "Let me look.");
  CHECK(streamed.whole.reasoning() == "a tool knows");
  CHECK(streamed.whole.tool_calls() == calls.tool_calls());
  CHECK(streamed.whole.finish_reason() == felix::finish_reason::tool_calls);
  CHECK(streamed.whole.usage() == calls.usage());
  CHECK(streamed.pieces == std::vector<std::string>{"", "Let ", "me l", "ook."});
}
