// SPDX-License-Identifier: MIT
// net: one request on the loop's thread, and the coroutine that reads its answer, on whatever thread that lives.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/posted_call.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/error.hpp>
#include <felix/net/detail/easy_handle.hpp>
#include <felix/net/detail/http_failure.hpp>
#include <felix/net/detail/http_lines.hpp>
#include <felix/net/detail/http_times.hpp>
#include <felix/net/detail/socket_count.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/http.hpp>

#include <curl/curl.h>

#include <array>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {
namespace detail {

class http_line;
class http_wait;
using http_lines = basic_http_lines<http_line>;

/// Used again for request after request. The transfer runs on the loop; one coroutine, of any thread, waits for a part of
/// its answer at a time.
class http_line final : private easy_handle, public curl_reactor::transfer {
  using clock = std::chrono::steady_clock;

 public:
  /// What a coroutine waits for.
  enum class part : unsigned char { head, bytes, all };
  using reading = http_reading;

  http_line(event_loop& loop, std::shared_ptr<socket_count> sockets)
      : transfer{easy_handle::get()}, loop_{loop}, sockets_{std::move(sockets)} {
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_PREREQFUNCTION, &on_request);
    set(CURLOPT_PREREQDATA, this);
    set(CURLOPT_ERRORBUFFER, detail_.data());
    set(CURLOPT_OPENSOCKETFUNCTION, &socket_count::open_socket);
    set(CURLOPT_OPENSOCKETDATA, sockets_.get());
    set(CURLOPT_CLOSESOCKETFUNCTION, &socket_count::close_socket);
    set(CURLOPT_CLOSESOCKETDATA, sockets_.get());
    loop_.reactor().prepare(easy());
  }

  /// Before the first wait.
  void prepare(http_request&& request, reading how) {
    request_.emplace(std::move(request));
    reading_ = how;
    apply(*request_);
  }

  [[nodiscard]] bool is_running() const noexcept {
    std::scoped_lock lock{mutex_};
    return phase_ == phase::running;
  }
  // For the coroutine that has waited.
  [[nodiscard]] bool has_head() const noexcept {
    std::scoped_lock lock{mutex_};
    return times_.has_head();
  }
  [[nodiscard]] http_head& head() noexcept { return head_; }
  /// 0: it was not sent yet.
  [[nodiscard]] std::chrono::nanoseconds since_sent() const noexcept {
    std::scoped_lock lock{mutex_};
    return times_.since_sent(loop_.now());
  }
  [[nodiscard]] http_timing timing() const noexcept {
    std::scoped_lock lock{mutex_};
    return times_.timing();
  }
  [[nodiscard]] bool reused_connection() const noexcept { return reused_; }
  [[nodiscard]] std::size_t sent_bytes() const noexcept { return request_->body() ? request_->body()->size() : 0; }
  /// What has come and was not taken yet. Swaps: the memory goes from hand to hand.
  void take_bytes(std::string& into) {
    into.clear();
    std::scoped_lock lock{mutex_};
    into.swap(arrived_);
  }
  /// Throws what ended the request too early; else it went well.
  void check() const {
    if (failure_ == http_failure::none) return;
    if (failure_ == http_failure::start) std::rethrow_exception(start_failure_);
    if (failure_ == http_failure::curl)
      throw_curl_failure(outcome_, detail_.data(), *request_, *this, reused_, any_byte_);
    throw_http_failure(failure_, *request_, times_.was_sent());
  }
  void content_arrived() {
    std::scoped_lock lock{mutex_};
    times_.content_came();
    if (between_ || phase_ != phase::running) return;
    between_.emplace(*this, later(loop_.now(), request_->timeouts().between_tokens), &on_between);
    loop_.arm(*between_);
  }

  /// For a request whose reader goes away: it is stopped, and the line goes back to `lines`.
  static void abandon(std::unique_ptr<http_line> line, const std::shared_ptr<http_lines>& lines) noexcept {
    if (line->loop_.is_here() && line->is_running()) line->cut(http_failure::stopped);
    if (!line->is_left_running(lines)) return lines->give_back(std::move(line));
    http_line* const self = line.release();  // its own, or the reactor's, from here on
    self->loop_.post(self->stop_);
  }

  /// For a reader that has all it wanted: the rest may come, so that the connection can be used again, but not for long.
  static void let_end(std::unique_ptr<http_line> line, const std::shared_ptr<http_lines>& lines) noexcept {
    if (!line->loop_.is_here() || !line->lingers_for(lines)) return abandon(std::move(line), lines);
    static_cast<void>(line.release());  // its own from here on
  }

 private:
  friend http_lines;
  friend class http_wait;
  enum class phase : unsigned char { idle, starting, running, ended };

  class deadline : public timer {
   public:
    deadline(http_line& of, clock::time_point when, void (*fire)(timer&)) noexcept : timer{when, fire}, line{of} {}
    http_line& line;
  };

  [[nodiscard]] bool is_left_running(const std::shared_ptr<http_lines>& lines) noexcept {
    std::scoped_lock lock{mutex_};
    if (phase_ != phase::running) return false;
    abandoned_to_ = lines;
    return true;
  }

  [[nodiscard]] bool lingers_for(const std::shared_ptr<http_lines>& lines) noexcept try {
    if (!is_running()) return false;
    if (http_line* const instead = lines->add_lingering(*this)) instead->cut(http_failure::stopped);
    std::scoped_lock lock{mutex_};
    if (between_) loop_.disarm(*between_);
    loop_.disarm(*limit_);
    loop_.arm(limit_.emplace(*this, later(loop_.now(), std::chrono::seconds{1}), &on_lingered));
    lingers_ = true;
    abandoned_to_ = lines;
    return true;
  } catch (...) {  // no memory
    return false;
  }

  // ---- on the loop's thread

  /// Throws nothing: a failure is told to the reader.
  void begin() {
    if (stopped_before_start()) return end(http_failure::stopped);
    try {
      if (sockets_) loop_.reactor().keep(std::exchange(sockets_, nullptr));
      loop_.reactor().start(*this);
      std::scoped_lock lock{mutex_};
      const auto now = loop_.now();
      times_.sent(now);
      loop_.arm(limit_.emplace(*this, next_limit(now), &on_limit));
    } catch (...) {
      start_failure_ = std::current_exception();
      return cut(http_failure::start);
    }
    std::unique_lock lock{mutex_};
    phase_ = phase::running;
    const bool stopped = stop_before_start_;
    lock.unlock();
    if (stopped) cut(http_failure::stopped);
  }
  [[nodiscard]] bool stopped_before_start() const noexcept {
    std::scoped_lock lock{mutex_};
    return stop_before_start_;
  }
  /// A stop request, or the reader has gone away.
  void stop() {
    if (is_running()) cut(http_failure::stopped);
    if (auto lines = std::move(abandoned_to_)) {
      loop_.reactor().stop(*this);  // it was kept
      return lines->give_back(std::unique_ptr<http_line>{this});
    }
    continuation* waiting = nullptr;
    {
      std::scoped_lock lock{mutex_};
      stop_posted_ = false;
      waiting = std::exchange(reader_, nullptr);
    }
    resume(*waiting);
  }

  void finished(CURLcode outcome) override {
    reused_ = get_info<long>(CURLINFO_NUM_CONNECTS) == 0;
    if (outcome == CURLE_ABORTED_BY_CALLBACK) {  // by on_request: what counts is the old connection that lost it
      outcome = CURLE_GOT_NOTHING;
      detail_[0] = '\0';
      reused_ = true;
    }
    const bool lost = outcome == CURLE_GOT_NOTHING || outcome == CURLE_SEND_ERROR || outcome == CURLE_RECV_ERROR;
    if (lost && reused_ && !any_byte_ && !fresh_ && !request_->is_at_most_once()) {
      // A server may close an idle connection just as a request goes out on it (RFC 9112 §9.3.1). Nothing came back, and
      // the connection was an old one: the request is sent once more, at once, on a new one.
      fresh_ = true;
      set_nothrow(CURLOPT_FRESH_CONNECT, 1L);
      if (restart()) return;
    }
    // A server that answers before it has read the whole request resets the HTTP/2 stream afterwards.
    if (outcome == CURLE_HTTP2_STREAM && has_whole_body()) outcome = CURLE_OK;
    outcome_ = outcome;
    end(outcome == CURLE_OK ? http_failure::none : too_long_ != http_failure::none ? too_long_ : http_failure::curl);
  }
  [[nodiscard]] bool has_whole_body() const noexcept {
    const auto length = get_info<curl_off_t>(CURLINFO_CONTENT_LENGTH_DOWNLOAD_T);  // -1: unknown
    return times_.has_head() && length >= 0 && static_cast<std::size_t>(length) == received_;
  }
  bool restart() noexcept try {
    loop_.reactor().start(*this);
    return true;
  } catch (...) {
    return false;
  }
  /// The loop has no timers any more, and no clock.
  void orphaned() noexcept override {
    if (abandoned_to_) {
      abandoned_to_->remove_lingering(*this);
      delete this;
      return;
    }
    std::scoped_lock lock{mutex_};  // nobody waits: a coroutine would have been joined
    phase_ = phase::ended;
    failure_ = http_failure::stopped;
  }

  void cut(http_failure why) noexcept {
    loop_.reactor().stop(*this);
    end(why);
  }
  /// The reader may give the line back at once, on its own thread.
  void end(http_failure how) noexcept {
    std::unique_lock lock{mutex_};
    times_.ended(loop_.now());
    phase_ = phase::ended;  // so that content_arrived() arms nothing behind our back
    failure_ = how;
    if (limit_) loop_.disarm(*limit_);
    if (between_) loop_.disarm(*between_);
    if (abandoned_to_ && !lingers_) loop_.reactor().keep(*this);  // stop() is posted, but the loop may end before
    const bool lingers = lingers_;                                // once a reader was woken the line is no longer ours
    wake(lock);
    if (!lingers) return;
    const auto lines = std::move(abandoned_to_);
    lines->give_back(std::unique_ptr<http_line>{this});
  }
  /// Gives the lock back.
  void wake(std::unique_lock<std::mutex>& lock) {
    if (stop_posted_) return lock.unlock();  // stop() will
    continuation* const waiting = std::exchange(reader_, nullptr);
    if (waiting != nullptr) times_.reader_goes_on(loop_.now());
    lock.unlock();
    if (waiting != nullptr) resume(*waiting);
  }
  /// Never here and now, which may be inside libcurl.
  void resume(continuation& waiting) {
    if (waiting.context().where != nullptr) return waiting.post();
    loop_.post(waiting);  // of a coroutine type that is not felix's
  }

  // The next two are called under the lock.

  [[nodiscard]] clock::time_point next_limit(clock::time_point now) const noexcept {
    return times_.next_limit(request_->timeouts(), reading_, now);
  }
  /// False: the limit is over.
  bool arm_again(deadline& limit, clock::time_point due, clock::time_point now) {
    if (due <= now) return false;
    limit.set_deadline(due);
    loop_.arm(limit);
    return true;
  }

  static void on_limit(timer& fired) {
    http_line& self = static_cast<deadline&>(fired).line;
    std::unique_lock lock{self.mutex_};
    const auto now = self.loop_.now();
    if (self.phase_ != phase::running || self.arm_again(*self.limit_, self.next_limit(now), now)) return;
    const http_failure why = self.times_.late(self.request_->timeouts(), now);
    lock.unlock();
    self.cut(why);
  }
  static void on_lingered(timer& fired) { static_cast<deadline&>(fired).line.cut(http_failure::stopped); }
  static void on_between(timer& fired) {
    http_line& self = static_cast<deadline&>(fired).line;
    std::unique_lock lock{self.mutex_};
    if (self.phase_ != phase::running) return;
    const auto now = self.loop_.now();
    const auto due = self.times_.patience_ends(self.request_->timeouts().between_tokens, now);
    if (self.arm_again(*self.between_, due, now)) return;
    lock.unlock();
    self.cut(http_failure::late_between);
  }

  /// Goes out now. What was lost on an old connection libcurl by itself sends again, up to five times, and on other old
  /// ones, which are dead too when the server was started anew: that is left to finished(). A request that costs money or
  /// kills servers is sent twice at most.
  static int on_request(void* line, char*, char*, int, int) noexcept {
    http_line& self = *static_cast<http_line*>(line);
    const bool is_again = std::exchange(self.went_out_, true);
    const bool is_on_old_one = self.get_info<long>(CURLINFO_NUM_CONNECTS) == 0;
    const bool may_not = is_on_old_one || self.request_->is_at_most_once();
    return is_again && may_not ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
  }
  static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* line) noexcept {
    http_line& self = *static_cast<http_line*>(line);
    self.any_byte_ = true;
    if (count > self.request_->max_response_bytes() - self.received_) {
      self.too_long_ = http_failure::too_long;
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
    self.any_byte_ = true;
    self.header_bytes_ += count;
    if (self.header_bytes_ > most_header_bytes) {
      self.too_long_ = http_failure::header_too_long;
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
    if (times_.has_head()) return;  // a trailer
    if (line != "\r\n" && line != "\n") return head_.add_line(line);
    if (head_.status() < 200) return;  // interim
    std::unique_lock lock{mutex_};
    times_.head_came(loop_.now());
    if (wanted_ == part::head) wake(lock);
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
    failure_ = too_long_ = http_failure::none;
    outcome_ = CURLE_OK;
    wanted_ = part::all;
    stop_before_start_ = lingers_ = any_byte_ = went_out_ = fresh_ = reused_ = false;
    start_failure_ = nullptr;
    detail_[0] = '\0';
    limit_.reset();
    between_.reset();
    times_ = {};
  }

  event_loop& loop_;
  std::shared_ptr<socket_count> sockets_;  // null: the reactor keeps it
  std::optional<http_request> request_;
  reading reading_ = reading::as_a_whole;

  mutable std::mutex mutex_;  // guards what follows, up to abandoned_to_, while the transfer runs
  phase phase_ = phase::idle;
  http_failure failure_ = http_failure::none;
  part wanted_ = part::all;
  bool stop_before_start_ = false;
  bool stop_posted_ = false;  // then stop() wakes the reader, and nobody else
  bool lingers_ = false;      // abandoned, and nobody stops it: its answer may end
  continuation* reader_ = nullptr;
  std::string arrived_;
  http_times times_;
  std::optional<deadline> between_;
  std::shared_ptr<http_lines> abandoned_to_;  // then it has no reader any more

  http_head head_;  // the loop's until times_.has_head(), as the rest is until the end
  std::size_t received_ = 0;
  std::size_t header_bytes_ = 0;
  CURLcode outcome_ = CURLE_OK;
  http_failure too_long_ = http_failure::none;
  bool any_byte_ = false;  // of an answer, an interim one (1xx) too
  bool went_out_ = false;
  bool fresh_ = false;
  bool reused_ = false;
  std::exception_ptr start_failure_;
  std::array<char, CURL_ERROR_SIZE> detail_{};
  std::optional<deadline> limit_;
  posted_call start_{[this] { begin(); }};
  posted_call stop_{[this] { stop(); }};
};

}  // namespace detail
}  // namespace felix::inline v1
