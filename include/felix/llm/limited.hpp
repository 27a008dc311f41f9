// SPDX-License-Identifier: MIT
// llm: at most so many requests at once, the most urgent first.
#pragma once

#include <felix/async/async_generator.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/async/timeout.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/model.hpp>
#include <felix/telemetry/histogram.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {

template <model Inner>
class limited;

/// Who may wait for a slot, and for how long. By default everyone does, as long as it takes.
struct wait_bounds {
  static constexpr std::size_t no_bound = std::numeric_limits<std::size_t>::max();
  /// The most requests that wait at once; the next one is refused with `queue_full`. 0: nobody waits.
  std::size_t max_waiting = no_bound;
  /// The longest that one waits before it is refused with `queue_full`.
  std::chrono::nanoseconds max_wait = std::chrono::nanoseconds::max();
};

/// What users write.
///     model | felix::limit{4}                                  // a limit of its own
///     model | felix::limit{{.limit = 4, .held_back = 1}}       // the same, and urgent starts at once
///     model | felix::limit{4}.waiting({.max_waiting = 100})    // the hundred and first is refused
///     felix::priority_semaphore slots{4};                      // a limit of yours, for any number of models: as many
///     one | felix::limit{slots};  two | felix::limit{slots};   // requests at once in all, whatever loops they run on
///     felix::priority_semaphore::group team{slots, "team", {.guaranteed = 1}};
///     three | felix::limit{team};                              // a group of it
/// A model is taken by value, hence moved in; one that you keep is referred to: `felix::model_ref{model} | ...`.
/// Lifetime: what is shared outlives the models.
class limit {
 public:
  /// Throws error (invalid_option) below 1, when the stack is built.
  explicit limit(std::size_t max_concurrent_requests) noexcept : own_{.limit = max_concurrent_requests} {}
  /// Throws error (invalid_option) for what the semaphore refuses, when the stack is built.
  explicit limit(const priority_semaphore_options& own) noexcept : own_{own} {}
  explicit limit(priority_semaphore& shared) noexcept : shared_{&shared} {}
  explicit limit(priority_semaphore::group& shared) noexcept : shared_{&shared.semaphore()}, group_{&shared} {}

  limit& waiting(const wait_bounds& bounds) & noexcept {
    bounds_ = bounds;
    return *this;
  }
  limit waiting(const wait_bounds& bounds) && noexcept { return waiting(bounds); }

  [[nodiscard]] bool is_shared() const noexcept { return shared_ != nullptr; }

  template <model Inner>
  friend limited<Inner> operator|(Inner inner, limit layer) {
    return {std::move(inner), layer};
  }

 private:
  template <model Inner>
  friend class limited;
  priority_semaphore_options own_;
  priority_semaphore* shared_ = nullptr;
  priority_semaphore::group* group_ = nullptr;
  wait_bounds bounds_;
};

/// What a limit has done, for those that use it through one model.
struct limit_usage {
  limit_status slots = {};     ///< when shared, of all who share the limit, or its group
  std::uint64_t admitted = 0;  ///< got a slot
  std::uint64_t refused = 0;   ///< found the queue full, or waited too long
  histogram waits = {};        ///< of those admitted; at once counts as 0
};

/// A model that has at most so many requests with `Inner` at once. The others wait here, where their priority counts:
/// a freed slot goes to the highest, and within one to whoever came first (see priority_semaphore).
/// Threads:  as `Inner`; a limit may be shared by models on several threads.
/// Stop:     a request that waits leaves the queue at once; one in flight gives its slot back when `Inner` has let go.
/// Throws:   error (queue_full), which cost nothing; else what `Inner` throws.
template <model Inner>
class limited {
 public:
  limited(Inner inner, limit by)
      : inner_{std::move(inner)},
        own_{by.is_shared() ? nullptr : std::make_unique<priority_semaphore>(by.own_)},
        slots_{by.is_shared() ? by.shared_ : own_.get()},
        group_{by.group_},
        bounds_{by.bounds_} {}

  task<chat_response> complete(chat_request request) {
    std::chrono::nanoseconds waited{0};
    std::optional<priority_semaphore::permit> permit = admit(request.priority());
    if (!permit) permit.emplace(co_await wait(request.priority(), waited));
    auto answer = co_await inner_.complete(std::move(request));
    chat_timing timing = answer.timing();
    timing.waited = waited;
    answer.timing(timing);
    co_return answer;
  }

  /// The slot is held from the first next() to the end of the stream.
  chat_stream stream(chat_request request)
    requires streaming_model<Inner>
  {
    const request_priority priority = request.priority();
    chat_stream inner = inner_.stream(std::move(request));
    const auto whole = inner.whole();
    return {relay(priority, std::move(inner)), whole};
  }

  /// Of the whole limit, whoever shares it; of a group, that group's part.
  [[nodiscard]] limit_status status() const noexcept { return group_ != nullptr ? group_->status() : slots_->status(); }
  [[nodiscard]] limit_usage usage_stats() const {
    std::scoped_lock lock{counts_->mutex};
    limit_usage now = counts_->usage;
    now.slots = status();
    return now;
  }
  /// The limit, to raise or lower it: `llm.slots().set_limit(8)`.
  [[nodiscard]] priority_semaphore& slots() noexcept { return *slots_; }
  [[nodiscard]] Inner& inner() noexcept { return inner_; }
  [[nodiscard]] const Inner& inner() const noexcept { return inner_; }

 private:
  struct counts {
    std::mutex mutex;  // guards what follows
    std::size_t waiting = 0;
    limit_usage usage;
  };
  /// One that waits, among those who may.
  class waiting_place {
   public:
    waiting_place(counts& in, const wait_bounds& bounds) : in_{in} {
      std::scoped_lock lock{in_.mutex};
      if (in_.waiting >= bounds.max_waiting) {
        ++in_.usage.refused;
        throw error{errc::queue_full, "limit: all slots are in use and " + std::to_string(in_.waiting) +
                                          " requests wait already, as many as may; ask again later, or raise "
                                          "max_waiting"};
      }
      ++in_.waiting;
    }
    waiting_place(waiting_place&&) = delete;
    ~waiting_place() {
      std::scoped_lock lock{in_.mutex};
      --in_.waiting;
    }

   private:
    counts& in_;
  };

  /// A slot that is free, or nothing.
  std::optional<priority_semaphore::permit> admit(request_priority priority) {
    auto permit = group_ != nullptr ? group_->try_acquire(priority) : slots_->try_acquire(priority);
    if (permit) count(std::chrono::nanoseconds{0});
    return permit;
  }
  task<priority_semaphore::permit> wait(request_priority priority, std::chrono::nanoseconds& waited) {
    const waiting_place place{*counts_, bounds_};
    const auto asked = co_await this_task::now();
    auto permit = co_await bounded(priority);
    waited = co_await this_task::now() - asked;
    count(waited);
    co_return permit;
  }
  task<priority_semaphore::permit> bounded(request_priority priority) {
    if (bounds_.max_wait == std::chrono::nanoseconds::max()) co_return co_await acquire(priority);
    try {
      co_return co_await timeout(bounds_.max_wait, acquire(priority));
    } catch (const timed_out&) {
      std::scoped_lock lock{counts_->mutex};
      ++counts_->usage.refused;
    }
    throw error{errc::queue_full,
                "limit: no slot was free within " +
                    std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(bounds_.max_wait).count()) +
                    " ms; ask again later, or raise max_wait"};
  }
  priority_semaphore::awaiter acquire(request_priority priority) noexcept {
    return group_ != nullptr ? group_->acquire(priority) : slots_->acquire(priority);
  }
  void count(std::chrono::nanoseconds waited) {
    std::scoped_lock lock{counts_->mutex};
    ++counts_->usage.admitted;
    counts_->usage.waits.record(waited);
  }

  async_generator<chat_delta> relay(request_priority priority, chat_stream inner) {
    std::chrono::nanoseconds waited{0};
    std::optional<priority_semaphore::permit> permit = admit(priority);
    if (!permit) permit.emplace(co_await wait(priority, waited));
    chat_stream held = std::move(inner);  // ends before the permit
    while (auto delta = co_await held.next()) co_yield std::move(*delta);
    chat_response& whole = held.whole()->response();
    chat_timing timing = whole.timing();
    timing.waited = waited;
    whole.timing(timing);
  }

  Inner inner_;
  std::unique_ptr<priority_semaphore> own_;  // on the heap: waiters point to it while the stack is moved in
  priority_semaphore* slots_;
  priority_semaphore::group* group_;  // null: in none
  wait_bounds bounds_;
  std::unique_ptr<counts> counts_ = std::make_unique<counts>();
};

}  // namespace felix::inline v1
