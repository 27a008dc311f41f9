// SPDX-License-Identifier: MIT
// Each thread reserves for a request and settles it, again and again, all of them in one budget: how long does the pair take?
#include "questions.hpp"

#include "peers/locked_ledger.hpp"
#include "support/team.hpp"

#include <felix/budget/budget_scope.hpp>
#include <felix/budget/token_budget.hpp>

#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace {

using felix::token_count;

constexpr token_count endless = std::numeric_limits<token_count>::max() / 8;

/// strict_allotment without its end: the roles are told apart by name, as there.
struct endless_allotment {
  felix::allotment operator()(const felix::role_id& role) const noexcept {
    return {.base_tokens = endless, .stage_max_tokens = felix::strict_allotment{}(role).stage_max_tokens};
  }
};
template <class Enforcement>
using budget = felix::token_budget<endless_allotment, felix::strict_taper, Enforcement>;

const felix::reservation_request asked{
    .agent = "research_001", .role = "research", .prompt_tokens_at_most = 300, .prompt_tokens_planned = 120};
constexpr felix::token_usage used{.prompt_tokens = 100, .completion_tokens = 50, .total_tokens = 150};

class scope {
 public:
  void pair() {
    auto some = scope_.try_reserve({.tokens = 400});
    if (!some) std::abort();
    some->settle({.tokens = 150});
  }

 private:
  felix::budget_scope scope_{"scope", endless};
};

class three_scopes {
 public:
  void pair() {
    auto some = team_.try_reserve({.tokens = 400});
    if (!some) std::abort();
    some->settle({.tokens = 150});
  }

 private:
  felix::budget_scope company_{"company", endless}, session_{company_, "session", endless},
      team_{session_, "team", endless};
};

template <class Enforcement>
class ledger {
 public:
  void pair() {
    auto slice = budget_.try_reserve(asked);
    if (!slice) std::abort();
    slice->settle(used);
  }

 private:
  budget<Enforcement> budget_{{.session_cap_tokens = endless}};
};

class locked_scope {
 public:
  void pair() {
    if (!scope_.reserve(400)) std::abort();
    scope_.settle(400, 150);
  }

 private:
  peers::locked_scope scope_{endless};
};

class three_locked_scopes {
 public:
  void pair() {
    if (!team_.reserve(400)) std::abort();
    team_.settle(400, 150);
  }

 private:
  peers::locked_scope company_{endless}, session_{endless, &company_}, team_{endless, &session_};
};

class locked_ledger {
 public:
  void pair() {
    const token_count answer = budget_.reserve(asked);
    if (answer == 0) std::abort();
    budget_.settle(asked, answer, used);
  }

 private:
  peers::locked_ledger<endless_allotment> budget_{endless};
};

template <class Subject>
bench::contender contender(std::string name, unsigned threads) {
  return {std::move(name), [threads](std::chrono::duration<double> length) {
            const auto subject = std::make_unique<Subject>();
            return bench::run_team(threads, length, [&subject](bench::member& me) {
              me.repeat([&]() -> unsigned {
                subject->pair();
                return 1;
              });
            });
          }};
}

bench::estimate nanoseconds(const bench::estimate& per_second) {
  return {1e9 / per_second.value, 1e9 / per_second.high, 1e9 / per_second.low};
}

}  // namespace

void questions::reserve_and_settle(bench::suite& suite) {
  for (unsigned threads : {1u, 2u, 4u, 8u}) {
    const std::string name = fmt::format("reserve_and_settle_{}", threads);
    const std::string what = threads == 1 ? "CPU time" : fmt::format("wall-clock time, {} threads", threads);
    const auto [time, p99_9] =
        suite.take_turns(name, what,
                         {contender<scope>("scope", threads), contender<locked_scope>("mutex_scope", threads),
                          contender<three_scopes>("three_scopes", threads),
                          contender<three_locked_scopes>("mutex_three_scopes", threads),
                          contender<ledger<felix::planned_cap>>("planned_budget", threads),
                          contender<ledger<felix::hard_cap>>("hard_budget", threads),
                          contender<locked_ledger>("mutex_ledger", threads)});
    if (threads != 1) continue;
    const auto goal = [&](const std::string& subject, double most) {
      const auto measured = time.items_per_second(subject);
      suite.goal(name + ", " + subject, bench::at_most{most}, "ns",
                 measured ? std::optional{nanoseconds(*measured)} : std::nullopt);
    };
    goal("planned_budget", 50);
    goal("scope", 50);
  }
}
