// SPDX-License-Identifier: MIT
// How much memory does a place take, and what do the queue's calls allocate?
#include "support/memory.hpp"

#include "contenders.hpp"
#include "questions.hpp"

#include <felix/queue/priority_queue.hpp>

#include <barrier>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

namespace {

using queue = felix::priority_queue<peers::item, peers::levels>;

constexpr unsigned threads = 4;
constexpr unsigned rounds = 100'000;

/// Pushes until it is full, cancels, pops until it is empty: every branch of every call. Gives the number of calls.
unsigned use(queue& shared) {
  unsigned calls = 0;
  for (unsigned i = 0; i < rounds; ++i) {
    const auto ticket = shared.try_push(i % peers::levels, peers::item{i % peers::levels, i});
    ++calls;
    if (ticket && i % 4 == 0) {
      static_cast<void>(shared.cancel(*ticket));
      ++calls;
    }
    if (!ticket) {
      do ++calls;
      while (shared.try_pop());
    }
  }
  return calls;
}

struct memory_of_queue {
  double requested = 0, allocations = 0;  // by the constructor, and by each of the calls
};

memory_of_queue measure() {
  const auto empty = bench::memory_use::now();
  queue shared{contenders::room};
  memory_of_queue result{(bench::memory_use::now() - empty).requested, 0};

  std::barrier together{std::ptrdiff_t{threads} + 1};
  std::vector<unsigned> calls(threads);
  std::vector<std::thread> all;
  for (unsigned& mine : calls) {
    all.emplace_back([&together, &shared, &mine] {
      together.arrive_and_wait();
      mine = use(shared);
      together.arrive_and_wait();
    });
  }
  const auto before = bench::memory_use::now();
  together.arrive_and_wait();
  together.arrive_and_wait();
  const auto after = bench::memory_use::now();
  unsigned sum = 0;
  for (unsigned i = 0; i < threads; ++i) {
    all[i].join();
    sum += calls[i];
  }
  result.allocations = (after - before).allocations / sum;
  return result;
}

}  // namespace

void questions::memory(bench::suite& suite) {
  if (!suite.asks("memory")) return;
  const auto [requested, allocations] = bench::in_a_process_of_its_own<measure>();
  suite.headline("memory: felix::priority_queue of 16-byte items on 4 levels");
  suite.report("a place of 1024, asked of operator new", requested / contenders::room, "bytes");
  for (const std::size_t capacity : {std::size_t{64}, contenders::room, std::size_t{65'536}}) {
    suite.report("a place of " + std::to_string(capacity) + ", by bytes()",
                 static_cast<double>(queue::bytes(capacity)) / static_cast<double>(capacity), "bytes");
  }
  suite.goal("memory, allocations in an operation", bench::at_most{0}, "calls", bench::exactly(allocations));
}
