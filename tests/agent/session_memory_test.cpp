// SPDX-License-Identifier: MIT
// agent: sessions that build on what former ones have found.
#include <felix/agent/session.hpp>

#include <felix/agent/memory.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct outcome {
  felix::session_result result;
  std::vector<felix::chat_request> requests;
};

outcome run(std::optional<felix::memory_ref> memory, const std::string& task, bool strict = false) {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  model.on("the research agent").reply("Tea is old. It comes from China.");
  model.on("").reply("Tea matters, because it is old.");
  felix::strict_budget small;
  felix::normal_budget large;
  felix::session session{model,
                         felix::teams::medium(),
                         strict ? static_cast<felix::ledger&>(small) : static_cast<felix::ledger&>(large),
                         {.seed = 1, .memory = memory}};
  outcome got;
  got.result = loop.run(session.run(task));
  got.requests = model.requests();
  return got;
}

std::size_t asked_with(const outcome& of, const std::string& text) {
  return static_cast<std::size_t>(std::count_if(of.requests.begin(), of.requests.end(), [&](const auto& request) {
    return request.messages().back().content.find(text) != std::string::npos;
  }));
}

struct broken_memory {
  bool remember(const felix::memory_record&) { throw std::runtime_error{"the disk is full"}; }
  std::vector<felix::memory_record> recall(std::string_view, std::size_t) const { return {}; }
};

}  // namespace

TEST_CASE("session: what a team found is known to the next one, on a like topic", "[agent][session][session_memory]") {
  felix::process_memory known;
  const outcome first = run(known, "Write about tea");
  CHECK(first.result.remembered == known.records().size());
  CHECK(first.result.memory_failure.empty());
  CHECK(asked_with(first, "Known:") == 0);
  REQUIRE_FALSE(known.records().empty());
  for (const auto& record : known.records()) {
    CHECK(record.topic == "Write about tea");
    CHECK(record.role != felix::role_id{"synthesis"});
    CHECK(record.confidence > 0);
    CHECK(record.unix_seconds > 0);
  }
  const outcome second = run(known, "Where is tea from?");
  CHECK(asked_with(second, "\nKnown:\n- ") > 0);
  CHECK(asked_with(second, "Tea is old. It comes from China.") > 0);
  const outcome other = run(known, "Coffee of Ethiopia");
  CHECK(asked_with(other, "Known:") == 0);
  CHECK(asked_with(run({}, "Where is tea from?"), "Known:") == 0);
}

TEST_CASE("session: what is known has the room that findings leave, and no prompt gets longer than its limits",
          "[agent][session][session_memory]") {
  const bool strict = GENERATE(true, false);
  felix::process_memory known;
  for (int i = 0; i < 40; ++i)
    known.remember({.topic = "tea",
                    .text = "Tea fact number " + std::to_string(i) + " is told here at some length.",
                    .role = "research",
                    .confidence = 0.5});
  const outcome got = run(known, "Write about tea", strict);
  CHECK(got.result.complete);
  CHECK(asked_with(got, "Known:") > 0);
  const auto limits = felix::limits_of(strict ? felix::prompt_style::strict : felix::prompt_style::normal);
  for (const auto& request : got.requests) {
    const std::string& user = request.messages().back().content;
    const bool final_text = user.find("Write the final text.") != std::string::npos;
    CHECK(user.size() <= 60 + (final_text ? limits.final_findings_bytes : limits.findings_bytes));
  }
}

TEST_CASE("session: a memory that fails costs nothing else", "[agent][session][session_memory]") {
  broken_memory broken;
  const outcome got = run(broken, "Write about tea");
  CHECK(got.result.complete);
  CHECK(got.result.remembered == 0);
  CHECK(got.result.memory_failure == "the disk is full");
}
