// SPDX-License-Identifier: MIT
#include "support/catch.hpp"
#include "support/program.hpp"

#include <string>

#ifdef FELIX_ASYNC_BASICS

using Catch::Matchers::ContainsSubstring;

TEST_CASE("async_basics: shows each of its ideas, and ends", "[examples][async_basics]") {
  felix::test::program basics{FELIX_ASYNC_BASICS, {}};
  CHECK(basics.wait() == 0);
  CHECK(basics.err().empty());
  for (const char* line : {"number 1 was first", "the sensor on the roof is broken", "not done within 0.02 s",
                           "dining room: 11", "the sum is 499999500000"})
    CHECK_THAT(basics.out(), ContainsSubstring(line));
}

TEST_CASE("simulated_time: a seed repeats its day, and others give other ones", "[examples][simulated_time]") {
  felix::test::program one{FELIX_SIMULATED_TIME, {"7"}}, again{FELIX_SIMULATED_TIME, {"7"}},
      other{FELIX_SIMULATED_TIME, {"8"}};
  CHECK(one.wait() == 0);
  CHECK(again.wait() == 0);
  CHECK(other.wait() == 0);
  CHECK(one.out() == again.out());
  CHECK(one.out() != other.out());
  CHECK_THAT(one.out(), ContainsSubstring("10:00 closing time"));
  CHECK_THAT(one.out(), ContainsSubstring("The same seed gives the same day"));
}

TEST_CASE("simulated_time: what is no seed is refused", "[examples][simulated_time]") {
  felix::test::program wrong{FELIX_SIMULATED_TIME, {"monday"}};
  CHECK(wrong.wait() == 2);
  CHECK_THAT(wrong.err(), ContainsSubstring("usage: simulated_time [SEED]"));
}

TEST_CASE("work_queue: the most urgent goes first, and all work is done", "[examples][work_queue]") {
  felix::test::program queue{FELIX_WORK_QUEUE, {}};
  CHECK(queue.wait() == 0);
  CHECK(queue.err().empty());
  CHECK(queue.out() ==
        "called off: a cake\n"
        "next: bread, the customer waits\n"
        "next: rolls for tomorrow\n"
        "due in 15 minutes: rolls\n"
        "due in 40 minutes: rye bread\n"
        "due in 90 minutes: a wedding cake\n"
        "two workers found that the sum is 500500\n");
}

TEST_CASE("shared_limit: shares, a ceiling, and an urgent request that does not wait", "[examples][shared_limit]") {
  felix::test::program shared{FELIX_SHARED_LIMIT, {}};
  CHECK(shared.wait() == 0);
  CHECK(shared.err().empty());
  CHECK_THAT(shared.out(), ContainsSubstring("1.5 s: an urgent question\n"));
  CHECK_THAT(shared.out(), ContainsSubstring("at most 4 at once\n"));
}

#endif
