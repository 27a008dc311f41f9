// SPDX-License-Identifier: MIT
// code_reviewer: what the agents have found in the code, taken out of their answers.
#pragma once

#include "code_reviewer/source.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace code_reviewer {

enum class severity : unsigned char { error, warning, note };

std::string_view to_string(severity level) noexcept;
/// Nothing for another word.
std::optional<severity> severity_of(std::string_view word) noexcept;

struct finding {
  severity level = severity::note;
  std::size_t file = 0;
  std::size_t line = 1;
  std::string text;
  std::vector<std::string> agents;  ///< who said so
  std::string rule;                 ///< what they look for: the focus of the first of them
};

/// The lines of an answer that say "warning 12: text", also as items of a list, in code marks or with a file's name before
/// the number. A place outside the piece is none of its findings; what is no finding is skipped.
std::vector<finding> findings_in(std::string_view answer, const std::string& agent, const std::string& rule,
                                 const piece& part);

/// Those of one place and text are one, as grave as the gravest; by file, line and severity.
std::vector<finding> merged(std::vector<finding> all);

}  // namespace code_reviewer
