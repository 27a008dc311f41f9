// SPDX-License-Identifier: MIT
// net: waits for sockets with epoll and tells libcurl which of them are ready.
#pragma once

#include <felix/error.hpp>
#include <felix/net/detail/curl_multi.hpp>
#include <felix/net/detail/wake_pipe.hpp>

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <system_error>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// The reactor of `event_loop` on Linux. Used from the loop's thread only, but for wake().
///
/// libcurl asks to forget a socket after each request and to watch it again in the next, which would be two system calls
/// a request. A connection that is kept alive therefore stays registered, and what libcurl wants is remembered. It is
/// unregistered when it becomes ready while nobody wants it, and when libcurl closes it.
/// Cost: a wait is linear in what is ready; a request on a kept connection costs no epoll_ctl.
class epoll_reactor : public curl_multi {
 public:
  epoll_reactor() : epoll_{::epoll_create1(EPOLL_CLOEXEC)} {
    epoll_event readable{};
    readable.events = EPOLLIN;
    readable.data.fd = wake_.read_end();
    if (epoll_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_.read_end(), &readable) != 0) {
      const int why = errno;
      if (epoll_ >= 0) ::close(epoll_);
      throw error{std::error_code{why, std::generic_category()},
                  "event_loop: cannot make an epoll; too many open files? (see ulimit -n)"};
    }
    curl_multi_setopt(multi(), CURLMOPT_SOCKETFUNCTION, &on_socket);
    curl_multi_setopt(multi(), CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi(), CURLMOPT_TIMERFUNCTION, &on_timer);
    curl_multi_setopt(multi(), CURLMOPT_TIMERDATA, this);
  }
  ~epoll_reactor() {
    clean_up();
    ::close(epoll_);
  }

  /// Once for each handle that is to run here, by any thread.
  void prepare(CURL* easy) noexcept {
    // Only of such sockets are we told when libcurl closes them: those of its resolver are never left registered.
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, &on_open);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, this);
  }
  /// What runs here closes its sockets by socket_count::close_socket, which tells us by this.
  [[nodiscard]] socket_count::closing on_closing() noexcept { return {&on_close, this}; }

  void wait(std::optional<std::chrono::nanoseconds> at_most) {
    if (due_) {
      const auto left = std::max(*due_ - clock::now(), clock::duration::zero());
      at_most = at_most ? std::min<std::chrono::nanoseconds>(*at_most, left) : left;
    }
    look(milliseconds(at_most));
  }
  void poll() { look(0); }
  void wake() noexcept { wake_.write(); }

 private:
  using clock = std::chrono::steady_clock;
  struct watched {
    std::uint32_t registered = 0;  // with epoll
    std::uint32_t wanted = 0;      // by libcurl
    bool may_stay = false;         // registered although it is not wanted
  };

  void look(int at_most) {
    if (is_due()) at_most = 0;
    std::array<epoll_event, 64> ready;
    const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), at_most);
    for (int i = 0; i < count; ++i) on_ready(ready[static_cast<std::size_t>(i)]);
    // After the sockets: a request that begins now does not get a connection that is known to be dead.
    if (is_due()) expire();
    if (running() != 0) tell_finished();
  }
  [[nodiscard]] bool is_due() const noexcept { return due_ && *due_ <= clock::now(); }
  void expire() {
    due_.reset();
    int still_running = 0;
    curl_multi_socket_action(multi(), CURL_SOCKET_TIMEOUT, 0, &still_running);
  }

  void on_ready(const epoll_event& event) {
    const int socket = event.data.fd;
    if (socket == wake_.read_end()) return wake_.drain();
    watched& known = at(socket);
    if (known.wanted == 0) return retire(socket, known);
    // The number may be of another socket by now, closed and opened since epoll_wait: libcurl looks itself, and finds
    // nothing.
    int what = 0;
    if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)) != 0) what |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
    if ((event.events & EPOLLERR) != 0) what |= CURL_CSELECT_ERR;
    int still_running = 0;
    curl_multi_socket_action(multi(), socket, what, &still_running);
  }

  /// An idle connection is ready: its server has closed it, which libcurl sees before it uses it again; or has said what
  /// nobody asked for, as proxies do (408) before they close. That libcurl 7.88 takes for the answer to the next request,
  /// so the connection is ended here. Within TLS it may be a session ticket: libcurl can tell.
  void retire(int socket, watched& known) noexcept {
    apply(socket, known, 0);
    std::array<unsigned char, 4096> unasked;
    if (::recv(socket, unasked.data(), 1, MSG_PEEK | MSG_DONTWAIT) != 1) return;
    if (0x14 <= unasked[0] && unasked[0] <= 0x18) return;  // a record of TLS (RFC 8446 §5.1)
    ::shutdown(socket, SHUT_RDWR);
    for (int reads = 0; reads < 16 && ::recv(socket, unasked.data(), unasked.size(), MSG_DONTWAIT) > 0;) ++reads;
  }

  static int on_socket(CURL*, curl_socket_t socket, int what, void* reactor, void*) noexcept {
    auto& self = *static_cast<epoll_reactor*>(reactor);
    if (!self.has_room_for(socket)) return -1;  // no memory: libcurl ends its transfers, as it does below
    watched& known = self.at(socket);
    known.wanted = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) known.wanted |= EPOLLIN;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) known.wanted |= EPOLLOUT;
    if (known.wanted == 0 && known.may_stay && known.registered == EPOLLIN) return 0;
    return self.apply(socket, known, known.wanted) ? 0 : -1;
  }
  static int on_timer(CURLM*, long milliseconds, void* reactor) noexcept {
    auto& self = *static_cast<epoll_reactor*>(reactor);
    self.due_.reset();
    if (milliseconds == 0) self.due_ = clock::time_point{};
    if (milliseconds > 0) self.due_ = clock::now() + std::chrono::milliseconds{milliseconds};
    return 0;
  }
  static int on_open(void* reactor, curl_socket_t socket, curlsocktype) noexcept {
    auto& self = *static_cast<epoll_reactor*>(reactor);
    if (!self.has_room_for(socket)) return CURL_SOCKOPT_ERROR;
    self.at(socket) = {.may_stay = true};
    return CURL_SOCKOPT_OK;
  }
  static void on_close(void* reactor, curl_socket_t socket) noexcept {
    auto& self = *static_cast<epoll_reactor*>(reactor);
    if (self.has_room_for(socket)) {
      self.apply(socket, self.at(socket), 0);  // close() would not do it while a child process has the socket too
      self.at(socket) = {};
    }
  }

  bool apply(int socket, watched& known, std::uint32_t events) noexcept {
    if (events == known.registered) return true;
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.fd = socket;
    const int how = events == 0 ? EPOLL_CTL_DEL : known.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (::epoll_ctl(epoll_, how, socket, &wanted) != 0 && events != 0) return false;
    known.registered = events;
    return true;
  }
  [[nodiscard]] bool has_room_for(int socket) noexcept try {
    if (static_cast<std::size_t>(socket) >= sockets_.size()) sockets_.resize(static_cast<std::size_t>(socket) + 16);
    return true;
  } catch (...) {
    return false;
  }
  [[nodiscard]] watched& at(int socket) noexcept { return sockets_[static_cast<std::size_t>(socket)]; }

  wake_pipe wake_;
  int epoll_;
  std::vector<watched> sockets_;          // by descriptor: they are small numbers
  std::optional<clock::time_point> due_;  // when libcurl wants to be called, whatever the sockets do
};

}  // namespace detail
}  // namespace felix::inline v1
