// SPDX-License-Identifier: MIT
// The coroutines alone, without a model: tasks, several at once, time limits, pipelines, threads, stopping.
#include <felix/felix.hpp>

#include <fmt/core.h>

#include <chrono>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

// A task starts when it is awaited. It gives a value or throws, as a function does.
felix::task<double> measure(std::string place, std::chrono::milliseconds takes) {
  co_await felix::sleep_for(takes);  // waits without blocking the thread
  if (place == "roof") throw std::runtime_error{"the sensor on the roof is broken"};
  co_return static_cast<double>(place.size());
}

felix::task<void> several_at_once() {
  auto [cellar, garden] = co_await felix::when_all(measure("cellar", 20ms), measure("garden", 30ms));  // 30 ms, not 50
  auto first = co_await felix::when_any(measure("hall", 1h), measure("kitchen", 10ms));  // the loser is stopped
  fmt::print("cellar {}, garden {}; number {} was first\n", cellar, garden, first.index);
}

felix::task<void> what_can_go_wrong() {
  auto maybe = co_await felix::as_result(measure("roof", 1ms));  // the exception as a value
  fmt::print("{}\n", maybe ? "the roof is fine" : maybe.message());
  try {
    co_await felix::timeout(20ms, measure("moon", 1h));
  } catch (const felix::timed_out& late) {
    fmt::print("{}\n", late.what());  // by now nothing of the measurement is left
  }
}

// A generator is asked for one value after the other, and may wait in between.
felix::async_generator<std::string> places() {
  for (const char* place : {"attic", "bathroom", "carport", "dining room"}) {
    co_await felix::sleep_for(1ms);
    co_yield place;
  }
}

// A channel carries values from coroutine to coroutine; with two places, who sends too fast waits.
felix::task<void> find_places(felix::channel<std::string>& to) {
  auto all = places();
  while (auto place = co_await all.next())
    if (!co_await to.send(*place)) break;  // the other side has closed it
  to.close();
}
felix::task<void> measure_places(felix::channel<std::string>& from) {
  while (auto place = co_await from.receive()) fmt::print("{}: {}\n", *place, co_await measure(*place, 5ms));
}
felix::task<void> pipeline() {
  felix::channel<std::string> found{2};
  co_await felix::with_nursery([&](felix::nursery& scope) -> felix::task<void> {
    scope.spawn(find_places(found));
    for (int i = 0; i < 2; ++i) scope.spawn(measure_places(found));
    co_return;  // the scope ends when all in it have ended; the first failure stops the others
  });
}

// Work for the processor goes to a pool of threads; whoever awaits it stays on its own loop.
felix::task<long> add_up(felix::thread_pool& pool, long from, long to) {
  co_await pool.schedule();
  long sum = 0;
  while (from < to) sum += from++;
  co_return sum;
}
felix::task<void> on_threads() {
  felix::thread_pool pool{2};
  auto [low, high] = co_await felix::when_all(add_up(pool, 0, 500'000), add_up(pool, 500'000, 1'000'000));
  fmt::print("the sum is {}\n", low + high);
}

felix::task<void> everything() {
  co_await several_at_once();
  co_await what_can_go_wrong();
  co_await pipeline();
  co_await on_threads();
}

int main() try {
  felix::event_loop loop;
  felix::stop_on_signal ctrl_c{loop, SIGINT};  // whatever waits then throws `cancelled`
  loop.run(everything(), ctrl_c.get_token());
} catch (const felix::error& failure) {
  fmt::print(stderr, "async_basics: {}\n", failure.what());
  return 1;
}
