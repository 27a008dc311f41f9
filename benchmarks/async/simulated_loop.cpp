// SPDX-License-Identifier: MIT
// How many steps do 1,000 agents make in a second of simulation, in order of arrival and in the order of a seed?
#include <felix/async/simulated_loop.hpp>

#include "questions.hpp"

#include <felix/async/nursery.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>

#include <chrono>
#include <cstdint>

namespace {

constexpr int agents = 1'000, steps = 100;
constexpr std::chrono::milliseconds tick{50};

/// An agent that acts once a tick, as those of a session do: its step is a timer, a wake-up and a resume.
felix::task<> act(int& acted) {
  auto next = felix::simulated_loop::start;
  for (int i = 0; i < steps; ++i) {
    co_await felix::sleep_until(next += tick);
    ++acted;
  }
}
felix::task<> spawn_agents(felix::nursery& scope, int& acted) {
  for (int i = 0; i < agents; ++i) scope.spawn(act(acted));
  co_return;
}
felix::task<> simulate(int& acted) {
  co_await felix::with_nursery([&](felix::nursery& scope) { return spawn_agents(scope, acted); });
}

template <class... Seed>
void run(benchmark::State& state, Seed... seed) {
  for (auto _ : state) {
    int acted = 0;
    felix::simulated_loop loop{seed...};
    loop.run(simulate(acted));
    if (acted != agents * steps) state.SkipWithError("some agent did not act");
    benchmark::DoNotOptimize(acted);
  }
  state.SetItemsProcessed(state.iterations() * agents * steps);
}

void unseeded(benchmark::State& state) { run(state); }
void seeded(benchmark::State& state) { run(state, std::uint64_t{42}); }

}  // namespace

void questions::simulated_loop(bench::suite& suite) {
  const auto answers = suite.measure("simulated_loop_step", {{"unseeded", unseeded}, {"seeded", seeded}});
  suite.goal("simulated_loop", bench::at_least{5e6}, "steps/s", answers.items_per_second("unseeded"));
  suite.goal("simulated_loop seeded / unseeded", bench::at_most{1.2}, "times", answers.ratio("seeded", "unseeded"));
}
