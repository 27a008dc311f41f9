// SPDX-License-Identifier: MIT
// llm: who is let through a limit, and in which order.
#pragma once

#include <felix/async/priority_semaphore.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/async/timeout.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/detail/admission.hpp>
#include <felix/llm/detail/rate_line.hpp>
#include <felix/llm/limit_policy.hpp>
#include <felix/llm/limit_usage.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/llm/wait_bounds.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {

namespace detail {

/// What a `limit` is made of.
struct limit_terms {
  priority_semaphore_options own = {};
  priority_semaphore* shared = nullptr;        // instead of `own`
  priority_semaphore::group* group = nullptr;  // of `shared`
  wait_bounds bounds = {};
  std::function<std::unique_ptr<limit_policy>()> policy = {};  // adapts `own`
  std::optional<rate_limit_options> rate = {};
};

/// Threads: every member, from any thread.
class limit_gate {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit limit_gate(const limit_terms& terms) : limit_gate{terms, terms.policy ? terms.policy() : nullptr} {}
  limit_gate(limit_gate&&) = delete;

  // Both put the admission where the caller has a place for it: a coroutine keeps every temporary in its frame.

  /// False: it has to wait.
  [[nodiscard]] inline bool try_enter(std::optional<admission>& into, const chat_request& request,
                                      const scheduler* where);
  /// Throws error (queue_full). For a place alone, without bounds of time and rate, a slot_wait does it, without a frame.
  template <class Request>  // chat_request; a template for what http_client.hpp says of coroutines
  task<void> enter(std::optional<admission>& into, const Request& request, const scheduler* where);

  /// A wait for a slot, and nothing else: `slot_wait mine{gate, here}; mine.take(into, request, co_await mine.wait(request))`.
  class slot_wait;
  [[nodiscard]] bool waits_for_slots_alone() const noexcept {
    return !known_.rate && bounds_.max_wait == std::chrono::nanoseconds::max();
  }

  [[nodiscard]] bool adapts() const noexcept { return known_.policy != nullptr; }
  [[nodiscard]] priority_semaphore& slots() noexcept { return slots_; }
  [[nodiscard]] limit_status status() const noexcept { return group_ != nullptr ? group_->status() : slots_.status(); }
  /// Calls `read` with the usage, which does not change meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    std::scoped_lock lock{known_.mutex};
    limit_usage now = known_.usage;
    now.slots = status();
    if (known_.rate) {
      for (std::size_t i = 0; i < now.slots.waiting.size(); ++i) now.slots.waiting[i] += known_.rate->waiting(i);
      now.rate = known_.rate->limiter.status(known_.latest);
    }
    read(std::as_const(now));
  }

 private:
  limit_gate(const limit_terms& terms, std::unique_ptr<limit_policy> policy)
      : own_{terms.shared != nullptr ? nullptr : make_own(terms.own, policy.get())},
        slots_{terms.shared != nullptr ? *terms.shared : *own_},
        group_{terms.group},
        bounds_{terms.bounds},
        known_{std::move(policy), slots_, terms.rate} {}
  static std::unique_ptr<priority_semaphore> make_own(priority_semaphore_options options, const limit_policy* policy) {
    if (policy != nullptr) options.limit = policy->limit();
    return std::make_unique<priority_semaphore>(options);
  }

  /// One that waits, among those who may.
  class waiting_place {
   public:
    explicit waiting_place(limit_gate& in) : in_{in} {
      std::scoped_lock lock{in_.known_.mutex};
      if (in_.waiting_ >= in_.bounds_.max_waiting) {
        ++in_.known_.usage.refused;
        throw error{errc::queue_full, "limit: " + std::to_string(in_.waiting_) + " requests wait already for " +
                                          (in_.known_.rate ? "a slot, or for what a minute allows" : "a slot") +
                                          ", as many as may; ask again later, or raise max_waiting"};
      }
      ++in_.waiting_;
    }
    waiting_place(waiting_place&&) = delete;
    ~waiting_place() {
      std::scoped_lock lock{in_.known_.mutex};
      --in_.waiting_;
    }

   private:
    limit_gate& in_;
  };

  /// What a request has of what it needs.
  struct pass {
    std::uint64_t ticket = 0;  // of the rate_limiter
    std::optional<priority_semaphore::permit> permit = {};
    bool waited_for_slot = true;  // when its wait was ended: else for what a minute allows
  };
  /// At once, or not at all.
  bool try_pass(pass& so_far, const chat_request& request, time_point now) {
    if (known_.rate && is_behind_others(request)) return false;
    auto permit = try_acquire(request.priority());
    if (!permit || (known_.rate && !take(so_far, request, now))) return false;
    so_far.permit.emplace(std::move(*permit));
    return true;
  }
  std::optional<priority_semaphore::permit> try_acquire(request_priority priority) noexcept {
    return group_ != nullptr ? group_->try_acquire(priority) : slots_.try_acquire(priority);
  }
  template <class Request>
  task<void> wait_to_pass(pass& so_far, const Request& request) {
    so_far.permit.emplace(co_await acquire(request.priority()));
    if (!known_.rate) co_return;
    const auto now = co_await this_task::now();
    if (is_behind_others(request) || !take(so_far, request, now)) co_await wait_in_line(so_far, request);
  }
  /// Only those that a minute has held up are in the line. The others wait for their slots each for itself, or those that
  /// share the limit and have no rate would go before all but one of them.
  template <class Request>
  task<void> wait_in_line(pass& so_far, const Request& request) {
    rate_line& line = *known_.rate;
    const auto level = static_cast<std::size_t>(request.priority());
    const rate_line::place place{line, level};
    so_far.permit.reset();
    std::optional<priority_semaphore::permit> turn;
    std::optional<rate_line::first> first;
    try {
      turn.emplace(co_await line.turn(level).acquire());
      first.emplace(line, level);
      co_await pass_as_first(so_far, request, *first);
    } catch (const cancelled&) {
      std::scoped_lock lock{known_.mutex};
      so_far.waited_for_slot = line.waits_for_slot(level);  // before the next one is the first
      throw;
    }
  }
  /// A slot first, and then what a minute allows, so that nothing is counted that is not sent. While there is not enough
  /// it has no slot: others may share the limit, and have a rate of their own or none. While it waits for a slot it keeps
  /// its place there, also when a more urgent one comes, or those that share the limit would pass it again and again.
  template <class Request>
  task<void> pass_as_first(pass& so_far, const Request& request, rate_line::first& first) {
    for (;;) {
      if (first.stands_back()) {
        so_far.permit.reset();
        co_await first.changed();
        continue;
      }
      if (!so_far.permit) {
        first.waits_for_slot();
        so_far.permit.emplace(co_await acquire(request.priority()));
        first.has_slot();
        continue;  // a more urgent one may have come
      }
      const rate_limit_take took = take(so_far, request, co_await this_task::now());
      if (took) co_return;
      so_far.permit.reset();
      first.waits_for_minute();
      try {
        co_await timeout(took.wait, first.changed());
      } catch (const timed_out&) {  // NOLINT(bugprone-empty-catch): now there is enough
      }
    }
  }
  template <class Request>
  task<void> bounded(pass& so_far, const Request& request) {
    if (bounds_.max_wait == std::chrono::nanoseconds::max()) co_return co_await wait_to_pass(so_far, request);
    try {
      co_return co_await timeout(bounds_.max_wait, wait_to_pass(so_far, request));
    } catch (const timed_out&) {
      std::scoped_lock lock{known_.mutex};
      ++known_.usage.refused;
    }
    throw error{errc::queue_full,
                std::string{"limit: "} +
                    (so_far.waited_for_slot ? "no slot was free within "
                                            : "requests and tokens per minute let it wait longer than ") +
                    std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(bounds_.max_wait).count()) +
                    " ms; ask again later, or raise " + (so_far.waited_for_slot ? "max_wait" : "the rate or max_wait")};
  }
  priority_semaphore::awaiter acquire(request_priority priority) noexcept {
    return group_ != nullptr ? group_->acquire(priority) : slots_.acquire(priority);
  }
  /// Others of its priority, or more urgent ones, are in the line.
  bool is_behind_others(const chat_request& request) {
    std::scoped_lock lock{known_.mutex};
    return known_.rate->has_waiting_from(static_cast<std::size_t>(request.priority()));
  }
  rate_limit_take take(pass& so_far, const chat_request& request, time_point now) {
    std::scoped_lock lock{known_.mutex};
    known_.pass(now);
    const token_count prompt = estimated_prompt_tokens(request);
    const token_count longest = request.max_tokens().value_or(unbounded_answer);
    const token_count most =
        std::numeric_limits<token_count>::max() - prompt;  // some ask for all that a number can say
    const auto took = known_.rate->limiter.try_take(prompt + std::min(longest, most), now);
    so_far.ticket = took.ticket;
    return took;
  }

  static constexpr token_count unbounded_answer = 1'024;  ///< what a request without max_tokens is counted with

  std::unique_ptr<priority_semaphore> own_;
  priority_semaphore& slots_;
  priority_semaphore::group* group_;  // null: in none
  const wait_bounds bounds_;
  limit_knowledge known_;
  std::size_t waiting_ = 0;  // under the mutex of known_
};

/// One that waits. It is in the frame of the request itself: thousands of them may be here.
class limit_gate::slot_wait {
 public:
  slot_wait(limit_gate& at, const scheduler* where) : place_{at}, gate_{at}, where_{where}, asked_{now()} {}

  [[nodiscard]] priority_semaphore::awaiter wait(const chat_request& request) noexcept {
    return gate_.acquire(request.priority());
  }
  void take(std::optional<admission>& into, const chat_request& request, priority_semaphore::permit permit) {
    into.emplace(gate_.known_, std::move(permit), 0, request, now() - asked_, where_);
  }

 private:
  [[nodiscard]] time_point now() const noexcept { return now_of(where_); }
  waiting_place place_;
  limit_gate& gate_;
  const scheduler* where_;
  time_point asked_;
};

inline bool limit_gate::try_enter(std::optional<admission>& into, const chat_request& request, const scheduler* where) {
  if (known_.rate) return false;  // enter() looks at that, too
  auto permit = try_acquire(request.priority());
  if (!permit) return false;
  into.emplace(known_, std::move(*permit), 0, request, std::chrono::nanoseconds{0}, where);
  return true;
}

template <class Request>
task<void> limit_gate::enter(std::optional<admission>& into, const Request& request, const scheduler* where) {
  const auto asked = co_await this_task::now();
  pass so_far;
  if (!try_pass(so_far, request, asked)) {
    const waiting_place place{*this};
    co_await bounded(so_far, request);
  }
  const auto waited = co_await this_task::now() - asked;
  into.emplace(known_, std::move(*so_far.permit), so_far.ticket, request, waited, where);
}

}  // namespace detail
}  // namespace felix::inline v1
