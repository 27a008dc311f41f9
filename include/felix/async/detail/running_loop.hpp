// SPDX-License-Identifier: MIT
// async: which scheduler runs on this thread: a loop asks, and what must not block a loop.
#pragma once

#include <felix/async/scheduler.hpp>

#include <utility>

namespace felix::inline v1 {
namespace detail {

/// The loop or the pool that runs on this thread, if any.
inline const scheduler*& running_loop() noexcept {
  static thread_local constinit const scheduler* running = nullptr;
  return running;
}

/// While it lives, this scheduler is the one that runs on this thread.
class entered {
 public:
  explicit entered(const scheduler& loop) noexcept : outer_{std::exchange(running_loop(), &loop)} {}
  entered(entered&&) = delete;
  ~entered() { running_loop() = outer_; }

 private:
  const scheduler* outer_;
};

}  // namespace detail
}  // namespace felix::inline v1
