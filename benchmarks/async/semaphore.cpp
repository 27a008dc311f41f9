// SPDX-License-Identifier: MIT
// What does a permit cost that is free, and one that is handed from coroutine to coroutine?
#include <felix/async/semaphore.hpp>

#include "questions.hpp"

#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/task.hpp>

#include <semaphore>

namespace {

felix::task<> acquire_and_release(benchmark::State& state) {
  felix::semaphore permits{4};
  for (auto _ : state) {
    co_await permits.acquire();
    permits.release();
  }
  state.SetItemsProcessed(state.iterations());
}

void std_acquire_and_release(benchmark::State& state) {
  std::counting_semaphore permits{4};
  for (auto _ : state) {
    permits.acquire();
    permits.release();
  }
  state.SetItemsProcessed(state.iterations());
}

/// Two coroutines wake each other in turn. One item: a wait that suspends, and the release that ends it.
felix::task<> answer(felix::semaphore& call, felix::semaphore& reply, const bool& done) {
  for (;;) {
    co_await call.acquire();
    if (done) co_return;
    reply.release();
  }
}
felix::task<> call(felix::semaphore& call, felix::semaphore& reply, bool& done, benchmark::State& state) {
  for (auto _ : state) {
    call.release();
    co_await reply.acquire();
  }
  done = true;
  call.release();
  state.SetItemsProcessed(state.iterations() * 2);
}
felix::task<> both(felix::nursery& scope, felix::semaphore& to, felix::semaphore& from, bool& done,
                   benchmark::State& state) {
  scope.spawn(answer(to, from, done));
  scope.spawn(call(to, from, done, state));
  co_return;
}
felix::task<> hand_over(benchmark::State& state) {
  felix::semaphore to{0}, from{0};
  bool done = false;
  co_await felix::with_nursery([&](felix::nursery& scope) { return both(scope, to, from, done, state); });
}

template <felix::task<> (*work)(benchmark::State&)>
void on_loop(benchmark::State& state) {
  felix::simulated_loop loop;
  loop.run(work(state));
}

}  // namespace

void questions::semaphore(bench::suite& suite) {
  static_cast<void>(suite.measure("semaphore_free", {{"felix", on_loop<acquire_and_release>},
                                                     {"std_counting_semaphore", std_acquire_and_release}}));
  static_cast<void>(suite.measure("semaphore_handed_over", {{"felix", on_loop<hand_over>}}));
}
