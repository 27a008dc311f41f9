// SPDX-License-Identifier: MIT
// What every primitive that coroutines queue at has in common, at moments that threads hit once in a million.
#include <felix/async/detail/waiter.hpp>

#include <felix/async/channel.hpp>
#include <felix/async/event.hpp>
#include <felix/async/mutex.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/semaphore.hpp>
#include "support/catch.hpp"

#include <coroutine>
#include <exception>
#include <optional>

namespace {

/// Runs what is posted inside of post, as another thread might before post has returned.
class at_once final : public felix::scheduler {
 public:
  void post(felix::work_item& item) noexcept override { item(); }
  [[nodiscard]] time_point now() const noexcept override { return {}; }
  bool arm(felix::detail::timer&) override { return false; }
  bool disarm(felix::detail::timer&) noexcept override { return false; }
};

/// A coroutine that a test stops, on a scheduler of its choice.
class stoppable {
 public:
  class promise_type {
   public:
    promise_type(at_once& on, felix::stop_source& source, auto&&...) : context_{&on, source.get_token()} {}
    stoppable get_return_object() noexcept {
      return stoppable{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
    [[nodiscard]] const felix::task_context& context() const noexcept { return context_; }

   private:
    felix::task_context context_;
  };
  stoppable(stoppable&&) = delete;
  ~stoppable() { coroutine.destroy(); }
  std::coroutine_handle<promise_type> coroutine;

 private:
  explicit stoppable(std::coroutine_handle<promise_type> of) noexcept : coroutine{of} {}
};

stoppable idle(at_once&, felix::stop_source&) { co_return; }

/// `give` comes between two steps of the wait, the stop between the next two.
template <class Awaiter, class Give>
void check_kept(Awaiter wait, Give give) {
  at_once here;
  felix::stop_source source;
  stoppable caller = idle(here, source);
  REQUIRE_FALSE(wait.await_ready());
  give();
  REQUIRE_FALSE(wait.await_suspend(caller.coroutine));
  source.request_stop();
  CHECK_FALSE(wait.is_cancelled());
  CHECK_NOTHROW(static_cast<void>(wait.await_resume()));
}

/// Lets a coroutine go on before park has returned.
class eager {
 public:
  class awaiter : public felix::detail::cancellable_wait<eager, awaiter> {
   public:
    explicit awaiter(eager& awaited) noexcept : cancellable_wait{awaited} {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_resume() { finish("waiting for nothing"); }
  };
  awaiter operator co_await() noexcept { return awaiter{*this}; }

 private:
  friend class felix::detail::cancellable_wait<eager, awaiter>;
  bool park(awaiter& waiter) {
    waiter.release();
    waiter.post();
    return true;
  }
  void cancel(awaiter&) {}
};

stoppable pass(at_once&, felix::stop_source&, eager& through, bool& passed) {
  co_await through;
  passed = true;
}

}  // namespace

TEST_CASE("waiter: what is granted while a wait begins is kept in spite of a stop", "[async][waiter]") {
  SECTION("event") {
    felix::event event;
    check_kept(event.operator co_await(), [&] { event.set(); });
  }
  SECTION("semaphore") {
    felix::semaphore semaphore{0};
    check_kept(semaphore.acquire(), [&] { semaphore.release(); });
    CHECK(semaphore.available() == 0);
  }
  SECTION("mutex") {
    felix::mutex mutex;
    auto held = mutex.try_lock();
    check_kept(mutex.lock(), [&] { held.reset(); });
    CHECK_FALSE(mutex.is_locked());
  }
  SECTION("priority_semaphore") {
    felix::priority_semaphore slots{1};
    auto first = slots.acquire();
    REQUIRE(first.await_ready());
    std::optional<felix::priority_semaphore::permit> held{first.await_resume()};
    check_kept(slots.acquire(), [&] { held.reset(); });
    CHECK(slots.in_use() == 0);
  }
  SECTION("channel, receive") {
    felix::channel<int> numbers{1};
    check_kept(numbers.receive(), [&] { CHECK(numbers.try_send(1)); });
    CHECK(numbers.size() == 0);
  }
  SECTION("channel, send") {
    felix::channel<int> numbers{1};
    CHECK(numbers.try_send(1));
    check_kept(numbers.send(2), [&] { CHECK(numbers.try_receive() == 1); });
    CHECK(numbers.try_receive() == 2);
  }
}

TEST_CASE("waiter: a coroutine may go on, and end its wait, before park has returned", "[async][waiter]") {
  at_once here;
  felix::stop_source source;  // asserts at its end that nothing is registered
  eager primitive;
  bool passed = false;
  stoppable coroutine = pass(here, source, primitive, passed);
  coroutine.coroutine.resume();
  CHECK(passed);
  CHECK(coroutine.coroutine.done());
}
