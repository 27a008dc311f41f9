// SPDX-License-Identifier: MIT
// net: waits for sockets with a libcurl multi handle, on any platform that has one.
#pragma once

#include <felix/error.hpp>

#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace felix::inline v1 {

namespace detail {

/// A pipe that wakes a poll(2). Unlike curl_multi_wakeup its end is documented to be safe in a signal handler: write(2).
class wake_pipe {
 public:
  wake_pipe() {
    if (::pipe(ends_.data()) != 0)
      throw error{std::error_code{errno, std::generic_category()},
                  "event_loop: cannot make a pipe; too many open files? (see ulimit -n)"};
    for (const int end : ends_) {
      ::fcntl(end, F_SETFL, O_NONBLOCK);
      ::fcntl(end, F_SETFD, FD_CLOEXEC);
    }
  }
  wake_pipe(wake_pipe&&) = delete;
  ~wake_pipe() {
    for (const int end : ends_) ::close(end);
  }

  [[nodiscard]] int read_end() const noexcept { return ends_[0]; }
  void write() noexcept {
    const int saved = errno;  // a signal handler leaves errno as it was
    const char byte = 0;
    while (::write(ends_[1], &byte, 1) < 0 && errno == EINTR) {}  // a full pipe wakes as well
    errno = saved;
  }
  void drain() noexcept {
    std::array<char, 64> bytes;
    while (::read(ends_[0], bytes.data(), bytes.size()) > 0) {}
  }

 private:
  std::array<int, 2> ends_{};
};

/// libcurl wants one global initialisation, before any other use, by one thread.
inline void initialise_curl() {
  static const CURLcode outcome = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (outcome != CURLE_OK)
    throw error{errc::io, std::string{"libcurl cannot be initialised: "} + curl_easy_strerror(outcome)};
}

}  // namespace detail

/// The reactor of `event_loop`. Used from the loop's thread only, but for wake().
class curl_reactor {
 public:
  /// A running request. Lives until finished() was called or stop() has returned.
  class transfer {
   public:
    transfer(transfer&&) = delete;

   protected:
    explicit transfer(CURL* easy) noexcept : easy_{easy} {}
    ~transfer() = default;
    /// libcurl is done with the handle, which is out of the multi handle again. Never called from inside libcurl.
    virtual void finished(CURLcode outcome) = 0;
    [[nodiscard]] CURL* easy() const noexcept { return easy_; }

   private:
    friend class curl_reactor;
    CURL* easy_;
    bool running_ = false;
  };

  curl_reactor() {
    detail::initialise_curl();
    multi_ = curl_multi_init();
    if (multi_ == nullptr) throw error{errc::io, "event_loop: libcurl cannot make a multi handle; out of memory?"};
  }
  curl_reactor(curl_reactor&&) = delete;
  ~curl_reactor() {
    assert(running_ == 0 && "felix::event_loop: destroyed while requests run; call shut_down() first");
    curl_multi_cleanup(multi_);
  }

  void start(transfer& request) {
    curl_easy_setopt(request.easy_, CURLOPT_PRIVATE, &request);
    const CURLMcode outcome = curl_multi_add_handle(multi_, request.easy_);
    if (outcome != CURLM_OK) throw error{errc::io, std::string{"libcurl: "} + curl_multi_strerror(outcome)};
    request.running_ = true;
    ++running_;
    // Connections for all that run now and some idle ones: below the number of transfers libcurl would close and
    // reopen them all the time.
    if (running_ + 8 > kept_connections_) {
      kept_connections_ = 2 * running_ + 8;
      curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(kept_connections_));
    }
  }

  /// Ends a request; its connection is closed, unless its answer was complete. finished() is not called.
  void stop(transfer& request) noexcept {
    if (!std::exchange(request.running_, false)) return;
    curl_multi_remove_handle(multi_, request.easy_);
    --running_;
  }

  void wait(std::optional<std::chrono::nanoseconds> at_most) {
    int milliseconds = std::numeric_limits<int>::max();
    if (at_most) {
      // Rounded up: a timer must not be woken before it is due, only to wait again.
      const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(*at_most).count();
      milliseconds = static_cast<int>(std::clamp<decltype(rounded)>(rounded, 0, std::numeric_limits<int>::max()));
    }
    curl_waitfd woken{};
    woken.fd = wake_.read_end();
    woken.events = CURL_WAIT_POLLIN;
    curl_multi_poll(multi_, &woken, 1, milliseconds, nullptr);
    if (woken.revents != 0) wake_.drain();
    poll();
  }

  void poll() {
    if (running_ == 0) return;
    int still_running = 0;
    curl_multi_perform(multi_, &still_running);
    int left = 0;
    while (const CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode outcome = message->data.result;
      transfer* request = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
      stop(*request);
      request->finished(outcome);
    }
  }

  void wake() noexcept { wake_.write(); }

  [[nodiscard]] std::size_t running() const noexcept { return running_; }

 private:
  detail::wake_pipe wake_;
  CURLM* multi_ = nullptr;
  std::size_t running_ = 0;
  std::size_t kept_connections_ = 0;
};

}  // namespace felix::inline v1
