// SPDX-License-Identifier: MIT
// budget: a ledger within scopes, its waiting mode, its statuses, and many threads on one ledger.
#include <felix/budget/ledger.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/async/thread_pool.hpp>
#include <felix/async/timeout.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/random.hpp>
#include "support/allocation_count.hpp"
#include "support/catch.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <list>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using felix::budget_scope;
using felix::ledger;
using felix::request_priority;
using felix::reservation_request;
using felix::reservation_size;
using felix::token_count;
using felix::token_usage;
using felix::when_free;
using namespace std::chrono_literals;

namespace {

struct wide_allotment {
  token_count base_tokens = 1'000;
  token_count stage_max_tokens = 100;
  felix::allotment operator()(const felix::role_id& role) const noexcept {
    if (role.name() == "small") return {.base_tokens = 120, .stage_max_tokens = 50};
    return {.base_tokens = base_tokens, .stage_max_tokens = stage_max_tokens};
  }
};
using hard_budget = felix::token_budget<wide_allotment, felix::no_taper, felix::hard_cap>;
using planned_budget = felix::token_budget<wide_allotment, felix::no_taper, felix::planned_cap>;

token_usage used(token_count prompt, token_count completion) {
  return {.prompt_tokens = prompt, .completion_tokens = completion, .total_tokens = prompt + completion};
}
reservation_request of(const char* agent, token_count at_most = 0, token_count answer = 0) {
  return {
      .agent = agent, .role = "r", .prompt_tokens_at_most = at_most, .answer_tokens = answer, .nano_cost_at_most = 0};
}

}  // namespace

static_assert(!std::is_aggregate_v<when_free<reservation_request>> && !std::is_aggregate_v<ledger::waiter>,
              "g++ 12 would destroy it twice");

TEST_CASE("ledger: reserves in the scopes around it what it keeps under its cap", "[budget][ledger][scopes]") {
  budget_scope company{"company", 5'000};
  budget_scope team{company, "team", 1'000};
  const reservation_request asked{
      .agent = "a", .role = "r", .prompt_tokens_at_most = 300, .prompt_tokens_planned = 100, .answer_tokens = 50};
  SECTION("worst cases") {
    hard_budget budget{{.session_cap_tokens = 2'000, .within = &team}};
    auto slice = budget.reserve(asked);
    CHECK(team.status().tokens.reserved == 350);
    CHECK(company.status().tokens.reserved == 350);
    slice.settle(used(200, 50));
  }
  SECTION("what is planned") {
    planned_budget budget{{.session_cap_tokens = 2'000, .within = &team}};
    auto slice = budget.reserve(asked);
    CHECK(team.status().tokens.reserved == 150);
    slice.settle(used(200, 50));
    CHECK(team.status().tokens.overrun == 100);
  }
  CHECK(team.status().tokens.settled == 250);
  CHECK(company.status().tokens.settled == 250);
  CHECK(company.status().tokens.reserved == 0);
}

TEST_CASE("ledger: what a scope refuses is held nowhere, and the scope is named", "[budget][ledger][scopes]") {
  budget_scope team{"team", {.tokens = 400, .nano_cost = 1'000}};
  hard_budget budget{{.session_cap_tokens = 2'000, .within = &team}};
  CHECK_FALSE(budget.try_reserve(of("a", 301, 100)));
  try {
    auto slice = budget.reserve(of("a", 301));
    FAIL("granted " << slice.max_tokens());
  } catch (const felix::budget_exceeded& refused) {
    CHECK(std::string{refused.what()} ==
          "budget: a asked for 401 tokens, 400 of 400 are left in \"team\"; ask for less, or raise the scope's cap");
  }
  CHECK(budget.system_status().reserved == 0);
  CHECK(budget.system_status().agents.empty());
  CHECK(budget.stage_tokens("a", "r", 1) == 100);
  CHECK(team.status().tokens.reserved == 0);

  auto part = budget.try_reserve({.agent = "a",
                                  .role = "r",
                                  .prompt_tokens_at_most = 350,
                                  .size = reservation_size::what_is_left,
                                  .nano_cost_at_most = 0});
  REQUIRE(part);
  CHECK(part->max_tokens() == 50);
  CHECK(budget.system_status().reserved == 400);
  CHECK(budget.agent_status("a").answer_reserved == 50);
  CHECK(budget.agent_status("a").left() == 950);
  part->release();

  CHECK_FALSE(budget.try_reserve({.agent = "a", .role = "r", .nano_cost_at_most = 1'001}));
  auto paid = budget.try_reserve({.agent = "a", .role = "r", .nano_cost_at_most = 600});
  auto also = budget.try_reserve({.agent = "a", .role = "r", .nano_cost_at_most = 400});
  REQUIRE((paid && also));
  paid->settle(used(10, 10), 250);
  also->settle(used(10, 10));  // its price is not known: all that was reserved
  CHECK(team.status().nano_cost->settled == 650);
}

TEST_CASE("ledger: two sessions share what is around them", "[budget][ledger][scopes]") {
  budget_scope company{"company", 1'000};
  hard_budget first{{.session_cap_tokens = 800, .within = &company}};
  hard_budget second{{.session_cap_tokens = 800, .within = &company}};
  auto one = first.reserve(of("a", 500));
  CHECK_FALSE(second.try_reserve(of("a", 301, 100)));
  auto two = second.reserve(of("a", 300));
  CHECK(company.status().tokens.left() == 0);
  one.settle(used(100, 100));
  two.settle(used(100, 50));
  CHECK(company.status().tokens.settled == first.system_status().settled + second.system_status().settled);
}

TEST_CASE("set_aside: is held in the scopes around it, too", "[budget][ledger][scopes]") {
  budget_scope company{"company", 1'000};
  hard_budget budget{{.session_cap_tokens = 2'000, .within = &company}};
  auto kept = budget.keep_aside(300, 400);
  CHECK(company.status().tokens.reserved == 400);
  CHECK_FALSE(kept.resize(300, 1'001));
  CHECK_FALSE(kept.resize(1'500, 1'001));
  CHECK(budget.system_status().reserved == 400);
  CHECK(kept.resize(300, 900));
  CHECK(company.status().tokens.reserved == 900);
  CHECK(kept.resize(300, 400));
  CHECK(company.status().tokens.reserved == 400);

  auto others = company.reserve({.tokens = 600});
  auto text = budget.try_reserve(of("a", 100, 100), kept);  // nothing else is free
  REQUIRE(text);
  CHECK(kept.tokens() == 200);
  CHECK(company.status().tokens.reserved == 1'000);
  CHECK_FALSE(budget.try_reserve(of("a", 100, 101), kept));
  CHECK(kept.tokens() == 200);
  CHECK(company.status().tokens.reserved == 1'000);
  text->release();
  CHECK(company.status().tokens.reserved == 800);
  kept.release();
  CHECK(company.status().tokens.reserved == 600);
  others.release();
  try {
    auto more = budget.keep_aside(100, 1'001);
    FAIL("kept " << more.tokens());
  } catch (const felix::budget_exceeded& refused) {
    CHECK(std::string{refused.what()} ==
          "budget: the final text asked for 1001 tokens, 1000 of 1000 are left in \"company\"; ask for less, or raise "
          "the scope's cap");
  }
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("set_aside: keeps money, too, which changes hands with the request", "[budget][ledger][scopes]") {
  budget_scope company{"company", {.tokens = 5'000, .nano_cost = 1'000}};
  hard_budget budget{{.session_cap_tokens = 1'000, .within = &company}};
  const auto reserved = [&] { return company.status().nano_cost->reserved; };
  const auto costs = [&](std::int64_t nano_cost) {
    auto request = of("a", 100, 50);
    request.nano_cost_at_most = nano_cost;
    return request;
  };
  auto kept = budget.keep_aside(300, 300, 600);
  CHECK(reserved() == 600);
  CHECK_FALSE(budget.try_reserve(costs(401)));  // nobody else gets it
  CHECK(reserved() == 600);
  auto beside = budget.reserve(costs(400));
  {
    auto text = budget.try_reserve(costs(250), kept);
    REQUIRE(text);
    CHECK(reserved() == 1'000);  // 350 are still aside
    text->settle({.prompt_tokens = 100, .completion_tokens = 20, .total_tokens = 120}, 200);
    CHECK(reserved() == 750);
    CHECK(company.status().nano_cost->settled == 200);
  }
  CHECK_FALSE(kept.resize(150, 150, 401));  // 50 came back
  CHECK(reserved() == 750);
  CHECK(kept.resize(150, 150, 400));
  CHECK(reserved() == 800);
  CHECK_FALSE(budget.try_reserve(costs(401), kept));
  CHECK(reserved() == 800);
  auto all = budget.try_reserve(costs(400), kept);
  REQUIRE(all);
  CHECK(reserved() == 800);
  all->release();
  CHECK(reserved() == 400);
  kept.release();
  auto again = budget.keep_aside(100, 100, 300);
  CHECK(reserved() == 700);
  CHECK(again.resize(50, 50, 100));
  CHECK(reserved() == 500);
  again.release();
  CHECK(reserved() == 400);
  beside.release();
  CHECK(reserved() == 0);
  try {
    auto more = budget.keep_aside(100, 100, 801);
    FAIL("kept " << more.tokens());
  } catch (const felix::budget_exceeded& refused) {
    CHECK(
        std::string{refused.what()} ==
        "budget: the final text asked for 801 nano-units of money, 800 of 1000 are left in \"company\"; ask for less, "
        "or raise the scope's cap");
  }
  CHECK(reserved() == 0);
  CHECK(company.status().tokens.reserved == 0);
}

TEST_CASE("set_aside: what an overrun has eaten of it is let go in the scopes, too", "[budget][ledger][scopes]") {
  budget_scope company{"company", 5'000};
  hard_budget budget{{.session_cap_tokens = 1'000, .within = &company}};
  auto kept = budget.keep_aside(400, 400);
  auto held = budget.reserve(of("a", 500, 100));
  held.settle(used(500, 200));  // 100 too many
  auto text = budget.try_reserve(of("a", 50, 50), kept);
  REQUIRE(text);
  CHECK(kept.tokens() == 200);
  CHECK(company.status().tokens.reserved == 300);
  text->release();
  kept.release();
  CHECK(company.status().tokens.reserved == 0);
}

TEST_CASE("set_aside: what a scope refuses of a request leaves it as it was, after an overrun",
          "[budget][ledger][scopes]") {
  budget_scope company{"company", {.tokens = 5'000, .nano_cost = 10}};
  const bool hard = GENERATE(true, false);
  hard_budget strict{{.session_cap_tokens = 1'000, .within = &company}};
  planned_budget normal{{.session_cap_tokens = 1'000, .within = &company}};
  ledger& budget = hard ? static_cast<ledger&>(strict) : static_cast<ledger&>(normal);
  auto kept = budget.keep_aside(400, 400);
  auto held = budget.reserve(of("a", 500, 100));
  held.settle(used(500, 200));
  CHECK_FALSE(budget.try_reserve({.agent = "a", .role = "r", .answer_tokens = 50, .nano_cost_at_most = 11}, kept));
  CHECK(kept.tokens() == 400);
  CHECK(budget.system_status().reserved == 400);
  CHECK(company.status().tokens.reserved == 400);
}

TEST_CASE("ledger: an agent keeps the role it was first seen with, and is never refilled", "[budget][ledger]") {
  hard_budget budget{{.session_cap_tokens = 10'000}};
  auto first = budget.reserve({.agent = "a", .role = "small"});
  CHECK(first.max_tokens() == 50);
  first.settle(used(0, 50));
  auto second = budget.reserve({.agent = "a", .role = "r", .stage = 2});  // as if it were of another role
  CHECK(second.max_tokens() == 50);
  second.settle(used(0, 50));
  CHECK(budget.stage_tokens("a", "r", 3) == 20);
  CHECK(budget.stage_tokens("b", "r", 3) == 100);
  auto other = budget.reserve({.agent = "b", .role = "r"});  // changes nothing for the first
  other.settle(used(0, 10));
  CHECK(budget.stage_tokens("a", "small", 3) == 20);
  const auto status = budget.system_status();
  CHECK(status.roles.at("small").answer_tokens == 100);
  CHECK(status.roles.at("small").base_tokens == 120);
  CHECK(status.roles.at("r").answer_tokens == 10);
}

TEST_CASE("ledger: says how well it was kept to, by agent, role and stage", "[budget][ledger]") {
  hard_budget budget{{.session_cap_tokens = 10'000}};
  budget.reserve({.agent = "a", .role = "r", .stage = 1, .prompt_tokens_at_most = 20}).settle(used(20, 80));
  budget.reserve({.agent = "a", .role = "r", .stage = 2, .prompt_tokens_at_most = 20}).settle(used(20, 150));
  budget.reserve({.agent = "b", .role = "r", .stage = 1, .prompt_tokens_at_most = 20}).settle(used(50, 100));
  auto open = budget.reserve({.agent = "b", .role = "r", .stage = 2, .prompt_tokens_at_most = 30});
  budget.reserve({.agent = "b", .role = "r", .stage = 99}).settle(used(0, 1));
  budget.reserve({.agent = "b", .role = "r", .stage = 40}).settle(used(0, 2));
  budget.reserve({.agent = "b", .role = "r", .stage = 3}).release();

  const auto a = budget.agent_status("a");
  CHECK(a.allotted() == 1'000);
  CHECK(a.used() == 230);
  CHECK(a.left() == 770);
  CHECK(a.settled == 270);
  CHECK(a.granted == 200);
  CHECK(a.efficiency() == Approx(0.23));
  CHECK(a.compliance() == Approx(0.5));
  CHECK(a.overruns == 1);
  CHECK(a.answer_overrun == 50);
  CHECK(a.prompt_overrun == 0);
  CHECK(a.answers_beyond == 50);

  const auto status = budget.system_status();
  CHECK(status.agents.at("b").prompt_overrun == 30);
  CHECK(status.agents.at("b").answer_overrun == 0);
  CHECK(status.agents.at("b").reserved == 130);
  CHECK(status.agents.at("b").answer_reserved == 100);
  CHECK(status.roles.at("r").overruns == 2);
  CHECK(status.roles.at("r").stages == 5);
  CHECK(status.roles.at("r").compliance() == Approx(0.6));
  CHECK(status.compliance() == Approx(0.6));
  CHECK(status.used() == status.settled);
  CHECK(status.allotted() == 10'000);
  CHECK(status.efficiency() == Approx(static_cast<double>(status.settled) / 10'000));
  REQUIRE(status.stages.count(1) == 1);
  CHECK(status.stages.at(1).stages == 2);
  CHECK(status.stages.at(1).allotted() == 200);
  CHECK(status.stages.at(1).used() == 180);
  CHECK(status.stages.at(2).stages == 1);
  CHECK(status.stages.at(2).reserved == 130);
  CHECK(status.stages.at(3).stages == 0);
  CHECK(status.stages.at(3).allotted() == 0);  // nothing was sent
  CHECK(status.stages.at(16).stages == 2);     // the last that is told apart
  CHECK(budget.agent_status("nobody").allotted() == 0);
  open.release();
}

TEST_CASE("ledger: allocates when an agent is first seen, or has more in flight than ever before", "[budget][ledger]") {
  budget_scope company{"company", 5'000};
  hard_budget budget{{.session_cap_tokens = 5'000, .within = &company}};
  {
    auto first = budget.reserve(of("a", 10));
    auto second = budget.reserve(of("a", 10));
    first.release();
    second.release();
  }
  const felix::test::allocation_count since;
  {
    auto first = budget.reserve(of("a", 10));
    auto second = budget.reserve(of("a", 10));
    first.settle(used(5, 5));
    const auto too_much = budget.try_reserve(of("a", 6'000));
    second.release();
    auto kept = budget.keep_aside(100, 100);
    static_cast<void>(kept.resize(50, 50));
  }
  CHECK(since.calls() == 0);
}

// --- Waiting ---

namespace {

const auto ignore = [](felix::result<void>) {};

felix::task<> pass_time(std::chrono::milliseconds time) { co_await felix::sleep_for(time); }

felix::task<> wait_for(ledger& budget, reservation_request request, request_priority priority, std::string name,
                       std::string& log, std::list<ledger::reservation>& kept) {
  const when_free asked{request, priority};
  try {
    auto got = co_await budget.reserve(asked);
    kept.push_back(std::move(got));
    log += name;
  } catch (const felix::budget_exceeded&) {
    log += name + "!";
  } catch (const felix::timed_out&) {
    log += name + "?";
  }
}

struct waiting_room {
  felix::simulated_loop loop{1};
  std::string log;
  std::list<ledger::reservation> kept;  // in the order of the log

  void come(ledger& budget, const reservation_request& request, const char* name,
            request_priority priority = request_priority::normal) {
    loop.spawn(wait_for(budget, request, priority, name, log, kept), ignore);
    loop.poll();
  }
  // Settles the one that was granted first.
  void settle(const token_usage& usage) {
    kept.front().settle(usage);
    kept.pop_front();
    loop.poll();
  }
  void release_all() {
    while (!kept.empty()) settle({});
  }
};

}  // namespace

TEST_CASE("ledger: waits until the session's cap has room, the most urgent first", "[budget][ledger][waiting]") {
  waiting_room room;
  hard_budget budget{{.session_cap_tokens = 400}};
  room.come(budget, of("a", 300), "a");
  room.come(budget, of("b", 300), "b");
  room.come(budget, of("c", 300), "c", request_priority::high);
  room.come(budget, of("d", 0, 1), "d", request_priority::low);
  CHECK(room.log == "a");
  room.settle({});
  CHECK(room.log == "ac");
  room.settle({});
  CHECK(room.log == "acb");
  room.settle({});
  CHECK(room.log == "acbd");
  room.release_all();
  CHECK(budget.system_status().reserved == 0);
}

TEST_CASE("ledger: waits for what another session gives back", "[budget][ledger][waiting]") {
  waiting_room room;
  budget_scope company{"company", 500};
  hard_budget first{{.session_cap_tokens = 500, .within = &company}};
  planned_budget second{{.session_cap_tokens = 500, .within = &company}};
  room.come(first, of("a", 400), "a");
  room.come(second, of("a", 100), "b");
  CHECK(room.log == "a");
  SECTION("settled") { room.settle(used(100, 50)); }
  SECTION("released") { room.settle({}); }
  SECTION("dropped") {
    auto kept = company.try_reserve({.tokens = 1});
    CHECK_FALSE(kept);
    room.kept.front().settle(used(250, 50));
    room.kept.pop_front();
    room.loop.poll();
  }
  CHECK(room.log == "ab");
  room.release_all();
}

TEST_CASE("ledger: waits for what was set aside", "[budget][ledger][waiting]") {
  waiting_room room;
  hard_budget budget{{.session_cap_tokens = 500}};
  auto kept = budget.keep_aside(400, 400);
  room.come(budget, of("a", 100), "a");
  CHECK(room.log == "");
  CHECK(kept.resize(350, 350));
  room.loop.poll();
  CHECK(room.log == "");
  SECTION("shrunk") { CHECK(kept.resize(300, 300)); }
  SECTION("released") { kept.release(); }
  room.loop.poll();
  CHECK(room.log == "a");
  room.release_all();
}

TEST_CASE("ledger: who waits for his agent's other requests holds up no other agent", "[budget][ledger][waiting]") {
  waiting_room room;
  hard_budget budget{{.session_cap_tokens = 5'000, .min_stage_tokens = 30}};
  const reservation_request small{.agent = "s", .role = "small"};
  room.come(budget, small, "a");
  room.come(budget, small, "b");
  room.come(budget, small, "c", request_priority::urgent);  // 20 are left
  room.come(budget, of("o"), "o", request_priority::low);
  CHECK(room.log == "abo");
  room.settle(used(0, 30));
  CHECK(room.log == "aboc");
  CHECK(room.kept.back().max_tokens() == 40);
  room.release_all();
}

TEST_CASE("ledger: a request that says no price has no place in a cap in money", "[budget][ledger][scopes]") {
  budget_scope company{"company", {.tokens = 1'000, .nano_cost = 50}};
  budget_scope team{company, "team", 500};
  CHECK(company.caps_money());
  CHECK(team.caps_money());
  CHECK_FALSE(budget_scope{"tokens", 500}.caps_money());
  hard_budget budget{{.session_cap_tokens = 400, .within = &team}};
  const reservation_request unpriced{.agent = "a", .role = "r"};
  CHECK_FALSE(budget.try_reserve(unpriced));
  CHECK_THROWS_WITH(budget.reserve(unpriced),
                    "budget: a says no price, and \"company\" has a cap in money; give the model's price");
  CHECK(company.status().tokens.reserved == 0);
  waiting_room room;
  room.come(budget, unpriced, "a");
  CHECK(room.log == "a!");
  budget.reserve(of("a")).release();
}

TEST_CASE("ledger: a wait fails when it can never succeed", "[budget][ledger][waiting]") {
  waiting_room room;
  budget_scope company{"company", {.tokens = 1'000, .nano_cost = 50}};
  hard_budget budget{{.session_cap_tokens = 500, .min_stage_tokens = 30, .within = &company}};
  const reservation_request small{.agent = "s", .role = "small"};
  SECTION("more than the cap") { room.come(budget, of("a", 401), "a"); }
  SECTION("more than a scope's cap") {
    { const auto spent = company.reserve({.tokens = 600}); }
    room.come(budget, of("a", 301), "a");
  }
  SECTION("more money than there is") { room.come(budget, {.agent = "a", .role = "r", .nano_cost_at_most = 51}, "a"); }
  SECTION("an answer below 0") { room.come(budget, of("a", 0, -1), "a"); }
  SECTION("more than is left after what was settled") {
    budget.reserve(of("b", 50, 50)).settle(used(50, 1));
    room.come(budget, of("a", 350), "a");
  }
  SECTION("the agent's allotment") {
    budget.reserve({.agent = "s", .role = "small", .answer_tokens = 100, .nano_cost_at_most = 0}).settle(used(0, 91));
    room.come(budget, small, "a");
  }
  CHECK(room.log == "a!");
  CHECK(budget.system_status().reserved == 0);
  CHECK(company.status().tokens.reserved == 0);
}

TEST_CASE("ledger: a wait fails as soon as it can never succeed any more", "[budget][ledger][waiting]") {
  waiting_room room;
  hard_budget budget{{.session_cap_tokens = 500, .min_stage_tokens = 30}};
  const reservation_request small{.agent = "s", .role = "small"};
  SECTION("the session's cap") {
    room.come(budget, of("a", 400), "a");
    room.come(budget, of("b", 350), "b");
    room.come(budget, {.agent = "c", .role = "r", .prompt_tokens_at_most = 400, .size = reservation_size::what_is_left},
              "c");
    CHECK(room.log == "a");
    room.settle(used(40, 11));
    CHECK(room.log.find("b!") != std::string::npos);
    CHECK(room.log.find('c') != std::string::npos);  // of its answer 49 are left, and 30 are enough
    CHECK(room.kept.front().max_tokens() == 49);
  }
  SECTION("the agent's allotment") {
    room.come(budget, small, "a");
    room.come(budget, small, "b");
    room.come(budget, small, "c");
    CHECK(room.log == "ab");
    room.settle(used(0, 50));
    CHECK(room.log == "ab");
    room.settle(used(0, 41));
    CHECK(room.log == "abc!");
  }
  room.release_all();
}

TEST_CASE("ledger: a stopped wait leaves nothing behind", "[budget][ledger][waiting]") {
  waiting_room room;
  budget_scope company{"company", 500};
  hard_budget budget{{.session_cap_tokens = 500, .within = &company}};
  room.come(budget, of("a", 100), "a");
  const auto impatient = [](ledger& from, std::string& log, std::list<ledger::reservation>& kept) -> felix::task<> {
    try {
      co_await felix::timeout(1s, wait_for(from, of("b", 400), request_priority::urgent, "b", log, kept));
    } catch (const felix::timed_out&) {
      log += "?";
    }
  };
  room.loop.spawn(impatient(budget, room.log, room.kept), ignore);
  room.come(budget, of("c", 100), "c");
  CHECK(room.log == "a");
  room.loop.run(pass_time(1s));
  room.loop.poll();
  CHECK(room.log.size() == 3);
  CHECK(room.log.find('c') != std::string::npos);
  CHECK(company.status().tokens.reserved == 400);
  room.release_all();
  CHECK(company.status().tokens.reserved == 0);
  CHECK(budget.system_status().agents.count("b") == 0);
}

TEST_CASE("ledger: an agent's part that was held for a moment wakes his next request", "[budget][ledger][waiting]") {
  waiting_room room;
  hard_budget budget{{.session_cap_tokens = 200}};
  room.come(budget, of("a", 100), "a");
  room.come(budget, of("b", 50), "b");
  CHECK_FALSE(budget.try_reserve(of("b", 1'000)));
  CHECK_THROWS_AS(budget.reserve(of("b", 1'000)), felix::budget_exceeded);
  CHECK(room.log == "a");
  room.settle({});
  CHECK(room.log == "ab");
  room.release_all();
}

// --- From several threads: Catch2's assertions are for one thread, so the others count ---

namespace {

struct tally {
  token_count settled = 0;
  int refused = 0;
};

// Reserves, and releases or settles, by its own seed: 2 tokens in one of 256 times.
tally spend(ledger& budget, std::uint64_t seed, int operations) {
  felix::seeded_random random{seed};
  constexpr std::array agents{"a", "b", "c", "d"};
  tally mine;
  for (int i = 0; i < operations; ++i) {
    const std::uint64_t drawn = random.next();
    auto slice = budget.try_reserve({.agent = agents[drawn % 4],
                                     .role = "r",
                                     .stage = 1 + static_cast<int>(drawn >> 8 & 3),
                                     .prompt_tokens_at_most = static_cast<token_count>(drawn >> 16 & 127)});
    if (!slice) {
      ++mine.refused;
    } else if ((drawn >> 32 & 255) != 0) {
      slice->release();
    } else {
      mine.settled += 2;
      slice->settle(used(1, 1));
    }
  }
  return mine;
}

int operations_of_a_thread() {
  const char* const wanted = std::getenv("FELIX_BUDGET_OPERATIONS");
#if defined(__SANITIZE_THREAD__)
  return wanted != nullptr ? std::atoi(wanted) : 4'000;
#else
  return wanted != nullptr ? std::atoi(wanted) : 60'000;
#endif
}

}  // namespace

TEST_CASE("ledger: 16 threads on one ledger in three scopes, and the invariant holds at every level and instant",
          "[budget][ledger][scopes][threads]") {
  const int operations = operations_of_a_thread();  // FELIX_BUDGET_OPERATIONS=1000000 for the long run
  const token_count room = 300 + operations / 8;    // about what is settled in the end
  budget_scope company{"company", room + 200};
  budget_scope session{company, "session", room + 100};
  budget_scope team{session, "team", room};
  hard_budget budget{{.session_cap_tokens = room + 50, .within = &team},
                     {.base_tokens = 100'000'000, .stage_max_tokens = 150}};
  std::atomic<bool> done{false};
  std::atomic<int> broken{0};
  std::thread watcher{[&] {
    token_count settled_before = 0;
    do {
      const auto status = budget.system_status();
      broken += status.settled + status.reserved > status.cap + status.answer_overrun + status.prompt_overrun;
      broken += status.reserved < 0 || status.settled < settled_before;
      settled_before = status.settled;
      for (const auto& [id, share] : status.agents) broken += share.answer_tokens > share.base_tokens;
      for (const auto* each : {&team, &session, &company}) {
        const auto seen = each->status().tokens;
        broken += seen.settled + seen.reserved > seen.cap + seen.overrun || seen.reserved < 0;
      }
    } while (!done);
  }};
  std::array<tally, 16> tallies{};
  std::vector<std::thread> spenders;
  for (std::size_t i = 0; i < tallies.size(); ++i)
    spenders.emplace_back([&, i] { tallies[i] = spend(budget, 1 + i, operations); });
  for (auto& spender : spenders) spender.join();
  done = true;
  watcher.join();
  CHECK(broken == 0);
  token_count sum = 0;
  int refused = 0;
  for (const tally& each : tallies) {
    sum += each.settled;
    refused += each.refused;
  }
  CHECK(refused > 0);  // the caps were reached, or nothing was tested
  const auto status = budget.system_status();
  CHECK(status.settled == sum);
  CHECK(status.reserved == 0);
  CHECK(sum > 0);
  for (const auto* each : {&team, &session, &company}) {
    CHECK(each->status().tokens.settled == sum);
    CHECK(each->status().tokens.reserved == 0);
  }
}

namespace {

felix::task<> wait_and_settle(ledger& budget, reservation_request request, request_priority priority,
                              std::atomic<int>& granted) {
  auto got = co_await budget.reserve(when_free{request, priority});
  ++granted;
  got.settle(used(1, 0));
}

felix::task<> give_up(felix::task<> work) {
  try {
    co_await felix::timeout(200us, std::move(work));
  } catch (const felix::timed_out&) {}
}

}  // namespace

TEST_CASE("ledger: no wake-up is lost between threads, whoever gives up", "[budget][ledger][waiting][threads]") {
  constexpr int each = 200;
  felix::thread_pool pool{3};
  budget_scope company{"company", 4'000};
  hard_budget first{{.session_cap_tokens = 2'000, .within = &company},
                    {.base_tokens = 150'000, .stage_max_tokens = 100}};
  hard_budget second{{.session_cap_tokens = 2'000, .within = &company},
                     {.base_tokens = 150'000, .stage_max_tokens = 100}};
  auto kept = company.reserve({.tokens = 1'800});  // the rest is enough for each, even when all others have settled
  std::atomic<int> granted{0};
  std::atomic<int> left{6 * each};
  std::vector<std::thread> comers;
  for (ledger* budget : {static_cast<ledger*>(&first), static_cast<ledger*>(&second)})
    comers.emplace_back([&, budget] {
      for (int i = 0; i < each; ++i) {
        const auto priority = static_cast<request_priority>(i % 4);
        const auto over = [&](felix::result<void>) { --left; };
        pool.spawn(wait_and_settle(*budget, of("a", 300 + i), priority, granted), over);
        pool.spawn(wait_and_settle(*budget, of("b", i), priority, granted), over);
        pool.spawn(give_up(wait_and_settle(*budget, of("c", 900), request_priority::urgent, granted)), over);
      }
    });
  for (auto& comer : comers) comer.join();
  while (left != 0) std::this_thread::yield();  // for ever, if one was lost
  CHECK(granted >= 4 * each);
  kept.release();
  CHECK(company.status().tokens.reserved == 0);
  CHECK(company.status().tokens.settled == granted);
  CHECK(first.system_status().reserved + second.system_status().reserved == 0);
}
