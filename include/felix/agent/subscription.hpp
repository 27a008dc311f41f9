// SPDX-License-Identifier: MIT
// agent: what a reader of the central post gets as it comes.
#pragma once

#include <felix/agent/post_message.hpp>
#include <felix/async/channel.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// What becomes of a message for which there is no room.
enum class when_full : unsigned char {
  wait,         ///< the sender waits
  drop_oldest,  ///< the oldest is left out; at the post, of the least urgent ones
  reject        ///< the new one is left out
};

struct subscription_options {
  std::optional<role_id> role = {};         ///< of the senders; none: of any role
  std::vector<message_type> types = {};     ///< empty: of all types
  std::size_t capacity = 100;               ///< messages that wait to be read; at least 1
  felix::when_full full = when_full::wait;  ///< wait: whoever reads too slowly holds up the post
};

namespace detail {

/// Between the post and one subscriber.
struct mailbox {
  explicit mailbox(subscription_options chosen) : options{std::move(chosen)}, messages{options.capacity} {}

  [[nodiscard]] bool wants(const post_message& message) const {
    const auto& types = options.types;
    return !messages.is_closed() && (!options.role || *options.role == message.role) &&
           (types.empty() || std::find(types.begin(), types.end(), message.type) != types.end());
  }

  const subscription_options options;
  channel<post_message> messages;
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;
};

}  // namespace detail

/// The messages that are processed from now on, those that it asks for, each once, and each sender's in their order.
///     auto facts = post.subscribe({.role = felix::roles::research});
///     while (auto message = co_await facts.next()) …       // to the end: the post is closed, and all was read
/// Destroying it ends the subscription; what was not read is gone.
/// Threads:  the post's loop.
/// Stop:     next throws `cancelled`.
/// Lifetime: may outlive the post.
class subscription {
 public:
  explicit subscription(std::shared_ptr<detail::mailbox> box) noexcept : box_{std::move(box)} {}
  subscription(subscription&&) noexcept = default;
  subscription& operator=(subscription&& other) noexcept {
    if (this != &other) {
      leave();
      box_ = std::move(other.box_);
    }
    return *this;
  }
  ~subscription() { leave(); }

  /// Awaited, it gives the next message, or nothing at the end.
  [[nodiscard("nothing is received until it is awaited")]] auto next() noexcept { return box_->messages.receive(); }
  /// Never waits: nothing when there is nothing.
  [[nodiscard]] std::optional<post_message> try_next() { return box_->messages.try_receive(); }

  [[nodiscard]] std::size_t waiting() const noexcept { return box_->messages.size(); }
  /// So far, what was dropped later included.
  [[nodiscard]] std::uint64_t delivered() const noexcept { return box_->delivered; }
  /// For want of room.
  [[nodiscard]] std::uint64_t dropped() const noexcept { return box_->dropped; }

 private:
  void leave() noexcept {
    if (box_) box_->messages.close();
  }

  std::shared_ptr<detail::mailbox> box_;
};

}  // namespace felix::inline v1
