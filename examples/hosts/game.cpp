// SPDX-License-Identifier: MIT
// A game: its own loop calls poll() once a frame, which never blocks. Characters think while it draws.
//     ./game http://localhost:1234/v1
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

felix::task<std::string> think(felix::client& llm, std::string who) {
  auto answer =
      co_await llm.complete(felix::chat_request{}.user("You are " + who + ". What do you say?").max_tokens(30));
  co_return answer.text();
}

int main(int argc, char** argv) try {
  felix::event_loop loop;
  felix::client llm{loop, {.base_url = argc > 1 ? argv[1] : "http://localhost:1234/v1"}};
  int thinking = 0;
  bool failed = false;
  for (const char* who : {"the smith", "the innkeeper", "the ferryman"}) {
    ++thinking;
    loop.spawn(think(llm, who), [&, who](const felix::result<std::string>& said) {  // runs inside poll()
      --thinking;
      failed = failed || !said;
      fmt::print("{}: {}\n", who, said ? *said : said.message());
    });
  }
  int frames = 0;
  while (thinking > 0) {
    loop.poll();
    ++frames;                                                    // draw() would stand here
    std::this_thread::sleep_for(std::chrono::milliseconds{16});  // the screen's pace
  }
  fmt::print("{} frames were drawn meanwhile\n", frames);
  loop.shut_down();  // what still runs ends with `cancelled`, while llm is there
  return failed ? 1 : 0;
} catch (const felix::error& failure) {
  fmt::print(stderr, "game: {}\n", failure.what());
  return 1;
}
