// SPDX-License-Identifier: MIT
// async: several tasks at once; all results, in order, or the first failure after all have ended.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/join.hpp>
#include <felix/async/task.hpp>

#include <array>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace felix::inline v1 {

namespace detail {

class all_join : public fail_fast_join, public starter {
 public:
  std::coroutine_handle<> ended(std::coroutine_handle<>, const std::exception_ptr* failure,
                                ended_on on) noexcept override {
    if (failure != nullptr) fail(*failure);
    return count_down() ? go_on(on) : std::noop_coroutine();
  }

 protected:
  all_join() = default;
  ~all_join() = default;
  std::size_t started_ = 0;
};

/// What when_all gives for a pack.
template <class... T>
class [[nodiscard("nothing starts until it is awaited")]] when_all_pack {
 public:
  using values = std::tuple<joined_value<T>...>;

  explicit when_all_pack(task<T>... work) noexcept : work_{std::move(work)...} {}

  class awaiter : public all_join {
   public:
    explicit awaiter(std::tuple<task<T>...> work) noexcept : work_{std::move(work)} {}

    [[nodiscard]] bool await_ready() const noexcept { return sizeof...(T) == 0; }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> caller) {
      return this->open_and_start(caller, sizeof...(T), *this);
    }
    values await_resume() {
      this->close();
      this->rethrow_failure();
      return std::apply([](auto&... each) { return values{joined(each)...}; }, work_);
    }

   private:
    starter::started start_next() noexcept override { return start_next(std::index_sequence_for<T...>{}); }
    template <std::size_t... I>
    starter::started start_next(std::index_sequence<I...>) noexcept {
      std::coroutine_handle<> next;
      static_cast<void>(((I == this->started_ && (next = task_access::start(std::get<I>(work_), *this), true)) || ...));
      return {next, ++this->started_ == sizeof...(T)};
    }
    std::tuple<task<T>...> work_;
  };
  awaiter operator co_await() & = delete;  // std::move(it): what it holds can be awaited once
  awaiter operator co_await() && noexcept { return awaiter{std::move(work_)}; }

 private:
  std::tuple<task<T>...> work_;
};

/// What when_all gives for a range.
template <class T>
class [[nodiscard("nothing starts until it is awaited")]] when_all_range {
 public:
  explicit when_all_range(std::vector<task<T>> work) noexcept : work_{std::move(work)} {}

  class awaiter : public all_join {
   public:
    explicit awaiter(std::vector<task<T>> work) noexcept : work_{std::move(work)} {}

    [[nodiscard]] bool await_ready() const noexcept { return work_.empty(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> caller) {
      return this->open_and_start(caller, work_.size(), *this);
    }
    auto await_resume() {
      this->close();
      this->rethrow_failure();
      if constexpr (!std::is_void_v<T>) {
        std::vector<T> values;
        values.reserve(work_.size());
        for (task<T>& each : work_) values.push_back(task_access::promise(each).take());
        return values;
      }
    }

   private:
    starter::started start_next() noexcept override {
      task<T>& next = work_[this->started_++];
      return {task_access::start(next, *this), this->started_ == work_.size()};
    }
    std::vector<task<T>> work_;
  };
  awaiter operator co_await() & = delete;  // std::move(it): what it holds can be awaited once
  awaiter operator co_await() && noexcept { return awaiter{std::move(work_)}; }

 private:
  std::vector<task<T>> work_;
};

}  // namespace detail

/// Runs the tasks at the same time; awaited, it gives their values as a tuple, in order; `void` gives std::monostate.
///     auto [pro, contra] = co_await felix::when_all(ask(llm, "For?"), ask(llm, "Against?"));
/// Each task runs in turn until it first suspends, on the thread of whoever awaits. Any awaitable will do for a task.
/// Throws:   when one fails, the others are stopped and awaited; then the first failure is rethrown.
/// Stop:     a stop request reaches every task.
/// Cost:     no allocation beside the tasks themselves.
template <awaitable... A>
auto when_all(A&&... work) {
  return detail::when_all_pack<awaited_t<A>...>{as_task(std::forward<A>(work))...};
}

/// The same for any number of tasks of one type: their values in the order of the tasks, or nothing for `void`.
///     std::vector<std::string> answers = co_await felix::when_all(std::move(asked));
template <class T>
auto when_all(std::vector<task<T>> work) {
  static_assert(!std::is_reference_v<T>, "a vector cannot hold references; return pointers");
  return detail::when_all_range<T>{std::move(work)};
}

}  // namespace felix::inline v1
