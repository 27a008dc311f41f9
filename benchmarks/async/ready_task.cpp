// SPDX-License-Identifier: MIT
// What does it cost to call a task that does not wait, with everything it inherits?
#include "peers/asio.hpp"
#include "peers/bare_task.hpp"
#include "questions.hpp"

#include <felix/async/simulated_loop.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>

#include <vector>

namespace {

// Not inlined, so that no compiler leaves the frame out.
[[gnu::noinline]] felix::task<int> ready(int value) { co_return value; }

felix::task<> await_ready(benchmark::State& state) {
  int sum = 0;
  for (auto _ : state) {
    sum += co_await ready(1);
    benchmark::DoNotOptimize(sum);
  }
}

void felix_task(benchmark::State& state) {
  felix::simulated_loop loop;
  felix::stop_source stop;
  loop.run(await_ready(state), stop.get_token());
  state.SetItemsProcessed(state.iterations());
}

template <class Frame>
[[gnu::noinline]] peers::bare_task<Frame> bare_ready(int value) {
  co_return value;
}

template <class Frame>
peers::bare_task<Frame> await_bare_ready(benchmark::State& state) {
  int sum = 0;
  for (auto _ : state) {
    sum += co_await bare_ready<Frame>(1);
    benchmark::DoNotOptimize(sum);
  }
  co_return sum;
}

template <class Frame>
void bare_task(benchmark::State& state) {
  await_bare_ready<Frame>(state).run();
  state.SetItemsProcessed(state.iterations());
}

}  // namespace

void questions::ready_task(bench::suite& suite) {
  std::vector<bench::alternative> alternatives{{"felix", felix_task},
                                               {"bare_pooled", bare_task<peers::pooled_frame>},
                                               {"bare_malloc", bare_task<peers::malloc_frame>}};
  if (peers::asio_is_absent == nullptr) alternatives.push_back({"asio", peers::asio_ready_task});
  const auto answers = suite.measure("ready_task", alternatives);
  if (peers::asio_is_absent != nullptr && suite.asks("ready_task")) suite.note(peers::asio_is_absent);

  suite.goal("ready_task / bare_pooled", bench::at_most{1.25}, "times", answers.ratio("felix", "bare_pooled"));
  suite.goal("ready_task / bare_malloc", bench::at_most{1.0}, "times", answers.ratio("felix", "bare_malloc"));
  suite.goal("ready_task / asio", bench::at_most{1.1}, "times", answers.ratio("felix", "asio"));
}
