// SPDX-License-Identifier: MIT
#include <felix/telemetry/histogram.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

static_assert(sizeof(felix::histogram) == 3'328 * 4 + 32);

namespace {

using lengths = std::initializer_list<nanoseconds>;

constexpr felix::histogram of(lengths recorded) {
  felix::histogram h;
  for (nanoseconds length : recorded) h.record(length);
  return h;
}

// Log-uniform over and beyond the range.
std::vector<nanoseconds> some_lengths(std::uint64_t seed, std::size_t count) {
  felix::seeded_random random{seed};
  std::vector<nanoseconds> drawn;
  for (std::size_t i = 0; i < count; ++i)
    drawn.emplace_back(static_cast<std::int64_t>(std::exp(random.uniform(std::log(300.0), std::log(5e12)))));
  return drawn;
}

nanoseconds clamped(nanoseconds length) { return std::clamp<nanoseconds>(length, 1us, 1h); }

}  // namespace

static_assert(of({3us, 1us, 5us}).percentile(50) == 3us, "usable in constant expressions");
static_assert(of({3us, 1us, 5us}).mean() == 3us);

TEST_CASE("histogram: without any duration everything is 0", "[telemetry][histogram]") {
  const felix::histogram none;
  CHECK(none.count() == 0);
  for (nanoseconds shown : lengths{none.sum(), none.min(), none.max(), none.mean(), none.percentile(0),
                                   none.percentile(50), none.percentile(100)})
    CHECK(shown == 0ns);
}

TEST_CASE("histogram: one duration is all of its figures, to the nanosecond", "[telemetry][histogram]") {
  for (nanoseconds length : lengths{nanoseconds{1us}, 1'001ns, 255us, 256us, 257us, 1ms, nanoseconds{123'456'789},
                                    nanoseconds{1h} - 1ns, nanoseconds{1h}}) {
    CAPTURE(length.count());
    const auto h = of({length});
    CHECK(h.count() == 1);
    for (nanoseconds shown :
         lengths{h.sum(), h.min(), h.max(), h.mean(), h.percentile(0), h.percentile(50), h.percentile(100)})
      CHECK(shown == length);  // the upper edge is never above the longest
  }
}

TEST_CASE("histogram: what lies outside 1 us to 1 h counts as the end it lies beyond", "[telemetry][histogram]") {
  for (nanoseconds length : lengths{nanoseconds::min(), -1h, nanoseconds{-1}, 0ns, 1ns, 999ns})
    CHECK(of({length}) == of({1us}));
  for (nanoseconds length : lengths{nanoseconds{1h} + 1ns, nanoseconds{25h}, nanoseconds::max()})
    CHECK(of({length}) == of({1h}));
}

TEST_CASE("histogram: whole microseconds below 256 have a bucket each, then the width doubles with the length",
          "[telemetry][histogram]") {
  // With a longest of 1 h beside it, percentile(50) is the upper edge of the first one's bucket.
  const auto edge = [](nanoseconds length) { return of({length, 1h}).percentile(50); };
  for (int us = 1; us < 256; ++us) {
    CHECK(edge(us * 1us) == us * 1us);
    CHECK(edge(us * 1us + 1ns) == (us < 255 ? (us + 1) * 1us : 257us));  // rounded up
  }
  CHECK(edge(256us) == 257us);
  CHECK(edge(257us) == 257us);
  CHECK(edge(258us) == 259us);
  CHECK(edge(511us) == 511us);
  CHECK(edge(512us) == 515us);
  CHECK(edge(1'023us) == 1'023us);
  CHECK(edge(1'024us) == 1'031us);
  CHECK(edge(59min) > 59min);
}

TEST_CASE("histogram: an upper edge is at most 1/128 above what lies in its bucket", "[telemetry][histogram]") {
  for (nanoseconds length : some_lengths(1, 20'000)) {
    const auto whole = std::chrono::ceil<std::chrono::microseconds>(clamped(length));
    const auto edge = of({length, 1h}).percentile(50);
    if (edge < whole || (edge - whole) * 128 > whole) FAIL(length.count() << " ns has the edge " << edge.count());
  }
}

TEST_CASE("histogram: the percentile is that of the sorted durations, within its bucket", "[telemetry][histogram]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  const auto drawn = some_lengths(seed, 1 + 400 * seed);
  felix::histogram h;
  std::vector<nanoseconds> sorted;
  nanoseconds sum{0};
  for (nanoseconds length : drawn) {
    h.record(length);
    sorted.push_back(clamped(length));
    sum += clamped(length);
  }
  std::sort(sorted.begin(), sorted.end());
  CHECK(h.count() == sorted.size());
  CHECK(h.sum() == sum);
  CHECK(h.min() == sorted.front());
  CHECK(h.max() == sorted.back());
  CHECK(h.mean() == sum / static_cast<std::int64_t>(sorted.size()));
  for (int per_mille = 0; per_mille <= 1'000; ++per_mille) {
    const std::size_t rank =
        std::max<std::size_t>(1, (static_cast<std::size_t>(per_mille) * sorted.size() + 999) / 1'000);
    const auto stands_for = sorted[rank - 1];
    const auto shown = h.percentile(per_mille / 10.0);
    CAPTURE(per_mille, stands_for.count(), shown.count());
    REQUIRE(shown >= stands_for);
    REQUIRE(shown <= stands_for + 1us + stands_for / 128);
    REQUIRE(shown <= h.max());
  }
}

TEST_CASE("histogram: a rank is what arithmetic without rounding says", "[telemetry][histogram]") {
  // The first `n` whole microseconds, one each: the percentile is the rank itself.
  felix::histogram h;
  for (int n = 1; n < 256; ++n) {
    h.record(n * 1us);
    for (int per_myriad = 1; per_myriad <= 10'000; per_myriad += n < 200 ? 97 : 11) {
      const int rank = (per_myriad * n + 9'999) / 10'000;
      if (h.percentile(per_myriad / 100.0) != rank * 1us) FAIL(per_myriad / 100.0 << " % of " << n);
    }
  }
}

TEST_CASE("histogram: a percentage outside 0 to 100 counts as the nearer end", "[telemetry][histogram]") {
  const auto h = of({10us, 20us, 30us});
  CHECK(h.percentile(-1) == 10us);
  CHECK(h.percentile(0) == 10us);
  CHECK(h.percentile(std::numeric_limits<double>::denorm_min()) == 10us);
  CHECK(h.percentile(100.1) == 30us);
  CHECK(h.percentile(std::numeric_limits<double>::infinity()) == 30us);
  CHECK(h.percentile(std::numeric_limits<double>::quiet_NaN()) == 10us);
}

TEST_CASE("histogram: merged is the same as recorded together", "[telemetry][histogram]") {
  felix::histogram parts[3], all;
  std::size_t i = 0;
  for (nanoseconds length : some_lengths(3, 1'000)) {
    parts[i++ % 3].record(length);
    all.record(length);
  }
  felix::histogram merged;
  for (const auto& part : parts) merged += part;
  CHECK(merged == all);
  merged += felix::histogram{};  // an empty one has no min() to give
  CHECK(merged == all);

  const felix::histogram snapshot = merged;
  merged.record(1s);
  CHECK(merged != snapshot);
  CHECK(snapshot == all);
}

TEST_CASE("histogram: counters that are full stay full", "[telemetry][histogram]") {
  auto h = of({10us, 10us, 10us, 20us});
  for (int doublings = 0; doublings < 31; ++doublings) h += h;  // 3 · 2^31 is more than a counter holds, 2^31 is not
  CHECK(h.count() == std::uint64_t{4} << 31);
  CHECK(h.percentile(66) == 10us);  // 2^32 − 1 against 2^31
  CHECK(h.percentile(67) == 20us);
  h.record(10us);
  CHECK(h.percentile(66) == 10us);
  CHECK(h.count() == (std::uint64_t{4} << 31) + 1);

  for (int doublings = 0; doublings < 64; ++doublings) h += h;
  CHECK(h.count() == std::numeric_limits<std::uint64_t>::max());
  CHECK(h.sum() == nanoseconds::max());
  CHECK(h.percentile(50) == 10us);
  CHECK(h.percentile(100) == 20us);
  h.record(1h);
  CHECK(h.count() == std::numeric_limits<std::uint64_t>::max());
  CHECK(h.sum() == nanoseconds::max());
  CHECK(h.max() == 1h);
  CHECK(h.mean() == 0ns);  // 292 years shared by 2^64 − 1
}
