// SPDX-License-Identifier: MIT
// blog_writer: what the command line says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace blog_writer {

struct options {
  std::string topic;
  bool strict_mode = false;
  std::size_t max_concurrent = 4;
  std::string complexity = "medium";
  std::optional<std::uint64_t> random_seed;
  double simulation_time = 1.0;
  std::optional<std::string> base_url;
  std::string model = "local-model";
  std::optional<std::string> api_key_env;
  std::optional<std::string> save_output;
  bool debug = false;
  bool sequential = false;
  bool eager = false;
  bool stream = false;
  std::optional<std::string> role_prompts;
  std::optional<std::string> memory;
  bool dynamic_spawning = false;
  std::optional<std::string> optimise_prompts;
};

/// What the user has to change: printed as it is, exit status 2.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws usage_error. Empty: --help was asked for and has been printed.
std::optional<options> parse(int argc, const char* const* argv);

}  // namespace blog_writer
