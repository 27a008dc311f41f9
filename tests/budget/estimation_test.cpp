// SPDX-License-Identifier: MIT
// budget: what an estimator must have, and how its confidence reads.
#include <felix/budget/estimation.hpp>

#include "support/catch.hpp"

#include <cstdint>

namespace {

struct always_ten {
  felix::token_count planned(const felix::prompt_size&) const noexcept { return 10; }
  felix::token_count at_most(const felix::prompt_size&) const noexcept { return 10; }
  void learn(const felix::prompt_size&, felix::token_count) noexcept {}
  felix::estimate_confidence confidence(const felix::prompt_size&) const noexcept { return {}; }
  bool one_at_a_time() const noexcept { return false; }
  std::int64_t answers_seen() const noexcept { return 0; }
};
struct may_throw : always_ten {
  felix::token_count at_most(const felix::prompt_size&) const { return 10; }
};
struct counts_in_double : always_ten {
  double planned(const felix::prompt_size&) const noexcept { return 10; }
};
struct cannot_be_copied : always_ten {
  cannot_be_copied(cannot_be_copied&&) = default;
};

static_assert(felix::estimation_policy<always_ten>);
static_assert(!felix::estimation_policy<may_throw>);
static_assert(!felix::estimation_policy<counts_in_double>);
static_assert(!felix::estimation_policy<cannot_be_copied>);

}  // namespace

TEST_CASE("estimate_confidence: says what it rests on", "[budget][estimation]") {
  CHECK(felix::estimate_confidence{.share = 0.99, .answers = 64}.statement() ==
        "confidence 99 % for text like the last 64");
  CHECK(felix::estimate_confidence{.share = 1}.statement() == "confidence 100 %");
  CHECK(felix::estimate_confidence{}.statement() == "no confidence stated");
}
