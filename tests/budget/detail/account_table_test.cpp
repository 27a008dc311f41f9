// SPDX-License-Identifier: MIT
#include <felix/budget/detail/account_table.hpp>

#include "support/allocation_count.hpp"
#include "support/catch.hpp"

#if defined(__SANITIZE_THREAD__)
#define FELIX_TEST_NO_FIBERS  // there is one thread only; ThreadSanitizer would have to be told of each switch
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FELIX_TEST_NO_FIBERS
#endif
#endif
#ifndef FELIX_TEST_NO_FIBERS
#include "support/interleaving.hpp"
#endif

#include <array>
#include <atomic>
#include <cstddef>
#include <set>
#include <string>
#include <thread>
#include <vector>

using felix::detail::account;
using felix::detail::account_table;
using felix::detail::tally;

TEST_CASE("account_table: an agent is added once, and found with its first role", "[budget][account_table]") {
  account_table table;
  CHECK(table.find("a") == nullptr);
  account& a = table.find_or_add("a", "research");
  CHECK(&table.find_or_add("a", "critic") == &a);
  CHECK(table.find("a") == &a);
  CHECK(a.id() == felix::agent_id{"a"});
  CHECK(a.role() == felix::role_id{"research"});
  CHECK(&table.find_or_add("", "research") != &a);
}

TEST_CASE("account_table: finds each of many, in whatever bucket", "[budget][account_table]") {
  account_table table;
  std::set<account*> all;
  const auto name = [](int i) { return "agent_" + std::to_string(i); };
  for (int i = 0; i < 500; ++i) all.insert(&table.find_or_add(name(i), "r"));
  CHECK(all.size() == 500);
  for (int i = 0; i < 500; ++i) CHECK(table.find(name(i))->id().name() == name(i));
  CHECK(table.find("agent_500") == nullptr);
  std::size_t visited = 0;
  table.for_each([&](const account& each) { visited += table.find(each.id()) == &each; });
  CHECK(visited == 500);
}

TEST_CASE("account_table: threads that add the same agents find the same accounts",
          "[budget][account_table][threads]") {
  constexpr int agents = 300;
  account_table table;
  std::array<std::vector<account*>, 4> seen;
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (auto& mine : seen)
    threads.emplace_back([&] {
      ++ready;
      while (ready != 4) std::this_thread::yield();
      for (int i = 0; i < agents; ++i) mine.push_back(&table.find_or_add(std::to_string(i), "r"));
    });
  for (auto& thread : threads) thread.join();
  for (const auto& each : seen) CHECK(each == seen[0]);
  CHECK(std::set<account*>(seen[0].begin(), seen[0].end()).size() == agents);
}

namespace {

account_table* shared_table = nullptr;
account* shared_agent = nullptr;

}  // namespace

TEST_CASE("account_table: an agent that another thread adds in the meantime is added once", "[budget][account_table]") {
  account_table table;
  shared_table = &table;
  account& before = table.find_or_add("a", "r");
  felix::test::before_next_allocation([] { static_cast<void>(shared_table->find_or_add("b", "of the other")); });
  account& b = table.find_or_add("b", "of the one");
  CHECK(&b == table.find("b"));
  CHECK(b.role() == felix::role_id{"of the other"});
  CHECK(table.find("a") == &before);
  int accounts = 0;
  table.for_each([&](const account&) { ++accounts; });
  CHECK(accounts == 2);
}

TEST_CASE("account: a tally that another thread adds in the meantime is not lost", "[budget][account_table]") {
  account agent{"a", "r"};
  shared_agent = &agent;
  felix::test::before_next_allocation([] { static_cast<void>(shared_agent->claim(1)); });
  static_cast<void>(agent.claim(1));
  int tallies = 0;
  agent.for_each_tally([&](const tally& each) { tallies += each.is_claimed(); });
  CHECK(tallies == 2);
}

TEST_CASE("account: a tally belongs to one request, and is used again", "[budget][account_table]") {
  account agent{"a", "r"};
  tally& first = agent.claim(1);
  tally& second = agent.claim(1);
  tally& of_another_stage = agent.claim(2);
  CHECK(&first != &second);
  CHECK(first.is_claimed());
  first.unclaim();
  of_another_stage.unclaim();
  CHECK_FALSE(first.is_claimed());
  CHECK(&agent.claim(1) == &first);
  CHECK(&agent.claim(2) == &of_another_stage);
  CHECK(agent.claim(0).stage() == 1);
  CHECK(agent.claim(account::last_stage).stage() == account::last_stage);
  CHECK(agent.claim(1'000).stage() == account::last_stage);
}

TEST_CASE("tally: adds up what requests have cost", "[budget][account_table]") {
  account agent{"a", "r"};
  tally& one = agent.claim(3);
  CHECK_FALSE(one.seen());
  one.open(130, 50);
  CHECK(one.seen());
  CHECK(one.share().reserved == 130);
  CHECK(one.share().answer_reserved == 50);
  CHECK(one.share().granted == 50);
  one.close(100, 40);
  CHECK_FALSE(one.is_claimed());
  CHECK(one.settled() == 100);
  CHECK(one.answered() == 40);

  CHECK(&agent.claim(3) == &one);
  one.open(130, 50);
  one.add_overrun({20, 7});
  one.close(157, 70);
  CHECK(&agent.claim(3) == &one);
  one.open(130, 50);
  one.close(0, 0);  // released
  const auto share = one.share();
  CHECK(share.settled == 257);
  CHECK(share.answer_tokens == 110);
  CHECK(share.reserved == 0);
  CHECK(share.answer_reserved == 0);
  CHECK(share.granted == 100);
  CHECK(share.answers_beyond == 20);
  CHECK(share.stages == 2);
  CHECK(share.overruns == 1);
  CHECK(share.answer_overrun == 20);
  CHECK(share.prompt_overrun == 7);
  CHECK(agent.answered() == 110);
}

TEST_CASE("account: threads that claim at once get a tally each", "[budget][account_table][threads]") {
  account agent{"a", "r"};
  std::array<felix::token_count, 4> spent{};
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (auto& mine : spent)
    threads.emplace_back([&agent, &mine, &ready] {
      ++ready;
      while (ready != 4) std::this_thread::yield();
      for (int i = 0; i < 50'000; ++i) {
        tally& one = agent.claim(1);
        one.open(2, 1);
        one.close(2, 1);
        mine += 2;
      }
    });
  for (auto& thread : threads) thread.join();
  felix::token_count settled = 0;
  int tallies = 0;
  agent.for_each_tally([&](const tally& each) {
    settled += each.settled();
    ++tallies;
    CHECK_FALSE(each.is_claimed());
  });
  CHECK(settled == spent[0] + spent[1] + spent[2] + spent[3]);
  CHECK(tallies <= 4);
}

#ifndef FELIX_TEST_NO_FIBERS

namespace {

namespace model = felix::test::model;

struct model_atomics {
  template <class T>
  using atomic = model::atomic<T>;
};

// Three threads that want the same tally: who has it writes plain data.
void one_owner_at_a_time(model::execution& run) {
  felix::detail::claim_flag<model_atomics> owner{false};
  int claimed = 0;
  int inside = 0;
  const auto own = [&] {
    if (!owner.claim()) return;
    ++claimed;
    if (++inside != 1) run.fail("two own it");
    run.touch(&inside);
    --inside;
    owner.give_back();
  };
  run.run({[&] { own(), own(); }, own, own});
  if (claimed == 0) run.fail("nobody owns it");
  if (owner.is_claimed()) run.fail("it was not given back");
}

}  // namespace

TEST_CASE("claim_flag: has one owner at a time, who sees what the last one wrote, in every order of steps",
          "[budget][account_table][interleaving]") {
  model::every_way every;
  std::string failure;
  CHECK(model::explore(every, {.preemptions = 3, .stale_loads = 2}, failure, one_owner_at_a_time) > 10);
  CHECK(failure == "");
}

#endif
