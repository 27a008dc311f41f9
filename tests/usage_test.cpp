// SPDX-License-Identifier: MIT
// core: usages add up member by member, and an estimated part makes the sum an estimate.
#include <felix/usage.hpp>

#include "support/catch.hpp"

#include <limits>
#include <type_traits>

using felix::token_usage;

static_assert(std::is_signed_v<felix::token_count> && sizeof(felix::token_count) == 8, "a difference is a number too");
static_assert(std::is_trivially_copyable_v<token_usage>);
static_assert(token_usage{} ==
              token_usage{.prompt_tokens = 0, .completion_tokens = 0, .total_tokens = 0, .estimated = false});
static_assert(token_usage{.prompt_tokens = 1} + token_usage{.completion_tokens = 2} ==
              token_usage{.prompt_tokens = 1, .completion_tokens = 2});

TEST_CASE("token_usage: is added member by member", "[core][usage]") {
  token_usage sum{.prompt_tokens = 100, .completion_tokens = 20, .total_tokens = 120};
  sum += {.prompt_tokens = 3, .completion_tokens = 40, .total_tokens = 43};
  CHECK(sum.prompt_tokens == 103);
  CHECK(sum.completion_tokens == 60);
  CHECK(sum.total_tokens == 163);
  CHECK_FALSE(sum.estimated);
  token_usage& same = (sum += token_usage{});
  CHECK(&same == &sum);
}

TEST_CASE("token_usage: the total is the server's, not a sum made here", "[core][usage]") {
  const token_usage with_reasoning{.prompt_tokens = 10, .completion_tokens = 5, .total_tokens = 40};
  CHECK((with_reasoning + with_reasoning).total_tokens == 80);
}

TEST_CASE("token_usage: a sum stops at the most that can be said", "[core][usage]") {
  using limits = std::numeric_limits<felix::token_count>;
  const token_usage huge{.prompt_tokens = limits::max(),
                         .completion_tokens = limits::max() - 1,
                         .total_tokens = limits::min(),
                         .cached_prompt_tokens = limits::max(),
                         .reasoning_tokens = limits::max()};
  const token_usage sum = huge + token_usage{.prompt_tokens = 1,
                                             .completion_tokens = 1,
                                             .total_tokens = -1,
                                             .cached_prompt_tokens = limits::max(),
                                             .reasoning_tokens = -1};
  CHECK(sum == token_usage{.prompt_tokens = limits::max(),
                           .completion_tokens = limits::max(),
                           .total_tokens = limits::min(),
                           .cached_prompt_tokens = limits::max(),
                           .reasoning_tokens = limits::max() - 1});
}

TEST_CASE("token_usage: once estimated, always estimated", "[core][usage]") {
  const token_usage counted{.total_tokens = 5};
  const token_usage guessed{.total_tokens = 5, .estimated = true};
  CHECK_FALSE((counted + counted).estimated);
  CHECK((counted + guessed).estimated);
  CHECK((guessed + counted).estimated);
  CHECK((guessed + guessed).estimated);
  CHECK_FALSE(counted == guessed);
}
