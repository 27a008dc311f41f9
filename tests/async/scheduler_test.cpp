// SPDX-License-Identifier: MIT
#include <felix/async/scheduler.hpp>

#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include "support/catch.hpp"

#include <coroutine>
#include <exception>

namespace {

/// A coroutine type that is not felix's: no scheduler, no stop token.
struct foreign {
  struct promise_type {
    promise_type() noexcept = default;
    foreign get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

felix::task<int> three() { co_return 3; }
foreign count_after(felix::event& event, int& count) {
  co_await event;
  count += co_await three();
}
foreign sleep_on(felix::simulated_loop& loop, int& count) {
  co_await loop.sleep_for(std::chrono::seconds{1});
  ++count;
}

}  // namespace

TEST_CASE("scheduler: a coroutine type that is not felix's resumes in place and can await felix's tasks",
          "[async][scheduler]") {
  felix::event event;
  int count = 0;
  count_after(event, count);
  CHECK(count == 0);
  event.set();
  CHECK(count == 3);
}

TEST_CASE("scheduler: a foreign coroutine can sleep on a loop it names", "[async][scheduler]") {
  felix::simulated_loop loop;
  int count = 0;
  sleep_on(loop, count);
  loop.run(felix::sleep_for(std::chrono::seconds{2}));
  CHECK(count == 1);
}

TEST_CASE("scheduler: the context of a handle without one is empty", "[async][scheduler]") {
  const auto context = felix::detail::context_of(std::coroutine_handle<>{std::noop_coroutine()});
  CHECK(context.where == nullptr);
  CHECK_FALSE(context.stop.stop_possible());
}
