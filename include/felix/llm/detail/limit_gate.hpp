// SPDX-License-Identifier: MIT
// llm: who is let through a limit, in which order, and what the limit learns of it.
#pragma once

#include <felix/async/priority_semaphore.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/async/timeout.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/limit_policy.hpp>
#include <felix/telemetry/histogram.hpp>
#include <felix/usage.hpp>

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

/// Who may wait for a slot, and for how long. By default everyone does, as long as it takes.
struct wait_bounds {
  static constexpr std::size_t no_bound = std::numeric_limits<std::size_t>::max();
  /// The most requests that wait at once; the next one is refused with `queue_full`. 0: nobody waits.
  std::size_t max_waiting = no_bound;
  /// The longest that one waits before it is refused with `queue_full`.
  std::chrono::nanoseconds max_wait = std::chrono::nanoseconds::max();
};

/// What a limit has done, for those that use it through one model.
struct limit_usage {
  limit_status slots = {};     ///< when shared, of all who share the limit, or its group
  std::uint64_t admitted = 0;  ///< got a slot
  std::uint64_t refused = 0;   ///< found the queue full, or waited too long
  histogram waits = {};        ///< of those admitted; at once counts as 0
};

namespace detail {

/// What a `limit` is made of.
struct limit_terms {
  priority_semaphore_options own = {};
  priority_semaphore* shared = nullptr;        // instead of `own`
  priority_semaphore::group* group = nullptr;  // of `shared`
  wait_bounds bounds = {};
  std::function<std::unique_ptr<limit_policy>()> policy = {};  // adapts `own`
};

/// Threads: every member, from any thread.
class limit_gate {
 public:
  explicit limit_gate(limit_terms terms)
      : policy_{terms.policy ? terms.policy() : nullptr},
        own_{terms.shared != nullptr ? nullptr : make_own(terms.own, policy_.get())},
        slots_{terms.shared != nullptr ? *terms.shared : *own_},
        group_{terms.group},
        bounds_{terms.bounds} {}
  limit_gate(limit_gate&&) = delete;

  class admission;

  /// What is free and may be had at once, or nothing.
  [[nodiscard]] inline std::optional<admission> try_enter(const chat_request& request, const scheduler* where);
  /// Throws error (queue_full).
  inline task<admission> enter(const chat_request& request);

  [[nodiscard]] bool adapts() const noexcept { return policy_ != nullptr; }
  [[nodiscard]] priority_semaphore& slots() noexcept { return slots_; }
  [[nodiscard]] limit_status status() const noexcept { return group_ != nullptr ? group_->status() : slots_.status(); }
  /// Calls `read` with the usage, which does not change meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    std::scoped_lock lock{mutex_};
    limit_usage now = usage_;
    now.slots = status();
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
        throw error{errc::queue_full, "limit: all slots are in use and " + std::to_string(in_.waiting_) +
                                          " requests wait already, as many as may; ask again later, or raise "
                                          "max_waiting"};
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

  task<priority_semaphore::permit> bounded(request_priority priority) {
    if (bounds_.max_wait == std::chrono::nanoseconds::max()) co_return co_await acquire(priority);
    try {
      co_return co_await timeout(bounds_.max_wait, acquire(priority));
    } catch (const timed_out&) {
      std::scoped_lock lock{mutex_};
      ++usage_.refused;
    }
    throw error{errc::queue_full,
                "limit: no slot was free within " +
                    std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(bounds_.max_wait).count()) +
                    " ms; ask again later, or raise max_wait"};
  }
  priority_semaphore::awaiter acquire(request_priority priority) noexcept {
    return group_ != nullptr ? group_->acquire(priority) : slots_.acquire(priority);
  }

  /// About how many tokens the request has, when nobody has counted them.
  static token_count estimated_tokens(const chat_request& request) noexcept {
    std::size_t bytes = 0;
    for (const chat_message& message : request.messages()) bytes += 16 + message.content.size();
    for (const function_tool& tool : request.tools()) bytes += tool.description.size() + tool.parameters.size();
    return static_cast<token_count>((bytes + 3) / 4);
  }

  /// The limit as the policy has it now. Under the lock.
  void adapt() {
    if (const std::size_t now = policy_->limit(); now != slots_.limit()) slots_.set_limit(now);
  }

  mutable std::mutex mutex_;  // guards the policy, and what follows
  std::unique_ptr<limit_policy> policy_;
  std::size_t waiting_ = 0;
  std::uint64_t requests_ = 0;
  limit_usage usage_;

  std::unique_ptr<priority_semaphore> own_;
  priority_semaphore& slots_;
  priority_semaphore::group* group_;  // null: in none
  const wait_bounds bounds_;
};

/// A request that was let through. The limit learns what becomes of it; when it is destroyed, the slot is given back.
class limit_gate::admission {
 public:
  admission(limit_gate& through, priority_semaphore::permit permit, const chat_request& request,
            std::chrono::nanoseconds waited, const scheduler* where)
      : permit_{std::move(permit)}, gate_{&through}, where_{where}, waited_{waited} {
    std::scoped_lock lock{gate_->mutex_};
    ++gate_->usage_.admitted;
    gate_->usage_.waits.record(waited);
    if (!gate_->policy_) return;
    number_ = ++gate_->requests_;
    gate_->policy_->sent(number_, estimated_tokens(request), now());
    gate_->adapt();
  }
  admission(admission&& other) noexcept
      : permit_{std::move(other.permit_)},
        gate_{other.gate_},
        where_{other.where_},
        number_{std::exchange(other.number_, 0)},
        waited_{other.waited_} {}
  admission& operator=(admission&&) = delete;
  ~admission() {
    if (number_ != 0) ended(limit_outcome::nothing, {}, {});
  }

  /// In the queue of the limit.
  [[nodiscard]] std::chrono::nanoseconds waited() const noexcept { return waited_; }

  void first_delta(const chat_response& so_far) {
    if (number_ == 0) return;
    std::scoped_lock lock{gate_->mutex_};
    gate_->policy_->first_token(number_, so_far.timing().queued, now());
    gate_->adapt();
  }
  void answered(const chat_response& answer) {
    if (number_ != 0) ended(limit_outcome::answered, answer.usage(), answer.timing().queued);
  }
  void failed(const error& failure) {
    if (number_ != 0) ended(outcome_of(failure), {}, {});
  }

 private:
  /// A server that limits the rate, and says so, tells nothing about how many requests it can take at once.
  static limit_outcome outcome_of(const error& failure) noexcept {
    if (failure.kind() == error_kind::overloaded) return limit_outcome::overloaded;
    const auto* const refused = dynamic_cast<const api_error*>(&failure);
    return refused != nullptr && refused->kind() == error_kind::rate_limited && !refused->retry_after()
               ? limit_outcome::overloaded
               : limit_outcome::nothing;
  }
  void ended(limit_outcome how, const token_usage& usage, std::optional<std::chrono::nanoseconds> queued) {
    std::scoped_lock lock{gate_->mutex_};
    gate_->policy_->ended(std::exchange(number_, 0), how, usage, queued, now());
    gate_->adapt();
  }
  [[nodiscard]] std::chrono::steady_clock::time_point now() const noexcept {
    return where_ != nullptr ? where_->now() : std::chrono::steady_clock::now();
  }

  priority_semaphore::permit permit_;  // given back after the policy was told
  limit_gate* gate_;
  const scheduler* where_;    // null: of a coroutine that has none
  std::uint64_t number_ = 0;  // 0: nobody learns of it any more
  std::chrono::nanoseconds waited_;
};

inline std::optional<limit_gate::admission> limit_gate::try_enter(const chat_request& request, const scheduler* where) {
  auto permit = group_ != nullptr ? group_->try_acquire(request.priority()) : slots_.try_acquire(request.priority());
  if (!permit) return std::nullopt;
  return std::optional<admission>{std::in_place, *this, std::move(*permit), request, std::chrono::nanoseconds{0},
                                  where};
}

inline task<limit_gate::admission> limit_gate::enter(const chat_request& request) {
  const waiting_place place{*this};
  const auto* const where = co_await this_task::scheduler();
  const auto asked = co_await this_task::now();
  auto permit = co_await bounded(request.priority());
  const auto waited = co_await this_task::now() - asked;
  co_return admission{*this, std::move(permit), request, waited, where};
}

}  // namespace detail
}  // namespace felix::inline v1
