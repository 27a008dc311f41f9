// SPDX-License-Identifier: MIT
// benchmarks: how long each of many short things took, in little memory: a thread's own, and added up afterwards.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <chrono>
#endif

namespace bench {

/// A clock that costs little beside an operation of a hundred nanoseconds: on x86 the time-stamp counter, which counts
/// evenly and alike on all processors of today; elsewhere the steady clock. It does not wait for the instructions before
/// it, so single figures below some 20 ns mean nothing.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

/// Counts by classes that are at most 1/32 wide. The longest one is kept as it is.
class histogram {
 public:
  void add(std::uint64_t length) noexcept {
    ++counts_[class_of(length)];
    longest_ = std::max(longest_, length);
  }
  void add(const histogram& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    longest_ = std::max(longest_, other.longest_);
  }

  /// The upper end of the class below which that part of all lies.
  [[nodiscard]] double quantile(double part) const noexcept {
    std::uint64_t all = 0, passed = 0;
    for (std::uint64_t count : counts_) all += count;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      passed += counts_[i];
      if (passed != 0 && static_cast<double>(passed) >= part * static_cast<double>(all)) return end_of(i);
    }
    return 0;
  }
  [[nodiscard]] double longest() const noexcept { return static_cast<double>(longest_); }

 private:
  static constexpr unsigned bits = 5;

  // The first 64 have a class each, and then each power of two is cut into 32.
  static std::size_t class_of(std::uint64_t length) noexcept {
    const int shift = std::max(0, static_cast<int>(std::bit_width(length)) - static_cast<int>(bits) - 1);
    return (static_cast<std::size_t>(shift) << bits) + static_cast<std::size_t>(length >> shift);
  }
  static double end_of(std::size_t number) noexcept {
    if (number < (2u << bits)) return static_cast<double>(number);
    const std::size_t shift = (number >> bits) - 1;
    return static_cast<double>(((number & ((1u << bits) - 1)) + (1u << bits) + 1) << shift);
  }

  std::array<std::uint32_t, (64 - bits + 1) << bits> counts_{};
  std::uint64_t longest_ = 0;
};

}  // namespace bench
