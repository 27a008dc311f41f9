// SPDX-License-Identifier: MIT
// async: one thing for a loop to run.
#pragma once

namespace felix::inline v1 {

namespace detail {
class work_list;
class work_inbox;
}  // namespace detail

/// What is posted to a scheduler: derive from it and give it a function. No allocation: it lives in whoever posts it,
/// until it runs, and is posted once at a time.
class work_item {
 public:
  explicit work_item(void (*run)(work_item&)) noexcept : run_{run} {}
  void operator()() { run_(*this); }

 private:
  friend class detail::work_list;
  friend class detail::work_inbox;
  work_item* next_ = nullptr;
  void (*run_)(work_item&);
};

}  // namespace felix::inline v1
