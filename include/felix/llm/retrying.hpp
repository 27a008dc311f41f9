// SPDX-License-Identifier: MIT
// llm: another attempt, when it may help.
#pragma once

#include <felix/async/as_result.hpp>
#include <felix/async/async_generator.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/model.hpp>
#include <felix/llm/retry_policy.hpp>
#include <felix/random.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {

template <model Inner>
class retrying;

/// What users write.
///     model | felix::retry{}                             // 3 attempts, 0.5 s to 8 s between them
///     model | felix::retry{{.attempts = 5}}
///     felix::retry_budget budget;                        // of one server, for all models that talk to it
///     one | felix::retry{budget};  two | felix::retry{budget};
/// Put it outside of the limit, so that who waits for another attempt holds no slot: `model | limit{4} | retry{}`.
/// Lifetime: what is shared outlives the models.
class retry {
 public:
  /// What will be asked again, what failed, and when.
  using callback = std::function<void(const chat_request&, const error&, const retry_decision&)>;

  /// Throws error (invalid_option) for options out of their range.
  explicit retry(const retry_options& options = {}) : options_{options} { options_.validate(); }
  explicit retry(retry_budget& shared, const retry_options& options = {}) : retry{options} { shared_ = &shared; }

  /// Another seed, other waits: two processes should not come back at the same moment. By default they do not.
  retry& seed(std::uint64_t value) & noexcept {
    seed_ = value;
    return *this;
  }
  retry seed(std::uint64_t value) && noexcept { return seed(value); }
  /// Called before each wait, on the coroutine's thread; must not throw.
  retry& on_retry(callback told) & {
    told_ = std::move(told);
    return *this;
  }
  retry on_retry(callback told) && { return std::move(on_retry(std::move(told))); }

  template <model Inner>
  friend retrying<Inner> operator|(Inner inner, retry layer) {
    return {std::move(inner), std::move(layer)};
  }

 private:
  template <model Inner>
  friend class retrying;
  retry_options options_;
  retry_budget* shared_ = nullptr;
  std::optional<std::uint64_t> seed_;
  callback told_;
};

/// What a retry layer has done.
struct retry_usage {
  std::uint64_t requests = 0;          ///< begun
  std::uint64_t retries = 0;           ///< attempts after the first
  std::uint64_t given_up = 0;          ///< failed in the end
  std::chrono::nanoseconds waited{0};  ///< between attempts, in all
  double budget = 0;                   ///< retries that the budget has now
};

/// A model that is asked again when an attempt failed in a way that may pass: see retry_policy.hpp for which do, and
/// when. A stream is asked again only as long as it has given nothing.
/// Threads:  as `Inner`.
/// Stop:     a wait between attempts ends at once with `cancelled`.
/// Throws:   the last attempt's failure.
template <model Inner>
class retrying {
 public:
  retrying(Inner inner, retry with)
      : inner_{std::move(inner)},
        shared_{std::make_unique<shared>(with.options_, std::move(with.told_),
                                         with.seed_ ? *with.seed_ : seed_of_this_process())},
        own_budget_{with.shared_ != nullptr ? nullptr : std::make_unique<retry_budget>()},
        budget_{with.shared_ != nullptr ? with.shared_ : own_budget_.get()} {}

  task<chat_response> complete(chat_request request) {
    const auto begun = co_await this_task::now();
    begin(begun);
    std::exception_ptr failure;
    try {
      co_return co_await inner_.complete(request);
    } catch (const error&) {
      failure = std::current_exception();
    }
    co_return co_await again(std::move(request), std::move(failure), begun);
  }

  chat_stream stream(chat_request request)
    requires streaming_model<Inner>
  {
    auto whole = std::make_shared<chat_stream::answer>();
    return {relay(std::move(request), whole), whole};
  }

  [[nodiscard]] retry_usage usage_stats() const {
    retry_usage copy;
    with_usage([&](const retry_usage& now) { copy = now; });
    return copy;
  }
  /// Calls `read` with the usage, which does not change meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    std::scoped_lock lock{shared_->mutex};
    read(std::as_const(shared_->usage));
  }
  [[nodiscard]] Inner& inner() noexcept { return inner_; }
  [[nodiscard]] const Inner& inner() const noexcept { return inner_; }

 private:
  struct shared {
    shared(const retry_options& chosen, retry::callback on_retry, std::uint64_t seed)
        : options{chosen}, told{std::move(on_retry)}, random{seed} {}
    const retry_options options;
    const retry::callback told;
    std::mutex mutex;  // guards what follows
    seeded_random random;
    retry_usage usage;
  };

  static std::uint64_t seed_of_this_process() noexcept {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }

  void begin(std::chrono::steady_clock::time_point now) {
    budget_->add_request(now);
    std::scoped_lock lock{shared_->mutex};
    ++shared_->usage.requests;
  }

  /// After the first attempt. Most requests do without it, and wait in a smaller frame.
  task<chat_response> again(chat_request request, std::exception_ptr failure,
                            std::chrono::steady_clock::time_point begun) {
    retry_progress so_far;
    for (;;) {
      co_await wait_or_throw(request, failure, so_far, begun);
      try {
        co_return co_await inner_.complete(request);
      } catch (const error&) {
        failure = std::current_exception();
      }
    }
  }

  /// Returns when another attempt is to be made.
  task<void> wait_or_throw(const chat_request& request, const std::exception_ptr& failure, retry_progress& so_far,
                           std::chrono::steady_clock::time_point begun) {
    const auto now = co_await this_task::now();
    so_far.time_left = shared_->options.total - (now - begun);
    const retry_decision next = decide(request, failure, so_far, now);
    if (!next) std::rethrow_exception(failure);
    if (next.why == retry_reason::model_loading) so_far.loading_waited += next.after;
    if (next.after.count() <= 0) co_return;
    const auto slept = co_await as_result(sleep_for(next.after));
    if (!slept) stopped_between(failure);
  }
  [[noreturn]] static void stopped_between(const std::exception_ptr& failure) try {
    std::rethrow_exception(failure);
  } catch (const error& last) {
    throw cancelled{std::string{"waiting to ask again after: "} + last.what(), last.cost()};
  }
  retry_decision decide(const chat_request& request, const std::exception_ptr& failure, retry_progress& so_far,
                        std::chrono::steady_clock::time_point now) try {
    std::rethrow_exception(failure);
  } catch (const error& caught) {
    const failed_attempt attempt = failed_attempt::of(caught);
    so_far.add(attempt);
    const bool may_cost_twice = caught.cost() != request_cost::none && request.repeat_if();
    const retry_decision next = decide(attempt, so_far, now, may_cost_twice ? &request.repeat_if() : nullptr);
    if (next && shared_->told) shared_->told(request, caught, next);
    return next;
  }
  /// `pays`: asked when nothing else is against it; null: there is nothing to pay. Not under the mutex: what it frees may
  /// let another coroutine go on inside, and ask here.
  retry_decision decide(const failed_attempt& failed, const retry_progress& so_far,
                        std::chrono::steady_clock::time_point now, const std::function<bool()>* pays) {
    retry_decision next = decide_retry(failed, so_far, random(), shared_->options);
    if (next && next.takes_budget && !budget_->try_take(now)) next = {.retry = false, .why = retry_reason::no_budget};
    if (next && pays != nullptr && !(*pays)()) next = {.retry = false, .why = retry_reason::not_paid};
    std::scoped_lock lock{shared_->mutex};
    if (!next) {
      ++shared_->usage.given_up;
    } else {
      ++shared_->usage.retries;
      shared_->usage.waited += next.after;
    }
    shared_->usage.budget = budget_->level(now);
    return next;
  }

  /// In [0, 1).
  double random() {
    std::scoped_lock lock{shared_->mutex};
    return shared_->random.uniform(0, 1);
  }

  async_generator<chat_delta> relay(chat_request request, std::shared_ptr<chat_stream::answer> whole) {
    const auto begun = co_await this_task::now();
    begin(begun);
    retry_progress so_far;
    for (;;) {
      std::exception_ptr failed;
      chat_stream attempt = inner_.stream(request);
      whole->refer_to(attempt.whole());
      try {
        for (;;) {
          auto delta = co_await attempt.next();
          if (!delta) co_return;
          so_far.delivered = true;
          co_yield std::move(*delta);
        }
      } catch (const error&) {
        failed = std::current_exception();
      }
      co_await wait_or_throw(request, failed, so_far, begun);
    }
  }

  Inner inner_;
  std::unique_ptr<shared> shared_;  // on the heap: requests refer to it while the stack is moved in
  std::unique_ptr<retry_budget> own_budget_;
  retry_budget* budget_;
};

}  // namespace felix::inline v1
