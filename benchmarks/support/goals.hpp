// SPDX-License-Identifier: MIT
// benchmarks: the goals of a program, as a table for people and as JSON. A missed one is reported, and nothing else.
#pragma once

#include "support/estimate.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace bench {

struct goal {
  std::string name;
  bound limit;
  std::string unit;
  estimate measured;
};

inline const char* word(verdict judged) noexcept {
  switch (judged) {
    case verdict::met: return "met";
    case verdict::missed: return "MISSED";
    case verdict::not_resolved: break;
  }
  return "not resolved";
}

/// Four digits, or all of a large number.
inline std::string figure(double value) {
  return value >= 1000 ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
}

inline void print(const std::vector<goal>& goals) {
  if (goals.empty()) return;
  std::size_t width = 4;
  for (const goal& each : goals) width = std::max(width, each.name.size() + each.unit.size() + 2);
  fmt::print("\n{:<{}}  {:>11}  {:>9}  {:>22}\n", "goal", width, "goal", "measured", "95 % interval");
  for (const goal& each : goals) {
    const auto& [value, low, high] = each.measured;
    fmt::print("{:<{}}  {:>11}  {:>9}  {:>22}  {}\n", each.name + ", " + each.unit, width,
               fmt::format("{} {}", each.limit.sign(), figure(each.limit.value())), figure(value),
               low == high ? "exact" : fmt::format("{} to {}", figure(low), figure(high)),
               word(judge(each.limit, each.measured)));
  }
  std::fflush(stdout);
}

/// `pass` is true only where the whole interval lies on the right side.
inline nlohmann::ordered_json to_json(const std::vector<goal>& goals) {
  auto list = nlohmann::ordered_json::array();
  for (const goal& each : goals) {
    const verdict judged = judge(each.limit, each.measured);
    list.push_back({{"name", each.name},
                    {"goal", each.limit.value()},
                    {"measured", each.measured.value},
                    {"unit", each.unit},
                    {"pass", judged == verdict::met},
                    {"sign", each.limit.sign()},
                    {"interval", {each.measured.low, each.measured.high}},
                    {"verdict", word(judged)}});
  }
  return list;
}

}  // namespace bench
