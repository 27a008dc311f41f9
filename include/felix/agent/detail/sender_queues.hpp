// SPDX-License-Identifier: MIT
// agent: messages that wait at the central post: the most urgent first, and each sender's in their order.
#pragma once

#include <felix/agent/post_message.hpp>
#include <felix/agent/subscription.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/priority.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// A message on its way.
struct posted {
  post_message message;
  std::uint64_t number = 0;  // in the order in which they were accepted
  std::optional<std::chrono::steady_clock::time_point> published = {};
  std::optional<priority_semaphore::permit> place = {};  // in the queue
  bool is_readable = false;
  std::vector<std::shared_ptr<mailbox>> to = {};  // subscribers that have not got it, once it is readable
};

/// Of a sender's messages one is processed at a time, in their order. So a sender is as urgent as the most urgent of its
/// messages: what it said before goes with it. Between senders of one urgency the oldest message goes first.
/// Threads: one. Cost: logarithmic in what waits.
class sender_queues {
 public:
  void push(posted next) {
    const agent_id who = next.message.from;
    sender& from = senders_[who];
    change(who, from, [&] { add(from, std::move(next)); });
  }

  /// The next message of a sender that is not at work; it is then, until done().
  [[nodiscard]] std::optional<posted> take() {
    if (ready_.empty()) return std::nullopt;
    const agent_id who = std::get<agent_id>(*ready_.begin());
    sender& from = senders_.at(who);
    std::optional<posted> next;
    change(who, from, [&] {
      next.emplace(std::move(from.waiting.extract(from.waiting.begin()).mapped()));
      from.is_at_work = true;
      forget(from, *next);
    });
    return next;
  }
  void done(const agent_id& who) {
    sender& from = senders_.at(who);
    change(who, from, [&] { from.is_at_work = false; });
    if (from.waiting.empty()) senders_.erase(who);
  }
  /// The sender's work was cut short: what was taken is its next message again.
  void put_back(posted taken) {
    const agent_id who = taken.message.from;
    sender& from = senders_.at(who);
    change(who, from, [&] {
      add(from, std::move(taken));
      from.is_at_work = false;
    });
  }

  /// Takes out the oldest of the least urgent ones, if there is one that is no more urgent than `than`. What some have got
  /// already stays.
  [[nodiscard]] std::optional<posted> drop_oldest(request_priority than) {
    for (std::size_t level = 0; level <= static_cast<std::size_t>(than); ++level) {
      for (const auto& [number, who] : numbers_[level]) {
        sender& from = senders_.at(who);
        const auto at = from.waiting.find(number);
        if (at->second.is_readable) continue;
        std::optional<posted> dropped;
        const agent_id sender_id = who;
        change(sender_id, from, [&] {
          dropped.emplace(std::move(from.waiting.extract(at).mapped()));
          forget(from, *dropped);
        });
        if (from.waiting.empty() && !from.is_at_work) senders_.erase(sender_id);
        return dropped;
      }
    }
    return std::nullopt;
  }

  [[nodiscard]] bool empty() const noexcept {
    return std::all_of(numbers_.begin(), numbers_.end(), [](const auto& level) { return level.empty(); });
  }
  /// By request_priority: [0] is low.
  [[nodiscard]] std::array<std::size_t, request_priority_levels> sizes() const noexcept {
    std::array<std::size_t, request_priority_levels> all{};
    for (std::size_t level = 0; level < all.size(); ++level) all[level] = numbers_[level].size();
    return all;
  }

 private:
  struct sender {
    std::map<std::uint64_t, posted> waiting = {};  // by number
    std::array<std::size_t, request_priority_levels> waiting_by_level = {};
    bool is_at_work = false;
  };
  using key = std::tuple<std::size_t, std::uint64_t, agent_id>;  // how little urgent, its next message, who

  static std::size_t level_of(const posted& each) noexcept { return static_cast<std::size_t>(each.message.urgency); }

  /// Its place among those that are ready changes with whatever is done to it.
  template <class Change>
  void change(const agent_id& who, sender& from, Change&& change_it) {
    if (const auto before = key_of(who, from)) ready_.erase(*before);
    change_it();
    if (const auto after = key_of(who, from)) ready_.insert(*after);
  }
  [[nodiscard]] static std::optional<key> key_of(const agent_id& who, const sender& from) {
    if (from.is_at_work || from.waiting.empty()) return std::nullopt;
    std::size_t most = request_priority_levels;
    while (most > 0 && from.waiting_by_level[most - 1] == 0) --most;
    return key{request_priority_levels - most, from.waiting.begin()->first, who};
  }
  void add(sender& from, posted next) {
    numbers_[level_of(next)].emplace(next.number, next.message.from);
    ++from.waiting_by_level[level_of(next)];
    from.waiting.emplace(next.number, std::move(next));
  }
  void forget(sender& from, const posted& gone) {
    numbers_[level_of(gone)].erase(gone.number);
    --from.waiting_by_level[level_of(gone)];
  }

  std::map<agent_id, sender> senders_;  // with messages that wait, or at work
  std::set<key> ready_;
  std::array<std::map<std::uint64_t, agent_id>, request_priority_levels> numbers_;  // of what waits
};

}  // namespace detail
}  // namespace felix::inline v1
