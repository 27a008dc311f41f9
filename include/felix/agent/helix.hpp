// SPDX-License-Identifier: MIT
// agent: the helix that agents descend, wide and broad at the top, narrow and focused at the bottom.
#pragma once

#include <felix/error.hpp>

#include <array>
#include <charconv>  // to_chars: the shortest text of a double, whatever the locale
#include <cmath>
#include <numbers>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

namespace detail {

inline std::string shortest(double value) {
  std::array<char, 32> text;  // the longest double takes 24
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// `depth`, if it is one. The comparison is written so that NaN is refused too.
inline double checked_depth(std::string_view who, double depth) {
  if (!(depth >= 0.0 && depth <= 1.0))
    throw error{errc::invalid_argument, std::string{who} + ": depth is " + shortest(depth) +
                                            "; give the progress along the helix, from 0 (top) to 1 (bottom)"};
  return depth;
}

// 0 down to depth 0.3, 1 to 0.7, 2 to the bottom.
constexpr int third_of(double depth) noexcept { return depth > 0.7 ? 2 : depth > 0.3 ? 1 : 0; }

}  // namespace detail

/// The shape of a helix. Lengths share one unit of the user's choice.
struct helix_options {
  double top_radius = 33;
  double bottom_radius = 0.001;  ///< above 0: the radius shrinks by a constant factor per unit of depth
  double height = 33;
  double turns = 33;
};

/// A helix whose radius falls exponentially from top to bottom. A depth is the progress along it: 0 top, 1 bottom.
///     const felix::helix spiral{{.turns = 5}};
///     auto [x, y, z] = spiral.position(0.5);
/// Throws:  error (invalid_option) for a shape that is none; error (invalid_argument) for a depth outside [0, 1] or NaN.
/// Threads: immutable, so from any.
class helix {
 public:
  struct point {
    double x = 0;
    double y = 0;
    double z = 0;
  };

  explicit helix(const helix_options& shape = {})
      : shape_{checked(shape)},
        decay_{log_ratio(shape.top_radius, shape.bottom_radius)},
        sweep_{2 * std::numbers::pi * shape.turns} {}

  [[nodiscard]] const helix_options& options() const noexcept { return shape_; }

  /// R(d) = bottom_radius · (top_radius / bottom_radius)^(1 − d); exact at both ends.
  [[nodiscard]] double radius(double depth) const { return radius_at(checked(depth)); }

  /// The radius where the helix is `z` high; below 0 that of the bottom, above `height` that of the top.
  [[nodiscard]] double radius_at_height(double z) const {
    if (std::isnan(z))
      throw error{errc::invalid_argument,
                  "helix: z is nan; give a height from 0 to " + detail::shortest(shape_.height)};
    if (z <= 0) return shape_.bottom_radius;
    return z >= shape_.height ? shape_.top_radius : radius_at(1 - z / shape_.height);
  }

  /// In radians since the top, not reduced to one turn.
  [[nodiscard]] double angle(double depth) const { return sweep_ * checked(depth); }

  [[nodiscard]] point position(double depth) const {
    const double r = radius_at(checked(depth));
    const direction out = outward(depth);
    return {r * out.cosine, r * out.sine, shape_.height * (1 - depth)};
  }

  /// The unit vector in which the helix descends: the exact derivative of position(), divided by speed().
  [[nodiscard]] point tangent(double depth) const {
    const double r = radius_at(checked(depth));
    const direction out = outward(depth);
    const double inward = decay_ * r;
    const double around = sweep_ * r;
    const double norm = std::hypot(inward, around, shape_.height);
    return {(-inward * out.cosine - around * out.sine) / norm, (-inward * out.sine + around * out.cosine) / norm,
            -shape_.height / norm};
  }

  /// Length of helix per unit of depth: the norm of the derivative of position().
  [[nodiscard]] double speed(double depth) const { return std::hypot(horizontal_speed(checked(depth)), shape_.height); }

  /// The length of helix between two depths, in either order: never negative, 0 only between equal ones.
  [[nodiscard]] double arc_length(double a, double b) const {
    double upper = checked(a);
    double lower = checked(b);
    if (upper > lower) std::swap(upper, lower);
    // With q = horizontal speed, s = √(q² + h²) = speed and k = decay, dq = −kq·dd, and so the length ∫ s dd is
    // (s₁ − s₂ − h·ln((h + s₁)/(h + s₂)))/k + h·(d₂ − d₁). The textbook form F(d₁) − F(d₂) subtracts numbers of size
    // h/k and loses all digits when the radii are nearly equal. Here s₁ − s₂ comes from (q₁² − q₂²)/(s₁ + s₂), and the
    // logarithm is at most half of it, so that nothing cancels.
    const double h = shape_.height;
    const double q1 = horizontal_speed(upper);
    const double q2 = horizontal_speed(lower);
    const double s1 = std::hypot(q1, h);
    const double s2 = std::hypot(q2, h);
    const double slowing = -q1 * std::expm1(-decay_ * (lower - upper)) * ((q1 + q2) / (s1 + s2));
    return (slowing - h * std::log1p(slowing / (h + s2))) / decay_ + h * (lower - upper);
  }

 private:
  struct direction {
    double cosine;
    double sine;
  };

  static double checked(double depth) { return detail::checked_depth("helix", depth); }

  static const helix_options& checked(const helix_options& shape) {
    const auto refuse = [](std::string_view field, double value, const std::string& fix) {
      throw error{errc::invalid_option, "helix: " + std::string{field} + " is " + detail::shortest(value) + "; " + fix};
    };
    // isnormal refuses NaN and infinity, and subnormal numbers, for which e^k would leave the range of double.
    const auto positive = [&](std::string_view field, double value, std::string_view usual) {
      if (!std::isnormal(value) || value < 0)
        refuse(field, value, "choose a finite number above 0; " + std::string{usual} + " is the default");
    };
    positive("top_radius", shape.top_radius, "33");
    positive("bottom_radius", shape.bottom_radius, "0.001");
    positive("height", shape.height, "33");
    positive("turns", shape.turns, "33");
    if (shape.bottom_radius >= shape.top_radius)
      refuse("bottom_radius", shape.bottom_radius,
             "choose one below top_radius, which is " + detail::shortest(shape.top_radius));
    return shape;
  }

  // ln(top / bottom), above 0 for any top > bottom: log1p keeps the digits of nearly equal radii.
  static double log_ratio(double top, double bottom) noexcept {
    const double ratio = top / bottom;
    if (ratio <= 2) return std::log1p((top - bottom) / bottom);
    return std::isfinite(ratio) ? std::log(ratio) : std::log(top) - std::log(bottom);
  }

  // From the nearer end: exact at both, and the exponential stays in range for any two radii.
  [[nodiscard]] double radius_at(double depth) const noexcept {
    return depth <= 0.5 ? shape_.top_radius * std::exp(-decay_ * depth)
                        : shape_.bottom_radius * std::exp(decay_ * (1 - depth));
  }

  // Whole turns are dropped before π comes in, so that they cost no digits.
  [[nodiscard]] direction outward(double depth) const noexcept {
    const double rest = 2 * std::numbers::pi * std::remainder(shape_.turns * depth, 1.0);
    return {std::cos(rest), std::sin(rest)};
  }

  [[nodiscard]] double horizontal_speed(double depth) const noexcept {
    return std::hypot(decay_, sweep_) * radius_at(depth);
  }

  helix_options shape_;
  double decay_;  // k: R(d) = top_radius · e^(−kd)
  double sweep_;  // w: the angle of the whole helix
};

}  // namespace felix::inline v1
