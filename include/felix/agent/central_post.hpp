// SPDX-License-Identifier: MIT
// agent: the hub: agents publish to it and read from it, and have no links to each other. O(N) messages.
#pragma once

#include <felix/agent/agent.hpp>
#include <felix/agent/post_message.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/semaphore.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {

struct central_post_options {
  std::size_t max_agents = 133;
  std::size_t queue_capacity = 1'000;  ///< publishing waits when so many messages wait to be processed
  std::size_t processors = 3;          ///< how many process messages at the same time
};

struct central_post_stats {
  std::size_t agents = 0;
  std::uint64_t published = 0;
  std::uint64_t processed = 0;
  std::size_t queued = 0;
};

/// Agents publish their contributions; processors take them from a bounded queue and put them where all can read.
///     co_await with_nursery([&](nursery& n) -> task<void> {
///       n.spawn(post.process());
///       co_await post.publish(found, order);
///       co_await post.processed();       // everything published so far can be read now
///       post.close();
///     });
/// Threads:  one loop.
/// Stop:     publish, process and processed throw `cancelled`.
/// Lifetime: outlives process().
class central_post {
 public:
  /// Throws error (invalid_option) when a limit is 0.
  explicit central_post(central_post_options options = {})
      : options_{options}, room_{options.queue_capacity}, work_{0} {
    if (options.max_agents == 0 || options.queue_capacity == 0 || options.processors == 0)
      throw error{errc::invalid_option,
                  "central_post: max_agents, queue_capacity and processors have to be at least 1"};
  }
  central_post(central_post&&) = delete;

  /// Throws error (invalid_argument) for a name that is taken or one agent too many.
  void register_agent(const agent_id& who) {
    if (agents_.size() >= options_.max_agents)
      throw error{errc::invalid_argument, "central_post: " + std::to_string(options_.max_agents) +
                                              " agents are registered; raise max_agents for more"};
    if (!agents_.emplace(who, 0).second)
      throw error{errc::invalid_argument,
                  "central_post: agent \"" + std::string{who.name()} + "\" is registered twice"};
  }

  /// Puts a contribution on the queue; waits while the queue is full. Throws error (invalid_argument) for an agent that
  /// is not registered and for a closed post.
  task<void> publish(contribution found, std::uint64_t order) {
    const auto sender = agents_.find(found.agent);
    if (sender == agents_.end())
      throw error{errc::invalid_argument, "central_post: agent \"" + std::string{found.agent.name()} +
                                              "\" is not registered; call register_agent first"};
    if (closed_) throw closed();
    co_await room_.acquire();
    if (closed_) {
      room_.release();  // whoever waits behind is to be told too
      throw closed();
    }
    ++sender->second;
    queue_.push_back({std::move(found), order});
    ++published_;
    idle_.reset();
    work_.release();
  }

  /// The processors: runs until close(), and until the queue is empty then.
  task<void> process() {
    co_await with_nursery([this](nursery& workers) -> task<void> {
      for (std::size_t i = 0; i < options_.processors; ++i) workers.spawn(process_messages());
      co_return;
    });
  }

  /// Waits until everything that was published before can be read.
  task<void> processed() {
    if (published_ > processed_) co_await idle_;
  }

  /// Nothing more is published. What is queued is still processed.
  void close() {
    closed_ = true;
    for (std::size_t i = 0; i < options_.processors; ++i) work_.release();
  }

  /// What can be read, in the publishers' order.
  [[nodiscard]] const std::vector<post_message>& messages() const noexcept { return messages_; }

  [[nodiscard]] central_post_stats stats() const noexcept {
    return {.agents = agents_.size(), .published = published_, .processed = processed_, .queued = queue_.size()};
  }

 private:
  struct queued {
    contribution found;
    std::uint64_t order;
  };

  [[nodiscard]] static error closed() {
    return {errc::invalid_argument, "central_post: it is closed; nothing more can be published"};
  }

  task<void> process_messages() {
    for (;;) {
      co_await work_.acquire();
      if (queue_.empty()) co_return;  // woken by close()
      queued next = std::move(queue_.front());
      queue_.pop_front();
      room_.release();
      post_message message{.from = next.found.agent,
                           .role = next.found.role,
                           .finding = on_one_line(next.found.text),
                           .confidence = next.found.confidence,
                           .order = next.order};
      const auto later = [](std::uint64_t order, const post_message& other) { return order < other.order; };
      messages_.insert(std::upper_bound(messages_.begin(), messages_.end(), message.order, later), std::move(message));
      if (++processed_ == published_) idle_.set();
    }
  }

  central_post_options options_;
  semaphore room_;  // free places of the queue
  semaphore work_;  // messages in the queue, and after close() one for each processor
  event idle_;      // set while everything published is processed
  std::deque<queued> queue_;
  std::vector<post_message> messages_;
  std::map<agent_id, std::uint64_t> agents_;  // messages by sender
  std::uint64_t published_ = 0;
  std::uint64_t processed_ = 0;
  bool closed_ = false;
};

}  // namespace felix::inline v1
