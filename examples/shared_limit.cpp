// SPDX-License-Identifier: MIT
// One server, four slots, and several who want them: a limit that two teams share, with a guarantee for the one, a ceiling
// for the other, and a slot held back for what is urgent. Simulated time and a scripted model: it needs no server.
//     ./shared_limit
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

felix::task<void> ask(felix::model auto& llm, std::string who, felix::request_priority priority) {
  co_await llm.complete(felix::chat_request{}.user(who).priority(priority).max_tokens(20));
  const auto now = co_await felix::this_task::now();
  fmt::print("{} s: {}\n", std::chrono::duration<double>(now - felix::simulated_loop::start).count(), who);
}

felix::task<void> later(felix::model auto& llm, std::string who) {
  co_await felix::sleep_for(500ms);
  co_await ask(llm, std::move(who), felix::request_priority::urgent);
}

felix::task<void> several(felix::model auto& llm, std::string who, int number) {
  std::vector<felix::task<void>> asked;
  for (int i = 1; i <= number; ++i)
    asked.push_back(ask(llm, fmt::format("{} {}", who, i), felix::request_priority::low));
  co_await felix::when_all(std::move(asked));
}

int main() {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{{.limit = 4, .held_back = 1}};  // 3 at most for what is not urgent
  felix::priority_semaphore::group archive{slots, "archive", {.ceiling = 2}};
  felix::priority_semaphore::group support{slots, "support", {.guaranteed = 1}};

  felix::scripted_model server{loop};  // one second for each answer; a felix::client would do as well
  server.on("").reply("done").after(1s);
  auto for_archive = felix::model_ref{server} | felix::limit{archive};
  auto for_support = felix::model_ref{server} | felix::limit{support};

  loop.run(felix::when_all(several(for_archive, "archive", 4), several(for_support, "support", 2),
                           later(for_support, "an urgent question")));
  fmt::print("at most {} at once\n", server.max_in_flight());
}
