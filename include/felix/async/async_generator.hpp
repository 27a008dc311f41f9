// SPDX-License-Identifier: MIT
// async: a coroutine that yields one value after the other, and may wait in between.
#pragma once

#include <felix/async/detail/allocated_promise.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/promise_base.hpp>

#include <cassert>
#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// A sequence whose values are made when they are asked for; making one may take co_awaits.
///     felix::async_generator<entry> entries(store& from) {
///       for (int page = 0; auto loaded = co_await from.load(page); ++page)
///         for (entry& each : *loaded) co_yield std::move(each);
///     }
///     auto all = entries(from);
///     while (auto next = co_await all.next()) print(*next);        // break whenever you like
/// It inherits where it runs, and who may stop it, anew in each next() from the coroutine that awaits that: a schedule()
/// in it lasts until its next co_yield.
/// Threads:  used by one coroutine at a time.
/// Stop:     reaches what it waits for; `cancelled` then comes out of next(), as every exception does, and ends it.
/// Lifetime: owns its frame. When it is destroyed before its end, what it holds is destroyed then and there.
/// Cost:     one frame, from where a task has its own; a value goes by one move from co_yield to whoever asked for it.
template <class T>
class [[nodiscard("a generator does nothing until its next() is awaited")]] async_generator {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "felix::async_generator: yield values, or pointers");

 public:
  using value_type = T;
  class next_awaiter;
  class promise_type;

  async_generator(async_generator&& other) noexcept : coroutine_{std::exchange(other.coroutine_, nullptr)} {}
  async_generator& operator=(async_generator&& other) noexcept {
    async_generator old{std::move(*this)};
    coroutine_ = std::exchange(other.coroutine_, nullptr);
    return *this;
  }
  ~async_generator() {
    if (!coroutine_) return;
    assert(coroutine_.promise().asked_ == nullptr && "felix::async_generator: destroyed while its next() is awaited");
    coroutine_.destroy();
  }

  /// Awaited, it gives the next value, or nothing once the sequence has ended. Throws what the generator throws; that
  /// ends the sequence too.
  [[nodiscard("nothing happens until it is awaited")]] next_awaiter next() noexcept {
    assert(coroutine_ && "felix::async_generator: moved from");
    return next_awaiter{coroutine_};
  }

  void operator co_await() const = delete;  // await its next()

 private:
  friend promise_type;
  explicit async_generator(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_{coroutine} {}
  std::coroutine_handle<promise_type> coroutine_;
};

template <class T>
class async_generator<T>::promise_type : public detail::promise_base {
 public:
  promise_type() noexcept = default;
  async_generator get_return_object() noexcept {
    return async_generator{std::coroutine_handle<promise_type>::from_promise(*this)};
  }

  /// Goes on with whoever asked.
  struct handing_over {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      return self.promise().next(self);
    }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] handing_over final_suspend() const noexcept { return {}; }
  /// The same with a value of its own.
  class handing_over_copy : public handing_over {
   public:
    template <class U>
    handing_over_copy(next_awaiter& asked, U&& value) : value_(std::forward<U>(value)) {
      asked.value_ = std::addressof(value_);
    }
    handing_over_copy(handing_over_copy&&) = delete;

   private:
    T value_;
  };
  /// What is moved stays where it is until it is taken.
  handing_over yield_value(T&& value) noexcept {
    asked_->value_ = std::addressof(value);
    return {};
  }
  template <class U>
    requires std::constructible_from<T, U>
  handing_over_copy yield_value(U&& value) {
    return {*asked_, std::forward<U>(value)};
  }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { failure_ = std::current_exception(); }

  [[nodiscard]] const std::exception_ptr* failure() const noexcept { return failure_ ? &failure_ : nullptr; }

 private:
  friend async_generator;
  friend next_awaiter;
  next_awaiter* asked_ = nullptr;  // null: nobody waits for it
  std::exception_ptr failure_;
};

template <class T>
class async_generator<T>::next_awaiter {
 public:
  explicit next_awaiter(std::coroutine_handle<promise_type> asked) noexcept : coroutine_{asked} {}

  [[nodiscard]] bool await_ready() const noexcept { return coroutine_.done(); }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) noexcept(
      detail::has_task_context<Promise>) {
    assert(coroutine_.promise().asked_ == nullptr && "felix::async_generator: two coroutines ask at once");
    coroutine_.promise().asked_ = this;
    if constexpr (detail::has_task_context<Promise>) {
      coroutine_.promise().awaited_by(caller);
      return detail::driver::transfer(coroutine_);
    } else {
      return detail::foreign_link::run(caller, [this](detail::foreign_link::handle link) {
        coroutine_.promise().awaited_by(link);
        detail::driver::resume(coroutine_);
      });
    }
  }
  std::optional<T> await_resume() {
    coroutine_.promise().asked_ = nullptr;
    // Once: a sequence that has failed has ended.
    if (auto failure = std::exchange(coroutine_.promise().failure_, nullptr)) std::rethrow_exception(failure);
    if (value_ == nullptr) return std::nullopt;
    return std::move(*value_);
  }

 private:
  friend promise_type;
  std::coroutine_handle<promise_type> coroutine_;
  T* value_ = nullptr;  // in the generator's frame, or null: it has ended
};

}  // namespace felix::inline v1

/// As a task's: its frame comes from the allocator that is passed first.
template <class T, class Allocator, class... Args>
struct std::coroutine_traits<felix::async_generator<T>, std::allocator_arg_t, Allocator, Args...> {
  using promise_type = felix::detail::allocated_promise<typename felix::async_generator<T>::promise_type,
                                                        std::remove_cvref_t<Allocator>, void, Args...>;
};
template <class T, class Object, class Allocator, class... Args>
struct std::coroutine_traits<felix::async_generator<T>, Object, std::allocator_arg_t, Allocator, Args...> {
  using promise_type = felix::detail::allocated_promise<typename felix::async_generator<T>::promise_type,
                                                        std::remove_cvref_t<Allocator>, Object, Args...>;
};
