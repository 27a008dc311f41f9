// SPDX-License-Identifier: MIT
// model_server: the forms of the answers. Each is planned in bytes, because four bytes are a token.
#include "model_server/simulated_model.hpp"

#include "model_server/hash.hpp"
#include "model_server/prose.hpp"
#include "model_server/reading.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace model_server {

namespace {

using detail::any_length;
using detail::assignment;
using detail::phrase_list;
using detail::role;
using detail::writer;
namespace phrases = detail::phrases;

constexpr std::size_t bytes_per_token = 4;
constexpr std::size_t default_tokens = 600;  // without max_tokens; models end by themselves
constexpr std::size_t default_final_tokens = 900;
constexpr std::size_t longest_list_tokens = 1'600;
constexpr std::string_view simulated_note = "*Written by a simulated model.*";

std::size_t room_for(std::size_t all, std::size_t taken) { return all > taken ? all - taken : 0; }

// ---- lists ----------------------------------------------------------------------------------------------------------

// An item's sentences: `main`, or `on_findings` in every second item when there are findings; then `second`, if the
// list has such. Without room for that, a short one.
struct list_form {
  phrase_list main;
  phrase_list on_findings;
  phrase_list second;
  phrase_list brief;
  enum class mark : unsigned char { bullet, number } marked;
  bool with_sources;
};

std::string source_of(writer& pen) {
  const auto number = std::to_string(1 + pen.below(60));
  const auto year = std::to_string(2009 + pen.below(16));
  return " (simulated source " + number + ", " + year + ")";
}

std::string list_item(writer& pen, const list_form& form, std::size_t index, std::size_t room) {
  std::string item = form.marked == list_form::mark::bullet ? "- " : std::to_string(index + 1) + ". ";
  const std::string end = form.with_sources ? source_of(pen) + "." : ".";
  const std::size_t left = room_for(room, item.size() + end.size());
  const bool builds = !pen.work().findings.empty() && index % 2 == 0;
  auto first = pen.sentence(builds ? form.on_findings : form.main, left);
  if (!first) first = pen.sentence(form.brief, left);
  if (!first) return {};
  item += *first + end;
  if (form.second.empty()) return item;
  const auto second = pen.sentence(form.second, room_for(room, item.size() + 2));
  return second ? item + " " + *second + "." : item;
}

// Ends when four fifths to all of the room are filled.
std::string list(writer& pen, const list_form& form, std::size_t room) {
  room = std::min(room, longest_list_tokens * bytes_per_token);
  const std::size_t enough = room * (80 + pen.below(15)) / 100;
  std::string text;
  for (std::size_t index = 0; text.size() < enough; ++index) {
    const std::string item = list_item(pen, form, index, room_for(room, text.size() + 1));
    if (item.empty()) break;
    text += (text.empty() ? "" : "\n") + item;
  }
  return text.empty() ? list_item(pen, form, 0, any_length) : text;  // which will be cut
}

// ---- texts ----------------------------------------------------------------------------------------------------------

struct block {
  std::string heading{};
  phrase_list from{};
  std::size_t most = 3;  // sentences
  std::vector<std::string> sentences{};
};

// Paragraphs of two or three sentences, the longer ones first.
void append_paragraphs(std::string& text, const std::vector<std::string>& sentences) {
  std::size_t paragraphs = (sentences.size() + 2) / 3;
  std::size_t next = 0;
  for (; paragraphs > 0; --paragraphs) {
    const std::size_t end = next + (sentences.size() - next + paragraphs - 1) / paragraphs;
    if (!text.empty()) text += "\n\n";
    for (bool first = true; next < end; first = false) text += (first ? "" : " ") + sentences[next++];
  }
}

std::string joined(const std::string& title, const std::vector<block>& blocks) {
  std::string text = title;
  for (const block& each : blocks) {
    if (!each.heading.empty()) text += (text.empty() ? "" : "\n\n") + each.heading;
    append_paragraphs(text, each.sentences);
  }
  return text;
}

// A sentence for the block; what others found is told once in each block but the first and the last.
std::optional<std::string> next_sentence(writer& pen, const block& into, std::size_t room) {
  const bool tells = into.most > 3 && into.sentences.size() == 1 && !pen.work().findings.empty();
  auto found = tells ? pen.sentence(phrases::on_findings, room) : std::nullopt;
  if (!found) found = pen.sentence(into.from, room);
  return found ? found : pen.sentence(phrases::short_sentences, room);
}

std::vector<block> outline(writer& pen, std::size_t sections) {
  std::vector<std::size_t> chosen(phrases::themes.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = i;
  while (chosen.size() > sections) chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(pen.below(chosen.size())));
  std::vector<block> blocks{{.from = phrases::introductions}};
  for (const std::size_t theme : chosen)
    blocks.push_back({.heading = "## " + std::string{pen.one_of(phrases::themes[theme].headings)},
                      .from = phrases::themes[theme].sentences,
                      .most = 6});
  blocks.push_back({.heading = sections > 0 ? "## Conclusion" : "", .from = phrases::conclusions});
  return blocks;
}

// An introduction, sections and a conclusion: as many sections as get a sentence each, then more sentences in turn.
std::string narrative(writer& pen, const std::string& title, std::size_t room) {
  constexpr std::size_t good_sentence = 62, any_sentence = 34;  // bytes that a block should have, must have
  std::size_t sections = room < 1'000 ? 3 : room < 2'200 ? 4 : 5;
  std::vector<block> blocks;
  std::size_t share = 0;
  for (;; --sections) {
    blocks = outline(pen, sections);
    const std::size_t separators = 2 * blocks.size();
    share = room_for(room, joined(title, blocks).size() + separators) / blocks.size();
    if (share >= (sections > 3 ? good_sentence : any_sentence) || sections == 0) break;
  }
  for (block& each : blocks) {
    const auto sentence = next_sentence(pen, each, share);
    each.sentences.push_back(sentence ? *sentence : pen.sentence(each.from).value_or("So be it."));
  }
  for (bool grew = true; grew;) {
    grew = false;
    for (block& each : blocks) {
      if (each.sentences.size() >= each.most) continue;
      constexpr std::size_t separator = 3;  // a space, or what a further paragraph needs
      auto sentence = next_sentence(pen, each, room_for(room, joined(title, blocks).size() + separator));
      if (!sentence) continue;
      each.sentences.push_back(*std::move(sentence));
      grew = true;
    }
  }
  return joined(title, blocks);
}

std::string blog_post(writer& pen, std::size_t room) {
  const assignment& work = pen.work();
  const std::string title =
      work.question.empty() ? pen.sentence(phrases::titles).value_or(work.subject) : work.question;
  return narrative(pen, "# " + title + "\n\n" + std::string{simulated_note}, room);
}

std::string executive_summary(writer& pen, std::size_t room) {
  constexpr std::size_t most = 5;
  std::string text = "## Executive summary\n";
  for (std::size_t points = 0; points < most; ++points) {
    const std::size_t left = room_for(room, text.size() + 3);
    const bool builds = points == 1 && !pen.work().findings.empty();
    const auto point =
        pen.sentence(builds ? phrases::summary_on_findings : phrases::summary_points, points == 0 ? any_length : left);
    if (!point) break;
    text += "\n- " + *point;
  }
  return text;
}

// From one theme after the other.
std::string main_points(writer& pen, std::size_t room) {
  room = std::min(room, longest_list_tokens * bytes_per_token);
  const std::string title = "Main points on " + pen.work().subject + ":\n";
  const std::size_t enough = room * 4 / 5;
  const std::size_t first = pen.below(phrases::themes.size());
  std::string text = title;
  std::size_t misses = 0;
  for (std::size_t i = 0; text.size() < enough && misses < phrases::themes.size(); ++i) {
    const bool builds = i % 3 == 1 && !pen.work().findings.empty();
    const phrase_list from =
        builds ? phrases::on_findings : phrases::themes[(first + i) % phrases::themes.size()].sentences;
    const auto point = pen.sentence(from, room_for(room, text.size() + 3));
    if (point) text += "\n- " + *point;
    misses = point ? 0 : misses + 1;
  }
  return text != title ? text : title + "\n- " + pen.sentence(phrases::themes[first].sentences).value_or("");
}

std::string write(writer& pen, std::size_t room) {
  using mark = list_form::mark;
  const assignment& work = pen.work();
  switch (work.as) {
    case role::research:
      return list(pen, {phrases::facts, phrases::facts_on_findings, {}, phrases::short_facts, mark::bullet, true},
                  room);
    case role::analysis:
      return list(pen,
                  {phrases::insights, phrases::insights_on_findings, phrases::implications, phrases::short_insights,
                   mark::number, false},
                  room);
    case role::critic:
      return list(pen,
                  {phrases::issues, phrases::issues_on_findings, phrases::corrections, phrases::short_issues,
                   mark::number, false},
                  room);
    case role::synthesis:
      if (work.executive_summary) return executive_summary(pen, room);
      return work.final_text ? blog_post(pen, room) : narrative(pen, {}, room);
    case role::general: break;
  }
  return main_points(pen, room);
}

}  // namespace

std::uint64_t seed_of(const request& asked, std::uint64_t server_seed) noexcept {
  detail::hash sum;
  sum.add(server_seed);
  sum.add(std::uint64_t{asked.seed.has_value()});
  sum.add(static_cast<std::uint64_t>(asked.seed.value_or(0)));
  sum.add(static_cast<std::uint64_t>(std::llround(asked.temperature * 1'000)));
  for (const message& each : asked.messages) {
    sum.add(each.role);
    sum.add(each.content);
  }
  if (asked.choice > 0) sum.add(std::uint64_t{asked.choice});
  return sum.value();
}

int count_prompt_tokens(const std::vector<message>& messages) noexcept {
  int tokens = 3;
  for (const message& each : messages) tokens += 4 + count_tokens(each.content) + each.other_tokens;
  return tokens;
}

std::string_view cut_to_bytes(std::string_view text, std::size_t max_bytes) noexcept {
  if (text.size() <= max_bytes) return text;
  std::size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

answer simulate(const request& asked, std::uint64_t server_seed) {
  const assignment work = detail::read(asked.messages);
  const bool is_post = work.as == role::synthesis && work.final_text && !work.executive_summary;
  const std::size_t usual = is_post ? default_final_tokens : default_tokens;
  constexpr std::int64_t more_than_any_text = 1'000'000;
  const auto tokens = asked.max_tokens
                          ? static_cast<std::size_t>(std::clamp<std::int64_t>(*asked.max_tokens, 1, more_than_any_text))
                          : usual;
  writer pen{work, seed_of(asked, server_seed)};
  answer result;
  result.text = write(pen, bytes_per_token * tokens);
  const std::size_t kept =
      asked.max_tokens ? cut_to_bytes(result.text, bytes_per_token * tokens).size() : result.text.size();
  result.cut = kept < result.text.size();
  result.text.resize(kept);
  result.prompt_tokens = count_prompt_tokens(asked.messages);
  result.completion_tokens = count_tokens(result.text);
  return result;
}

}  // namespace model_server
