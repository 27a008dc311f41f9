// SPDX-License-Identifier: MIT
// llm: what waits say, by numbers worked out by hand.
#include <felix/llm/detail/wait_evidence.hpp>

#include "support/catch.hpp"

using felix::detail::level_wait;
using felix::detail::queue_evidence;
using felix::detail::wait_noise;

namespace {

/// The mean after eight waits of 10 ms, when it may not go anywhere any more.
wait_noise settled() {
  wait_noise noise;
  for (int i = 0; i < 8; ++i) noise.add(0.010, 1);
  return noise;
}

}  // namespace

TEST_CASE("wait_evidence: the noise is the mean of the waits, which counts for two at first", "[llm][wait_evidence]") {
  wait_noise noise;
  CHECK(noise.mean() == Approx(0.010));
  noise.add(0.020, 1);
  CHECK(noise.mean() == Approx(0.015));
  noise.add(0.030, 1);
  CHECK(noise.mean() == Approx(0.020));
  noise.add(0, 1);
  CHECK(noise.mean() == Approx(0.015));
  CHECK_FALSE(noise.known());
}

TEST_CASE("wait_evidence: one wait counts as one headway above the mean at most", "[llm][wait_evidence]") {
  wait_noise noise;
  noise.add(5, 0.100);
  CHECK(noise.mean() == Approx(0.060));  // half of 10 ms and 110 ms
}

TEST_CASE("wait_evidence: the noise is never under 2 ms", "[llm][wait_evidence]") {
  wait_noise noise;
  for (int i = 0; i < 200; ++i) noise.add(0, 1);
  CHECK(noise.mean() == Approx(0.002));
}

TEST_CASE("wait_evidence: later waits weigh 3 % each", "[llm][wait_evidence]") {
  wait_noise noise;
  for (int i = 0; i < 200; ++i) noise.add(0.010, 1);
  noise.add(0.020, 1);
  CHECK(noise.mean() == Approx(0.0103));
}

TEST_CASE("wait_evidence: the noise stays below three times its lowest, which rises slowly", "[llm][wait_evidence]") {
  wait_noise noise = settled();
  CHECK(noise.known());
  CHECK(noise.mean() == Approx(0.010));
  noise.add(10, 1);  // a tenth of 1.01 s on top
  CHECK(noise.mean() == Approx(3 * 0.01002));
  noise.add(10, 1);
  CHECK(noise.mean() == Approx(3 * 0.01002 * 1.002));
  noise.add(10, 1, 0.050);
  CHECK(noise.mean() == Approx(0.050));  // as much is allowed
}

TEST_CASE("wait_evidence: noise that proves to be more is widened, up to what was seen", "[llm][wait_evidence]") {
  wait_noise up_to_seen = settled();
  up_to_seen.widen(1.5, 0.012);
  CHECK(up_to_seen.mean() == Approx(0.012));

  wait_noise by_half = settled();
  by_half.widen(1.5, 0.500);
  CHECK(by_half.mean() == Approx(0.015));
  by_half.add(10, 1);
  CHECK(by_half.mean() == Approx(3 * 0.015 * 1.002));  // the lowest has gone up as well

  wait_noise less = settled();
  less.widen(1.5, 0.005);
  CHECK(less.mean() == Approx(0.010));
}

TEST_CASE("wait_evidence: a wait is evidence by the ratio of two exponentials", "[llm][wait_evidence]") {
  CHECK(queue_evidence(0, 0.1, 0.1) == Approx(-0.69315).epsilon(1e-4));    // ln 1/2
  CHECK(queue_evidence(0.2, 0.1, 0.1) == Approx(0.30685).epsilon(1e-4));   // + 0.2 * (10 - 5)
  CHECK(queue_evidence(0.1, 0.1, 0.3) == Approx(-0.63629).epsilon(1e-4));  // ln 1/4 + 0.1 * (10 - 2.5)
}

TEST_CASE("wait_evidence: no wait is evidence of more than 2 either way", "[llm][wait_evidence]") {
  CHECK(queue_evidence(60, 0.01, 0.5) == 2);
  CHECK(queue_evidence(0, 0.01, 0.5) == -2);
}

TEST_CASE("wait_evidence: the wait of a level is a mean of eight", "[llm][wait_evidence]") {
  level_wait waits;
  CHECK(waits.waiting(4, 0.1, 1) == 0);
  waits.add(0.1);
  CHECK(waits.mean() == Approx(0.1));
  waits.add(0.3);
  CHECK(waits.mean() == Approx(0.2));
  waits.correct(1.2);
  CHECK(waits.mean() == Approx(0.5));
  CHECK(waits.count() == 2);

  level_wait many;
  for (int i = 0; i < 20; ++i) many.add(0);
  many.add(0.8);
  CHECK(many.mean() == Approx(0.1));
  CHECK(many.count() == 21);
}

TEST_CASE("wait_evidence: a correction of no wait is none", "[llm][wait_evidence]") {
  level_wait waits;
  waits.correct(3);
  CHECK(waits.mean() == 0);
}

TEST_CASE("wait_evidence: how many wait, by Little's law", "[llm][wait_evidence]") {
  level_wait waits;
  waits.add(0.35);
  CHECK(waits.waiting(4, 0.1, 1) == Approx(0.8));  // 4 * 0.25 / 1.25
  CHECK(waits.waiting(4, 0.4, 1) == 0);
  for (const int slots : {1, 4, 40}) {  // one too many waits for the next of `slots` answers
    level_wait one_too_many;
    one_too_many.add(4.0 / slots);
    CHECK(one_too_many.waiting(static_cast<std::size_t>(slots) + 1, 0, 4) == Approx(1));
  }
}
