// SPDX-License-Identifier: MIT
// llm: each step of the search for slots, label by label.
#include <felix/llm/detail/slot_search.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <limits>
#include <utility>

using felix::detail::slot_search;

namespace {

constexpr double endless = std::numeric_limits<double>::infinity();

slot_search exact(std::size_t initial = 0, std::size_t min = 1, std::size_t max = 64) {
  slot_search search{{.initial = initial, .min = min, .max = max, .slowdown = 3}};
  search.waits_are_exact();
  return search;
}
/// Requests take 4 s, and the level is proven already.
slot_search holding(std::size_t level, std::size_t max = 64) {
  slot_search search = exact(level, 1, max);
  search.served(4);
  return search;
}
/// Waits are estimates.
slot_search by_tokens(std::size_t max = 64) { return slot_search{{.initial = 0, .min = 1, .max = max, .slowdown = 3}}; }

void label(slot_search& search, double wait, int times) {
  for (int i = 0; i < times; ++i) search.label(wait, search.limit());
}
void read(slot_search& search, double slowdown, int times) {
  for (int i = 0; i < times; ++i) search.read(search.limit(), slowdown);
}
/// How many labels without a wait it takes until the limit is another.
int labels_until_move(slot_search& search) {
  const std::size_t before = search.limit();
  int labels = 0;
  for (; search.limit() == before && labels < 1'000; ++labels) search.label(0, before);
  return labels;
}
/// Up the ramp by estimates, one label and two readings a level.
slot_search ramped_to(std::size_t level) {
  slot_search search = by_tokens();
  while (search.limit() < level) {
    label(search, 0, 1);
    read(search, 1, 2);
  }
  label(search, 0, 1);
  return search;
}
/// At 41 because 64 were too slow.
slot_search bound_by_slowness() {
  slot_search search = ramped_to(64);
  read(search, 1, 1);
  read(search, 4.15, 3);
  return search;
}

}  // namespace

TEST_CASE("slot_search: the ramp rises by one with each label that did not wait", "[llm][slot_search]") {
  slot_search search = exact();
  for (std::size_t level = 1; level <= 5; ++level) {
    CHECK(search.limit() == level);
    search.label(0.005, level);
  }
  CHECK(search.limit() == 6);
}

TEST_CASE("slot_search: a label of fewer in flight than the limit does not raise it", "[llm][slot_search]") {
  slot_search search = exact();
  search.label(0.005, 1);
  search.label(0.005, 2);
  for (int i = 0; i < 100; ++i) search.label(0.005, 1);
  CHECK(search.limit() == 3);
}

TEST_CASE("slot_search: the ramp ends at the first that waited, and it is tried again at once", "[llm][slot_search]") {
  slot_search search = exact();
  search.label(0.005, 1);
  search.label(0.005, 2);
  search.label(0.090, 3);  // eight times the noise are 53 ms here
  CHECK(search.limit() == 2);
  search.served(2);
  search.label(0, 2);
  CHECK(search.limit() == 3);
}

TEST_CASE("slot_search: the ramp takes 50 ms for no wait, and eight times the noise", "[llm][slot_search]") {
  slot_search at_start = exact();
  at_start.label(0.079, 1);  // 80 ms
  CHECK(at_start.limit() == 2);

  slot_search quiet = exact();
  for (std::size_t level = 1; level <= 10; ++level) quiet.label(0, level);
  quiet.label(0.049, 11);
  CHECK(quiet.limit() == 12);
}

TEST_CASE("slot_search: the ramp ends at its bound", "[llm][slot_search]") {
  slot_search search = exact(0, 2, 4);
  CHECK(search.limit() == 2);
  for (int i = 0; i < 200; ++i) label(search, 0, 1);
  CHECK(search.limit() == 4);
}

TEST_CASE("slot_search: a ramp that fails at once stays at the least", "[llm][slot_search]") {
  slot_search search = exact(0, 3, 8);
  search.label(1, 1);
  CHECK(search.limit() == 3);
}

TEST_CASE("slot_search: by estimates the ramp doubles when a level was read twice", "[llm][slot_search]") {
  slot_search search = by_tokens();
  label(search, 0.005, 3);
  CHECK(search.limit() == 1);
  read(search, 1, 1);
  CHECK(search.limit() == 1);
  read(search, 1, 1);
  CHECK(search.limit() == 2);
  read(search, 1, 2);
  CHECK(search.limit() == 2);  // no label yet
  label(search, 0.005, 1);
  read(search, 1, 1);
  CHECK(search.limit() == 4);
  slot_search again = search;
  search.label(0.5, 3);  // the third of them waited
  CHECK(search.limit() == 2);
  again.label(0.5, 4);  // only the fourth of them
  CHECK(again.limit() == 3);
}

TEST_CASE("slot_search: sixteen labels make a probe", "[llm][slot_search]") {
  slot_search search = holding(8);
  CHECK(labels_until_move(search) == 16);
  CHECK(search.limit() == 9);
}

TEST_CASE("slot_search: labels without a known time of service are none", "[llm][slot_search]") {
  slot_search search = exact(8);
  label(search, 0, 100);
  label(search, 2, 100);
  CHECK(search.limit() == 8);
}

TEST_CASE("slot_search: no probe above the bound", "[llm][slot_search]") {
  slot_search search = holding(8, 8);
  label(search, 0, 1'000);
  CHECK(search.limit() == 8);

  slot_search near = holding(8, 10);
  label(near, 0, 16 + 2);  // the next step would be 11
  CHECK(near.limit() == 10);
  label(near, 0, 1'000);
  CHECK(near.limit() == 10);
}

TEST_CASE("slot_search: two labels without a wait accept a probe, and the next step is twice as far",
          "[llm][slot_search]") {
  slot_search search = holding(8);
  label(search, 0, 16);
  label(search, 0, 1);
  CHECK(search.limit() == 9);
  label(search, 0, 1);
  CHECK(search.limit() == 11);
  label(search, 0, 2);
  CHECK(search.limit() == 15);
  label(search, 0, 2);
  CHECK(search.limit() == 23);
}

TEST_CASE("slot_search: a step is at most as far as the level", "[llm][slot_search]") {
  slot_search search = holding(1);
  label(search, 0, 16);
  CHECK(search.limit() == 2);
  label(search, 0, 2);
  CHECK(search.limit() == 4);
  label(search, 0, 2);
  CHECK(search.limit() == 8);
  label(search, 0, 2);
  CHECK(search.limit() == 16);
}

TEST_CASE("slot_search: two labels that waited refuse a probe, and the next one is later", "[llm][slot_search]") {
  slot_search search = holding(8);
  label(search, 0, 16);
  for (const int interval : {32, 64, 64}) {
    REQUIRE(search.limit() == 9);
    search.label(1, 9);
    CHECK(search.limit() == 9);
    search.label(1, 9);
    CHECK(search.limit() == 8);
    CHECK(labels_until_move(search) == interval);
  }
}

TEST_CASE("slot_search: a far probe that is refused is soon tried nearer", "[llm][slot_search]") {
  slot_search search = holding(8);
  label(search, 0, 18);
  REQUIRE(search.limit() == 11);
  label(search, 1, 2);
  CHECK(search.limit() == 9);
  CHECK(labels_until_move(search) == 4);
  CHECK(search.limit() == 10);
}

TEST_CASE("slot_search: evidence of a wait too short for a queue widens the noise", "[llm][slot_search]") {
  slot_search search = holding(8);
  const double noise = search.noise();
  CHECK(noise == Approx(0.010));
  label(search, 0.100, 2);
  CHECK(search.noise() == noise);  // what may be a queue is not learned from, at first
  label(search, 0.100, 1);
  CHECK(search.limit() == 8);
  CHECK(search.noise() == Approx(0.055));  // 15 ms, and half of the way from 10 ms to the wait
}

TEST_CASE("slot_search: a server that gets noisier is not taken for one that has fewer slots", "[llm][slot_search]") {
  slot_search search = holding(8, 8);
  label(search, 0.010, 30);
  CHECK(search.noise() == Approx(0.010));
  label(search, 0.150, 60);
  CHECK(search.limit() == 8);
  CHECK(search.noise() > 0.100);  // far over three times what it was
}

TEST_CASE("slot_search: noise in a probe is no queue, up to a dozen labels", "[llm][slot_search]") {
  slot_search search = holding(8);
  label(search, 0, 16);
  const double noise = search.noise();
  REQUIRE(search.limit() == 9);
  label(search, 0.100, 2);
  CHECK(search.limit() == 9);
  CHECK(search.noise() == Approx(1.3 * noise));
  int labels = 2;
  while (search.limit() == 9 && labels < 100) {
    label(search, 0.150, 1);
    ++labels;
  }
  CHECK(search.limit() == 8);
  CHECK(labels >= 12);
}

TEST_CASE("slot_search: three labels that waited lower a proven level, by as many as wait", "[llm][slot_search]") {
  slot_search search = holding(8);
  label(search, 1, 2);
  CHECK(search.limit() == 8);
  label(search, 1, 1);
  CHECK(search.limit() == 6);  // 8 * 0.99 / 4.99 wait

  slot_search far = holding(8);
  label(far, 4, 3);
  CHECK(far.limit() == 4);  // half of them wait

  slot_search near = holding(8);
  label(near, 0.250, 3);
  CHECK(near.limit() == 7);  // 0.45 wait: one less all the same
}

TEST_CASE("slot_search: what was learned from a queue is forgotten", "[llm][slot_search]") {
  slot_search search = holding(8, 8);
  label(search, 0.020, 30);
  REQUIRE(search.noise() > 0.015);
  const double noise = search.noise();
  label(search, 1, 3);
  REQUIRE(search.limit() < 8);
  CHECK(search.noise() == noise);
}

TEST_CASE("slot_search: one spike never lowers a proven level", "[llm][slot_search]") {
  for (const std::size_t level : {2U, 4U, 16U, 64U}) {
    slot_search search = holding(level);
    for (int i = 0; i < 200; ++i) {
      search.label(i % 10 == 5 ? 30 : 0.005, search.limit());
      REQUIRE(search.limit() >= level);
    }
  }
}

TEST_CASE("slot_search: the level stays at the least there may be", "[llm][slot_search]") {
  slot_search search = exact(3, 3);
  search.served(4);
  label(search, 4, 15);
  CHECK(search.limit() == 3);
}

TEST_CASE("slot_search: after a decrease the next probe is 16 labels away", "[llm][slot_search]") {
  slot_search search = holding(8);
  label(search, 4, 3);
  REQUIRE(search.limit() == 4);
  CHECK(labels_until_move(search) == 16);
  CHECK(search.limit() == 5);
}

TEST_CASE("slot_search: a server that is overloaded gets 7 tenths, rounded down", "[llm][slot_search]") {
  for (const auto& [before, after] : {std::pair<std::size_t, std::size_t>{10, 7}, {64, 44}, {3, 2}, {1, 1}}) {
    slot_search search = exact(before);
    search.overloaded();
    CHECK(search.limit() == after);
    search.served(4);
    CHECK(labels_until_move(search) == 16);
  }
}

TEST_CASE("slot_search: how long a request may wait", "[llm][slot_search]") {
  slot_search ramp = exact();
  ramp.label(0.010, 1);
  CHECK(ramp.patience(1, 0) == endless);  // proven
  CHECK(ramp.patience(2, 0) == Approx(0.320));
  CHECK(ramp.patience(2, 0.100) == Approx(0.720));

  slot_search hold = exact(8);
  CHECK(hold.patience(8, 0) == endless);  // nothing is known
  hold.served(4);
  CHECK(hold.patience(8, 0) == Approx(0.790));
  CHECK(hold.patience(8, 0.010) == Approx(0.830));
  CHECK(hold.patience(7, 0) == endless);
}

TEST_CASE("slot_search: a correction moves the mean wait, and so what is made of it", "[llm][slot_search]") {
  slot_search search = holding(8);
  label(search, 1, 2);
  for (int i = 0; i < 30; ++i) search.correct(0, 8);  // they had not waited
  label(search, 0.050, 1);
  CHECK(search.limit() == 8);

  slot_search other = holding(8);
  label(other, 1, 2);
  for (int i = 0; i < 30; ++i) other.correct(0, 7);  // of another level
  label(other, 0.050, 1);
  CHECK(other.limit() < 8);
}

TEST_CASE("slot_search: the mean time of service follows slowly", "[llm][slot_search]") {
  slot_search search = exact(8);
  search.served(4);
  search.served(14);
  CHECK(search.patience(8, 0) == Approx(1.5 * 5 / 8 + 0.040));
}

TEST_CASE("slot_search: by estimates a probe needs two readings as well", "[llm][slot_search]") {
  slot_search search = by_tokens();
  search.label(0.5, 1);
  search.served(4);
  label(search, 0, 1);
  REQUIRE(search.limit() == 2);
  label(search, 0, 20);
  CHECK(search.limit() == 2);
  read(search, 1.1, 1);
  CHECK(search.limit() == 2);
  read(search, 1.1, 1);
  CHECK(search.limit() == 4);
}

TEST_CASE("slot_search: a ramp that slows the requests too much ends where it should", "[llm][slot_search]") {
  slot_search search = ramped_to(16);
  read(search, 5.5, 3);
  CHECK(search.limit() == 16);
  read(search, 5.5, 1);
  CHECK(search.limit() == 8);  // 1 + 15 * 2 / 4.5
}

TEST_CASE("slot_search: a level that is slow enough is left, one that is a little slow is not", "[llm][slot_search]") {
  slot_search search = bound_by_slowness();
  REQUIRE(search.limit() == 41);
  read(search, 3.2, 64);
  CHECK(search.limit() == 41);
  search = bound_by_slowness();
  read(search, 3.4, 4);
  CHECK(search.limit() == 34);  // 1 + 40 * 2 / 2.4
}

TEST_CASE("slot_search: a probe that is too slow is refused, and the next one goes an eighth", "[llm][slot_search]") {
  slot_search search = bound_by_slowness();
  REQUIRE(search.limit() == 41);
  search.served(4);
  CHECK(labels_until_move(search) == 16);
  REQUIRE(search.limit() == 42);
  label(search, 0, 5);
  read(search, 3.05, 3);
  CHECK(search.limit() == 42);
  read(search, 3.05, 1);
  CHECK(search.limit() == 41);
  CHECK(labels_until_move(search) == 32);
  CHECK(search.limit() == 46);
}

TEST_CASE("slot_search: while slowness binds, fewer are tried for a moment", "[llm][slot_search]") {
  slot_search search = bound_by_slowness();
  REQUIRE(search.limit() == 41);
  for (int i = 0; i < 200; ++i) search.answered();
  CHECK(search.limit() == 20);
  CHECK(search.patience(20, 0) == endless);
  for (int i = 0; i < 4; ++i) search.read(31, 2);  // still too many in flight
  CHECK(search.limit() == 20);
  for (int i = 0; i < 3; ++i) search.read(30, 2);
  CHECK(search.limit() == 20);
  search.read(20, 2);
  CHECK(search.limit() == 41);
  for (int i = 0; i < 199; ++i) search.answered();
  CHECK(search.limit() == 41);
  search.answered();
  CHECK(search.limit() == 20);
  for (int i = 0; i < 82; ++i) search.answered();  // none of them could be read
  CHECK(search.limit() == 41);
}

TEST_CASE("slot_search: where nothing is slow, nothing dips", "[llm][slot_search]") {
  slot_search search = holding(8);
  for (int i = 0; i < 1'000; ++i) search.answered();
  CHECK(search.limit() == 8);
}

TEST_CASE("slot_search: readings are asked for where the server shows neither slots nor queue", "[llm][slot_search]") {
  CHECK(by_tokens().reads_pace());
  CHECK_FALSE(exact().reads_pace());
  CHECK_FALSE(slot_search{{.initial = 4, .min = 1, .max = 64, .slowdown = 3}}.reads_pace());
}
