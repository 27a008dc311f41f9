// SPDX-License-Identifier: MIT
// llm: how many tokens of an answer have come, as far as that can be seen from outside.
#pragma once

#include <felix/llm/chat_response.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstddef>

namespace felix::inline v1 {
namespace detail {

/// Counts a streamed answer. Most servers send a token a delta; one that sends several shows it by the bytes, and some
/// say in between how many they have made.
class answer_meter {
 public:
  /// `most`: what may come; of several answers to one request, of all together.
  explicit answer_meter(token_count most) noexcept : most_{most} {}

  void add(const chat_delta& delta) noexcept {
    ++deltas_;
    std::size_t bytes = delta.text().size() + delta.reasoning().size() + delta.refusal().size();
    for (const tool_call_delta& call : delta.tool_calls()) bytes += call.name.size() + call.arguments.size();
    bytes_ += static_cast<token_count>(bytes);
  }
  /// What the server has said so far.
  void server_says(const token_usage& so_far) noexcept {
    if (!so_far.estimated) reported_ = std::max(reported_, so_far.completion_tokens);
  }

  /// The tokens that have come, by what says most.
  [[nodiscard]] token_count seen() const noexcept { return std::max({deltas_, by_bytes(), reported_}); }
  /// More has come than may: the server does not honour max_tokens.
  [[nodiscard]] bool is_over() const noexcept { return seen() > most_; }

  /// What is charged for a report. One that says less than was seen to come, or more than sixteen bytes a token, hides
  /// something, and nothing of it is believed: it is then an estimate, of at least what was seen.
  [[nodiscard]] token_usage believed(token_usage said, token_count prompt_bytes) const noexcept {
    const token_count least_answer = std::max(deltas_, bytes_ / most_bytes_a_token);
    const token_count least_prompt = prompt_bytes / most_bytes_a_token;
    if (said.completion_tokens < least_answer || said.prompt_tokens < least_prompt) said.estimated = true;
    said.completion_tokens = std::max(said.completion_tokens, least_answer);
    said.prompt_tokens = std::max(said.prompt_tokens, least_prompt);
    said.total_tokens = std::max(said.total_tokens, saturating_sum(said.prompt_tokens, said.completion_tokens));
    return said;
  }

 private:
  /// A token has about four bytes. That counts only where deltas are clearly more than a token each, and the server has
  /// not said how many: an honest answer of long words shall not be cut, nor one that comes whole.
  [[nodiscard]] token_count by_bytes() const noexcept {
    constexpr token_count bytes_a_token = 4;
    const token_count of_long_tokens = most_bytes_a_token * std::max(deltas_, reported_);
    return deltas_ > 1 && bytes_ > of_long_tokens ? bytes_ / bytes_a_token : 0;
  }

  static constexpr token_count most_bytes_a_token = 16;  // on average: a single one may have more
  token_count most_;
  token_count deltas_ = 0;
  token_count reported_ = 0;
  token_count bytes_ = 0;
};

}  // namespace detail
}  // namespace felix::inline v1
