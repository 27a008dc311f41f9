// SPDX-License-Identifier: MIT
// model_server: the JSON of OpenAI's chat completions: requests checked and read, answers, stream events and errors.
// See: https://platform.openai.com/docs/api-reference/chat
#pragma once

#include "model_server/model_server.hpp"
#include "model_server/simulated_model.hpp"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace model_server::detail {

/// What is wrong with a request. The message says what and where.
class api_failure : public std::runtime_error {
 public:
  api_failure(int status, const std::string& message, std::string param = {})
      : std::runtime_error{message}, status_{status}, param_{std::move(param)} {}
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& param() const noexcept { return param_; }  ///< the field; may be empty

 private:
  int status_;
  std::string param_;
};

struct chat_call {
  request asked{};
  bool stream = false;
  bool include_usage = false;
};

/// Throws: api_failure (400) for what is not JSON, not UTF-8, or not a chat request.
[[nodiscard]] chat_call parse_chat(std::string_view body);

/// What all events of an answer have in common.
struct answer_head {
  std::string id{};
  std::int64_t created = 0;    ///< seconds since 1970
  bool include_usage = false;  ///< then each event has a field for it
};

[[nodiscard]] std::string completion_json(const answer_head& head, const answer& given);
/// Server-sent events (the HTML standard, §9.2), each with its empty line.
[[nodiscard]] std::string role_event(const answer_head& head);
[[nodiscard]] std::string delta_event(const answer_head& head, std::string_view text);
/// finish_reason, usage if it is wanted, and [DONE].
[[nodiscard]] std::string last_events(const answer_head& head, const answer& given);

[[nodiscard]] std::string error_json(const api_failure& failure);
[[nodiscard]] std::string models_json();
[[nodiscard]] std::string stats_json(const stats& counted);

}  // namespace model_server::detail
