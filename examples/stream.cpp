// SPDX-License-Identifier: MIT
// An answer that is read while it is written.
//     ./stream "A long story" http://localhost:1234/v1
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <utility>

felix::task<void> tell(felix::client& llm, std::string topic) {
  auto stream = llm.stream(felix::chat_request{}.user(std::move(topic)).max_tokens(300));
  while (auto delta = co_await stream.next()) {
    fmt::print("{}", delta->text());
    std::fflush(stdout);
  }
  const auto& whole = stream.response();
  const auto first = std::chrono::duration_cast<std::chrono::milliseconds>(whole.timing().time_to_first_token);
  fmt::print("\n{} tokens, the first after {} ms\n", whole.usage().total_tokens, first.count());
}

int main(int argc, char** argv) try {
  felix::event_loop loop;
  felix::stop_on_signal ctrl_c{loop, SIGINT};  // closes the connection, and the server stops generating
  felix::client llm{loop, {.base_url = argc > 2 ? argv[2] : "http://localhost:1234/v1"}};
  loop.run(tell(llm, argc > 1 ? argv[1] : "A long story"), ctrl_c.get_token());
} catch (const felix::stream_interrupted& broken) {
  fmt::print(stderr, "\nstream: {}\n", broken.what());  // so_far() has what came before
  return 1;
} catch (const felix::error& failure) {
  fmt::print(stderr, "\nstream: {}\n", failure.what());
  return 1;
}
