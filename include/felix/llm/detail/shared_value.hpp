// SPDX-License-Identifier: MIT
// llm: values that are copied more often than changed.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// A value that its copies share until one of them is changed. Empty, it reads as a value-initialised `T` and takes no
/// memory.
/// Threads:  as if each copy had a value of its own.
/// Cost:     a copy is an atomic increment; the first change of a shared value copies it.
template <class T>
class shared_value {
 public:
  shared_value() = default;
  shared_value(const shared_value& other) noexcept : held_{other.held_} {
    if (held_ != nullptr) held_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  shared_value(shared_value&& other) noexcept : held_{std::exchange(other.held_, nullptr)} {}
  shared_value& operator=(shared_value other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~shared_value() {
    // acq_rel: what other owners did with it comes before its end.
    if (held_ != nullptr && held_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete held_;
  }

  [[nodiscard]] const T& get() const noexcept {
    if (held_ != nullptr) return held_->value;
    static const T none{};
    return none;
  }
  /// To change it: from here on nobody shares it. Valid until it is copied.
  [[nodiscard]] T& own() {
    if (held_ == nullptr) {
      held_ = new owned{};
    } else if (held_->owners.load(std::memory_order_acquire) != 1) {
      shared_value copy;
      copy.held_ = new owned{held_->value};
      *this = std::move(copy);
    }
    return held_->value;
  }

 private:
  struct owned {
    owned() = default;
    explicit owned(const T& copied) : value(copied) {}
    T value{};
    std::atomic<std::size_t> owners{1};
  };
  owned* held_ = nullptr;
};

}  // namespace detail
}  // namespace felix::inline v1
