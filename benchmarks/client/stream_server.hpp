// SPDX-License-Identifier: MIT
// benchmarks: streamed answers, whose next chunks are written when the ones before were read: each client gets them alike.
#pragma once

#include "../support/child.hpp"  // from here: the tests have a folder support of their own
#include "chat.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace bench {

/// How many bytes of text a client has read, for a server in another process. One thread writes.
class text_read {
 public:
  void add(std::size_t bytes) noexcept {  // no locked instruction: there is one writer
    bytes_.store(bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> bytes_{0};
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "two processes use it");
};

/// Answers each POST with the same long stream, over HTTP/1.1 with an HTTP chunk for each event, as model servers do. It
/// goes in rounds: the next chunks of all open streams, each stream's in a write of its own, and the next round when
/// read() was told of their text. Left to itself a client that is slow would find more chunks in each piece that it
/// reads, and seem quick. In a process of its own, which ends with this object; on 127.0.0.1.
class stream_server {
 public:
  static constexpr std::size_t chunks = 2'000;  // with text, of an answer; and one that ends it
  static constexpr std::size_t text_bytes = chunks * chat::chunk_text.size();

  stream_server() {
    void* const shared = ::mmap(nullptr, sizeof(text_read), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw_errno("mmap");
    read_ = ::new (shared) text_read;
    const int listening = listen();
    process_ = fork_bound_to_parent();
    if (process_ == 0) serve(listening, *read_);
    ::close(listening);
  }
  stream_server(stream_server&&) = delete;
  ~stream_server() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    ::munmap(read_, sizeof(text_read));
  }

  /// For streams of so many chunks in a write.
  [[nodiscard]] std::string base_url(std::size_t chunks_a_write) const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/" + std::to_string(chunks_a_write) + "/v1";
  }
  /// Where a client says what it has read.
  [[nodiscard]] text_read& read() const noexcept { return *read_; }

 private:
  struct connection {
    pollfd socket;
    std::string received;
    std::size_t chunks_a_write = 1, left = 0;  // of the answer that is being written
  };

  [[noreturn]] static void throw_errno(const char* what) {
    throw std::system_error{errno, std::generic_category(), what};
  }

  int listen() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (socket < 0 || ::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::listen(socket, SOMAXCONN) != 0 || ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw_errno("listen on 127.0.0.1");
    port_ = ntohs(address.sin_port);
    return socket;
  }

  // ---- in the child

  [[noreturn]] static void serve(int listening, const text_read& read) noexcept {
    try {
      ::prctl(PR_SET_TIMERSLACK, 1UL);  // ns; else a wait of 10 us takes 60
      std::vector<connection> open;
      std::uint64_t written = 0;
      for (;;) {
        const bool active = std::any_of(open.begin(), open.end(), [](const connection& c) { return c.left != 0; });
        take(listening, open, active ? 0 : -1);
        for (connection& each : open) written += write_chunks(each);
        wait_until_read(read, written);
      }
    } catch (const std::exception& failure) {
      std::fprintf(stderr, "the stream server: %s\n", failure.what());
    }
    ::_exit(1);
  }

  /// New connections and what has come on them.
  static void take(int listening, std::vector<connection>& open, int milliseconds) {
    std::vector<pollfd> sockets{{listening, POLLIN, 0}};
    for (const connection& each : open) sockets.push_back(each.socket);
    if (::poll(sockets.data(), sockets.size(), milliseconds) < 0) throw_errno("poll");
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (sockets[i + 1].revents != 0) receive(open[i]);
    }
    std::erase_if(open, [](const connection& each) { return each.socket.fd < 0; });
    if (sockets.front().revents == 0) return;
    const int socket = ::accept(listening, nullptr, nullptr);
    if (socket < 0) throw_errno("accept");
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    open.push_back({{socket, POLLIN, 0}, {}});
  }

  static void close(connection& one) {
    ::close(one.socket.fd);
    one.socket.fd = -1;
    one.left = 0;
  }

  static void receive(connection& from) {
    char bytes[4096];
    const ssize_t count = ::recv(from.socket.fd, bytes, sizeof bytes, 0);
    if (count <= 0) return close(from);
    from.received.append(bytes, static_cast<std::size_t>(count));
    const std::string_view all{from.received};
    const std::size_t body = all.find("\r\n\r\n") + 4;
    const std::size_t length = number_after(all, "Content-Length: ");
    if (body < 4 || all.size() < body + length) return;
    from.chunks_a_write = std::max<std::size_t>(1, number_after(all, "POST /"));
    from.left = chunks;
    from.received.clear();
    send(from, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  static std::size_t number_after(std::string_view text, std::string_view name) {
    std::size_t number = 0;
    const std::size_t at = text.find(name);
    if (at != std::string_view::npos)
      std::from_chars(text.data() + at + name.size(), text.data() + text.size(), number);
    return number;
  }

  static std::string event(std::string_view data) {
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", data.size() + 8);
    return size + ("data: " + std::string{data}) + "\n\n\r\n";
  }
  /// Gives how much text it was.
  static std::size_t write_chunks(connection& to) {
    if (to.left == 0) return 0;
    static const std::string one = event(chat::chunk);
    static const std::string end = event(chat::last_chunk) + event("[DONE]") + "0\r\n\r\n";
    const std::size_t count = std::min(to.left, to.chunks_a_write);
    std::string bytes;
    for (std::size_t i = 0; i < count; ++i) bytes += one;
    to.left -= count;
    const bool ends = to.left == 0;
    if (!send(to, bytes) || (ends && !send(to, end))) return 0;
    return count * chat::chunk_text.size();
  }
  static bool send(connection& to, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(to.socket.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        close(to);
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  /// A client that left a stream in the middle says nothing of the rest: then it goes on after a while.
  static void wait_until_read(const text_read& read, std::uint64_t& written) {
    using steady = std::chrono::steady_clock;
    const auto deadline = steady::now() + std::chrono::seconds{10};
    while (read.bytes() < written) {
      if (steady::now() > deadline) {
        written = read.bytes();
        return;
      }
      std::this_thread::sleep_for(std::chrono::microseconds{10});
    }
  }

  text_read* read_ = nullptr;
  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

}  // namespace bench
