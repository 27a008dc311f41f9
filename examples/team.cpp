// SPDX-License-Identifier: MIT
// A team under a strict budget: 2,000 tokens in all, prompts included, and a text at the end.
//     ./team "Write about AI safety"
#include <felix/felix.hpp>

#include <fmt/core.h>

int main(int argc, char** argv) try {
  felix::event_loop loop;
  felix::client llm{loop};
  felix::strict_budget budget;  // yours, as llm is: the session refers to both
  felix::session blog{llm, felix::teams::medium(), budget, {.seed = 7}};
  auto result = loop.run(blog.run(argc > 1 ? argv[1] : "Write about AI safety"));
  fmt::print("{}\n\n{}\n{}\n", result.final_text, result, budget.system_status());
} catch (const felix::error& failure) {
  fmt::print(stderr, "team: {}\n", failure.what());
  return 1;
}
