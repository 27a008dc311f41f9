// SPDX-License-Identifier: MIT
// budget: one sum under its cap: by hand, and in every order of its atomic steps within a bound.
#include <felix/budget/detail/held_sum.hpp>

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

#include <cstdint>
#include <string>

using felix::token_count;
using felix::detail::capped_sum;
using felix::detail::held_sum;
using felix::detail::most_tokens;
using felix::detail::sum_grant;
using felix::detail::sum_request;

TEST_CASE("held_sum: grants what fits, from the least to what is wanted", "[budget][held_sum]") {
  held_sum<> sum;
  CHECK(sum.take(100, {.fixed = 30, .wanted = 20, .least = 20}).granted == 20);
  CHECK(sum.held() == 50);
  CHECK_FALSE(sum.take(100, {.fixed = 30, .wanted = 21, .least = 21}));
  CHECK(sum.held() == 50);
  CHECK(sum.take(100, {.fixed = 30, .wanted = 40, .least = 5}).granted == 20);
  CHECK(sum.held() == 100);
  CHECK_FALSE(sum.take(100, {.fixed = 0, .wanted = 40, .least = 1}));
  CHECK(sum.take(100, {.fixed = 0, .wanted = 40, .least = 0}).granted == 0);
  sum.let_go(60);
  CHECK(sum.held() == 40);
}

TEST_CASE("held_sum: what covers a request is not taken again", "[budget][held_sum]") {
  held_sum<> sum;
  REQUIRE(sum.take(100, {.fixed = 60}));
  SECTION("all of it") {
    const sum_request asked{.fixed = 10, .wanted = 20, .least = 20, .covered = 60};
    const sum_grant grant = sum.take(100, asked);
    CHECK(grant.granted == 20);
    CHECK(sum.held() == 60);
    CHECK(grant.left_of_cover(asked) == 30);
    CHECK(grant.holds(asked) == 60);
  }
  SECTION("a part") {
    const sum_request asked{.fixed = 70, .wanted = 40, .least = 1, .covered = 60};
    sum_grant grant = sum.take(100, asked);
    CHECK(grant.granted == 30);
    CHECK(sum.held() == 100);
    CHECK(grant.left_of_cover(asked) == 0);
    sum.shrink(asked, grant, 10);
    CHECK(sum.held() == 80);
    CHECK(grant.granted == 10);
    sum.undo(asked, grant);
    CHECK(sum.held() == 60);
  }
  SECTION("shrunk to what is covered, the rest stays covered") {
    const sum_request asked{.fixed = 50, .wanted = 40, .least = 1, .covered = 60};
    sum_grant grant = sum.take(100, asked);
    CHECK(sum.held() == 90);
    sum.shrink(asked, grant, 5);
    CHECK(sum.held() == 60);
    CHECK(grant.left_of_cover(asked) == 5);
  }
  SECTION("too much, in spite of it") { CHECK_FALSE(sum.take(100, {.fixed = 101, .covered = 60})); }
}

TEST_CASE("held_sum: of a cover that an overrun has eaten, only what the cap has room for stays",
          "[budget][held_sum]") {
  held_sum<> sum;
  REQUIRE(sum.take(100, {.fixed = 60}));
  REQUIRE(sum.take(100, {.fixed = 40}));
  sum.change(40, 65);  // 25 beyond the cap
  const sum_request asked{.fixed = 10, .wanted = 5, .least = 5, .covered = 60};
  SECTION("trimmed") {
    const sum_grant grant = sum.take(100, asked, held_sum<>::cover::trimmed);
    CHECK(grant.granted == 5);
    CHECK(grant.trimmed == 25);
    CHECK(grant.left_of_cover(asked) == 20);
    CHECK(sum.held() == 100);
    sum.undo(asked, grant);
    CHECK(sum.held() == 125);
  }
  SECTION("kept") {
    const sum_grant grant = sum.take(100, asked);
    CHECK(grant.trimmed == 0);
    CHECK(grant.left_of_cover(asked) == 45);
    CHECK(sum.held() == 125);
  }
  SECTION("nothing beyond what is left of it") {
    CHECK_FALSE(sum.take(100, {.fixed = 36, .covered = 60}));
    CHECK(sum.take(100, {.fixed = 35, .covered = 60}));
  }
}

TEST_CASE("held_sum: no number makes it overflow", "[budget][held_sum]") {
  held_sum<> sum;
  for (int i = 0; i < 20; ++i) sum.change(0, most_tokens);
  CHECK(sum.held() == most_tokens);
  CHECK_FALSE(sum.take(2 * most_tokens, {.fixed = most_tokens, .wanted = most_tokens, .least = most_tokens}));
  CHECK(sum.take(2 * most_tokens, {.fixed = most_tokens, .wanted = 0, .least = 0}));
}

TEST_CASE("capped_sum: what is settled beyond a reservation is an overrun", "[budget][held_sum]") {
  capped_sum<> sum{100};
  REQUIRE(sum.hold(60));
  CHECK(sum.left() == 40);
  CHECK(sum.look().reserved == 60);
  REQUIRE(sum.hold(40));
  CHECK_FALSE(sum.hold(1));
  sum.settle(60, 50);
  CHECK(sum.look().settled == 50);
  CHECK(sum.look().reserved == 40);
  CHECK(sum.look().overrun == 0);
  CHECK(sum.can_ever_hold(50));
  CHECK_FALSE(sum.can_ever_hold(51));
  sum.settle(40, 90);
  CHECK(sum.look().settled == 140);
  CHECK(sum.look().reserved == 0);
  CHECK(sum.look().overrun == 50);
  CHECK(sum.left() == 0);
  CHECK_FALSE(sum.hold(0));
}

#ifndef FELIX_TEST_NO_FIBERS

namespace {

namespace model = felix::test::model;

struct model_atomics {
  template <class T>
  using atomic = model::atomic<T>;
};

// Two threads that spend, one of them more than it has reserved, and one that looks.
void spend_and_look(model::execution& run) {
  capped_sum<model_atomics> sum{10};
  const auto broken = [&] {
    const auto seen = sum.look();
    return seen.settled + seen.reserved > 10 + seen.overrun || seen.settled < 0;
  };
  run.run({[&] {
             if (sum.hold(6)) sum.settle(6, 9);
             if (sum.hold(5)) sum.settle(5, 2);
           },
           [&] {
             if (sum.hold(4)) sum.settle(4, 5);
           },
           [&] {
             if (broken()) run.fail("settled + reserved > cap + overrun");
             if (broken()) run.fail("settled + reserved > cap + overrun");
           }});
  const auto seen = sum.look();
  if (seen.reserved != 0) run.fail("something is left reserved");
  if (seen.settled > 10 + seen.overrun) run.fail("more is settled than cap and overrun");
}

// What is settled was held: a look that sees the one sees the other.
void settled_is_held(model::execution& run) {
  capped_sum<model_atomics> sum{10};
  token_count held_then = 0;
  token_count settled_then = 0;
  run.run({[&] {
             if (sum.hold(4)) sum.settle(4, 8);
           },
           [&] {
             settled_then = sum.settled();
             held_then = 10 - sum.left();
           }});
  if (settled_then > held_then) run.fail("settled > held");
}

// What covers a request is never to be had by another in between.
void cover_is_kept(model::execution& run) {
  held_sum<model_atomics> sum;
  const bool covered = static_cast<bool>(sum.take(10, {.fixed = 8}));
  bool stolen = false;
  run.run({[&] {
             const sum_request asked{.fixed = 2, .wanted = 3, .least = 3, .covered = 8};
             sum_grant grant = sum.take(10, asked, held_sum<model_atomics>::cover::trimmed);
             if (!grant) run.fail("what was covered was refused");
             sum.undo(asked, grant);
           },
           [&] { stolen = static_cast<bool>(sum.take(10, {.fixed = 3})); }});
  if (!covered || stolen) run.fail("what was covered went to another");
}

void check_every_way(void (*program)(model::execution&)) {
  model::every_way every;
  std::string failure;
  const auto executions =
      model::explore(every, {.preemptions = 3, .stale_loads = 2, .executions = 400'000}, failure, program);
  CHECK(failure == "");
  CHECK(executions > 4);
}

}  // namespace

TEST_CASE("held_sum: the invariant holds for whoever looks, in every order of steps",
          "[budget][held_sum][interleaving]") {
  check_every_way(spend_and_look);
  check_every_way(settled_is_held);
  check_every_way(cover_is_kept);
}

#endif
