// SPDX-License-Identifier: MIT
// Tests: how much of it whoever runs a test asks for.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>

namespace felix::test {

/// The number that an environment variable holds; nothing when there is none, or no number.
inline std::optional<std::uint64_t> asked_for(const char* variable) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  char* end = nullptr;
  const unsigned long long number = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') return std::nullopt;
  return number;
}

}  // namespace felix::test
