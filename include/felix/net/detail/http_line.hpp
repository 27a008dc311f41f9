// SPDX-License-Identifier: MIT
// net: one request on the loop's thread, and the coroutine that reads its answer, on whatever thread that lives.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/posted_call.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/error.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/http.hpp>

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace detail {

class http_line;

/// The lines of a client that are not in use. Each has an easy handle: 12 KiB, and 0.6 µs a request when it is kept.
class http_lines : public std::enable_shared_from_this<http_lines> {
 public:
  explicit http_lines(event_loop& loop) noexcept : loop_{loop} {}
  [[nodiscard]] inline std::unique_ptr<http_line> take();
  inline void give_back(std::unique_ptr<http_line> line) noexcept;
  [[nodiscard]] event_loop& loop() const noexcept { return loop_; }

 private:
  event_loop& loop_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<http_line>> idle_;
};

/// Used again for request after request. The transfer runs on the loop; one coroutine, of any thread, waits for a part of
/// its answer at a time.
class http_line final : public curl_reactor::transfer {
  using clock = std::chrono::steady_clock;

 public:
  /// What a coroutine waits for.
  enum class part : unsigned char { head, bytes, all };
  enum class reading : unsigned char { as_it_comes, as_a_whole };

  explicit http_line(event_loop& loop) : transfer{curl_easy_init()}, loop_{loop} {
    if (easy() == nullptr) throw error{errc::io, "http: libcurl cannot make a handle; out of memory?"};
    try {
      set_what_never_changes();
    } catch (...) {
      curl_easy_cleanup(easy());
      throw;
    }
  }
  ~http_line() { curl_easy_cleanup(easy()); }

  /// Before the first wait.
  void prepare(http_request&& request, reading how) {
    request_.emplace(std::move(request));
    reading_ = how;
    apply(request_->connection());
    apply(request_->url());
    set(CURLOPT_HTTPHEADER, request_->header_lines());
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_->timeouts().connect.count()));
    if (const auto& body = request_->body()) {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
      set(CURLOPT_POSTFIELDS, body->data());
    } else {
      set(CURLOPT_HTTPGET, 1L);
    }
  }

  class wait;

  [[nodiscard]] const http_request& request() const noexcept { return *request_; }
  [[nodiscard]] bool is_running() const noexcept {
    std::scoped_lock lock{mutex_};
    return phase_ == phase::running;
  }
  // For the coroutine that has waited.
  [[nodiscard]] bool has_head() const noexcept {
    std::scoped_lock lock{mutex_};
    return has_head_;
  }
  [[nodiscard]] http_head& head() noexcept { return head_; }
  [[nodiscard]] std::chrono::nanoseconds since_sent() const noexcept {
    return sent_at_ == clock::time_point{} ? std::chrono::nanoseconds{0} : loop_.now() - sent_at_;
  }
  [[nodiscard]] http_timing timing() const noexcept {
    return {.first_byte = first_byte_at_ - sent_at_, .total = ended_at_ - sent_at_};
  }
  [[nodiscard]] bool reused_connection() const noexcept { return reused_; }
  /// What has come and was not taken yet. Swaps: the memory goes from hand to hand.
  void take_bytes(std::string& into) {
    into.clear();
    std::scoped_lock lock{mutex_};
    into.swap(arrived_);
  }
  /// Throws what ended the request too early; else it went well.
  void check() const {
    if (failure_ != failure::none) throw_failure();
  }
  void content_arrived() {
    std::scoped_lock lock{mutex_};
    content_at_ = loop_.now();
    if (between_ || phase_ != phase::running) return;
    between_.emplace(*this, later(content_at_, request_->timeouts().between_tokens), &on_between);
    loop_.arm(*between_);
  }

  /// For a request whose reader goes away: the line stops it, and goes back to `lines` on the loop.
  static void abandon(std::unique_ptr<http_line> line, const std::shared_ptr<http_lines>& lines) noexcept {
    if (!line->is_running()) return lines->give_back(std::move(line));
    if (line->loop_.is_here()) {
      line->halt();
      return lines->give_back(std::move(line));
    }
    http_line* const self = line.release();  // its own from here on
    self->abandoned_to_ = lines;
    self->loop_.post(self->stop_);
  }

  /// For a reader that has all it wanted: the rest may come, so that the connection can be used again, but not for long.
  static void let_end(std::unique_ptr<http_line> line, const std::shared_ptr<http_lines>& lines) noexcept {
    if (!line->is_running() || !line->loop_.is_here()) return abandon(std::move(line), lines);
    http_line* const self = line.release();
    self->abandoned_to_ = lines;
    self->lingers_ = true;
    self->disarm_between();
    self->loop_.disarm(*self->limit_);
    self->limit_.emplace(*self, later(self->loop_.now(), std::chrono::seconds{1}), &on_lingered);
    self->loop_.arm(*self->limit_);
  }

 private:
  friend class http_lines;
  enum class phase : unsigned char { idle, starting, running, ended };
  enum class failure : unsigned char {
    none,
    curl,
    too_long,
    stopped,
    timed_out_first_byte,
    timed_out_first_token,
    timed_out_between,
    timed_out_total,
    start
  };

  class deadline : public timer {
   public:
    deadline(http_line& of, clock::time_point when, void (*fire)(timer&)) noexcept : timer{when, fire}, line{of} {}
    http_line& line;
  };

  // ---- on the loop's thread

  /// Throws nothing: a failure is told to the reader.
  void begin() {
    if (stopped_before_start()) return end(failure::stopped);
    sent_at_ = first_byte_at_ = ended_at_ = loop_.now();
    try {
      loop_.reactor().start(*this);
      sent_ = true;
      limit_.emplace(*this, next_limit(), &on_limit);
      loop_.arm(*limit_);
    } catch (...) {
      start_failure_ = std::current_exception();
      halt();
      return end(failure::start);
    }
    std::unique_lock lock{mutex_};
    phase_ = phase::running;
    const bool stopped = stop_before_start_;
    lock.unlock();
    if (!stopped) return;
    halt();
    end(failure::stopped);
  }
  [[nodiscard]] bool stopped_before_start() const noexcept {
    std::scoped_lock lock{mutex_};
    return stop_before_start_;
  }
  /// A stop request, or the reader has gone away.
  void stop() {
    if (is_running()) {
      halt();
      end(failure::stopped);
    }
    if (auto lines = std::move(abandoned_to_)) return lines->give_back(std::unique_ptr<http_line>{this});
    continuation* waiting = nullptr;
    {
      std::scoped_lock lock{mutex_};
      stop_posted_ = false;
      waiting = std::exchange(reader_, nullptr);
    }
    resume(*waiting);
  }
  void halt() noexcept {
    loop_.reactor().stop(*this);
    if (limit_) loop_.disarm(*limit_);
    disarm_between();
  }
  void disarm_between() noexcept {
    std::unique_lock lock{mutex_};
    if (!between_) return;
    lock.unlock();  // it is armed once, and not after the end
    loop_.disarm(*between_);
  }

  void finished(CURLcode outcome) override {
    long opened = 0;
    curl_easy_getinfo(easy(), CURLINFO_NUM_CONNECTS, &opened);
    reused_ = opened == 0;
    const bool lost = outcome == CURLE_GOT_NOTHING || outcome == CURLE_SEND_ERROR || outcome == CURLE_RECV_ERROR;
    if (lost && reused_ && !any_byte_ && !fresh_) {
      // A server may close an idle connection just as a request goes out on it (RFC 9112 §9.3.1). Nothing came back, and
      // the connection was an old one: the request is sent once more, at once, on a new one.
      fresh_ = true;
      set_nothrow(CURLOPT_FRESH_CONNECT, 1L);
      if (restart()) return;
    }
    // A server that answers before it has read the whole request resets the HTTP/2 stream afterwards.
    if (outcome == CURLE_HTTP2_STREAM && has_whole_body()) outcome = CURLE_OK;
    outcome_ = outcome;
    if (limit_) loop_.disarm(*limit_);
    disarm_between();
    end(outcome == CURLE_OK ? failure::none : too_long_ ? failure::too_long : failure::curl);
  }
  [[nodiscard]] bool has_whole_body() const noexcept {
    curl_off_t length = -1;
    curl_easy_getinfo(easy(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return has_head_ && length >= 0 && static_cast<std::size_t>(length) == received_;
  }
  bool restart() noexcept try {
    loop_.reactor().start(*this);
    return true;
  } catch (...) {
    return false;
  }
  void orphaned() noexcept override {
    // The loop ends. Nobody waits: a coroutine would have been joined.
    if (abandoned_to_) {
      delete this;
    } else {
      end(failure::stopped);
    }
  }

  void end(failure how) {
    ended_at_ = loop_.now();
    std::unique_lock lock{mutex_};
    phase_ = phase::ended;
    failure_ = how;
    wake(lock);
    if (!lingers_) return;
    const auto lines = std::move(abandoned_to_);
    lines->give_back(std::unique_ptr<http_line>{this});
  }
  /// Gives the lock back.
  void wake(std::unique_lock<std::mutex>& lock) {
    if (stop_posted_) return lock.unlock();  // stop() will
    continuation* const waiting = std::exchange(reader_, nullptr);
    lock.unlock();
    if (waiting != nullptr) resume(*waiting);
  }
  /// Never here and now, which may be inside libcurl.
  void resume(continuation& waiting) {
    if (waiting.context().where != nullptr) return waiting.post();
    loop_.post(waiting);  // of a coroutine type that is not felix's
  }

  /// The next of the limits that begin with the sending.
  [[nodiscard]] clock::time_point next_limit() const noexcept {
    const http_timeouts& limits = request_->timeouts();
    auto next = limits.total;
    if (reading_ == reading::as_it_comes) {
      if (!has_head_) next = std::min(next, limits.first_byte);
      if (content_at_ == clock::time_point{}) next = std::min(next, limits.first_token);
    }
    return later(sent_at_, next);
  }
  static void on_limit(timer& fired) {
    http_line& self = static_cast<deadline&>(fired).line;
    std::unique_lock lock{self.mutex_};
    if (self.phase_ != phase::running) return;
    const auto now = self.loop_.now();
    auto due = self.next_limit();
    const http_timeouts& limits = self.request_->timeouts();
    const auto total_due = later(self.sent_at_, limits.total);
    // Something has come, and the reader has yet to look at it.
    if (self.has_head_ && (self.reader_ == nullptr || !self.arrived_.empty()) && now < total_due)
      due = std::max(due, std::min(total_due, later(now, limits.first_token)));
    if (now < due) {
      lock.unlock();
      self.limit_->set_deadline(due);
      self.loop_.arm(*self.limit_);
      return;
    }
    auto how = failure::timed_out_total;
    if (now < total_due)
      how = !self.has_head_ && now >= later(self.sent_at_, limits.first_byte) ? failure::timed_out_first_byte
                                                                              : failure::timed_out_first_token;
    lock.unlock();
    self.halt();
    self.end(how);
  }
  static void on_lingered(timer& fired) {
    http_line& self = static_cast<deadline&>(fired).line;
    self.halt();
    self.end(failure::stopped);
  }
  static void on_between(timer& fired) {
    http_line& self = static_cast<deadline&>(fired).line;
    std::unique_lock lock{self.mutex_};
    if (self.phase_ != phase::running) return;
    const auto limit = self.request_->timeouts().between_tokens;
    const auto now = self.loop_.now();
    auto due = later(self.content_at_, limit);
    // The reader is at work, not the server: it has yet to ask for what comes next.
    if (self.reader_ == nullptr || !self.arrived_.empty()) due = std::max(due, later(now, limit));
    if (now < due) {
      lock.unlock();
      self.between_->set_deadline(due);
      self.loop_.arm(*self.between_);
      return;
    }
    lock.unlock();
    self.halt();
    self.end(failure::timed_out_between);
  }

  static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* line) noexcept {
    http_line& self = *static_cast<http_line*>(line);
    self.any_byte_ = true;
    if (count > self.request_->max_response_bytes() - self.received_) {
      self.too_long_ = true;
      return 0;
    }
    self.received_ += count;
    try {
      std::unique_lock lock{self.mutex_};
      self.arrived_.append(bytes, count);
      if (self.wanted_ == part::bytes) self.wake(lock);
    } catch (...) {
      return 0;  // libcurl then says CURLE_WRITE_ERROR
    }
    return count;
  }
  static std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* line) noexcept {
    http_line& self = *static_cast<http_line*>(line);
    constexpr std::size_t most_header_bytes = std::size_t{256} << 10U;
    self.any_byte_ = true;
    self.header_bytes_ += count;
    if (self.header_bytes_ > most_header_bytes) {
      self.too_long_ = true;
      return 0;
    }
    try {
      self.on_header_line({bytes, count});
    } catch (...) {
      return 0;
    }
    return count;
  }
  void on_header_line(std::string_view line) {
    if (has_head_) return;  // a trailer
    if (line != "\r\n" && line != "\n") return head_.add_line(line);
    if (head_.status() < 200) return;  // interim
    first_byte_at_ = loop_.now();
    std::unique_lock lock{mutex_};
    has_head_ = true;
    if (wanted_ == part::head) wake(lock);
  }

  // ---- options

  void set_what_never_changes() {
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
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_USERAGENT, "felix");
    // Do not wait for a thread that still looks a host name up when the request is stopped: that can take seconds.
    set(CURLOPT_QUICK_EXIT, 1L);
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_ERRORBUFFER, detail_.data());
    loop_.reactor().prepare(easy());
  }
  void apply(const http_connection& how) {
    if (connection_ && *connection_ == how) return;
    connection_.reset();
    set(CURLOPT_MAXAGE_CONN, static_cast<long>(how.reuse_idle_up_to.count()));
    set(CURLOPT_NOPROXY, how.no_proxy ? "*" : static_cast<const char*>(nullptr));
    if (!how.ca_file.empty()) set(CURLOPT_CAINFO, how.ca_file.c_str());
    connection_ = how;
  }
  /// Taken apart once and not in each request: a fifth of what libcurl does for one.
  void apply(const std::string& url) {
    if (url_ == url && parsed_url_) return;
    url_ = url;
    parsed_url_.reset(curl_url());
    if (!parsed_url_) throw error{errc::io, "http: out of memory"};
    if (curl_url_set(parsed_url_.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
      parsed_url_.reset();
      throw error{errc::invalid_argument, "http: \"" + request_->origin() + "…\" is no URL; use http://host:port/path"};
    }
    set(CURLOPT_CURLU, parsed_url_.get());
  }
  template <class Value>
  CURLcode set_nothrow(CURLoption option, Value value) noexcept {
    return curl_easy_setopt(easy(), option, value);
  }
  template <class Value>
  void set(CURLoption option, Value value) {
    const CURLcode outcome = set_nothrow(option, value);
    // NETRC, HTTP/2 and TLS options are refused by a libcurl that was built without them, and are then not needed.
    if (outcome != CURLE_OK && outcome != CURLE_NOT_BUILT_IN && outcome != CURLE_UNKNOWN_OPTION &&
        outcome != CURLE_UNSUPPORTED_PROTOCOL)
      throw error{errc::io, std::string{"http: libcurl refused an option: "} + curl_easy_strerror(outcome)};
  }

  /// Ready for the next request.
  void reset() {
    if (fresh_) set_nothrow(CURLOPT_FRESH_CONNECT, 0L);
    request_.reset();
    head_.clear();
    constexpr std::size_t kept_bytes = std::size_t{16} << 10U;
    if (arrived_.capacity() > kept_bytes) std::string{}.swap(arrived_);
    arrived_.clear();
    received_ = header_bytes_ = 0;
    phase_ = phase::idle;
    failure_ = failure::none;
    outcome_ = CURLE_OK;
    wanted_ = part::all;
    stop_before_start_ = false;
    has_head_ = any_byte_ = too_long_ = fresh_ = reused_ = sent_ = false;
    start_failure_ = nullptr;
    detail_[0] = '\0';
    limit_.reset();
    between_.reset();
    sent_at_ = first_byte_at_ = ended_at_ = {};
    content_at_ = {};
    lingers_ = false;
  }

  // ---- errors

  [[nodiscard]] std::chrono::nanoseconds time_of(CURLINFO which) const noexcept {
    curl_off_t microseconds = 0;
    curl_easy_getinfo(easy(), which, &microseconds);
    return std::chrono::microseconds{microseconds};
  }
  [[noreturn]] void throw_failure() const {
    const std::string to = request_->origin();
    const http_timeouts& limits = request_->timeouts();
    switch (failure_) {
      case failure::start: std::rethrow_exception(start_failure_);
      case failure::stopped: throw cancelled{"waiting for " + to, sent_ ? request_cost::unknown : request_cost::none};
      case failure::too_long:
        throw error{errc::protocol,
                    "the answer of " + to + " is longer than " + std::to_string(request_->max_response_bytes()) +
                        " bytes; raise the bound if it should be",
                    request_cost::unknown};
      case failure::timed_out_first_byte: throw late(to + " did not begin to answer", limits.first_byte, "first_byte");
      case failure::timed_out_first_token: throw late(to + " sent no token", limits.first_token, "first_token");
      case failure::timed_out_between:
        throw late(to + " stopped in the middle of its answer and sent no more tokens", limits.between_tokens,
                   "between_tokens");
      case failure::timed_out_total: throw late(to + " did not answer", limits.total, "total");
      case failure::none:
      case failure::curl: break;
    }
    if (outcome_ == CURLE_OPERATION_TIMEDOUT)
      throw timed_out{to + " could not be connected to within " + std::to_string(limits.connect.count()) +
                          " ms; is the server overloaded? Raise timeouts.connect if it needs longer",
                      request_cost::none};
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
  static timed_out late(const std::string& what, std::chrono::milliseconds limit, const std::string& name) {
    return timed_out{what + " within " + std::to_string(limit.count()) +
                     " ms; is the server overloaded? Raise timeouts." + name + " if it needs longer"};
  }

  event_loop& loop_;
  std::optional<http_request> request_;
  std::optional<http_connection> connection_;  // as the handle is set up
  std::string url_;                            // the same
  struct url_deleter {
    void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
  };
  std::unique_ptr<CURLU, url_deleter> parsed_url_;
  reading reading_ = reading::as_a_whole;

  mutable std::mutex mutex_;  // guards the next nine, which the loop and the reader share while the transfer runs
  phase phase_ = phase::idle;
  failure failure_ = failure::none;
  part wanted_ = part::all;
  bool has_head_ = false;
  bool stop_before_start_ = false;
  bool stop_posted_ = false;  // then stop() wakes the reader, and nobody else
  continuation* reader_ = nullptr;
  std::string arrived_;
  clock::time_point content_at_{};  // of the last content; none yet: zero

  http_head head_;  // the loop's until has_head_
  std::size_t received_ = 0;
  std::size_t header_bytes_ = 0;
  CURLcode outcome_ = CURLE_OK;
  bool any_byte_ = false;  // of an answer, an interim one (1xx) too
  bool too_long_ = false;
  bool fresh_ = false;
  bool reused_ = false;
  bool sent_ = false;
  clock::time_point sent_at_{}, first_byte_at_{}, ended_at_{};
  std::exception_ptr start_failure_;
  std::array<char, CURL_ERROR_SIZE> detail_{};
  std::optional<deadline> limit_, between_;
  posted_call start_{[this] { begin(); }};
  posted_call stop_{[this] { stop(); }};
  std::shared_ptr<http_lines> abandoned_to_;  // then it has no reader any more, and is its own
  bool lingers_ = false;                      // abandoned, but its answer may end
};

/// Suspends until a part of the answer is there, or the request has ended.
/// Stop: the transfer ends, and its connection is closed; check() then throws `cancelled`.
class http_line::wait : private stop_callback_base {
 public:
  wait(http_line& line, part wanted) noexcept : stop_callback_base{&stop}, line_{line}, wanted_{wanted} {}

  [[nodiscard]] bool await_ready() const {
    std::scoped_lock lock{line_.mutex_};
    return is_there();
  }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    continuation_.set(caller);
    registered_ = true;
    enlist(continuation_.context().stop);
    http_line& line = line_;  // once the reader is known it may be woken, by another thread, and this be gone
    const bool on_loop = line.loop_.is_current() && continuation_.context().where == &line.loop_;
    std::unique_lock lock{line.mutex_};
    if (is_there()) return false;
    if (stopped_ && line.phase_ == phase::idle) {
      line.phase_ = phase::ended;
      line.failure_ = failure::stopped;
      return false;
    }
    is_parked_ = true;
    line.wanted_ = wanted_;
    line.reader_ = &continuation_;
    const bool starts = line.phase_ == phase::idle;
    if (starts) line.phase_ = phase::starting;
    if (stopped_) line.stop_posted_ = true;
    const bool stops = stopped_;
    lock.unlock();
    if (stops) {
      line.loop_.post(line.stop_);
    } else if (starts && on_loop) {
      line.begin();  // it cannot be woken before it has returned to the loop
    } else if (starts) {
      line.loop_.post(line.start_);
    }
    return true;
  }
  void await_resume() noexcept {
    if (registered_) delist(continuation_.context().stop);
  }

 private:
  [[nodiscard]] bool is_there() const noexcept {
    if (line_.phase_ == phase::ended) return true;
    return (wanted_ == part::head && line_.has_head_) || (wanted_ == part::bytes && !line_.arrived_.empty());
  }
  static void stop(stop_callback_base& self) noexcept {
    auto& waiting = static_cast<wait&>(self);
    http_line& line = waiting.line_;
    std::unique_lock lock{line.mutex_};
    if (!waiting.is_parked_) {
      waiting.stopped_ = true;
      return;
    }
    if (line.reader_ != &waiting.continuation_) return;  // woken already
    if (line.phase_ == phase::starting) {
      line.stop_before_start_ = true;
      return;
    }
    line.stop_posted_ = true;
    lock.unlock();
    line.loop_.post(line.stop_);
  }

  http_line& line_;
  part wanted_;
  bool registered_ = false;
  bool is_parked_ = false;  // this and the next: guarded by the line's mutex
  bool stopped_ = false;
  continuation continuation_;
};

inline std::unique_ptr<http_line> http_lines::take() {
  {
    std::scoped_lock lock{mutex_};
    if (!idle_.empty()) {
      auto line = std::move(idle_.back());
      idle_.pop_back();
      return line;
    }
  }
  return std::make_unique<http_line>(loop_);
}

inline void http_lines::give_back(std::unique_ptr<http_line> line) noexcept try {
  line->reset();
  std::scoped_lock lock{mutex_};
  idle_.push_back(std::move(line));
} catch (...) {  // no memory: one handle less
}

}  // namespace detail
}  // namespace felix::inline v1
