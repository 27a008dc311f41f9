// SPDX-License-Identifier: MIT
// model_server: what a request asks the simulated model for: which role, about what, in which form, built on what.
#pragma once

#include "model_server/simulated_model.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace model_server::detail {

enum class role : unsigned char { general, research, analysis, critic, synthesis };

/// What somebody else wrote, as it may be quoted.
struct finding {
  std::string author{};              ///< "research_001"; empty if it is not told
  std::vector<std::string> words{};  ///< at least one: phrases of it that are worth picking up
};

struct assignment {
  role as = role::general;
  std::string focus{};     ///< lower case; empty if there is none
  std::string subject{};   ///< as it stands in a sentence; never empty
  std::string question{};  ///< the topic itself, if it is a question
  std::vector<finding> findings{};
  bool final_text = false;
  bool executive_summary = false;
};

[[nodiscard]] assignment read(const std::vector<message>& messages);

}  // namespace model_server::detail
