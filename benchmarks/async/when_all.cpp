// SPDX-License-Identifier: MIT
// What does it cost to start tasks together and to join them, each with its value?
#include <felix/async/when_all.hpp>

#include "peers/latch.hpp"
#include "questions.hpp"

#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>

#include <array>
#include <tuple>
#include <vector>

namespace {

constexpr int many = 1'000;

[[gnu::noinline]] felix::task<int> ready(int value) { co_return value; }
[[gnu::noinline]] peers::latched_task latched_ready(int value) { co_return value; }

felix::task<> join_many(benchmark::State& state) {
  for (auto _ : state) {
    std::vector<felix::task<int>> tasks;
    tasks.reserve(many);
    for (int i = 0; i < many; ++i) tasks.push_back(ready(i));
    const std::vector<int> values = co_await felix::when_all(std::move(tasks));
    int sum = 0;
    for (int value : values) sum += value;
    benchmark::DoNotOptimize(sum);
  }
}

felix::task<> join_two(benchmark::State& state) {
  for (auto _ : state) {
    const auto [one, two] = co_await felix::when_all(ready(1), ready(2));
    int sum = one + two;
    benchmark::DoNotOptimize(sum);
  }
}

felix::task<> add(int value, int& sum) { sum += co_await ready(value); }
felix::task<> spawn_many(felix::nursery& scope, int& sum) {
  for (int i = 0; i < many; ++i) scope.spawn(add(i, sum));
  co_return;
}
felix::task<> join_nursery(benchmark::State& state) {
  for (auto _ : state) {
    int sum = 0;
    co_await felix::with_nursery([&](felix::nursery& scope) { return spawn_many(scope, sum); });
    benchmark::DoNotOptimize(sum);
  }
}

peers::bare_task<peers::pooled_frame> latch_many(benchmark::State& state) {
  for (auto _ : state) {
    std::vector<peers::latched_task> tasks;
    tasks.reserve(many);
    for (int i = 0; i < many; ++i) tasks.push_back(latched_ready(i));
    co_await peers::join_all{tasks};
    int sum = 0;
    for (const auto& each : tasks) sum += each.value();
    benchmark::DoNotOptimize(sum);
  }
  co_return 0;
}

peers::bare_task<peers::pooled_frame> latch_two(benchmark::State& state) {
  for (auto _ : state) {
    const std::array<peers::latched_task, 2> tasks{latched_ready(1), latched_ready(2)};
    co_await peers::join_all{tasks};
    int sum = tasks[0].value() + tasks[1].value();
    benchmark::DoNotOptimize(sum);
  }
  co_return 0;
}

template <felix::task<> (*join)(benchmark::State&), int tasks>
void on_loop(benchmark::State& state) {
  felix::simulated_loop loop;
  felix::stop_source stop;
  loop.run(join(state), stop.get_token());
  state.SetItemsProcessed(state.iterations() * tasks);
}

template <peers::bare_task<peers::pooled_frame> (*join)(benchmark::State&), int tasks>
void bare(benchmark::State& state) {
  join(state).run();
  state.SetItemsProcessed(state.iterations() * tasks);
}

}  // namespace

void questions::when_all(bench::suite& suite) {
  const auto of_many = suite.measure("when_all_of_1000", {{"felix", on_loop<join_many, many>},
                                                          {"felix_nursery", on_loop<join_nursery, many>},
                                                          {"latch", bare<latch_many, many>}});
  suite.goal("when_all_of_1000 / latch", bench::at_most{2.0}, "times", of_many.ratio("felix", "latch"));

  const auto of_two = suite.measure("when_all_of_2", {{"felix", on_loop<join_two, 2>}, {"latch", bare<latch_two, 2>}});
  suite.goal("when_all_of_2 / latch", bench::at_most{2.2}, "times", of_two.ratio("felix", "latch"));
}
