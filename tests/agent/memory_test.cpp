// SPDX-License-Identifier: MIT
// agent: what was found in one session, for a later one.
#include <felix/agent/memory.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

using felix::memory_record;
using felix::process_memory;

namespace {

memory_record found(std::string text, double confidence = 0.5, std::string topic = "tea") {
  return {.topic = std::move(topic), .text = std::move(text), .role = "research", .confidence = confidence};
}

std::string texts(const std::vector<memory_record>& records) {
  std::string all;
  for (const auto& record : records) all += (all.empty() ? "" : " | ") + record.text;
  return all;
}

}  // namespace

TEST_CASE("memory: finds what a text is about, the rarer its words the sooner", "[agent][memory]") {
  process_memory known;
  known.remember(found("Green tea comes from China."));
  known.remember(found("Black tea comes from India."));
  known.remember(found("Coffee comes from Ethiopia.", 0.5, "coffee"));
  CHECK(texts(known.recall("What of India?", 10)) == "Black tea comes from India.");
  CHECK(texts(known.recall("tea from CHINA", 10)) ==
        "Green tea comes from China. | Black tea comes from India. | "
        "Coffee comes from Ethiopia.");
  CHECK(texts(known.recall("tea from china", 1)) == "Green tea comes from China.");
  CHECK(texts(known.recall("coffee", 10)) == "Coffee comes from Ethiopia.");  // by its topic, too
  known.remember(found("It keeps one awake.", 0.5, "mate"));
  CHECK(texts(known.recall("mate", 10)) == "It keeps one awake.");
  CHECK(known.recall("of it", 10).empty());
  CHECK(known.recall("", 10).empty());
  CHECK(known.recall("tea", 0).empty());
  CHECK(process_memory{}.recall("tea", 10).empty());
}

TEST_CASE("memory: the surer first, of equals the newer, and what nobody believes never", "[agent][memory][D36]") {
  process_memory known;
  known.remember(found("Tea is old.", 0.4));
  known.remember(found("Tea is new.", 0.8));
  known.remember(found("Tea is hot.", 0.4));
  known.remember(found("Tea is ink.", 0));
  CHECK(texts(known.recall("tea", 10)) == "Tea is new. | Tea is hot. | Tea is old.");
}

TEST_CASE("memory: what is known already, or blank, is not kept", "[agent][memory]") {
  process_memory known;
  CHECK(known.remember(found("Tea is old.")));
  CHECK_FALSE(known.remember(found("- Tea  is\nold.")));
  auto other = found("Tea is old.");
  other.role = "critic";
  CHECK(known.remember(other));
  CHECK_FALSE(known.remember(found(" \n\t")));
  CHECK(known.records().size() == 2);
}

TEST_CASE("memory: as a text for a prompt, whole sentences within any limit", "[agent][memory]") {
  process_memory known;
  known.remember(found("Tea is old. It comes from China, where it was a medicine before it was a drink.", 0.9));
  known.remember(found("Tea is dear.\nIt has always been so.", 0.5));
  CHECK(felix::recalled_text(known, "tea", 300) ==
        "- Tea is old. It comes from China, where it was a medicine before it was a drink.\n"
        "- Tea is dear. It has always been so.");
  CHECK(felix::recalled_text(known, "tea", 60) == "- Tea is old.");
  CHECK(felix::recalled_text(known, "coffee", 300).empty());
  for (std::size_t limit = 0; limit < 200; ++limit) {
    const std::string text = felix::recalled_text(known, "tea", limit);
    REQUIRE(text.size() <= limit);
    REQUIRE(!text.ends_with('\n'));
  }
}

TEST_CASE("memory: a reference remembers and recalls in what it refers to", "[agent][memory]") {
  process_memory known;
  const felix::memory_ref ref{known};
  CHECK(ref.remember(found("Tea is old.")));
  CHECK(texts(ref.recall("tea", 1)) == "Tea is old.");
  CHECK(known.records().size() == 1);
}

TEST_CASE("memory: a hundred thousand findings are searched", "[agent][memory]") {
  process_memory known;
  for (int i = 0; i < 100'000; ++i) known.remember(found("Finding number" + std::to_string(i) + " is about tea."));
  CHECK(texts(known.recall("number4711", 3)) == "Finding number4711 is about tea.");
  CHECK(known.recall("tea", 3).size() == 3);
}
