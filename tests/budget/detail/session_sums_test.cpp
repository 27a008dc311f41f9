// SPDX-License-Identifier: MIT
#include <felix/budget/detail/session_sums.hpp>

#include "support/catch.hpp"

using felix::budget_scope;
using felix::detail::session_request;
using felix::detail::session_sums;
using felix::detail::session_tokens;

namespace {

session_request request(session_tokens prompt, felix::token_count wanted, felix::token_count least) {
  return {.prompt = prompt, .wanted = wanted, .least = least};
}

}  // namespace

TEST_CASE("session_sums: the sum that leaves less decides, and both hold the same answer", "[budget][session_sums]") {
  session_sums sums{1'000, true, nullptr};
  session_sums::refusal by;
  CHECK(sums.take(request({100, 700}, 400, 50), nullptr, 0, by) == 300);
  CHECK(sums.held() == 1'000);
  sums.settle({400, 1'000}, 0, 0, 0);
  CHECK(sums.held() == 0);
  CHECK(sums.left() == 1'000);  // the planned sum was shrunk to the same answer
}

TEST_CASE("session_sums: what one sum refuses, the other does not hold", "[budget][session_sums]") {
  session_sums sums{1'000, true, nullptr};
  session_sums::refusal by;
  CHECK(sums.take(request({100, 990}, 400, 50), nullptr, 0, by) == 0);
  CHECK(by.by == nullptr);
  CHECK(sums.left() == 1'000);
  CHECK_FALSE(sums.grow({100, 1'001}, by));
  CHECK(sums.left() == 1'000);
}

TEST_CASE("session_sums: a scope that grants less shrinks both, and one that refuses undoes them",
          "[budget][session_sums]") {
  budget_scope company{"company", 500};
  budget_scope team{company, "team", 600};
  session_sums sums{1'000, true, &team};
  session_sums::refusal by;
  CHECK(sums.take(request({100, 300}, 400, 50), nullptr, 0, by) == 200);
  CHECK(sums.held() == 500);
  CHECK(sums.left() == 500);
  CHECK(team.status().tokens.reserved == 500);
  sums.settle({300, 500}, 0, 120, 0);
  CHECK(sums.left() == 880);
  CHECK(company.status().tokens.settled == 120);
  CHECK(sums.take(request({100, 381}, 400, 50), nullptr, 7, by) == 0);
  CHECK(by.by == &company);
  CHECK(sums.is_closed_in(7));  // whoever comes later in this pass lets it go first
  CHECK_FALSE(sums.is_closed_in(8));
  CHECK(sums.left() == 880);
  CHECK(team.status().tokens.reserved == 0);
  CHECK_FALSE(sums.grow({100, 381}, by));
  CHECK(sums.left() == 880);
}

TEST_CASE("session_sums: what is aside covers a request, in each sum and in the scopes", "[budget][session_sums]") {
  budget_scope company{"company", 1'000};
  session_sums sums{1'000, true, &company};
  session_sums::refusal by;
  session_tokens aside{400, 600};
  REQUIRE(sums.grow(aside, by));
  CHECK(sums.take(request({50, 300}, 100, 100), &aside, 0, by) == 100);
  CHECK(aside.planned == 250);
  CHECK(aside.worst == 200);
  CHECK(sums.held() == 600);
  CHECK(company.status().tokens.reserved == 600);
  sums.shrink(aside);
  sums.settle({150, 400}, 0, 0, 0);
  CHECK(sums.left() == 1'000);
  CHECK(company.status().tokens.reserved == 0);
}

TEST_CASE("session_sums: a planned one keeps no worst case", "[budget][session_sums]") {
  session_sums sums{1'000, false, nullptr};
  session_sums::refusal by;
  session_tokens aside{100, 5'000};
  CHECK(sums.grow(aside, by));
  CHECK(sums.take(request({100, 9'000}, 100, 100), nullptr, 0, by) == 100);
  CHECK(sums.held() == 300);
  CHECK(sums.kept({1, 2}) == 1);
  CHECK_FALSE(sums.is_hard());
}
