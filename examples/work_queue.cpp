// SPDX-License-Identifier: MIT
// What goes first: a queue between threads without locks, deadlines as its levels, and a channel whose workers wait.
//     ./work_queue
#include <felix/async/priority_channel.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/task.hpp>
#include <felix/async/thread_pool.hpp>
#include <felix/async/when_all.hpp>
#include <felix/queue/key_levels.hpp>
#include <felix/queue/priority_queue.hpp>

#include <fmt/core.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;

// No coroutine and no loop: any thread pushes, pops and cancels, and none ever waits for another.
void between_threads() {
  felix::priority_queue<std::string, 3> orders{1024};  // level 0 goes first
  auto cake = orders.try_push(1, "a cake");            // a ticket; nothing when the queue is full
  {
    std::jthread shop{[&] { static_cast<void>(orders.try_push(2, "rolls for tomorrow")); }};
    std::jthread telephone{[&] { static_cast<void>(orders.try_push(0, "bread, the customer waits")); }};
  }
  if (auto back = orders.cancel(*cake)) fmt::print("called off: {}\n", *back);
  while (auto next = orders.try_pop()) fmt::print("next: {}\n", *next);
}

// Deadlines: 64 levels of five minutes each. What is due in the same five minutes goes in the order in which it came.
void by_deadline() {
  const felix::even_levels<64, std::chrono::minutes> level{0min, 5min};
  felix::priority_queue<std::pair<std::chrono::minutes, std::string>, 64> orders{1024};
  for (auto& [due, what] : std::array<std::pair<std::chrono::minutes, std::string>, 3>{
           {{90min, "a wedding cake"}, {15min, "rolls"}, {40min, "rye bread"}}}) {
    const auto at = level(due);
    if (!orders.try_push(at, std::pair{due, std::move(what)})) fmt::print("no place for more orders\n");
  }
  while (auto next = orders.try_pop()) fmt::print("due in {} minutes: {}\n", next->first.count(), next->second);
}

using jobs = felix::priority_channel<int, 2>;

// A worker waits for work without a thread of its own, and ends when the channel is closed and empty.
felix::task<int> work(felix::thread_pool& pool, jobs& from) {
  co_await pool.schedule();
  int sum = 0;
  while (auto number = co_await from.pop()) sum += *number;
  co_return sum;
}

felix::task<void> hand_out(jobs& to) {
  for (int number = 1; number <= 1000; ++number)  // waits whenever 16 are inside
    if (const bool accepted = co_await to.push(number % 10 == 0 ? 0 : 1, number); !accepted) break;
  to.close();
}

felix::task<int> share_work(felix::thread_pool& pool) {
  jobs open{16};
  auto [one, two, done] = co_await felix::when_all(work(pool, open), work(pool, open), hand_out(open));
  co_return one + two;
}

int main() {
  between_threads();
  by_deadline();
  felix::thread_pool pool{2};
  fmt::print("two workers found that the sum is {}\n", felix::sync_wait(share_work(pool)));
}
