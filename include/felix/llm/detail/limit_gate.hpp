// SPDX-License-Identifier: MIT
// llm: who is let through a limit, in which order, and what the limit learns of it.
#pragma once

#include <felix/async/priority_semaphore.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_any.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/detail/rate_line.hpp>
#include <felix/llm/limit_policy.hpp>
#include <felix/llm/limit_usage.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/llm/wait_bounds.hpp>
#include <felix/telemetry/histogram.hpp>
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

  explicit limit_gate(limit_terms terms)
      : policy_{terms.policy ? terms.policy() : nullptr},
        own_{terms.shared != nullptr ? nullptr : make_own(terms.own, policy_.get())},
        slots_{terms.shared != nullptr ? *terms.shared : *own_},
        group_{terms.group},
        bounds_{terms.bounds} {
    if (terms.rate) rate_.emplace(mutex_, *terms.rate);
  }
  limit_gate(limit_gate&&) = delete;

  class admission;

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
    return !rate_ && bounds_.max_wait == std::chrono::nanoseconds::max();
  }

  [[nodiscard]] bool adapts() const noexcept { return policy_ != nullptr; }
  [[nodiscard]] priority_semaphore& slots() noexcept { return slots_; }
  [[nodiscard]] limit_status status() const noexcept { return group_ != nullptr ? group_->status() : slots_.status(); }
  /// Calls `read` with the usage, which does not change meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    std::scoped_lock lock{mutex_};
    limit_usage now = usage_;
    now.slots = status();
    if (rate_) {
      for (std::size_t i = 0; i < now.slots.waiting.size(); ++i) now.slots.waiting[i] += rate_->waiting(i);
      now.rate = rate_->limiter.status(rate_->latest);
    }
    read(std::as_const(now));
  }

 private:
  static std::unique_ptr<priority_semaphore> make_own(priority_semaphore_options options, const limit_policy* policy) {
    if (policy != nullptr) options.limit = policy->limit();
    return std::make_unique<priority_semaphore>(options);
  }

  /// One that waits, among those who may.
  class waiting_place {
   public:
    explicit waiting_place(limit_gate& in) : in_{in} {
      std::scoped_lock lock{in_.mutex_};
      if (in_.waiting_ >= in_.bounds_.max_waiting) {
        ++in_.usage_.refused;
        throw error{errc::queue_full, "limit: " + std::to_string(in_.waiting_) + " requests wait already for " +
                                          (in_.rate_ ? "a slot, or for what a minute allows" : "a slot") +
                                          ", as many as may; ask again later, or raise max_waiting"};
      }
      ++in_.waiting_;
    }
    waiting_place(waiting_place&&) = delete;
    ~waiting_place() {
      std::scoped_lock lock{in_.mutex_};
      --in_.waiting_;
    }

   private:
    limit_gate& in_;
  };

  /// What a request has of what it needs.
  struct pass {
    std::uint64_t ticket = 0;  // of the rate_limiter
    std::optional<priority_semaphore::permit> permit = {};
  };
  /// At once, or not at all.
  bool try_pass(pass& so_far, const chat_request& request, time_point now) {
    const request_priority priority = request.priority();
    std::optional<priority_semaphore::permit> turn;
    if (rate_) {
      const auto level = static_cast<std::size_t>(priority);
      if (auto mine = rate_->turns(level).try_acquire()) turn.emplace(std::move(*mine));
      std::scoped_lock lock{mutex_};
      if (!turn || rate_->has_more_urgent(level)) return false;
    }
    auto permit = try_acquire(priority);
    if (!permit || (rate_ && !take(so_far, request, now))) return false;
    so_far.permit.emplace(std::move(*permit));
    return true;
  }
  std::optional<priority_semaphore::permit> try_acquire(request_priority priority) noexcept {
    return group_ != nullptr ? group_->try_acquire(priority) : slots_.try_acquire(priority);
  }
  template <class Request>
  task<void> wait_to_pass(pass& so_far, const Request& request) {
    if (!rate_) {
      so_far.permit.emplace(co_await acquire(request.priority()));
      co_return;
    }
    const auto level = static_cast<std::size_t>(request.priority());
    const rate_line::place place{*rate_, level};
    const auto turn = co_await rate_->turns(level).acquire();
    rate_line::first first{*rate_, level};
    co_await pass_as_first(so_far, request, first);
  }
  /// A slot first, and then what a minute allows, so that nothing is counted that is not sent. While there is not enough
  /// it has no slot: others may share the limit, and have a rate of their own or none.
  template <class Request>
  task<void> pass_as_first(pass& so_far, const Request& request, rate_line::first& first) {
    for (;;) {
      if (first.stands_back()) {
        so_far.permit.reset();
        co_await first.changed();
        continue;
      }
      if (!so_far.permit) {
        co_await slot_or_change(so_far, request.priority(), first);
        continue;
      }
      const rate_limit_take took = take(so_far, request, co_await this_task::now());
      if (took) co_return;
      so_far.permit.reset();
      try {
        co_await timeout(took.wait, first.changed());
      } catch (const timed_out&) {  // NOLINT(bugprone-empty-catch): now there is enough
      }
    }
  }
  template <class First>
  task<void> slot_or_change(pass& so_far, request_priority priority, First& first) {
    if (auto permit = try_acquire(priority)) {
      so_far.permit.emplace(std::move(*permit));
      co_return;
    }
    first.waits_for_slot(true);
    try {
      auto came = co_await when_any(acquire(priority), first.changed());
      if (came.index == 0) so_far.permit.emplace(std::move(std::get<0>(came.value)));
    } catch (...) {
      first.waits_for_slot(false);
      throw;
    }
    first.waits_for_slot(false);
  }
  template <class Request>
  task<void> bounded(pass& so_far, const Request& request) {
    if (bounds_.max_wait == std::chrono::nanoseconds::max()) co_return co_await wait_to_pass(so_far, request);
    try {
      co_return co_await timeout(bounds_.max_wait, wait_to_pass(so_far, request));
    } catch (const timed_out&) {
      std::scoped_lock lock{mutex_};
      ++usage_.refused;
    }
    const limit_status all = slots_.status();
    const bool by_minute = rate_ && all.in_use < all.limit;
    throw error{
        errc::queue_full,
        std::string{"limit: "} +
            (by_minute ? "requests and tokens per minute let it wait longer than " : "no slot was free within ") +
            std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(bounds_.max_wait).count()) +
            " ms; ask again later, or raise " + (by_minute ? "the rate or max_wait" : "max_wait")};
  }
  priority_semaphore::awaiter acquire(request_priority priority) noexcept {
    return group_ != nullptr ? group_->acquire(priority) : slots_.acquire(priority);
  }
  rate_limit_take take(pass& so_far, const chat_request& request, time_point now) {
    std::scoped_lock lock{mutex_};
    rate_->latest = std::max(rate_->latest, now);
    const auto took =
        rate_->limiter.try_take(estimated_tokens(request) + request.max_tokens().value_or(unbounded_answer), now);
    so_far.ticket = took.ticket;
    return took;
  }
  /// A request that has got all, and was stopped or refused at that moment.
  void leave(const pass& so_far) noexcept {
    if (so_far.ticket == 0) return;
    std::scoped_lock lock{mutex_};
    rate_->limiter.ended(so_far.ticket);
  }

  /// `where` null: of a coroutine that has no scheduler.
  [[nodiscard]] static time_point now_of(const scheduler* where) noexcept {
    return where != nullptr ? where->now() : std::chrono::steady_clock::now();
  }

  /// About how many tokens the request has, when nobody has counted them.
  static token_count estimated_tokens(const chat_request& request) noexcept {
    std::size_t bytes = 0;
    for (const chat_message& message : request.messages()) bytes += 16 + message.content.size();
    for (const function_tool& tool : request.tools()) bytes += tool.description.size() + tool.parameters.size();
    return static_cast<token_count>((bytes + 3) / 4);
  }

  static constexpr token_count unbounded_answer = 1'024;  ///< what a request without max_tokens is counted with

  /// The limit as the policy has it now. Under the lock.
  void adapt() {
    if (const std::size_t now = policy_->limit(); now != slots_.limit()) slots_.set_limit(now);
  }

  mutable std::mutex mutex_;  // guards the policy, and what follows
  std::unique_ptr<limit_policy> policy_;
  std::size_t waiting_ = 0;
  std::uint64_t requests_ = 0;
  limit_usage usage_;
  std::optional<rate_line> rate_;

  std::unique_ptr<priority_semaphore> own_;
  priority_semaphore& slots_;
  priority_semaphore::group* group_;  // null: in none
  const wait_bounds bounds_;
};

/// A request that was let through. The limit learns what becomes of it; when it is destroyed, the slot is given back.
class limit_gate::admission {
 public:
  admission(limit_gate& through, priority_semaphore::permit permit, std::uint64_t ticket, const chat_request& request,
            std::chrono::nanoseconds waited, const scheduler* where)
      : permit_{std::move(permit)}, gate_{&through}, where_{where}, ticket_{ticket}, waited_{waited} {
    std::scoped_lock lock{gate_->mutex_};
    ++gate_->usage_.admitted;
    gate_->usage_.waits.record(waited);
    is_watched_ = gate_->policy_ != nullptr || ticket_ != 0;
    if (!gate_->policy_) return;
    number_ = ++gate_->requests_;
    gate_->policy_->sent(number_, estimated_tokens(request), now());
    gate_->adapt();
  }
  admission(admission&& other) noexcept
      : permit_{std::move(other.permit_)},
        gate_{other.gate_},
        where_{other.where_},
        number_{other.number_},
        ticket_{other.ticket_},
        waited_{other.waited_},
        is_watched_{std::exchange(other.is_watched_, false)} {}
  admission& operator=(admission&&) = delete;
  ~admission() {
    if (is_watched_) ended(limit_outcome::nothing, {}, {});
  }

  /// In the queue of the limit.
  [[nodiscard]] std::chrono::nanoseconds waited() const noexcept { return waited_; }

  void first_delta(const chat_response& so_far) {
    if (!is_watched_) return;
    std::scoped_lock lock{gate_->mutex_};
    learn_rate(so_far);
    if (!gate_->policy_) return;
    gate_->policy_->first_token(number_, so_far.timing().queued, now());
    gate_->adapt();
  }
  void answered(const chat_response& answer) {
    if (!is_watched_) return;
    {
      std::scoped_lock lock{gate_->mutex_};
      learn_rate(answer);
    }
    ended(limit_outcome::answered, answer.usage(), answer.timing().queued);
  }
  void failed(const error& failure) {
    if (!is_watched_) return;
    const auto* const refused = dynamic_cast<const api_error*>(&failure);
    const bool too_often = refused != nullptr && refused->kind() == error_kind::rate_limited;
    const auto hint = too_often ? refused->retry_after() : std::nullopt;
    if (too_often && ticket_ != 0) {
      std::scoped_lock lock{gate_->mutex_};
      gate_->rate_->limiter.refused(std::exchange(ticket_, 0), hint, now());
    }
    // A server that limits the rate, and says so, tells nothing about how many requests it can take at once.
    const bool overloaded = failure.kind() == error_kind::overloaded || (too_often && !hint);
    ended(overloaded ? limit_outcome::overloaded : limit_outcome::nothing, {}, {});
  }

 private:
  /// Under the lock.
  void learn_rate(const chat_response& answer) {
    if (ticket_ == 0 || answer.rate_limits() == nullptr) return;
    gate_->rate_->limiter.answered(std::exchange(ticket_, 0), *answer.rate_limits(), now());
  }
  void ended(limit_outcome how, const token_usage& usage, std::optional<std::chrono::nanoseconds> queued) {
    is_watched_ = false;
    std::scoped_lock lock{gate_->mutex_};
    if (ticket_ != 0) gate_->rate_->limiter.ended(ticket_);
    if (!gate_->policy_) return;
    gate_->policy_->ended(number_, how, usage, queued, now());
    gate_->adapt();
  }
  [[nodiscard]] time_point now() const noexcept { return now_of(where_); }

  priority_semaphore::permit permit_;  // given back after the others were told
  limit_gate* gate_;
  const scheduler* where_;    // null: of a coroutine that has none
  std::uint64_t number_ = 0;  // for the policy
  std::uint64_t ticket_;      // of the rate_limiter; 0: none, or closed
  std::chrono::nanoseconds waited_;
  bool is_watched_ = false;
};

/// One that waits. It is in the frame of the request itself: thousands of them may be here.
class limit_gate::slot_wait {
 public:
  slot_wait(limit_gate& at, const scheduler* where) : place_{at}, gate_{at}, where_{where}, asked_{now()} {}

  [[nodiscard]] priority_semaphore::awaiter wait(const chat_request& request) noexcept {
    return gate_.acquire(request.priority());
  }
  void take(std::optional<admission>& into, const chat_request& request, priority_semaphore::permit permit) {
    into.emplace(gate_, std::move(permit), 0, request, now() - asked_, where_);
  }

 private:
  [[nodiscard]] time_point now() const noexcept { return now_of(where_); }
  waiting_place place_;
  limit_gate& gate_;
  const scheduler* where_;
  time_point asked_;
};

inline bool limit_gate::try_enter(std::optional<admission>& into, const chat_request& request, const scheduler* where) {
  if (rate_) return false;  // enter() looks at that, too
  auto permit = try_acquire(request.priority());
  if (!permit) return false;
  into.emplace(*this, std::move(*permit), 0, request, std::chrono::nanoseconds{0}, where);
  return true;
}

template <class Request>
task<void> limit_gate::enter(std::optional<admission>& into, const Request& request, const scheduler* where) {
  const auto asked = co_await this_task::now();
  pass so_far;
  try {
    if (!try_pass(so_far, request, asked)) {
      const waiting_place place{*this};
      co_await bounded(so_far, request);
    }
  } catch (...) {
    leave(so_far);
    throw;
  }
  const auto waited = co_await this_task::now() - asked;
  into.emplace(*this, std::move(*so_far.permit), so_far.ticket, request, waited, where);
}

}  // namespace detail
}  // namespace felix::inline v1
