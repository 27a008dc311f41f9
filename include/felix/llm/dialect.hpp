// SPDX-License-Identifier: MIT
// llm: in what OpenAI-compatible servers differ, one named set a server.
#pragma once

#include <felix/llm/chat_request.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace felix::inline v1 {

/// What a server understands. One of `dialects`, or a user's own: change a copy.
struct dialect {
  std::string_view name = "plain";
  /// The field for chat_request::max_tokens.
  std::string_view max_tokens_field = "max_tokens";
  /// Several answers in one request, counted right. Else each is asked for by itself; see chat_request::n.
  bool many_answers = false;
  /// tool_choice may name a tool. Else that tool alone is offered, and one is required.
  bool named_tool_choice = false;
  bool reasoning_effort = false;        ///< knows the field of that name
  bool end_user = false;                ///< knows the field `user`
  bool priority = false;                ///< takes chat_request::priority along, for its own scheduler
  bool usage_in_each_chunk = false;     ///< stream_options.continuous_usage_stats
  bool timings = false;                 ///< timings_per_token, and `timings` in each answer
  bool header_at_start = false;         ///< of a stream: it is sent when the request has left the server's queue
  std::string_view health_path = {};    ///< outside /v1; empty: it has none, and its models are asked for
  std::string_view tokenize_path = {};  ///< outside /v1; empty: it has none

  friend bool operator==(const dialect&, const dialect&) = default;
};

/// The servers that felix knows. See the table of fields in each one's documentation.
namespace dialects {

/// What all of them understand.
inline constexpr dialect plain{};
/// Counts reasoning in the limit of the answer, and refuses max_tokens for models that reason. Refuses fields that it
/// does not know.
inline constexpr dialect openai{.name = "openai",
                                .max_tokens_field = "max_completion_tokens",
                                .many_answers = true,
                                .named_tool_choice = true,
                                .reasoning_effort = true,
                                .end_user = true};
inline constexpr dialect lm_studio{.name = "lm_studio"};
/// Counts the first of several answers only, and takes a named tool_choice for none.
inline constexpr dialect llama_cpp{.name = "llama_cpp",
                                   .reasoning_effort = true,
                                   .timings = true,
                                   .header_at_start = true,
                                   .health_path = "/health",
                                   .tokenize_path = "/tokenize"};
/// Ignores max_completion_tokens, which would be no limit at all, and gives one answer whatever is asked for.
inline constexpr dialect ollama{.name = "ollama", .reasoning_effort = true, .health_path = "/api/version"};
/// `priority` is refused by a server without --scheduling-policy priority: set it in a copy where yours has it.
inline constexpr dialect vllm{.name = "vllm",
                              .many_answers = true,
                              .named_tool_choice = true,
                              .reasoning_effort = true,
                              .usage_in_each_chunk = true,
                              .health_path = "/health",
                              .tokenize_path = "/tokenize"};

}  // namespace dialects

// Settings of one kind of server, for chat_request::with.
namespace llama_cpp {

/// The slot that has to take the request; -1 is any. A conversation that stays in its slot finds its prompt cached.
struct id_slot {
  int slot = -1;
  void apply(chat_request& request) const { request.extra("id_slot", std::to_string(slot)); }
};
/// Whether the prompt of the slot's last request is used again as far as it is the same. The server's default: yes.
struct cache_prompt {
  bool use = true;
  void apply(chat_request& request) const { request.extra("cache_prompt", use ? "true" : "false"); }
};

}  // namespace llama_cpp

namespace vllm {

/// For vLLM with --scheduling-policy priority; a lower value goes first.
struct priority {
  std::int64_t value = 0;
  void apply(chat_request& request) const { request.extra("priority", std::to_string(value)); }
};

}  // namespace vllm

namespace lm_studio {

/// How long a model that was loaded for this request stays loaded when nothing more is asked of it.
struct ttl {
  int seconds = 3600;
  void apply(chat_request& request) const { request.extra("ttl", std::to_string(seconds)); }
};

}  // namespace lm_studio
}  // namespace felix::inline v1
