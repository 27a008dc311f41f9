// SPDX-License-Identifier: MIT
// llm: the line of those who wait for what a minute allows.
#pragma once

#include <felix/async/event.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/task.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/priority.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace felix::inline v1 {
namespace detail {

/// Of each priority the first that came is the first in line; of these the most urgent goes, and the others stand back,
/// also in the middle of their wait.
/// Threads: members that say so are called under the mutex of the limit, which guards them.
class rate_line {
 public:
  rate_line(std::mutex& guard, const rate_limit_options& options) : limiter{options}, guard_{guard} {}

  class place;
  class first;

  rate_limiter limiter;                            // under the mutex
  std::chrono::steady_clock::time_point latest{};  // the same: what time requests have told

  /// Under the mutex.
  [[nodiscard]] bool has_more_urgent(std::size_t level) const noexcept {
    for (std::size_t above = level + 1; above < waiting_.size(); ++above) {
      if (waiting_[above] != 0) return true;
    }
    return false;
  }
  /// Under the mutex: of that level, those that wait in no semaphore.
  [[nodiscard]] inline std::size_t waiting(std::size_t level) const noexcept;
  [[nodiscard]] priority_semaphore& turns(std::size_t level) noexcept { return turns_[level]; }

 private:
  inline void tell_below(std::size_t level);

  std::mutex& guard_;
  std::array<std::size_t, request_priority_levels> waiting_{};
  std::array<first*, request_priority_levels> firsts_{};
  std::array<priority_semaphore, request_priority_levels> turns_{priority_semaphore{1}, priority_semaphore{1},
                                                                 priority_semaphore{1}, priority_semaphore{1}};
};

/// One that waits.
class rate_line::place {
 public:
  place(rate_line& in, std::size_t level) : in_{in}, level_{level} {
    std::scoped_lock lock{in_.guard_};
    ++in_.waiting_[level_];
    in_.tell_below(level_);
  }
  place(place&&) = delete;
  ~place() {
    std::scoped_lock lock{in_.guard_};
    --in_.waiting_[level_];
    in_.tell_below(level_);
  }

 private:
  rate_line& in_;
  std::size_t level_;
};

/// The first of its level.
class rate_line::first {
 public:
  first(rate_line& in, std::size_t level) : in_{in}, level_{level} {
    std::scoped_lock lock{in_.guard_};
    in_.firsts_[level_] = this;
  }
  first(first&&) = delete;
  ~first() {
    std::scoped_lock lock{in_.guard_};
    in_.firsts_[level_] = nullptr;
  }

  /// A more urgent one is there. changed() is then set when that may be over, and else when one comes.
  [[nodiscard]] bool stands_back() {
    std::scoped_lock lock{in_.guard_};
    changed_.reset();
    return in_.has_more_urgent(level_);
  }
  template <class Event = event>  // for what http_client.hpp says of coroutines
  task<void> changed() {
    co_await static_cast<Event&>(changed_);
  }
  /// It waits for a slot, where it is counted among those that do.
  void waits_for_slot(bool does) {
    std::scoped_lock lock{in_.guard_};
    waits_for_slot_ = does;
  }

 private:
  friend class rate_line;
  rate_line& in_;
  std::size_t level_;
  event changed_;
  bool waits_for_slot_ = false;
};

inline std::size_t rate_line::waiting(std::size_t level) const noexcept {
  const first* const one = firsts_[level];
  return waiting_[level] - (one != nullptr && one->waits_for_slot_ ? 1 : 0);
}

inline void rate_line::tell_below(std::size_t level) {
  for (std::size_t below = 0; below < level; ++below) {
    if (firsts_[below] != nullptr) firsts_[below]->changed_.set();
  }
}

}  // namespace detail
}  // namespace felix::inline v1
