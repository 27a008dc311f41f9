// SPDX-License-Identifier: MIT
#include <felix/llm/detail/rate_line.hpp>

#include <felix/async/simulated_loop.hpp>
#include "support/catch.hpp"

#include <mutex>
#include <optional>
#include <utility>

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
  first.waits_for_slot();
  CHECK(line.waiting(1) == 1);
  CHECK(line.waiting(0) == 0);
  first.has_slot();
  CHECK(line.waiting(1) == 2);
  CHECK(line.has_waiting_from(0));
  CHECK(line.has_waiting_from(1));
  CHECK_FALSE(line.has_waiting_from(2));
}

TEST_CASE("rate_line: those in line wait for what the first waits for that does not stand back", "[llm][rate_line]") {
  std::mutex guard;
  rate_line line{guard, {}};
  std::optional<rate_line::first> low{std::in_place, line, 0}, urgent;
  low->waits_for_slot();
  CHECK(line.waits_for_slot(0));
  CHECK(line.waits_for_slot(1));
  urgent.emplace(line, 3);
  urgent->waits_for_minute();
  CHECK_FALSE(line.waits_for_slot(3));
  CHECK_FALSE(line.waits_for_slot(1));
  CHECK(line.waits_for_slot(0));  // it still does
  low->has_slot();                // and stands back with it
  CHECK_FALSE(line.waits_for_slot(0));
  urgent->waits_for_slot();
  CHECK(line.waits_for_slot(0));
  urgent.reset();
  CHECK(line.waits_for_slot(3));  // what it waited for last
  CHECK(line.waits_for_slot(0));
  urgent.emplace(line, 3);
  low->waits_for_minute();
  CHECK_FALSE(line.waits_for_slot(3));
}

TEST_CASE("rate_line: the most urgent first is made to look again", "[llm][rate_line]") {
  std::mutex guard;
  rate_line line{guard, {}};
  CHECK(line.wakes_next() == nullptr);
  std::optional<rate_line::first> low{std::in_place, line, 0}, urgent{std::in_place, line, 3};
  CHECK(line.wakes_next() == &urgent->changed());
  urgent.reset();
  CHECK(line.wakes_next() == &low->changed());
  low.reset();
  CHECK(line.wakes_next() == nullptr);
}
