// SPDX-License-Identifier: MIT
// A server with threads of its own: each of them waits for its answer, and all share one client and its limit.
//     ./workers http://localhost:1234/v1
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <string>
#include <thread>
#include <vector>

int main(int argc, char** argv) try {
  felix::io_thread io;
  felix::client llm{io, {.base_url = argc > 1 ? argv[1] : "http://localhost:1234/v1", .max_concurrent_requests = 2}};

  std::vector<std::string> answers(4);
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    workers.emplace_back([&, i] {
      try {  // sync_wait blocks this thread alone; on the loop's own thread it would throw deadlock_error
        auto request = felix::chat_request{}.user("Summarise ticket " + std::to_string(i)).max_tokens(30);
        answers[i] = felix::sync_wait(llm.complete(request)).text();
      } catch (const felix::error& failure) {
        answers[i] = failure.what();
      }
    });
  }
  for (auto& each : workers) each.join();
  for (const auto& each : answers) fmt::print("- {}\n", each);
  fmt::print("{}\n", llm.usage_stats());
} catch (const felix::error& failure) {
  fmt::print(stderr, "workers: {}\n", failure.what());
  return 1;
}
