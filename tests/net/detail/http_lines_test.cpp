// SPDX-License-Identifier: MIT
#include <felix/net/detail/http_lines.hpp>

#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <utility>

namespace {

/// Does nothing, so that it can be seen what is done with it.
struct idle_line {
  idle_line(felix::event_loop&, std::shared_ptr<felix::detail::socket_count>) {
    if (std::exchange(fails_once, false)) throw std::runtime_error{"no handle"};
    ++alive;
  }
  ~idle_line() { --alive; }
  void reset() noexcept { ++resets; }

  int resets = 0;
  static inline int alive = 0;
  static inline bool fails_once = false;
};
using idle_lines = felix::detail::basic_http_lines<idle_line>;

std::size_t taken(const idle_lines& lines) {
  std::size_t in_use = 0;
  lines.with_usage([&](const felix::http_usage& usage) { in_use = usage.in_use; });
  return in_use;
}

}  // namespace

TEST_CASE("http_lines: lines are used again, and made ready for it", "[net][http_lines]") {
  felix::event_loop loop;
  {
    idle_lines lines{loop};
    auto line = lines.take();
    const idle_line* const first = line.get();
    auto second = lines.take();
    CHECK(second.get() != first);
    CHECK(taken(lines) == 2);
    lines.give_back(std::move(line));
    CHECK(taken(lines) == 1);
    line = lines.take();
    CHECK(line.get() == first);
    CHECK(line->resets == 1);
    lines.give_back(std::move(line));
    CHECK(idle_line::alive == 2);
  }
  CHECK(idle_line::alive == 0);
}

TEST_CASE("http_lines: a line that cannot be made is not in use", "[net][http_lines]") {
  felix::event_loop loop;
  idle_lines lines{loop};
  idle_line::fails_once = true;
  CHECK_THROWS_AS(lines.take(), std::runtime_error);
  CHECK(taken(lines) == 0);
}

TEST_CASE("http_lines: no more linger than were ever read at once, and the oldest ends first", "[net][http_lines]") {
  felix::event_loop loop;
  idle_lines lines{loop};
  auto first = lines.take();
  auto second = lines.take();
  CHECK(lines.add_lingering(*first) == nullptr);
  CHECK(lines.add_lingering(*second) == nullptr);
  auto third = lines.take();  // the only one that is read
  CHECK(lines.add_lingering(*third) == first.get());
  lines.give_back(std::move(first));
  auto fourth = lines.take();
  CHECK(lines.add_lingering(*fourth) == second.get());
  lines.remove_lingering(*second);
  lines.remove_lingering(*third);
  auto fifth = lines.take();
  CHECK(lines.add_lingering(*fifth) == nullptr);
}
