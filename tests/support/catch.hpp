// SPDX-License-Identifier: MIT
// tests: the one place that knows which Catch2 is installed, 2.13 or 3. Tests are written in the words both know.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>

#include <string>

namespace Catch::Matchers {
/// Catch2 3's name for what 2.13 calls Contains(std::string).
inline auto ContainsSubstring(const std::string& part, CaseSensitive::Choice cased = CaseSensitive::Yes) {
  return Contains(part, cased);
}
}  // namespace Catch::Matchers
#endif
