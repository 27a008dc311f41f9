// SPDX-License-Identifier: MIT
// code_reviewer: what the command line says.
#pragma once

#include "code_reviewer/finding.hpp"

#include <felix/usage.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace code_reviewer {

struct options {
  std::vector<std::string> files;  ///< "-" is the standard input
  std::optional<std::string> code_string;
  bool strict_mode = false;
  bool eager = false;
  std::size_t max_concurrent = 4;
  std::optional<std::uint64_t> random_seed;
  felix::token_count tokens = 0;  ///< for each piece; 0: what its size makes sensible
  std::size_t max_file_bytes = 200'000;
  std::string base_url = "http://localhost:1234/v1";
  std::string model = "local-model";
  std::optional<std::string> api_key_env;
  std::optional<std::string> save_output;
  std::optional<std::string> sarif;
  std::optional<severity> fail_on;
};

/// Throws blog_writer::usage_error. Empty: --help was asked for and has been printed.
std::optional<options> parse(int argc, const char* const* argv);

}  // namespace code_reviewer
