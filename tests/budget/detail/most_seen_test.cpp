// SPDX-License-Identifier: MIT
// budget: the most seen is kept twice until eight answers agree.
#include <felix/budget/detail/most_seen.hpp>

#include "support/catch.hpp"

using felix::detail::most_seen;

TEST_CASE("most_seen: twice until eight in a row did not raise it", "[budget][most_seen]") {
  most_seen most;
  CHECK(most.most() == 0);
  CHECK(most.to_keep() == 0);
  CHECK(most.learn(20));
  for (int answer = 0; answer < 7; ++answer) CHECK_FALSE(most.learn(20));
  CHECK(most.to_keep() == 40);
  CHECK_FALSE(most.learn(3));
  CHECK(most.to_keep() == 20);
  CHECK(most.learn(21));
  CHECK(most.to_keep() == 42);
  for (int answer = 0; answer < 100; ++answer) most.learn(-5);
  CHECK(most.to_keep() == 21);
  CHECK(most.most() == 21);
}

TEST_CASE("most_seen: what is below 0 is no less than none", "[budget][most_seen]") {
  most_seen most;
  CHECK_FALSE(most.learn(-7));
  CHECK(most.most() == 0);
}
