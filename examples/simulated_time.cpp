// SPDX-License-Identifier: MIT
// A day of a bakery in less than a millisecond: the clock jumps to whatever is due next, and a seed decides who goes first.
// So a test of your own code need not wait, and a run that fails can be run again.
//     ./simulated_time [SEED]
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;

/// Notes what happens, and when.
struct diary {
  std::string text;
  void note(std::chrono::steady_clock::time_point now, std::string_view what) {
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(now - felix::simulated_loop::start).count();
    text += fmt::format("{:02}:{:02} {}\n", 6 + minutes / 60, minutes % 60, what);
  }
};

// Nothing here knows of the simulation: it is the code that runs on an event_loop too.
felix::task<void> bake(felix::priority_semaphore& ovens, std::string what, std::chrono::minutes takes, diary& log) {
  co_await felix::this_task::yield();
  auto oven = co_await ovens.acquire();  // given back at the end, and when the task is stopped
  log.note(co_await felix::this_task::now(), what + " goes into the oven");
  co_await felix::sleep_for(takes);
  log.note(co_await felix::this_task::now(), what + " is done");
}

felix::task<void> bakery(diary& log) {
  felix::priority_semaphore ovens{2};
  auto day = felix::when_all(bake(ovens, "rye bread", 90min, log), bake(ovens, "a cake", 60min, log),
                             bake(ovens, "a tray of rolls", 20min, log), bake(ovens, "a wedding cake", 5h, log));
  const bool all_done = (co_await felix::as_result(felix::timeout(4h, std::move(day)))).has_value();
  log.note(co_await felix::this_task::now(), all_done ? "everything is done" : "closing time");
}

std::string day(std::uint64_t seed) {
  felix::simulated_loop loop{seed};
  diary log;
  loop.run(bakery(log));
  return log.text;
}

int main(int argc, char** argv) {
  char* end = nullptr;
  const std::uint64_t seed = argc > 1 ? std::strtoull(argv[1], &end, 10) : 1;
  if (argc > 2 || (end != nullptr && *end != '\0')) {
    fmt::print(stderr, "usage: simulated_time [SEED]\n");
    return 2;
  }
  const std::string log = day(seed);
  fmt::print("{}", log);

  int others = 0;
  for (std::uint64_t other = 0; other < 100; ++other) others += day(other) != log ? 1 : 0;
  fmt::print("The same seed gives {} day; of 100 seeds {} give another one.\n",
             day(seed) == log ? "the same" : "another", others);
}
