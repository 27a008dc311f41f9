// SPDX-License-Identifier: MIT
#include <felix/async/continuation.hpp>

#include <felix/async/simulated_loop.hpp>
#include "support/catch.hpp"

#include <coroutine>
#include <exception>

namespace {

/// The smallest awaiter that somebody else wakes.
class gate {
 public:
  struct awaiter {
    explicit awaiter(gate& of) noexcept : gate_{of} {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) noexcept {
      gate_.waiting_.set(caller);
    }
    void await_resume() const noexcept {}
    gate& gate_;
  };
  [[nodiscard]] awaiter operator co_await() noexcept { return awaiter{*this}; }
  void open() { waiting_.post(); }

 private:
  felix::continuation waiting_;
};

felix::task<void> pass(gate& through, int& passed) {
  co_await through;
  ++passed;
}

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
foreign pass_in_place(gate& through, int& passed) {
  co_await through;
  ++passed;
}

}  // namespace

TEST_CASE("continuation: a task is posted to its loop, never run inside post", "[async][continuation]") {
  felix::simulated_loop loop;
  gate door;
  int passed = 0;
  loop.spawn(pass(door, passed), [](felix::result<void>) {});
  door.open();
  CHECK(passed == 0);
  loop.poll();
  CHECK(passed == 1);
}

TEST_CASE("continuation: a coroutine without a scheduler goes on in place", "[async][continuation]") {
  gate door;
  int passed = 0;
  pass_in_place(door, passed);
  CHECK(passed == 0);
  door.open();
  CHECK(passed == 1);
}
