// SPDX-License-Identifier: MIT
// model_server: a hash that is the same on every platform.
#pragma once

#include <cstdint>
#include <string_view>

namespace model_server::detail {

/// FNV-1a (64 bits), with the length of each part before it: two messages are not one of both.
class hash {
 public:
  void add(std::uint64_t number) noexcept {
    for (int byte = 0; byte < 8; ++byte, number >>= 8U) mix(static_cast<unsigned char>(number & 0xFFU));
  }
  void add(std::string_view text) noexcept {
    add(std::uint64_t{text.size()});
    for (const char c : text) mix(static_cast<unsigned char>(c));
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

 private:
  void mix(unsigned char byte) noexcept { value_ = (value_ ^ byte) * 0x100000001B3U; }
  std::uint64_t value_ = 0xCBF29CE484222325U;
};

}  // namespace model_server::detail
