// SPDX-License-Identifier: MIT
// agent: what an agent is told: lean prompts by role and depth, and the texts of others cut to size.
#pragma once

#include <felix/usage.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

/// How long prompts may be.
enum class prompt_style : unsigned char {
  normal,  ///< system text up to 400 bytes, others' findings up to 300, in the final text up to 1,600
  strict   ///< 240, 200 and 400: for lightweight models and small budgets
};

/// Limits of the parts of a prompt.
struct prompt_limits {
  std::size_t system_bytes = 400;
  std::size_t findings_bytes = 300;
  std::size_t final_findings_bytes = 1'600;
};

[[nodiscard]] constexpr prompt_limits limits_of(prompt_style style) noexcept {
  return style == prompt_style::strict
             ? prompt_limits{.system_bytes = 240, .findings_bytes = 200, .final_findings_bytes = 400}
             : prompt_limits{};
}

/// What a stage is about: the argument of a role's prompt function.
struct brief {
  std::string task = {};      ///< what the user asked for
  std::string focus = {};     ///< the agent's, or empty
  std::string findings = {};  ///< of others, cut to size, a line each
  double depth = 0;           ///< 0: broad, at the top of the helix; 1: focused
  int stage = 1;
  token_count max_tokens = 0;  ///< of the answer; 0: no limit is known
  prompt_style style = prompt_style::normal;
  bool final_text = false;  ///< the last synthesis, which becomes the result
  std::string part = {};    ///< the part of the final text, when several agents write it
  std::string known = {};   ///< from former sessions, a line each
  double compression = 0;   ///< the share of the findings to leave out; 0: nothing is said of that
  std::size_t variant = 0;  ///< which of the role's prompts (role::variants)
};

namespace detail {

/// Tells each place within the first `max_bytes` of `text` where a sentence ends. It ends with . ! or ? before a blank or the
/// end, or with 。！ or ？; "e.g." and other single letters with a dot do not end one.
template <class Tell>
void for_each_sentence_end(std::string_view text, std::size_t max_bytes, Tell&& tell) {
  const auto is_blank = [&](std::size_t at) { return at >= text.size() || text[at] == ' ' || text[at] == '\n'; };
  const auto is_letter = [&](std::size_t at) { return static_cast<unsigned char>((text[at] | 0x20) - 'a') < 26; };
  for (std::size_t i = 0; i < std::min(text.size(), max_bytes); ++i) {
    const bool abbreviates = text[i] == '.' && i > 0 && is_letter(i - 1) &&
                             (i == 1 || text[i - 2] == ' ' || text[i - 2] == '.' || text[i - 2] == '(');
    if ((text[i] == '.' || text[i] == '!' || text[i] == '?') && is_blank(i + 1) && !abbreviates) tell(i + 1);
    for (const std::string_view wide : {"。", "！", "？"}) {
      if (text.substr(i, wide.size()) == wide && i + wide.size() <= max_bytes) tell(i + wide.size());
    }
  }
}

/// How many bytes of `text` are the sentences that fit into `max_bytes` whole.
[[nodiscard]] inline std::size_t whole_sentences(std::string_view text, std::size_t max_bytes) noexcept {
  std::size_t end = 0;
  for_each_sentence_end(text, max_bytes, [&end](std::size_t at) { end = at; });
  return end;
}

}  // namespace detail

/// The longest beginning of `text` that fits into `max_bytes`: whole sentences if at least half of the room is used by
/// them, else whole words and an ellipsis. Never ends inside a UTF-8 sequence.
[[nodiscard]] inline std::string clip(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string{text};
  constexpr std::string_view ellipsis = "…";
  const std::size_t sentences = detail::whole_sentences(text, max_bytes);
  if (sentences > 0 && 2 * sentences >= max_bytes) return std::string{text.substr(0, sentences)};
  if (max_bytes < ellipsis.size()) return {};
  std::size_t end = max_bytes - ellipsis.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // not inside a sequence
  const std::size_t word = text.substr(0, end + 1).find_last_of(" \n");  // one more: a word may end just there
  if (word != std::string_view::npos && 2 * word >= end) end = word;
  return std::string{text.substr(0, end)} + std::string{ellipsis};
}

/// The same, but whole sentences as long as the first one fits, however little room they use.
[[nodiscard]] inline std::string clip_to_sentences(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string{text};
  const std::size_t sentences = detail::whole_sentences(text, max_bytes);
  return sentences > 0 ? std::string{text.substr(0, sentences)} : clip(text, max_bytes);
}

/// One line without list marks and runs of spaces: how a finding is quoted in another agent's prompt.
[[nodiscard]] inline std::string on_one_line(std::string_view text) {
  constexpr std::string_view spaces = " \n\t\r";
  constexpr std::string_view marks = "-*#>";
  std::string line;
  bool at_start = true;  // of a line of the original
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (spaces.find(text[i]) != std::string_view::npos) {
      at_start = at_start || text[i] == '\n';
      if (!line.empty() && line.back() != ' ') line += ' ';
      continue;
    }
    if (std::exchange(at_start, false)) {  // "- point" and "## title", not "-5 degrees"
      const std::size_t after = std::min(text.find_first_not_of(marks, i), text.size());
      if (after != i && (after == text.size() || spaces.find(text[after]) != std::string_view::npos)) {
        i = after - 1;
        at_start = true;
        continue;
      }
    }
    line += text[i];
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

namespace detail {

/// "the research agent (focus: technical)"
[[nodiscard]] inline std::string who(std::string_view role, const brief& about) {
  return about.focus.empty() ? fmt::format("the {} agent", role)
                             : fmt::format("the {} agent (focus: {})", role, clip(about.focus, 24));
}

/// Strict: a limit to keep. Normal: a length to aim at. A token is three quarters of a word.
[[nodiscard]] inline std::string length_advice(const brief& about) {
  if (about.max_tokens <= 0) return {};
  const token_count words = std::max<token_count>(1, about.max_tokens * 3 / 4);
  return about.style == prompt_style::strict ? fmt::format(" Hard limit {} words, cut off beyond.", words)
                                             : fmt::format(" Aim at {} words ({} tokens).", words, about.max_tokens);
}

/// Only with findings, and where more than half of them is to go.
[[nodiscard]] inline std::string compression_advice(const brief& about) {
  if (about.findings.empty() || !(about.compression > 0.5)) return {};
  const int percent = static_cast<int>(100 * about.compression + 0.5);
  return about.style == prompt_style::strict ? fmt::format(" Compress findings {}%.", percent)
                                             : fmt::format(" Compress findings by {}%, keep key points.", percent);
}

[[nodiscard]] inline std::string instruct(std::string_view role, const brief& about, std::string_view strict,
                                          std::string_view normal) {
  const bool lean = about.style == prompt_style::strict;
  const std::string length = length_advice(about);
  const std::string start = lean ? fmt::format("You are {} of a team. ", who(role, about))
                                 : fmt::format(
                                       "You are {} of a team, at depth {:.2f} on a scale from 0 (broad) to 1 "
                                       "(focused). ",
                                       who(role, about), about.depth);
  const std::string_view what = lean ? strict : normal;
  const std::size_t room = limits_of(about.style).system_bytes;
  const std::size_t taken = start.size() + length.size();
  std::string compression = compression_advice(about);
  if (taken + what.size() + compression.size() > room) compression.clear();  // what to do matters more
  return start + clip(what, room > taken ? room - taken : 0) + compression + length;
}

}  // namespace detail

/// The prompts of the four roles: who you are, what to do at this depth, what not to do, and how long.
namespace prompts {

[[nodiscard]] inline std::string research(const brief& about) {
  if (about.depth < 0.3)
    return detail::instruct("research", about,
                            "Give 3-5 facts as bullets, sources as names or dates, nothing explained. Do not conclude.",
                            "Explore widely: many angles and questions, unusual sources; coverage before precision. "
                            "Write sourced bullets. Collect material, do not conclude.");
  if (about.depth < 0.7)
    return detail::instruct("research", about,
                            "Give 2-3 specific facts with numbers or quotes, no context. Do not conclude.",
                            "Follow the most promising leads and build on the findings of others; balance breadth and "
                            "depth. Write sourced bullets. Do not conclude.");
  return detail::instruct("research", about,
                          "Give 1-2 verified points with author and year. Do not elaborate or conclude.",
                          "Verify details, give authoritative evidence, be accurate and complete. Write sourced "
                          "bullets for the analysis. Do not conclude.");
}

[[nodiscard]] inline std::string analysis(const brief& about) {
  if (about.depth < 0.5)
    return detail::instruct("analysis", about,
                            "Name at most 2 patterns in the findings, numbered, unexplained. Decide nothing.",
                            "Find patterns and categories in the findings, and what is missing or contradictory. "
                            "Number your insights. Make no final decision.");
  return detail::instruct("analysis", about,
                          "Rank the top 3 insights from the findings, 1-3, no background. Decide nothing.",
                          "Evaluate the findings in depth, rank them by importance, structure them for the synthesis. "
                          "Number your insights. Make no final decision.");
}

[[nodiscard]] inline std::string critic(const brief& about) {
  return detail::instruct(
      "critic", about,
      "Name 3 issues in the findings: gaps, errors, contradictions. Number them, with a correction each.",
      "Judge the work of the others: gaps, errors, inconsistencies. Give concrete, constructive "
      "corrections, numbered, centred on your focus. No praise.");
}

[[nodiscard]] inline std::string synthesis(const brief& about) {
  if (about.final_text)
    return detail::instruct(
        "synthesis", about, "Integrate the findings into the complete text. Decide, be clear, end with a conclusion.",
        "Integrate all the findings into the complete deliverable: a narrative with a title, an "
        "introduction, sections and a conclusion. Decide; be clear and actionable. It is published as it is.");
  return detail::instruct("synthesis", about,
                          "Draft the result from the findings in 2 short paragraphs. Decide, be clear.",
                          "Draft the result from the findings of the others: a narrative with introduction, body and "
                          "conclusion. Decide; be clear and actionable.");
}

[[nodiscard]] inline std::string general(const brief& about) {
  return detail::instruct("general", about, "Give the main points, short.",
                          "Give the main points, in your words, and build on the findings.");
}

}  // namespace prompts

/// The user message: the task, what is known of it, and what others found.
[[nodiscard]] inline std::string user_text(const brief& about) {
  std::string text = "Topic: " + about.task;
  if (about.final_text) text += "\nWrite the final text.";
  if (!about.part.empty()) text += "\nPart: " + about.part;
  if (!about.known.empty()) text += "\nKnown:\n" + about.known;
  if (!about.findings.empty()) text += "\nFindings:\n" + about.findings;
  return text;
}

}  // namespace felix::inline v1
