// SPDX-License-Identifier: MIT
// tests: what the benchmarks say of what they measured.
#include "../../../benchmarks/support/estimate.hpp"  // first: this file proves that the header needs no other before it

#include "support/catch.hpp"

#include <cmath>
#include <random>
#include <vector>

using bench::at_least;
using bench::at_most;
using bench::estimate;
using bench::judge;
using bench::verdict;

TEST_CASE("estimate: a goal is met or missed only when the whole interval lies on one side", "[benchmarks][D45]") {
  CHECK(judge(at_most{1.0}, estimate{0.9, 0.8, 1.0}) == verdict::met);  // the bound itself is allowed
  CHECK(judge(at_most{1.0}, estimate{0.9, 0.8, 1.1}) == verdict::not_resolved);
  CHECK(judge(at_most{1.0}, estimate{1.2, 0.9, 1.3}) == verdict::not_resolved);
  CHECK(judge(at_most{1.0}, estimate{1.2, 1.1, 1.3}) == verdict::missed);
  CHECK(judge(at_least{5.0}, estimate{6.0, 5.0, 7.0}) == verdict::met);
  CHECK(judge(at_least{5.0}, estimate{6.0, 4.0, 7.0}) == verdict::not_resolved);
  CHECK(judge(at_least{5.0}, estimate{4.0, 3.0, 4.5}) == verdict::missed);
  CHECK(judge(at_most{128.0}, bench::exactly(128.1)) == verdict::missed);
}

TEST_CASE("estimate: a figure in another unit keeps its interval", "[benchmarks]") {
  const bench::estimate halves = bench::scaled({4, 2, 8}, 0.5);
  CHECK(halves.value == 2);
  CHECK(halves.low == 1);
  CHECK(halves.high == 4);
}

TEST_CASE("estimate: the median of an odd and of an even number", "[benchmarks]") {
  CHECK(bench::median({3, 1, 2}) == 2);
  CHECK(bench::median({4, 1, 3, 2}) == 2.5);
  CHECK(bench::median({7}) == 7);
}

TEST_CASE("estimate: a ratio is of medians, and is resampled in pairs", "[benchmarks]") {
  // The machine slows down by half, and both alternatives with it: each pair says 2, so there is no doubt about it.
  const std::vector<double> slow{20, 21, 22, 30, 31, 32}, fast{10, 10.5, 11, 15, 15.5, 16};
  const estimate both = bench::ratio_of_medians(slow, fast);
  CHECK(both.value == 2);
  CHECK(both.low == 2);
  CHECK(both.high == 2);

  // One outlier of nine moves neither the median nor, by much, the interval.
  const std::vector<double> peer(9, 10), outlier{11, 12, 11, 12, 11, 90, 12, 11, 12};
  const estimate robust = bench::ratio_of_medians(outlier, peer);
  CHECK(robust.value == 1.2);
  CHECK(robust.low == 1.1);
  CHECK(robust.high == 1.2);
}

TEST_CASE("estimate: with few repetitions the interval is the range of them all", "[benchmarks]") {
  const estimate rate = bench::items_per_second({100, 200, 300});
  CHECK(rate.value == 5e6);
  CHECK(rate.low == 1e9 / 300);
  CHECK(rate.high == 1e7);
}

TEST_CASE("estimate: about one interval of twenty leaves out the median it estimates", "[benchmarks]") {
  std::mt19937_64 random{1};
  std::exponential_distribution<double> noise;
  const double median_rate = 1e9 / (1 + std::log(2));  // ln 2 is the median of an exponential distribution
  int covered = 0;
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<double> measured(25);
    for (double& each : measured) each = 1 + noise(random);
    const estimate rate = bench::items_per_second(measured);
    covered += rate.low <= median_rate && median_rate <= rate.high ? 1 : 0;
  }
  CHECK(covered >= 50);  // 57 expected; 50 is four standard deviations below
}
