// SPDX-License-Identifier: MIT
// code_reviewer: see review_team.hpp.
#include "code_reviewer/review_team.hpp"

#include <felix/agent/prompt.hpp>
#include <felix/agent/role.hpp>

#include <fmt/core.h>

namespace code_reviewer {

namespace {

constexpr const char* form =
    "One finding a line, as \"error LINE: what is wrong and how to mend it\", or warning, or note. Only what the code "
    "shows; "
    "nothing else. If there is nothing, say: none.";

std::string reviewer(const felix::brief& about) { return fmt::format("You review code for {}. {}", about.focus, form); }

std::string critic(const felix::brief& about) {
  return fmt::format("You check a review for {}: what did the others miss, and what do they say that is not so? {}",
                     about.focus, form);
}

std::string reporter(const felix::brief& about) {
  const auto words = about.max_tokens > 0 ? about.max_tokens * 3 / 4 : 300;
  return fmt::format(
      "You write the report of a code review from the findings: what matters most, first; what to do; a verdict in the "
      "last "
      "sentence. At most {} words. Invent nothing.",
      words);
}

felix::role as(felix::role base, std::function<std::string(const felix::brief&)> prompt) {
  base.prompt = std::move(prompt);
  base.temperature = {0.1, 0.3};  // a review is not an essay
  return base;
}

}  // namespace

felix::team review_team() {
  felix::team who;
  const auto add = [&](const felix::role& role, const char* focus, double time) {
    who.add(role, 1, {.spawn = {time, time}, .focus = {focus}});
  };
  const felix::role research = as(felix::roles::research, reviewer);
  const felix::role analysis = as(felix::roles::analysis, reviewer);
  const felix::role judge = as(felix::roles::critic, critic);
  add(research, "structure", 0.05);
  add(research, "function", 0.10);
  add(research, "style", 0.15);
  add(analysis, "performance", 0.35);
  add(analysis, "security", 0.45);
  add(analysis, "maintainability", 0.55);
  add(judge, "bugs", 0.65);
  add(judge, "best practices", 0.75);
  add(as(felix::roles::synthesis, reporter), "report", 0.85);
  return who;
}

std::string task_of(const std::string& file, std::size_t first_line, std::size_t last_line,
                    const std::string& numbered) {
  return fmt::format("Review lines {} to {} of {}. Each begins with its number.\n{}", first_line, last_line, file,
                     numbered);
}

felix::token_count usual_tokens(std::size_t bytes) {
  constexpr felix::token_count requests = 11;  // the nine, the report, and one to spare
  constexpr felix::token_count beside_the_code = 1'200;
  return requests * (static_cast<felix::token_count>(bytes) + beside_the_code);
}

}  // namespace code_reviewer
