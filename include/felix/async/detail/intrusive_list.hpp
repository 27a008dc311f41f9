// SPDX-License-Identifier: MIT
// async: a doubly linked list of things that live elsewhere. No allocation, O(1) everywhere.
#pragma once

#include <cassert>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// What an element of an intrusive_list derives from. Not copied, not moved: neighbours point here.
class list_hook {
 public:
  list_hook() = default;
  list_hook(list_hook&&) = delete;

 private:
  template <class T>
  friend class intrusive_list;
  list_hook* previous_ = nullptr;
  list_hook* next_ = nullptr;
};

/// First in, first out. The list owns nothing; it must be empty when it dies.
template <class T>
class intrusive_list {
 public:
  intrusive_list() = default;
  intrusive_list(intrusive_list&&) = delete;
  ~intrusive_list() { assert(empty()); }

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

  void push_back(T& element) noexcept {
    list_hook& hook = element;
    hook.previous_ = last_;
    hook.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &hook;
    last_ = &hook;
  }

  /// `element` must be in this list.
  void erase(T& element) noexcept {
    list_hook& hook = element;
    (hook.previous_ != nullptr ? hook.previous_->next_ : first_) = hook.next_;
    (hook.next_ != nullptr ? hook.next_->previous_ : last_) = hook.previous_;
    hook.previous_ = hook.next_ = nullptr;
  }

  T* pop_front() noexcept {
    if (empty()) return nullptr;
    T& element = static_cast<T&>(*first_);
    erase(element);
    return &element;
  }

  template <class F>
  void for_each(F&& each) {
    for (list_hook* hook = first_; hook != nullptr; hook = hook->next_) each(static_cast<T&>(*hook));
  }

  void swap(intrusive_list& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
  }

 private:
  list_hook* first_ = nullptr;
  list_hook* last_ = nullptr;
};

}  // namespace detail
}  // namespace felix::inline v1
