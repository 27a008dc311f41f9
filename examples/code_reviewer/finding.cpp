// SPDX-License-Identifier: MIT
// code_reviewer: see finding.hpp.
#include "code_reviewer/finding.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

namespace code_reviewer {

namespace {

constexpr std::string_view decoration = " \t-*•>`#[(";

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trimmed(std::string_view text, std::string_view chars) {
  const std::size_t begin = std::min(text.find_first_not_of(chars), text.size());
  text.remove_prefix(begin);
  const std::size_t end = text.find_last_not_of(chars);
  return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

/// Takes a severity off the beginning, in whatever case and marks.
std::optional<severity> take_severity(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(decoration), line.size()));
  // "3. warning", "3) warning"
  const std::size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  if (digits > 0 && digits < line.size() && (line[digits] == '.' || line[digits] == ')')) {
    line.remove_prefix(digits + 1);
    line.remove_prefix(std::min(line.find_first_not_of(decoration), line.size()));
  }
  std::string word;
  while (word.size() < line.size() && lower(line[word.size()]) >= 'a' && lower(line[word.size()]) <= 'z')
    word += lower(line[word.size()]);
  const auto level = severity_of(word);
  if (level) line.remove_prefix(word.size());
  return level;
}

/// Takes "12:", "a.cpp:12:", "line 12:", "12-14:" off the beginning.
std::optional<std::size_t> take_line(std::string_view& line) {
  const std::size_t digit = line.find_first_of("0123456789");
  if (digit == std::string_view::npos) return std::nullopt;
  // The number ends a run of digits before a colon; in "a2.cpp:12: text" it is the second one.
  for (std::size_t at = digit; at < line.size() && at < digit + 300;) {
    std::size_t number = 0;
    const auto [end, failed] = std::from_chars(line.data() + at, line.data() + line.size(), number);
    if (failed != std::errc{}) return std::nullopt;
    std::string_view rest = line.substr(static_cast<std::size_t>(end - line.data()));
    if (rest.starts_with('-') || rest.starts_with("–")) {  // a range
      const std::size_t range = rest.find_first_not_of("-–0123456789");
      rest.remove_prefix(std::min(range, rest.size()));
    }
    const std::string_view marks = trimmed(rest.substr(0, std::min(rest.find(':'), rest.size())), "`*)] \t");
    if (rest.find(':') != std::string_view::npos && marks.empty()) {
      line = rest.substr(rest.find(':') + 1);
      return number;
    }
    const std::size_t next = line.find_first_of("0123456789", static_cast<std::size_t>(end - line.data()));
    // Not in the text behind: a colon and a blank end the place.
    const std::size_t text = line.find(": ");
    if (next == std::string_view::npos || (text != std::string_view::npos && next > text)) return std::nullopt;
    at = next;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(severity level) noexcept {
  switch (level) {
    case severity::error: return "error";
    case severity::warning: return "warning";
    case severity::note: return "note";
  }
  return "note";
}

std::optional<severity> severity_of(std::string_view word) noexcept {
  if (word == "error" || word == "critical" || word == "bug") return severity::error;
  if (word == "warning" || word == "major") return severity::warning;
  if (word == "note" || word == "info" || word == "minor") return severity::note;
  return std::nullopt;
}

std::vector<finding> findings_in(std::string_view answer, const std::string& agent, const std::string& rule,
                                 const piece& part) {
  std::vector<finding> all;
  while (!answer.empty()) {
    const std::size_t end = answer.find('\n');
    std::string_view line = answer.substr(0, end);
    answer.remove_prefix(end == std::string_view::npos ? answer.size() : end + 1);
    const auto level = take_severity(line);
    if (!level) continue;
    const auto number = take_line(line);
    if (!number || *number < part.first_line || *number > part.last_line) continue;
    const std::string_view text = trimmed(line, " \t\r`*");
    if (!text.empty()) all.push_back({*level, part.file, *number, std::string{text}, {agent}, rule});
  }
  return all;
}

std::vector<finding> merged(std::vector<finding> all) {
  std::sort(all.begin(), all.end(), [](const finding& a, const finding& b) {
    return std::tie(a.file, a.line, a.text, a.level, a.agents) < std::tie(b.file, b.line, b.text, b.level, b.agents);
  });
  std::vector<finding> one;
  for (auto& each : all) {
    const bool known = !one.empty() && std::tie(one.back().file, one.back().line, one.back().text) ==
                                           std::tie(each.file, each.line, each.text);
    if (!known) {
      one.push_back(std::move(each));
      continue;
    }
    auto& agents = one.back().agents;
    if (std::find(agents.begin(), agents.end(), each.agents.front()) == agents.end())
      agents.push_back(each.agents.front());
  }
  std::sort(one.begin(), one.end(), [](const finding& a, const finding& b) {
    return std::tie(a.file, a.line, a.level, a.text) < std::tie(b.file, b.line, b.level, b.text);
  });
  return one;
}

}  // namespace code_reviewer
