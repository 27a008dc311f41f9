// SPDX-License-Identifier: MIT
// net: HTTP requests over libcurl, awaited, as a whole or as the answer comes.
#pragma once

#include <felix/async/task.hpp>
#include <felix/net/detail/http_line.hpp>
#include <felix/net/detail/http_wait.hpp>
#include <felix/net/event_loop.hpp>
#include <felix/net/http.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

// These are templates, so that a program compiles what it calls of them: without optimisation g++ compiles all coroutines
// of a class that is none, and what these call, in every file.
template <class Loop>
class basic_http_client;

/// One request, and its answer as it comes. It is sent when head() is first awaited.
///     auto exchange = http.open(request);
///     if ((co_await exchange.head()).is_ok())
///       for (;;) {
///         const std::string_view bytes = co_await exchange.read();
///         if (bytes.empty()) break;
///         use(bytes);
///       }
/// Threads:  one coroutine at a time, of any thread.
/// Stop:     the transfer ends at once and its connection is closed; throws `cancelled`.
/// Throws:   transport_error, timed_out, or error (protocol) for an answer over its bound.
/// Lifetime: destroyed before the end of the answer, it closes the connection, which makes servers stop working.
template <class Loop>
class basic_http_exchange {
 public:
  basic_http_exchange(std::shared_ptr<detail::http_lines> lines, http_request request, detail::http_line::reading how)
      : basic_http_exchange{std::move(lines)} {
    line_->prepare(std::move(request), how);  // should it throw, the destructor gives the line back
  }
  basic_http_exchange(basic_http_exchange&&) noexcept = default;
  basic_http_exchange& operator=(basic_http_exchange&&) = delete;
  ~basic_http_exchange() {
    if (line_) detail::http_line::abandon(std::move(line_), lines_);
  }

  /// The status and the headers.
  task<const http_head*> head() {
    assert(line_ && "felix::http_exchange: moved from");
    co_await detail::http_wait{*line_, detail::http_line::part::head};
    if (!line_->has_head()) line_->check();
    co_return &line_->head();
  }

  /// Awaited, it comes back when the answer is complete, or has failed: whole() then gives it. For an exchange that was
  /// opened to be read as a whole.
  [[nodiscard("nothing happens until it is awaited")]] detail::http_wait all() noexcept {
    assert(line_ && "felix::http_exchange: moved from");
    return detail::http_wait{*line_, detail::http_line::part::all};
  }
  /// Once, after all().
  [[nodiscard]] http_response whole() {
    line_->check();
    http_response response;
    response.head = std::move(line_->head());
    line_->take_bytes(response.body);
    response.timing = line_->timing();
    response.reused_connection = line_->reused_connection();
    return response;
  }

  /// Whatever has come since, at least a byte; empty at the end of the answer. Valid until the next read(). At least
  /// `padding` bytes behind it can be read too, as simdjson wants it.
  task<std::string_view> read() {
    assert(line_ && "felix::http_exchange: moved from");
    co_await detail::http_wait{*line_, detail::http_line::part::bytes};
    line_->take_bytes(bytes_);
    if (bytes_.empty()) line_->check();
    bytes_.reserve(bytes_.size() + padding);
    co_return std::string_view{bytes_};
  }
  static constexpr std::size_t padding = 64;

  /// The reader has found content in what it read, or asks for more of it: http_timeouts::between_tokens begins anew.
  void content_arrived() { line_->content_arrived(); }

  /// Of the body of the request.
  [[nodiscard]] std::size_t sent_bytes() const noexcept { return line_->sent_bytes(); }

  /// Of what has come so far.
  [[nodiscard]] http_timing timing() const noexcept { return line_ ? line_->timing() : timing_; }
  /// 0: it was not sent yet.
  [[nodiscard]] std::chrono::nanoseconds since_sent() const noexcept {
    return line_ ? line_->since_sent() : since_sent_;
  }

  /// The reader has all it wanted. What is left of the answer may come, a second at most, so that the connection can be
  /// used again. Nothing but timing() is called after it.
  void let_end() noexcept {
    timing_ = line_->timing();
    since_sent_ = line_->since_sent();
    detail::http_line::let_end(std::move(line_), lines_);
  }

 private:
  friend class basic_http_client<Loop>;
  explicit basic_http_exchange(std::shared_ptr<detail::http_lines> lines)
      : lines_{std::move(lines)}, line_{lines_->take()} {}

  std::shared_ptr<detail::http_lines> lines_;
  std::unique_ptr<detail::http_line> line_;  // null after let_end()
  std::string bytes_;
  http_timing timing_;
  std::chrono::nanoseconds since_sent_{0};
};

using http_exchange = basic_http_exchange<event_loop>;

/// Sends requests over connections that it keeps alive.
///     auto answer = co_await http.send(request);
/// Redirects are not followed: the Authorization header and the body would go to whoever the server names.
/// Threads:  send from any thread; the transfer runs on the loop, and the coroutine goes on where it lives.
/// Stop:     the transfer ends at once and its connection is closed; throws `cancelled`.
/// Throws:   transport_error, timed_out, or error (protocol) for a body over its bound. A status is not an error here.
/// Lifetime: the loop outlives the client, and the client its requests.
/// See:      RFC 9110, RFC 9112.
template <class Loop>
class basic_http_client {
 public:
  explicit basic_http_client(Loop& loop) : lines_{std::make_shared<detail::http_lines>(loop)} {}
  basic_http_client(basic_http_client&&) = delete;

  task<http_response> send(http_request request) {
    basic_http_exchange<Loop> exchange = open(std::move(request), reading::as_a_whole);
    co_await exchange.all();
    co_return exchange.whole();
  }

  using reading = detail::http_line::reading;
  [[nodiscard]] basic_http_exchange<Loop> open(http_request request, reading how = reading::as_it_comes) {
    return {lines_, std::move(request), how};
  }

  [[nodiscard]] http_usage usage_stats() const {
    http_usage copy;
    lines_->with_usage([&](const http_usage& now) { copy = now; });
    return copy;
  }
  /// Calls `read` with the usage. No request begins or ends meanwhile.
  template <class Read>
  void with_usage(Read&& read) const {
    lines_->with_usage(std::forward<Read>(read));
  }

 private:
  std::shared_ptr<detail::http_lines> lines_;
};

using http_client = basic_http_client<event_loop>;

}  // namespace felix::inline v1
