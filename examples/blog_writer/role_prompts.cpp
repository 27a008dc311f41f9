// SPDX-License-Identifier: MIT
// blog_writer: see role_prompts.hpp.
#include "blog_writer/role_prompts.hpp"

#include "blog_writer/options.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace blog_writer {

namespace {

constexpr std::array<std::string_view, 4> roles{"research", "analysis", "critic", "synthesis"};

/// A token is three quarters of a word.
std::string filled_in(const std::string& prompt, const felix::brief& about) {
  return fmt::format(fmt::runtime(prompt), fmt::arg("focus", about.focus.empty() ? "general" : about.focus),
                     fmt::arg("depth", about.depth), fmt::arg("stage", about.stage),
                     fmt::arg("tokens", about.max_tokens), fmt::arg("words", about.max_tokens * 3 / 4));
}

nlohmann::json parsed(const std::string& path) {
  std::ifstream file{path};
  if (!file) throw usage_error{fmt::format("--role-prompts: {} cannot be read: {}", path, std::strerror(errno))};
  try {
    return nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& wrong) {
    throw usage_error{fmt::format("--role-prompts: {} is not JSON: {}", path, wrong.what())};
  }
}

}  // namespace

role_prompts read_role_prompts(const std::string& path) {
  const nlohmann::json json = parsed(path);
  if (!json.is_object())
    throw usage_error{fmt::format("--role-prompts: {} is not an object; write {{\"research\": \"…\"}}", path)};
  role_prompts prompts;
  for (const auto& [role, text] : json.items()) {
    const auto refused = [&, name = role](const std::string& why) {
      return usage_error{fmt::format("--role-prompts: {}: \"{}\" {}", path, name, why)};
    };
    if (std::find(roles.begin(), roles.end(), role) == roles.end())
      throw refused(fmt::format("is no role of these teams; they are {}", fmt::join(roles, ", ")));
    if (!text.is_string()) throw refused("is not a text");
    const std::string prompt = text.get<std::string>();
    if (prompt.find_first_not_of(" \t\r\n") == std::string::npos) throw refused("is empty");
    try {
      static_cast<void>(filled_in(prompt, {}));
    } catch (const fmt::format_error& wrong) {
      throw refused(
          fmt::format("has a brace that is no {{focus}}, {{depth}}, {{stage}}, {{tokens}} or {{words}} ({}); "
                      "write {{{{ for a brace",
                      wrong.what()));
    }
    prompts[role] = [prompt](const felix::brief& about) { return filled_in(prompt, about); };
  }
  return prompts;
}

}  // namespace blog_writer
