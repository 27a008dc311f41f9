// SPDX-License-Identifier: MIT
#include <felix/async/awaitable.hpp>

#include <felix/async/event.hpp>
#include <felix/async/mutex.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/semaphore.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <concepts>
#include <coroutine>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;

namespace {

/// Ready at once, gives what it was made with. Counts how often one was moved.
class ready_string {
 public:
  explicit ready_string(std::string text, int& moves) noexcept : text_{std::move(text)}, moves_{&moves} {}
  ready_string(ready_string&& other) noexcept : text_{std::move(other.text_)}, moves_{other.moves_} { ++*moves_; }
  [[nodiscard]] bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  std::string await_resume() noexcept { return std::move(text_); }

 private:
  std::string text_;
  int* moves_;
};

/// Each operator co_await gives something else, so that a test sees which one was taken.
class by_member {
 public:
  class awaiter {
   public:
    explicit awaiter(int value) noexcept : value_{value} {}
    [[nodiscard]] bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    [[nodiscard]] int await_resume() const noexcept { return value_; }

   private:
    int value_;
  };
  awaiter operator co_await() & noexcept { return awaiter{1}; }
  awaiter operator co_await() const& noexcept { return awaiter{2}; }
  awaiter operator co_await() && noexcept { return awaiter{3}; }
};

class by_function {
 public:
  explicit by_function(int value) noexcept : value_{value} {}
  friend by_member::awaiter operator co_await(const by_function& of) noexcept { return by_member::awaiter{of.value_}; }

 private:
  int value_;
};

/// Its value lives inside it, and it is given as T&&, as some libraries' tasks do.
class gives_rvalue_reference {
 public:
  explicit gives_rvalue_reference(std::string text) noexcept : text_{std::move(text)} {}
  [[nodiscard]] bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  std::string&& await_resume() noexcept { return std::move(text_); }

 private:
  std::string text_;
};

class gives_const {
 public:
  gives_const() noexcept = default;
  [[nodiscard]] bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  // NOLINTNEXTLINE(readability-const-return-type): somebody's code does
  [[nodiscard]] const std::string await_resume() const { return std::string(50, 'c'); }
};

class refers_to_int {
 public:
  explicit refers_to_int(int& target) noexcept : target_{&target} {}
  [[nodiscard]] bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  [[nodiscard]] int& await_resume() const noexcept { return *target_; }

 private:
  int* target_;
};

class throws_at_resume {
 public:
  throws_at_resume() noexcept = default;
  [[nodiscard]] bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  void await_resume() const { throw std::runtime_error{"at resume"}; }
};

class not_ready_enough {  // no await_resume
 public:
  [[nodiscard]] bool await_ready() const noexcept { return true; }
};

struct nowhere {};

felix::task<int> seven() { co_return 7; }
felix::task<std::unique_ptr<int>> owned(int n) { co_return std::make_unique<int>(n); }
felix::task<void> nothing() { co_return; }

static_assert(felix::awaitable<felix::task<int>> && felix::awaitable<felix::task<int>&&>);
static_assert(!felix::awaitable<felix::task<int>&>, "a named task is handed over by std::move");
static_assert(!felix::awaitable<const felix::task<int>>);
static_assert(felix::awaitable<felix::event&> && !felix::awaitable<const felix::event&>);
static_assert(felix::awaitable<felix::semaphore::awaiter> && felix::awaitable<felix::priority_semaphore::awaiter>);
static_assert(felix::awaitable<felix::mutex::awaiter> && felix::awaitable<felix::detail::sleep_awaiter>);
static_assert(felix::awaitable<decltype(felix::when_all(seven(), seven()))>);
static_assert(!felix::awaitable<decltype(felix::when_all(seven(), seven()))&>);
static_assert(felix::awaitable<by_member> && felix::awaitable<by_member&> && felix::awaitable<const by_member&>);
static_assert(felix::awaitable<by_function> && felix::awaitable<const by_function&>);
static_assert(felix::awaitable<std::suspend_always>);
static_assert(!felix::awaitable<int> && !felix::awaitable<nowhere> && !felix::awaitable<not_ready_enough>);
static_assert(!felix::awaitable<std::string> && !felix::awaitable<void*>);

static_assert(std::same_as<felix::awaited_t<felix::task<int>>, int>);
static_assert(std::same_as<felix::awaited_t<felix::task<int&>>, int&>);
static_assert(std::same_as<felix::awaited_t<felix::task<const int&>>, const int&>);
static_assert(std::same_as<felix::awaited_t<felix::task<void>>, void>);
static_assert(std::same_as<felix::awaited_t<felix::task<std::unique_ptr<int>>>, std::unique_ptr<int>>);
static_assert(std::same_as<felix::awaited_t<felix::event&>, void>);
static_assert(std::same_as<felix::awaited_t<felix::mutex::awaiter>, felix::mutex::scoped_lock>);
static_assert(std::same_as<felix::awaited_t<felix::priority_semaphore::awaiter>, felix::priority_semaphore::permit>);
static_assert(std::same_as<felix::awaited_t<refers_to_int>, int&>);

}  // namespace

TEST_CASE("as_task: a task is itself", "[async][awaitable]") {
  auto work = seven();
  const auto frame = felix::detail::task_access::handle(work);
  auto same = felix::as_task(std::move(work));
  CHECK(felix::detail::task_access::handle(same) == frame);
  CHECK(felix::sync_wait(std::move(same)) == 7);
  CHECK(*felix::sync_wait(felix::as_task(owned(8))) == 8);
}

TEST_CASE("as_task: what is an lvalue is referred to", "[async][awaitable]") {
  felix::simulated_loop loop;
  felix::event event;  // could be neither copied nor moved
  bool ended = false;
  loop.spawn(felix::as_task(event), [&](felix::result<void> r) { ended = r.has_value(); });
  loop.poll();
  CHECK_FALSE(ended);
  event.set();
  loop.poll();
  CHECK(ended);

  int moves = 0;
  ready_string named{"named", moves};
  CHECK(felix::sync_wait(felix::as_task(named)) == "named");
  CHECK(moves == 0);
}

TEST_CASE("as_task: what is an rvalue is moved in, and outlives the expression that made it", "[async][awaitable]") {
  int moves = 0;
  auto work = felix::as_task(ready_string{std::string(100, 'x'), moves});
  CHECK(moves > 0);
  CHECK(felix::sync_wait(std::move(work)) == std::string(100, 'x'));
}

TEST_CASE("as_task: takes the operator co_await that co_await itself would take", "[async][awaitable]") {
  by_member named;
  const by_member constant;
  CHECK(felix::sync_wait(felix::as_task(named)) == 1);
  CHECK(felix::sync_wait(felix::as_task(constant)) == 2);
  CHECK(felix::sync_wait(felix::as_task(by_member{})) == 3);
  const by_function free_function{4};
  CHECK(felix::sync_wait(felix::as_task(free_function)) == 4);
  CHECK(felix::sync_wait(felix::as_task(by_function{5})) == 5);
}

TEST_CASE("as_task: a reference stays one, and an exception passes through", "[async][awaitable]") {
  int target = 0;
  int& same = felix::sync_wait(felix::as_task(refers_to_int{target}));
  CHECK(&same == &target);
  CHECK_THROWS_WITH(felix::sync_wait(felix::as_task(throws_at_resume{})), "at resume");
}

TEST_CASE("as_task: what is given as T&& is kept as a T", "[async][awaitable]") {
  static_assert(std::same_as<felix::awaited_t<gives_rvalue_reference>, std::string>);
  const auto text = [](char c) { return gives_rvalue_reference{std::string(50, c)}; };
  CHECK(felix::sync_wait(felix::as_task(text('a'))) == std::string(50, 'a'));
  // What it lived in is gone by now: a reference to it would be read after that.
  const auto [b, c] = felix::sync_wait(felix::when_all(text('b'), text('c')));
  CHECK(b + c == std::string(50, 'b') + std::string(50, 'c'));
  CHECK(felix::sync_wait(felix::when_any(text('d'), text('e'))).value == std::string(50, 'd'));
}

TEST_CASE("as_task: what is given as const T is kept too", "[async][awaitable]") {
  CHECK(felix::sync_wait(gives_const{}) == std::string(50, 'c'));
  CHECK(felix::sync_wait(felix::as_result(gives_const{})).value() == std::string(50, 'c'));
  CHECK(std::get<0>(felix::sync_wait(felix::when_all(gives_const{}, nothing()))) == std::string(50, 'c'));
}

TEST_CASE("awaitable: everything that takes a task takes any other awaitable", "[async][awaitable]") {
  felix::simulated_loop loop;
  felix::event set;
  set.set();
  felix::semaphore places{1};
  felix::priority_semaphore slots{1};
  felix::mutex mutex;
  auto [waited, slept, entered, number, text] =
      loop.run(felix::when_all(set, felix::sleep_for(1s), places.acquire(), by_function{6}, gives_const{}));
  static_assert(std::same_as<decltype(waited), std::monostate> && std::same_as<decltype(slept), std::monostate>);
  static_assert(std::same_as<decltype(entered), std::monostate>);
  CHECK(number == 6);
  CHECK(text.size() == 50);
  CHECK(places.available() == 0);
  {
    const auto [lock, permit] = loop.run(felix::when_all(mutex.lock(), slots.acquire()));
    CHECK(mutex.is_locked());
    CHECK(slots.in_use() == 1);
  }
  CHECK_FALSE(mutex.is_locked());
  CHECK(slots.in_use() == 0);
  CHECK(loop.run(felix::as_result(felix::when_any(set, felix::sleep_for(1h)))).value().index == 0);
  CHECK(loop.run(felix::timeout(1s, by_member{})) == 3);
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
  loop.run(set);
}
