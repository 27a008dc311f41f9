// SPDX-License-Identifier: MIT
// blog_writer: the post and the figures, for people and as JSON.
#pragma once

#include "blog_writer/options.hpp"

#include <felix/agent/session_result.hpp>
#include <felix/budget/ledger.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace blog_writer {

/// A limit that the guide sets, and what was measured.
struct target {
  std::string name;
  double limit = 0;
  double measured = 0;
  std::string unit;
  [[nodiscard]] bool pass() const noexcept { return measured < limit; }
};

struct run_report {
  options chosen;
  std::uint64_t seed = 0;
  std::string server;
  bool simulated = false;
  felix::session_result result;
  felix::budget_status budget;
  std::int64_t peak_rss_bytes = 0;
  bool shown = false;   ///< the final text, while it was written
  std::string failure;  ///< why there is no complete text; empty: there is one

  [[nodiscard]] std::vector<target> targets() const;
};

/// The most memory this process has had, in bytes.
std::int64_t peak_rss_bytes();

std::string as_text(const run_report& report);
std::string as_json(const run_report& report);

}  // namespace blog_writer
