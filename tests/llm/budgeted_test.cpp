// SPDX-License-Identifier: MIT
#include <felix/llm/budgeted.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
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

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
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

/// Its report is what it was told to say, whatever it answers; it cannot stream.
struct telling_model {
  felix::token_usage says;
  felix::task<felix::chat_response> complete(felix::chat_request) {
    felix::chat_response answer{std::string(640, 'x')};
    answer.usage(says);
    co_return answer;
  }
};

/// A delta says "x", and that 25 tokens more have been made. Without end.
struct counting_model {
  felix::task<felix::chat_response> complete(felix::chat_request request) {
    return collect(stream(std::move(request)));
  }
  felix::chat_stream stream(felix::chat_request) {
    auto whole = std::make_shared<felix::chat_stream::answer>();
    return {deltas(whole), whole};
  }
  static felix::async_generator<felix::chat_delta> deltas(std::shared_ptr<felix::chat_stream::answer> whole) {
    for (felix::token_count made = 25;; made += 25) {
      whole->response().text(whole->response().text() + "x");
      whole->response().usage({.prompt_tokens = 20, .completion_tokens = made, .total_tokens = 20 + made});
      co_yield felix::chat_delta{}.text("x");
    }
  }
};

/// Of a request, without what an estimator has learned.
felix::token_count bound_of(const chat_request& request) {
  return felix::any_estimator{}.at_most(felix::prompt_size_of(request));
}
felix::token_count plan_of(const chat_request& request) {
  return felix::any_estimator{}.planned(felix::prompt_size_of(request));
}

/// Reads `deltas` of a stream, and leaves it. What was reserved meanwhile.
felix::task<felix::token_count> leave(felix::streaming_model auto& llm, chat_request request, int deltas) {
  auto stream = llm.stream(std::move(request));
  for (int i = 0; i < deltas; ++i) static_cast<void>(co_await stream.next());
  co_return llm.budget().system_status().reserved;
}

/// Trusts its bound, or not.
struct wary_estimator {
  bool* alone;
  felix::token_count planned(const felix::prompt_size& size) const noexcept { return size.bytes / 2; }
  felix::token_count at_most(const felix::prompt_size& size) const noexcept { return size.text_bound; }
  void learn(const felix::prompt_size&, felix::token_count) const noexcept {}
  felix::estimate_confidence confidence(const felix::prompt_size&) const noexcept { return {}; }
  bool one_at_a_time() const noexcept { return *alone; }
  std::int64_t answers_seen() const noexcept { return 1; }
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

TEST_CASE("budgeted: max_tokens is always sent: the role's of a stage, or what is left", "[llm][budgeted][D4]") {
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
  CHECK(budget.system_status().stages.size() > 5);
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

TEST_CASE("budgeted: a retry is paid in full, as it was sent, or not made", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.loses = 1}};
  const auto asked = chat_request{}.user(std::string(200, 'q'));  // gets 150, or what is left
  const auto all = bound_of(asked) + felix::tokens_on_the_way + 150;
  SECTION("not in part") {
    strict_budget budget{{.session_cap_tokens = 2 * all - 50}};
    auto llm = model_ref{server} | felix::retry{} | charge{budget, {.role = "research"}};
    CHECK_THROWS_AS(loop.run(llm.complete(asked)), felix::transport_error);
    CHECK(server.requests() == 1);
    CHECK(budget.system_status().settled == all);
  }
  SECTION("as it was sent") {
    strict_budget budget{{.session_cap_tokens = 2 * all - 50}};
    // Leaves it 100 of 150, and gives back afterwards what pays for another 100.
    std::optional<felix::ledger::reservation> other{budget.reserve({.agent = "other", .answer_tokens = all})};
    auto llm = model_ref{server} | felix::retry{{.attempts = 2}} | charge{budget, {.role = "research"}};
    const auto give_back = [&]() -> felix::task<void> {
      co_await felix::sleep_for(100ms);
      other->release();
      other.reset();
    };
    std::vector<felix::task<void>> both;
    both.push_back(ask(llm, asked, 1h));
    both.push_back(give_back());
    loop.run(felix::when_all(std::move(both)));
    CHECK(server.requests() == 2);
    CHECK(budget.system_status().settled == 2 * (all - 50));
  }
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

TEST_CASE("budgeted: under a hard cap a prompt's bound is held, and what may be on the way", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.honours_max_tokens = false}};
  strict_budget budget;
  auto llm = model_ref{server} | charge{budget};
  const auto asked = question(300);
  CHECK(loop.run(leave(llm, asked, 5)) == bound_of(asked) + felix::tokens_on_the_way + 300);
  const auto left = budget.system_status().settled;
  CHECK(left == bound_of(asked) + 5 + felix::tokens_on_the_way);
  loop.run(llm.complete(question(60)));  // it is cut
  CHECK(budget.system_status().settled == left + bound_of(asked) + 60 + felix::tokens_on_the_way);
  CHECK(budget.system_status().answer_overrun + budget.system_status().prompt_overrun == 0);
}

TEST_CASE("budgeted: under a planned cap who leaves pays what was planned, and what came", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.honours_max_tokens = false}};
  felix::normal_budget budget;
  auto llm = model_ref{server} | charge{budget};
  const auto asked = question(60);
  CHECK(loop.run(leave(llm, asked, 5)) == plan_of(asked) + 60);
  felix::token_count settled = plan_of(asked) + 5 + felix::tokens_on_the_way;
  CHECK(budget.system_status().settled == settled);
  loop.run(leave(llm, asked, 50));
  settled += plan_of(asked) + 60;  // what is on the way is our guess, and no overrun
  CHECK(budget.system_status().settled == settled);
  loop.run(llm.complete(asked));
  settled += plan_of(asked) + 61;  // it was cut, and this was seen
  CHECK(budget.system_status().settled == settled);
}

TEST_CASE("budgeted: who leaves before anything has come pays for all of it", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {.loses = 1}};
  felix::normal_budget budget;
  auto llm = model_ref{server} | charge{budget};
  CHECK_THROWS_AS(loop.run(felix::timeout(2s, llm.complete(question(300)))), felix::timed_out);
  CHECK(budget.system_status().settled == plan_of(question(300)) + 300);
}

TEST_CASE("budgeted: what the server says in between counts", "[llm][budgeted]") {
  felix::simulated_loop loop;
  strict_budget budget;
  auto llm = counting_model{} | charge{budget};
  const auto answer = loop.run(llm.complete(question(60)));
  CHECK(answer.text() == "xxx");  // it came with 75
  CHECK(answer.finish_reason() == finish_reason::length);
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

TEST_CASE("budgeted: several answers are paid with a prompt each, and each may have a token", "[llm][budgeted]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  strict_budget hard{{.session_cap_tokens = 10'000}};
  auto paid_hard = model_ref{script} | charge{hard};
  const auto asked = question(40).n(3);
  const auto prompts = 3 * bound_of(asked), on_the_way = 3 * felix::tokens_on_the_way;
  CHECK(loop.run(leave(paid_hard, asked, 1)) == prompts + on_the_way + 120);
  CHECK(hard.system_status().settled == prompts + on_the_way + 1);
  felix::normal_budget planned{{.session_cap_tokens = 1'000'000}};
  auto paid_planned = model_ref{script} | charge{planned, {.agent = "npc", .role = "research"}};
  CHECK(loop.run(leave(paid_planned, asked, 1)) == 3 * plan_of(asked) + 120);
  CHECK(planned.system_status().settled == 3 * plan_of(asked) + on_the_way + 1);
  const auto many = chat_request{}.user("hello").n(128);
  strict_budget small{{.session_cap_tokens = 128 * (bound_of(many) + felix::tokens_on_the_way) + 50}};
  auto paid_small = model_ref{script} | charge{small};
  loop.run(leave(paid_small, many, 1));
  CHECK(script.requests().back().max_tokens() == 1);
}

TEST_CASE("budgeted: a model that cannot stream is charged the same way", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  strict_budget budget;
  auto llm = whole_model{server} | charge{budget};
  loop.run(llm.complete(question(60)));
  CHECK(budget.system_status().settled == server.spent().total_tokens);
  simulated_server busy{loop, {.refuses = 1}};
  auto refusing = whole_model{busy} | charge{budget};
  CHECK_THROWS_AS(loop.run(refusing.complete(question(60))), felix::api_error);
  CHECK(budget.system_status().settled == server.spent().total_tokens);
}

TEST_CASE("budgeted: of a model that cannot stream no report that hides tokens is believed either", "[llm][budgeted]") {
  felix::simulated_loop loop;
  felix::normal_budget budget;
  const felix::token_count prompt = GENERATE(2, 70), answer = GENERATE(2, 160);
  auto llm = telling_model{{.prompt_tokens = prompt, .completion_tokens = answer, .total_tokens = prompt + answer}} |
             charge{budget};
  const auto got = loop.run(llm.complete(question(200))).usage();
  const bool hides = prompt == 2 || answer == 2;
  CHECK(got.estimated == hides);
  CHECK(got.completion_tokens == (answer == 2 ? 640 / 16 : 160));
  CHECK(got.prompt_tokens == (hides ? std::max(prompt, plan_of(question(200))) : 70));
  CHECK(got.total_tokens == got.prompt_tokens + got.completion_tokens);
  CHECK(budget.system_status().settled == got.total_tokens);
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

TEST_CASE("budgeted: who does not wait fails at once, though others will give back", "[llm][budgeted]") {
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  strict_budget budget{{.session_cap_tokens = 1'100}};
  auto llm = model_ref{server} | charge{budget};
  std::vector<felix::task<void>> asked;
  for (std::uint64_t i = 0; i < 3; ++i) asked.push_back(ask(llm, question(200).seed(i), 1h));
  loop.run(felix::when_all(std::move(asked)));
  CHECK(server.requests() == 1);
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
  felix::normal_budget large{{.session_cap_tokens = 1'000'000}};
  auto several = model_ref{server} | charge{large, {.estimator = felix::calibrated_estimator{}}};
  const auto of_several = [&](std::uint64_t seed) { return chat_request{}.user(text).max_tokens(10).n(3).seed(seed); };
  const auto before_several = loop.run(leave(several, of_several(0), 1));
  for (std::uint64_t i = 0; i < 20; ++i) loop.run(several.complete(of_several(i)));  // it may be the prompt three times
  CHECK(loop.run(leave(several, of_several(0), 1)) == before_several);
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
  const auto settled = wallet.status().nano_cost->settled;
  simulated_server silent{loop, {.reports = report::none}};
  auto unknown = model_ref{silent} | charge{budget, {.price = price}};
  loop.run(unknown.complete(question(60)));
  const auto bound = bound_of(question(60)) + felix::tokens_on_the_way;
  CHECK(wallet.status().nano_cost->settled ==
        settled + price.at_most(bound, 60).nano_units());  // an estimate is no bill
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

TEST_CASE("budgeted: where a server counts more than its bound, one request is sent at a time", "[llm][budgeted]") {
  bool alone = GENERATE(true, false);
  CAPTURE(alone);
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  felix::normal_budget budget;
  auto llm = model_ref{server} | charge{budget, {.estimator = wary_estimator{&alone}}};
  const chat_request question = chat_request{}.user("Why?").max_tokens(50);
  int most = 0;
  loop.run([&]() -> felix::task<void> {
    co_await felix::with_nursery([&](felix::nursery& running) -> felix::task<void> {
      for (int i = 0; i < 4; ++i) running.spawn(ask(llm, question, 1h));
      for (int i = 0; i < 400; ++i) {
        most = std::max(most, server.in_flight());
        co_await felix::sleep_for(10ms);
      }
    });
  }());
  CHECK(most == (alone ? 1 : 4));
  CHECK(server.answered() == 4);
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("budgeted: who waits for his turn can leave, and whoever ends lets the most urgent go on",
          "[llm][budgeted]") {
  bool alone = true;
  felix::simulated_loop loop;
  simulated_server server{loop, {}};
  felix::normal_budget budget;
  auto llm = model_ref{server} | charge{budget, {.estimator = wary_estimator{&alone}}};
  std::string order;
  const auto asks = [&](char name, felix::request_priority priority,
                        std::chrono::nanoseconds patience) -> felix::task<void> {
    auto request = chat_request{}.user("Why?").max_tokens(50).priority(priority);
    const auto answer = co_await felix::as_result(felix::timeout(patience, llm.complete(std::move(request))));
    order += answer ? name : '-';
  };
  loop.run([&]() -> felix::task<void> {
    co_await felix::with_nursery([&](felix::nursery& running) -> felix::task<void> {
      running.spawn(asks('a', felix::request_priority::normal, 1h));
      running.spawn(asks('b', felix::request_priority::low, 1h));
      running.spawn(asks('c', felix::request_priority::normal, 50ms));  // gives up
      running.spawn(asks('d', felix::request_priority::urgent, 1h));
      co_return;
    });
  }());
  CHECK(order == "-adb");
  CHECK(server.requests() == 3);
  // A stream that is left, and a request that is stopped, let others go on too.
  CHECK(loop.run(leave(llm, chat_request{}.user("Why?").max_tokens(50), 2)) > 0);
  loop.run(ask(llm, chat_request{}.user("Why?").max_tokens(50), 10ms));
  loop.run(asks('e', felix::request_priority::normal, 1h));
  CHECK(order == "-adbe");
  // And so does one that the budget refuses.
  CHECK_THROWS_AS(loop.run(llm.complete(chat_request{}.user("Why?").max_tokens(50'000))), felix::budget_exceeded);
  loop.run(asks('f', felix::request_priority::normal, 1h));
  CHECK(order == "-adbef");
}
