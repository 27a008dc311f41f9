// SPDX-License-Identifier: MIT
// A value or the exception that came instead of it.
#pragma once

#include <cassert>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace felix::inline v1 {

/// What a task ended with. `as_result(task)` makes one, so that one failure need not end the others.
///     auto maybe = co_await felix::as_result(llm.complete(request));
///     if (maybe) use(*maybe); else log(maybe.message());
template <class T>
class [[nodiscard("a result that is dropped hides an error")]] result {
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate,
                                    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

 public:
  using value_type = T;

  result() noexcept
    requires std::is_void_v<T>
      : outcome_{std::in_place_index<0>} {}
  template <class U>
    requires(!std::is_void_v<T> && !std::is_same_v<std::remove_cvref_t<U>, result> && std::is_constructible_v<T, U>)
  result(U&& value) : outcome_{std::in_place_index<0>, to_stored(std::forward<U>(value))} {}
  static result failure(std::exception_ptr error) noexcept { return result{failure_tag{}, std::move(error)}; }

  [[nodiscard]] bool has_value() const noexcept { return outcome_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value; throws what came instead of it.
  decltype(auto) value() & { return check(), get(*this); }
  decltype(auto) value() && { return check(), get(std::move(*this)); }
  decltype(auto) value() const& { return check(), get(*this); }
  decltype(auto) operator*() & noexcept { return get(*this); }
  decltype(auto) operator*() && noexcept { return get(std::move(*this)); }
  decltype(auto) operator*() const& noexcept { return get(*this); }
  auto* operator->() noexcept
    requires(!std::is_void_v<T>)
  {
    return &get(*this);
  }
  auto* operator->() const noexcept
    requires(!std::is_void_v<T>)
  {
    return &get(*this);
  }

  /// What the exception says; empty when there is a value.
  [[nodiscard]] std::string message() const {
    if (has_value()) return {};
    if (!error()) return "it has not ended";
    try {
      std::rethrow_exception(error());
    } catch (const std::exception& failure) {
      return failure.what();
    } catch (...) {
      return "an exception that is not a std::exception";
    }
  }

  /// The exception; null when there is a value.
  [[nodiscard]] std::exception_ptr error() const noexcept {
    const auto* failed = std::get_if<1>(&outcome_);
    return failed != nullptr ? *failed : nullptr;
  }

 private:
  struct failure_tag {};
  result(failure_tag, std::exception_ptr error) noexcept : outcome_{std::in_place_index<1>, std::move(error)} {}

  void check() const {
    if (const auto* failed = std::get_if<1>(&outcome_)) std::rethrow_exception(*failed);
  }
  template <class U>
  static decltype(auto) to_stored(U&& value) noexcept {
    if constexpr (std::is_reference_v<T>) {
      return std::addressof(value);
    } else {
      return std::forward<U>(value);
    }
  }
  template <class Self>
  static decltype(auto) get(Self&& self) noexcept {
    assert(self.has_value() && "felix::result: there is no value; ask has_value() or call value()");
    if constexpr (std::is_void_v<T>) {
      return;
    } else if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(**std::get_if<0>(&self.outcome_));
    } else if constexpr (std::is_lvalue_reference_v<Self>) {
      return (*std::get_if<0>(&self.outcome_));
    } else {
      return std::move(*std::get_if<0>(&self.outcome_));
    }
  }

  std::variant<stored, std::exception_ptr> outcome_;
};

}  // namespace felix::inline v1
