// SPDX-License-Identifier: MIT
// benchmarks: what a client has done in its turn, and the CPU time of its threads.
#pragma once

#include "support/histogram.hpp"
#include "support/turn.hpp"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>

namespace bench {

using time_point = std::chrono::steady_clock::time_point;

/// The answers of one turn. Used by one thread.
class load {
 public:
  /// `items`: what the cost is divided by; 1, or the chunks of the answer.
  void answered(std::chrono::nanoseconds latency, std::size_t length_of_text, std::size_t items = 1) {
    if (length_of_text == 0) throw std::runtime_error{"an answer without a text"};
    items_ += items;
    latencies_.add(static_cast<std::uint64_t>(std::max<std::int64_t>(0, latency.count())));
  }
  [[nodiscard]] double items() const noexcept { return static_cast<double>(items_); }
  [[nodiscard]] double quantile(double part) const noexcept { return latencies_.quantile(part); }

 private:
  std::size_t items_ = 0;
  histogram latencies_;
};

inline double cpu_nanoseconds(pthread_t of) {
  clockid_t clock{};
  timespec time{};
  if (::pthread_getcpuclockid(of, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    throw std::runtime_error{"the CPU time of a thread cannot be read"};
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// `run(load, until)` keeps the server busy until then. First for a moment, not measured: a client may have been idle so
/// long that its connections were closed. CPU time is of this thread, and of `other` if there is one.
template <class Run>
request_turn measure(std::chrono::duration<double> length, Run run, pthread_t other = {}) {
  using steady = std::chrono::steady_clock;
  const auto cpu = [&] {
    return cpu_nanoseconds(::pthread_self()) + (other != pthread_t{} ? cpu_nanoseconds(other) : 0);
  };
  const auto warmed_up = std::make_unique<load>(), measured = std::make_unique<load>();
  run(*warmed_up, steady::now() + std::chrono::duration_cast<steady::duration>(length / 10));
  const double cpu_before = cpu();
  const auto begun = steady::now();
  run(*measured, begun + std::chrono::duration_cast<steady::duration>(length));
  const double wall = std::chrono::duration<double, std::nano>(steady::now() - begun).count();
  return {wall / measured->items(), (cpu() - cpu_before) / measured->items(), measured->quantile(0.5),
          measured->quantile(0.99)};
}

}  // namespace bench
