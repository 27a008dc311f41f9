// SPDX-License-Identifier: MIT
// model_server: what a chat request gets: texts, calls of tools, values in JSON; and how they are told in tokens.
#pragma once

#include "model_server/chat_api.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace model_server::detail {

struct choice {
  std::string text{};  ///< the arguments, if it is a call
  std::string tool{};  ///< its name if it is a call, else empty
  bool cut = false;    ///< by max_tokens
  int completion_tokens = 0;

  [[nodiscard]] bool is_call() const noexcept { return !tool.empty(); }
  /// The part of the text that the token of this number (from 0) brings. A call's first brings its name only.
  [[nodiscard]] std::string_view piece(int token) const noexcept;
};

struct completion {
  int prompt_tokens = 0;
  std::vector<choice> choices{};
};

[[nodiscard]] completion complete(const chat_call& call, std::uint64_t server_seed);

/// As many characters of two to four bytes before the text as fit into max_tokens with it, or instead of its end.
void add_wide_characters(choice& to, const chat_call& call);

}  // namespace model_server::detail
