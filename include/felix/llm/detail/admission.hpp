// SPDX-License-Identifier: MIT
// llm: a request that was let through a limit, and what the limit learns of it.
#pragma once

#include <felix/async/event.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/detail/rate_line.hpp>
#include <felix/llm/limit_policy.hpp>
#include <felix/llm/limit_usage.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// About how many tokens the prompt of a request has, when nobody has counted them.
[[nodiscard]] inline token_count estimated_prompt_tokens(const chat_request& request) noexcept {
  std::size_t bytes = 0;
  for (const chat_message& message : request.messages()) bytes += 16 + message.content.size();
  for (const function_tool& tool : request.tools()) bytes += tool.description.size() + tool.parameters.size();
  return static_cast<token_count>((bytes + 3) / 4);
}

/// By the clock of a coroutine that may have no scheduler.
[[nodiscard]] inline std::chrono::steady_clock::time_point now_of(const scheduler* where) noexcept {
  return where != nullptr ? where->now() : std::chrono::steady_clock::now();
}

/// What a limit knows, and learns from its requests. Members that say nothing else: under `mutex`.
class limit_knowledge {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// A policy, which may be null, adapts `adapted`.
  limit_knowledge(std::unique_ptr<limit_policy> rules, priority_semaphore& adapted,
                  const std::optional<rate_limit_options>& per_minute)
      : policy{std::move(rules)}, slots_{adapted} {
    if (per_minute) rate.emplace(mutex, *per_minute);
  }
  limit_knowledge(limit_knowledge&&) = delete;

  mutable std::mutex mutex;
  const std::unique_ptr<limit_policy> policy;  // null: the limit is what the user set; whether it is, without `mutex`
  std::optional<rate_line> rate;               // the same
  limit_usage usage;
  std::uint64_t requests = 0;  // that the policy was told of
  time_point latest{};         // what time requests have told

  /// Each request has the clock of its own loop; together they never go back.
  time_point pass(time_point now) noexcept { return latest = std::max(latest, now); }

  /// The limit as the policy has it now. Without `mutex`: a request that gets a slot may go on inside.
  void adapt() {
    if (!policy) return;
    for (;;) {  // until nobody has changed its mind meanwhile
      std::size_t wanted = 0;
      {
        std::scoped_lock lock{mutex};
        wanted = policy->limit();
      }
      if (wanted == slots_.limit()) return;
      slots_.set_limit(wanted);
    }
  }

 private:
  priority_semaphore& slots_;
};

/// A request that was let through. The limit learns what becomes of it; when it is destroyed, the slot is given back.
class admission {
 public:
  /// `ticket`: of the rate_limiter, or 0. `where` null: of a coroutine that has no scheduler.
  admission(limit_knowledge& limit, priority_semaphore::permit permit, std::uint64_t ticket,
            const chat_request& request, std::chrono::nanoseconds waited, const scheduler* where)
      : permit_{std::move(permit)}, limit_{&limit}, where_{where}, ticket_{ticket}, waited_{waited} {
    {
      std::scoped_lock lock{limit_->mutex};
      ++limit_->usage.admitted;
      limit_->usage.waits.record(waited);
      is_watched_ = limit_->policy != nullptr || ticket_ != 0;
      if (!limit_->policy) return;
      number_ = ++limit_->requests;
      limit_->policy->sent(number_, estimated_prompt_tokens(request), passed());
    }
    limit_->adapt();
  }
  admission(admission&& other) noexcept
      : permit_{std::move(other.permit_)},
        limit_{other.limit_},
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
    learn_rate(so_far);
    if (!limit_->policy) return;
    {
      std::scoped_lock lock{limit_->mutex};
      limit_->policy->first_token(number_, so_far.timing().queued, passed());
    }
    limit_->adapt();
  }
  void answered(const chat_response& answer) {
    if (!is_watched_) return;
    learn_rate(answer);
    ended(limit_outcome::answered, answer.usage(), answer.timing().queued);
  }
  void failed(const error& failure) {
    if (!is_watched_) return;
    const auto* const refused = dynamic_cast<const api_error*>(&failure);
    const bool too_often = refused != nullptr && refused->kind() == error_kind::rate_limited;
    const auto hint = too_often ? refused->retry_after() : std::nullopt;
    if (too_often && ticket_ != 0) {
      std::scoped_lock lock{limit_->mutex};
      limit_->rate->limiter.refused(std::exchange(ticket_, 0), hint, now_of(where_));
    }
    // A server that limits the rate, and says so, tells nothing about how many requests it can take at once.
    const bool overloaded = failure.kind() == error_kind::overloaded || (too_often && !hint);
    ended(overloaded ? limit_outcome::overloaded : limit_outcome::nothing, {}, {});
  }

 private:
  void learn_rate(const chat_response& answer) {
    if (ticket_ == 0 || answer.rate_limits() == nullptr) return;
    event* next = nullptr;
    {
      std::scoped_lock lock{limit_->mutex};
      limit_->rate->limiter.answered(std::exchange(ticket_, 0), *answer.rate_limits(), now_of(where_));
      next = limit_->rate->wakes_next();
    }
    if (next != nullptr) next->set();  // there may be more than it waits for
  }
  void ended(limit_outcome how, const token_usage& usage, std::optional<std::chrono::nanoseconds> queued) {
    is_watched_ = false;
    {
      std::scoped_lock lock{limit_->mutex};
      if (ticket_ != 0) limit_->rate->limiter.ended(ticket_);
      if (limit_->policy) limit_->policy->ended(number_, how, usage, queued, passed());
    }
    limit_->adapt();
  }
  [[nodiscard]] limit_knowledge::time_point passed() const noexcept { return limit_->pass(now_of(where_)); }

  priority_semaphore::permit permit_;  // given back after the others were told
  limit_knowledge* limit_;
  const scheduler* where_;
  std::uint64_t number_ = 0;  // for the policy
  std::uint64_t ticket_;      // 0: none, or closed
  std::chrono::nanoseconds waited_;
  bool is_watched_ = false;
};

}  // namespace detail
}  // namespace felix::inline v1
