// SPDX-License-Identifier: MIT
// llm: durations as Go writes them, which the x-ratelimit headers of OpenAI use.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace felix::inline v1 {
namespace detail {

/// `6m0s`, `1h2m3.5s`, `12ms`: decimals with a unit (h m s ms us µs ns), one after the other; a bare number is seconds.
/// At most an hour, more is an hour; nothing for anything else, and for a negative one.
/// See: Go's time.ParseDuration.
[[nodiscard]] constexpr std::optional<std::chrono::nanoseconds> parse_go_duration(std::string_view text) noexcept {
  struct unit {
    std::string_view name;
    double nanoseconds;
  };
  // Longest first: "ms" is not "m" and then an "s".
  constexpr unit units[] = {{"ms", 1e6}, {"us", 1e3},  {"\xC2\xB5s", 1e3}, {"\xCE\xBCs", 1e3},
                            {"ns", 1},   {"h", 36e11}, {"m", 6e10},        {"s", 1e9}};
  constexpr double hour = 36e11;
  double sum = 0;
  bool any = false;
  while (!text.empty()) {
    double number = 0;
    std::size_t digits = 0;
    std::size_t at = 0;
    double place = 0;  // of the next digit after the point; 0 before it
    for (; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '.' && place == 0) {
        place = 0.1;
      } else if (c >= '0' && c <= '9') {
        ++digits;
        number = place == 0 ? std::min(number * 10 + (c - '0'), 1e18) : number + place * (c - '0');
        place /= 10;
      } else {
        break;
      }
    }
    if (digits == 0) return std::nullopt;
    text.remove_prefix(at);
    if (text.empty() && !any)
      return std::chrono::nanoseconds{static_cast<std::int64_t>(std::min(number * 1e9, hour) + 0.5)};
    const unit* const found =
        std::find_if(std::begin(units), std::end(units), [&](const unit& each) { return text.starts_with(each.name); });
    if (found == std::end(units)) return std::nullopt;
    text.remove_prefix(found->name.size());
    sum = std::min(sum + number * found->nanoseconds, hour);
    any = true;
  }
  if (!any) return std::nullopt;
  return std::chrono::nanoseconds{static_cast<std::int64_t>(sum + 0.5)};
}

}  // namespace detail
}  // namespace felix::inline v1
