// SPDX-License-Identifier: MIT
#include <felix/llm/scripted_model.hpp>

#include <felix/async/simulated_loop.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using felix::chat_request;

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
