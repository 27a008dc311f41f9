// SPDX-License-Identifier: MIT
#include <felix/llm/limited.hpp>

#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/when_all.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using felix::chat_request;
using felix::request_priority;

static_assert(felix::model<felix::limited<felix::scripted_model>>);

TEST_CASE("limited: never more than the limit at once, and all are answered", "[llm][limited]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{4};
  std::vector<felix::task<felix::chat_response>> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(llm.complete(chat_request{}.user("x")));
  const auto answers = loop.run(felix::when_all(std::move(asked)));
  CHECK(answers.size() == 10);
  CHECK(script.max_in_flight() == 4);
  CHECK(loop.now() == felix::simulated_loop::start + 3s);  // 4 + 4 + 2: no slot idles
  CHECK(llm.status().in_use == 0);
}

TEST_CASE("limited: urgent overtakes forty waiting low requests", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{2};
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    for (int i = 0; i < 42; ++i) n.spawn(llm.complete(chat_request{}.user("low").priority(request_priority::low)));
    n.spawn(llm.complete(chat_request{}.user("urgent").priority(request_priority::urgent)));
    CHECK(llm.status().waiting[static_cast<std::size_t>(request_priority::low)] == 40);
    CHECK(llm.status().waiting_in_all() == 41);
    co_return;
  };
  loop.run(felix::with_nursery(body));
  REQUIRE(script.requests().size() == 43);
  CHECK(script.requests()[2].messages()[0].content == "urgent");  // after the two that were in their slots
}

TEST_CASE("limited: the wait is told, and a failure gives the slot back", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("bad").fail(felix::error{felix::errc::transport, "gone"}).after(2s);
  script.on("").reply("ok").after(1s);
  auto llm = felix::model_ref{script} | felix::limit{1};
  const auto both = [](auto& model) -> felix::task<felix::chat_response> {
    auto [failed, answered] = co_await felix::when_all(felix::as_result(model.complete(chat_request{}.user("bad"))),
                                                       model.complete(chat_request{}.user("good")));
    CHECK_FALSE(failed);
    co_return answered;
  };
  const auto answer = loop.run(both(llm));
  CHECK(answer.timing().waited == 2s);
  CHECK(answer.timing().total == 1s);
  CHECK(llm.status().in_use == 0);
}

TEST_CASE("limited: a stop while waiting leaves the queue, and one in flight gives its slot back", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(1h);
  auto llm = felix::model_ref{script} | felix::limit{1};
  felix::stop_source stop_flying, stop_waiting;
  std::vector<felix::request_cost> costs;
  const auto note = [&](felix::result<felix::chat_response> r) {
    try {
      r.value();
    } catch (const felix::cancelled& ended) {
      costs.push_back(ended.cost());
    }
  };
  loop.spawn(llm.complete(chat_request{}.user("a")), note, stop_flying.get_token());
  loop.spawn(llm.complete(chat_request{}.user("b")), note, stop_waiting.get_token());
  stop_waiting.request_stop();
  loop.poll();
  CHECK(costs == std::vector{felix::request_cost::none});  // it was never sent
  CHECK(llm.status().in_use == 1);
  CHECK(llm.status().waiting_in_all() == 0);
  stop_flying.request_stop();
  loop.poll();
  CHECK(costs == std::vector{felix::request_cost::none, felix::request_cost::unknown});
  CHECK(llm.status().in_use == 0);
  CHECK(script.requests().size() == 1);
}

TEST_CASE("limited: a limit of 0 is refused", "[llm][limited]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  CHECK_THROWS_AS(felix::model_ref{script} | felix::limit{0}, felix::error);
}
