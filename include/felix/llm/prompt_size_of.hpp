// SPDX-License-Identifier: MIT
// llm: the size of a request's prompt, for those who estimate its tokens.
#pragma once

#include <felix/budget/prompt_size.hpp>
#include <felix/llm/chat_message.hpp>
#include <felix/llm/chat_request.hpp>

#include <string>
#include <variant>

namespace felix::inline v1 {

/// All that a server makes tokens of: messages with their texts, images and calls, tools, and the schema of the answer.
/// Cost: one pass over the texts.
[[nodiscard]] inline prompt_size prompt_size_of(const chat_request& request) {
  prompt_size size;
  for (const chat_message& message : request.messages()) {
    size.add(message.content);
    for (const content_part& part : message.parts) {
      if (const auto* const text = std::get_if<std::string>(&part)) {
        size.add_part(*text);
      } else {
        size.add_image();
      }
    }
    for (const tool_call& call : message.tool_calls)
      size.add_part(call.id).add_part(call.name).add_json(call.arguments);
    if (!message.tool_call_id.empty()) size.add_part(message.tool_call_id);
  }
  for (const function_tool& tool : request.tools()) size.add_tool(tool.name, tool.description, tool.parameters);
  if (!request.format().schema.empty()) size.add_part(request.format().name).add_json(request.format().schema);
  return size;
}

}  // namespace felix::inline v1
