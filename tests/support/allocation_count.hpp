// SPDX-License-Identifier: MIT
// Tests: what operator new was asked for, and what operator delete got back. A program that uses it gets its own of both.
#pragma once

#include <cstddef>
#include <string_view>

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

/// Whether memory was freed while a text stood in it, since its construction. One at a time.
///     freed_text freed{std::string_view{key}.substr(4)};  // a string that is cleared loses its first byte only
///     { felix::secret holds{key}; }
///     CHECK_FALSE(freed.was_seen());
/// Short strings are inside their objects, so that a test takes one of 20 characters or more.
/// Lifetime: `text` outlives it.
class freed_text {
 public:
  explicit freed_text(std::string_view text) noexcept;
  freed_text(freed_text&&) = delete;
  ~freed_text();
  [[nodiscard]] bool was_seen() const noexcept;

  /// For memory that does not come from operator new: before it is freed.
  static void look_at(const void* place) noexcept;

 private:
  std::string_view text_;
  bool seen_ = false;
};

/// Calls `step` once, in the middle of the next allocation: where another thread might stand between two steps of this one.
void before_next_allocation(void (*step)()) noexcept;

}  // namespace felix::test
