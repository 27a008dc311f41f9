// SPDX-License-Identifier: MIT
// async: the two lists in which a loop's work waits.
#pragma once

#include <felix/async/work_item.hpp>

#include <atomic>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// First in, first out. Not thread-safe.
class work_list {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  void push_back(work_item& item) noexcept {
    item.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &item;
    last_ = &item;
  }
  work_item* pop_front() noexcept {
    work_item* const item = first_;
    if (item != nullptr) first_ = item->next_;
    if (first_ == nullptr) last_ = nullptr;
    return item;
  }

 private:
  work_item* first_ = nullptr;
  work_item* last_ = nullptr;
};

/// What other threads and signal handlers post: a stack that one consumer takes as a whole, so that ABA cannot occur.
class work_inbox {
 public:
  /// True: it was empty, so the consumer may be asleep. Lock-free, hence safe in a signal handler.
  bool push(work_item& item) noexcept {
    work_item* head = newest_.load(std::memory_order_relaxed);
    do {
      item.next_ = head;
      // release pairs with the acquire in take(): the consumer sees what the poster wrote before it posted.
    } while (!newest_.compare_exchange_weak(head, &item, std::memory_order_release, std::memory_order_relaxed));
    return head == nullptr;
  }

  /// Moves everything to the end of `list`, in the order of posting. False: there was nothing.
  bool take(work_list& list) noexcept {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return false;  // whoever fills it from now on wakes us
    work_item* newest = newest_.exchange(nullptr, std::memory_order_acquire);
    work_item* oldest = nullptr;
    while (newest != nullptr) {
      work_item* const next = std::exchange(newest->next_, oldest);
      oldest = std::exchange(newest, next);
    }
    const bool any = oldest != nullptr;
    while (oldest != nullptr) {
      work_item* const next = oldest->next_;
      list.push_back(*oldest);
      oldest = next;
    }
    return any;
  }

 private:
  static_assert(std::atomic<work_item*>::is_always_lock_free, "a signal handler could not post");
  std::atomic<work_item*> newest_{nullptr};
};

}  // namespace detail
}  // namespace felix::inline v1
