// SPDX-License-Identifier: MIT
// llm: a chat request and its answer, as values.
#pragma once

#include <felix/error.hpp>
#include <felix/priority.hpp>
#include <felix/usage.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Who speaks in a message.
enum class chat_role : unsigned char { system, user, assistant };

[[nodiscard]] constexpr std::string_view to_string(chat_role role) noexcept {
  switch (role) {
    case chat_role::system: return "system";
    case chat_role::user: return "user";
    case chat_role::assistant: return "assistant";
  }
  return "user";
}

struct chat_message {
  chat_role role = chat_role::user;
  std::string content = {};
};

/// What is asked. A value, built fluently: a setter changes a named request, and gives a new one from a temporary.
///     auto chat = felix::chat_request{}.system("You are terse.").user("Name a river.").temperature(0.2);
///     auto river = co_await llm.complete(chat);
///     auto longer = co_await llm.complete(chat.assistant(river.text()).user("How long is it?"));
/// Not an aggregate: g++ 12 destroys aggregate temporaries of a co_await expression twice.
class chat_request {
 public:
  chat_request() = default;

  chat_request& system(std::string text) & { return add(chat_role::system, std::move(text)); }
  chat_request system(std::string text) && { return std::move(system(std::move(text))); }
  chat_request& user(std::string text) & { return add(chat_role::user, std::move(text)); }
  chat_request user(std::string text) && { return std::move(user(std::move(text))); }
  chat_request& assistant(std::string text) & { return add(chat_role::assistant, std::move(text)); }
  chat_request assistant(std::string text) && { return std::move(assistant(std::move(text))); }

  /// The most tokens of the answer, at least 1: some servers read 0 as "no limit", others as 1.
  chat_request& max_tokens(token_count tokens) & {
    if (tokens < 1)
      throw error{errc::invalid_argument, "chat_request: max_tokens is " + std::to_string(tokens) +
                                              "; ask for at least 1, or do not send the request"};
    max_tokens_ = tokens;
    return *this;
  }
  chat_request max_tokens(token_count tokens) && { return std::move(max_tokens(tokens)); }

  /// 0 to 2; higher is more varied.
  chat_request& temperature(double value) & {
    if (!(value >= 0.0 && value <= 2.0))
      throw error{errc::invalid_argument, "chat_request: temperature is " + std::to_string(value) + "; use 0 to 2"};
    temperature_ = value;
    return *this;
  }
  chat_request temperature(double value) && { return std::move(temperature(value)); }

  /// Asks the server to repeat itself: the same request and seed, the same answer, as far as it can. Sent in 31 bits,
  /// which every server takes.
  chat_request& seed(std::uint64_t value) & {
    seed_ = value & 0x7fff'ffffU;
    return *this;
  }
  chat_request seed(std::uint64_t value) && { return std::move(seed(value)); }

  /// Overrides the model of the client.
  chat_request& model(std::string name) & {
    model_ = std::move(name);
    return *this;
  }
  chat_request model(std::string name) && { return std::move(model(std::move(name))); }

  /// Who goes first when a slot is freed.
  chat_request& priority(request_priority level) & {
    priority_ = level;
    return *this;
  }
  chat_request priority(request_priority level) && { return std::move(priority(level)); }

  [[nodiscard]] const std::vector<chat_message>& messages() const noexcept { return messages_; }
  [[nodiscard]] std::optional<token_count> max_tokens() const noexcept { return max_tokens_; }
  [[nodiscard]] std::optional<double> temperature() const noexcept { return temperature_; }
  [[nodiscard]] std::optional<std::uint64_t> seed() const noexcept { return seed_; }
  [[nodiscard]] const std::string& model() const noexcept { return model_; }
  [[nodiscard]] request_priority priority() const noexcept { return priority_; }

 private:
  chat_request& add(chat_role role, std::string text) {
    messages_.push_back({role, std::move(text)});
    return *this;
  }

  std::vector<chat_message> messages_;
  std::optional<token_count> max_tokens_;
  std::optional<double> temperature_;
  std::optional<std::uint64_t> seed_;
  std::string model_;  // empty: the client's
  request_priority priority_ = request_priority::normal;
};

/// Why an answer ended.
enum class finish_reason : unsigned char {
  stop,            ///< it was complete
  length,          ///< max_tokens were used up, or the context was full
  content_filter,  ///< the server withheld it
  other            ///< the server said something else, or nothing
};

[[nodiscard]] constexpr std::string_view to_string(finish_reason reason) noexcept {
  switch (reason) {
    case finish_reason::stop: return "stop";
    case finish_reason::length: return "length";
    case finish_reason::content_filter: return "content_filter";
    case finish_reason::other: return "other";
  }
  return "other";
}

/// Where the time of a request went.
struct chat_timing {
  std::chrono::nanoseconds waited{0};              ///< in our queue, for a permit
  std::chrono::nanoseconds time_to_first_byte{0};  ///< from sending to the first byte of the answer
  std::chrono::nanoseconds total{0};               ///< from sending to the end of the answer
};

/// What was answered.
class chat_response {
 public:
  chat_response() = default;
  explicit chat_response(std::string text) : text_{std::move(text)} {}

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] felix::finish_reason finish_reason() const noexcept { return finish_reason_; }
  [[nodiscard]] const token_usage& usage() const noexcept { return usage_; }
  [[nodiscard]] const chat_timing& timing() const noexcept { return timing_; }
  /// The model that answered, as the server calls it.
  [[nodiscard]] const std::string& model() const noexcept { return model_; }

  chat_response& text(std::string value) {
    text_ = std::move(value);
    return *this;
  }
  chat_response& finish_reason(felix::finish_reason value) noexcept {
    finish_reason_ = value;
    return *this;
  }
  chat_response& usage(const token_usage& value) noexcept {
    usage_ = value;
    return *this;
  }
  chat_response& timing(const chat_timing& value) noexcept {
    timing_ = value;
    return *this;
  }
  chat_response& model(std::string value) {
    model_ = std::move(value);
    return *this;
  }

 private:
  std::string text_;
  felix::finish_reason finish_reason_ = felix::finish_reason::stop;
  token_usage usage_;
  chat_timing timing_;
  std::string model_;
};

}  // namespace felix::inline v1
