// SPDX-License-Identifier: MIT
// async: resumes coroutines without growing the stack, on compilers that make a tail call and on those that do not.
#pragma once

#include <coroutine>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// Stands on the stack of whoever resumes a coroutine from outside (a loop, a waiting thread, a stop callback).
///
/// Symmetric transfer is a tail call only where the compiler makes one; g++ 12 does not at -O0, -O1 and under
/// sanitizers, and the stack grows with each transfer. So each 256th transfer is handed back to the driver, which
/// resumes it from its own level: the stack holds 256 frames at most, and the price is one counter per transfer.
/// One design for every build: a choice by macro would differ between the translation units of one program.
class driver {
 public:
  driver(driver&&) = delete;

  /// Runs `coroutine` and whatever it transfers to, until all of it is suspended or done.
  static void resume(std::coroutine_handle<> coroutine) {
    driver here;
    do {
      coroutine.resume();
      coroutine = std::exchange(here.next_, nullptr);
    } while (coroutine);
  }

  /// What an await_suspend or a final awaiter returns in order to go on with `coroutine`.
  static std::coroutine_handle<> transfer(std::coroutine_handle<> coroutine) noexcept {
    driver* const here = current();
    if (here == nullptr || ++here->transfers_ % between_bounces != 0 || here->next_) return coroutine;
    here->next_ = coroutine;
    return std::noop_coroutine();
  }

 private:
  static constexpr unsigned between_bounces = 256;

  driver() noexcept : outer_{std::exchange(current(), this)} {}
  ~driver() { current() = outer_; }

  // Not inlined: a coroutine may go on on another thread, and compilers keep the address of a thread_local across that.
  [[gnu::noinline]] static driver*& current() noexcept {
    static thread_local driver* innermost = nullptr;
    return innermost;
  }

  driver* outer_;
  std::coroutine_handle<> next_;
  unsigned transfers_ = 0;
};

}  // namespace detail
}  // namespace felix::inline v1
