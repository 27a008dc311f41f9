// SPDX-License-Identifier: MIT
// agent: several prompts for one role, of which a brief says which.
#pragma once

#include <felix/agent/prompt.hpp>
#include <felix/agent/role.hpp>
#include <felix/error.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace felix::inline v1 {

/// A text is said after the role's own prompt; a function is a prompt instead of it.
using prompt_variant = std::variant<std::string, std::function<std::string(const brief&)>>;

/// The role with more prompts: brief::variant 0 is its own, 1 the first of `others`, … A variant that there is none of is its
/// own, too.
///     auto research = felix::with_variants(felix::roles::research, {"Be concise and structured.",
///                                                                   "Check your facts; give examples."});
/// On a role that has variants already these come after them. Throws error (invalid_option) when there is no prompt behind one.
[[nodiscard]] inline role with_variants(role base, std::vector<prompt_variant> others) {
  const auto says_nothing = [](const prompt_variant& each) {
    const auto* prompt = std::get_if<1>(&each);
    return prompt != nullptr && !*prompt;
  };
  if (!base.prompt || std::any_of(others.begin(), others.end(), says_nothing))
    throw error{errc::invalid_option,
                "with_variants: role \"" + std::string{base.name.name()} + "\": a prompt is an empty function; set it"};
  const std::size_t first = base.variants;
  base.variants += others.size();
  base.prompt = [own = std::move(base.prompt), others = std::move(others), first](const brief& about) -> std::string {
    if (about.variant < first || about.variant - first >= others.size()) return own(about);
    const prompt_variant& chosen = others[about.variant - first];
    if (const auto* prompt = std::get_if<1>(&chosen)) return (*prompt)(about);
    brief plain = about;
    plain.variant = 0;
    return own(plain) + " " + std::get<0>(chosen);
  };
  return base;
}

}  // namespace felix::inline v1
