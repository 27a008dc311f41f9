// SPDX-License-Identifier: MIT
// async: resumes coroutines without growing the stack, on compilers that make a tail call and on those that do not.
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// Several coroutines that wait to be started, one after the other.
class starter {
 public:
  starter(starter&&) = delete;

 protected:
  starter() = default;
  virtual ~starter() = default;
  /// The next one, and whether it is the last: then the starter may be gone as soon as that one runs.
  struct started {
    std::coroutine_handle<> coroutine;
    bool last;
  };

 private:
  friend class driver;
  virtual started start_next() noexcept = 0;
  starter* below_ = nullptr;
};

/// Stands on the stack of whoever resumes a coroutine from outside (a loop, a waiting thread, a stop callback).
///
/// Symmetric transfer is a tail call only where the compiler makes one; g++ 12 does not at -O0, -O1 and under
/// sanitizers, and the stack grows with each transfer. So each 256th transfer is handed back to the driver, which
/// resumes it from its own level: the stack holds 256 frames at most, and the price is one counter per transfer.
/// One design for every build: a choice by macro would differ between the translation units of one program.
///
/// It starts the branches of a when_all too, for the same reason: started by one another they would nest.
class driver {
 public:
  driver(driver&&) = delete;

  /// Runs `coroutine` and whatever it transfers to or starts, until all of it is suspended or done.
  static void resume(std::coroutine_handle<> coroutine) { driver{}.run(coroutine); }

  /// What an await_suspend or a final awaiter returns in order to go on with `coroutine`.
  static std::coroutine_handle<> transfer(std::coroutine_handle<> coroutine) noexcept {
    if (++here().transfers != 0) [[likely]]  // it wraps: one instruction counts and tests
      return coroutine;
    return bounce(coroutine);
  }

  /// What an await_suspend does in order to go on with all that `several` has. Those that were started before and not
  /// yet run come after them.
  static void start(starter& several) {
    driver* const innermost = here().innermost;
    if (innermost == nullptr) return start_apart(several);
    several.below_ = std::exchange(innermost->starting_, &several);
  }

  /// The same before it returns: for a coroutine that may have been resumed by somebody else's code.
  static void start_apart(starter& several) { driver{}.start_all(several); }

 private:
  struct thread_state {
    driver* innermost;
    std::uint8_t transfers;
  };
  // Its address is not kept across a suspension, after which the coroutine may be on another thread: g++ splits a
  // coroutine before it optimises, and clang 16 and later ask for the address anew (llvm.threadlocal.address).
  static thread_state& here() noexcept {
    static thread_local constinit thread_state state{};
    return state;
  }

  driver() noexcept : outer_{std::exchange(here().innermost, this)} {}
  ~driver() { here().innermost = outer_; }

  [[gnu::noinline]] static std::coroutine_handle<> bounce(std::coroutine_handle<> coroutine) noexcept {
    driver* const innermost = here().innermost;
    if (innermost == nullptr || innermost->next_) return coroutine;
    innermost->next_ = coroutine;
    return std::noop_coroutine();
  }

  void start_all(starter& several) {
    starting_ = &several;
    run(std::noop_coroutine());
  }
  void run(std::coroutine_handle<> coroutine) {
    for (;;) {
      coroutine.resume();
      if (next_) {
        coroutine = std::exchange(next_, nullptr);
      } else if (starting_ != nullptr) {
        starter* const below = starting_->below_;
        const starter::started started = starting_->start_next();
        if (started.last) starting_ = below;
        coroutine = started.coroutine;
      } else {
        return;
      }
    }
  }

  driver* outer_;
  std::coroutine_handle<> next_;
  starter* starting_ = nullptr;  // the latest; below it those that it interrupted
};

}  // namespace detail
}  // namespace felix::inline v1
