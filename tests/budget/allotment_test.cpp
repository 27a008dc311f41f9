// SPDX-License-Identifier: MIT
// budget: the two tables, number by number, and what is a policy.
#include <felix/budget/allotment.hpp>

#include "support/catch.hpp"

#include <string>

using felix::allotment;
using felix::allotment_policy;
using felix::role_id;
using felix::token_count;

namespace {

struct may_throw {
  allotment operator()(const role_id&) const { return {}; }
};
struct gives_a_number {
  token_count operator()(const role_id&) const noexcept { return 1; }
};
struct changes {
  allotment operator()(const role_id&) noexcept { return {}; }
};
struct not_copied {
  not_copied() = default;
  not_copied(not_copied&&) = default;
  allotment operator()(const role_id&) const noexcept { return {}; }
};
struct by_value {
  allotment operator()(role_id) const noexcept { return {}; }
};

}  // namespace

static_assert(allotment_policy<by_value>);
static_assert(!allotment_policy<may_throw> && !allotment_policy<gives_a_number> && !allotment_policy<changes> &&
              !allotment_policy<not_copied> && !allotment_policy<int>);

TEST_CASE("strict_allotment: the guide's table", "[budget][allotment]") {
  struct row {
    std::string role;
    token_count base, stage;
  };
  const auto [role, base, stage] = GENERATE(values<row>({{"research", 400, 150},
                                                         {"analysis", 350, 120},
                                                         {"synthesis", 300, 100},
                                                         {"critic", 250, 80},
                                                         {"translator", 350, 120},
                                                         {"researcher", 350, 120},
                                                         {"", 350, 120}}));
  CAPTURE(role);
  const allotment given = felix::strict_allotment{}(role);
  CHECK(given.base_tokens == base);
  CHECK(given.stage_max_tokens == stage);
}

TEST_CASE("normal_allotment: the guide's multipliers on 1,200", "[budget][allotment]") {
  struct row {
    std::string role;
    token_count base, stage;
  };
  const auto [role, base, stage] = GENERATE(values<row>({{"research", 1'440, 150},
                                                         {"analysis", 1'200, 150},
                                                         {"synthesis", 960, 200},
                                                         {"critic", 1'080, 150},
                                                         {"translator", 1'200, 150}}));
  CAPTURE(role);
  const allotment given = felix::normal_allotment{}(role);
  CHECK(given.base_tokens == base);
  CHECK(given.stage_max_tokens == stage);
}

TEST_CASE("budget_options: what a budget starts with", "[budget][allotment]") {
  CHECK(felix::strict_allotment::defaults.session_cap_tokens == 2'000);
  CHECK(felix::strict_allotment::defaults.min_stage_tokens == 20);
  CHECK(felix::normal_allotment::defaults.session_cap_tokens == 10'000);
  CHECK(felix::normal_allotment::defaults.min_stage_tokens == 150);
  CHECK(felix::budget_options{}.session_cap_tokens == felix::budget_options::by_policy);
  CHECK(felix::budget_options{}.min_stage_tokens == felix::budget_options::by_policy);
}
