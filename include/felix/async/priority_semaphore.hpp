// SPDX-License-Identifier: MIT
// async: a limit on what runs at once: a freed permit goes by guarantee, level and arrival.
#pragma once

#include <felix/async/detail/permit_queues.hpp>
#include <felix/async/detail/waiter.hpp>
#include <felix/error.hpp>
#include <felix/priority.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {

struct priority_semaphore_options {
  std::size_t limit = 1;  ///< permits, at least 1
  /// Whoever is below `held_back_for` has, all together, at most `limit - held_back` permits at once; so those of that
  /// priority and above start at once, as long as no more than `held_back` of them are at it. Less than the limit.
  std::size_t held_back = 0;
  request_priority held_back_for = request_priority::urgent;
  /// 0: strict, a low waiter waits for as long as there are higher ones. N: at most N later ones of higher levels go
  /// before the first waiter of a level (of a group), then it is its turn, and then the next one's count begins. So one
  /// who has i before it in its level is passed by at most (i + 1) * N later ones, and each level below a busy one gets
  /// one permit in about N + 1. Guarantees, ceilings and what is held back come first: who could not have had a permit
  /// was not passed.
  std::size_t aging = 0;
};

/// What a group may have of a limit.
struct permit_share {
  static constexpr std::size_t no_ceiling = std::numeric_limits<std::size_t>::max();
  std::size_t guaranteed = 0;        ///< below it, the group's waiters go before all others, whatever their priority
  std::size_t ceiling = no_ceiling;  ///< it never has more at once, even when others are free
};

/// A limit, or a group's part of it, at one moment.
struct limit_status {
  std::size_t limit = 0;
  std::size_t in_use = 0;
  std::array<std::size_t, request_priority_levels> waiting = {};  ///< by request_priority: [0] is low

  [[nodiscard]] std::size_t waiting_in_all() const noexcept {
    std::size_t sum = 0;
    for (const std::size_t level : waiting) sum += level;
    return sum;
  }
};

/// At most `limit` coroutines at once, of any number of threads, loops and models.
///     felix::priority_semaphore slots{4};
///     auto permit = co_await slots.acquire(request_priority::high);   // held until it is destroyed
///     felix::priority_semaphore::group research{slots, "research", {.guaranteed = 1, .ceiling = 3}};
///     auto another = co_await research.acquire();
/// Order:    a permit that is free goes first to a waiter whose group has less than it is guaranteed; of these, or of
///           all, to the highest level; within a level to the one that came first, of whatever group. Who may not have
///           it (its group is at its ceiling, the rest is held back from its level) holds up nobody. What a
///           group does not use of its guarantee is lent, and comes back as soon as a permit is given back.
/// Threads:  every member, from any thread. A waiter goes on on its own scheduler.
/// Stop:     a suspended acquire throws `cancelled` and leaves the queue at once; a permit that was granted stays
///           granted. A free permit is taken even when a stop was requested.
/// Lifetime: outlives its groups, permits and waiters.
/// Cost:     no allocation for a wait; one lock a call; O(1) to acquire, O(groups) to give back.
class priority_semaphore {
 public:
  class awaiter;
  class permit;
  class group;

  /// Throws error (invalid_option) when `permits` is below 1: nobody could ever go on.
  explicit priority_semaphore(std::size_t permits) : priority_semaphore{priority_semaphore_options{.limit = permits}} {}
  /// Throws error (invalid_option) also when all would be held back, or some from nobody (for `low`).
  explicit priority_semaphore(const priority_semaphore_options& options);
  priority_semaphore(priority_semaphore&&) = delete;
  ~priority_semaphore() {
    assert(queues_.in_use == 0 && "felix::priority_semaphore: destroyed while a permit is held");
    assert(queues_.shares.size() == 1 && "felix::priority_semaphore: destroyed before a group of it");
  }

  /// For whoever is in no group.
  [[nodiscard]] awaiter acquire(request_priority priority = request_priority::normal) noexcept;

  /// A permit that is free and that nobody has a better right to; or nothing. Never waits.
  [[nodiscard]] inline std::optional<permit> try_acquire(request_priority priority = request_priority::normal) noexcept;

  /// Raised, it lets waiters in. Lowered, it takes effect as permits come back: until then more are in use. Of what is
  /// held back the last permit is let go. A limit below the sum of the guarantees is allowed (who adapts a limit need not
  /// know the groups): those below their guarantee still go before others, and among them by level and arrival.
  /// Throws error (invalid_option) for 0.
  void set_limit(std::size_t permits);

  [[nodiscard]] std::size_t limit() const noexcept { return status().limit; }
  /// Permits held now, in all groups and none.
  [[nodiscard]] std::size_t in_use() const noexcept { return status().in_use; }
  /// Waiters of one level now, in all groups and none.
  [[nodiscard]] std::size_t waiting(request_priority priority) const noexcept {
    return status().waiting[static_cast<std::size_t>(priority)];
  }
  /// All of it at one moment.
  [[nodiscard]] limit_status status() const noexcept;

 private:
  friend class detail::cancellable_wait<priority_semaphore, awaiter>;
  using queues = detail::permit_queues<awaiter>;
  using share = queues::share;

  static std::size_t at_least_one(std::size_t permits);
  [[nodiscard]] bool try_take(share& of, std::size_t level) noexcept;
  bool park(awaiter& waiter) noexcept;
  void cancel(awaiter& waiter);
  void release(share& to, std::size_t level);
  void add(share& added, const std::string& name);
  void remove(share& removed) noexcept;

  mutable std::mutex mutex_;  // guards what follows, and the waiters' places
  queues queues_;
};

/// A role, a team, a tenant: those who share a part of a limit. What is in no group has no guarantee and no ceiling.
/// Threads:  every member, from any thread.
/// Lifetime: outlives its permits and waiters; the semaphore outlives it.
class priority_semaphore::group {
 public:
  /// Throws error (invalid_option) for a ceiling of 0 or below the guarantee, and when the guarantees of all groups and
  /// what is held back would be more than the limit of this moment.
  group(priority_semaphore& of, std::string name, permit_share terms = {});
  group(group&&) = delete;
  ~group() { of_.remove(share_); }

  [[nodiscard]] awaiter acquire(request_priority priority = request_priority::normal) noexcept;
  [[nodiscard]] inline std::optional<permit> try_acquire(request_priority priority = request_priority::normal) noexcept;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] permit_share terms() const noexcept { return {share_.guaranteed, share_.ceiling}; }
  [[nodiscard]] priority_semaphore& semaphore() const noexcept { return of_; }
  /// Of this group alone; `limit` is its ceiling or the whole limit, whichever is less: what it has if nobody else
  /// wants anything, and nothing is held back from it.
  [[nodiscard]] limit_status status() const noexcept;

 private:
  priority_semaphore& of_;
  std::string name_;
  share share_;
};

/// One permit; its destructor gives it back.
class [[nodiscard("a permit that is dropped is given back at once")]] priority_semaphore::permit {
 public:
  permit(permit&& other) noexcept
      : from_{std::exchange(other.from_, nullptr)}, share_{other.share_}, level_{other.level_} {}
  permit& operator=(permit&&) = delete;
  ~permit() {
    if (from_ != nullptr) from_->release(*share_, level_);
  }

 private:
  friend class awaiter;
  friend class group;
  friend class priority_semaphore;
  permit(priority_semaphore& from, share& of, std::size_t level) noexcept : from_{&from}, share_{&of}, level_{level} {}
  priority_semaphore* from_;  // null: moved from
  share* share_;
  std::size_t level_;
};

class priority_semaphore::awaiter : public detail::cancellable_wait<priority_semaphore, awaiter> {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return primitive().try_take(*share_, level_); }
  permit await_resume() {
    finish("waiting for a permit");
    return permit{primitive(), *share_, level_};
  }

 private:
  friend class priority_semaphore;
  friend class detail::permit_queues<awaiter>;
  awaiter(priority_semaphore& awaited, share& of, request_priority priority) noexcept
      : cancellable_wait{awaited}, share_{&of}, level_{static_cast<std::size_t>(priority)} {}

  share* share_;
  std::size_t level_;
  std::uint64_t arrival = 0;  // for permit_queues
};

inline priority_semaphore::priority_semaphore(const priority_semaphore_options& options) {
  queues_.limit = at_least_one(options.limit);
  if (options.held_back >= options.limit)
    throw error{errc::invalid_option,
                "priority_semaphore: " + std::to_string(options.held_back) + " of " + std::to_string(options.limit) +
                    " permits held back would let nobody else through; hold back fewer, or raise the limit"};
  if (options.held_back > 0 && options.held_back_for == request_priority::low)
    throw error{errc::invalid_option,
                "priority_semaphore: permits held back for low are held back from nobody; hold them back for a higher "
                "priority, or none"};
  queues_.held_back = options.held_back;
  queues_.held_back_for = static_cast<std::size_t>(options.held_back_for);
  queues_.aging = options.aging;
}

inline std::size_t priority_semaphore::at_least_one(std::size_t permits) {
  if (permits == 0)
    throw error{errc::invalid_option, "priority_semaphore: 0 permits would let nobody through; use at least 1"};
  return permits;
}

inline priority_semaphore::awaiter priority_semaphore::acquire(request_priority priority) noexcept {
  return awaiter{*this, queues_.everyone, priority};
}

inline bool priority_semaphore::try_take(share& of, std::size_t level) noexcept {
  std::scoped_lock lock{mutex_};
  if (!queues_.admits(of, level)) return false;
  queues_.take(of, level);
  return true;
}

inline std::optional<priority_semaphore::permit> priority_semaphore::try_acquire(request_priority priority) noexcept {
  const auto level = static_cast<std::size_t>(priority);
  if (!try_take(queues_.everyone, level)) return std::nullopt;
  return permit{*this, queues_.everyone, level};
}

inline bool priority_semaphore::park(awaiter& waiter) noexcept {
  std::scoped_lock lock{mutex_};
  if (waiter.is_cancelled()) return false;
  if (queues_.admits(*waiter.share_, waiter.level_)) {  // freed since await_ready
    queues_.take(*waiter.share_, waiter.level_);
    waiter.release();
    return false;
  }
  queues_.push(*waiter.share_, waiter.level_, waiter);
  return true;
}

inline void priority_semaphore::cancel(awaiter& waiter) {
  auto& level = waiter.share_->levels[waiter.level_];
  waiter.withdraw(mutex_, level.waiters, [&] { level.left(); });
}

inline void priority_semaphore::release(share& to, std::size_t level) {
  detail::waiter* next = nullptr;
  {
    std::scoped_lock lock{mutex_};
    queues_.give_back(to, level);
    next = queues_.grant_all();  // the permit goes from hand to hand
  }
  detail::wait_list::post_all(next);
}

inline void priority_semaphore::set_limit(std::size_t permits) {
  detail::waiter* next = nullptr;
  {
    std::scoped_lock lock{mutex_};
    queues_.limit = at_least_one(permits);
    next = queues_.grant_all();
  }
  detail::wait_list::post_all(next);
}

inline limit_status priority_semaphore::status() const noexcept {
  std::scoped_lock lock{mutex_};
  limit_status now{.limit = queues_.limit, .in_use = queues_.in_use};
  for (std::size_t i = 0; i < now.waiting.size(); ++i) now.waiting[i] = queues_.waiting(i);
  return now;
}

inline void priority_semaphore::add(share& added, const std::string& name) {
  std::scoped_lock lock{mutex_};
  const std::size_t open = queues_.limit - queues_.holds_back();
  const std::size_t left = open - std::min(open, queues_.guaranteed());
  if (added.guaranteed > left)
    throw error{errc::invalid_option,
                "priority_semaphore: group '" + name + "' asks for a guarantee of " + std::to_string(added.guaranteed) +
                    "; of " + std::to_string(queues_.limit) + " permits " + std::to_string(queues_.guaranteed()) +
                    " are guaranteed to others and " + std::to_string(queues_.holds_back()) +
                    " held back: guarantee at most " + std::to_string(left) + ", or raise the limit"};
  queues_.shares.push_back(&added);
}

inline void priority_semaphore::remove(share& removed) noexcept {
  std::scoped_lock lock{mutex_};
  assert(removed.in_use == 0 && "felix::priority_semaphore::group: destroyed while a permit of it is held");
  assert(removed.waiting() == 0 && "felix::priority_semaphore::group: destroyed while a coroutine waits for it");
  std::erase(queues_.shares, &removed);
}

inline priority_semaphore::group::group(priority_semaphore& of, std::string name, permit_share terms)
    : of_{of}, name_{std::move(name)} {
  if (terms.ceiling == 0)
    throw error{errc::invalid_option, "priority_semaphore: group '" + name_ +
                                          "' has a ceiling of 0 and would let nobody through; use at least 1"};
  if (terms.guaranteed > terms.ceiling)
    throw error{errc::invalid_option, "priority_semaphore: group '" + name_ + "' asks for a guarantee of " +
                                          std::to_string(terms.guaranteed) + " and a ceiling of " +
                                          std::to_string(terms.ceiling) +
                                          ", which is less; raise the ceiling, or guarantee less"};
  share_.guaranteed = terms.guaranteed;
  share_.ceiling = terms.ceiling;
  of_.add(share_, name_);
}

inline priority_semaphore::awaiter priority_semaphore::group::acquire(request_priority priority) noexcept {
  return awaiter{of_, share_, priority};
}

inline std::optional<priority_semaphore::permit> priority_semaphore::group::try_acquire(
    request_priority priority) noexcept {
  const auto level = static_cast<std::size_t>(priority);
  if (!of_.try_take(share_, level)) return std::nullopt;
  return permit{of_, share_, level};
}

inline limit_status priority_semaphore::group::status() const noexcept {
  std::scoped_lock lock{of_.mutex_};
  limit_status now{.limit = std::min(share_.ceiling, of_.queues_.limit), .in_use = share_.in_use};
  for (std::size_t i = 0; i < now.waiting.size(); ++i) now.waiting[i] = share_.levels[i].size;
  return now;
}

}  // namespace felix::inline v1
