// SPDX-License-Identifier: MIT
// agent: progress along the helix: exact in ticks, monotone, and deaf to how often it is read.
#include <felix/agent/motion.hpp>

#include "support/catch.hpp"

#include <array>
#include <limits>
#include <string>
#include <vector>

using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

namespace {

constexpr std::array improving{0.3, 0.3, 0.6, 0.6};
constexpr std::array worsening{0.6, 0.6, 0.3, 0.3};

std::string refusal(felix::tick_count spawn_tick, double velocity) {
  try {
    const felix::helix_motion built{spawn_tick, velocity};
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    return refused.what();
  }
  return "accepted";
}

}  // namespace

static_assert(felix::tick_length == 0.05);

TEST_CASE("helix_motion: progress is velocity times the time since the spawn, up to 1", "[agent][motion]") {
  felix::helix_motion steady{4, 1.0};  // spawned at 0.2
  CHECK(steady.depth() == 0);
  steady.advance_to(10);  // 0.5
  CHECK_THAT(steady.depth(), WithinRel(0.3, 1e-9));
  CHECK_FALSE(steady.completed());
  steady.advance_to(23);
  CHECK_FALSE(steady.completed());
  steady.advance_to(24);  // 20 ticks after the spawn
  CHECK(steady.depth() == 1);
  CHECK(steady.completed());

  felix::helix_motion fast{4, 1.3};
  fast.advance_to(24);
  CHECK(fast.depth() == 1);
  CHECK(fast.completed());
  CHECK(fast.velocity() == 1.3);
}

TEST_CASE("helix_motion: nothing moves before the spawn, and no earlier tick moves anything back", "[agent][motion]") {
  felix::helix_motion motion{10, 2.0};
  motion.advance_to(9);
  CHECK(motion.depth() == 0);
  CHECK_FALSE(motion.paused());
  motion.advance_to(12);
  const double depth = motion.depth();
  CHECK_THAT(depth, WithinRel(0.2, 1e-9));
  motion.advance_to(11);
  motion.advance_to(-5);
  CHECK(motion.depth() == depth);
}

TEST_CASE("helix_motion: how often it is advanced or read changes no bit", "[agent][motion][D15]") {
  felix::helix_motion stepwise{3, 0.77};
  felix::helix_motion at_once{3, 0.77};
  const auto both = [&](felix::tick_count from, felix::tick_count to) {
    for (felix::tick_count tick = from; tick <= to; ++tick) {
      stepwise.advance_to(tick);
      for (int reading = 0; reading < 6; ++reading) (void)stepwise.depth();
    }
    at_once.advance_to(to);
    CHECK(stepwise.depth() == at_once.depth());
  };
  both(0, 9);
  stepwise.adapt(improving);
  at_once.adapt(improving);
  both(10, 17);
  stepwise.pause(20);
  at_once.pause(20);
  both(18, 27);
  CHECK(at_once.depth() < 1);
}

TEST_CASE("helix_motion: a change of speed counts from its tick on", "[agent][motion][D17]") {
  felix::helix_motion motion{0, 1.0};
  motion.advance_to(10);
  const double before = motion.depth();
  SECTION("faster: no jump") {
    motion.adapt(improving);
    CHECK(motion.depth() == before);
    motion.advance_to(14);
    CHECK_THAT(motion.depth(), WithinAbs(0.5 + 1.1 * 0.2, 1e-12));
  }
  SECTION("slower: no step back") {
    motion.adapt(worsening);
    CHECK(motion.depth() == before);
    motion.advance_to(14);
    CHECK_THAT(motion.depth(), WithinAbs(0.5 + 0.9 * 0.2, 1e-12));
  }
}

TEST_CASE("helix_motion: acceleration follows the trend, a tenth a stage, from 0.5 to 1.5", "[agent][motion]") {
  felix::helix_motion motion{0, 1.0};
  SECTION("up") {
    for (const double expected : {1.1, 1.21, 1.331, 1.4641, 1.5, 1.5}) {
      motion.adapt(improving);
      CHECK_THAT(motion.acceleration(), WithinRel(expected, 1e-12));
    }
    CHECK(motion.acceleration() == 1.5);
  }
  SECTION("down") {
    for (const double expected : {0.9, 0.81, 0.729, 0.6561, 0.59049, 0.531441, 0.5, 0.5}) {
      motion.adapt(worsening);
      CHECK_THAT(motion.acceleration(), WithinRel(expected, 1e-12));
    }
    CHECK(motion.acceleration() == 0.5);
  }
}

TEST_CASE("helix_motion: what is a trend", "[agent][motion][D16]") {
  struct row {
    std::vector<double> confidences;
    double acceleration;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto [confidences, acceleration] =
      GENERATE_COPY(values<row>({{{}, 1.0},
                                 {{0.9}, 1.0},
                                 {{0.1, 0.9}, 1.0},  // two readings have no earlier ones to be compared with
                                 {{0.25, 0.5, 0.5}, 1.1},
                                 {{0.5, 0.25, 0.25}, 0.9},
                                 {{0.5, 0.5625, 0.5625}, 1.0},  // within 0.1
                                 {{0.5, 0.4375, 0.4375}, 1.0},
                                 {{0.25, 0.5, 0.25}, 1.1},               // the mean of the last two, not the last
                                 {{0.9, 0.9, 0.1, 0.1, 0.6, 0.6}, 1.0},  // the mean of all before, not the nearest
                                 {{0.0, 0.5, 0.5, 0.5, 0.5, 0.5}, 1.1},  // 0.5 against 0.375
                                 {{nan, 0.5, 0.5}, 1.0}}));
  CAPTURE(confidences);
  felix::helix_motion motion{0, 1.0};
  motion.adapt(confidences);
  CHECK_THAT(motion.acceleration(), WithinRel(acceleration, 1e-12));
}

TEST_CASE("helix_motion: a pause stands still until its end and is not made up", "[agent][motion][D17]") {
  felix::helix_motion motion{0, 1.0};
  motion.advance_to(2);
  motion.pause(8);
  CHECK(motion.paused());
  motion.advance_to(7);
  CHECK(motion.paused());
  CHECK_THAT(motion.depth(), WithinRel(0.1, 1e-9));
  motion.advance_to(8);
  CHECK_FALSE(motion.paused());
  CHECK_THAT(motion.depth(), WithinRel(0.1, 1e-9));
  motion.advance_to(10);
  CHECK_THAT(motion.depth(), WithinRel(0.2, 1e-9));
  motion.advance_to(26);
  CHECK(motion.completed());
}

TEST_CASE("helix_motion: pauses that overlap, lie in the past, or meet a change of speed", "[agent][motion]") {
  felix::helix_motion motion{0, 1.0};
  motion.advance_to(4);
  motion.pause(4);
  motion.pause(1);
  CHECK_FALSE(motion.paused());
  motion.pause(10);
  motion.pause(6);  // the later end holds
  motion.advance_to(6);
  CHECK(motion.paused());
  motion.adapt(improving);  // neither ends the pause nor moves
  CHECK(motion.paused());
  CHECK_THAT(motion.depth(), WithinRel(0.2, 1e-9));
  motion.advance_to(12);
  CHECK_THAT(motion.depth(), WithinAbs(0.2 + 1.1 * 0.1, 1e-12));
}

TEST_CASE("helix_motion: legs that add up to the whole way complete it", "[agent][motion]") {
  for (felix::tick_count pause_every = 1; pause_every < 20; ++pause_every) {
    CAPTURE(pause_every);
    felix::helix_motion motion{0, 1.0};
    for (felix::tick_count tick = 0; tick < 20; tick += pause_every) {
      motion.advance_to(tick);
      motion.pause(tick);  // cuts the way into legs, and each into a rounding of its own
    }
    motion.advance_to(19);
    CHECK_FALSE(motion.completed());
    motion.advance_to(20);
    CHECK(motion.completed());
    CHECK(motion.depth() == 1);
  }
}

TEST_CASE("helix_motion: the last tick there is", "[agent][motion]") {
  constexpr auto last = std::numeric_limits<felix::tick_count>::max();
  felix::helix_motion motion{last - 2, 1.0};
  motion.advance_to(last);
  CHECK_THAT(motion.depth(), WithinRel(0.1, 1e-9));
  felix::helix_motion halted{0, 3.0};
  halted.pause(last);
  halted.advance_to(last - 1);
  CHECK(halted.depth() == 0);
  felix::helix_motion done{0, 0.1};
  done.advance_to(last);
  CHECK(done.depth() == 1);
  done.adapt(worsening);
  CHECK(done.completed());
}

TEST_CASE("helix_motion: a velocity or spawn tick that is none is refused", "[agent][motion]") {
  CHECK(refusal(0, 0.1) == "accepted");
  CHECK(refusal(0, 3.0) == "accepted");
  CHECK(refusal(0, 0.05) == "helix_motion: velocity is 0.05; choose one from 0.1 to 3, 1 is usual");
  CHECK(refusal(0, 3.5) == "helix_motion: velocity is 3.5; choose one from 0.1 to 3, 1 is usual");
  CHECK(refusal(0, std::numeric_limits<double>::quiet_NaN()) ==
        "helix_motion: velocity is nan; choose one from 0.1 to 3, 1 is usual");
  CHECK(refusal(-1, 1.0) == "helix_motion: spawn_tick is -1; ticks count from 0, the start of the run");
}
