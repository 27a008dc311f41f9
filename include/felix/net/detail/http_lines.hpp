// SPDX-License-Identifier: MIT
// net: the lines of a client, used again for request after request.
#pragma once

#include <felix/net/detail/socket_count.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/http.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// Keeps the lines that are not in use. Each has an easy handle: 12 KiB, and 0.6 µs a request when it is kept.
///     auto line = lines.take();
///     lines.give_back(std::move(line));
/// `Line` is http_line, which gives itself back: as a parameter neither has to know the other first.
/// Threads: any, where nothing else is said.
template <class Line>
class basic_http_lines {
 public:
  explicit basic_http_lines(event_loop& loop)
      : loop_{loop}, sockets_{std::make_shared<socket_count>(loop.reactor().on_closing())} {}
  basic_http_lines(basic_http_lines&&) = delete;

  [[nodiscard]] std::unique_ptr<Line> take() {
    {
      std::scoped_lock lock{mutex_};
      ++taken_;
      most_read_ = std::max(most_read_, taken_ - lingering_.size());
      if (!idle_.empty()) {
        auto line = std::move(idle_.back());
        idle_.pop_back();
        return line;
      }
    }
    try {
      return std::make_unique<Line>(loop_, sockets_);
    } catch (...) {
      std::scoped_lock lock{mutex_};
      --taken_;
      throw;
    }
  }
  void give_back(std::unique_ptr<Line> line) noexcept try {
    line->reset();
    std::scoped_lock lock{mutex_};
    std::erase(lingering_, line.get());
    --taken_;
    idle_.push_back(std::move(line));
  } catch (...) {  // no memory: one handle less
  }

  /// A line lingers from now on. Gives the one that has to end at once instead, if any: no more linger than have ever been
  /// read at once, so that a server that leaves its answers open gets no more than twice as many connections.
  /// Threads: the loop's.
  [[nodiscard]] Line* add_lingering(Line& line) {
    std::scoped_lock lock{mutex_};
    lingering_.push_back(&line);
    return lingering_.size() > most_read_ ? lingering_.front() : nullptr;
  }
  void remove_lingering(const Line& line) noexcept {
    std::scoped_lock lock{mutex_};
    std::erase(lingering_, &line);
  }

  /// Calls `read` with the connections of this moment; no line is taken or given back meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    std::scoped_lock lock{mutex_};
    const std::uint64_t open = sockets_->open_now();
    read(http_usage{.in_use = taken_, .idle = open > taken_ ? open - taken_ : 0, .opened = sockets_->opened()});
  }

 private:
  event_loop& loop_;
  const std::shared_ptr<socket_count> sockets_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::unique_ptr<Line>> idle_;
  std::vector<Line*> lingering_;  // oldest first
  std::size_t taken_ = 0;         // the lingering ones too
  std::size_t most_read_ = 0;     // taken at once, and not lingering
};

}  // namespace detail
}  // namespace felix::inline v1
