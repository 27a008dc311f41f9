// SPDX-License-Identifier: MIT
// Tests: what operator new was asked for. A program that uses it gets a counting operator new.
#pragma once

#include <cstddef>

namespace felix::test {

/// Counts from its construction on, all threads together.
///     allocation_count since;
///     queue.try_push(1);
///     CHECK(since.calls() == 0);
class allocation_count {
 public:
  allocation_count() noexcept;
  [[nodiscard]] std::size_t calls() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept;

 private:
  std::size_t calls_, bytes_;
};

}  // namespace felix::test
