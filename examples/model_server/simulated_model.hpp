// SPDX-License-Identifier: MIT
// model_server: the simulated model: what it answers depends on the request and a seed, never on time or order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace model_server {

struct message {
  std::string role{};
  std::string content{};  ///< UTF-8
  int other_tokens = 0;   ///< of images and tool calls
};

/// What of a chat completion request has an influence on the answer.
struct request {
  std::vector<message> messages{};
  std::optional<std::int64_t> max_tokens{};  ///< at least 1
  double temperature = 1;
  std::optional<std::int64_t> seed{};
  std::uint32_t choice = 0;  ///< of several answers to one request, which
};

struct answer {
  std::string text{};
  bool cut = false;  ///< max_tokens ended it: finish_reason "length", else "stop"
  int prompt_tokens = 0;
  int completion_tokens = 0;
};

/// ceil(bytes / 4).
[[nodiscard]] constexpr int count_tokens(std::string_view text) noexcept {
  return static_cast<int>((text.size() + 3) / 4);
}

/// 4 + count_tokens(content) + other_tokens for each message, and 3.
[[nodiscard]] int count_prompt_tokens(const std::vector<message>& messages) noexcept;

/// A hash of both.
[[nodiscard]] std::uint64_t seed_of(const request& asked, std::uint64_t server_seed) noexcept;

/// The longest beginning of `text` (UTF-8) that has at most `max_bytes` and does not end inside a character.
[[nodiscard]] std::string_view cut_to_bytes(std::string_view text, std::size_t max_bytes) noexcept;

/// The answer of a model that knows four roles: the first of research, analysis, critic, synthesis that the system text
/// names; else it gives main points. The topic is the `Topic:` line of a user message, else the last user message.
/// Lines after `Findings:` are picked up; `Write the final text.` makes a synthesis a whole blog post with a title, and
/// `Part: executive summary` a few bullets. Lengths are planned for max_tokens: the text ends by itself if it can.
[[nodiscard]] answer simulate(const request& asked, std::uint64_t server_seed);

}  // namespace model_server
