// SPDX-License-Identifier: MIT
// A budget of your own: a policy is a struct with one function. No server is needed.
#include <felix/budget/token_budget.hpp>

#include <cstdio>

struct flat_allotment {
  constexpr felix::allotment operator()(const felix::role_id&) const noexcept {
    return {.base_tokens = 300, .stage_max_tokens = 75};
  }
};
struct halving_taper {
  constexpr double operator()(int stage) const noexcept { return 1.0 / (1 << (stage - 1)); }
};
using pocket_budget = felix::token_budget<flat_allotment, halving_taper, felix::hard_cap>;

int main() {
  pocket_budget pocket{{.session_cap_tokens = 1'500, .min_stage_tokens = 25}};
  for (int stage = 1; stage <= 3; ++stage) {
    auto slice =
        pocket.try_reserve({.agent = "scout", .role = "research", .stage = stage, .prompt_tokens_at_most = 200});
    if (!slice) {  // a stage that would get fewer than 25 tokens is not called
      std::printf("stage %d: no tokens\n", stage);
      continue;
    }
    std::printf("stage %d: up to %lld tokens\n", stage, static_cast<long long>(slice->max_tokens()));
    slice->settle({.prompt_tokens = 60, .completion_tokens = 30, .total_tokens = 90});  // what the server reported
  }
  std::printf("%lld tokens left\n", static_cast<long long>(pocket.system_status().left()));
}
