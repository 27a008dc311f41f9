// SPDX-License-Identifier: MIT
#include <felix/llm/limit_usage.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/when_all.hpp>
#include <felix/llm/limited.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>

using namespace std::chrono_literals;

TEST_CASE("limit_usage: who was admitted, and how long each has waited", "[llm][limit_usage]") {
  felix::simulated_loop loop;
  felix::scripted_model script{loop};
  script.on("").reply("ok").after(2s);
  auto llm = felix::model_ref{script} | felix::limit{1};
  const auto ask = [&] { return llm.complete(felix::chat_request{}.user("x")); };
  loop.run(felix::when_all(ask(), ask(), ask()));
  const felix::limit_usage usage = llm.usage_stats();
  CHECK(usage.admitted == 3);
  CHECK(usage.refused == 0);
  CHECK(usage.waits.count() == 3);
  CHECK(usage.waits.max() == 4s);
  CHECK(usage.slots.in_use == 0);
  CHECK(usage.slots.limit == 1);
}
