// SPDX-License-Identifier: MIT
// budget: caps within caps: by hand, against a model, waiting, and from several threads.
#include <felix/budget/budget_scope.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/async/thread_pool.hpp>
#include <felix/async/timeout.hpp>
#include <felix/random.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using felix::budget_amount;
using felix::budget_scope;
using felix::request_priority;
using felix::token_count;
using felix::when_free;
using namespace std::chrono_literals;

static_assert(std::is_trivially_copyable_v<budget_amount>, "it is an aggregate and stands in awaited expressions");
static_assert(!std::is_aggregate_v<when_free<budget_amount>>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<budget_scope::reservation> && !std::is_aggregate_v<budget_scope::waiter>);
static_assert(!std::is_copy_constructible_v<budget_scope::reservation>);
static_assert(std::is_nothrow_move_constructible_v<budget_scope::reservation>);
static_assert(!std::is_move_constructible_v<budget_scope>, "what is within it points to it");

TEST_CASE("budget_scope: has a cap of at least one token", "[budget][budget_scope]") {
  CHECK_THROWS_AS((budget_scope{"company", 0}), felix::error);
  try {
    budget_scope none{"company", -1};
    FAIL("made");
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    CHECK(std::string{refused.what()} == "budget_scope \"company\": its cap is -1 tokens; it has to be at least 1");
  }
}

TEST_CASE("budget_scope: what is reserved in it is reserved in all around it", "[budget][budget_scope]") {
  budget_scope company{"company", 1'000};
  budget_scope session{company, "session", 600};
  budget_scope team{session, "team", 400};
  CHECK(team.name() == "team");
  CHECK(team.within() == &session);
  CHECK(company.within() == nullptr);
  {
    auto some = team.reserve({.tokens = 300});
    CHECK(some.amount().tokens == 300);
    for (const auto* each : {&team, &session, &company}) CHECK(each->status().tokens.reserved == 300);
    CHECK(team.status().name == "team");
    CHECK(team.status().tokens.cap == 400);
    CHECK(team.status().tokens.left() == 100);
    CHECK_FALSE(team.status().nano_cost);
    some.settle({.tokens = 120});
  }
  for (const auto* each : {&team, &session, &company}) {
    CHECK(each->status().tokens.settled == 120);
    CHECK(each->status().tokens.reserved == 0);
    CHECK(each->status().tokens.overrun == 0);
  }
  CHECK(company.status().tokens.left() == 880);
}

TEST_CASE("budget_scope: who has no room says so, and what was held inside is given back", "[budget][budget_scope]") {
  budget_scope company{"company", 500};
  budget_scope session{company, "session", 600};
  budget_scope team{session, "team", 400};
  auto other = company.reserve({.tokens = 200});
  try {
    auto more = team.reserve({.tokens = 350});
    FAIL("granted " << more.amount().tokens);
  } catch (const felix::budget_exceeded& refused) {
    CHECK(std::string{refused.what()} ==
          "budget: team asked for 350 tokens, 300 of 500 are left in \"company\"; ask for less, or raise the scope's "
          "cap");
    CHECK(refused.asked() == 350);
    CHECK(refused.left() == 300);
  }
  CHECK(team.status().tokens.reserved == 0);
  CHECK(session.status().tokens.reserved == 0);
  CHECK(company.status().tokens.reserved == 200);
  CHECK_FALSE(team.try_reserve({.tokens = 401}));
  CHECK_FALSE(team.try_reserve({.tokens = 301}));
  auto fits = team.try_reserve({.tokens = 300});
  REQUIRE(fits);
  CHECK_FALSE(session.try_reserve({.tokens = 1}));
  CHECK(company.status().tokens.left() == 0);
  fits->release();
  other.release();
}

TEST_CASE("budget_scope: unsettled, it charges everything, and released, nothing, and each once",
          "[budget][budget_scope]") {
  budget_scope company{"company", 500};
  SECTION("dropped") {
    { const auto dropped = company.reserve({.tokens = 200}); }
    CHECK(company.status().tokens.settled == 200);
  }
  SECTION("released") {
    company.reserve({.tokens = 200}).release();
    CHECK(company.status().tokens.settled == 0);
  }
  SECTION("moved, then settled") {
    auto first = company.reserve({.tokens = 200});
    {
      auto second = std::move(first);
      CHECK(company.status().tokens.reserved == 200);
      second.settle({.tokens = 70});
    }
    CHECK(company.status().tokens.settled == 70);
  }
  SECTION("below 0 is nothing, and frees nothing") {
    auto none = company.reserve({.tokens = -100});
    CHECK(none.amount().tokens == 0);
    CHECK_FALSE(company.try_reserve({.tokens = 501}));
    none.settle({.tokens = -100});
    CHECK(company.status().tokens.settled == 0);
  }
  CHECK(company.status().tokens.reserved == 0);
}

TEST_CASE("budget_scope: an overrun is shown at every level, and lessens what is left", "[budget][budget_scope]") {
  budget_scope company{"company", 500};
  budget_scope team{company, "team", 300};
  auto some = team.reserve({.tokens = 300});
  some.settle({.tokens = 450});
  CHECK(team.status().tokens.overrun == 150);
  CHECK(team.status().tokens.left() == 0);
  CHECK(company.status().tokens.overrun == 150);
  CHECK(company.status().tokens.left() == 50);
  CHECK_FALSE(team.try_reserve({.tokens = 1}));
  CHECK_FALSE(company.try_reserve({.tokens = 51}));
}

TEST_CASE("budget_scope: a cap in money counts beside the tokens, where there is one", "[budget][budget_scope]") {
  budget_scope company{"company", {.tokens = 1'000, .nano_cost = 5'000}};
  budget_scope session{company, "session", 800};
  budget_scope team{session, "team", {.tokens = 500, .nano_cost = 4'000}};
  {
    auto some = team.reserve({.tokens = 100, .nano_cost = 3'000});
    CHECK(team.status().nano_cost->reserved == 3'000);
    CHECK(company.status().nano_cost->reserved == 3'000);
    CHECK_FALSE(session.status().nano_cost);
    auto other = session.reserve({.tokens = 10, .nano_cost = 1'500});
    CHECK_FALSE(team.try_reserve({.tokens = 1, .nano_cost = 1'001}));  // its own cap
    CHECK(team.status().tokens.reserved == 100);
    CHECK(team.status().nano_cost->reserved == 3'000);
    try {
      auto more = team.reserve({.tokens = 1, .nano_cost = 600});
      FAIL("granted");
    } catch (const felix::budget_exceeded& refused) {
      CHECK(std::string{refused.what()} ==
            "budget: team asked for 600 nano-units of money, 500 of 5000 are left in \"company\"; ask for less, or "
            "raise the scope's cap");
    }
    CHECK(team.status().tokens.reserved == 100);
    CHECK(team.status().nano_cost->reserved == 3'000);
    CHECK(session.status().tokens.reserved == 110);
    CHECK(company.status().tokens.reserved == 110);
    some.settle({.tokens = 80, .nano_cost = 3'200});
    CHECK(team.status().nano_cost->settled == 3'200);
    CHECK(team.status().nano_cost->overrun == 200);
    CHECK(company.status().nano_cost->settled == 3'200);
    other.release();
  }
  CHECK(company.status().nano_cost->left() == 1'800);
}

TEST_CASE("budget_scope: a cap of no money refuses what costs some", "[budget][budget_scope]") {
  budget_scope local{"local", {.tokens = 100, .nano_cost = 0}};
  CHECK_FALSE(local.try_reserve({.tokens = 1, .nano_cost = 1}));
  CHECK(local.status().tokens.reserved == 0);
  local.reserve({.tokens = 1}).release();
}

// --- Waiting ---

namespace {

const auto ignore = [](felix::result<void>) {};

felix::task<> pass_time(std::chrono::milliseconds time) { co_await felix::sleep_for(time); }

// Waits for its tokens, notes its name, and holds them in `kept`.
felix::task<> wait_for(budget_scope& scope, budget_amount amount, request_priority priority, std::string name,
                       std::string& log, std::list<budget_scope::reservation>& kept) {
  const when_free asked{amount, priority};
  try {
    auto got = co_await scope.reserve(asked);
    kept.push_back(std::move(got));
    log += name;
  } catch (const felix::budget_exceeded&) {
    log += name + "!";
  }
}

struct waiting_room {
  felix::simulated_loop loop{1};
  std::string log;
  std::list<budget_scope::reservation> kept;  // in the order of the log

  void come(budget_scope& scope, token_count tokens, const char* name,
            request_priority priority = request_priority::normal) {
    loop.spawn(wait_for(scope, {.tokens = tokens}, priority, name, log, kept), ignore);
    loop.poll();
  }
  // Settles the one that was granted first.
  void settle(token_count used) {
    kept.front().settle({.tokens = used});
    kept.pop_front();
    loop.poll();
  }
  void release_all() {
    while (!kept.empty()) settle(0);
  }
};

}  // namespace

TEST_CASE("when_free: what is free is granted at once", "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope scope{"scope", 100};
  room.come(scope, 60, "a");
  CHECK(room.log == "a");
  CHECK(scope.status().tokens.reserved == 60);
  room.release_all();
}

TEST_CASE("when_free: waits until others settle, and goes on at once", "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope scope{"scope", 100};
  room.come(scope, 60, "a");
  room.come(scope, 60, "b");
  CHECK(room.log == "a");
  room.settle(10);
  CHECK(room.log == "ab");
  CHECK(scope.status().tokens.reserved == 60);
  CHECK(scope.status().tokens.settled == 10);
  room.release_all();
}

TEST_CASE("when_free: the most urgent first, and within a priority who came first", "[budget][budget_scope][waiting]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{12}));
  waiting_room room;
  budget_scope scope{"scope", 100};
  room.come(scope, 100, "-");
  const std::string arrivals = felix::test::shuffled("abcdefgh", seed);
  const auto level = [](char name) { return static_cast<request_priority>((name - 'a') / 2); };
  for (const char name : arrivals) room.come(scope, 100, std::string(1, name).c_str(), level(name));
  for (int i = 0; i < 8; ++i) room.settle(0);
  std::string expected = "-";
  for (const auto each :
       {request_priority::urgent, request_priority::high, request_priority::normal, request_priority::low})
    for (const char name : arrivals)
      if (level(name) == each) expected += name;
  CHECK(room.log == expected);
  room.release_all();
}

TEST_CASE("when_free: a large one is not starved by small ones behind it", "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope scope{"scope", 100};
  room.come(scope, 40, "a");
  room.come(scope, 40, "b");
  room.come(scope, 90, "C", request_priority::high);
  room.come(scope, 10, "d");
  CHECK(room.log == "ab");                           // 20 are free, and d would fit
  auto passing = scope.try_reserve({.tokens = 10});  // who does not wait may
  REQUIRE(passing);
  room.settle(0);
  CHECK(room.log == "ab");
  room.settle(0);
  CHECK(room.log == "abC");
  passing->release();
  room.loop.poll();
  CHECK(room.log == "abCd");
  room.release_all();
}

TEST_CASE("when_free: a settle in one branch wakes a waiter of another", "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope company{"company", 100};
  budget_scope east{company, "east", 80};
  budget_scope west{company, "west", 80};
  room.come(east, 80, "a");
  room.come(west, 30, "b");
  CHECK(room.log == "a");
  room.settle(60);
  CHECK(room.log == "ab");
  room.release_all();
}

TEST_CASE("when_free: who lacks something in his own scope holds up nobody in another",
          "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope company{"company", 100};
  budget_scope east{company, "east", 40};
  budget_scope west{company, "west", 80};
  room.come(east, 40, "a");
  room.come(east, 20, "b", request_priority::urgent);
  room.come(west, 50, "c", request_priority::low);
  CHECK(room.log == "ac");
  room.come(west, 20, "d", request_priority::low);  // 10 are left in the company
  CHECK(room.log == "ac");
  room.settle(0);
  CHECK(room.log.size() == 4);
  room.release_all();
}

TEST_CASE("when_free: fails at once when it can never succeed", "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope company{"company", {.tokens = 100, .nano_cost = 50}};
  budget_scope team{company, "team", 80};
  SECTION("more than the cap of a scope") { room.come(team, 81, "a"); }
  SECTION("more than the cap of one around it") {
    { const auto spent = company.reserve({.tokens = 30}); }
    room.come(team, 71, "a");
  }
  SECTION("more money than the cap") {
    room.loop.spawn(wait_for(team, {.tokens = 1, .nano_cost = 51}, request_priority::normal, "a", room.log, room.kept),
                    ignore);
  }
  CHECK(room.log == "a!");
  CHECK(team.status().tokens.reserved == 0);
  CHECK(company.status().tokens.reserved == 0);
}

TEST_CASE("when_free: fails as soon as it can never succeed any more", "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope company{"company", 100};
  budget_scope team{company, "team", 100};
  room.come(company, 50, "a");
  room.come(company, 30, "b");
  room.come(team, 60, "C");
  room.come(team, 55, "D");
  room.come(team, 30, "e");
  CHECK(room.log == "ab");
  room.settle(42);  // C can never have its 60
  CHECK(room.log == "abC!");
  room.settle(4);  // nor can D have 55
  CHECK(room.log.find("D!") != std::string::npos);
  CHECK(room.log.find('e') != std::string::npos);
  room.release_all();
}

TEST_CASE("when_free: says what was missing", "[budget][budget_scope][waiting]") {
  felix::simulated_loop loop;
  budget_scope team{"team", 80};
  const auto ask = [](budget_scope& scope) -> felix::task<> {
    const when_free asked{budget_amount{.tokens = 81}};
    auto got = co_await scope.reserve(asked);
    got.release();
  };
  try {
    loop.run(ask(team));
    FAIL("granted");
  } catch (const felix::budget_exceeded& refused) {
    CHECK(std::string{refused.what()} ==
          "budget: team asked for 81 tokens, 80 of 80 are left in \"team\"; ask for less, or raise the scope's cap "
          "(waiting cannot help: all that is reserved would not be enough)");
  }
}

TEST_CASE("when_free: a stopped wait leaves nothing behind, and lets those behind it go on",
          "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope scope{"scope", 100};
  room.come(scope, 50, "a");
  auto impatient = wait_for(scope, {.tokens = 80}, request_priority::high, "B", room.log, room.kept);
  const auto give_up = [](felix::task<> work) -> felix::task<> {
    try {
      co_await felix::timeout(1s, std::move(work));
    } catch (const felix::timed_out&) {}
  };
  room.loop.spawn(give_up(std::move(impatient)), ignore);
  room.come(scope, 50, "c");
  CHECK(room.log == "a");
  room.loop.run(pass_time(1s));
  room.loop.poll();
  CHECK(room.log == "ac");
  CHECK(scope.status().tokens.reserved == 100);
  room.release_all();
  CHECK(scope.status().tokens.reserved == 0);
  CHECK(scope.status().tokens.settled == 0);
}

TEST_CASE("when_free: a refused reserve() wakes those whom it has held up for a moment",
          "[budget][budget_scope][waiting]") {
  waiting_room room;
  budget_scope company{"company", 100};
  budget_scope team{company, "team", 100};
  room.come(company, 50, "a");
  room.come(team, 60, "b");
  CHECK_FALSE(team.try_reserve({.tokens = 70}));
  CHECK_THROWS_AS(team.reserve({.tokens = 70}), felix::budget_exceeded);
  CHECK(room.log == "a");
  room.settle(0);
  CHECK(room.log == "ab");
  room.release_all();
}

// --- Against a model ---

namespace {

constexpr std::array<int, 5> outer{-1, 0, 1, 0, 3};  // company, session, team, other session, its team
constexpr std::array<token_count, 5> caps{2'000, 1'500, 900, 1'200, 1'200};
constexpr std::array<std::int64_t, 5> money{30'000, -1, 9'000, 12'000, -1};

struct tree {
  budget_scope company{"company", {.tokens = caps[0], .nano_cost = money[0]}};
  budget_scope session{company, "session", caps[1]};
  budget_scope team{session, "team", {.tokens = caps[2], .nano_cost = money[2]}};
  budget_scope other{company, "other", {.tokens = caps[3], .nano_cost = money[3]}};
  budget_scope its_team{other, "its team", caps[4]};
  std::array<budget_scope*, 5> all{&company, &session, &team, &other, &its_team};
};

}  // namespace

TEST_CASE("budget_scope: random operations match the model at every step", "[budget][budget_scope]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{12}));
  CAPTURE(seed);
  felix::seeded_random random{seed};
  const auto up_to = [&](std::int64_t limit) {
    return static_cast<std::int64_t>(random.next() % static_cast<std::uint64_t>(limit + 1));
  };
  struct open {
    budget_scope::reservation held;
    int scope;
    budget_amount amount;
  };
  tree scopes;
  std::list<open> opened;
  std::array<budget_amount, 5> settled{};
  std::array<budget_amount, 5> overrun{};
  const auto within = [](int scope, int level) {
    for (; scope >= 0; scope = outer[static_cast<std::size_t>(scope)])
      if (scope == level) return true;
    return false;
  };
  const auto reserved = [&](int level) {
    budget_amount sum;
    for (const open& each : opened)
      if (within(each.scope, level)) {
        sum.tokens += each.amount.tokens;
        sum.nano_cost += each.amount.nano_cost;
      }
    return sum;
  };
  int granted = 0;
  int refused = 0;
  for (int step = 0; step < 1'000; ++step) {
    CAPTURE(step);
    if (up_to(1) == 0 || opened.empty()) {
      const int scope = static_cast<int>(up_to(4));
      const budget_amount asked{.tokens = up_to(400), .nano_cost = up_to(4'000)};
      bool fits = true;
      for (int level = 0; level < 5; ++level) {
        if (!within(scope, level)) continue;
        const auto at = static_cast<std::size_t>(level);
        fits = fits && settled[at].tokens + reserved(level).tokens + asked.tokens <= caps[at];
        if (money[at] >= 0)
          fits = fits && settled[at].nano_cost + reserved(level).nano_cost + asked.nano_cost <= money[at];
      }
      auto got = scopes.all[static_cast<std::size_t>(scope)]->try_reserve(asked);
      REQUIRE(got.has_value() == fits);
      ++(fits ? granted : refused);
      if (got) opened.push_back({std::move(*got), scope, asked});
    } else {
      const auto which = std::next(opened.begin(), up_to(static_cast<std::int64_t>(opened.size()) - 1));
      open ended = std::move(*which);
      opened.erase(which);
      budget_amount used{.tokens = up_to(ended.amount.tokens / 8 + 2),
                         .nano_cost = up_to(ended.amount.nano_cost / 8 + 20)};
      const auto how = up_to(4);
      if (how == 0) used = ended.amount;
      if (how == 1) used = {};
      for (int level = 0; level < 5; ++level) {
        if (!within(ended.scope, level)) continue;
        auto& sum = settled[static_cast<std::size_t>(level)];
        auto& over = overrun[static_cast<std::size_t>(level)];
        sum.tokens += used.tokens;
        sum.nano_cost += used.nano_cost;
        over.tokens += std::max<token_count>(0, used.tokens - ended.amount.tokens);
        over.nano_cost += std::max<std::int64_t>(0, used.nano_cost - ended.amount.nano_cost);
      }
      if (how == 0) {
        const auto dropped = std::move(ended.held);
      } else if (how == 1) {
        ended.held.release();
      } else {
        ended.held.settle(used);
      }
    }
    for (int level = 0; level < 5; ++level) {
      const auto at = static_cast<std::size_t>(level);
      const auto status = scopes.all[at]->status();
      REQUIRE(status.tokens.settled == settled[at].tokens);
      REQUIRE(status.tokens.reserved == reserved(level).tokens);
      REQUIRE(status.tokens.overrun == overrun[at].tokens);
      REQUIRE(status.nano_cost.has_value() == (money[at] >= 0));
      if (!status.nano_cost) continue;
      REQUIRE(status.nano_cost->settled == settled[at].nano_cost);
      REQUIRE(status.nano_cost->reserved == reserved(level).nano_cost);
      REQUIRE(status.nano_cost->overrun == overrun[at].nano_cost);
    }
  }
  CHECK(granted > 20);
  CHECK(refused > 20);
  for (open& each : opened) each.held.release();
}

namespace {

// A wait that a test can look at, and stop.
struct visitor {
  visitor(int in, budget_amount asked, request_priority level) : scope{in}, amount{asked}, priority{level} {}

  int scope;
  budget_amount amount;
  request_priority priority;
  felix::stop_source stop = {};
  enum class place : unsigned char { waits, holds, gone } now = place::waits;
  std::optional<budget_scope::reservation> held = {};
};

felix::task<> visit(budget_scope& scope, visitor& me) {
  try {
    auto got = co_await scope.reserve(when_free{me.amount, me.priority});
    me.held.emplace(std::move(got));
    me.now = visitor::place::holds;
  } catch (const felix::budget_exceeded&) {
    me.now = visitor::place::gone;
  } catch (const felix::cancelled&) {
    me.now = visitor::place::gone;
  }
}

// Who waits although he need not, or has no hope; -1: nobody. In the order of the line: who lacks something in a scope
// keeps it from those behind him.
int waits_in_vain(const tree& scopes, const std::list<visitor>& visitors) {
  std::array<bool, 5> closed{};
  for (int level = 3; level >= 0; --level) {
    int number = -1;
    for (const visitor& each : visitors) {
      ++number;
      if (each.now != visitor::place::waits || static_cast<int>(each.priority) != level) continue;
      int lacks_in = -1;
      bool must_wait = false;
      for (int scope = each.scope; scope >= 0; scope = outer[static_cast<std::size_t>(scope)]) {
        const auto at = static_cast<std::size_t>(scope);
        const auto tokens = scopes.all[at]->status().tokens;
        if (each.amount.tokens > tokens.cap - tokens.settled) return number;
        must_wait = must_wait || closed[at];
        if (lacks_in < 0 && each.amount.tokens > tokens.left()) lacks_in = scope;
      }
      if (must_wait) continue;
      if (lacks_in < 0) return number;
      closed[static_cast<std::size_t>(lacks_in)] = true;
    }
  }
  return -1;
}

}  // namespace

TEST_CASE("when_free: whatever happens, nobody waits for what he could have, or never will",
          "[budget][budget_scope][waiting]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{40}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  felix::seeded_random random{seed};
  const auto up_to = [&](int limit) { return static_cast<int>(random.next() % static_cast<std::uint64_t>(limit + 1)); };
  tree scopes;
  std::list<visitor> visitors;
  std::size_t waited = 0;
  for (int step = 0; step < 250; ++step) {
    CAPTURE(step);
    const int what = up_to(9);
    if (what <= 4) {
      const int scope = up_to(4);
      const budget_amount amount{.tokens = up_to(700)};
      visitor& me = visitors.emplace_back(scope, amount, static_cast<request_priority>(up_to(3)));
      loop.spawn(visit(*scopes.all[static_cast<std::size_t>(me.scope)], me), ignore, me.stop.get_token());
    } else if (what == 5) {
      auto passing = scopes.all[static_cast<std::size_t>(up_to(4))]->try_reserve({.tokens = up_to(900)});
      if (passing) passing->settle({.tokens = up_to(2)});
    } else if (!visitors.empty()) {
      const auto which = std::next(visitors.begin(), up_to(static_cast<int>(visitors.size()) - 1));
      if (which->now == visitor::place::waits && what == 6) which->stop.request_stop();
      if (which->held) {
        which->held->settle({.tokens = up_to(static_cast<int>(which->amount.tokens) / 16)});
        which->held.reset();
        which->now = visitor::place::gone;
      }
    }
    while (loop.poll()) {}
    REQUIRE(waits_in_vain(scopes, visitors) == -1);
    for (const visitor& each : visitors) waited += each.now == visitor::place::waits;
    visitors.remove_if([](const visitor& each) { return each.now == visitor::place::gone; });
  }
  CHECK(waited > 50);
  for (visitor& each : visitors) each.stop.request_stop();
  loop.shut_down();
  for (visitor& each : visitors)
    if (each.held) each.held->release();
  for (const budget_scope* each : scopes.all) CHECK(each->status().tokens.reserved == 0);
}

// --- From several threads: Catch2's assertions are for one thread, so the others count ---

TEST_CASE("budget_scope: threads spend at every level, and the invariant holds at each, at every instant",
          "[budget][budget_scope][threads]") {
  tree scopes;
  std::atomic<bool> done{false};
  std::atomic<int> broken{0};
  std::thread watcher{[&] {
    do {
      for (const budget_scope* each : scopes.all) {
        const auto status = each->status();
        const auto wrong = [](const felix::scope_share& share) {
          return share.settled + share.reserved > share.cap + share.overrun || share.reserved < 0;
        };
        broken += wrong(status.tokens) || (status.nano_cost && wrong(*status.nano_cost));
      }
    } while (!done);
  }};
  std::atomic<token_count> settled{0};
  std::vector<std::thread> spenders;
  for (std::uint64_t seed = 1; seed <= 4; ++seed)
    spenders.emplace_back([&, seed] {
      felix::seeded_random random{seed};
      for (int i = 0; i < 4'000; ++i) {
        budget_scope& scope = *scopes.all[random.next() % 5];
        const auto tokens = static_cast<token_count>(random.next() % 600);
        auto got = scope.try_reserve({.tokens = tokens, .nano_cost = tokens});
        if (!got) continue;
        if (random.next() % 4'000 != 0) {
          got->release();
          continue;
        }
        settled += tokens / 16 + 1;
        got->settle({.tokens = tokens / 16 + 1, .nano_cost = tokens + 10});  // more than was reserved
      }
    });
  for (auto& spender : spenders) spender.join();
  done = true;
  watcher.join();
  CHECK(broken == 0);
  CHECK(scopes.company.status().tokens.settled == settled);
  for (const budget_scope* each : scopes.all) CHECK(each->status().tokens.reserved == 0);
}

namespace {

felix::task<> spend(budget_scope& scope, token_count tokens, request_priority priority, std::atomic<int>& granted) {
  auto got = co_await scope.reserve(when_free{budget_amount{.tokens = tokens}, priority});
  ++granted;
  got.settle({.tokens = tokens % 2});
}

}  // namespace

TEST_CASE("when_free: no wake-up is lost between threads", "[budget][budget_scope][waiting][threads]") {
  constexpr int each = 300;
  felix::thread_pool pool{3};
  budget_scope company{"company", 1'500};
  budget_scope east{company, "east", 1'000};
  budget_scope west{company, "west", 1'000};
  std::atomic<int> granted{0};
  std::atomic<int> left{3 * each};
  std::vector<std::thread> comers;
  for (budget_scope* scope : {&east, &west, &company})
    comers.emplace_back([&, scope] {
      for (int i = 0; i < each; ++i)
        pool.spawn(spend(*scope, 100 + i % 200, static_cast<request_priority>(i % 4), granted),
                   [&](felix::result<void>) { --left; });
    });
  for (auto& comer : comers) comer.join();
  while (left != 0) std::this_thread::yield();  // for ever, if one was lost
  CHECK(granted == 3 * each);
  CHECK(company.status().tokens.reserved == 0);
  CHECK(company.status().tokens.settled == 3 * each / 2);
}
