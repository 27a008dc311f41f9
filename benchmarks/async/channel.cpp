// SPDX-License-Identifier: MIT
// What does a value cost that passes through a channel with room, and through one that is always full or empty?
#include <felix/async/channel.hpp>

#include "peers/locked_queue.hpp"
#include "questions.hpp"

#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/task.hpp>

namespace {

felix::task<> send_and_receive(benchmark::State& state) {
  felix::channel<int> values{64};
  int sum = 0;
  for (auto _ : state) {
    static_cast<void>(co_await values.send(1));
    sum += (co_await values.receive()).value();
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations());
}

void push_and_pop(benchmark::State& state) {
  peers::locked_queue<int> values;
  int sum = 0;
  for (auto _ : state) {
    values.push(1);
    sum += values.try_pop().value();
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations());
}

/// A sender and a receiver with one place between them, so that each waits for the other.
felix::task<> send(felix::channel<int>& values, benchmark::State& state) {
  for (auto _ : state) static_cast<void>(co_await values.send(1));
  values.close();
  state.SetItemsProcessed(state.iterations());
}
felix::task<> receive(felix::channel<int>& values) {
  int sum = 0;
  while (const auto value = co_await values.receive()) sum += *value;
  benchmark::DoNotOptimize(sum);
}
felix::task<> both(felix::nursery& scope, felix::channel<int>& values, benchmark::State& state) {
  scope.spawn(receive(values));
  scope.spawn(send(values, state));
  co_return;
}
felix::task<> hand_over(benchmark::State& state) {
  felix::channel<int> values{1};
  co_await felix::with_nursery([&](felix::nursery& scope) { return both(scope, values, state); });
}

template <felix::task<> (*work)(benchmark::State&)>
void on_loop(benchmark::State& state) {
  felix::simulated_loop loop;
  loop.run(work(state));
}

}  // namespace

void questions::channel(bench::suite& suite) {
  static_cast<void>(
      suite.measure("channel_with_room", {{"felix", on_loop<send_and_receive>}, {"mutex_and_deque", push_and_pop}}));
  static_cast<void>(suite.measure("channel_handed_over", {{"felix", on_loop<hand_over>}}));
}
