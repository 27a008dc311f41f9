// SPDX-License-Identifier: MIT
#include <felix/llm/wait_bounds.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using felix::chat_request;

namespace {

std::string refusal(felix::result<felix::chat_response> got) {
  try {
    got.value();
  } catch (const felix::error& failure) {
    CHECK(failure.kind() == felix::error_kind::queue_full);
    CHECK(failure.cost() == felix::request_cost::none);
    return failure.what();
  }
  return "";
}

}  // namespace

TEST_CASE("wait_bounds: as many wait as may, and the next is refused at once", "[llm][wait_bounds]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{1}.waiting({.max_waiting = 2});
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 3; ++i) n.spawn(llm.complete(chat_request{}.user("x")));
    CHECK(llm.status().waiting_in_all() == 2);
    CHECK_THAT(refusal(co_await felix::as_result(llm.complete(chat_request{}.user("y")))),
               ContainsSubstring("2 requests wait already for a slot, as many as may"));
    CHECK(loop.now() == felix::simulated_loop::start);
  };
  loop.run(felix::with_nursery(body));
  CHECK(llm.usage_stats().refused == 1);
  const auto again = [&](felix::nursery& n) -> felix::task<void> {  // nobody who has waited is counted any more
    for (int i = 0; i < 3; ++i) n.spawn(llm.complete(chat_request{}.user("x")));
    co_return;
  };
  loop.run(felix::with_nursery(again));
  CHECK(script.requests().size() == 6);
}

TEST_CASE("wait_bounds: none may wait, and one that does not wait goes", "[llm][wait_bounds]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{1}.waiting({.max_waiting = 0});
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(llm.complete(chat_request{}.user("x")));
    CHECK_FALSE(refusal(co_await felix::as_result(llm.complete(chat_request{}.user("y")))).empty());
  };
  loop.run(felix::with_nursery(body));
  CHECK(loop.run(llm.complete(chat_request{}.user("z"))).text() == "ok");
}

TEST_CASE("wait_bounds: the refusal says what was waited for", "[llm][wait_bounds]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(10s);
  auto slots = felix::model_ref{script} | felix::limit{1}.waiting({.max_wait = 2s});
  auto minutes = felix::model_ref{script} | felix::limit{4}.rate({.requests_per_minute = 6}).waiting({.max_wait = 2s});
  const auto second_of = [&](auto& llm) -> felix::task<std::string> {
    std::string why;
    co_await felix::with_nursery([&](felix::nursery& n) -> felix::task<void> {
      n.spawn(llm.complete(chat_request{}.user("x")));
      why = refusal(co_await felix::as_result(llm.complete(chat_request{}.user("y"))));
    });
    co_return why;
  };
  CHECK_THAT(loop.run(second_of(slots)), ContainsSubstring("no slot was free within 2000 ms"));
  CHECK_THAT(loop.run(second_of(minutes)),
             ContainsSubstring("requests and tokens per minute") && ContainsSubstring("raise the rate"));
}

TEST_CASE("wait_bounds: the refusal says what was waited for last, whatever the slots are like then",
          "[llm][wait_bounds]") {
  felix::simulated_loop loop{GENERATE(range(std::uint64_t{0}, std::uint64_t{8}))};
  felix::scripted_model script{loop};
  script.on("long").reply("ok").after(10s);
  felix::priority_semaphore slots{1};
  auto other = felix::model_ref{script} | felix::limit{slots};
  std::vector<std::string> whys;
  const auto ask = [&](auto& llm, felix::request_priority priority) -> felix::task<void> {
    whys.push_back(refusal(co_await felix::as_result(llm.complete(chat_request{}.user("x").priority(priority)))));
  };
  const auto all_wait = [&](auto& llm, std::chrono::milliseconds busy_from) {
    return felix::with_nursery([&, busy_from](felix::nursery& n) -> felix::task<void> {
      if (busy_from > 0s) co_await felix::sleep_for(busy_from);
      if (busy_from == 0s) n.spawn(other.complete(chat_request{}.user("long")));
      for (const auto priority : {felix::request_priority::normal, felix::request_priority::normal,
                                  felix::request_priority::low, felix::request_priority::urgent})
        n.spawn(ask(llm, priority));
      co_await felix::sleep_for(1s);
      if (busy_from > 0s) n.spawn(other.complete(chat_request{}.user("long")));
    });
  };
  SECTION("a slot, though there is a rate") {
    auto metered = felix::model_ref{script} | felix::limit{slots}.rate({}).waiting({.max_wait = 2s});
    loop.run(all_wait(metered, 0s));
    REQUIRE(whys.size() == 4);
    for (const std::string& why : whys) CHECK_THAT(why, ContainsSubstring("no slot was free within 2000 ms"));
  }
  SECTION("the minute, though there is no slot now") {
    auto metered =
        felix::model_ref{script} | felix::limit{slots}.rate({.requests_per_minute = 6}).waiting({.max_wait = 2s});
    loop.run(metered.complete(chat_request{}.user("x")));
    loop.run(all_wait(metered, 100ms));
    REQUIRE(whys.size() == 4);
    for (const std::string& why : whys) CHECK_THAT(why, ContainsSubstring("requests and tokens per minute"));
  }
}

TEST_CASE("wait_bounds: one that is stopped before it has a slot has taken nothing of the minute",
          "[llm][wait_bounds]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(10s);
  auto llm = felix::model_ref{script} | felix::limit{1}.rate({}).waiting({.max_wait = 2s});
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(llm.complete(chat_request{}.user("x")));
    CHECK_THAT(refusal(co_await felix::as_result(llm.complete(chat_request{}.user("y")))),
               ContainsSubstring("no slot was free"));
    CHECK(llm.usage_stats().rate.unanswered == 1);  // the one that is in its slot
  };
  loop.run(felix::with_nursery(body));
  CHECK(llm.usage_stats().rate.unanswered == 0);
}
