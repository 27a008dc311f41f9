// SPDX-License-Identifier: MIT
// async: a suspended coroutine and where it goes on.
#pragma once

#include <felix/async/detail/driver.hpp>
#include <felix/async/scheduler.hpp>

#include <coroutine>

namespace felix::inline v1 {

/// Wakes one coroutine, once: what an awaiter keeps of the coroutine that it suspends. It lives in the awaiter, which may
/// die as soon as post() has been called.
class continuation : private work_item {
 public:
  continuation() noexcept : work_item{&run} {}

  template <class Promise>
  void set(std::coroutine_handle<Promise> caller) noexcept {
    coroutine_ = caller;
    where_ = detail::context_of(caller).where;
  }

  /// Posts the coroutine to its scheduler. Without one (a coroutine type that is not felix's) it resumes here.
  void post() {
    if (where_ != nullptr) return where_->post(*this);
    detail::driver::resume(coroutine_);
  }

 private:
  static void run(work_item& self) { detail::driver::resume(static_cast<continuation&>(self).coroutine_); }

  std::coroutine_handle<> coroutine_;
  scheduler* where_ = nullptr;
};

}  // namespace felix::inline v1
