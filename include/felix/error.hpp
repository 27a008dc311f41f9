// SPDX-License-Identifier: MIT
// Every exception of felix: a std::runtime_error with a std::error_code, and a few that carry data.
#pragma once

#include <felix/error_kind.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace felix::inline v1 {

/// What went wrong, as a number that programs can compare; the message of the exception is for people.
enum class errc {
  invalid_option = 1,  ///< an option out of its range, found when the object that takes it is built
  invalid_argument,    ///< an argument that no server could accept, found before anything is sent
  cancelled,           ///< a stop was requested
  timed_out,           ///< a time limit ran out
  deadlock,            ///< waiting here could never end
  queue_full,          ///< a bounded queue had no room
  budget_exceeded,     ///< the tokens asked for are not left
  transport,           ///< no answer came: refused, reset, cut short, unknown host
  bad_status,          ///< a server answered with an error
  protocol,            ///< a server's answer is not what the protocol says
  io                   ///< the operating system refused a file, a pipe, a signal
};

}  // namespace felix::inline v1

template <>
struct std::is_error_code_enum<felix::errc> : std::true_type {};

namespace felix::inline v1 {

namespace detail {

class error_category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "felix"; }
  [[nodiscard]] std::string message(int condition) const override {
    switch (static_cast<errc>(condition)) {
      case errc::invalid_option: return "invalid option";
      case errc::invalid_argument: return "invalid argument";
      case errc::cancelled: return "cancelled";
      case errc::timed_out: return "timed out";
      case errc::deadlock: return "deadlock";
      case errc::queue_full: return "queue full";
      case errc::budget_exceeded: return "budget exceeded";
      case errc::transport: return "transport error";
      case errc::bad_status: return "server error";
      case errc::protocol: return "protocol error";
      case errc::io: return "input/output error";
    }
    return "unknown";
  }
};

}  // namespace detail

/// The category of `errc`; its name is "felix".
[[nodiscard]] inline const std::error_category& felix_category() noexcept {
  static const detail::error_category category;
  return category;
}

[[nodiscard]] inline std::error_code make_error_code(errc condition) noexcept {
  return {static_cast<int>(condition), felix_category()};
}

/// Whether a request that failed can have cost tokens: a budget then charges what may have been spent.
enum class request_cost : unsigned char {
  none,    ///< it was never sent, or the server refused it
  unknown  ///< it was sent, and the server may have worked on it
};

/// The kind of an error of which no more is known than its code.
[[nodiscard]] constexpr error_kind error_kind_of(errc condition) noexcept {
  switch (condition) {
    case errc::cancelled: return error_kind::cancelled;
    case errc::timed_out: return error_kind::timeout_total;
    case errc::transport: return error_kind::transport_reset;
    case errc::bad_status: return error_kind::server_error;
    case errc::protocol: return error_kind::protocol_error;
    case errc::queue_full: return error_kind::queue_full;
    case errc::invalid_argument: return error_kind::bad_request;
    case errc::invalid_option:
    case errc::deadlock:
    case errc::budget_exceeded:
    case errc::io: break;
  }
  return error_kind::other;
}

/// What an attempt that failed so may have cost: nothing when it was not sent, or the server refused to work on it.
[[nodiscard]] constexpr request_cost request_cost_of(error_kind kind) noexcept {
  switch (kind) {
    case error_kind::timeout_first_byte:
    case error_kind::timeout_first_token:
    case error_kind::timeout_idle:
    case error_kind::timeout_total:
    case error_kind::transport_stale:
    case error_kind::transport_reset:
    case error_kind::server_error:
    case error_kind::protocol_error:
    case error_kind::truncated_stream: return request_cost::unknown;
    default: return request_cost::none;
  }
}

/// The base of all. what() says what happened, to which request or agent, and what to do next.
class error : public std::runtime_error {
 public:
  error(std::error_code code, const std::string& message, request_cost cost = request_cost::none,
        error_kind kind = error_kind::other)
      : std::runtime_error{message}, code_{code}, cost_{cost}, kind_{kind} {}
  error(errc condition, const std::string& message, request_cost cost = request_cost::none)
      : error{condition, message, cost, error_kind_of(condition)} {}
  error(errc condition, const std::string& message, request_cost cost, error_kind kind)
      : error{make_error_code(condition), message, cost, kind} {}

  [[nodiscard]] const std::error_code& code() const noexcept { return code_; }
  [[nodiscard]] error_kind kind() const noexcept { return kind_; }
  [[nodiscard]] request_cost cost() const noexcept { return cost_; }

 private:
  std::error_code code_;
  request_cost cost_;
  error_kind kind_;
};

/// The task was asked to stop while it waited. Not a failure of anything: let it through.
class cancelled : public error {
 public:
  explicit cancelled(std::string_view while_doing, request_cost cost = request_cost::none)
      : error{errc::cancelled, "cancelled while " + std::string{while_doing}, cost} {}
};

/// A time limit ran out.
class timed_out : public error {
 public:
  explicit timed_out(const std::string& message, request_cost cost = request_cost::unknown,
                     error_kind kind = error_kind::timeout_total)
      : error{errc::timed_out, message, cost, kind} {}
  timed_out(const std::string& message, error_kind kind) : timed_out{message, request_cost_of(kind), kind} {}
};

/// The wait that was asked for would block the thread that has to end it.
class deadlock_error : public error {
 public:
  explicit deadlock_error(const std::string& message) : error{errc::deadlock, message} {}
};

/// No whole answer came back: connection refused or reset, host unknown, body cut short.
class transport_error : public error {
 public:
  /// `native` is libcurl's CURLcode.
  transport_error(const std::string& message, int native, request_cost cost = request_cost::unknown,
                  error_kind kind = error_kind::transport_reset)
      : error{errc::transport, message, cost, kind}, native_{native} {}
  transport_error(const std::string& message, int native, error_kind kind)
      : transport_error{message, native, request_cost_of(kind), kind} {}

  [[nodiscard]] int native_code() const noexcept { return native_; }

 private:
  int native_;
};

/// A server answered with a status other than 2xx, or with an error inside a stream that had begun well.
class api_error : public error {
 public:
  struct details {
    int status = 0;                 ///< the HTTP status; of an error inside a stream the one it names, else 200
    std::string type = {};          ///< error.type as the server sent it, or empty
    std::string code = {};          ///< error.code, a number as its digits, or empty
    std::string body_excerpt = {};  ///< at most 512 bytes of the body, control characters removed
    std::optional<std::chrono::milliseconds> retry_after = {};  ///< what the server asked to wait
    error_kind kind = error_kind::other;                        ///< other: by the status alone
    std::string request_id = {};                                ///< what the server's log calls it, or empty
    std::string param = {};                                     ///< error.param: the field that is wrong, or empty
    std::optional<bool> should_retry = {};                      ///< x-should-retry: what the server advises
    std::optional<std::int64_t> prompt_tokens = {};   ///< of a context_overflow: what the prompt has, if it said so
    std::optional<std::int64_t> context_tokens = {};  ///< of a context_overflow: what the context holds, if it said so
  };

  /// A server that fails may have worked; one that refuses (4xx, 503, by kind) has not.
  api_error(const std::string& message, details d) : api_error{message, with_kind(std::move(d))} {}
  /// For who knows better: after the first token of a stream nothing is free.
  api_error(const std::string& message, details d, request_cost cost)
      : api_error{message, with_kind(std::move(d)), cost} {}

  [[nodiscard]] int status() const noexcept { return details_.status; }
  [[nodiscard]] const std::string& type() const noexcept { return details_.type; }
  [[nodiscard]] const std::string& provider_code() const noexcept { return details_.code; }
  [[nodiscard]] const std::string& body_excerpt() const noexcept { return details_.body_excerpt; }
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept { return details_.retry_after; }
  [[nodiscard]] const std::string& request_id() const noexcept { return details_.request_id; }
  [[nodiscard]] const std::string& param() const noexcept { return details_.param; }
  [[nodiscard]] std::optional<bool> should_retry() const noexcept { return details_.should_retry; }
  [[nodiscard]] std::optional<std::int64_t> prompt_tokens() const noexcept { return details_.prompt_tokens; }
  [[nodiscard]] std::optional<std::int64_t> context_tokens() const noexcept { return details_.context_tokens; }

 private:
  struct known {
    details d;
  };
  api_error(const std::string& message, known&& k) : api_error{message, std::move(k), cost_of(k.d)} {}
  api_error(const std::string& message, known&& k, request_cost cost)
      : error{errc::bad_status, message, cost, k.d.kind}, details_{std::move(k.d)} {}

  [[nodiscard]] static known with_kind(details d) noexcept {
    if (d.kind == error_kind::other) d.kind = error_kind_of_status(d.status);
    return {std::move(d)};
  }
  [[nodiscard]] static request_cost cost_of(const details& d) noexcept {
    const bool refused = d.status >= 400 && d.status < 500;  // 408, 409 and 425 as well, whose kind says "failed"
    return refused ? request_cost::none : request_cost_of(d.kind);
  }

  details details_;
};

}  // namespace felix::inline v1
