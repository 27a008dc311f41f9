// SPDX-License-Identifier: MIT
// What does a time limit cost that is not reached: a timer armed and disarmed?
#include "peers/multimap_timers.hpp"
#include "questions.hpp"

#include <felix/async/scheduler.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace {

constexpr std::size_t few = 1'000, many = 1'000'000;
using time_point = std::chrono::steady_clock::time_point;

/// Deadlines without an order, the same for all.
class deadlines {
 public:
  time_point next() noexcept {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;  // Knuth, TAOCP 2, 3.3.4
    return felix::simulated_loop::start + std::chrono::nanoseconds{static_cast<std::int64_t>(state_ >> 24U)};
  }

 private:
  std::uint64_t state_ = 1;
};

void ignore(felix::detail::timer&) {}  // none fires
void ignore_entry() {}

/// felix's timers, as a sleeping coroutine uses them: on the loop's thread, each new and in place, under its lock.
class felix_timers {
 public:
  felix_timers(felix::scheduler& loop, std::size_t count)
      : loop_{loop}, timers_{std::make_unique<std::optional<felix::detail::timer>[]>(count)} {}
  void arm(std::size_t i, time_point deadline) { loop_.arm(timers_[i].emplace(deadline, &ignore)); }
  void cancel(std::size_t i) { loop_.disarm(*timers_[i]); }
  void rearm(std::size_t i, time_point deadline) {
    cancel(i);
    arm(i, deadline);
  }

 private:
  felix::scheduler& loop_;
  std::unique_ptr<std::optional<felix::detail::timer>[]> timers_;
};

enum class nodes : unsigned char { fresh, reused };

template <nodes of_rearmed>
class multimap_timers {
 public:
  explicit multimap_timers(std::size_t count) : armed_(count) {}
  void arm(std::size_t i, time_point deadline) { armed_[i] = timers_.arm(deadline, &ignore_entry); }
  void cancel(std::size_t i) { timers_.cancel(armed_[i]); }
  void rearm(std::size_t i, time_point deadline) {
    if constexpr (of_rearmed == nodes::reused) {
      armed_[i] = timers_.rearm(armed_[i], deadline);
    } else {
      cancel(i);
      arm(i, deadline);
    }
  }

 private:
  peers::multimap_timers timers_;
  std::vector<peers::multimap_timers::timer> armed_;
};

/// One item: the oldest of `few` timers is cancelled and armed with another deadline.
template <class Timers>
void cancel_and_rearm(benchmark::State& state, Timers timers) {
  deadlines when;
  for (std::size_t i = 0; i < few; ++i) timers.arm(i, when.next());
  std::size_t oldest = 0;
  for (auto _ : state) {
    timers.rearm(oldest, when.next());
    oldest = oldest + 1 == few ? 0 : oldest + 1;
  }
  for (std::size_t i = 0; i < few; ++i) timers.cancel(i);
  state.SetItemsProcessed(state.iterations());
}

/// One item: a timer armed and, when all are, cancelled.
template <class Timers>
void arm_and_cancel(benchmark::State& state, Timers timers) {
  deadlines when;
  for (auto _ : state) {
    for (std::size_t i = 0; i < many; ++i) timers.arm(i, when.next());
    for (std::size_t i = 0; i < many; ++i) timers.cancel(i);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(many));
}

felix::task<> rearm_on_loop(felix::scheduler& loop, benchmark::State& state) {
  cancel_and_rearm(state, felix_timers{loop, few});
  co_return;
}
felix::task<> arm_on_loop(felix::scheduler& loop, benchmark::State& state) {
  arm_and_cancel(state, felix_timers{loop, many});
  co_return;
}

template <felix::task<> (*work)(felix::scheduler&, benchmark::State&)>
void on_loop(benchmark::State& state) {
  felix::simulated_loop loop;
  loop.run(work(loop, state));
}

template <nodes of_rearmed>
void rearm_multimap(benchmark::State& state) {
  cancel_and_rearm(state, multimap_timers<of_rearmed>{few});
}
void arm_multimap(benchmark::State& state) { arm_and_cancel(state, multimap_timers<nodes::fresh>{many}); }

}  // namespace

void questions::timers(bench::suite& suite) {
  const auto rearmed = suite.measure("timer_rearm_of_1000", {{"felix", on_loop<rearm_on_loop>},
                                                             {"multimap", rearm_multimap<nodes::fresh>},
                                                             {"multimap_same_node", rearm_multimap<nodes::reused>}});
  suite.goal("timer_rearm_of_1000 / multimap", bench::at_most{1.0}, "times", rearmed.ratio("felix", "multimap"));

  static_cast<void>(suite.measure("timers_1000000_armed_and_cancelled",
                                  {{"felix", on_loop<arm_on_loop>}, {"multimap", arm_multimap}}));
}
