// SPDX-License-Identifier: MIT
// async: several tasks at once; the first one to end decides, the others are stopped and awaited.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/join.hpp>
#include <felix/async/task.hpp>
#include <felix/error.hpp>

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace felix::inline v1 {

/// Which of several ended first, counted from 0, and with what.
template <class T>
class when_any_result {
 public:
  when_any_result(std::size_t which, T what) : index{which}, value(std::forward<T>(what)) {}

  std::size_t index;
  T value;
};

namespace detail {

/// The value of whoever comes first: of the one type that all have, or a variant with an alternative for each.
template <class First, class... Rest>
struct any_value {
  static_assert(!std::is_reference_v<First> && (!std::is_reference_v<Rest> && ...),
                "felix::when_any: references of different types; give pointers instead");
  using type = std::variant<joined_value<First>, joined_value<Rest>...>;
};
template <class First, class... Rest>
  requires(std::is_same_v<First, Rest> && ...)
struct any_value<First, Rest...> {
  using type = joined_value<First>;
};

class any_join : public join, public starter {
 public:
  std::coroutine_handle<> ended(std::coroutine_handle<> ended, const std::exception_ptr*,
                                ended_on on) noexcept override {
    if (!won_.exchange(true, std::memory_order_relaxed)) {  // what it guards is read after the last count-down
      winner_ = ended;
      branches_stop().request_stop();
    }
    return count_down() ? go_on(on) : std::noop_coroutine();
  }

 protected:
  any_join() = default;
  ~any_join() = default;

  /// Once there is a winner nobody else is started: the tasks that are left are counted as ended.
  template <class Start>
  started start_next_of(std::size_t all, Start start) noexcept {
    if (won_.load(std::memory_order_relaxed)) {
      return {count_down(all - started_) ? go_on(ended_on::own_scheduler) : std::noop_coroutine(), true};
    }
    const std::size_t index = started_++;
    return {start(index), index + 1 == all};
  }
  [[nodiscard]] std::coroutine_handle<> winner() const noexcept { return winner_; }

 private:
  std::size_t started_ = 0;
  std::atomic<bool> won_{false};
  std::coroutine_handle<> winner_;
};

/// What when_any gives for a pack.
template <class... T>
class [[nodiscard("nothing starts until it is awaited")]] when_any_pack {
 public:
  using value = typename any_value<T...>::type;

  explicit when_any_pack(task<T>... work) noexcept : work_{std::move(work)...} {}

  class awaiter : public any_join {
   public:
    explicit awaiter(std::tuple<task<T>...> work) noexcept : work_{std::move(work)} {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> caller) {
      return this->open_and_start(caller, sizeof...(T), *this);
    }
    when_any_result<value> await_resume() {
      this->close();
      return take<0>();
    }

   private:
    starter::started start_next() noexcept override {
      return this->start_next_of(sizeof...(T),
                                 [&](std::size_t index) { return start(index, std::index_sequence_for<T...>{}); });
    }
    template <std::size_t... I>
    std::coroutine_handle<> start(std::size_t index, std::index_sequence<I...>) noexcept {
      std::coroutine_handle<> next;
      static_cast<void>(((I == index && (next = task_access::start(std::get<I>(work_), *this), true)) || ...));
      return next;
    }
    template <std::size_t I>
    when_any_result<value> take() {
      auto& candidate = std::get<I>(work_);
      if constexpr (I + 1 < sizeof...(T)) {
        if (task_access::handle(candidate) != this->winner()) return take<I + 1>();
      }
      if constexpr ((std::is_same_v<value, joined_value<T>> && ...)) {
        return {I, joined(candidate)};
      } else {
        return {I, value{std::in_place_index<I>, joined(candidate)}};
      }
    }
    std::tuple<task<T>...> work_;
  };
  awaiter operator co_await() & = delete;  // std::move(it): what it holds can be awaited once
  awaiter operator co_await() && noexcept { return awaiter{std::move(work_)}; }

 private:
  std::tuple<task<T>...> work_;
};

/// What when_any gives for a range.
template <class T>
class [[nodiscard("nothing starts until it is awaited")]] when_any_range {
 public:
  explicit when_any_range(std::vector<task<T>> work) noexcept : work_{std::move(work)} {}

  class awaiter : public any_join {
   public:
    explicit awaiter(std::vector<task<T>> work) noexcept : work_{std::move(work)} {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> caller) {
      if (work_.empty())
        throw error{errc::invalid_argument, "when_any: there is no task to wait for; pass one or more"};
      return this->open_and_start(caller, work_.size(), *this);
    }
    when_any_result<joined_value<T>> await_resume() {
      this->close();
      std::size_t index = 0;
      while (task_access::handle(work_[index]) != this->winner()) ++index;
      return {index, joined(work_[index])};
    }

   private:
    starter::started start_next() noexcept override {
      return this->start_next_of(work_.size(),
                                 [&](std::size_t index) { return task_access::start(work_[index], *this); });
    }
    std::vector<task<T>> work_;
  };
  awaiter operator co_await() & = delete;  // std::move(it): what it holds can be awaited once
  awaiter operator co_await() && noexcept { return awaiter{std::move(work_)}; }

 private:
  std::vector<task<T>> work_;
};

}  // namespace detail

/// Runs the tasks at the same time until the first one ends; awaited, it gives which one that was, and its value: of the
/// type that all have, or a std::variant of their types (std::monostate for `void`).
///     auto first = co_await felix::when_any(ask(llm, "Quick?"), ask(llm, "Or you?"));
///     fmt::print("{} won: {}\n", first.index, first.value);
/// Each task runs in turn until it first suspends; once one has ended, those not yet started never are. The losers are
/// stopped, and awaited before this goes on: nothing of them is left. What a loser comes to in spite of that is dropped.
/// Throws:   the failure of the first one to end, if it fails. as_result(task) in its place makes a failure a value.
/// Stop:     a stop request reaches every task.
/// Cost:     no allocation beside the tasks themselves.
template <awaitable... A>
  requires(sizeof...(A) > 0)
auto when_any(A&&... work) {
  return detail::when_any_pack<awaited_t<A>...>{as_task(std::forward<A>(work))...};
}

/// The same for any number of tasks of one type. Throws error (invalid_argument) when there is none.
template <class T>
auto when_any(std::vector<task<T>> work) {
  return detail::when_any_range<T>{std::move(work)};
}

}  // namespace felix::inline v1
