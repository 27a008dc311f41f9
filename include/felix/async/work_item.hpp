// SPDX-License-Identifier: MIT
// async: a suspended coroutine in some scheduler's queue.
#pragma once

#include <felix/async/detail/driver.hpp>

#include <coroutine>

namespace felix::inline v1 {

namespace detail {
class work_list;
class work_inbox;
class wait_list;
}  // namespace detail

/// What is posted to a scheduler: a coroutine to go on with. No allocation: it lives in whoever posts it, until it runs,
/// and is posted once at a time. A function is posted as a posted_call.
class work_item {
 public:
  work_item() noexcept = default;
  explicit work_item(std::coroutine_handle<> coroutine) noexcept : coroutine_{coroutine} {}

  /// For schedulers: goes on with the coroutine, which may destroy the item.
  void operator()() const { detail::driver::resume(coroutine_); }

  [[nodiscard]] std::coroutine_handle<> coroutine() const noexcept { return coroutine_; }

 private:
  friend class detail::work_list;
  friend class detail::work_inbox;
  friend class detail::wait_list;
  work_item* next_ = nullptr;
  std::coroutine_handle<> coroutine_;
};

}  // namespace felix::inline v1
