// SPDX-License-Identifier: MIT
// benchmarks: the queues that are compared, behind one interface.
#pragma once

#include "distance.hpp"
#include "peers/priority_queues.hpp"
#include "support/suite.hpp"
#include "support/team.hpp"

#include <felix/queue/priority_queue.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace contenders {

inline constexpr std::size_t room = 1'024;

class felix_queue {
 public:
  explicit felix_queue(std::size_t capacity) : queue_{capacity} {}
  bool push(const peers::item& value) { return queue_.try_push(value.level, value).has_value(); }
  bool pop(peers::item& value) {
    const auto next = queue_.try_pop();
    if (next) value = *next;
    return next.has_value();
  }

 private:
  felix::priority_queue<peers::item, peers::levels> queue_;
};

/// A turn of `Work`, which is called by each thread with a queue of that kind and itself. `Work::inside` is how many
/// items, of all levels, are in the queue at the beginning.
template <class Queue, class Work>
bench::contender contender(std::string name, unsigned threads) {
  return {std::move(name), [threads](std::chrono::duration<double> length) {
            const auto queue = std::make_unique<Queue>(room);
            for (std::size_t i = 0; i < Work::inside; ++i)
              if (!queue->push({i % peers::levels, i})) std::abort();
            return bench::run_team(threads, length, [&queue](bench::member& me) { Work::run(*queue, me); });
          }};
}

template <class Work>
std::vector<bench::contender> all(unsigned threads) {
  return {
      contender<felix_queue, Work>("felix", threads),
      contender<peers::locked_deques, Work>("mutex_deques", threads),
      contender<peers::locked_heap, Work>("mutex_priority_queue", threads),
#if defined(FELIX_BENCHMARKS_HAVE_BOOST_LOCKFREE)
      contender<peers::boost_queues, Work>("boost_lockfree", threads),
#endif
#if defined(FELIX_BENCHMARKS_HAVE_TBB)
      contender<peers::tbb_heap, Work>("tbb", threads),
#endif
  };
}

/// All of them in turns; and how far the processors were from each other, measured before each turn.
template <class Work>
bench::turns_taken ask(bench::suite& suite, const std::string& question, unsigned threads) {
  if (threads == 1) return suite.take_turns(question, "CPU time", all<Work>(threads));
  std::vector<double> ways;
  std::vector<bench::contender> measured;
  for (const bench::contender& each : all<Work>(threads))
    measured.push_back({each.name, [&ways, run = each.run](std::chrono::duration<double> length) {
                          ways.push_back(one_way());
                          return run(length);
                        }});
  auto taken = suite.take_turns(question, fmt::format("wall-clock time, {} threads", threads), measured);
  if (ways.empty()) return taken;  // not asked
  std::sort(ways.begin(), ways.end());
  suite.report(question + ", one way of a cache line, median", ways[ways.size() / 2], "ns");
  suite.report(question + ", the same, nine in ten below", ways[ways.size() * 9 / 10], "ns");
  return taken;
}

inline void note_absent([[maybe_unused]] bench::suite& suite) {
#if !defined(FELIX_BENCHMARKS_HAVE_BOOST_LOCKFREE)
  suite.note("Boost.Lockfree is absent: its headers were not found (Debian: libboost-dev)");
#endif
#if !defined(FELIX_BENCHMARKS_HAVE_TBB)
  suite.note("oneTBB is absent: it was not found (Debian: libtbb-dev)");
#endif
}

}  // namespace contenders
