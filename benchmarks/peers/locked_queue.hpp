// SPDX-License-Identifier: MIT
// benchmarks: the floor of queues between threads: a mutex, a deque and a condition variable.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace peers {

/// Aligned: a mutex that lies across two cache lines takes half as long again.
template <class T>
class alignas(64) locked_queue {
 public:
  void push(T value) {
    bool was_empty = false;
    {
      std::scoped_lock lock{mutex_};
      was_empty = values_.empty();
      values_.push_back(std::move(value));
    }
    if (was_empty) filled_.notify_one();  // there is one consumer, and it sleeps only when the queue is empty
  }

  std::optional<T> try_pop() {
    std::scoped_lock lock{mutex_};
    if (values_.empty()) return std::nullopt;
    std::optional<T> value{std::move(values_.front())};
    values_.pop_front();
    return value;
  }

  /// Waits until there is something, and puts all of it in `taken`, which is empty.
  void take_all(std::deque<T>& taken) {
    std::unique_lock lock{mutex_};
    filled_.wait(lock, [this] { return !values_.empty(); });
    values_.swap(taken);
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<T> values_;
};

}  // namespace peers
