// SPDX-License-Identifier: MIT
// agent: the hub: agents publish to it and read from it, and have no links to each other. O(N) messages.
#pragma once

#include <felix/agent/agent.hpp>
#include <felix/agent/detail/sender_queues.hpp>
#include <felix/agent/post_message.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/agent/subscription.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>
#include <felix/priority.hpp>
#include <felix/telemetry/histogram.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

struct central_post_options {
  std::size_t max_agents = 133;
  std::size_t queue_capacity = 1'000;       ///< messages that wait to be processed
  std::size_t processors = 3;               ///< how many process messages at the same time
  felix::when_full full = when_full::wait;  ///< what publishing does when the queue is full; reject: throws queue_full
  /// Of messages() only the last so many are kept, by their order.
  std::size_t kept = std::numeric_limits<std::size_t>::max();
};

/// The post at one moment. published == processed + dropped + queued + what processors are at.
struct central_post_stats {
  std::size_t agents = 0;
  std::size_t subscribers = 0;
  std::uint64_t published = 0;  ///< accepted
  std::uint64_t processed = 0;
  std::uint64_t delivered = 0;  ///< to subscribers, one for each of them
  std::uint64_t dropped = 0;    ///< accepted, and left out later (when_full::drop_oldest)
  std::uint64_t rejected = 0;   ///< for want of room
  std::size_t queued = 0;
  std::size_t most_queued = 0;                                              ///< ever
  std::array<std::size_t, request_priority_levels> queued_by_urgency = {};  ///< by request_priority: [0] is low
  histogram waits = {};  ///< from when a message was accepted until a processor took it
  histogram deliveries =
      {};  ///< from then until it could be read and all subscribers had it: what the post itself costs
  std::chrono::nanoseconds busy{0};  ///< from the first message published to the last one processed

  /// Messages processed per second; 0 when all took no time.
  [[nodiscard]] double throughput() const noexcept {
    const double seconds = std::chrono::duration<double>{busy}.count();
    return seconds > 0 ? static_cast<double>(processed) / seconds : 0;
  }
};

/// Agents publish their contributions; processors take them from a bounded queue and put them where all can read.
///     co_await with_nursery([&](nursery& n) -> task<void> {
///       n.spawn(post.process());
///       co_await post.publish(found, order);
///       co_await post.processed();       // everything published so far can be read now
///       post.close();
///     });
/// Order:    the most urgent goes first, and the oldest of these; but each sender's messages keep their order, so what one has
///           said before an urgent message goes with it. It is the order in which they were accepted.
/// Delivery: to each subscriber that asks for it, once. A message can be read before subscribers get it.
/// Threads:  one loop.
/// Stop:     publish, process and processed throw `cancelled`. What a processor was at is then processed by the next
///           process(), for those subscribers that have not got it.
/// Bounds:   who reads a subscription that waits and publishes in between can wait for itself, when both queues are full.
/// Lifetime: outlives process().
/// Cost:     publishing is logarithmic in what waits, processing linear in the subscribers. messages() grows up to `kept`.
class central_post {
 public:
  /// Throws error (invalid_option) when a limit is 0.
  explicit central_post(central_post_options options = {}) : options_{validated(options)} {}
  central_post(central_post&&) = delete;
  ~central_post() { end_subscriptions(); }

  /// Throws error (invalid_argument) for a name that is taken or one agent too many.
  void register_agent(const agent_id& who) {
    if (agents_.size() >= options_.max_agents)
      throw error{errc::invalid_argument, "central_post: " + std::to_string(options_.max_agents) +
                                              " agents are registered; raise max_agents for more"};
    if (!agents_.insert(who).second)
      throw error{errc::invalid_argument,
                  "central_post: agent \"" + std::string{who.name()} + "\" is registered twice"};
  }

  /// From now on. Throws error (invalid_option) for a capacity of 0, and (invalid_argument) for a closed post.
  [[nodiscard]] subscription subscribe(subscription_options options = {}) {
    if (options.capacity == 0)
      throw error{errc::invalid_option, "central_post: a subscription's capacity is 0; use at least 1"};
    if (closed_) throw closed();
    std::erase_if(boxes_, [](const auto& box) { return box->messages.is_closed(); });
    boxes_.push_back(std::make_shared<detail::mailbox>(std::move(options)));
    return subscription{boxes_.back()};
  }

  /// Puts a contribution on the queue, as a status_update on one line. Waits and throws as the other one.
  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  task<void> publish(contribution found, std::uint64_t order) {
    return publish(post_message{.from = found.agent,
                                .role = found.role,
                                .text = on_one_line(found.text),
                                .confidence = found.confidence,
                                .order = order});
  }
  /// Puts a message on the queue. What happens when that is full says central_post_options::full: it waits, the most urgent
  /// first, or throws error (queue_full). Throws error (invalid_argument) for an agent that is not registered and for a
  /// closed post.
  template <class = void>
  task<void> publish(post_message message) {
    require_registered(message);
    if (closed_) throw closed();
    auto place = room_.try_acquire(message.urgency);
    if (!place && options_.full == when_full::drop_oldest) {
      const bool has_room = make_room(message, place);
      if (!has_room) co_return;
    }
    if (!place && options_.full == when_full::reject) {
      ++stats_.rejected;
      throw error{errc::queue_full, "central_post: " + std::to_string(options_.queue_capacity) +
                                        " messages wait to be processed; publish later, or raise queue_capacity"};
    }
    if (!place) place.emplace(co_await room_.acquire(message.urgency));
    if (closed_) throw closed();
    const auto now = co_await this_task::now();
    accept(std::move(message), std::move(*place), now);
  }

  /// Never waits. False: the queue is full, or others wait for a place, or the post is closed. Throws error
  /// (invalid_argument) for an agent that is not registered. Its wait is not in central_post_stats::waits: outside a task
  /// there is no clock.
  [[nodiscard]] bool try_publish(post_message message) {
    require_registered(message);
    auto place = closed_ ? std::nullopt : room_.try_acquire(message.urgency);
    if (!place) {
      ++stats_.rejected;
      return false;
    }
    accept(std::move(message), std::move(*place), std::nullopt);
    return true;
  }

  /// The processors: runs until close(), and until the queue is empty then.
  template <class = void>
  task<void> process() {
    co_await with_nursery([this](nursery& workers) -> task<void> {
      for (std::size_t i = 0; i < options_.processors; ++i) workers.spawn(process_messages());
      co_return;
    });
    end_subscriptions();
  }

  /// Waits until everything that was published before can be read, and all subscribers have it.
  template <class = void>
  task<void> processed() {
    const std::uint64_t next = numbers_;
    while (!open_.empty() && *open_.begin() < next) {
      progress_.reset();
      co_await progress_;
    }
  }

  /// Nothing more is published. What is queued is still processed; then subscriptions end.
  void close() {
    closed_ = true;
    ready_.set();
    if (open_.empty()) end_subscriptions();
  }

  /// The status_updates that can be read, in the publishers' order.
  [[nodiscard]] const std::vector<post_message>& messages() const noexcept { return messages_; }

  [[nodiscard]] central_post_stats stats() const {
    central_post_stats now = stats_;
    now.agents = agents_.size();
    now.subscribers = static_cast<std::size_t>(
        std::count_if(boxes_.begin(), boxes_.end(), [](const auto& box) { return !box->messages.is_closed(); }));
    now.queued_by_urgency = waiting_.sizes();
    for (const std::size_t level : now.queued_by_urgency) now.queued += level;
    if (first_) now.busy = last_ - *first_;
    return now;
  }

 private:
  static central_post_options validated(const central_post_options& options) {
    if (options.max_agents == 0 || options.queue_capacity == 0 || options.processors == 0)
      throw error{errc::invalid_option,
                  "central_post: max_agents, queue_capacity and processors have to be at least 1"};
    return options;
  }
  [[nodiscard]] static error closed() {
    return {errc::invalid_argument, "central_post: it is closed; nothing more can be published"};
  }
  void require_registered(const post_message& message) const {
    if (!agents_.contains(message.from))
      throw error{errc::invalid_argument, "central_post: agent \"" + std::string{message.from.name()} +
                                              "\" is not registered; call register_agent first"};
  }

  /// The place of one that is no more urgent. False: all are; then it is the new one that is dropped.
  bool make_room(const post_message& message, std::optional<priority_semaphore::permit>& place) {
    auto victim = waiting_.drop_oldest(message.urgency);
    ++stats_.dropped;
    if (!victim) {
      ++stats_.published;
      return false;
    }
    place.emplace(std::move(*victim->place));
    has_ended(victim->number);
    return true;
  }

  void accept(post_message message, priority_semaphore::permit place,
              std::optional<std::chrono::steady_clock::time_point> now) {
    if (!first_ && now) first_ = last_ = *now;
    open_.insert(numbers_);
    waiting_.push({.message = std::move(message), .number = numbers_++, .published = now, .place = std::move(place)});
    ++stats_.published;
    stats_.most_queued = std::max(stats_.most_queued, room_.in_use());
    ready_.set();
  }

  template <class = void>
  task<void> process_messages() {
    for (;;) {
      auto taken = waiting_.take();
      if (!taken) {
        if (closed_ && waiting_.empty()) co_return;
        ready_.reset();
        co_await ready_;
        continue;
      }
      const agent_id from = taken->message.from;
      std::exception_ptr stopped;
      try {
        co_await process(*taken);
      } catch (...) {
        stopped = std::current_exception();
      }
      if (stopped) {
        waiting_.put_back(std::move(*taken));
        std::rethrow_exception(stopped);
      }
      waiting_.done(from);
      ready_.set();  // for its next one, or to see that it was the last
      has_ended(taken->number);
    }
  }

  template <class = void>
  task<void> process(detail::posted& taken) {
    const auto begun = co_await this_task::now();
    if (!taken.is_readable) {
      taken.to.clear();
      if (taken.published) stats_.waits.record(begun - *taken.published);
      if (!first_) first_ = begun;
      for (const auto& box : boxes_) {
        if (box->wants(taken.message)) taken.to.push_back(box);
      }
      if (taken.message.type == message_type::status_update) keep(taken.message);
      taken.is_readable = true;
      taken.place.reset();  // not before: what is put back unread has its place
    }
    while (!taken.to.empty()) {
      co_await deliver(taken.message, *taken.to.back());
      taken.to.pop_back();
    }
    last_ = co_await this_task::now();
    stats_.deliveries.record(last_ - begun);
    ++stats_.processed;
  }

  template <class = void>
  task<void> deliver(const post_message& message, detail::mailbox& box) {
    post_message copy = message;
    bool accepted = box.messages.try_send(std::move(copy));
    if (!accepted && box.options.full == when_full::drop_oldest && !box.messages.is_closed()) {
      box.dropped += box.messages.try_receive() ? 1U : 0U;
      accepted = box.messages.try_send(std::move(copy));
    }
    if (!accepted && box.options.full == when_full::wait) accepted = co_await box.messages.send(std::move(copy));
    box.delivered += accepted ? 1U : 0U;
    stats_.delivered += accepted ? 1U : 0U;
    if (!accepted && !box.messages.is_closed()) ++box.dropped;
  }

  void keep(const post_message& message) {
    const auto later = [](std::uint64_t order, const post_message& other) { return order < other.order; };
    messages_.insert(std::upper_bound(messages_.begin(), messages_.end(), message.order, later), message);
    if (messages_.size() > options_.kept) messages_.erase(messages_.begin());
  }

  /// Processed, or dropped.
  void has_ended(std::uint64_t number) {
    open_.erase(number);
    progress_.set();
  }

  void end_subscriptions() noexcept {
    for (const auto& box : boxes_) box->messages.close();
  }

  const central_post_options options_;
  priority_semaphore room_{options_.queue_capacity};
  detail::sender_queues waiting_;
  event ready_;     // set when there may be something to take
  event progress_;  // set when a message has ended
  std::vector<std::shared_ptr<detail::mailbox>> boxes_;
  std::vector<post_message> messages_;
  std::set<agent_id> agents_;
  std::uint64_t numbers_ = 0;
  std::set<std::uint64_t> open_;  // published, and neither processed nor dropped
  central_post_stats stats_;      // what is counted
  std::optional<std::chrono::steady_clock::time_point> first_;
  std::chrono::steady_clock::time_point last_ = {};
  bool closed_ = false;
};

}  // namespace felix::inline v1
