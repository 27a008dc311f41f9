// SPDX-License-Identifier: MIT
// agent: the helix against the vectors of the original, a closed form in 60 digits, and shapes at the limits of double.
#include <felix/agent/helix.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

static_assert(!std::is_convertible_v<felix::helix_options, felix::helix>, "a shape is not a helix by accident");

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double pi = 3.14159265358979323846;

// `digits` as the table shows them: ten significant ones, or 0.
void check_near(double value, double expected) {
  if (expected == 0)
    CHECK_THAT(value, WithinAbs(0, 1e-12));
  else
    CHECK_THAT(value, WithinRel(expected, 1e-9));
}

std::string refusal(const felix::helix_options& shape) {
  try {
    const felix::helix built{shape};
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    return refused.what();
  }
  return "accepted";
}

template <class Call>
std::string refused_depth(Call&& call) {
  try {
    call();
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_argument);
    return refused.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("helix: radius, angle and position of the default shape", "[agent][helix][D46]") {
  struct row {
    double depth, radius, angle, x, y, z;
  };
  const auto expected =
      GENERATE(values<row>({{0, 33, 0, 33, 0, 33},
                            {0.1, 11.65903339, 20.73451151, -3.602839454, 11.08839967, 29.7},
                            {0.25, 2.448417387, 51.83627878, 0, 2.448417387, 24.75},
                            {0.3, 1.455324223, 62.20353454, 1.177382029, -0.8554181153, 23.1},
                            {0.5, 0.1816590212, 103.6725576, -0.1816590212, 0, 16.5},
                            {0.75, 0.01347809413, 155.5088364, 0, -0.01347809413, 8.25},
                            {0.9, 0.002830423322, 186.6106036, -0.0008746489076, -0.002691892544, 3.3},
                            {1, 0.001, 207.3451151, 0.001, 0, 0}}));
  const felix::helix spiral;
  CAPTURE(expected.depth);
  check_near(spiral.radius(expected.depth), expected.radius);
  check_near(spiral.angle(expected.depth), expected.angle);
  const auto [x, y, z] = spiral.position(expected.depth);
  check_near(x, expected.x);
  check_near(y, expected.y);
  check_near(z, expected.z);
}

TEST_CASE("helix: tangent and speed of the default shape", "[agent][helix]") {
  struct row {
    double depth, x, y, z, speed;
  };
  const auto expected = GENERATE(values<row>({{0, -0.0501148466, 0.998731846, -0.00481676091, 6851.0770176679407},
                                              {0.25, -0.996645309, -0.0500101473, -0.0647851254, 509.37618453079614},
                                              {0.5, 0.0377153625, -0.751624243, -0.658512376, 50.112953415869903},
                                              {0.9, 0.0171866951, -0.0046461429, -0.999841503, 33.005231234332221},
                                              {1, -0.000315274453, 0.00628306097, -0.999980212, 33.00065302756078}}));
  const felix::helix spiral;
  CAPTURE(expected.depth);
  const auto [x, y, z] = spiral.tangent(expected.depth);
  CHECK_THAT(x, WithinRel(expected.x, 3e-9));  // half a unit of the eighth or ninth digit
  CHECK_THAT(y, WithinRel(expected.y, 2e-8));
  CHECK_THAT(z, WithinRel(expected.z, 2e-9));
  CHECK_THAT(std::hypot(x, y, z), WithinRel(1, 1e-15));
  CHECK_THAT(spiral.speed(expected.depth), WithinRel(expected.speed, 1e-13));
}

TEST_CASE("helix: the tangent is the derivative of the position", "[agent][helix]") {
  const felix::helix spiral{{.top_radius = 10, .bottom_radius = 1, .height = 20, .turns = 2}};
  for (const double depth : {0.1, 0.37, 0.5, 0.81}) {
    CAPTURE(depth);
    const double step = 1e-5;
    const auto before = spiral.position(depth - step);
    const auto after = spiral.position(depth + step);
    const auto [x, y, z] = spiral.tangent(depth);
    const double speed = spiral.speed(depth);
    CHECK_THAT(speed * x, WithinAbs((after.x - before.x) / (2 * step), 1e-5));
    CHECK_THAT(speed * y, WithinAbs((after.y - before.y) / (2 * step), 1e-5));
    CHECK_THAT(speed * z, WithinAbs((after.z - before.z) / (2 * step), 1e-5));
  }
}

TEST_CASE("helix: arc length of the two documented shapes", "[agent][helix]") {
  const felix::helix spiral;
  CHECK_THAT(spiral.arc_length(0, 1), WithinRel(673.57545550826205, 1e-13));
  CHECK_THAT(spiral.arc_length(0, 0.1), WithinRel(425.85024619285173, 1e-13));
  CHECK_THAT(spiral.arc_length(0, 0.25), WithinRel(609.71958165493652, 1e-13));
  CHECK_THAT(spiral.arc_length(0, 0.5), WithinRel(656.16192469721022, 1e-13));
  CHECK_THAT(spiral.arc_length(0.5, 1), WithinRel(17.413530811051793, 1e-13));
  CHECK_THAT(spiral.arc_length(0.9, 1), WithinRel(3.3002200257200736, 1e-13));

  const felix::helix small{{.top_radius = 10, .bottom_radius = 1, .height = 20, .turns = 2}};
  check_near(small.radius(0.125), 7.498942093);
  check_near(small.radius(0.5), 3.16227766);
  check_near(small.radius(0.75), 1.77827941);
  CHECK_THAT(small.arc_length(0, 0.25), WithinRel(24.80578900534584, 1e-13));
  CHECK_THAT(small.arc_length(0, 0.5), WithinRel(39.368665576035838, 1e-13));
  CHECK_THAT(small.arc_length(0, 1), WithinRel(55.18681240789968, 1e-13));
}

TEST_CASE("helix: chords over the curve add up to the original's sums", "[agent][helix]") {
  const felix::helix spiral;
  const auto chords = [&](int segments) {
    double sum = 0;
    for (int i = 0; i < segments; ++i) {
      const auto a = spiral.position(static_cast<double>(i) / segments);
      const auto b = spiral.position(static_cast<double>(i + 1) / segments);
      sum += std::hypot(b.x - a.x, b.y - a.y, b.z - a.z);
    }
    return sum;
  };
  check_near(chords(100), 562.4491849);
  check_near(chords(1000), 672.4021947);
  check_near(chords(10'000), 673.5637165);
}

TEST_CASE("helix: arc length is a length: symmetric, additive, 0 for one point", "[agent][helix]") {
  const felix::helix spiral;
  for (const double depth : {0.0, 0.3, 0.5, 1.0}) CHECK(spiral.arc_length(depth, depth) == 0);
  CHECK(spiral.arc_length(0.7, 0.2) == spiral.arc_length(0.2, 0.7));
  CHECK_THAT(spiral.arc_length(0, 0.4) + spiral.arc_length(0.4, 1), WithinRel(spiral.arc_length(0, 1), 1e-13));
}

TEST_CASE("helix: arc length keeps its digits where the textbook form loses them", "[agent][helix]") {
  const double eps = std::numeric_limits<double>::epsilon();
  SECTION("radii that differ in the last bits") {
    const felix::helix tube{{.top_radius = 1 + 0x1p-40, .bottom_radius = 1, .height = 1, .turns = 1}};
    CHECK_THAT(tube.arc_length(0, 1), WithinRel(6.3622651315701502, 1e-14));
    const felix::helix thinnest{{.top_radius = 1 + eps, .bottom_radius = 1, .height = 1, .turns = 1}};
    CHECK_THAT(thinnest.arc_length(0.25, 0.75), WithinRel(3.1811325657836647, 1e-14));
    CHECK(thinnest.radius(0.5) >= 1);
    CHECK(thinnest.radius(0.5) <= 1 + eps);
    const felix::helix other{{.top_radius = 1.5 + eps, .bottom_radius = 1.5, .height = 1, .turns = 1}};
    CHECK_THAT(other.tangent(0).x * other.speed(0), WithinRel(-eps, 1e-12));  // top/bottom itself rounds to 1 + eps
  }
  SECTION("depths that differ in the last bits") {
    CHECK_THAT(felix::helix{}.arc_length(0.5, 0.5 + 0x1p-40), WithinRel(4.5577465621805111e-11, 1e-13));
  }
  SECTION("all but flat, and all but straight") {
    const felix::helix flat{{.top_radius = 2, .bottom_radius = 1, .height = 1e-9, .turns = 3}};
    CHECK_THAT(flat.arc_length(0, 1), WithinRel(27.212540939575224, 1e-13));
    const felix::helix straight{{.top_radius = 1e-3, .bottom_radius = 1e-4, .height = 1e6, .turns = 1}};
    CHECK_THAT(straight.arc_length(0, 1), WithinRel(1e6, 1e-14));
  }
  SECTION("a ratio of radii that is no double") {
    const felix::helix horn{{.top_radius = 1e200, .bottom_radius = 1e-200, .height = 1, .turns = 1}};
    CHECK_THAT(horn.arc_length(0.5, 1), WithinRel(1.492278803687825, 1e-12));
    const felix::helix longest{{.top_radius = 1e300, .bottom_radius = 1e-300, .height = 1, .turns = 1}};
    CHECK_THAT(longest.radius(0.25), WithinRel(1e150, 1e-12));
    CHECK_THAT(longest.radius(0.501), WithinRel(0.25118864315095774, 1e-12));
    CHECK(longest.radius(0) == 1e300);
    CHECK(longest.radius(1) == 1e-300);
  }
}

TEST_CASE("helix: both ends are exact", "[agent][helix]") {
  const felix::helix spiral{{.top_radius = 7.3, .bottom_radius = 0.7, .height = 3.1, .turns = 0.4}};
  CHECK(spiral.radius(0) == 7.3);
  CHECK(spiral.radius(1) == 0.7);
  CHECK(spiral.position(0).z == 3.1);
  CHECK(spiral.position(1).z == 0);
  CHECK(spiral.angle(1) == 2 * pi * 0.4);
  CHECK(spiral.options().turns == 0.4);
}

TEST_CASE("helix: a million turns cost the position no digits", "[agent][helix]") {
  const felix::helix spring{{.top_radius = 2, .bottom_radius = 1, .height = 1, .turns = 1e6}};
  CHECK_THAT(spring.position(1).y, WithinAbs(0, 1e-15));
  CHECK(spring.position(1).x == 1);
}

TEST_CASE("helix: radius by height is the radius of that depth, and clamped", "[agent][helix]") {
  const felix::helix spiral;
  for (const double depth : {0.0, 0.1, 0.25, 0.5, 0.9, 1.0}) {
    CAPTURE(depth);
    CHECK_THAT(spiral.radius_at_height(33 * (1 - depth)), WithinRel(spiral.radius(depth), 1e-13));
  }
  CHECK(spiral.radius_at_height(-5) == 0.001);
  CHECK(spiral.radius_at_height(-infinity) == 0.001);
  CHECK(spiral.radius_at_height(34) == 33);
  CHECK(spiral.radius_at_height(infinity) == 33);
  CHECK(refused_depth([&] { (void)spiral.radius_at_height(not_a_number); }) ==
        "helix: z is nan; give a height from 0 to 33");
}

TEST_CASE("helix: a depth outside [0, 1] is refused by every member that takes one", "[agent][helix]") {
  const felix::helix spiral;
  const double depth = GENERATE(-1e-300, 1 + std::numeric_limits<double>::epsilon(), -infinity, infinity, not_a_number);
  CAPTURE(depth);
  const std::string message = refused_depth([&] { (void)spiral.radius(depth); });
  CHECK_THAT(message, ContainsSubstring("depth is ") && ContainsSubstring("from 0 (top) to 1 (bottom)"));
  CHECK(refused_depth([&] { (void)spiral.angle(depth); }) == message);
  CHECK(refused_depth([&] { (void)spiral.position(depth); }) == message);
  CHECK(refused_depth([&] { (void)spiral.tangent(depth); }) == message);
  CHECK(refused_depth([&] { (void)spiral.speed(depth); }) == message);
  CHECK(refused_depth([&] { (void)spiral.arc_length(depth, 0.5); }) == message);
  CHECK(refused_depth([&] { (void)spiral.arc_length(0.5, depth); }) == message);
}

TEST_CASE("helix: a shape that is none is refused by field, value and fix", "[agent][helix]") {
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({.top_radius = -33}) == "helix: top_radius is -33; choose a finite number above 0; 33 is the default");
  CHECK(refusal({.bottom_radius = 0}) ==
        "helix: bottom_radius is 0; choose a finite number above 0; 0.001 is the default");
  CHECK(refusal({.bottom_radius = 33}) == "helix: bottom_radius is 33; choose one below top_radius, which is 33");
  CHECK(refusal({.bottom_radius = 40.5}) == "helix: bottom_radius is 40.5; choose one below top_radius, which is 33");
  CHECK(refusal({.height = 0}) == "helix: height is 0; choose a finite number above 0; 33 is the default");
  CHECK(refusal({.turns = -1}) == "helix: turns is -1; choose a finite number above 0; 33 is the default");
  for (const double bad : {infinity, not_a_number}) {
    CHECK_THAT(refusal({.top_radius = bad}), ContainsSubstring("top_radius is "));
    CHECK_THAT(refusal({.bottom_radius = bad}), ContainsSubstring("bottom_radius is "));
    CHECK_THAT(refusal({.height = bad}), ContainsSubstring("height is "));
    CHECK_THAT(refusal({.turns = bad}), ContainsSubstring("turns is "));
  }
}
