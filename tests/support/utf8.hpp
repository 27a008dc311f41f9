// SPDX-License-Identifier: MIT
// Tests: texts by their code points.
#pragma once

#include <initializer_list>
#include <string>

namespace felix::test {

inline std::string utf8(char32_t code_point) {
  const auto trail = [&](unsigned shift) { return static_cast<char>(0x80U | (code_point >> shift & 0x3FU)); };
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  if (code_point < 0x800) return {static_cast<char>(0xC0U | code_point >> 6U), trail(0)};
  if (code_point < 0x10000) return {static_cast<char>(0xE0U | code_point >> 12U), trail(6), trail(0)};
  return {static_cast<char>(0xF0U | code_point >> 18U), trail(12), trail(6), trail(0)};
}

inline std::string utf8(std::initializer_list<char32_t> code_points) {
  std::string text;
  for (const char32_t code_point : code_points) text += utf8(code_point);
  return text;
}

}  // namespace felix::test
