// SPDX-License-Identifier: MIT
// agent: how sure a team is: means, spread and trend, worked out by hand.
#include <felix/agent/confidence_monitor.hpp>

#include "support/catch.hpp"

#include <limits>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
using felix::confidence_monitor;
using felix::confidence_trend;

namespace {

// One answer each `step` ticks, from `start` on.
confidence_monitor watched(const std::vector<double>& confidences, felix::tick_count step = 4,
                           felix::tick_count start = 0) {
  confidence_monitor monitor;
  for (const double confidence : confidences) {
    monitor.add({.role = "research", .confidence = confidence, .tick = start});
    start += step;
  }
  return monitor;
}

}  // namespace

TEST_CASE("confidence_monitor: mean, sample deviation, and whether it worries", "[agent][confidence_monitor]") {
  struct row {
    std::vector<double> confidences;
    double mean, deviation;
    bool worries;
  };
  const auto [confidences, mean, deviation, worries] = GENERATE(values<row>({
      {{0.9, 0.9, 0.9}, 0.9, 0, false},
      {{0.5, 0.5}, 0.5, 0, true},
      {{0.95, 0.6, 0.8}, 0.7833333333333, 0.1755942292, true},
      {{}, 0, 0, false},  // nothing is known, nothing is wrong
      {{0.75}, 0.75, 0, false},
      {{0.7}, 0.7, 0, false},
      {{0.69}, 0.69, 0, true},
      {{0.5, 1.0}, 0.75, 0.3535533906, false},  // two always lie on a line
  }));
  CAPTURE(confidences);
  const auto monitor = watched(confidences);
  CHECK(monitor.size() == confidences.size());
  CHECK_THAT(monitor.mean(), WithinAbs(mean, 1e-9));
  CHECK_THAT(monitor.deviation(), WithinAbs(deviation, 1e-9));
  CHECK(monitor.is_worrying() == worries);
}

TEST_CASE("confidence_monitor: trends, by the slope in logical time", "[agent][confidence_monitor]") {
  struct row {
    std::vector<double> confidences;
    felix::tick_count step;
    confidence_trend trend;
  };
  const auto [confidences, step, trend] = GENERATE(values<row>({
      {{0.9, 0.7, 0.5, 0.3}, 4, confidence_trend::declining},  // a large deviation, but all on one line
      {{0.3, 0.5, 0.7, 0.9}, 4, confidence_trend::improving},
      {{0.8, 0.8, 0.8}, 4, confidence_trend::stable},
      {{0.9, 0.1}, 4, confidence_trend::stable},             // two are no trend
      {{0.95, 0.6, 0.8}, 4, confidence_trend::fluctuating},  // no line explains them
      {{0.95, 0.6, 0.8}, 0, confidence_trend::fluctuating},  // and there is none in one tick
      {{0.9, 0.8, 0.7}, 0, confidence_trend::stable},        // deviation 0.1
      {{0.50, 0.55, 0.60}, 4, confidence_trend::stable},     // 0.25 in a unit of time
      {{0.50, 0.57, 0.64}, 4, confidence_trend::improving},  // 0.35
      {{0.60, 0.55, 0.50}, 4, confidence_trend::stable},
      {{0.64, 0.57, 0.50}, 4, confidence_trend::declining},
      {{0.9, 0.2, 0.9, 0.2, 0.9}, 1, confidence_trend::fluctuating},
  }));
  CAPTURE(confidences, step);
  CHECK(watched(confidences, step).trend() == trend);
}

TEST_CASE("confidence_monitor: times far from 0 take no digits from the slope",
          "[agent][confidence_monitor][D42][D42]") {
  // The original squares Unix times, whose sums swallow the differences: every slope is 0, and every trend "stable".
  const std::vector<double> falling{0.9, 0.7, 0.5, 0.3};
  const auto now = watched(falling, 10, 1'755'800'000);
  const auto now_in_nanoseconds = watched(falling, 10, 1'755'800'000'000'000'000);
  CHECK(now.trend() == confidence_trend::declining);
  CHECK(now.slope() == watched(falling, 10).slope());
  CHECK(now_in_nanoseconds.slope() == now.slope());
  CHECK_THAT(now.slope(), WithinRel(-0.4, 1e-12));  // 0.2 in ten ticks, that is in half a unit
}

TEST_CASE("confidence_monitor: slope and scatter of answers that lie on no line", "[agent][confidence_monitor]") {
  const auto monitor = watched({0.95, 0.6, 0.8});  // line 0.8583, 0.7833, 0.7083; distances 0.09167, -0.18333, 0.09167
  CHECK_THAT(monitor.slope(), WithinRel(-0.375, 1e-9));
  CHECK_THAT(monitor.scatter(), WithinAbs(0.2245365598, 1e-9));  // the root of 0.0504167 over 3 - 2
  CHECK_THAT(watched({0.95, 0.6, 0.8}, 0).scatter(), WithinAbs(0.1755942292, 1e-9));
  CHECK(watched({0.9, 0.1}).slope() == 0);
}

TEST_CASE("confidence_monitor: a fall worries below 0.8, a rise does not", "[agent][confidence_monitor]") {
  CHECK(watched({0.8, 0.75, 0.7}, 2).is_worrying());
  CHECK_FALSE(watched({0.7, 0.75, 0.8}, 2).is_worrying());
  CHECK_FALSE(watched({0.95, 0.9, 0.85}, 2).is_worrying());
  CHECK_FALSE(watched({0.5, 0.6, 0.7, 0.8, 0.9, 1.0}, 4).is_worrying());  // deviation 0.187
}

TEST_CASE("confidence_monitor: means by role and third of the helix, of the last ten", "[agent][confidence_monitor]") {
  confidence_monitor monitor;
  CHECK_FALSE(monitor.mean_of("research"));
  CHECK_FALSE(monitor.weakest_role());
  for (int i = 0; i < 11; ++i) monitor.add({.role = "research", .depth = 0.3, .confidence = i == 0 ? 1 : 0.5});
  monitor.add({.role = "research", .depth = 0.31, .confidence = 0.61});
  monitor.add({.role = "research", .depth = 0.7, .confidence = 0.61});
  monitor.add({.role = "research", .depth = 0.71, .confidence = 0.9});
  monitor.add({.role = "analysis", .depth = 1, .confidence = 0.65});
  monitor.add({.role = "critic", .depth = 1, .confidence = 0.2});
  monitor.add({.role = "critic", .depth = 0, .confidence = 1});
  CHECK_THAT(monitor.mean_of("research", 0).value(), WithinRel(0.5, 1e-12));  // the first is forgotten
  CHECK_THAT(monitor.mean_of("research", 1).value(), WithinRel(0.61, 1e-12));
  CHECK_THAT(monitor.mean_of("research", 2).value(), WithinRel(0.9, 1e-12));
  CHECK_THAT(monitor.mean_of("research").value(), WithinRel(7.12 / 13, 1e-12));
  CHECK_FALSE(monitor.mean_of("analysis", 0));
  CHECK(monitor.weakest_role() == felix::role_id{"research"});
}

TEST_CASE("confidence_monitor: no role is weak when all are sure", "[agent][confidence_monitor]") {
  confidence_monitor monitor;
  monitor.add({.role = "critic", .confidence = 0.7});
  CHECK_FALSE(monitor.weakest_role());
  monitor.add({.role = "synthesis", .confidence = 0.6});
  monitor.add({.role = "analysis", .confidence = 0.6});
  CHECK(monitor.weakest_role() == felix::role_id{"analysis"});  // of equals the first by name
}

TEST_CASE("confidence_monitor: the last hundred count", "[agent][confidence_monitor]") {
  auto monitor = watched({0.0});
  for (int i = 0; i < 100; ++i) monitor.add({.role = "critic", .confidence = 0.9, .tick = i});
  CHECK(monitor.size() == 100);
  CHECK_THAT(monitor.mean(), WithinRel(0.9, 1e-12));
}

TEST_CASE("confidence_monitor: what is no confidence is refused", "[agent][confidence_monitor]") {
  const double wrong = GENERATE(-0.01, 1.01, std::numeric_limits<double>::quiet_NaN());
  confidence_monitor monitor;
  CHECK_THROWS_WITH(monitor.add({.confidence = wrong}), ContainsSubstring("it is a share, from 0 to 1"));
  CHECK_THROWS_WITH(monitor.add({.depth = wrong}), ContainsSubstring("confidence_monitor: depth is"));
  CHECK(monitor.size() == 0);
}
