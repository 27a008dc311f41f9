// SPDX-License-Identifier: MIT
#include <felix/budget/budget_exceeded.hpp>

#include "support/catch.hpp"

#include <string>

TEST_CASE("budget_exceeded: says who, how much, where and what to do, and carries it", "[budget][budget_exceeded]") {
  const felix::budget_exceeded session{"research_001", 300, 120, 2'000};
  CHECK(std::string{session.what()} ==
        "budget: research_001 asked for 300 tokens, 120 of 2000 are left; ask for less, use a smaller team, or raise "
        "session_cap_tokens");
  CHECK(session.code() == felix::errc::budget_exceeded);
  CHECK(session.asked() == 300);
  CHECK(session.left() == 120);
  CHECK(session.cost() == felix::request_cost::none);
  CHECK(std::string{felix::budget_exceeded{"", 1, 0, 5}.what()}.find("a request asked for 1 tokens") == 8);

  const auto scope = felix::budget_exceeded::in_scope("company", "research_001", 300, 120, 2'000);
  CHECK(std::string{scope.what()} ==
        "budget: research_001 asked for 300 tokens, 120 of 2000 are left in \"company\"; ask for less, or raise the "
        "scope's cap");
  CHECK(scope.asked() == 300);
  CHECK(scope.left() == 120);

  const auto money = felix::budget_exceeded::cost_in_scope("company", "research_001", 7, 5, 9);
  CHECK(std::string{money.what()} ==
        "budget: research_001 asked for 7 nano-units of money, 5 of 9 are left in \"company\"; ask for less, or raise "
        "the scope's cap");
  CHECK(money.asked() == 7);
  CHECK(money.left() == 5);
}

TEST_CASE("budget_exceeded: an allotment that is used up, and a wait that cannot succeed, say so",
          "[budget][budget_exceeded]") {
  const auto used_up = felix::budget_exceeded::of_allotment("research_001", 20, 5, 400);
  CHECK(
      std::string{used_up.what()} ==
      "budget: research_001 asked for 20 answer tokens, 5 of the 400 of its allotment are left; ask another agent, or "
      "give its role a larger one");
  const auto never = felix::budget_exceeded::for_ever(used_up);
  CHECK(std::string{never.what()} ==
        std::string{used_up.what()} + " (waiting cannot help: all that is reserved would not be enough)");
  CHECK(never.asked() == 20);
  CHECK(never.left() == 5);
}
