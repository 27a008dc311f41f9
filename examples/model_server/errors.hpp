// SPDX-License-Identifier: MIT
// model_server: the answers that are no answers: errors of clients, and those that a fault makes up.
#pragma once

#include "model_server/faults.hpp"
#include "model_server/json_fields.hpp"  // api_failure

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace model_server::detail {

struct error_answer {
  unsigned status = 0;
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string content_type = "application/json";
};

[[nodiscard]] error_answer answer_to(const api_failure& failure);

/// 401.
[[nodiscard]] error_answer wrong_key();

/// 400, llama.cpp's.
[[nodiscard]] error_answer context_overflow(int prompt_tokens, int context_tokens);

/// None if the fault is of another kind.
[[nodiscard]] std::optional<error_answer> answer_of(const fault& struck, int prompt_tokens, bool stream);

}  // namespace model_server::detail
