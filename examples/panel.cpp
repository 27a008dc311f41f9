// SPDX-License-Identifier: MIT
// Several at once: two opinions on one question, and a list of questions, in parallel on one server.
//     ./panel "Should we rewrite it?"
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <string>
#include <utility>
#include <vector>

felix::task<std::string> ask(felix::model auto& llm, std::string question) {  // any model: a client, a stack, a script
  auto answer = co_await llm.complete(felix::chat_request{}.user(std::move(question)).max_tokens(80));
  co_return answer.text();
}

felix::task<void> panel(felix::client& llm, std::string question) {
  auto [pro, contra] = co_await felix::when_all(ask(llm, question + " What speaks for it?"),
                                                ask(llm, question + " What speaks against it?"));
  fmt::print("For:     {}\nAgainst: {}\n", pro, contra);

  std::vector<felix::task<std::string>> asked;
  for (const char* who : {"a tester", "a newcomer", "a customer"}) asked.push_back(ask(llm, question + " Ask " + who));
  for (const std::string& answer : co_await felix::when_all(std::move(asked))) fmt::print("- {}\n", answer);
}

int main(int argc, char** argv) try {
  felix::event_loop loop;
  felix::stop_on_signal ctrl_c{loop, SIGINT};
  felix::client llm{loop};
  loop.run(panel(llm, argc > 1 ? argv[1] : "Should we rewrite it?"), ctrl_c.get_token());
} catch (const felix::error& failure) {
  fmt::print(stderr, "panel: {}\n", failure.what());
  return 1;
}
