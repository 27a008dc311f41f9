// SPDX-License-Identifier: MIT
// llm: the answer to a chat request, whole and in pieces.
#pragma once

#include <felix/llm/chat_message.hpp>
#include <felix/llm/detail/shared_value.hpp>
#include <felix/llm/rate_limit_report.hpp>
#include <felix/usage.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// Why an answer ended.
enum class finish_reason : unsigned char {
  stop,            ///< it was complete
  length,          ///< max_tokens were used up, or the context was full
  content_filter,  ///< the server withheld it
  tool_calls,      ///< the model waits for the results of the calls that it asks for
  other            ///< the server said something else, or nothing
};

[[nodiscard]] constexpr std::string_view to_string(finish_reason reason) noexcept {
  switch (reason) {
    case finish_reason::stop: return "stop";
    case finish_reason::length: return "length";
    case finish_reason::content_filter: return "content_filter";
    case finish_reason::tool_calls: return "tool_calls";
    case finish_reason::other: return "other";
  }
  return "other";
}

/// Where the time of a request went.
struct chat_timing {
  std::chrono::nanoseconds waited{0};               ///< in our queue, for a permit
  std::chrono::nanoseconds time_to_first_byte{0};   ///< from sending to the status line of the answer
  std::chrono::nanoseconds time_to_first_token{0};  ///< from sending to the first content of a stream; else 0
  std::chrono::nanoseconds total{0};                ///< from sending to the end of the answer
  /// In the server's queue, where that shows: of llama.cpp.
  std::optional<std::chrono::nanoseconds> queued = {};
};

/// What the server says about its own work (llama.cpp). Its time in the server's queue is in neither.
struct server_timing {
  std::chrono::nanoseconds prompt{0};     ///< reading the prompt
  std::chrono::nanoseconds generated{0};  ///< writing the answer
};

/// A token of an answer, and how likely it was.
struct token_logprob {
  std::string token = {};
  double logprob = 0;
  std::vector<std::pair<std::string, double>> alternatives = {};  ///< the likeliest, as many as were asked for
};

/// One of the answers to a request.
struct chat_choice {
  std::string text = {};
  std::string reasoning = {};  ///< what the model thought before it answered, where the server shows it
  std::string refusal = {};    ///< why the model did not answer
  std::vector<tool_call> tool_calls = {};
  std::vector<token_logprob> logprobs = {};
  felix::finish_reason finish_reason = felix::finish_reason::stop;
};

/// What was answered. What a server does not send is empty, 0 or `other`; usage that it does not send is marked as
/// estimated. Copies share it until one is changed.
class chat_response {
 public:
  chat_response() = default;
  explicit chat_response(std::string text) { this->text(std::move(text)); }

  // Of the first answer, mostly the only one.
  [[nodiscard]] const std::string& text() const noexcept { return choices().front().text; }
  [[nodiscard]] const std::string& reasoning() const noexcept { return choices().front().reasoning; }
  [[nodiscard]] const std::string& refusal() const noexcept { return choices().front().refusal; }
  [[nodiscard]] const std::vector<tool_call>& tool_calls() const noexcept { return choices().front().tool_calls; }
  [[nodiscard]] const std::vector<token_logprob>& logprobs() const noexcept { return choices().front().logprobs; }
  [[nodiscard]] felix::finish_reason finish_reason() const noexcept { return choices().front().finish_reason; }
  /// All answers, at least 1.
  [[nodiscard]] const std::vector<chat_choice>& choices() const noexcept { return content_.get().choices; }

  [[nodiscard]] const token_usage& usage() const noexcept { return content_.get().usage; }
  [[nodiscard]] const chat_timing& timing() const noexcept { return content_.get().timing; }
  [[nodiscard]] const std::optional<server_timing>& timing_of_server() const noexcept {
    return content_.get().server_timing;
  }
  /// What its headers said about requests and tokens per minute; null: nothing.
  [[nodiscard]] const rate_limit_report* rate_limits() const noexcept { return content_.get().rate_limits.get(); }
  /// The model that answered, as the server calls it.
  [[nodiscard]] const std::string& model() const noexcept { return content_.get().model; }
  [[nodiscard]] const std::string& id() const noexcept { return content_.get().id; }

  // For models and layers.
  chat_response& text(std::string value) {
    content_.own().choices.front().text = std::move(value);
    return *this;
  }
  chat_response& finish_reason(felix::finish_reason value) {
    content_.own().choices.front().finish_reason = value;
    return *this;
  }
  /// The answer of that index, made if need be.
  [[nodiscard]] chat_choice& choice(std::size_t index) {
    auto& choices = content_.own().choices;
    if (index >= choices.size()) choices.resize(index + 1);
    return choices[index];
  }
  chat_response& usage(const token_usage& value) {
    content_.own().usage = value;
    return *this;
  }
  chat_response& timing(const chat_timing& value) {
    content_.own().timing = value;
    return *this;
  }
  chat_response& timing_of_server(const server_timing& value) {
    content_.own().server_timing = value;
    return *this;
  }
  chat_response& rate_limits(const rate_limit_report& value) {
    content_.own().rate_limits = std::make_shared<const rate_limit_report>(value);
    return *this;
  }
  chat_response& model(std::string value) {
    content_.own().model = std::move(value);
    return *this;
  }
  chat_response& id(std::string value) {
    content_.own().id = std::move(value);
    return *this;
  }

 private:
  struct content {
    std::vector<chat_choice> choices = std::vector<chat_choice>(1);
    token_usage usage;
    chat_timing timing;
    std::optional<felix::server_timing> server_timing;
    std::shared_ptr<const rate_limit_report> rate_limits;  // most servers have none
    std::string model;
    std::string id;
  };
  detail::shared_value<content> content_;
};

/// A piece of a call: what belongs to the call of that index so far is put together in the response.
struct tool_call_delta {
  std::size_t index = 0;
  std::string id = {};    ///< with the first piece
  std::string name = {};  ///< with the first piece
  std::string arguments = {};
};

/// A piece of an answer that is streamed. One of text, reasoning, refusal and tool calls, or several.
class chat_delta {
 public:
  chat_delta() = default;

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] const std::string& reasoning() const noexcept { return reasoning_; }
  [[nodiscard]] const std::string& refusal() const noexcept { return rare_.get().refusal; }
  [[nodiscard]] const std::vector<tool_call_delta>& tool_calls() const noexcept { return rare_.get().tool_calls; }
  /// Which of the answers it belongs to (see chat_request::n); they come interleaved.
  [[nodiscard]] std::size_t choice() const noexcept { return choice_; }
  [[nodiscard]] bool empty() const noexcept {
    return text_.empty() && reasoning_.empty() && refusal().empty() && tool_calls().empty();
  }

  // For models.
  chat_delta& text(std::string value) {
    text_ = std::move(value);
    return *this;
  }
  chat_delta& reasoning(std::string value) {
    reasoning_ = std::move(value);
    return *this;
  }
  chat_delta& refusal(std::string value) {
    rare_.own().refusal = std::move(value);
    return *this;
  }
  chat_delta& add(tool_call_delta value) {
    rare_.own().tool_calls.push_back(std::move(value));
    return *this;
  }
  chat_delta& choice(std::size_t value) noexcept {
    choice_ = value;
    return *this;
  }

 private:
  std::string text_;
  std::string reasoning_;
  struct rare_fields {
    std::string refusal;
    std::vector<tool_call_delta> tool_calls;
  };
  detail::shared_value<rare_fields> rare_;  // apart: a delta goes through every layer
  std::size_t choice_ = 0;
};

/// A whole answer as the one delta that says it.
[[nodiscard]] inline chat_delta as_delta(const chat_choice& choice, std::size_t index) {
  chat_delta delta;
  delta.choice(index).text(choice.text).reasoning(choice.reasoning);
  if (!choice.refusal.empty()) delta.refusal(choice.refusal);
  for (std::size_t i = 0; i < choice.tool_calls.size(); ++i) {
    const tool_call& call = choice.tool_calls[i];
    delta.add({i, call.id, call.name, call.arguments});
  }
  return delta;
}

}  // namespace felix::inline v1
