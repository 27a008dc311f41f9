// SPDX-License-Identifier: MIT
// Every exception of felix: a std::runtime_error with a std::error_code, and a few that carry data.
#pragma once

#include <chrono>
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

/// The base of all. what() says what happened, to which request or agent, and what to do next.
class error : public std::runtime_error {
 public:
  error(std::error_code code, const std::string& message, request_cost cost = request_cost::none)
      : std::runtime_error{message}, code_{code}, cost_{cost} {}
  error(errc condition, const std::string& message, request_cost cost = request_cost::none)
      : error{make_error_code(condition), message, cost} {}

  [[nodiscard]] const std::error_code& code() const noexcept { return code_; }
  [[nodiscard]] request_cost cost() const noexcept { return cost_; }

 private:
  std::error_code code_;
  request_cost cost_;
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
  explicit timed_out(const std::string& message, request_cost cost = request_cost::unknown)
      : error{errc::timed_out, message, cost} {}
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
  transport_error(const std::string& message, int native, request_cost cost = request_cost::unknown)
      : error{errc::transport, message, cost}, native_{native} {}

  [[nodiscard]] int native_code() const noexcept { return native_; }

 private:
  int native_;
};

/// A server answered with a status other than 2xx.
class api_error : public error {
 public:
  struct details {
    int status = 0;                 ///< the HTTP status
    std::string type = {};          ///< error.type as the server sent it, or empty
    std::string code = {};          ///< error.code, a number as its digits, or empty
    std::string body_excerpt = {};  ///< at most 512 bytes of the body, control characters removed
    std::optional<std::chrono::milliseconds> retry_after = {};  ///< what the server asked to wait
  };

  /// A server that fails (5xx) may have worked; one that refuses (other statuses, and 503) has not.
  api_error(const std::string& message, details d)
      : error{errc::bad_status, message,
              d.status >= 500 && d.status != 503 ? request_cost::unknown : request_cost::none},
        details_{std::move(d)} {}

  [[nodiscard]] int status() const noexcept { return details_.status; }
  [[nodiscard]] const std::string& type() const noexcept { return details_.type; }
  [[nodiscard]] const std::string& provider_code() const noexcept { return details_.code; }
  [[nodiscard]] const std::string& body_excerpt() const noexcept { return details_.body_excerpt; }
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept { return details_.retry_after; }

 private:
  details details_;
};

}  // namespace felix::inline v1
