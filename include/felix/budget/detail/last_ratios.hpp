// SPDX-License-Identifier: MIT
// budget: the last ratios of tokens to bytes, and the one that the next is not above in 99 of 100 cases.
#pragma once

#include <felix/usage.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace felix::inline v1 {
namespace detail {

/// The last 64 ratios, in units of 2^-20 tokens a byte, at most 16 tokens a byte. Sums are integers: they do not drift as
/// old ratios leave, and are the same on every machine.
class last_ratios {
 public:
  static constexpr std::size_t remembered = 64;
  static constexpr std::size_t enough = 8;
  static constexpr double unit = 0x1p-20;
  static constexpr std::int64_t most = 16 << 20;

  void learn(token_count tokens, token_count bytes) noexcept {
    const double ratio = std::ceil(static_cast<double>(std::max<token_count>(0, tokens)) / unit /
                                   static_cast<double>(std::max<token_count>(1, bytes)));
    const auto units = ratio < static_cast<double>(most) ? static_cast<std::int64_t>(ratio) : most;
    std::uint32_t& oldest = ratios_[next_];
    sum_ += units - oldest;  // 0 where there was none
    sum_of_squares_ += units * units - static_cast<std::int64_t>(oldest) * oldest;
    oldest = static_cast<std::uint32_t>(units);
    next_ = (next_ + 1) % remembered;
    count_ = std::min(count_ + 1, remembered);
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }

  /// mean + t·s·√(1 + 1/n): the upper end of a one-sided prediction interval of 99 % for the next ratio. Of at least two.
  [[nodiscard]] double upper() const noexcept {
    const auto n = static_cast<std::int64_t>(count_);
    // At most 64 · 64 · 2^48 = 2^60; s² is spread / (n·(n-1)).
    const std::int64_t spread = n * sum_of_squares_ - sum_ * sum_;
    // Products and quotients before the root, one sum of integers after it: nothing that a fused multiplication changes.
    const double margin = student_t() * std::sqrt(static_cast<double>(spread) * static_cast<double>(n + 1) /
                                                  static_cast<double>(n * n * (n - 1)));
    const std::int64_t mean = (sum_ + n - 1) / n;
    return static_cast<double>(mean + static_cast<std::int64_t>(std::ceil(margin))) * unit;
  }

 private:
  /// Student's t for 99 %, one-sided, with n - 1 degrees of freedom. Between two rows the upper one: a little too high.
  [[nodiscard]] double student_t() const noexcept {
    return count_ < 10   ? 2.998
           : count_ < 12 ? 2.821
           : count_ < 16 ? 2.718
           : count_ < 32 ? 2.602
           : count_ < 64 ? 2.453
                         : 2.387;
  }

  std::array<std::uint32_t, remembered> ratios_{};
  std::size_t next_ = 0;   // the place of the oldest, when all are taken
  std::size_t count_ = 0;  // of places taken
  std::int64_t sum_ = 0;
  std::int64_t sum_of_squares_ = 0;
};

}  // namespace detail
}  // namespace felix::inline v1
