// SPDX-License-Identifier: MIT
// net: one HTTP request at a time and connection, over libcurl, awaited.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/posted_call.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>
#include <felix/net/event_loop.hpp>

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Time limits of one request. Zero or less is refused: a request without a limit can wait for ever.
struct http_timeouts {
  std::chrono::milliseconds connect{std::chrono::seconds{5}};
  std::chrono::milliseconds total{std::chrono::seconds{600}};
};

/// What is sent. Built fluently; each setter returns the request.
class http_request {
 public:
  explicit http_request(std::string url) : url_{std::move(url)} {}

  /// Makes it a POST.
  http_request& body(std::string bytes) {
    body_ = std::move(bytes);
    return *this;
  }
  /// Throws error (invalid_argument) for a byte that would end the header line: it could smuggle in another header.
  http_request& header(std::string_view name, std::string_view value) {
    for (const std::string_view text : {name, value}) {
      for (const char c : text) {
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
          throw error{errc::invalid_argument, "http: header \"" + printable(name) + "\" has a control character"};
      }
    }
    headers_.push_back(std::string{name} + (value.empty() ? ":" : ": ") + std::string{value});
    return *this;
  }
  http_request& timeouts(http_timeouts limits) {
    if (limits.connect.count() <= 0 || limits.total.count() <= 0)
      throw error{errc::invalid_option, "http: a time limit of zero or less; give milliseconds above 0"};
    timeouts_ = limits;
    return *this;
  }
  /// How long a connection may lie idle and still be used again. Servers close idle ones after 5 s (llama.cpp) or more.
  http_request& reuse_idle_connections_up_to(std::chrono::seconds age) {
    idle_age_ = age;
    return *this;
  }
  /// Never through the proxy that the environment names: for servers on this machine.
  http_request& no_proxy() {
    no_proxy_ = true;
    return *this;
  }
  /// A longer body is an error. Counted after decoding, as it arrives.
  http_request& max_response_bytes(std::size_t bytes) {
    max_response_bytes_ = bytes;
    return *this;
  }

  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  [[nodiscard]] const std::optional<std::string>& body() const noexcept { return body_; }

 private:
  friend class http_client;
  static std::string printable(std::string_view text) {
    std::string copy{text};
    std::replace_if(copy.begin(), copy.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
    return copy;
  }

  std::string url_;
  std::optional<std::string> body_;  // empty: GET
  std::vector<std::string> headers_;
  http_timeouts timeouts_;
  std::chrono::seconds idle_age_{4};
  std::size_t max_response_bytes_ = std::size_t{16} << 20U;
  bool no_proxy_ = false;
};

/// What came back, whatever its status.
struct http_response {
  http_response() = default;  // declared: g++ 12 destroys a temporary aggregate of a co_await twice

  int status = 0;
  std::string body = {};
  std::string content_type = {};
  std::vector<std::pair<std::string, std::string>> headers = {};  ///< names in lower case, in their order
  std::chrono::nanoseconds time_to_first_byte{0};
  std::chrono::nanoseconds total_time{0};
  bool reused_connection = false;

  /// The first of that name (lower case), or empty.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }
};

/// Sends requests over connections that it keeps alive.
///     auto answer = co_await http.send(request);
/// Redirects are not followed: the Authorization header and the body would go to whoever the server names.
/// Threads:  send from any thread; the transfer runs on the loop, and the coroutine goes on where it lives.
/// Stop:     the transfer ends at once and its connection is closed; throws `cancelled`.
/// Throws:   transport_error, timed_out, or error (protocol) for a body over its bound. A status is not an error here.
/// Lifetime: the loop outlives the client, and the client its requests.
/// See:      RFC 9110, RFC 9112.
class http_client {
 public:
  explicit http_client(event_loop& loop) noexcept : loop_{loop} {}
  http_client(http_client&&) = delete;
  ~http_client() {
    for (CURL* const easy : idle_) curl_easy_cleanup(easy);
  }

  task<http_response> send(http_request request) {
    // A server may close an idle connection just as a request goes out on it (RFC 9112 §9.3.1). Nothing came back, and
    // the connection was an old one: the request is sent once more, at once, on a new one.
    for (bool fresh = false;; fresh = true) {
      transfer attempt{*this, request, fresh};
      co_await attempt;
      if (fresh || !attempt.died_with_its_connection()) co_return attempt.take();
    }
  }

 private:
  /// One attempt: an awaiter that is the transfer.
  class transfer final : public curl_reactor::transfer {
   public:
    transfer(http_client& client, const http_request& request, bool fresh)
        : curl_reactor::transfer{client.take_easy()}, client_{client}, request_{request} {
      try {
        prepare(fresh);
      } catch (...) {
        client_.give_back(easy());
        curl_slist_free_all(headers_);
        throw;
      }
    }
    ~transfer() {
      client_.give_back(easy());
      curl_slist_free_all(headers_);
    }

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) {
      continuation_.set(caller);
      on_stop_.emplace(detail::context_of(caller).stop, stop_request{*this});
      client_.loop_.post(start_);  // the last access from this thread, if it is not the loop's
    }
    void await_resume() {
      on_stop_.reset();
      if (stopped_)
        throw cancelled{"waiting for " + origin_of(request_.url()),
                        started_ ? request_cost::unknown : request_cost::none};
      if (start_failure_) std::rethrow_exception(start_failure_);
    }

    [[nodiscard]] bool died_with_its_connection() const noexcept {
      const bool lost = outcome_ == CURLE_GOT_NOTHING || outcome_ == CURLE_SEND_ERROR || outcome_ == CURLE_RECV_ERROR;
      return lost && reused() && !any_byte_;
    }

    http_response take() {
      if (outcome_ != CURLE_OK) throw_failure();
      long status = 0;
      curl_easy_getinfo(easy(), CURLINFO_RESPONSE_CODE, &status);
      response_.status = static_cast<int>(status);
      const char* type = nullptr;
      curl_easy_getinfo(easy(), CURLINFO_CONTENT_TYPE, &type);
      if (type != nullptr) response_.content_type = type;
      response_.time_to_first_byte = time_of(CURLINFO_STARTTRANSFER_TIME_T);
      response_.total_time = time_of(CURLINFO_TOTAL_TIME_T);
      response_.reused_connection = reused();
      return std::move(response_);
    }

   private:
    // The transfer belongs to the loop's thread. A stop may come from any: before the start it leaves a word for it,
    // later it posts. Whoever of completion and stop is first in `phase_` decides who wakes the coroutine.
    enum class phase : unsigned char { arriving, stopped_early, running, stop_posted, ended };

    struct stop_request {
      transfer& of;
      explicit stop_request(transfer& stopped) noexcept : of{stopped} {}
      void operator()() const noexcept {
        phase expected = phase::arriving;
        if (of.phase_.compare_exchange_strong(expected, phase::stopped_early)) return;
        expected = phase::running;
        if (of.phase_.compare_exchange_strong(expected, phase::stop_posted)) of.client_.loop_.post(of.stop_);
      }
    };

    void start() {
      phase expected = phase::arriving;
      if (!phase_.compare_exchange_strong(expected, phase::running)) {
        stopped_ = true;
        return continuation_.post();
      }
      try {
        client_.loop_.reactor().start(*this);
        started_ = true;
      } catch (...) {
        start_failure_ = std::current_exception();
        end();
      }
    }
    void stop() {
      client_.loop_.reactor().stop(*this);
      stopped_ = !complete_;
      continuation_.post();
    }
    void finished(CURLcode outcome) override {
      outcome_ = outcome;
      complete_ = true;
      end();
    }
    void end() {
      phase expected = phase::running;
      if (phase_.compare_exchange_strong(expected, phase::ended)) continuation_.post();
    }

    void prepare(bool fresh) {
      for (const auto& line : request_.headers_) add_header(line);
      add_header("Expect:");  // libcurl would wait a second for a 100 before a large body
      set(CURLOPT_URL, request_.url_.c_str());
      set(CURLOPT_HTTPHEADER, headers_);
      if (request_.body_) {
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body_->size()));
        set(CURLOPT_POSTFIELDS, request_.body_->data());
      }
      set(CURLOPT_NOSIGNAL, 1L);
      set(CURLOPT_PROTOCOLS_STR, "http,https");
      set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
      set(CURLOPT_FOLLOWLOCATION, 0L);
      set(CURLOPT_MAXREDIRS, 0L);
      set(CURLOPT_UNRESTRICTED_AUTH, 0L);
      set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
      set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
      set(CURLOPT_SSL_VERIFYPEER, 1L);
      set(CURLOPT_SSL_VERIFYHOST, 2L);
      set(CURLOPT_HTTP09_ALLOWED, 0L);
      // In clear HTTP/1.1 only: libcurl 7.88 cannot reuse an h2 connection made by prior knowledge. Over TLS by ALPN.
      set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
      set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.timeouts_.connect.count()));
      set(CURLOPT_TIMEOUT_MS, static_cast<long>(request_.timeouts_.total.count()));
      set(CURLOPT_TCP_KEEPALIVE, 1L);
      set(CURLOPT_MAXAGE_CONN, static_cast<long>(request_.idle_age_.count()));
      set(CURLOPT_USERAGENT, "felix");
      // Do not wait for a thread that still looks a host name up when the request is stopped: that can take seconds.
      set(CURLOPT_QUICK_EXIT, 1L);
      if (request_.no_proxy_) set(CURLOPT_NOPROXY, "*");
      if (fresh) set(CURLOPT_FRESH_CONNECT, 1L);
      set(CURLOPT_WRITEFUNCTION, &on_body);
      set(CURLOPT_WRITEDATA, this);
      set(CURLOPT_HEADERFUNCTION, &on_header);
      set(CURLOPT_HEADERDATA, this);
      set(CURLOPT_ERRORBUFFER, detail_.data());
    }
    template <class Value>
    void set(CURLoption option, Value value) {
      const CURLcode outcome = curl_easy_setopt(easy(), option, value);
      // NETRC, HTTP/2 and TLS options are refused by a libcurl that was built without them, and are then not needed.
      if (outcome != CURLE_OK && outcome != CURLE_NOT_BUILT_IN && outcome != CURLE_UNKNOWN_OPTION &&
          outcome != CURLE_UNSUPPORTED_PROTOCOL)
        throw error{errc::io, std::string{"http: libcurl refused an option: "} + curl_easy_strerror(outcome)};
    }
    void add_header(const std::string& line) {
      curl_slist* const longer = curl_slist_append(headers_, line.c_str());
      if (longer == nullptr) throw error{errc::io, "http: out of memory"};
      headers_ = longer;
    }

    static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* self) noexcept {
      transfer& into = *static_cast<transfer*>(self);
      into.any_byte_ = true;
      if (count > into.request_.max_response_bytes_ - into.response_.body.size()) {
        into.too_long_ = true;
        return 0;
      }
      try {
        into.response_.body.append(bytes, count);
      } catch (...) {
        return 0;  // libcurl then says CURLE_WRITE_ERROR
      }
      return count;
    }
    static std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* self) noexcept {
      try {
        static_cast<transfer*>(self)->any_byte_ = true;
        static_cast<transfer*>(self)->add_response_header({bytes, count});
      } catch (...) {
        return 0;
      }
      return count;
    }
    void add_response_header(std::string_view line) {
      while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
      if (line.starts_with("HTTP/")) return response_.headers.clear();  // of an interim (1xx) response before this one
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos) return;
      std::string name{line.substr(0, colon)};
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
      std::string_view value = line.substr(colon + 1);
      while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
      response_.headers.emplace_back(std::move(name), value);
    }

    [[nodiscard]] std::chrono::nanoseconds time_of(CURLINFO which) const noexcept {
      curl_off_t microseconds = 0;
      curl_easy_getinfo(easy(), which, &microseconds);
      return std::chrono::microseconds{microseconds};
    }
    [[nodiscard]] bool reused() const noexcept {
      long opened = 0;
      curl_easy_getinfo(easy(), CURLINFO_NUM_CONNECTS, &opened);
      return opened == 0;
    }

    [[noreturn]] void throw_failure() const {
      const std::string to = origin_of(request_.url());
      if (too_long_)
        throw error{errc::protocol,
                    "the answer of " + to + " is longer than " + std::to_string(request_.max_response_bytes_) +
                        " bytes; raise the bound if it should be",
                    request_cost::unknown};
      if (outcome_ == CURLE_OPERATION_TIMEDOUT) {
        const bool connected = time_of(CURLINFO_PRETRANSFER_TIME_T).count() > 0;
        const auto limit = connected ? request_.timeouts_.total : request_.timeouts_.connect;
        throw timed_out{to + (connected ? " did not answer" : " could not be connected to") + " within " +
                            std::to_string(limit.count()) + " ms; is the server overloaded? Raise timeouts." +
                            (connected ? "total" : "connect") + " if it needs longer",
                        connected ? request_cost::unknown : request_cost::none};
      }
      std::string message = "no answer from " + to + ": " + curl_easy_strerror(outcome_);
      if (detail_[0] != '\0') message += std::string{" ("} + detail_.data() + ")";
      if (outcome_ == CURLE_COULDNT_CONNECT) {
        long os_error = 0;  // none: it was not the network that refused
        curl_easy_getinfo(easy(), CURLINFO_OS_ERRNO, &os_error);
        message += os_error != 0 ? "; is a server listening there?"
                                 : "; is a server listening there, and has this process descriptors left (ulimit -n)?";
      }
      const bool sent = time_of(CURLINFO_PRETRANSFER_TIME_T).count() > 0;
      throw transport_error{message, static_cast<int>(outcome_), sent ? request_cost::unknown : request_cost::none};
    }

    http_client& client_;
    const http_request& request_;
    curl_slist* headers_ = nullptr;
    http_response response_;
    CURLcode outcome_ = CURLE_OK;
    bool started_ = false;
    bool any_byte_ = false;  // of an answer, an interim one (1xx) too
    bool too_long_ = false;
    bool complete_ = false;
    bool stopped_ = false;
    std::exception_ptr start_failure_;
    std::array<char, CURL_ERROR_SIZE> detail_{};
    continuation continuation_;
    posted_call start_{[this] { start(); }};
    posted_call stop_{[this] { stop(); }};
    std::atomic<phase> phase_{phase::arriving};
    std::optional<stop_callback<stop_request>> on_stop_;
  };

  // One easy handle a request in flight, used again: a reset costs 0.6 µs, a new one an allocation of several KiB.
  CURL* take_easy() {
    {
      std::scoped_lock lock{mutex_};
      if (!idle_.empty()) {
        CURL* const easy = idle_.back();
        idle_.pop_back();
        return easy;
      }
    }
    CURL* const easy = curl_easy_init();
    if (easy == nullptr) throw error{errc::io, "http: libcurl cannot make a handle; out of memory?"};
    return easy;
  }
  void give_back(CURL* easy) noexcept {
    curl_easy_reset(easy);
    std::scoped_lock lock{mutex_};
    try {
      idle_.push_back(easy);
    } catch (...) {
      curl_easy_cleanup(easy);
    }
  }
  /// Scheme, host and port: a path or query may hold what nobody should read in a log.
  static std::string origin_of(const std::string& url) {
    const std::size_t host = url.find("://");
    return host == std::string::npos ? url : url.substr(0, url.find('/', host + 3));
  }

  event_loop& loop_;
  std::mutex mutex_;  // guards idle_
  std::vector<CURL*> idle_;
};

}  // namespace felix::inline v1
