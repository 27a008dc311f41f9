// SPDX-License-Identifier: MIT
// benchmarks: the floor of timers: a std::multimap by deadline, without a lock.
#pragma once

#include <chrono>
#include <map>
#include <utility>

namespace peers {

class multimap_timers {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using timer = std::multimap<time_point, void (*)()>::iterator;

  timer arm(time_point deadline, void (*fire)()) { return timers_.emplace(deadline, fire); }
  void cancel(timer armed) { timers_.erase(armed); }
  /// Both at once, with the same node: possible only where one timer takes the place of another.
  timer rearm(timer armed, time_point deadline) {
    auto node = timers_.extract(armed);
    node.key() = deadline;
    return timers_.insert(std::move(node));
  }

 private:
  std::multimap<time_point, void (*)()> timers_;
};

}  // namespace peers
