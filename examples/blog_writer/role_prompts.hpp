// SPDX-License-Identifier: MIT
// blog_writer: the user's own prompts for the roles of a team.
#pragma once

#include <felix/agent/prompt.hpp>

#include <functional>
#include <map>
#include <string>

namespace blog_writer {

/// By the name of the role; felix::role::prompt is such a function.
using role_prompts = std::map<std::string, std::function<std::string(const felix::brief&)>>;

/// From a JSON file: an object of a text by role. In the text {focus}, {depth}, {stage}, {tokens} and {words} are filled in;
/// {{ is a brace. Throws usage_error, which names the file, the role and what is wrong with it.
role_prompts read_role_prompts(const std::string& path);

}  // namespace blog_writer
