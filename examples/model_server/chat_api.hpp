// SPDX-License-Identifier: MIT
// model_server: a request of OpenAI's chat completions, checked and read.
// See: https://platform.openai.com/docs/api-reference/chat
#pragma once

#include "model_server/json_fields.hpp"
#include "model_server/simulated_model.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace model_server::detail {

struct tool {
  std::string name{};
  json parameters = json::object();  ///< a JSON schema
};

struct chat_call {
  request asked{};
  int other_prompt_tokens = 0;  ///< of tools and response_format
  int choices = 1;              ///< n
  std::vector<std::string> stop{};
  std::optional<tool> called{};  ///< the answer is a call of it
  std::optional<json> schema{};  ///< the answer is such a value, in JSON
  bool json_object = false;      ///< it is any object
  bool logprobs = false;
  int top_logprobs = 0;
  bool stream = false;
  bool include_usage = false;
};

/// Throws: api_failure (400) for what is not JSON, not UTF-8, or not a chat request.
[[nodiscard]] chat_call parse_chat(std::string_view body, int slots);

}  // namespace model_server::detail
