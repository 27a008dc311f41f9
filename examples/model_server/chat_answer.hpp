// SPDX-License-Identifier: MIT
// model_server: the JSON of a chat answer: whole, or in the events of a stream.
// See: https://platform.openai.com/docs/api-reference/chat/object
#pragma once

#include "model_server/completion.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace model_server::detail {

/// What all parts of an answer have in common.
struct answer_head {
  std::string id{};
  std::int64_t created = 0;    ///< seconds since 1970
  bool usage = true;           ///< false: none anywhere
  bool include_usage = false;  ///< then each event has a field for it
  bool logprobs = false;
  int top_logprobs = 0;
};

[[nodiscard]] std::string completion_json(const answer_head& head, const completion& given);

/// Server-sent events (the HTML standard, §9.2), each with its empty line. `index` is the choice's.
[[nodiscard]] std::string role_event(const answer_head& head, const completion& given, std::size_t index);
[[nodiscard]] std::string delta_event(const answer_head& head, const completion& given, std::size_t index, int token);
[[nodiscard]] std::string finish_event(const answer_head& head, const completion& given, std::size_t index);
/// Empty if none is wanted.
[[nodiscard]] std::string usage_event(const answer_head& head, const completion& given);
[[nodiscard]] std::string done_event();
/// OpenAI's error in a stream; or, `like_vllm`, vLLM's.
[[nodiscard]] std::string error_event(bool like_vllm);

}  // namespace model_server::detail
