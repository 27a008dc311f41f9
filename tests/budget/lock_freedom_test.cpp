// SPDX-License-Identifier: MIT
// A thread that stops in the middle of a reservation, at whatever instruction, stops nobody else.
#include <felix/budget/ledger.hpp>

#include <felix/budget/token_budget.hpp>
#include "support/catch.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>

#include <pthread.h>
#include <sched.h>

namespace {

// A signal stops the thread where it stands, until it is let go.
std::atomic<bool> stands{false}, may_go{false};
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");

extern "C" void stand_still(int) {
  may_go.store(false);
  stands.store(true);
  while (!may_go.load()) sched_yield();
  stands.store(false);
}

class stopped_by_signal {
 public:
  stopped_by_signal() {
    struct sigaction action = {};
    action.sa_handler = stand_still;
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR2, &action, &before_);
  }
  stopped_by_signal(stopped_by_signal&&) = delete;
  ~stopped_by_signal() { sigaction(SIGUSR2, &before_, nullptr); }

 private:
  struct sigaction before_ = {};
};

struct wide_allotment {
  felix::allotment operator()(const felix::role_id&) const noexcept {
    return {.base_tokens = 1'000'000'000, .stage_max_tokens = 100};
  }
};
using hard_budget = felix::token_budget<wide_allotment, felix::no_taper, felix::hard_cap>;

// What one thread does, again and again, with agents that all share.
bool spend(felix::ledger& budget, std::uint64_t turn) {
  constexpr std::array agents{"a", "b", "c"};
  auto slice = budget.try_reserve(
      {.agent = agents[turn % 3],
       .role = "r",
       .prompt_tokens_at_most = 100,
       .prompt_tokens_planned = 50,
       .size = turn % 2 == 0 ? felix::reservation_size::whole : felix::reservation_size::what_is_left,
       .nano_cost_at_most = 0});
  if (!slice) return false;
  slice->settle({.prompt_tokens = 1, .completion_tokens = 1, .total_tokens = 2});
  return true;
}

}  // namespace

TEST_CASE("ledger: a thread that stops, wherever, stops nobody else", "[budget][ledger][lock_freedom]") {
  constexpr int rounds = 300;
  constexpr int operations = 100;
  const stopped_by_signal by_signal;
  felix::budget_scope company{"company", 100'000'000};
  felix::budget_scope team{company, "team", {.tokens = 90'000'000, .nano_cost = 1'000}};
  hard_budget budget{{.session_cap_tokens = 80'000'000, .within = &team}};
  // Two of each agent in flight at once: afterwards nothing is allocated, and the allocator has its own locks.
  {
    std::array<std::optional<felix::ledger::reservation>, 6> open;
    for (std::size_t i = 0; i < open.size(); ++i)
      open[i].emplace(budget.reserve({.agent = std::array{"a", "b", "c"}[i % 3], .role = "r", .nano_cost_at_most = 0}));
    for (auto& each : open) each->release();
  }

  std::atomic<bool> done{false};
  std::uint64_t victims = 0;
  std::thread victim{[&] {
    for (std::uint64_t turn = 0; !done.load(std::memory_order_relaxed); ++turn) {
      victims += spend(budget, turn);
      if (turn % 7 == 0) static_cast<void>(budget.agent_status("a"));
      if (auto aside = budget.try_reserve({.agent = "b", .role = "r", .answer_tokens = 5, .nano_cost_at_most = 0}))
        aside->release();
    }
  }};
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    REQUIRE(pthread_kill(victim.native_handle(), SIGUSR2) == 0);
    while (!stands.load()) sched_yield();
    for (std::uint64_t i = 0; i < operations; ++i) refused += !spend(budget, i);  // for ever, if the victim holds us up
    const auto status = budget.system_status();
    refused += status.settled + status.reserved > status.cap;
    refused += status.reserved > 250;  // one request of the victim's, at most
    may_go.store(true);
    while (stands.load()) sched_yield();
  }
  done = true;
  victim.join();
  CHECK(refused == 0);
  const auto status = budget.system_status();
  CHECK(status.settled == 2 * static_cast<felix::token_count>(victims + rounds * operations));
  CHECK(status.reserved == 0);
  CHECK(team.status().tokens.settled == status.settled);
  CHECK(company.status().tokens.settled == status.settled);
}
