// SPDX-License-Identifier: MIT
#include <felix/llm/detail/rate_line.hpp>

#include <felix/async/simulated_loop.hpp>
#include "support/catch.hpp"

#include <mutex>
#include <optional>

using felix::detail::rate_line;

TEST_CASE("rate_line: the less urgent stands back for as long as a more urgent one waits", "[llm][rate_line]") {
  std::mutex guard;
  rate_line line{guard, {}};
  const rate_line::place low{line, 0};
  rate_line::first first_of_low{line, 0};
  CHECK_FALSE(first_of_low.stands_back());
  felix::simulated_loop loop;
  {
    std::optional<rate_line::place> urgent{std::in_place, line, 3};
    CHECK(first_of_low.stands_back());
    rate_line::first first_of_urgent{line, 3};
    CHECK_FALSE(first_of_urgent.stands_back());
    urgent.reset();
    loop.run(first_of_low.changed());  // it was told
    CHECK_FALSE(first_of_low.stands_back());
  }
  const rate_line::place same{line, 0};
  CHECK_FALSE(first_of_low.stands_back());
}

TEST_CASE("rate_line: one that waits for a slot is counted there", "[llm][rate_line]") {
  std::mutex guard;
  rate_line line{guard, {}};
  const rate_line::place one{line, 1}, two{line, 1};
  CHECK(line.waiting(1) == 2);
  rate_line::first first{line, 1};
  first.waits_for_slot(true);
  CHECK(line.waiting(1) == 1);
  CHECK(line.waiting(0) == 0);
  first.waits_for_slot(false);
  CHECK(line.waiting(1) == 2);
  CHECK(line.has_more_urgent(0));
  CHECK_FALSE(line.has_more_urgent(1));
}
