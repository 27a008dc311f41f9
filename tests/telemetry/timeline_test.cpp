// SPDX-License-Identifier: MIT
// telemetry: spans are kept as they were recorded, in their order, from any thread.
#include <felix/telemetry/timeline.hpp>

#include "support/catch.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using felix::request_span;
using felix::timeline;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<timeline> && !std::is_move_constructible_v<timeline>,
              "what records into it refers to it");

TEST_CASE("timeline: gives back each span as it was, in the order of recording", "[telemetry][timeline]") {
  timeline kept;
  CHECK(kept.spans().empty());
  const std::chrono::steady_clock::time_point begin{5s};
  kept.record({.agent = "research_001",
               .role = "research",
               .stage = 2,
               .priority = felix::request_priority::high,
               .begin = begin,
               .end = begin + 300ms,
               .usage = {.prompt_tokens = 10, .completion_tokens = 20, .total_tokens = 30},
               .failure = "gone",
               .final_text = true});
  kept.record({.agent = "critic_001", .begin = begin - 1s});  // an earlier begin is still recorded later
  const std::vector<request_span> spans = kept.spans();
  REQUIRE(spans.size() == 2);
  CHECK(spans[0].agent == "research_001");
  CHECK(spans[0].role == "research");
  CHECK(spans[0].stage == 2);
  CHECK(spans[0].priority == felix::request_priority::high);
  CHECK(spans[0].begin == begin);
  CHECK(spans[0].end - spans[0].begin == 300ms);
  CHECK(spans[0].usage.total_tokens == 30);
  CHECK(spans[0].failure == "gone");
  CHECK(spans[0].final_text);
  CHECK(spans[1].agent == "critic_001");
  CHECK(spans[1].failure.empty());
  CHECK_FALSE(spans[1].final_text);

  kept.record({});
  CHECK(spans.size() == 2);  // what was read is a copy
  CHECK(kept.spans().size() == 3);
}

TEST_CASE("timeline: four threads record while another reads, and nothing is lost, each one's order stays",
          "[telemetry][timeline][threads]") {
  constexpr int each = 500;
  timeline kept;
  std::atomic<bool> done{false};
  int shrunk = 0;
  std::thread reader{[&] {
    std::size_t before = 0;
    do {
      const std::size_t now = kept.spans().size();
      shrunk += now < before;
      before = now;
    } while (!done);
  }};
  std::vector<std::thread> recorders;
  for (const std::string name : {"a", "b", "c", "d"}) {
    recorders.emplace_back([&kept, name] {
      for (int stage = 1; stage <= each; ++stage) kept.record({.agent = name, .stage = stage});
    });
  }
  for (auto& recorder : recorders) recorder.join();
  done = true;
  reader.join();

  CHECK(shrunk == 0);
  CHECK(kept.spans().size() == 4 * each);
  std::array<int, 4> last{};
  int out_of_order = 0;
  for (const request_span& span : kept.spans()) {
    int& before = last.at(static_cast<std::size_t>(span.agent.at(0) - 'a'));
    out_of_order += span.stage != before + 1;
    before = span.stage;
  }
  CHECK(out_of_order == 0);
}
