// SPDX-License-Identifier: MIT
// async: a suspended coroutine and where it goes on.
#pragma once

#include <felix/async/detail/driver.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/work_item.hpp>

#include <coroutine>

namespace felix::inline v1 {

/// Wakes one coroutine, once: what an awaiter keeps of the coroutine that it suspends. It lives in the awaiter, which may
/// die as soon as post() has been called.
class continuation : public work_item {
 public:
  continuation() noexcept = default;

  template <class Promise>
  void set(std::coroutine_handle<Promise> caller) noexcept {
    static_cast<work_item&>(*this) = work_item{caller};
    context_ = &detail::context_of(caller);
  }

  /// Posts the coroutine to its scheduler. Without one (a coroutine type that is not felix's) it resumes here.
  void post() {
    if (context_->where != nullptr) return context_->where->post(*this);
    detail::driver::resume(coroutine());
  }

  /// The coroutine's: valid as long as it is suspended.
  [[nodiscard]] const task_context& context() const noexcept { return *context_; }

 private:
  const task_context* context_ = &detail::no_context;
};

}  // namespace felix::inline v1
