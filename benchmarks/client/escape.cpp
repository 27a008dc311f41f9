// SPDX-License-Identifier: MIT
// How fast does a text become a JSON string, in ordinary English and in languages that ASCII does not suffice for?
#include "questions.hpp"

#include <felix/llm/json_text.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

// As in prompts: a quote or a line end in about a hundred characters.
constexpr std::string_view english =
    "Two risks stand out. The first is that an \"invented reference\" reaches a patient record, because a fluent "
    "letter "
    "is signed without being read; before the trial begins, every draft should carry a mark that only a named person "
    "can remove after checking each source.\n\n"
    "The second is that staff come to rely on the tone of an answer instead of its content, most of all at night, when "
    "nobody is there to ask; a short course with wrong but fluent examples, held on each ward, shows what that looks "
    "like and costs an hour. Both measures can be counted, so the trial can tell whether they work.\n";
constexpr std::string_view german =
    "Zwei Risiken fallen auf. Das erste: ein \"erfundener Beleg\" gerät in eine Patientenakte, weil ein flüssiger "
    "Brief "
    "ungelesen unterschrieben wird; vor dem Versuch sollte jeder Entwurf ein Zeichen tragen, das nur eine benannte "
    "Person nach Prüfung aller Quellen löschen darf.\n\n"
    "Das zweite: das Personal verlässt sich auf den Ton einer Antwort statt auf ihren Inhalt, vor allem nachts, wenn "
    "niemand da ist, den man fragen könnte; ein kurzer Kurs mit falschen, aber flüssigen Beispielen zeigt auf jeder "
    "Station, wie das aussieht, und kostet eine Stunde.\n";
constexpr std::string_view japanese =
    "二つの危険が目立つ。一つ目は、流暢な手紙が読まれずに署名されるため、「作られた参考文献」が患者の記録に入ることで"
    "ある。試験の前に、すべての草稿に印を付け、出典を確かめた担当者だけがそれを外せるようにする。\n\n"
    "二つ目は、職員が答えの内容ではなく口調を信じるようになることである。特に夜は、尋ねる人がいない。\n";

/// Some kilobytes, as a prompt with what a team has found.
std::string prompt(std::string_view text) {
  std::string whole;
  while (whole.size() < 8'192) whole += text;
  return whole;
}

auto escaping(std::string_view language) {
  return [text = prompt(language)](benchmark::State& state) {
    std::string json;
    for (auto _ : state) {
      json.clear();
      felix::append_json_string(json, text);
      benchmark::DoNotOptimize(json.data());
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
  };
}

}  // namespace

void questions::escape(bench::suite& suite) {
  if (!suite.asks("escape")) return;
  const auto taken = suite.measure(
      "escape", {{"english", escaping(english)}, {"german", escaping(german)}, {"japanese", escaping(japanese)}});
  suite.note("an item is a byte of the text");
  for (const char* language : {"german", "japanese"})
    suite.report(std::string{"escape, "} + language, taken.items_per_second(language).value().value * 1e-9, "GB/s");
  suite.goal("escape, English", bench::at_least{2}, "GB/s",
             bench::scaled(taken.items_per_second("english").value(), 1e-9));
}
