// SPDX-License-Identifier: MIT
// llm: what is said in a conversation, and by whom.
#pragma once

#include <felix/llm/image.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace felix::inline v1 {

/// Who speaks in a message.
enum class chat_role : unsigned char { system, user, assistant, tool };

[[nodiscard]] constexpr std::string_view to_string(chat_role role) noexcept {
  switch (role) {
    case chat_role::system: return "system";
    case chat_role::user: return "user";
    case chat_role::assistant: return "assistant";
    case chat_role::tool: return "tool";
  }
  return "user";
}

/// A function that a model may ask to have called.
struct function_tool {
  std::string name = {};         ///< 1 to 64 of A-Z a-z 0-9 _ -
  std::string description = {};  ///< what it does, for the model
  std::string parameters = {};   ///< a JSON schema of its arguments, as text; empty: it has none
};

/// A call that a model asks for.
struct tool_call {
  std::string id = {};  ///< names the call; the result repeats it
  std::string name = {};
  std::string arguments = {};  ///< JSON as the model wrote it, which need not be valid; none at all is "{}"

  friend bool operator==(const tool_call&, const tool_call&) = default;
};

/// A piece of a message: text, or a picture.
using content_part = std::variant<std::string, image>;

struct chat_message {
  chat_role role = chat_role::user;
  std::string content = {};
  std::vector<content_part> parts = {};    ///< what follows `content`
  std::vector<tool_call> tool_calls = {};  ///< of an assistant
  std::string tool_call_id = {};           ///< of a tool: which call this is the result of
};

}  // namespace felix::inline v1
