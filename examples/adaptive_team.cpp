// SPDX-License-Identifier: MIT
// A team that learns which of its stages are worth their tokens: each topic is written with what the ones before have shown.
//     ./adaptive_team [BASE_URL [TOPIC]...]
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <vector>

using namespace std::chrono_literals;

int main(int argc, char** argv) try {
  std::vector<std::string> topics{"Write about AI safety", "Write about tea"};
  if (argc > 2) topics.assign(argv + 2, argv + argc);

  felix::event_loop loop;
  felix::client llm{loop, {.base_url = argc > 1 ? argv[1] : "http://localhost:1234/v1"}};
  const auto server = loop.run(llm.identify());

  std::vector<felix::call_record> learned;  // plain numbers: keep them in a file, if you like
  for (const auto& topic : topics) {
    felix::normal_budget budget{
        {.session_cap_tokens = 5'000, .min_stage_tokens = 50}};  // half of what the team could use
    felix::session_options options{.seed = 7};
    options.limits = {.time = 60s};  // from 48 s on no stage begins, and the rest is for the final text
    options.adaptive = felix::adaptive_allotment{learned};
    options.capacity = {.context_tokens = server.context_tokens};  // 0, when the server does not say: no limit
    felix::session blog{llm, felix::teams::medium(), budget, options};
    const auto result = loop.run(blog.run(topic));
    fmt::print("{}\n\n{}: {} tokens, {} stages left out{}\n\n", result.final_text, topic,
               budget.system_status().settled, result.dropped, result.ended_by ? ", and its time was over" : "");
    learned = result.learned;
  }
  fmt::print("role         part  stage  confidence per 1,000 tokens\n");
  for (const auto& [kind, confidence, tokens] : learned)
    fmt::print("{:<12} {}/3  {:>5}  {:.2f}\n", kind.role.name(), kind.third + 1, kind.repetition + 1,
               1'000 * confidence / tokens);
} catch (const felix::error& failure) {
  fmt::print(stderr, "adaptive_team: {}\n", failure.what());
  return 1;
}
