// SPDX-License-Identifier: MIT
// budget: one request at a time, until eight were within.
#include <felix/budget/detail/overrun_watch.hpp>

#include "support/catch.hpp"

TEST_CASE("overrun_watch: eight in a row must fit", "[budget][overrun_watch]") {
  felix::detail::overrun_watch watch;
  watch.learn(true);
  CHECK_FALSE(watch.one_at_a_time());
  watch.learn(false);
  for (int answer = 0; answer < 7; ++answer) watch.learn(true);
  CHECK(watch.one_at_a_time());
  watch.learn(false);  // anew
  for (int answer = 0; answer < 7; ++answer) watch.learn(true);
  CHECK(watch.one_at_a_time());
  watch.learn(true);
  CHECK_FALSE(watch.one_at_a_time());
  watch.learn(true);
  CHECK_FALSE(watch.one_at_a_time());
}
