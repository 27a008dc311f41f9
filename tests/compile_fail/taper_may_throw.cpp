// SPDX-License-Identifier: MIT
// A policy that may throw is refused: the ledger asks it in the middle of a reservation.
// EXPECT: taper_policy
#include <felix/budget/token_budget.hpp>

struct my_taper {
#ifdef FELIX_WRONG
  double operator()(int) const { return 1.0; }
#else
  double operator()(int) const noexcept { return 1.0; }
#endif
};

felix::token_budget<felix::strict_allotment, my_taper, felix::hard_cap> budget;
