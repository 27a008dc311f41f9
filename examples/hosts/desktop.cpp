// SPDX-License-Identifier: MIT
// A desktop program: felix's loop on a thread of its own, and a future for the thread that draws.
//     ./desktop http://localhost:1234/v1
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <future>

int main(int argc, char** argv) try {
  felix::io_thread io;
  felix::client llm{io, {.base_url = argc > 1 ? argv[1] : "http://localhost:1234/v1"}};

  felix::stop_source cancel;  // what a Cancel button calls request_stop() on
  std::future<felix::chat_response> answer =
      io.spawn(llm.complete(felix::chat_request{}.user("Name three rivers.").max_tokens(40)), cancel.get_token());
  while (answer.wait_for(std::chrono::milliseconds{100}) != std::future_status::ready) {
    fmt::print(".");  // the window stays alive
    std::fflush(stdout);
  }
  fmt::print("\n{}\n", answer.get().text());
} catch (const felix::error& failure) {
  fmt::print(stderr, "\ndesktop: {}\n", failure.what());
  return 1;
}
