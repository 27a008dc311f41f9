// SPDX-License-Identifier: MIT
// async: who gets a permit next: guarantees and ceilings, levels, aging, arrival. The semaphore brings lock and coroutines.
#pragma once

#include <felix/async/detail/waiter.hpp>
#include <felix/priority.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace felix::inline v1::detail {

/// The permits of a limit and the waiters for them, in a list for each level of each share: as many as there are, with
/// no allocation for a wait. `Waiter` is a `waiter` with a member `std::uint64_t arrival`.
/// Threads: guarded by its owner's mutex.
/// Cost:    next() looks at the front of each list: O(shares * levels), however many wait.
template <class Waiter>
class permit_queues {
 public:
  class level {
   public:
    wait_list waiters;
    std::size_t size = 0;
    std::size_t passed = 0;  // how often later ones of higher levels went before its front, since it was last served

    /// A waiter was taken out, unserved.
    void left() noexcept {
      if (--size == 0) passed = 0;
    }
    [[nodiscard]] Waiter& front() noexcept { return static_cast<Waiter&>(waiters.front()); }
  };

  class share {
   public:
    std::size_t guaranteed = 0;
    std::size_t ceiling = std::numeric_limits<std::size_t>::max();
    std::size_t in_use = 0;
    std::array<level, request_priority_levels> levels;

    [[nodiscard]] std::size_t waiting() const noexcept {
      std::size_t sum = 0;
      for (const level& each : levels) sum += each.size;
      return sum;
    }
  };

  std::size_t limit = 1;
  std::size_t held_back = 0;      // wanted; see holds_back()
  std::size_t held_back_for = 0;  // the lowest level that may have them
  std::size_t aging = 0;          // 0: strict
  std::size_t in_use = 0;         // may exceed a limit that was lowered
  std::size_t in_use_below = 0;   // of these, by levels below held_back_for
  share everyone;                 // who is in no group
  std::vector<share*> shares{&everyone};
  std::uint64_t arrivals = 0;

  permit_queues() = default;
  permit_queues(permit_queues&&) = delete;

  /// The last permit is never held back: whatever the limit falls to, every level goes on.
  [[nodiscard]] std::size_t holds_back() const noexcept { return std::min(held_back, limit - 1); }
  [[nodiscard]] std::size_t guaranteed() const noexcept {
    std::size_t sum = 0;
    for (const share* each : shares) sum += each->guaranteed;
    return sum;
  }
  [[nodiscard]] std::size_t waiting(std::size_t at) const noexcept {
    std::size_t sum = 0;
    for (const share* each : shares) sum += each->levels[at].size;
    return sum;
  }

  /// Nobody waits who is admitted: grant_all() after each change sees to it, so a newcomer who is admitted passes nobody.
  [[nodiscard]] bool admits(const share& of, std::size_t at) const noexcept {
    return of.in_use < of.ceiling && in_use < limit && (at >= held_back_for || in_use_below < limit - holds_back());
  }
  void take(share& from, std::size_t at) noexcept {
    ++in_use;
    ++from.in_use;
    if (at < held_back_for) ++in_use_below;
  }
  void give_back(share& to, std::size_t at) noexcept {
    assert(in_use > 0 && to.in_use > 0);
    --in_use;
    --to.in_use;
    if (at < held_back_for) --in_use_below;
  }
  void push(share& to, std::size_t at, Waiter& last) noexcept {
    last.arrival = ++arrivals;
    to.levels[at].waiters.push_back(last);
    ++to.levels[at].size;
  }

  /// Gives permits as long as somebody is admitted; for wait_list::post_all.
  [[nodiscard]] waiter* grant_all() noexcept {
    wait_list granted;
    while (Waiter* const served = next()) granted.push_back(*served);
    return granted.release_all();
  }

 private:
  /// A front that is admitted.
  class candidate {
   public:
    candidate(share& of, std::size_t which, std::size_t patience) noexcept
        : from{&of},
          at{which},
          arrival{of.levels[which].front().arrival},
          owed{of.in_use < of.guaranteed},
          due{patience != 0 && of.levels[which].passed >= patience} {}
    [[nodiscard]] bool goes_before(const candidate& other) const noexcept {
      if (owed != other.owed) return owed;
      if (due != other.due) return due;
      if (!due && at != other.at) return at > other.at;
      return arrival < other.arrival;  // of those that are due too: no later one passes them any more
    }
    [[nodiscard]] bool is_passed_by(const candidate& other) const noexcept {
      return owed == other.owed && at < other.at && arrival < other.arrival;
    }
    share* from;
    std::size_t at;
    std::uint64_t arrival;
    bool owed;  // its share is below what it is guaranteed
    bool due;   // it was passed as often as it may be
  };

  template <class F>
  void for_each_candidate(F visit) noexcept {
    for (share* each : shares) {
      for (std::size_t at = 0; at < each->levels.size(); ++at)
        if (each->levels[at].size != 0 && admits(*each, at)) visit(candidate{*each, at, aging});
    }
  }

  /// Takes out the one who goes first, with a permit; null: nobody is admitted.
  Waiter* next() noexcept {
    std::optional<candidate> best;
    for_each_candidate([&](const candidate& each) {
      if (!best || each.goes_before(*best)) best = each;
    });
    if (!best) return nullptr;
    for_each_candidate([&](const candidate& each) {
      if (each.is_passed_by(*best)) ++each.from->levels[each.at].passed;
    });
    level& queue = best->from->levels[best->at];
    Waiter& first = queue.front();
    queue.waiters.erase(first);
    --queue.size;
    queue.passed = 0;
    take(*best->from, best->at);
    return &first;
  }
};

}  // namespace felix::inline v1::detail
