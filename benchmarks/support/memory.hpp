// SPDX-License-Identifier: MIT
// benchmarks: how much memory something takes, by three accounts, each in a process that has done nothing else.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <type_traits>

namespace bench {

/// Bytes in use. The three see different things: `requested` what our own code asks operator new for; `heap` what the C
/// library sets aside for it, with its own headers and rounding; `resident` the pages that are really there, also of
/// what was given back and is kept.
struct memory_use {
  double requested = 0, heap = 0, resident = 0;
  double allocations = 0;  // how often operator new was called so far; not counted by peak()

  static memory_use now();
  /// The highest so far. The C library keeps no such figure: `heap` is 0.
  static memory_use peak();

  friend memory_use operator-(const memory_use& a, const memory_use& b) noexcept {
    return {a.requested - b.requested, a.heap - b.heap, a.resident - b.resident, a.allocations - b.allocations};
  }
  [[nodiscard]] memory_use per(double count) const noexcept {
    return {requested / count, heap / count, resident / count, allocations / count};
  }
  /// What somebody who looks for the worst would say.
  [[nodiscard]] double largest() const noexcept {
    const double more = requested > heap ? requested : heap;
    return more > resident ? more : resident;
  }
};

namespace detail {
/// Runs `measure(result)` in a child process, whose `size` bytes at `result` become ours.
void run_in_a_process_of_its_own(void (*measure)(void* result), void* result, std::size_t size);
}  // namespace detail

/// What `measure()` gives in a child process. Call it before anything else is measured: a child inherits the heap.
template <auto measure>
auto in_a_process_of_its_own() {
  using result_type = decltype(measure());
  static_assert(std::is_trivially_copyable_v<result_type>, "it is sent as bytes");
  result_type result{};
  detail::run_in_a_process_of_its_own([](void* to) { *static_cast<result_type*>(to) = measure(); }, &result,
                                      sizeof result);
  return result;
}

}  // namespace bench
