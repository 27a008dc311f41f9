// SPDX-License-Identifier: MIT
// How much memory does a coroutine take that does nothing but wait?
#include "support/memory.hpp"

#include "questions.hpp"

#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>

#include <chrono>

namespace {

constexpr int many = 1'000'000;

felix::event never;  // until everything has been measured

felix::task<> minimal() { co_await never; }
felix::task<> with_reference(felix::event& awaited) { co_await awaited; }

felix::task<> start(bool referring) { return referring ? with_reference(never) : minimal(); }

felix::task<> suspend_many(felix::nursery& scope, bool referring, bench::memory_use& each) {
  scope.spawn(start(referring));  // what is set up once is not theirs
  const auto before = bench::memory_use::now();
  for (int i = 0; i < many; ++i) scope.spawn(start(referring));
  each = (bench::memory_use::now() - before).per(many);
  never.set();
  co_return;
}

felix::task<> measure_suspended(bool referring, bench::memory_use& each) {
  co_await felix::with_nursery([&](felix::nursery& scope) { return suspend_many(scope, referring, each); });
}

template <bool referring>
bench::memory_use suspended() {
  bench::memory_use each;
  felix::simulated_loop loop;
  loop.run(measure_suspended(referring, each));
  return each;
}

struct wakes {
  int in_order = 0;
  int next = 0;
};

/// `place` is the position of its deadline among all.
felix::task<> sleep(int place, wakes& woken) {
  co_await felix::sleep_until(felix::simulated_loop::start + std::chrono::microseconds{place + 1});
  woken.in_order += woken.next++ == place ? 1 : 0;
}
felix::task<> sleep_many(felix::nursery& scope, wakes& woken) {
  // 611,953 is prime, so each place comes once, and not in order.
  for (std::int64_t i = 0; i < many; ++i) scope.spawn(sleep(static_cast<int>(i * 611'953 % many), woken));
  co_return;
}
felix::task<> measure_sleepers(wakes& woken) {
  co_await felix::with_nursery([&](felix::nursery& scope) { return sleep_many(scope, woken); });
}

struct slept {
  bench::memory_use peak;
  int in_order = 0;
};
slept sleeping() {
  const auto before = bench::memory_use::now();
  wakes woken;
  felix::simulated_loop loop;
  loop.run(measure_sleepers(woken));
  return {bench::memory_use::peak() - before, woken.in_order};
}

void report(bench::suite& suite, const std::string& name, const bench::memory_use& used, double unit,
            const std::string& unit_name) {
  suite.report(name + ", asked of operator new", used.requested / unit, unit_name);
  if (used.heap > 0) suite.report(name + ", set aside by malloc", used.heap / unit, unit_name);
  suite.report(name + ", resident", used.resident / unit, unit_name);
}

}  // namespace

void questions::suspended_memory(bench::suite& suite) {
  if (!suite.asks("suspended_memory")) return;
  const auto each = bench::in_a_process_of_its_own<suspended<false>>();
  const auto referring = bench::in_a_process_of_its_own<suspended<true>>();
  suite.headline("suspended_memory: a task that waits, one of 1,000,000");
  report(suite, "minimal task", each, 1, "bytes");
  report(suite, "with a reference parameter", referring, 1, "bytes");
  // What felix takes: the rest is malloc's own, a header for each slab of the pool.
  suite.goal("suspended_memory, minimal task, asked of operator new", bench::at_most{128}, "bytes",
             bench::exactly(each.requested));
}

void questions::sleepers(bench::suite& suite) {
  if (!suite.asks("sleepers")) return;
  const auto [peak, in_order] = bench::in_a_process_of_its_own<sleeping>();
  suite.headline("sleepers: 1,000,000 sleeping tasks, at the peak");
  report(suite, "all of them", peak, 1e6, "MB");
  suite.goal("sleepers, peak", bench::at_most{300}, "MB", bench::exactly(peak.largest() / 1e6));
  suite.goal("sleepers, woken in order", bench::at_least{many}, "tasks", bench::exactly(in_order));
}
