// SPDX-License-Identifier: MIT
// benchmarks: what else one would take as a queue with four priorities between threads. Each holds `room` items and then
// refuses, as felix does, so that a producer that is ahead of its consumers does not measure the memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <queue>
#include <utility>
#include <vector>

#if defined(FELIX_BENCHMARKS_HAVE_BOOST) && __has_include(<boost/lockfree/queue.hpp>)
#include <boost/lockfree/queue.hpp>
#define FELIX_BENCHMARKS_HAVE_BOOST_LOCKFREE
#endif
#if defined(FELIX_BENCHMARKS_HAVE_TBB)
#include <tbb/concurrent_priority_queue.h>
#endif

namespace peers {

inline constexpr std::size_t levels = 4;

struct item {
  std::uint64_t level, content;
};
static_assert(sizeof(item) == 16);

/// Not first in, first out within a level: that would cost it a number for each item.
struct goes_later {
  bool operator()(const item& a, const item& b) const noexcept { return a.level > b.level; }
};

class alignas(64) locked_heap {
 public:
  explicit locked_heap(std::size_t room) : room_{room} {
    std::vector<item> memory;
    memory.reserve(room);
    heap_ = heap{goes_later{}, std::move(memory)};
  }
  bool push(const item& value) {
    const std::scoped_lock lock{mutex_};
    if (heap_.size() == room_) return false;
    heap_.push(value);
    return true;
  }
  bool pop(item& value) {
    const std::scoped_lock lock{mutex_};
    if (heap_.empty()) return false;
    value = heap_.top();
    heap_.pop();
    return true;
  }

 private:
  using heap = std::priority_queue<item, std::vector<item>, goes_later>;

  std::mutex mutex_;
  std::size_t room_;
  heap heap_;
};

class alignas(64) locked_deques {
 public:
  explicit locked_deques(std::size_t room) : room_{room} {}
  bool push(const item& value) {
    const std::scoped_lock lock{mutex_};
    if (size_ == room_) return false;
    ++size_;
    deques_[value.level].push_back(value);
    return true;
  }
  bool pop(item& value) {
    const std::scoped_lock lock{mutex_};
    if (size_ == 0) return false;
    for (std::deque<item>& each : deques_) {
      if (each.empty()) continue;
      value = each.front();
      each.pop_front();
      --size_;
      return true;
    }
    return false;
  }

 private:
  std::mutex mutex_;
  std::size_t room_, size_ = 0;
  std::array<std::deque<item>, levels> deques_;
};

#if defined(FELIX_BENCHMARKS_HAVE_BOOST_LOCKFREE)
/// Looked through from the first to the last, which is no snapshot: it may give a later one for a more urgent one.
class boost_queues {
 public:
  explicit boost_queues(std::size_t room) : queues_{queue{room}, queue{room}, queue{room}, queue{room}} {}
  bool push(const item& value) { return queues_[value.level].bounded_push(value); }
  bool pop(item& value) {
    for (queue& each : queues_)
      if (each.pop(value)) return true;
    return false;
  }

 private:
  using queue = boost::lockfree::queue<item>;
  std::array<queue, levels> queues_;
};
#endif

#if defined(FELIX_BENCHMARKS_HAVE_TBB)
class tbb_heap {
 public:
  explicit tbb_heap(std::size_t room) : room_{room}, heap_{room} {}
  bool push(const item& value) {
    if (heap_.size() >= room_) return false;
    heap_.push(value);
    return true;
  }
  bool pop(item& value) { return heap_.try_pop(value); }

 private:
  std::size_t room_;
  tbb::concurrent_priority_queue<item, goes_later> heap_;
};
#endif

}  // namespace peers
