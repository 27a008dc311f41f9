// SPDX-License-Identifier: MIT
// llm: what an answer and the pieces of a streamed one have in common.
#pragma once

#include <felix/llm/chat_response.hpp>
#include <felix/llm/detail/json_element.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {
namespace codec {
namespace detail {

/// Empty or missing: the server has not said it (yet).
[[nodiscard]] inline finish_reason finish_reason_of(std::string_view word) noexcept {
  if (word == "stop") return finish_reason::stop;
  if (word == "length") return finish_reason::length;
  if (word == "content_filter") return finish_reason::content_filter;
  if (word == "tool_calls" || word == "function_call") return finish_reason::tool_calls;
  return finish_reason::other;
}

/// llama.cpp, DeepSeek and LM Studio write reasoning_content, vLLM, Ollama and others reasoning.
[[nodiscard]] inline std::string_view reasoning_of(const std::optional<element>& reasoning_content,
                                                   const std::optional<element>& reasoning) noexcept {
  const std::string_view text = view_of(reasoning_content);
  return text.empty() ? view_of(reasoning) : text;
}
[[nodiscard]] inline std::string_view reasoning_of(const element& message) noexcept {
  return reasoning_of(member(message, "reasoning_content"), member(message, "reasoning"));
}

/// A string that holds JSON; some servers send the JSON itself.
[[nodiscard]] inline std::string arguments_of(const element& function) {
  const auto sent = member(function, "arguments");
  if (!sent) return {};
  std::string_view text;
  if (sent->get(text) == simdjson::SUCCESS) return std::string{text};
  return simdjson::minify(*sent);
}

/// The place of each choice of an answer: its index, where each has one of its own, else as they come.
[[nodiscard]] inline std::vector<std::size_t> places_of(const simdjson::dom::array& choices) {
  std::vector<std::size_t> by_index;
  std::vector<std::size_t> as_they_come;
  std::vector<bool> taken(choices.size());
  for (const element choice : choices) {
    const auto index = static_cast<std::size_t>(count_of(choice, "index").value_or(-1));
    if (index < taken.size() && !taken[index]) {
      taken[index] = true;
      by_index.push_back(index);
    }
    as_they_come.push_back(as_they_come.size());
  }
  return by_index.size() == as_they_come.size() ? by_index : as_they_come;
}

/// A total below its parts is not believed.
[[nodiscard]] inline token_usage usage_of(const element& sent) noexcept {
  token_usage usage;
  const auto prompt = count_of(sent, "prompt_tokens");
  const auto completion = count_of(sent, "completion_tokens");
  usage.estimated = !(prompt && completion);
  usage.prompt_tokens = prompt.value_or(0);
  usage.completion_tokens = completion.value_or(0);
  usage.total_tokens =
      std::max(count_of(sent, "total_tokens").value_or(0), usage.prompt_tokens + usage.completion_tokens);
  if (const auto details = member(sent, "prompt_tokens_details"))
    usage.cached_prompt_tokens = std::min(count_of(*details, "cached_tokens").value_or(0), usage.prompt_tokens);
  if (const auto details = member(sent, "completion_tokens_details"))
    usage.reasoning_tokens = std::min(count_of(*details, "reasoning_tokens").value_or(0), usage.completion_tokens);
  return usage;
}

/// What llama.cpp says of its own work.
inline void read_timings(const element& root, chat_response& into) {
  const auto sent = member(root, "timings");
  if (!sent) return;
  const auto time = [&](std::string_view name) {
    constexpr double most = 1e9;  // milliseconds
    const double milliseconds = std::clamp(number_of(*sent, name), 0.0, most);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double, std::milli>{milliseconds});
  };
  into.timing_of_server({.prompt = time("prompt_ms"), .generated = time("predicted_ms")});
}

inline void read_logprobs(const element& choice, std::vector<token_logprob>& into) {
  const auto sent = member(choice, "logprobs");
  const auto tokens = sent ? array_of(*sent, "content") : std::nullopt;
  if (!tokens) return;
  for (const element token : *tokens) {
    token_logprob& read = into.emplace_back();
    read.token = string_of(token, "token");
    read.logprob = number_of(token, "logprob");
    if (const auto others = array_of(token, "top_logprobs")) {
      for (const element other : *others)
        read.alternatives.emplace_back(string_of(other, "token"), number_of(other, "logprob"));
    }
  }
}

}  // namespace detail
}  // namespace codec
}  // namespace felix::inline v1
