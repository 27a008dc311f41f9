// SPDX-License-Identifier: MIT
// async: a function as something to post.
#pragma once

#include <felix/async/detail/frame_pool.hpp>
#include <felix/async/work_item.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// Calls a function on a scheduler's thread each time it is posted there. Post it again only once it has run.
///     felix::posted_call refresh{[&] { redraw(); }};
///     loop.post(refresh);                      // from any thread; the loop calls redraw
/// The function must not throw. It may end the posted_call, if it then touches nothing that it captured.
/// Threads:  made and destroyed while it is not posted.
/// Cost:     one frame from the pool when it is made; none to post.
class posted_call : public work_item {
 public:
  template <std::invocable F>
    requires(!std::same_as<std::remove_cvref_t<F>, posted_call>)
  explicit posted_call(F function) : work_item{begin(std::move(function)).coroutine} {}
  posted_call(posted_call&&) = delete;
  ~posted_call() { coroutine().destroy(); }

 private:
  struct loop {
    struct promise_type : detail::pooled_frame {
      promise_type() noexcept {}  // declared: an aggregate would be initialised from the parameters
      loop get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
      [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
      [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }
      void return_void() const noexcept {}
      void unhandled_exception() const noexcept { std::terminate(); }
    };
    std::coroutine_handle<> coroutine;
  };
  /// Calls the function while the coroutine is suspended: it may end the posted_call.
  template <class F>
  class call {
   public:
    explicit call(F& function) noexcept : function_{function} {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept { function_(); }
    void await_resume() const noexcept {}

   private:
    F& function_;
  };
  template <class F>
  static loop begin(F function) {
    for (;;) co_await call<F>{function};
  }
};

}  // namespace felix::inline v1
