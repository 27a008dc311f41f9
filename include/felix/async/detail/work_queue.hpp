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
  /// A chain that ends with `last`.
  void push_back(work_item& first, work_item& last) noexcept {
    (last_ != nullptr ? last_->next_ : first_) = &first;
    last_ = &last;
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
/// It also holds whether the consumer sleeps, so that a post costs one atomic operation, and wakes nobody who is awake.
class work_inbox {
 public:
  work_inbox() = default;
  work_inbox(work_inbox&&) = delete;

  /// True: the consumer sleeps, and whoever posted has to wake it. Else the consumer may be gone already.
  /// Lock-free, hence safe in a signal handler.
  [[nodiscard]] bool push(work_item& item) noexcept {
    work_item* head = newest_.load(std::memory_order_relaxed);
    do {
      item.next_ = head == &asleep_ ? nullptr : head;
      // release pairs with the acquire in take(): the consumer sees what the poster wrote before it posted.
    } while (!newest_.compare_exchange_weak(head, &item, std::memory_order_release, std::memory_order_relaxed));
    return head == &asleep_;
  }

  // The rest is for the consumer.

  /// Moves everything to the end of `list`, in the order of posting. False: there was nothing.
  bool take(work_list& list) noexcept {
    if (const work_item* const seen = newest_.load(std::memory_order_relaxed); seen == nullptr || seen == &asleep_)
      return false;
    work_item* const last = newest_.exchange(nullptr, std::memory_order_acquire);
    work_item* first = nullptr;
    for (work_item* each = last; each != nullptr;) {
      work_item* const before = std::exchange(each->next_, first);
      first = std::exchange(each, before);
    }
    list.push_back(*first, *last);
    return true;
  }

  /// From here on the next post is to wake it. False: something has come already.
  [[nodiscard]] bool fall_asleep() noexcept {
    work_item* nothing = nullptr;
    return newest_.compare_exchange_strong(nothing, &asleep_, std::memory_order_relaxed);
  }
  /// False: a post came meanwhile, and its wake() is still to come or has come.
  [[nodiscard]] bool wake_up() noexcept {
    work_item* asleep = &asleep_;
    return newest_.compare_exchange_strong(asleep, nullptr, std::memory_order_relaxed);
  }

 private:
  static_assert(std::atomic<work_item*>::is_always_lock_free, "a signal handler could not post");
  std::atomic<work_item*> newest_{nullptr};
  work_item asleep_;  // stands for itself
};

}  // namespace detail
}  // namespace felix::inline v1
