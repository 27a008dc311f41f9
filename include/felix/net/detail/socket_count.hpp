// SPDX-License-Identifier: MIT
// net: how many sockets libcurl holds for a client.
#pragma once

#include <curl/curl.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace felix::inline v1 {
namespace detail {

/// libcurl opens and closes the client's sockets through it. A connection outlives the client, inside the reactor, so the
/// reactor has to keep it.
/// Threads: counted on the loop's thread, read on any.
class socket_count {
 public:
  /// Whom to tell before a socket is closed.
  struct closing {
    void (*tell)(void* whom, curl_socket_t socket) noexcept = nullptr;
    void* whom = nullptr;
  };
  socket_count() = default;
  explicit socket_count(closing told) noexcept : told_{told} {}
  socket_count(socket_count&&) = delete;

  [[nodiscard]] std::uint64_t opened() const noexcept { return opened_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t open_now() const noexcept {
    const std::uint64_t closed = closed_.load(std::memory_order_acquire);  // first: never more than were opened
    return opened_.load(std::memory_order_relaxed) - closed;
  }

  // CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION, with `self` as their data.
  static curl_socket_t open_socket(void* self, curlsocktype, curl_sockaddr* address) noexcept {
#ifdef SOCK_CLOEXEC
    const int made = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
#else
    const int made = socket(address->family, address->socktype, address->protocol);
    if (made >= 0) fcntl(made, F_SETFD, FD_CLOEXEC);
#endif
    if (made < 0) return CURL_SOCKET_BAD;
    static_cast<socket_count*>(self)->opened_.fetch_add(1, std::memory_order_relaxed);
    return made;
  }
  static int close_socket(void* self, curl_socket_t socket) noexcept {
    auto& count = *static_cast<socket_count*>(self);
    count.closed_.fetch_add(1, std::memory_order_release);
    if (count.told_.tell != nullptr) count.told_.tell(count.told_.whom, socket);
    return close(socket);
  }

 private:
  closing told_;
  std::atomic<std::uint64_t> opened_{0};
  std::atomic<std::uint64_t> closed_{0};
};

}  // namespace detail
}  // namespace felix::inline v1
