// SPDX-License-Identifier: MIT
// benchmarks: libcurl used directly, as one would who writes nothing but this: curl_multi_socket_action on epoll.
#pragma once

#include <curl/curl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace peers {

/// What happens to a socket that libcurl no longer asks about, as it does after each transfer, to ask again at the next.
enum class epoll_removal : unsigned char {
  eager,  ///< it is removed and added again, as libcurl's examples do: two system calls a request
  lazy    ///< it stays, until something comes that libcurl does not want, or it is closed
};

struct curl_engine_options {
  std::string url;   // of the POST
  std::string body;  // the same each time
  std::size_t slots = 1;
  epoll_removal removal = epoll_removal::eager;
};

/// Sends the same POST again and again, `slots` at once: an easy handle for each, whose options are set once. A `Reader`,
/// a copy of the one given, takes the answer: begin(), write(bytes), and end(), which gives the length of its text.
template <class Reader>
class curl_engine {
 public:
  using clock = std::chrono::steady_clock;

  explicit curl_engine(curl_engine_options options, const Reader& reader = Reader{})
      : options_{std::move(options)},
        reader_{reader},
        epoll_{::epoll_create1(EPOLL_CLOEXEC)},
        multi_{curl_multi_init()} {
    if (epoll_ < 0) throw std::system_error{errno, std::generic_category(), "epoll_create1"};
    if (multi_ == nullptr) throw std::runtime_error{"curl_multi_init"};
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &on_timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.slots + 8));
    for (const char* line : {"Content-Type: application/json", "Accept: application/json", "Expect:"})
      headers_ = curl_slist_append(headers_, line);
    slots_.reserve(options_.slots);
    while (slots_.size() < options_.slots) slots_.push_back(make_slot());
  }
  curl_engine(curl_engine&&) = delete;
  ~curl_engine() {
    for (const auto& each : slots_) {
      if (each->running) curl_multi_remove_handle(multi_, each->easy);
      curl_easy_cleanup(each->easy);
    }
    curl_multi_cleanup(multi_);
    curl_slist_free_all(headers_);
    ::close(epoll_);
  }

  /// How often epoll was told what to wait for. It varies: an answer that is there as soon as its request was sent has
  /// no need of epoll, so that an eager engine on a slow or busy processor may come off as well as a lazy one.
  [[nodiscard]] double epoll_ctl_per_request() const noexcept {
    return static_cast<double>(epoll_ctl_calls_) / static_cast<double>(std::max<std::size_t>(1, requests_));
  }

  /// Starts one request in each slot; nothing waits for them before drive() or run().
  void start_all() {
    for (const auto& each : slots_) start(*each, clock::now());
  }
  /// Serves the sockets until then.
  void drive(clock::time_point until) {
    while (clock::now() < until) turn(until);
  }

  /// Keeps all slots busy until then, and waits for the last answers. Calls `on_answer(nanoseconds, length of the text)`.
  template <class OnAnswer>
  void run(clock::time_point until, OnAnswer on_answer) {
    start_all();
    while (running_ != 0) {
      turn(std::nullopt);
      while (CURLMsg* const message = next_message()) {
        slot& done = slot_of(message);
        const auto now = clock::now();
        on_answer(now - done.started, finish(done, message->data.result));
        if (now < until) start(done, now);
      }
    }
  }

 private:
  struct slot {
    slot(curl_engine& in, const Reader& pattern) : engine{in}, reader{pattern} {}
    curl_engine& engine;
    CURL* easy = nullptr;
    Reader reader;
    clock::time_point started;
    bool running = false;
  };
  struct socket_events {
    std::uint32_t registered = 0;  // what epoll waits for; 0: it does not know the socket
    std::uint32_t wanted = 0;      // what libcurl asked for
  };

  std::unique_ptr<slot> make_slot() {
    auto made = std::make_unique<slot>(*this, reader_);
    CURL* const easy = curl_easy_init();
    if (easy == nullptr) throw std::runtime_error{"curl_easy_init"};
    made->easy = easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, made.get());
    curl_easy_setopt(easy, CURLOPT_URL, options_.url.c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(options_.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, options_.body.data());
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 5'000L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 600'000L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, made.get());
    if (options_.removal == epoll_removal::lazy) {
      curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &on_close);
      curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
    }
    return made;
  }

  void start(slot& one, clock::time_point now) {
    one.reader.begin();
    one.started = now;
    one.running = true;
    ++running_;
    ++requests_;
    if (curl_multi_add_handle(multi_, one.easy) != CURLM_OK) throw std::runtime_error{"curl_multi_add_handle"};
  }
  std::size_t finish(slot& one, CURLcode outcome) {
    curl_multi_remove_handle(multi_, one.easy);
    one.running = false;
    --running_;
    long status = 0;
    curl_easy_getinfo(one.easy, CURLINFO_RESPONSE_CODE, &status);
    if (outcome != CURLE_OK || status != 200)
      throw std::runtime_error{std::string{"raw curl: status "} + std::to_string(status) + ", " +
                               curl_easy_strerror(outcome)};
    return one.reader.end();
  }
  CURLMsg* next_message() {
    int left = 0;
    for (;;) {
      CURLMsg* const message = curl_multi_info_read(multi_, &left);
      if (message == nullptr || message->msg == CURLMSG_DONE) return message;
    }
  }
  static slot& slot_of(const CURLMsg* message) {
    slot* found = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &found);
    return *found;
  }

  /// What has happened on the sockets, and the timer of libcurl. Waits, at most until then.
  void turn(std::optional<clock::time_point> until) {
    auto wake = timer_;
    if (until && (!wake || *until < *wake)) wake = until;
    int milliseconds = -1;
    if (wake) {
      const auto left = *wake > clock::time_point{} ? *wake - clock::now() : clock::duration::zero();
      milliseconds = static_cast<int>(
          std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(left).count(), 0, 1'000'000));
    }
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), milliseconds);
    int still_running = 0;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (options_.removal == epoll_removal::lazy && !is_wanted(event)) continue;
      const int mask = ((event.events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                       ((event.events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                       ((event.events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
      curl_multi_socket_action(multi_, event.data.fd, mask, &still_running);
    }
    if (timer_ && (*timer_ == clock::time_point{} || *timer_ <= clock::now())) {
      timer_.reset();
      curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &still_running);
    }
    if (epoll_error_ != 0) throw std::system_error{epoll_error_, std::generic_category(), "epoll_ctl"};
  }

  socket_events& events_of(curl_socket_t socket) {
    const auto index = static_cast<std::size_t>(socket);
    if (index >= sockets_.size()) sockets_.resize(index + 1);
    return sockets_[index];
  }
  void set_registered(curl_socket_t socket, socket_events& state, std::uint32_t events) {
    const int operation = events == 0 ? EPOLL_CTL_DEL : state.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    epoll_event event{};
    event.events = events;
    event.data.fd = socket;
    if (::epoll_ctl(epoll_, operation, socket, &event) != 0) epoll_error_ = errno;  // libcurl calls us: no exception
    ++epoll_ctl_calls_;
    state.registered = events;
  }
  /// An idle connection became readable (the server has closed it), or one is writable that only reads: what is left
  /// registered would wake us again and again.
  bool is_wanted(const epoll_event& event) {
    socket_events& state = events_of(event.data.fd);
    if ((event.events & (state.wanted | EPOLLERR | EPOLLHUP)) != 0 && state.wanted != 0) return true;
    set_registered(event.data.fd, state, state.wanted);
    return false;
  }

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
    curl_engine& engine = *static_cast<curl_engine*>(self);
    socket_events& state = engine.events_of(socket);
    state.wanted = (what == CURL_POLL_IN || what == CURL_POLL_INOUT ? std::uint32_t{EPOLLIN} : 0) |
                   (what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? std::uint32_t{EPOLLOUT} : 0);
    const bool suffices = engine.options_.removal == epoll_removal::lazy && (state.wanted & ~state.registered) == 0;
    if (!suffices && state.wanted != state.registered) engine.set_registered(socket, state, state.wanted);
    return 0;
  }
  static int on_close(void* self, curl_socket_t socket) {
    static_cast<curl_engine*>(self)->events_of(socket) = {};  // epoll forgets it by itself
    return ::close(socket);
  }
  static int on_timer(CURLM*, long milliseconds, void* self) {
    auto& timer = static_cast<curl_engine*>(self)->timer_;
    if (milliseconds < 0) {
      timer.reset();
    } else {
      timer = milliseconds == 0 ? clock::time_point{} : clock::now() + std::chrono::milliseconds{milliseconds};
    }
    return 0;
  }
  static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* self) {
    static_cast<slot*>(self)->reader.write({bytes, count});
    return count;
  }

  curl_engine_options options_;
  Reader reader_;
  int epoll_;
  CURLM* multi_;
  curl_slist* headers_ = nullptr;
  std::vector<std::unique_ptr<slot>> slots_;
  std::vector<socket_events> sockets_;      // by descriptor
  std::optional<clock::time_point> timer_;  // of libcurl; the epoch: at once
  std::size_t running_ = 0;
  int epoll_error_ = 0;
  std::size_t requests_ = 0, epoll_ctl_calls_ = 0;
};

}  // namespace peers
