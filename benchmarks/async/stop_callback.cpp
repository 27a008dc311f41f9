// SPDX-License-Identifier: MIT
// What does a suspended wait pay for being stoppable: a callback registered and deregistered?
#include <felix/async/stop_token.hpp>

#include "questions.hpp"

#include <stop_token>

namespace {

template <class Source, template <class> class Callback>
void register_and_deregister(benchmark::State& state) {
  Source source;
  const auto token = source.get_token();
  int called = 0;
  auto function = [&called]() noexcept { ++called; };
  for (auto _ : state) {
    Callback<decltype(function)> callback{token, function};
    benchmark::DoNotOptimize(callback);
  }
  benchmark::DoNotOptimize(called);
  state.SetItemsProcessed(state.iterations());
}

}  // namespace

void questions::stop_callback(bench::suite& suite) {
  const auto answers =
      suite.measure("stop_callback", {{"felix", register_and_deregister<felix::stop_source, felix::stop_callback>},
                                      {"std", register_and_deregister<std::stop_source, std::stop_callback>}});
  suite.goal("stop_callback / std", bench::at_most{0.8}, "times", answers.ratio("felix", "std"));
}
