// SPDX-License-Identifier: MIT
// llm: the time that prompts take, learned from prompts.
#include <felix/llm/detail/expected_prefill.hpp>

#include "support/catch.hpp"

using felix::detail::expected_prefill;

TEST_CASE("expected_prefill: nothing is expected while nothing is known", "[llm][expected_prefill]") {
  const expected_prefill prefill;
  CHECK_FALSE(prefill.known());
  CHECK(prefill.of(1'000, 1) == 0);
  CHECK(prefill.mean() == 0);
}

TEST_CASE("expected_prefill: in proportion to the tokens and 60 more, and to the slowdown", "[llm][expected_prefill]") {
  expected_prefill prefill;
  prefill.add(100, {.prompt_tokens = 100}, 0.320, 1);
  REQUIRE(prefill.known());
  CHECK(prefill.of(100, 1) == Approx(0.320));
  CHECK(prefill.of(40, 1) == Approx(0.200));
  CHECK(prefill.of(40, 2) == Approx(0.400));
  CHECK(prefill.mean() == Approx(0.320));
}

TEST_CASE("expected_prefill: a prompt that was slowed down counts as if it had not been", "[llm][expected_prefill]") {
  expected_prefill prefill;
  prefill.add(100, {.prompt_tokens = 100}, 0.640, 2);
  CHECK(prefill.of(100, 1) == Approx(0.320));
}

TEST_CASE("expected_prefill: the fastest prompt counts, and is forgotten by 1 % a prompt", "[llm][expected_prefill]") {
  expected_prefill prefill;
  prefill.add(100, {.prompt_tokens = 100}, 0.320, 1);
  prefill.add(100, {.prompt_tokens = 100}, 0.160, 1);
  CHECK(prefill.of(100, 1) == Approx(0.160));
  prefill.add(100, {.prompt_tokens = 100}, 0.640, 1);
  CHECK(prefill.of(100, 1) == Approx(0.1616));
}

TEST_CASE("expected_prefill: what is cached is not read, and that is expected of later prompts",
          "[llm][expected_prefill]") {
  expected_prefill prefill;
  prefill.add(100, {.prompt_tokens = 100, .cached_prompt_tokens = 60}, 0.200, 1);
  CHECK(prefill.of(100, 1) == Approx(0.200));  // 40 and 60 tokens of 2 ms
  CHECK(prefill.of(200, 1) == Approx(0.280));
  prefill.add(100, {.prompt_tokens = 100}, 1.000, 1);
  CHECK(prefill.of(100, 1) == Approx(0.00202 * (46 + 60)));  // a tenth of the way to all
}

TEST_CASE("expected_prefill: without usage the estimate counts", "[llm][expected_prefill]") {
  expected_prefill prefill;
  prefill.add(40, {}, 0.100, 1);
  CHECK(prefill.of(40, 1) == Approx(0.100));
  CHECK(prefill.of(140, 1) == Approx(0.200));
}

TEST_CASE("expected_prefill: the error is how much longer prompts take, in the mean", "[llm][expected_prefill]") {
  expected_prefill prefill;
  prefill.add(100, {.prompt_tokens = 100}, 0.160, 1);
  CHECK(prefill.error() == 0);
  prefill.add(100, {.prompt_tokens = 100}, 0.260, 1);
  CHECK(prefill.error() == Approx(0.010));
  prefill.add(100, {.prompt_tokens = 100}, 0.100, 1);  // faster is no error
  CHECK(prefill.error() == Approx(0.009));
}

TEST_CASE("expected_prefill: a prompt that took no time is known as well", "[llm][expected_prefill]") {
  expected_prefill prefill;
  prefill.add(100, {.prompt_tokens = 100}, 0, 1);
  CHECK(prefill.known());
  CHECK(prefill.of(100, 1) == Approx(0.000160));
}
