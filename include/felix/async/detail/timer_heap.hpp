// SPDX-License-Identifier: MIT
// async: deadlines in exact order, first armed first among equals, each of them cancelled in place.
#pragma once

#include <felix/async/scheduler.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// A 4-ary heap: half the levels of a binary one, and the four children of an entry share a cache line or two.
/// Arm, disarm and pop are O(log n). Not thread-safe.
class timer_heap {
 public:
  bool arm(timer& item) {
    if (item.state_ == timer::state::disarmed) return false;
    heap_.push_back({item.deadline_, sequence_++, &item});
    item.state_ = timer::state::armed;
    rise(heap_.size() - 1);
    return true;
  }

  bool disarm(timer& item) noexcept {
    const bool armed = item.state_ == timer::state::armed;
    if (armed) erase(item.index_);
    if (item.state_ != timer::state::fired) item.state_ = timer::state::disarmed;
    return armed;
  }

  /// The first one, if it is due; the caller then calls fire(), without a lock.
  timer* pop_due(std::chrono::steady_clock::time_point now) noexcept {
    if (heap_.empty() || heap_.front().deadline > now) return nullptr;
    timer& due = *heap_.front().item;
    erase(0);
    due.state_ = timer::state::fired;
    return &due;
  }

  /// The first one, disarmed; the caller then calls fire() all the same: for a scheduler that ends, and can let nobody
  /// sleep on. Sleeps then end with `cancelled`.
  timer* pop_disarmed() noexcept {
    if (heap_.empty()) return nullptr;
    timer& first = *heap_.front().item;
    disarm(first);
    return &first;
  }

  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> next_deadline() const noexcept {
    if (heap_.empty()) return std::nullopt;
    return heap_.front().deadline;
  }

  static void fire(timer& item) { item.fire_(item); }

 private:
  struct entry {
    std::chrono::steady_clock::time_point deadline;
    std::uint64_t sequence;
    timer* item;
    [[nodiscard]] bool before(const entry& other) const noexcept {
      return deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence;
    }
  };

  void erase(std::size_t hole) noexcept {
    const entry last = heap_.back();
    heap_.pop_back();
    if (hole == heap_.size()) return;
    place(hole, last);
    rise(hole);
    sink(last.item->index_);
  }
  void place(std::size_t index, const entry& value) noexcept {
    heap_[index] = value;
    value.item->index_ = static_cast<unsigned>(index);
  }
  void rise(std::size_t index) noexcept {
    const entry moving = heap_[index];
    while (index > 0 && moving.before(heap_[(index - 1) / 4])) {
      place(index, heap_[(index - 1) / 4]);
      index = (index - 1) / 4;
    }
    place(index, moving);
  }
  void sink(std::size_t index) noexcept {
    const entry moving = heap_[index];
    for (;;) {
      const std::size_t first = 4 * index + 1;
      if (first >= heap_.size()) break;
      std::size_t least = first;
      for (std::size_t child = first + 1; child < std::min(first + 4, heap_.size()); ++child) {
        if (heap_[child].before(heap_[least])) least = child;
      }
      if (!heap_[least].before(moving)) break;
      place(index, heap_[least]);
      index = least;
    }
    place(index, moving);
  }

  std::vector<entry> heap_;
  std::uint64_t sequence_ = 0;  // 2^64 timers are never armed
};

}  // namespace detail
}  // namespace felix::inline v1
