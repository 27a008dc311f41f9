// SPDX-License-Identifier: MIT
// model_server: reads prompts by their words. Everything taken from them is valid UTF-8 without control characters.
#include "model_server/reading.hpp"

#include "model_server/phrases.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>

namespace model_server::detail {

namespace {

constexpr std::size_t longest_subject = 60;  // bytes: it stands in many sentences
constexpr std::size_t most_findings = 32;
constexpr std::size_t longest_finding = 2'000;

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(), [](char c) { return lower(c); });
  return result;
}

template <class List>
bool contains(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string_view trim(std::string_view text, std::string_view what) {
  const std::size_t begin = text.find_first_not_of(what);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(what) - begin + 1);
}

// Without C0, DEL and C1; tabs and line ends become spaces.
std::string printable(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      ++i;  // C1: U+0080 to U+009F
    } else if (byte == '\t' || byte == '\n' || byte == '\r') {
      result += ' ';
    } else if (byte >= 0x20 && byte != 0x7F) {
      result += text[i];
    }
  }
  return result;
}

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(by), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

role role_of(std::string_view system) {
  constexpr std::array<std::pair<std::string_view, role>, 4> names{{{"research", role::research},
                                                                    {"analys", role::analysis},
                                                                    {"critic", role::critic},
                                                                    {"synthes", role::synthesis}}};
  // The first counts: "You are the analysis agent … structure them for the synthesis".
  std::size_t first = std::string_view::npos;
  role found = role::general;
  for (const auto& [name, as] : names) {
    const std::size_t at = system.find(name);
    if (at >= first) continue;
    first = at;
    found = as;
  }
  return found;
}

std::string focus_of(std::string_view system) {
  constexpr std::string_view label = "(focus: ";
  const std::size_t at = system.find(label);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = system.substr(at + label.size());
  return std::string{rest.substr(0, rest.find(')'))};
}

// "Write a comprehensive blog post about AI safety" asks for a text about "AI safety".
std::string_view without_lead_in(std::string_view topic) {
  constexpr std::array<std::string_view, 33> fillers{
      "please",  "can",      "could",    "you",  "me",      "write", "draft", "create",        "compose",
      "produce", "prepare",  "give",     "tell", "an",      "a",     "the",   "short",         "long",
      "brief",   "detailed", "complete", "good", "new",     "blog",  "final", "comprehensive", "post",
      "article", "essay",    "report",   "text", "summary", "piece"};
  constexpr std::array<std::string_view, 6> verbs{"explain",   "describe",  "discuss",
                                                  "summarise", "summarize", "explore"};
  constexpr std::array<std::string_view, 4> prepositions{"about", "on", "of", "regarding"};
  std::string_view rest = topic;
  bool asked = false;
  while (true) {
    const std::size_t end = rest.find(' ');
    if (end == std::string_view::npos) return topic;  // nothing would be left
    const std::string word = lower(rest.substr(0, end));
    rest = trim(rest.substr(end), " ");
    if (contains(verbs, word)) return rest;
    if (asked && contains(prepositions, word)) return rest;
    if (!contains(fillers, word)) return topic;
    asked = true;
  }
}

std::string clipped(std::string_view text) {
  if (text.size() <= longest_subject) return std::string{text};
  const std::string_view head = cut_to_bytes(text, longest_subject);
  const std::size_t space = head.rfind(' ');
  return std::string{head.substr(0, space != std::string_view::npos && 2 * space > head.size() ? space : head.size())};
}

void set_subject(assignment& work, std::string_view topic) {
  const std::string shown = printable(topic.substr(0, topic.find('\n')));
  const std::string_view whole = trim(without_lead_in(trim(shown, " ")), " .!:;,\"'*`");
  const std::string subject = clipped(whole);
  if (whole.ends_with('?') || whole.ends_with("？")) {
    work.question = subject;
    work.subject = "the question \"" + subject + "\"";
  } else {
    work.subject = subject.empty() ? "this subject" : subject;
  }
}

constexpr std::array<std::string_view, 40> common_words{
    "about",   "after",   "also",   "among", "because", "been", "before", "between", "both",  "from",
    "have",    "however", "into",   "least", "more",    "most", "must",   "only",    "other", "over",
    "percent", "same",    "should", "some",  "source",  "such", "than",   "that",    "their", "them",
    "then",    "there",   "these",  "they",  "this",    "were", "what",   "when",    "which", "with"};

bool is_content(std::string_view word) {
  return word.size() >= 4 && !contains(common_words, lower(word)) &&
         std::none_of(word.begin(), word.end(), [](char c) { return (c >= '0' && c <= '9') || c == '_' || c == '"'; });
}

// The longest two neighbours that mean something, else the longest word.
std::string striking_words(std::string_view text) {
  std::string_view pair;
  std::string_view single;
  std::string_view before;
  for (const std::string_view token : split(text, ' ')) {
    const std::string_view word = trim(token, ".,;:!?()[]*-'`");
    const bool counts = is_content(word);
    if (counts && word.size() > single.size()) single = word;
    if (counts && !before.empty()) {
      const auto length = static_cast<std::size_t>(word.data() + word.size() - before.data());
      if (length >= pair.size() && length <= longest_subject) pair = std::string_view{before.data(), length};
    }
    before = counts && word.data() + word.size() == token.data() + token.size() ? word : std::string_view{};
  }
  const std::string_view best = !pair.empty() ? pair : !single.empty() ? single : text;
  std::string quoted{"\""};  // not "\"" + …: g++ 12 warns of its own std::string there at -O3
  return quoted.append(trim(cut_to_bytes(best, longest_subject), " \"")).append("\"");
}

finding read_finding(std::string_view line) {
  finding result;
  const std::string text = printable(line.substr(0, longest_finding));
  std::string_view rest = trim(text, " -*");
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end != std::string_view::npos && end <= longest_subject) {
      result.author = rest.substr(1, end - 1);
      rest = trim(rest.substr(end + 1), " :-");
    }
  }
  const std::string lowered = lower(rest);
  const auto pick_up = [&](phrase_list phrases) {
    for (const std::string_view phrase : phrases)
      if (lowered.find(phrase) != std::string::npos) result.words.emplace_back(phrase);
  };
  for (const phrase_list aspects : phrases::all_aspects()) pick_up(aspects);
  pick_up(phrases::risks);
  if (result.words.empty() && !rest.empty()) result.words.push_back(striking_words(rest));
  return result;
}

void read_user_message(assignment& work, std::string_view content, std::string& topic) {
  constexpr std::string_view blank = " \t\r";
  bool in_findings = false;
  for (const std::string_view untrimmed : split(content, '\n')) {
    const std::string_view line = trim(untrimmed, blank);
    const std::string lowered = lower(line.substr(0, longest_subject));
    if (lowered.starts_with("topic:")) {
      topic = trim(line.substr(6), blank);
      in_findings = false;
    } else if (lowered.starts_with("part:")) {
      work.executive_summary = lowered.find("summary") != std::string::npos;
    } else if (lowered.starts_with("write the final text")) {
      work.final_text = true;
    } else if (lowered.starts_with("findings:")) {
      in_findings = true;
    } else if (in_findings && work.findings.size() < most_findings) {
      finding found = read_finding(line);
      if (!found.words.empty()) work.findings.push_back(std::move(found));
    }
  }
}

}  // namespace

assignment read(const std::vector<message>& messages) {
  assignment work;
  std::string system;
  std::string topic;
  std::string_view last_user_text;
  for (const message& each : messages) {
    if (each.role == "system" || each.role == "developer") system += lower(each.content) + "\n";
    if (each.role != "user") continue;
    read_user_message(work, each.content, topic);
    last_user_text = trim(each.content, " \t\r\n");
  }
  work.as = role_of(system);
  work.focus = focus_of(system);
  set_subject(work, topic.empty() ? last_user_text : std::string_view{topic});
  return work;
}

}  // namespace model_server::detail
