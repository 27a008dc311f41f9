// SPDX-License-Identifier: MIT
// budget: the names of roles and agents, held in place: they are copied into reservations, statuses and frames.
#pragma once

#include <felix/error.hpp>

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <string>
#include <string_view>

namespace felix::inline v1 {

namespace detail {

/// At most 31 bytes. Trivially copyable and destructible, so that it may stand in an awaited expression.
template <class Tag>
class name_in_place {
 public:
  static constexpr std::size_t max_bytes = 31;

  /// No name.
  constexpr name_in_place() noexcept = default;
  /// Throws error (invalid_argument) for a name over 31 bytes.
  constexpr name_in_place(std::string_view name) {
    if (name.size() > max_bytes)
      throw error{errc::invalid_argument, "name \"" + std::string{name} + "\": is longer than 31 bytes; shorten it"};
    std::copy(name.begin(), name.end(), bytes_.begin());
    size_ = static_cast<unsigned char>(name.size());
  }
  constexpr name_in_place(const char* name) : name_in_place{std::string_view{name}} {}
  name_in_place(const std::string& name) : name_in_place{std::string_view{name}} {}

  [[nodiscard]] constexpr std::string_view name() const noexcept { return {bytes_.data(), size_}; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }

  friend constexpr bool operator==(const name_in_place& a, const name_in_place& b) noexcept {
    return a.name() == b.name();
  }
  friend constexpr std::strong_ordering operator<=>(const name_in_place& a, const name_in_place& b) noexcept {
    return a.name() <=> b.name();
  }

 private:
  std::array<char, max_bytes> bytes_{};
  unsigned char size_ = 0;
};

}  // namespace detail

/// The name of a role: "research". Compared by its letters.
class role_id : public detail::name_in_place<role_id> {
 public:
  using name_in_place::name_in_place;
};

/// The name of an agent: "research_001".
class agent_id : public detail::name_in_place<agent_id> {
 public:
  using name_in_place::name_in_place;
};

}  // namespace felix::inline v1
