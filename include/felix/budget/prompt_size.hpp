// SPDX-License-Identifier: MIT
// budget: what an estimate needs to know of a prompt, counted in one pass over its texts.
#pragma once

#include <felix/budget/text_bound.hpp>
#include <felix/usage.hpp>

#include <cstdint>
#include <string_view>

namespace felix::inline v1 {

/// What kind of text a prompt mostly is: tokens per byte differ more between kinds than inside one.
enum class text_kind : unsigned char {
  prose,  ///< letters of ASCII
  code,   ///< an eighth or more of its ASCII is digits and signs: code, JSON, tables
  world   ///< an eighth or more of its bytes are not ASCII
};

/// A name for a server and its model, chosen by whoever owns the estimators: a number, an index, a hash. 0: none.
using server_key = std::uint64_t;

/// How many tokens a server said a prompt is, when it was asked before the request.
struct prompt_count {
  enum class scope : unsigned char {
    whole,  ///< with template and tools, as vLLM's /tokenize counts messages
    texts   ///< the texts alone, one by one, as llama.cpp's /tokenize counts
  };

  token_count tokens = 0;  ///< 0: no server was asked
  scope of = scope::whole;
  server_key by = 0;  ///< who counted
};

/// What an estimate needs to know of a prompt.
///     auto size = felix::prompt_size{}.add(system_text).add(user_text);
struct prompt_size {
  /// For the list of tools: what templates say of how to call one, before the first.
  static constexpr token_count tool_instructions = 256;
  /// For each tool: what stands around its name, description and parameters, indented, is 159 bytes.
  static constexpr token_count tool_frame = 192;

  token_count bytes = 0;       ///< of all texts
  token_count text_bound = 0;  ///< the sum of text_token_bound over all texts, and json_token_bound over tools
  int messages = 0;
  int images = 0;  ///< not counted in bytes: an estimator knows what one takes
  int tools = 0;
  token_count symbol_bytes = 0;     ///< of `bytes`, digits and signs of ASCII
  token_count non_ascii_bytes = 0;  ///< of `bytes`
  prompt_count counted = {};        ///< set it where a server was asked

  /// A message that consists of `text`.
  prompt_size& add(std::string_view text) noexcept {
    ++messages;
    return add_part(text);
  }
  /// One more text in a message that is counted already, or outside all: a name, a part.
  prompt_size& add_part(std::string_view text) noexcept {
    text_bound += text_token_bound(text);
    return weigh(text);
  }
  /// One more image in a message that is counted already.
  prompt_size& add_image() noexcept {
    ++images;
    return *this;
  }
  /// The JSON schema of an answer, or arguments of a call: templates write JSON anew.
  prompt_size& add_json(std::string_view json, int depth = 0) noexcept {
    text_bound += json_token_bound(json, depth);
    return weigh(json);
  }
  /// `parameters`: a JSON schema.
  prompt_size& add_tool(std::string_view name, std::string_view description, std::string_view parameters) noexcept {
    text_bound += tools == 0 ? tool_instructions + tool_frame : tool_frame;
    ++tools;
    return add_json(name).add_json(description).add_json(parameters, 3);  // in a list, an object and "function"
  }

  [[nodiscard]] constexpr text_kind kind() const noexcept {
    if (non_ascii_bytes > 0 && non_ascii_bytes >= bytes / 8) return text_kind::world;
    if (symbol_bytes > 0 && symbol_bytes >= (bytes - non_ascii_bytes) / 8) return text_kind::code;
    return text_kind::prose;
  }

 private:
  prompt_size& weigh(std::string_view text) noexcept {
    bytes += static_cast<token_count>(text.size());
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      const bool letter = static_cast<unsigned char>((byte | 0x20U) - 'a') < 26;
      non_ascii_bytes += byte >> 7U;
      symbol_bytes += byte > ' ' && byte < 0x80 && !letter ? 1 : 0;
    }
    return *this;
  }
};

}  // namespace felix::inline v1
