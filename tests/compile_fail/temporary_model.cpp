// SPDX-License-Identifier: MIT
// An agent refers to its model: a temporary one would be gone before the first request.
// EXPECT: cannot bind non-const lvalue reference|no matching constructor
#include <felix/agent/agent.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/llm/scripted_model.hpp>

void make(felix::simulated_loop& loop) {
#ifdef FELIX_WRONG
  felix::agent critic{felix::scripted_model{loop}, felix::roles::critic};
#else
  felix::scripted_model llm{loop};
  felix::agent critic{llm, felix::roles::critic};
#endif
}
