// SPDX-License-Identifier: MIT
// net: what the reactors share: a libcurl multi handle, and the transfers that run in it.
#pragma once

#include <felix/error.hpp>
#include <felix/net/detail/curl_library.hpp>
#include <felix/net/detail/socket_count.hpp>

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

/// Used from the loop's thread only.
class curl_multi {
 public:
  /// A running request. Lives until finished() or orphaned() was called or stop() has returned; one that is kept, until
  /// one of the last two.
  class transfer {
   public:
    transfer(transfer&&) = delete;

   protected:
    explicit transfer(CURL* easy) noexcept : easy_{easy} {}
    ~transfer() = default;
    /// libcurl is done with the handle, which is out of the multi handle again. Never called from inside libcurl.
    virtual void finished(CURLcode outcome) = 0;
    /// The reactor ends, and the transfer with it, or it was kept; it may destroy itself. The loop is half gone.
    virtual void orphaned() noexcept = 0;
    [[nodiscard]] CURL* easy() const noexcept { return easy_; }

   private:
    friend class curl_multi;
    CURL* easy_;
    transfer* next_ = nullptr;   // of those that run or are kept
    transfer** link_ = nullptr;  // what points here while it is one of them
    bool runs_ = false;
  };

  curl_multi(curl_multi&&) = delete;

  /// Begins with the next wait() or poll().
  void start(transfer& request) {
    curl_easy_setopt(request.easy_, CURLOPT_PRIVATE, &request);
    const CURLMcode outcome = curl_multi_add_handle(multi_, request.easy_);
    if (outcome != CURLM_OK) throw error{errc::io, std::string{"libcurl: "} + curl_multi_strerror(outcome)};
    keep(request);
    request.runs_ = true;
    ++running_;
    // Connections for all that run now and some idle ones: below the number of transfers libcurl would close and
    // reopen them all the time.
    if (running_ + 8 > kept_connections_) {
      kept_connections_ = 2 * running_ + 8;
      curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(kept_connections_));
    }
  }

  /// One that does not run, and that nobody else owns: should the reactor end before stop(), it calls orphaned().
  void keep(transfer& request) noexcept {
    request.next_ = first_;
    request.link_ = &first_;
    if (first_ != nullptr) first_->link_ = &request.next_;
    first_ = &request;
  }

  /// Ends a request; its connection is closed, unless its answer was complete. finished() is not called. One that
  /// neither runs nor is kept is left as it is.
  void stop(transfer& request) noexcept {
    if (request.link_ == nullptr) return;
    *request.link_ = request.next_;
    if (request.next_ != nullptr) request.next_->link_ = request.link_;
    request.link_ = nullptr;
    if (!std::exchange(request.runs_, false)) return;
    curl_multi_remove_handle(multi_, request.easy_);
    --running_;
  }

  [[nodiscard]] std::size_t running() const noexcept { return running_; }

  /// For connections, which live as long as the reactor. What has no other owner and no open socket is let go.
  void keep(std::shared_ptr<const socket_count> sockets) {
    if (std::find(sockets_.begin(), sockets_.end(), sockets) != sockets_.end()) return;
    const auto is_over = [](const auto& each) { return each.use_count() == 1 && each->open_now() == 0; };
    sockets_.erase(std::remove_if(sockets_.begin(), sockets_.end(), is_over), sockets_.end());
    sockets_.push_back(std::move(sockets));
  }

 protected:
  curl_multi() {
    initialise_curl();
    multi_ = curl_multi_init();
    if (multi_ == nullptr) throw error{errc::io, "event_loop: libcurl cannot make a multi handle; out of memory?"};
  }
  ~curl_multi() {
    if (multi_ != nullptr) clean_up();  // the reactor could not be made
  }

  /// Last thing that a reactor does, while what libcurl calls back is still there.
  void clean_up() noexcept {
    while (transfer* const left = first_) {
      stop(*left);
      left->orphaned();
    }
    curl_multi_cleanup(std::exchange(multi_, nullptr));
  }

  [[nodiscard]] CURLM* multi() const noexcept { return multi_; }

  void tell_finished() {
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

  /// For poll(2) and its kin; -1: no limit. Rounded up: a timer must not be woken before it is due, only to wait again.
  [[nodiscard]] static int milliseconds(std::optional<std::chrono::nanoseconds> at_most) noexcept {
    if (!at_most) return -1;
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(*at_most).count();
    if (rounded < 0) return 0;
    return rounded < std::numeric_limits<int>::max() ? static_cast<int>(rounded) : std::numeric_limits<int>::max();
  }

 private:
  std::vector<std::shared_ptr<const socket_count>> sockets_;  // outlive the multi handle
  CURLM* multi_ = nullptr;
  transfer* first_ = nullptr;
  std::size_t running_ = 0;
  std::size_t kept_connections_ = 0;
};

}  // namespace detail
}  // namespace felix::inline v1
