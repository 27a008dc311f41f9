// SPDX-License-Identifier: MIT
// agent: how good an answer to a prompt was: the original's numbers.
#include <felix/agent/prompt_score.hpp>

#include "support/catch.hpp"

#include <string>

using Catch::Matchers::WithinAbs;

namespace {

felix::contribution answered(std::string text, felix::token_count tokens = 10) {
  felix::contribution made;
  made.text = std::move(text);
  made.usage.completion_tokens = tokens;
  return made;
}

}  // namespace

TEST_CASE("prompt_score: quality, confidence, efficiency, time, and a cut for the truncated", "[agent][prompt_score]") {
  struct row {
    felix::prompt_measure measured;
    double score;
  };
  const auto [measured, score] = GENERATE(values<row>({
      {{.quality = 0.8, .confidence = 0.7, .efficiency = 0.6, .seconds = 2}, 0.73},
      {{.quality = 0.8, .confidence = 0.7, .efficiency = 0.6, .truncated = true, .seconds = 2}, 0.53},
      {{.quality = 0.5, .confidence = 0.5, .efficiency = 0.5, .seconds = 12}, 0.45},
      {{.quality = 0.1, .confidence = 0.1, .efficiency = 0, .truncated = true, .seconds = 20}, 0},
      {{.quality = 0.8, .confidence = 0.7, .efficiency = 0.6}, 0.65},  // time does not count
      {{.quality = 1, .confidence = 1, .efficiency = 1, .seconds = 0}, 1},
  }));
  CHECK_THAT(felix::prompt_score(measured), WithinAbs(score, 1e-12));
}

TEST_CASE("looks_truncated: what was cut off, or is as good as empty", "[agent][prompt_score]") {
  const std::string text(50, 'a');
  CHECK_FALSE(felix::looks_truncated(answered(text), 100));
  CHECK(felix::looks_truncated(answered(std::string(49, 'a')), 100));
  std::string umlauts;
  for (int i = 0; i < 49; ++i) umlauts += "\xC3\xA4";
  CHECK(felix::looks_truncated(answered(umlauts), 100));  // characters, not bytes
  CHECK(felix::looks_truncated(answered(text + "..."), 100));
  CHECK(felix::looks_truncated(answered(text + "\xE2\x80\xA6 \n"), 100));
  CHECK_FALSE(felix::looks_truncated(answered(text + ".."), 100));
  CHECK(felix::looks_truncated(answered(text, 95), 100));
  CHECK_FALSE(felix::looks_truncated(answered(text, 94), 100));
  CHECK(felix::looks_truncated(answered(text, 29), 30));
  CHECK_FALSE(felix::looks_truncated(answered(text, 28), 30));
  CHECK_FALSE(felix::looks_truncated(answered(text, 1'000), 0));  // no limit
  auto cut = answered(text);
  cut.finish_reason = felix::finish_reason::length;
  CHECK(felix::looks_truncated(cut, 100));
}

TEST_CASE("measure_of: an answer by its text and confidence, and not by the time it took", "[agent][prompt_score]") {
  auto made = answered("Quantum computing uses qubits. It is fast. It is new.");
  made.confidence = 0.9;
  const auto measured = felix::measure_of(made, 100);
  CHECK_THAT(measured.quality, WithinAbs(0.2575, 1e-12));
  CHECK(measured.confidence == 0.9);
  CHECK(measured.efficiency == 0.8);
  CHECK_FALSE(measured.truncated);
  CHECK_FALSE(measured.seconds);
  CHECK(felix::measure_of(made, 10).truncated);
}
