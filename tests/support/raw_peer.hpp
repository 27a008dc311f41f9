// SPDX-License-Identifier: MIT
// tests: the other end of a connection, held in the hand. Nothing blocks: the test, the loop and the peer are one thread.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace felix::test {

/// A listening socket on 127.0.0.1, and the connection that it accepted last.
///     raw_peer peer;
///     drive(loop, [&] { return peer.was_asked(); });
///     peer.send("HTTP/1.1 200 OK\r\n\r\n");
class raw_peer {
 public:
  explicit raw_peer(int backlog = 64) : listener_{::socket(AF_INET, SOCK_STREAM, 0)} {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, backlog) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error{"raw_peer: cannot listen on 127.0.0.1"};
    ::fcntl(listener_, F_SETFL, O_NONBLOCK);
    port_ = ntohs(address.sin_port);
  }
  raw_peer(raw_peer&&) = delete;
  ~raw_peer() {
    close();
    ::close(listener_);
  }

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] sockaddr_in address() const { return loopback(port_); }
  [[nodiscard]] int accepted() const noexcept { return accepted_; }

  /// A whole header has come, on a new connection or on the one that is open.
  bool was_asked() {
    if (const int socket = ::accept(listener_, nullptr, nullptr); socket >= 0) {
      close();
      connection_ = socket;
      ++accepted_;
      ::fcntl(connection_, F_SETFL, O_NONBLOCK);
      const int at_once = 1;  // else a second piece waits 40 ms for the first one's acknowledgement
      ::setsockopt(connection_, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
      received_.clear();
    }
    receive();
    if (received_.find("\r\n\r\n") == std::string::npos) return false;
    received_.clear();
    return true;
  }
  /// The client has closed, or reset, the connection.
  bool was_left() { return !receive(); }

  void send(std::string_view bytes) {
    static_cast<void>(::send(connection_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  void close() {
    if (connection_ >= 0) ::close(connection_);
    connection_ = -1;
  }
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(connection_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }

 private:
  static sockaddr_in loopback(unsigned short port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }
  bool receive() {
    std::array<char, 4096> bytes;
    const auto size = ::recv(connection_, bytes.data(), bytes.size(), 0);
    if (size > 0) received_.append(bytes.data(), static_cast<std::size_t>(size));
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EBADF));
  }

  int listener_;
  unsigned short port_ = 0;
  int connection_ = -1;
  int accepted_ = 0;
  std::string received_;
};

/// For races: on a busy machine it takes as long as on an idle one, other than yielding.
inline void spin_for(std::chrono::nanoseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < end) {}
}

/// Runs `loop` until `pred()`. False after 10 s.
template <class Loop, class Pred>
[[nodiscard]] bool drive(Loop& loop, Pred pred) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  for (int rounds = 1; !pred(); ++rounds) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    loop.poll();
    if (rounds % 16 == 0) std::this_thread::yield();  // on a busy machine that can take long
  }
  return true;
}

}  // namespace felix::test
