// SPDX-License-Identifier: MIT
// One question, one answer. It wants a server at http://localhost:1234/v1: LM Studio, or `model_server --port 1234`.
#include <felix/felix.hpp>

#include <fmt/core.h>

int main() try {
  felix::event_loop loop;
  felix::client llm{loop};  // http://localhost:1234/v1, at most 4 requests at once
  auto answer = loop.run(llm.complete(felix::chat_request{}.user("Why is the sky blue?").max_tokens(120)));
  fmt::print("{}\n{} tokens\n", answer.text(), answer.usage().total_tokens);
} catch (const felix::error& failure) {
  fmt::print(stderr, "ask: {}\n", failure.what());  // what happened, to whom, and what to do
  return 1;
}
