// SPDX-License-Identifier: MIT
// async: what a generator awaits again and again, stopped by one more.
#pragma once

#include <felix/async/detail/promise_base.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/stop_token.hpp>

#include <concepts>
#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

namespace felix::inline v1 {

/// As stop_when, for many waits of one coroutine: the stop that all of them share is registered once.
///     stop_link link{closing.get_token()};
///     while (auto value = co_await link.stoppable(inner.next())) co_yield std::move(*value);
/// Stop: what is awaited is stopped when `by` requests it, before or during the wait, and when the awaiter is stopped.
/// Cost: one allocation; a wait registers one callback, if its awaiter can be stopped.
class stop_link {
 public:
  template <class Awaiter>
  class awaiter;

  explicit stop_link(stop_token by) : by_{by} { renew(); }
  stop_link(stop_link&&) = delete;

  /// `wait` is an awaiter. Awaited by a task or a generator, one at a time.
  template <class Awaiter>
  [[nodiscard("nothing happens until it is awaited")]] awaiter<Awaiter> stoppable(Awaiter wait) {
    if (stop_->stop_requested() && !by_.stop_requested()) renew();  // it was meant for who awaited then
    return awaiter<Awaiter>{stop_, std::move(wait)};
  }

 private:
  /// A coroutine without a scheduler goes on inside request_stop, and may end the link: so the source is kept meanwhile.
  class forward {
   public:
    explicit forward(const std::shared_ptr<stop_source>& to) noexcept : to_{to} {}
    void operator()() const noexcept {
      const std::shared_ptr<stop_source> kept = to_;
      kept->request_stop();
    }

   private:
    const std::shared_ptr<stop_source>& to_;  // the link's: as long as the callback is registered
  };

  void renew() {
    on_stop_.reset();
    stop_ = std::make_shared<stop_source>();
    on_stop_.emplace(by_, forward{stop_});
  }

  stop_token by_;
  std::shared_ptr<stop_source> stop_;
  std::optional<stop_callback<forward>> on_stop_;
};

template <class Awaiter>
class stop_link::awaiter {
 public:
  awaiter(const std::shared_ptr<stop_source>& stop, Awaiter&& wait) noexcept : stop_{stop}, wait_{std::move(wait)} {}
  awaiter(awaiter&&) = delete;

  [[nodiscard]] bool await_ready() noexcept { return wait_.await_ready(); }
  template <std::derived_from<detail::promise_base> Promise>
  auto await_suspend(std::coroutine_handle<Promise> caller) noexcept {
    promise_ = &caller.promise();
    outer_ = &promise_->context();
    inner_ = {.where = outer_->where, .stop = stop_->get_token()};
    if (outer_->stop.stop_possible()) on_outer_stop_.emplace(outer_->stop, forward{stop_});
    promise_->hands_down(inner_);
    return wait_.await_suspend(caller);
  }
  auto await_resume() {
    on_outer_stop_.reset();
    if (promise_ != nullptr) promise_->hands_down(*outer_);
    return wait_.await_resume();
  }

 private:
  const std::shared_ptr<stop_source>& stop_;
  Awaiter wait_;
  detail::promise_base* promise_ = nullptr;
  const task_context* outer_ = nullptr;
  task_context inner_;
  std::optional<stop_callback<forward>> on_outer_stop_;
};

}  // namespace felix::inline v1
