// SPDX-License-Identifier: MIT
// net: waits for sockets with curl_multi_poll, on any platform that has libcurl.
#pragma once

#include <felix/net/detail/curl_multi.hpp>
#include <felix/net/detail/wake_pipe.hpp>

#include <curl/curl.h>

#include <chrono>
#include <limits>
#include <optional>

namespace felix::inline v1 {
namespace detail {

/// The reactor of `event_loop` where there is no epoll. Used from the loop's thread only, but for wake().
/// Cost: linear in the transfers that run, each time it waits or polls.
class poll_reactor : public curl_multi {
 public:
  poll_reactor() = default;
  ~poll_reactor() { clean_up(); }

  /// Once for each handle that is to run here, by any thread.
  void prepare(CURL*) noexcept {}
  [[nodiscard]] static socket_count::closing on_closing() noexcept { return {}; }

  void wait(std::optional<std::chrono::nanoseconds> at_most) {
    curl_waitfd woken{};
    woken.fd = wake_.read_end();
    woken.events = CURL_WAIT_POLLIN;
    // It knows no waiting without limit.
    const int limit = at_most ? milliseconds(at_most) : std::numeric_limits<int>::max();
    curl_multi_poll(multi(), &woken, 1, limit, nullptr);
    if (woken.revents != 0) wake_.drain();
    poll();
  }

  void poll() {
    if (running() == 0) return;
    int still_running = 0;
    curl_multi_perform(multi(), &still_running);
    tell_finished();
  }

  void wake() noexcept { wake_.write(); }

 private:
  wake_pipe wake_;
};

}  // namespace detail
}  // namespace felix::inline v1
