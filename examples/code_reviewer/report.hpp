// SPDX-License-Identifier: MIT
// code_reviewer: the findings for people, as JSON and as SARIF.
#pragma once

#include "code_reviewer/finding.hpp"
#include "code_reviewer/options.hpp"
#include "code_reviewer/source.hpp"

#include <felix/agent/session_result.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace code_reviewer {

/// A piece, and what came of it.
struct reviewed {
  piece part;
  felix::session_result result;
  std::string failure;  ///< why it has no whole report; empty: it has one
};

struct review {
  options chosen;
  std::uint64_t seed = 0;
  std::vector<source_file> files = {};
  std::vector<reviewed> pieces = {};
  std::vector<finding> findings = {};
  double seconds = 0;

  [[nodiscard]] bool complete() const;
  [[nodiscard]] felix::token_usage usage() const;
};

/// As compilers print them, then the reports and the figures.
std::string as_text(const review& done);
std::string as_json(const review& done);
/// SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"): a run, a rule for each focus, a result for each finding.
std::string as_sarif(const review& done);

/// A relative path or a file as SARIF wants it: a URI reference, percent-encoded (RFC 3986).
std::string as_uri(const std::string& path);

}  // namespace code_reviewer
