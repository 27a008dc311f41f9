// SPDX-License-Identifier: MIT
#include <felix/llm/budgeted.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/budget/budget_scope.hpp>
#include <felix/budget/calibrated_estimator.hpp>
#include <felix/budget/counted_estimator.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/retrying.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"
#include "support/simulated_server.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using felix::charge;
using felix::chat_request;
using felix::finish_reason;
using felix::model_ref;
using felix::strict_budget;
using felix::test::server_manners;
using felix::test::simulated_server;
using report = felix::test::server_manners::report;

namespace {

chat_request question(felix::token_count most) { return chat_request{}.user(std::string(200, 'q')).max_tokens(most); }

/// Answers, and cannot stream.
struct whole_model {
  simulated_server& server;
  felix::task<felix::chat_response> complete(felix::chat_request request) {
    return server.complete(std::move(request));
  }
};

/// Whatever becomes of it.
felix::task<void> ask(felix::model auto& llm, chat_request request, std::chrono::nanoseconds patience) {
  static_cast<void>(co_await felix::as_result(felix::timeout(patience, llm.complete(std::move(request)))));
}

}  // namespace

static_assert(felix::streaming_model<felix::budgeted<model_ref>>);
static_assert(felix::model<felix::budgeted<whole_model>> && !felix::streaming_model<felix::budgeted<whole_model>>);

TEST_CASE("budgeted: a request is charged for what the server reports, and the rest goes back", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  strict_budget budget;
  auto llm = model_ref{server} | charge{budget};
  const auto answer = loop.run(llm.complete(question(60)));
  CHECK(answer.usage() == server.spent());
  CHECK(budget.system_status().settled == server.spent().total_tokens);
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("budgeted: what the budget does not cover is not sent", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  strict_budget budget{{.session_cap_tokens = 300}};
  auto llm = model_ref{server} | charge{budget};
  CHECK_THROWS_AS(loop.run(llm.complete(question(200))), felix::budget_exceeded);
  CHECK(server.requests() == 0);
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("budgeted: max_tokens is always sent: the role's of a stage, or what is left", "[llm][budgeted]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  strict_budget budget{{.session_cap_tokens = 450}};
  auto llm = model_ref{script} | charge{budget, {.role = "research"}};
  loop.run(llm.complete(chat_request{}.user("hello")));
  CHECK(script.requests().at(0).max_tokens() == 150);
  loop.run(llm.complete(chat_request{}.user(std::string(340, 'q'))));
  CHECK(script.requests().at(1).max_tokens().value() < 150);
}

TEST_CASE("budgeted: an agent's allotment holds, stage by stage, whatever max_tokens says", "[llm][budgeted]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply(std::string(4'000, 'x'));
  felix::normal_budget budget;
  auto llm = model_ref{script} | charge{budget, {.agent = "npc", .role = "research"}};
  felix::token_count used = 0;
  for (;;) {
    const auto answer = loop.run(felix::as_result(llm.complete(chat_request{}.user("more").max_tokens(1'000))));
    if (!answer) break;
    CHECK(answer->usage().completion_tokens <= 150);
    used += answer->usage().completion_tokens;
  }
  CHECK(used <= 1'440);
  CHECK(used > 1'200);
}

TEST_CASE("budgeted: who ignores max_tokens is cut, in a stream too", "[llm][budgeted]") {
  const bool streamed = GENERATE(false, true);
  felix::simulated_loop loop;
  simulated_server server{loop, {.honours_max_tokens = false}};
  strict_budget budget;
  auto llm = model_ref{server} | charge{budget};
  const auto answer = loop.run(streamed ? felix::collect(llm.stream(question(60))) : llm.complete(question(60)));
  CHECK(answer.finish_reason() == finish_reason::length);
  CHECK(answer.usage().estimated);
  CHECK(server.in_flight() == 0);
  CHECK(server.spent().completion_tokens <= 64);
  CHECK(budget.system_status().settled >= server.spent().total_tokens);
}

TEST_CASE("budgeted: a report that hides tokens is not believed, and none is charged as reserved", "[llm][budgeted]") {
  const auto reports = GENERATE(report::too_little, report::none);
  felix::simulated_loop loop;
  simulated_server server{loop, {.reports = reports}};
  strict_budget budget;
  auto llm = model_ref{server} | charge{budget};
  CHECK(loop.run(llm.complete(question(60))).usage().estimated);
  CHECK(budget.system_status().settled >= server.spent().total_tokens);
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("budgeted: who refuses costs nothing, and what is lost is charged in full", "[llm][budgeted]") {
  felix::simulated_loop loop;
  strict_budget budget;
  simulated_server busy{loop, {.refuses = 1}};
  auto refusing = model_ref{busy} | charge{budget};
  CHECK_THROWS_AS(loop.run(refusing.complete(question(60))), felix::api_error);
  CHECK(budget.system_status().settled == 0);
  simulated_server gone{loop, {.loses = 1}};
  auto losing = model_ref{gone} | charge{budget};
  CHECK_THROWS_AS(loop.run(losing.complete(question(60))), felix::transport_error);
  CHECK(budget.system_status().settled >= gone.spent().total_tokens);
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("budgeted: a retry of what may have cost something is paid first, or not made", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.loses = 1}};
  strict_budget budget{{.session_cap_tokens = 1'100}};
  auto llm = model_ref{server} | felix::retry{{.attempts = 10}} | charge{budget};
  CHECK_THROWS_AS(loop.run(llm.complete(question(60))), felix::transport_error);
  CHECK(server.requests() == 2);  // at 405 tokens each, beside the next one
  CHECK(server.spent().total_tokens <= 1'100);
  CHECK(budget.system_status().settled >= server.spent().total_tokens);
  CHECK(budget.system_status().settled <= 1'100);
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("budgeted: who leaves a stream pays for what came, not for all", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  strict_budget budget;
  auto llm = model_ref{server} | charge{budget};
  const auto leave = [&]() -> felix::task<void> {
    auto stream = llm.stream(question(500));
    for (int i = 0; i < 5; ++i) static_cast<void>(co_await stream.next());
  };
  loop.run(leave());
  CHECK(server.in_flight() == 0);
  const auto status = budget.system_status();
  CHECK(status.reserved == 0);
  CHECK(status.settled >= server.spent().total_tokens);
  CHECK(status.settled < 500);
}

TEST_CASE("budgeted: a stop charges what may have been made, and nothing stays reserved", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  strict_budget budget;
  auto llm = model_ref{server} | charge{budget};
  const auto when = GENERATE(100ms, 700ms);
  CHECK_THROWS_AS(loop.run(felix::timeout(when, llm.complete(question(300)))), felix::timed_out);
  CHECK(server.in_flight() == 0);
  CHECK(budget.system_status().reserved == 0);
  CHECK(budget.system_status().settled >= server.spent().total_tokens);
}

TEST_CASE("budgeted: several answers are paid together", "[llm][budgeted]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  strict_budget budget;
  auto llm = model_ref{script} | charge{budget};
  loop.run(llm.complete(question(40).n(3)));
  CHECK(script.requests().at(0).max_tokens() == 40);
  CHECK_THROWS_AS(loop.run(llm.complete(question(600).n(3))), felix::budget_exceeded);
}

TEST_CASE("budgeted: a model that cannot stream is charged the same way", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  strict_budget budget;
  auto llm = whole_model{server} | charge{budget};
  loop.run(llm.complete(question(60)));
  CHECK(budget.system_status().settled == server.spent().total_tokens);
}

TEST_CASE("budgeted: who waits gets the tokens that others give back, the most urgent first", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  strict_budget budget{{.session_cap_tokens = 1'100}};
  auto llm = model_ref{server} | charge{budget, {.waits = true}};
  std::vector<std::string> order;
  const auto ask_as = [&](std::string name, felix::request_priority priority) -> felix::task<void> {
    co_await llm.complete(question(200).priority(priority).user(name));
    order.push_back(name);
  };
  std::vector<felix::task<void>> asked;
  asked.push_back(ask_as("first", felix::request_priority::normal));
  asked.push_back(ask_as("low", felix::request_priority::low));
  asked.push_back(ask_as("urgent", felix::request_priority::urgent));
  loop.run(felix::when_all(std::move(asked)));
  CHECK(order == std::vector<std::string>{"first", "urgent", "low"});
  CHECK(server.spent().total_tokens <= 1'100);
  CHECK_THROWS_AS(loop.run(llm.complete(question(2'000))), felix::budget_exceeded);  // it never can
}

TEST_CASE("budgeted: an estimator learns from what is reported, and its plan counts under a planned cap",
          "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.tokens_per_byte = 0.25, .template_tokens = 10}};
  felix::normal_budget budget{{.session_cap_tokens = 10'000}};
  auto llm = model_ref{server} | charge{budget, {.estimator = felix::calibrated_estimator{}}};
  const auto reserved_by = [&](std::string text) -> felix::task<felix::token_count> {
    auto stream = llm.stream(chat_request{}.user(std::move(text)).max_tokens(10));
    static_cast<void>(co_await stream.next());
    co_return budget.system_status().reserved;
  };
  const auto text = std::string(1'000, 'q');
  const auto before = loop.run(reserved_by(text));
  for (std::uint64_t i = 0; i < 20; ++i) loop.run(llm.complete(chat_request{}.user(text).max_tokens(10).seed(i)));
  const auto after = loop.run(reserved_by(text));
  CHECK(before >= 1'000);
  CHECK(after <= 400);
}

TEST_CASE("budgeted: with a count of the server itself no more than that is reserved", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.tokens_per_byte = 0.25, .template_tokens = 10}};
  strict_budget budget{{.session_cap_tokens = 400}};
  int counts = 0;
  const auto count = [&](chat_request request) -> felix::task<felix::prompt_count> {
    ++counts;
    const auto bytes = static_cast<felix::token_count>(request.messages().front().content.size());
    co_return felix::prompt_count{.tokens = (bytes + 3) / 4 + 10, .of = felix::prompt_count::scope::whole, .by = 1};
  };
  auto llm = model_ref{server} | charge{budget, {.estimator = felix::counted_estimator{1}, .count = count}};
  auto blind = model_ref{server} | charge{budget};
  const chat_request long_question = chat_request{}.user(std::string(600, 'q')).max_tokens(50);
  CHECK_THROWS_AS(loop.run(blind.complete(long_question)), felix::budget_exceeded);
  CHECK(loop.run(llm.complete(long_question)).usage() == server.spent());
  CHECK(counts == 1);
}

TEST_CASE("budgeted: a cap in money holds, and what a model costs is charged there", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  const felix::model_price price{.prompt = "1", .answer = "4"};
  felix::budget_scope wallet{"wallet", {.tokens = 1'000'000, .nano_cost = felix::money{"0.001"}.nano_units()}};
  felix::normal_budget budget{{.within = &wallet}};
  auto llm = model_ref{server} | charge{budget, {.price = price}};
  loop.run(llm.complete(question(60)));
  CHECK(wallet.status().nano_cost->settled == price.cost(server.spent()).nano_units());
  CHECK(wallet.status().tokens.settled == server.spent().total_tokens);
  CHECK_THROWS_AS(loop.run(llm.complete(question(400))), felix::budget_exceeded);  // 0.0016 for the answer
  CHECK(server.requests() == 1);
  CHECK(wallet.status().nano_cost->reserved == 0);
}

TEST_CASE("budgeted: the server's count never exceeds a hard cap, by seed", "[llm][budgeted]") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    felix::seeded_random random{seed};
    const auto sometimes = [&](double share, double value) { return random.uniform(0, 1) < share ? value : 0; };
    const server_manners manners{.tokens_per_byte = random.uniform(0.1, 1),
                                 .honours_max_tokens = sometimes(0.7, 1) != 0,
                                 .reports = static_cast<report>(random.next() % 4),
                                 .refuses = sometimes(0.3, 0.2),
                                 .loses = sometimes(0.3, 0.2),
                                 .breaks_off = sometimes(0.3, 0.2)};
    felix::simulated_loop loop{seed};
    simulated_server server{loop, manners, seed};
    strict_budget budget{{.session_cap_tokens = 3'000}};
    auto llm = model_ref{server} | felix::limit{3} | felix::retry{} | charge{budget};
    std::vector<felix::task<void>> asked;
    for (std::uint64_t i = 0; i < 12; ++i) {
      auto request = question(40 + static_cast<felix::token_count>(random.next() % 60)).seed(i);
      const auto patience = std::chrono::milliseconds{200 + random.next() % 4'000};
      asked.push_back(ask(llm, std::move(request), patience));
    }
    loop.run(felix::when_all(std::move(asked)));
    const auto status = budget.system_status();
    CHECK(server.spent().total_tokens <= status.cap);
    CHECK(status.settled >= server.spent().total_tokens);
    CHECK(status.reserved == 0);
    CHECK(server.in_flight() == 0);
  }
}
