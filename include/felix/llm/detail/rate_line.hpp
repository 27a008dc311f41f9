// SPDX-License-Identifier: MIT
// llm: the line of those who wait for what a minute allows.
#pragma once

#include <felix/async/event.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/priority.hpp>

#include <array>
#include <cstddef>
#include <mutex>

namespace felix::inline v1 {
namespace detail {

/// Of each priority the first that came is the first in line; of these the most urgent goes, and the others stand back,
/// also in the middle of their wait.
/// Threads: members that say so are called under the mutex of the limit, which guards them; the others without it, since
///          they may resume a coroutine.
class rate_line {
 public:
  rate_line(std::mutex& guard, const rate_limit_options& options) : limiter{options}, guard_{guard} {}

  class place;
  class first;

  rate_limiter limiter;  // under the mutex

  /// Under the mutex: one of that level or a more urgent one waits.
  [[nodiscard]] bool has_waiting_from(std::size_t level) const noexcept {
    for (; level < levels_.size(); ++level) {
      if (levels_[level].waiting != 0) return true;
    }
    return false;
  }
  /// Under the mutex: of that level, those that wait in no semaphore.
  [[nodiscard]] std::size_t waiting(std::size_t level) const noexcept {
    const auto& at = levels_[level];
    return at.waiting - (at.has_first && at.waits_for_slot ? 1 : 0);
  }
  /// Under the mutex: who of that level waits, waits for a slot, else for what a minute allows. That is what its first
  /// waits for; when that stands back, or has gone, what the last one that did not waited for.
  [[nodiscard]] bool waits_for_slot(std::size_t level) const noexcept {
    return levels_[level].waits_for_slot || last_waits_for_slot_;
  }
  /// Under the mutex: what makes the most urgent first look again whether it may go; null: there is none. It is set
  /// without the mutex.
  [[nodiscard]] event* wakes_next() noexcept {
    for (std::size_t level = levels_.size(); level-- > 0;) {
      if (levels_[level].has_first) return &levels_[level].changed;
    }
    return nullptr;
  }

  /// Whoever holds it is the first of that level.
  [[nodiscard]] priority_semaphore& turn(std::size_t level) noexcept { return levels_[level].turn; }

 private:
  struct state {
    std::size_t waiting = 0;
    bool has_first = false;
    bool waits_for_slot = false;  // the first does, or did to its end
    event changed = {};
    priority_semaphore turn{1};
  };
  void tell_below(std::size_t level) {
    for (std::size_t below = 0; below < level; ++below) levels_[below].changed.set();
  }

  std::mutex& guard_;
  std::array<state, request_priority_levels> levels_;
  bool last_waits_for_slot_ = false;
};

/// One that waits.
class rate_line::place {
 public:
  place(rate_line& in, std::size_t level) : in_{in}, level_{level} { count(1); }
  place(place&&) = delete;
  ~place() { count(-1); }

 private:
  void count(int change) {
    {
      std::scoped_lock lock{in_.guard_};
      in_.levels_[level_].waiting += static_cast<std::size_t>(change);
    }
    in_.tell_below(level_);
  }
  rate_line& in_;
  std::size_t level_;
};

/// The first of its level: it has the turn.
class rate_line::first {
 public:
  first(rate_line& in, std::size_t level) : in_{in}, level_{level} {
    std::scoped_lock lock{in_.guard_};
    at().has_first = true;
    at().waits_for_slot = false;
  }
  first(first&&) = delete;
  ~first() {
    std::scoped_lock lock{in_.guard_};
    at().has_first = false;
  }

  /// A more urgent one is there. changed() is then set when that may be over, and else when one comes.
  [[nodiscard]] bool stands_back() {
    std::scoped_lock lock{in_.guard_};
    at().changed.reset();
    return in_.has_waiting_from(level_ + 1);
  }
  [[nodiscard]] event& changed() noexcept { return at().changed; }
  /// It waits for a slot from now on, where it is counted among those that do.
  void waits_for_slot() {
    std::scoped_lock lock{in_.guard_};
    at().waits_for_slot = in_.last_waits_for_slot_ = true;
  }
  void has_slot() {
    std::scoped_lock lock{in_.guard_};
    at().waits_for_slot = false;
  }
  void waits_for_minute() {
    std::scoped_lock lock{in_.guard_};
    in_.last_waits_for_slot_ = false;
  }

 private:
  [[nodiscard]] state& at() noexcept { return in_.levels_[level_]; }
  rate_line& in_;
  std::size_t level_;
};

}  // namespace detail
}  // namespace felix::inline v1
