// SPDX-License-Identifier: MIT
// budget: an amount of money, as a whole number.
#pragma once

#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace felix::inline v1 {

/// Billionths of one unit of some currency: dollars, if prices are in dollars. What does not fit stays at the most.
///     felix::money cap = "0.25";
///     cap.nano_units() == 250'000'000
class money {
 public:
  static constexpr std::int64_t unit = 1'000'000'000;

  /// Nothing.
  constexpr money() noexcept = default;
  /// Throws error (invalid_argument) for what parse() does not take.
  constexpr money(std::string_view decimal) {
    const auto amount = parse(decimal);
    if (!amount)
      throw error{errc::invalid_argument, "money \"" + std::string{decimal.substr(0, 40)} +
                                              "\": is not an amount; write a decimal number like 0.15, below nine "
                                              "billion, with at most nine decimals"};
    nano_units_ = amount->nano_units_;
  }
  constexpr money(const char* decimal) : money{std::string_view{decimal}} {}

  [[nodiscard]] static constexpr money of_nano_units(std::int64_t count) noexcept {
    money amount;
    amount.nano_units_ = count;
    return amount;
  }
  /// Digits, and perhaps a point and one to nine more: no sign, no exponent, no space. Nothing for anything else.
  [[nodiscard]] static constexpr std::optional<money> parse(std::string_view decimal) noexcept {
    constexpr std::int64_t most = 9'000'000'000;  // units: all below fit with their decimals
    const auto point = decimal.find('.');
    const std::string_view whole = decimal.substr(0, point);
    const std::string_view part = point == std::string_view::npos ? "0" : decimal.substr(point + 1);
    if (whole.empty() || part.empty() || part.size() > 9) return std::nullopt;
    std::int64_t units = 0;
    for (const char c : whole) {
      if (c < '0' || c > '9') return std::nullopt;
      units = 10 * units + (c - '0');
      if (units >= most) return std::nullopt;
    }
    std::int64_t nanos = 0;
    std::int64_t place = unit / 10;
    for (const char c : part) {
      if (c < '0' || c > '9') return std::nullopt;
      nanos += (c - '0') * place;
      place /= 10;
    }
    return of_nano_units(units * unit + nanos);
  }

  [[nodiscard]] constexpr std::int64_t nano_units() const noexcept { return nano_units_; }
  /// "0.15", "3", "-0.000000001": as short as it is exact.
  [[nodiscard]] std::string text() const {
    // Of the remainder and the quotient, not of the whole: the least number has no positive twin.
    const std::int64_t units = nano_units_ / unit;
    const std::int64_t nanos = nano_units_ % unit;
    std::string shown = nano_units_ < 0 ? "-" : "";
    shown += std::to_string(units < 0 ? -units : units);
    if (nanos == 0) return shown;
    std::string decimals = std::to_string(unit + (nanos < 0 ? -nanos : nanos));  // a 1, and nine digits
    decimals.erase(decimals.find_last_not_of('0') + 1);
    return shown + "." + decimals.substr(1);
  }

  constexpr money& operator+=(money other) noexcept {
    nano_units_ = detail::saturating_sum(nano_units_, other.nano_units_);
    return *this;
  }
  constexpr money& operator-=(money other) noexcept {
    // The least number has no positive twin: one is taken off it here, and added there.
    const bool least = other.nano_units_ == std::numeric_limits<std::int64_t>::min();
    if (least) *this += of_nano_units(1);
    return *this += of_nano_units(-(least ? other.nano_units_ + 1 : other.nano_units_));
  }
  friend constexpr money operator+(money a, money b) noexcept { return a += b; }
  friend constexpr money operator-(money a, money b) noexcept { return a -= b; }
  friend constexpr bool operator==(money, money) noexcept = default;
  friend constexpr std::strong_ordering operator<=>(money, money) noexcept = default;

 private:
  std::int64_t nano_units_ = 0;
};

}  // namespace felix::inline v1
