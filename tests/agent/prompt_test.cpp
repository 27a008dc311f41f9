// SPDX-License-Identifier: MIT
// agent: prompts keep their limits for every role, depth, focus and length; texts are cut between words, not inside them.
#include <felix/agent/prompt.hpp>

#include <felix/utf8.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using felix::brief;
using felix::clip;
using felix::on_one_line;
using felix::prompt_style;
using felix::token_count;

namespace {

struct kind {
  std::string_view name;
  std::string (*prompt)(const brief&);
  bool final_text;
};

constexpr std::array kinds{
    kind{"research", felix::prompts::research, false},  kind{"analysis", felix::prompts::analysis, false},
    kind{"critic", felix::prompts::critic, false},      kind{"synthesis", felix::prompts::synthesis, false},
    kind{"synthesis", felix::prompts::synthesis, true}, kind{"general", felix::prompts::general, false}};
constexpr std::array styles{prompt_style::normal, prompt_style::strict};

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto next = felix::code_point_at(text, at);
    if (!next.valid) return false;
    at += next.bytes;
  }
  return true;
}

std::string repeat(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

brief about(const kind& who, prompt_style style, double depth, std::string focus, token_count max_tokens) {
  return {.task = "t",
          .focus = std::move(focus),
          .depth = depth,
          .max_tokens = max_tokens,
          .style = style,
          .final_text = who.final_text};
}

// What is wrong with a system text; "" if nothing is.
std::string flaw(const kind& who, const brief& what) {
  const std::string text = who.prompt(what);
  const bool strict = what.style == prompt_style::strict;
  if (text.size() > (strict ? 240U : 400U)) return "longer than its limit: " + text;
  if (!is_utf8(text)) return "not UTF-8: " + text;
  if (!contains(text, "You are the " + std::string{who.name} + " agent")) return "no role: " + text;
  if (!what.focus.empty() && !contains(text, "focus: " + clip(what.focus, 24) + ")")) return "no focus: " + text;
  const std::string words = std::to_string(std::max<token_count>(1, what.max_tokens * 3 / 4));
  const std::string length = strict ? " Hard limit " + words + " words, cut off beyond."
                                    : " Aim at " + words + " words (" + std::to_string(what.max_tokens) + " tokens).";
  if (what.max_tokens > 0 && !text.ends_with(length)) return "no length at the end: " + text;
  if (what.focus.size() <= 24 && contains(text, "…")) return "its instructions are cut: " + text;
  return "";
}

// The system text without the depth's number: what is to be done there.
std::string task_at(const kind& who, prompt_style style, double depth) {
  std::string text = who.prompt(about(who, style, depth, "", 100));
  if (const auto at = text.find("at depth "); at != std::string::npos)
    text.erase(at, std::string_view{"at depth 0.00"}.size());
  return text;
}

}  // namespace

TEST_CASE("prompts: every depth and style keeps its limits, with the longest focus too", "[agent][prompt]") {
  for (const kind& who : kinds) {
    for (const prompt_style style : styles) {
      for (int hundredth = 0; hundredth <= 100; ++hundredth) {
        for (const std::size_t focus : {0U, 1U, 24U, 25U, 200U}) {
          for (const token_count tokens : {0, 1, 5'000})
            REQUIRE(flaw(who, about(who, style, hundredth / 100.0, std::string(focus, 'f'), tokens)) == "");
        }
      }
    }
  }
}

TEST_CASE("prompts: every focus of 0 to 200 bytes keeps the limits, in any script", "[agent][prompt]") {
  for (const kind& who : kinds) {
    for (const prompt_style style : styles) {
      for (const double depth : {0.1, 0.5, 0.9}) {
        for (const std::string_view letter : {"a", "é", "中", "😀", "word ", "naïve café "}) {
          for (std::size_t times = 0; times * letter.size() <= 200; ++times)
            REQUIRE(flaw(who, about(who, style, depth, repeat(letter, times), 5'000)) == "");
        }
      }
    }
  }
}

TEST_CASE("prompts: every length of 1 to 5,000 tokens is told and keeps the limits", "[agent][prompt]") {
  for (const kind& who : kinds) {
    for (const prompt_style style : styles) {
      for (token_count tokens = 1; tokens <= 5'000; ++tokens)
        REQUIRE(flaw(who, about(who, style, 0.5, std::string(24, 'f'), tokens)) == "");
    }
  }
}

TEST_CASE("prompts: what is to be done changes with the depth, at the bands' edges", "[agent][prompt]") {
  struct row {
    std::size_t who;
    std::vector<std::vector<double>> bands;
  };
  const std::vector<row> rows{{0, {{0, 0.1, 0.29}, {0.3, 0.5, 0.69}, {0.7, 0.9, 1}}},
                              {1, {{0, 0.25, 0.49}, {0.5, 0.75, 1}}}};
  for (const auto& [who, bands] : rows) {
    for (const prompt_style style : styles) {
      std::set<std::string> tasks;
      for (const auto& band : bands) {
        for (const double depth : band)
          CHECK(task_at(kinds[who], style, depth) == task_at(kinds[who], style, band.front()));
        tasks.insert(task_at(kinds[who], style, band.front()));
      }
      CHECK(tasks.size() == bands.size());
    }
  }
}

TEST_CASE("prompts: no two roles or styles are told the same, and drafts are no final texts", "[agent][prompt]") {
  std::set<std::string> texts;
  for (const kind& who : kinds) {
    for (const prompt_style style : styles) texts.insert(who.prompt(about(who, style, 0.5, "", 0)));
  }
  CHECK(texts.size() == kinds.size() * styles.size());
}

TEST_CASE("prompts: each role is told its limits", "[agent][prompt]") {
  for (const prompt_style style : styles) {
    for (const double depth : {0.0, 0.4, 0.8}) {
      CHECK_THAT(task_at(kinds[0], style, depth), ContainsSubstring("conclude") && ContainsSubstring("not"));
      CHECK_THAT(task_at(kinds[1], style, depth),
                 ContainsSubstring("Decide nothing") || ContainsSubstring("no final decision"));
    }
    CHECK_THAT(task_at(kinds[2], style, 0.5), ContainsSubstring("correction"));
    CHECK_THAT(task_at(kinds[3], style, 0.5), ContainsSubstring("Draft"));
    CHECK_THAT(task_at(kinds[4], style, 0.5), ContainsSubstring("complete") && ContainsSubstring("conclusion"));
  }
}

TEST_CASE("prompts: two texts as they are sent", "[agent][prompt]") {
  CHECK(
      felix::prompts::research(
          {.focus = "technical", .depth = 0.1, .max_tokens = 150, .style = prompt_style::strict}) ==
      "You are the research agent (focus: technical) of a team. Give 3-5 facts as bullets, sources as names or dates, "
      "nothing explained. Do not conclude. Hard limit 112 words, cut off beyond.");
  CHECK(felix::prompts::critic({.depth = 0.666, .max_tokens = 1}) ==
        "You are the critic agent of a team, at depth 0.67 on a scale from 0 (broad) to 1 (focused). Judge the work of "
        "the others: gaps, errors, inconsistencies. Give concrete, constructive corrections, numbered, centred on your "
        "focus. No praise. Aim at 1 words (1 tokens).");
}

TEST_CASE("prompts: instructions that are too long are cut, not who one is or how much to write", "[agent][prompt]") {
  for (const prompt_style style : styles) {
    const std::string text = felix::detail::instruct("editor", {.focus = "style", .max_tokens = 100, .style = style},
                                                     repeat("Mind the strict. ", 60), repeat("Mind the normal. ", 60));
    const bool strict = style == prompt_style::strict;
    CHECK(text.size() <= (strict ? 240U : 400U));
    CHECK(text.size() >= (strict ? 200U : 360U));
    CHECK(text.starts_with("You are the editor agent (focus: style) of a team"));
    CHECK(text.ends_with(strict ? "Mind the strict. Hard limit 75 words, cut off beyond."
                                : "Mind the normal. Aim at 75 words (100 tokens)."));
  }
}

TEST_CASE("prompts: without a limit nothing is said of one", "[agent][prompt]") {
  for (const prompt_style style : styles) {
    for (const token_count tokens : {0, -5}) {
      const std::string text = felix::prompts::general(about(kinds[5], style, 0.5, "", tokens));
      CHECK_FALSE(contains(text, "words ("));
      CHECK_FALSE(contains(text, "limit"));
    }
  }
}

TEST_CASE("limits_of: the two styles", "[agent][prompt]") {
  CHECK(felix::limits_of(prompt_style::strict).system_bytes == 240);
  CHECK(felix::limits_of(prompt_style::strict).findings_bytes == 200);
  CHECK(felix::limits_of(prompt_style::strict).final_findings_bytes == 400);
  CHECK(felix::limits_of(prompt_style::normal).system_bytes == 400);
  CHECK(felix::limits_of(prompt_style::normal).findings_bytes == 300);
  CHECK(felix::limits_of(prompt_style::normal).final_findings_bytes == 1'600);
}

TEST_CASE("user_text: the task, and what there is besides", "[agent][prompt]") {
  CHECK(felix::user_text({.task = "Rivers"}) == "Topic: Rivers");
  CHECK(felix::user_text({.task = "Rivers", .findings = "- [a] long\n- [b] wide"}) ==
        "Topic: Rivers\nFindings:\n- [a] long\n- [b] wide");
  CHECK(felix::user_text({.task = "Rivers", .findings = "- [a] long", .final_text = true, .part = "report"}) ==
        "Topic: Rivers\nWrite the final text.\nPart: report\nFindings:\n- [a] long");
  CHECK(felix::user_text({.task = "Rivers", .final_text = true}) == "Topic: Rivers\nWrite the final text.");
}

TEST_CASE("clip: whole sentences, else whole words, else whole letters", "[agent][prompt]") {
  struct row {
    std::string text;
    std::size_t max_bytes;
    std::string clipped;
  };
  const auto [text, max_bytes, clipped] = GENERATE(values<row>(
      {{"", 0, ""},
       {"", 5, ""},
       {"all of it", 9, "all of it"},
       {"all of it", 100, "all of it"},
       {"all of it", 0, ""},
       {"all of it", 2, ""},  // no room for the ellipsis
       {"all of it", 3, "…"},
       {"all of it", 8, "all…"},
       {"One. Two. Three.", 15, "One. Two."},
       {"One. Two. Three.", 9, "One. Two."},  // the sentence ends just there
       {"One. Two. Three.", 8, "One."},       // half of the room is used
       {"One. Two. Three.", 10, "One. Two."},
       {"Is it? Yes! It is so.", 12, "Is it? Yes!"},
       {"Is it so? Perhaps it is.", 14, "Is it so?"},
       {"First line.\nSecond line", 20, "First line."},
       {"No. A much longer sentence follows", 20, "No. A much longer…"},  // a sentence of 3 in 20 is too little
       {"version 3.5 is no end", 14, "version 3.5…"},                     // a point inside a number ends nothing
       {"hello world again", 14, "hello world…"},                         // the word ends just there
       {"hello world again", 13, "hello…"},
       {"hello\nworld again", 13, "hello…"},
       {"a verylongwordwithoutends", 13, "a verylong…"},  // better half a word than half the room
       {"unbreakable", 10, "unbreak…"},
       {"ééééé", 9, "ééé…"},
       {"ééééé", 8, "éé…"},
       {"😀😀😀", 11, "😀😀…"},
       {"😀😀😀", 10, "😀…"},
       {"😀😀😀", 6, "…"}}));
  CAPTURE(text, max_bytes);
  CHECK(clip(text, max_bytes) == clipped);
}

TEST_CASE("clip: within any limit, a beginning of the text, in whole letters, and done once for all",
          "[agent][prompt]") {
  const std::vector<std::string> texts{
      "Rivers carry water. They also carry silt! Do they carry more? In spring, yes; in autumn they run dry and low.",
      repeat("x", 120),
      repeat("ä", 60),
      repeat("中文字 ", 20),
      repeat("😀", 30),
      "A. B. C. D. E. F. G. H. I. J. K. L. M. N. O. P. Q. R. S. T. U. V. W. X. Y. Z.",
      " leading and trailing spaces, and\n\nblank lines.\n\nMore. ",
      "… … … … … … … …"};
  for (const auto& text : texts) {
    for (std::size_t limit = 0; limit <= text.size() + 2; ++limit) {
      CAPTURE(text, limit);
      std::string cut = clip(text, limit);
      REQUIRE(cut.size() <= limit);
      REQUIRE(is_utf8(cut));
      REQUIRE(clip(cut, limit) == cut);
      if (limit >= text.size()) {
        REQUIRE(cut == text);
      } else {
        if (!text.starts_with(cut)) {
          REQUIRE(cut.ends_with("…"));
          cut.resize(cut.size() - std::string_view{"…"}.size());
        }
        REQUIRE(text.starts_with(cut));
        if (limit >= 20) REQUIRE(2 * cut.size() + 12 >= limit);  // never much less than half of the room
      }
    }
  }
}

TEST_CASE("clip: of what is not UTF-8, too, it takes no more than the limit", "[agent][prompt]") {
  const std::string stray = repeat("\x80", 50) + repeat("\xF0", 50);
  for (std::size_t limit = 0; limit <= stray.size(); ++limit) REQUIRE(clip(stray, limit).size() <= limit);
}

TEST_CASE("on_one_line: without line breaks, runs of spaces and list marks", "[agent][prompt]") {
  struct row {
    std::string text, line;
  };
  const auto [text, line] = GENERATE(values<row>({{"", ""},
                                                  {" \n\t ", ""},
                                                  {"plain", "plain"},
                                                  {"  a   b\tc  ", "a b c"},
                                                  {"- one\n- two", "one two"},
                                                  {"* one\r\n* two\r\n", "one two"},
                                                  {"# Title\n\n## Part\ntext", "Title Part text"},
                                                  {"> quoted\n>\n> more", "quoted more"},
                                                  {"  - indented\n\t- deeper", "indented deeper"},
                                                  {"- - nested", "nested"},
                                                  {"---\ntext\n---", "text"},
                                                  {"1. first\n2. second", "1. first 2. second"},
                                                  {"a - b * c # d > e", "a - b * c # d > e"},
                                                  {"a-b\nc-d", "a-b c-d"},
                                                  {"-40 degrees\n- -5 at night", "-40 degrees -5 at night"},
                                                  {"**Bold** claim", "**Bold** claim"},
                                                  {"#1 of them", "#1 of them"},
                                                  {"ends with -", "ends with -"},
                                                  {"é\n中", "é 中"}}));
  CAPTURE(text);
  CHECK(on_one_line(text) == line);
  CHECK(on_one_line(on_one_line(text)) == line);
}

TEST_CASE("prompts: how much to compress is said with findings, above a half, and never in place of what to do",
          "[agent][prompt]") {
  const brief strict{.findings = "- [a] x", .max_tokens = 100, .style = prompt_style::strict, .compression = 0.75};
  CHECK(contains(felix::prompts::critic(strict), " Compress findings 75%. Hard limit 75 words"));
  const brief normal{.findings = "- [a] x", .max_tokens = 100, .compression = 0.85};
  CHECK(contains(felix::prompts::critic(normal), " Compress findings by 85%, keep key points. Aim at"));
  brief without = normal;
  without.findings.clear();
  CHECK_FALSE(contains(felix::prompts::critic(without), "ompress"));
  brief half = normal;
  half.compression = 0.5;
  CHECK_FALSE(contains(felix::prompts::critic(half), "ompress"));

  for (const auto& each : kinds) {
    for (const prompt_style style : styles) {
      for (const double depth : {0.0, 0.2, 0.5, 0.9}) {
        for (std::size_t focus = 0; focus <= 24; ++focus) {
          brief told = about(each, style, depth, std::string(focus, 'f'), 150);
          const std::string before = each.prompt(told);
          told.findings = "- [a] x";
          told.compression = 0.9;
          const std::string text = each.prompt(told);
          CAPTURE(text);
          REQUIRE(text.size() <= felix::limits_of(style).system_bytes);
          const std::size_t length = before.rfind(style == prompt_style::strict ? " Hard" : " Aim");
          REQUIRE(text.starts_with(before.substr(0, length)));
          REQUIRE(text.ends_with(before.substr(length)));
          if (focus <= 12) REQUIRE(contains(text, "90%"));
        }
      }
    }
  }
}

TEST_CASE("clip_to_sentences: whole sentences as long as one fits", "[agent][prompt]") {
  using felix::clip_to_sentences;
  const std::string text = "Yes. No! Some, e.g. tea, cost 3.5 pounds? 茶は古い。That is all.";
  CHECK(clip_to_sentences(text, 1'000) == text);
  CHECK(clip_to_sentences(text, 4) == "Yes.");
  CHECK(clip_to_sentences(text, 7) == "Yes.");
  CHECK(clip_to_sentences(text, 8) == "Yes. No!");
  CHECK(clip_to_sentences(text, 40) == "Yes. No!");
  CHECK(clip_to_sentences(text, 41) == "Yes. No! Some, e.g. tea, cost 3.5 pounds?");
  CHECK(clip_to_sentences(text, 56) == "Yes. No! Some, e.g. tea, cost 3.5 pounds?");
  CHECK(clip_to_sentences(text, 57) == "Yes. No! Some, e.g. tea, cost 3.5 pounds? 茶は古い。");
  CHECK(clip_to_sentences(text, 3) == "…");
  CHECK(clip_to_sentences("A. Miller drinks tea and writes", 12) == "A. Miller…");
}
