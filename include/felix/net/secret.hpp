// SPDX-License-Identifier: MIT
// net: a string that is sent but never shown.
#pragma once

#include <felix/error.hpp>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

/// An API key. It has no formatter, no stream operator and no conversion; reveal() is for whoever puts it on the wire.
///     .api_key = felix::secret::from_env("OPENAI_API_KEY")
class secret {
 public:
  /// No key.
  secret() = default;

  /// Throws error (invalid_option) for an empty value and for bytes that would end a header line. The message names
  /// `where` the value came from, never the value.
  explicit secret(std::string value, std::string_view where = "api_key") : value_{std::move(value)} {
    if (value_.empty()) throw refused(where, "is empty; set it, or leave the key out");
    for (const char c : value_) {
      if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f)
        throw refused(where, "has a space, a line break or another byte that no key has; check how it was copied");
    }
  }

  /// The value of an environment variable. Throws error (invalid_option) when it is not set.
  [[nodiscard]] static secret from_env(const std::string& variable) {
    const char* const value = std::getenv(variable.c_str());
    if (value == nullptr) throw refused("environment variable " + variable, "is not set; export it first");
    return secret{value, "environment variable " + variable};
  }

  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
  [[nodiscard]] const std::string& reveal() const noexcept { return value_; }

 private:
  static error refused(std::string_view where, std::string_view why) {
    return {errc::invalid_option, "API key: " + std::string{where} + " " + std::string{why}};
  }
  std::string value_;
};

}  // namespace felix::inline v1
