// SPDX-License-Identifier: MIT
#include <felix/async/task.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/async_generator.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using felix::test::foreign;
using felix::test::throws_when_moved;
using namespace std::chrono_literals;

namespace {

static_assert(!std::is_copy_constructible_v<felix::task<int>>);
static_assert(!std::is_aggregate_v<felix::task<int>::awaiter>, "g++ 12 would destroy it twice");

felix::task<int> twice(int n) { co_return 2 * n; }

felix::task<int> sum_of(int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += co_await twice(1);
  co_return sum;
}

felix::task<int> depth(int n) {
  if (n == 0) co_return 0;
  co_return 1 + co_await depth(n - 1);
}

felix::task<int> throws_at(int n) {
  if (n == 0) throw std::runtime_error{"at the bottom"};
  co_return co_await throws_at(n - 1);
}

felix::task<int&> refer_to(int& n) { co_return n; }
felix::task<std::unique_ptr<int>> make(int n) { co_return std::make_unique<int>(n); }

felix::task<bool> notes_start(bool& started) {
  started = true;
  co_return true;
}

/// Counts how many live.
struct counted {
  explicit counted(int& alive) noexcept : alive_{&alive} { ++*alive_; }
  counted(const counted& other) noexcept : alive_{other.alive_} { ++*alive_; }
  counted& operator=(const counted&) = delete;
  ~counted() { --*alive_; }
  int* alive_;
};

felix::task<int> takes(counted, std::string text) { co_return static_cast<int>(text.size()); }

felix::task<std::string> natural_forms(int& alive) {
  // The forms that DESIGN promises to be safe with g++ 12: run under ASan by the preset.
  const int a = co_await takes(counted{alive}, std::string(100, 'x'));
  auto work = takes(counted{alive}, "named " + std::string(40, 'y'));
  const int b = co_await std::move(work);
  co_return std::to_string(a) + " " + std::to_string(b);
}

}  // namespace

TEST_CASE("task: gives its value, by value, by reference and by move", "[async][task]") {
  CHECK(felix::sync_wait(twice(21)) == 42);
  int n = 1;
  int& same = felix::sync_wait(refer_to(n));
  CHECK(&same == &n);
  CHECK(*felix::sync_wait(make(7)) == 7);
}

TEST_CASE("task: is lazy, and destroyed unrun when nobody awaits it", "[async][task]") {
  bool started = false;
  int alive = 0;
  {
    auto unrun = notes_start(started);
    auto also = takes(counted{alive}, "parameters die with the frame");
    CHECK(alive == 1);
  }
  CHECK_FALSE(started);
  CHECK(alive == 0);
  CHECK(felix::sync_wait(notes_start(started)));
  CHECK(started);
}

TEST_CASE("task: an exception comes out of every level", "[async][task]") {
  CHECK_THROWS_WITH(felix::sync_wait(throws_at(100)), "at the bottom");
}

TEST_CASE("task: temporaries of an awaited expression are destroyed once", "[async][task]") {
  int alive = 0;
  CHECK(felix::sync_wait(natural_forms(alive)) == "100 46");
  CHECK(alive == 0);
}

TEST_CASE("task: a million awaits and a deep chain do not grow the stack", "[async][task]") {
  CHECK(felix::sync_wait(sum_of(1'000'000)) == 2'000'000);
#if defined(__SANITIZE_THREAD__)
  CHECK(felix::sync_wait(depth(2'000)) == 2'000);  // g++'s TSan takes 31 µs a level
#else
  CHECK(felix::sync_wait(depth(100'000)) == 100'000);
#endif
}

TEST_CASE("task: move assignment destroys what it held", "[async][task]") {
  int alive = 0;
  auto a = takes(counted{alive}, "a");
  a = takes(counted{alive}, "bb");
  CHECK(alive == 1);
  CHECK(felix::sync_wait(std::move(a)) == 2);
  CHECK(alive == 0);
}

static felix::task<bool> inherits(felix::scheduler* loop, felix::stop_token stop) {
  const bool same_loop = co_await felix::this_task::scheduler() == loop;
  const felix::stop_token inherited = co_await felix::this_task::stop_token();
  co_return same_loop&& inherited.stop_possible() && inherited.stop_requested() == stop.stop_requested();
}
static felix::task<bool> child_inherits(felix::scheduler* loop, felix::stop_token stop) {
  co_return co_await inherits(loop, stop);
}

TEST_CASE("task: a child inherits its parent's scheduler and stop token", "[async][task]") {
  felix::simulated_loop loop;
  felix::stop_source stop;
  CHECK(loop.run(child_inherits(&loop, stop.get_token()), stop.get_token()));
  stop.request_stop();
  CHECK(loop.run(child_inherits(&loop, stop.get_token()), stop.get_token()));
}

namespace {

#if defined(__SANITIZE_THREAD__)
constexpr int deep = 2'000;  // g++'s TSan takes 31 µs a level
#else
constexpr int deep = 100'000;
#endif

felix::task<throws_when_moved> fragile(int moves) { co_return throws_when_moved{moves}; }
felix::task<std::string> catches_fragile(int moves) {
  std::string caught = "nothing";
  try {
    const auto value = co_await fragile(moves);
    static_cast<void>(value);
  } catch (const std::runtime_error& error) {
    caught = error.what();
  }
  co_return caught;
}

/// Its destructor throws, once the coroutine has returned its value.
class throws_at_end {
 public:
  throws_at_end() noexcept = default;
  throws_at_end(throws_at_end&&) = delete;
  ~throws_at_end() noexcept(false) { throw std::runtime_error{"after co_return"}; }
};
felix::task<counted> value_then_exception(int& alive) {
  const throws_at_end last;
  co_return counted{alive};
}
felix::task<void> nothing_then_exception() {
  const throws_at_end last;
  co_return;
}

felix::task<const std::string> constant() { co_return std::string(50, 'c'); }
felix::task<std::string> braces(int n) {
  if (n == 0) co_return {};
  co_return {static_cast<char>('a' + n), 'x'};
}
class base {
 public:
  explicit base(int n) noexcept : number{n} {}
  int number;
};
class derived : public base {
 public:
  using base::base;
};
felix::task<const base&> refer_to_base(const derived& of) { co_return of; }
felix::task<std::unique_ptr<const int>> converts() { co_return std::make_unique<int>(4); }

felix::task<int> own(felix::task<int> inner) { co_return 1 + co_await std::move(inner); }
felix::task<int> number(int n) { co_return n; }

/// Each second level catches, and throws anew.
felix::task<int> catches_every_second(int n) {
  if (n == 0) throw std::runtime_error{"0"};
  int caught = 0;
  try {
    co_return co_await catches_every_second(n - 1);
  } catch (const std::runtime_error& error) {
    if (n % 2 == 0) throw;
    caught = std::stoi(error.what()) + 1;
  }
  throw std::runtime_error{std::to_string(caught)};
}

}  // namespace

TEST_CASE("task: a move constructor that throws ends in whoever awaits, at every level", "[async][task]") {
  bool thrown = false, passed = false;
  for (int moves = 0; moves < 12; ++moves) {
    const bool caught = felix::sync_wait(catches_fragile(moves)) == "moved too often";
    CHECK_FALSE((passed && caught));
    (caught ? thrown : passed) = true;
  }
  CHECK(thrown);
  CHECK(passed);
  thrown = passed = false;
  for (int moves = 0; moves < 12; ++moves) {
    try {
      static_cast<void>(felix::sync_wait(fragile(moves)));  // no default constructor and no assignment either
      passed = true;
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    try {
      static_cast<void>(felix::sync_wait(felix::when_all(fragile(moves), fragile(moves))));
    } catch (const std::runtime_error&) {
      CHECK(moves < 11);
    }
  }
  CHECK(thrown);
  CHECK(passed);
}

TEST_CASE("task: an exception after co_return takes the value's place", "[async][task]") {
  int alive = 0;
  CHECK_THROWS_WITH(felix::sync_wait(value_then_exception(alive)), "after co_return");
  CHECK(alive == 0);
  CHECK_THROWS_WITH(felix::sync_wait(nothing_then_exception()), "after co_return");
}

TEST_CASE("task: values that are const, converted, in braces, or seen as their base", "[async][task]") {
  CHECK(felix::sync_wait(constant()) == std::string(50, 'c'));
  CHECK(felix::sync_wait(braces(0)).empty());
  CHECK(felix::sync_wait(braces(3)) == "dx");
  const derived of{8};
  CHECK(&felix::sync_wait(refer_to_base(of)) == &of);
  CHECK(*felix::sync_wait(converts()) == 4);
}

TEST_CASE("task: moved, assigned and swapped it runs once, as what it was", "[async][task]") {
  int alive = 0;
  auto a = takes(counted{alive}, "a");
  auto b = takes(counted{alive}, "bb");
  std::swap(a, b);
  CHECK(alive == 2);
  auto c = std::move(a);
  a = std::move(b);
  CHECK(alive == 2);
  CHECK(felix::sync_wait(std::move(c)) == 2);
  CHECK(alive == 1);
  CHECK(felix::sync_wait(std::move(a)) == 1);
  CHECK(alive == 0);
}

TEST_CASE("task: an awaiter that is never awaited ends its task unrun", "[async][task]") {
  bool started = false;
  {
    auto work = notes_start(started);
    const auto awaiter = std::move(work).operator co_await();
    CHECK_FALSE(awaiter.await_ready());
  }
  CHECK_FALSE(started);
}

TEST_CASE("task: a hundred thousand that own each other run, and are destroyed unrun", "[async][task]") {
  auto run = number(0), unrun = number(0);
  for (int i = 0; i < deep; ++i) {
    run = own(std::move(run));
    unrun = own(std::move(unrun));
  }
  CHECK(felix::sync_wait(std::move(run)) == deep);
  { const auto dropped = std::move(unrun); }
}

TEST_CASE("task: unrun tasks own trees of others, and each is destroyed once", "[async][task]") {
  const auto both = [](auto& self, counted one, felix::task<int> left, felix::task<int> right) -> felix::task<int> {
    static_cast<void>(self), static_cast<void>(one);
    co_return co_await std::move(left) + co_await std::move(right);
  };
  const auto leaf = [](counted) -> felix::task<int> { co_return 1; };
  int alive = 0;
  {
    auto tree = leaf(counted{alive});
    for (int i = 0; i < 1'000; ++i) tree = both(both, counted{alive}, std::move(tree), leaf(counted{alive}));
    CHECK(alive == 2'001);
  }
  CHECK(alive == 0);
}

TEST_CASE("task: a deep chain of exceptions, caught and thrown anew", "[async][task]") {
  constexpr int depth = deep / 50;
  CHECK_THROWS_WITH(felix::sync_wait(catches_every_second(depth)), std::to_string(depth / 2));
}

static felix::task<int> nested_all(int n) {
  if (n == 0) co_return 0;
  auto [inner, one] = co_await felix::when_all(nested_all(n - 1), number(1));
  co_return inner + one;
}
static felix::task<int> nested_any(int n) {
  if (n == 0) co_return 0;
  co_return 1 + (co_await felix::when_any(nested_any(n - 1), number(-1'000'000))).value;
}
static felix::task<int> nested_timeout(int n) {
  if (n == 0) co_return 0;
  co_return 1 + co_await felix::timeout(1h, nested_timeout(n - 1));
}
static felix::task<int> nested_result(int n) {
  if (n == 0) co_return 0;
  co_return 1 + (co_await felix::as_result(nested_result(n - 1))).value();
}
static felix::task<void> nested_nursery(int n, int& count) {
  if (n == 0) co_return;
  const auto body = [](felix::nursery&, int depth, int& to) -> felix::task<void> {
    ++to;
    co_await nested_nursery(depth - 1, to);
  };
  const auto open = [&](felix::nursery& scope) { return body(scope, n, count); };
  co_await felix::with_nursery(open);
}
/// Suspends at the bottom, so that it ends from the loop.
static felix::task<int> nested_mixed(int n, felix::event& bottom) {
  if (n == 0) {
    co_await bottom;
    co_return 0;
  }
  auto [inner] = co_await felix::when_all(nested_mixed(n - 1, bottom));
  co_return 1 + inner;
}

TEST_CASE("task: scopes within scopes do not grow the stack", "[async][task]") {
  constexpr int depth = deep / 10;
  CHECK(felix::sync_wait(nested_all(deep)) == deep);
  CHECK(felix::sync_wait(nested_any(deep)) == deep);
  CHECK(felix::sync_wait(nested_timeout(depth)) == depth);
  CHECK(felix::sync_wait(nested_result(depth)) == depth);
  felix::simulated_loop loop;
  felix::event bottom;
  int ended = 0;
  loop.spawn(nested_mixed(depth, bottom), [&](felix::result<int> r) { ended = r.value(); });
  bottom.set();
  loop.poll();
  CHECK(ended == depth);
  felix::event never;
  felix::stop_source stop;
  bool cancelled = false;
  loop.spawn(nested_mixed(deep / 100, never), [&](felix::result<int> r) { cancelled = !r; }, stop.get_token());
  stop.request_stop();
  loop.poll();
  CHECK(cancelled);
  int count = 0;
  felix::sync_wait(nested_nursery(deep / 100, count));
  CHECK(count == deep / 100);
}

namespace {

/// What an allocator's copies share.
struct arena_stats {
  std::size_t bytes = 0, allocations = 0;
  std::ptrdiff_t live = 0;
  std::size_t refuse_from = 1'000'000;  // this allocation, and those after it, fail
};

template <class T>
class counting_allocator {
 public:
  using value_type = T;
  explicit counting_allocator(arena_stats& stats) noexcept : stats_{&stats} {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) noexcept
      : stats_{other.stats_} {}  // NOLINT: as the standard's
  [[nodiscard]] T* allocate(std::size_t count) {
    if (stats_->allocations >= stats_->refuse_from) throw std::bad_alloc{};
    ++stats_->allocations;
    stats_->bytes += count * sizeof(T);
    stats_->live += static_cast<std::ptrdiff_t>(count * sizeof(T));
    return std::allocator<T>{}.allocate(count);
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    stats_->live -= static_cast<std::ptrdiff_t>(count * sizeof(T));
    std::allocator<T>{}.deallocate(memory, count);
  }
  friend bool operator==(const counting_allocator&, const counting_allocator&) = default;

 private:
  template <class>
  friend class counting_allocator;
  arena_stats* stats_;
};
using allocator = counting_allocator<std::byte>;

felix::task<int> free_function(std::allocator_arg_t, allocator, int n) { co_return n; }
felix::task<std::string> by_reference(std::allocator_arg_t, const allocator&, std::string text) { co_return text; }
felix::task<void> no_more_parameters(std::allocator_arg_t, allocator) { co_return; }
template <class Allocator>
felix::task<int> any_allocator(std::allocator_arg_t, Allocator, int n) {
  co_return n;
}
felix::task<int> recursive(std::allocator_arg_t, allocator from, int n) {
  if (n == 0) co_return 0;
  co_return 1 + co_await recursive(std::allocator_arg, from, n - 1);
}
felix::task<int> throws_at(std::allocator_arg_t, allocator, bool now) {
  if (now) throw std::logic_error{"in an arena"};
  co_return 1;
}

class widget {
 public:
  explicit widget(int n) noexcept : number_{n} {}
  felix::task<int> member(std::allocator_arg_t, allocator, int n) { co_return n + number_; }
  felix::task<int> constant(std::allocator_arg_t, allocator) const { co_return number_; }
  static felix::task<int> of_class(std::allocator_arg_t, allocator, int n) { co_return n; }

 private:
  int number_;
};

}  // namespace

TEST_CASE("task: its frame comes from an allocator that is passed, and goes back there", "[async][task]") {
  arena_stats stats;
  const allocator from{stats};
  std::size_t expected = 0;
  const auto came_from_there = [&] {
    const bool right = stats.allocations == ++expected && stats.live == 0 && stats.bytes >= 64 * expected;
    return right;
  };
  CHECK(felix::sync_wait(free_function(std::allocator_arg, from, 1)) == 1);
  CHECK(came_from_there());
  CHECK(felix::sync_wait(by_reference(std::allocator_arg, from, std::string(50, 'x'))) == std::string(50, 'x'));
  CHECK(came_from_there());
  felix::sync_wait(no_more_parameters(std::allocator_arg, from));
  CHECK(came_from_there());
  CHECK(felix::sync_wait(any_allocator(std::allocator_arg, from, 2)) == 2);
  CHECK(came_from_there());
  widget tool{10};
  CHECK(felix::sync_wait(tool.member(std::allocator_arg, from, 3)) == 13);
  CHECK(came_from_there());
  CHECK(felix::sync_wait(std::as_const(tool).constant(std::allocator_arg, from)) == 10);
  CHECK(came_from_there());
  CHECK(felix::sync_wait(widget::of_class(std::allocator_arg, from, 4)) == 4);
  CHECK(came_from_there());
  const auto lambda = [](std::allocator_arg_t, allocator, int n) -> felix::task<int> { co_return n; };
  CHECK(felix::sync_wait(lambda(std::allocator_arg, from, 5)) == 5);
  CHECK(came_from_there());
  const auto generic = [](std::allocator_arg_t, auto, auto n) -> felix::task<int> { co_return n; };
  CHECK(felix::sync_wait(generic(std::allocator_arg, from, 6)) == 6);
  CHECK(came_from_there());
  {
    const auto unrun = free_function(std::allocator_arg, from, 7);
    CHECK(stats.live > 0);
  }
  CHECK(came_from_there());
  CHECK_THROWS_WITH(felix::sync_wait(throws_at(std::allocator_arg, from, true)), "in an arena");
  CHECK(came_from_there());
}

TEST_CASE("task: a frame from an allocator is a branch, a loser and a limit's work like any other", "[async][task]") {
  arena_stats stats;
  const allocator from{stats};
  felix::simulated_loop loop;
  const auto sleeps = [](std::allocator_arg_t, allocator, std::chrono::seconds time) -> felix::task<int> {
    co_await felix::sleep_for(time);
    co_return 3;
  };
  auto [a, b] =
      loop.run(felix::when_all(sleeps(std::allocator_arg, from, 1s), free_function(std::allocator_arg, from, 4)));
  CHECK(a + b == 7);
  CHECK(loop.run(felix::when_any(sleeps(std::allocator_arg, from, 2h), sleeps(std::allocator_arg, from, 1s))).index ==
        1);
  CHECK(loop.run(felix::timeout(2s, sleeps(std::allocator_arg, from, 1s))) == 3);
  const auto body = [&](felix::nursery& scope) -> felix::task<void> {
    scope.spawn(sleeps(std::allocator_arg, from, 1s));
    co_return;
  };
  loop.run(felix::with_nursery(body));
  CHECK(loop.run(recursive(std::allocator_arg, from, 1'000)) == 1'000);
  CHECK(stats.allocations == 6 + 1'001);
  CHECK(stats.live == 0);
}

TEST_CASE("task: what an allocator throws reaches the caller", "[async][task]") {
  arena_stats stats;
  stats.refuse_from = 0;
  CHECK_THROWS_AS(static_cast<void>(free_function(std::allocator_arg, allocator{stats}, 1)), std::bad_alloc);
  stats.refuse_from = 10;  // in the middle of a chain: it unwinds, and all goes back
  CHECK_THROWS_AS(felix::sync_wait(recursive(std::allocator_arg, allocator{stats}, 100)), std::bad_alloc);
  CHECK(stats.allocations == 10);
  CHECK(stats.live == 0);
}

TEST_CASE("task: frames from a memory resource", "[async][task]") {
  std::array<std::byte, 4096> buffer{};
  std::pmr::monotonic_buffer_resource arena{buffer.data(), buffer.size(), std::pmr::null_memory_resource()};
  const std::pmr::polymorphic_allocator<> from{&arena};
  const auto inside = [&](const void* address) {
    return address >= buffer.data() && address < buffer.data() + buffer.size();
  };
  auto work = any_allocator(std::allocator_arg, from, 9);
  CHECK(inside(felix::detail::task_access::handle(work).address()));
  CHECK(felix::sync_wait(std::move(work)) == 9);
  const auto until_full = [](std::allocator_arg_t, std::pmr::polymorphic_allocator<>, auto& self,
                             std::pmr::memory_resource* more) -> felix::task<int> {
    co_return 1 + co_await self(std::allocator_arg, std::pmr::polymorphic_allocator<>{more}, self, more);
  };
  CHECK_THROWS_AS(felix::sync_wait(until_full(std::allocator_arg, from, until_full, &arena)), std::bad_alloc);
}

static felix::task<void> take_turns(std::string name, int turns, std::string& log) {
  for (int i = 0; i < turns; ++i) {
    log += name;
    co_await felix::this_task::yield();
  }
}

TEST_CASE("task: yield lets everything else go first that is ready", "[async][task]") {
  felix::simulated_loop loop;
  std::string log;
  loop.run(felix::when_all(take_turns("a", 3, log), take_turns("b", 2, log), take_turns("c", 3, log)));
  CHECK(log == "abcabcac");
}

TEST_CASE("task: yield throws when it comes back to a stop", "[async][task]") {
  felix::simulated_loop loop;
  felix::stop_source stop;
  std::string log;
  int cancelled = 0;
  loop.spawn(take_turns("a", 1'000'000, log), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
  CHECK(loop.poll());  // it would go on for ever, so poll gives up
  CHECK(cancelled == 0);
  const auto turns = log.size();
  CHECK(turns > 1'000);
  stop.request_stop();
  CHECK(cancelled == 0);
  CHECK_FALSE(loop.poll());
  CHECK(cancelled == 1);
  CHECK(log.size() == turns);
}

static foreign yields_in_place(int& passed, bool& alone) {
  co_await felix::this_task::yield();
  ++passed;
  alone = co_await felix::this_task::scheduler() == nullptr;
  alone = alone && !(co_await felix::this_task::stop_token()).stop_possible();
}

TEST_CASE("task: without a loop there is nobody to yield to, and nothing to ask", "[async][task]") {
  int passed = 0;
  bool alone = false;
  yields_in_place(passed, alone);
  CHECK(passed == 1);
  CHECK(alone);
}

static felix::task<felix::stop_token> own_token() { co_return co_await felix::this_task::stop_token(); }

TEST_CASE("task: this_task's token is that of the innermost scope", "[async][task]") {
  const auto body = []() -> felix::task<void> {
    const auto outer = co_await felix::this_task::stop_token();
    CHECK(outer == co_await own_token());
    auto [a, b] = co_await felix::when_all(own_token(), own_token());
    CHECK(a == b);
    CHECK_FALSE(a == outer);
    CHECK(outer == co_await felix::this_task::stop_token());
  };
  felix::sync_wait(body());
}

namespace {

using felix::test::other_thread;

felix::task<std::thread::id> id_on(felix::scheduler& where) {
  co_await where.schedule();
  co_return std::this_thread::get_id();
}
felix::task<std::thread::id> own_id() { co_return std::this_thread::get_id(); }

/// Moves, and looks around there.
felix::task<bool> all_moves_with_it(felix::scheduler& to, std::thread::id there) {
  co_await to.schedule();
  bool right = std::this_thread::get_id() == there && co_await felix::this_task::scheduler() == &to;
  right = right && co_await own_id() == there;
  co_await felix::sleep_for(1us);
  right = right && std::this_thread::get_id() == there;
  co_await felix::this_task::yield();
  right = right && std::this_thread::get_id() == there;
  auto [a, b] = co_await felix::when_all(own_id(), own_id());
  co_return right&& a == there&& b == there&& std::this_thread::get_id() == there;
}
felix::task<bool> stays_at_home(felix::scheduler& to, std::thread::id there) {
  const auto home = std::this_thread::get_id();
  const auto* const loop = co_await felix::this_task::scheduler();
  bool right = co_await all_moves_with_it(to, there) && std::this_thread::get_id() == home;
  right = right && co_await felix::this_task::scheduler() == loop;
  co_await felix::this_task::yield();
  co_return right&& std::this_thread::get_id() == home;
}
felix::task<int> fails_there(felix::scheduler& to) {
  co_await to.schedule();
  throw std::runtime_error{"there"};
}
felix::task<std::vector<std::thread::id>> wanders(std::vector<felix::scheduler*> route) {
  std::vector<std::thread::id> been;
  for (felix::scheduler* const next : route) {
    co_await next->schedule();
    been.push_back(std::this_thread::get_id());
  }
  co_return been;
}

}  // namespace

TEST_CASE("task: schedule moves it and what it awaits, but not its awaiter", "[async][task]") {
  other_thread other;
  for (int round = 0; round < 50; ++round) CHECK(felix::sync_wait(stays_at_home(other.loop(), other.id())));
}

TEST_CASE("task: moved several times, also back, it ends where its awaiter lives", "[async][task]") {
  other_thread a, b;
  const auto body = [](other_thread& first, other_thread& second) -> felix::task<bool> {
    const auto home = std::this_thread::get_id();
    felix::scheduler* const loop = co_await felix::this_task::scheduler();
    const std::vector route{&first.loop(), &second.loop(), &second.loop(), &first.loop(), loop, loop};
    const auto been = co_await wanders(route);
    const bool right = std::this_thread::get_id() == home;
    co_return right&& been == std::vector{first.id(), second.id(), second.id(), first.id(), home, home};
  };
  for (int round = 0; round < 50; ++round) CHECK(felix::sync_wait(body(a, b)));
}

TEST_CASE("task: an exception on another thread is thrown at home", "[async][task]") {
  other_thread other;
  const auto body = [](felix::scheduler& to) -> felix::task<bool> {
    const auto home = std::this_thread::get_id();
    const auto ended = co_await felix::as_result(fails_there(to));
    co_return ended.message() == "there" && std::this_thread::get_id() == home;
  };
  CHECK(felix::sync_wait(body(other.loop())));
  CHECK_THROWS_WITH(felix::sync_wait(fails_there(other.loop())), "there");
}

TEST_CASE("task: schedule throws cancelled once it has arrived, even if it was there before", "[async][task]") {
  other_thread other;
  felix::stop_source stop;
  stop.request_stop();
  const auto body = [](felix::scheduler& to, std::thread::id& arrived) -> felix::task<void> {
    bool cancelled = false;
    try {
      co_await to.schedule();
    } catch (const felix::cancelled&) {
      cancelled = true;
    }
    if (cancelled) arrived = std::this_thread::get_id();
    co_await to.schedule();
  };
  std::thread::id arrived;
  CHECK_THROWS_AS(felix::sync_wait(body(other.loop(), arrived), stop.get_token()), felix::cancelled);
  CHECK(arrived == other.id());
}

TEST_CASE("task: scheduled where it is, it goes on at once", "[async][task]") {
  felix::simulated_loop loop;
  std::string log;
  const auto body = [](felix::simulated_loop& on, std::string& to) -> felix::task<void> {
    co_await on.schedule();
    to += "a";
  };
  loop.spawn(body(loop, log), [&](felix::result<void>) { log += "."; });
  CHECK(log == "a.");
}

TEST_CASE("task: branches that move are joined at home", "[async][task]") {
  other_thread a, b;
  const auto body = [](other_thread& first, other_thread& second) -> felix::task<bool> {
    const auto home = std::this_thread::get_id();
    bool right = true;
    for (int round = 0; round < 50; ++round) {
      auto [x, y, z] = co_await felix::when_all(id_on(first.loop()), own_id(), id_on(second.loop()));
      right = right && x == first.id() && y == home && z == second.id() && std::this_thread::get_id() == home;
      std::thread::id spawned;
      const auto note = [](felix::scheduler& to, std::thread::id& into) -> felix::task<void> {
        into = co_await id_on(to);
        co_await to.schedule();
      };
      const auto spawn_both = [&](felix::nursery& scope) -> felix::task<void> {
        scope.spawn(note(first.loop(), spawned));
        scope.spawn(id_on(second.loop()));
        co_return;
      };
      co_await felix::with_nursery(spawn_both);
      right = right && spawned == first.id() && std::this_thread::get_id() == home;
    }
    co_return right;
  };
  CHECK(felix::sync_wait(body(a, b)));
}

TEST_CASE("task: a branch that fails elsewhere stops those at home, and is rethrown there", "[async][task]") {
  other_thread other;
  const auto body = [](felix::scheduler& to) -> felix::task<bool> {
    const auto home = std::this_thread::get_id();
    const auto ended = co_await felix::as_result(felix::when_all(felix::sleep_for(1h), fails_there(to)));
    co_return ended.message() == "there" && std::this_thread::get_id() == home;
  };
  for (int round = 0; round < 50; ++round) CHECK(felix::sync_wait(body(other.loop())));
}

TEST_CASE("task: a stop from home reaches a task that has moved", "[async][task]") {
  other_thread other;
  const auto sleeps_there = [](felix::scheduler& to, felix::event& arrived) -> felix::task<void> {
    co_await to.schedule();
    arrived.set();
    co_await felix::sleep_for(1h);
  };
  const auto stops = [](felix::event& when, felix::stop_source& what) -> felix::task<void> {
    co_await when;
    what.request_stop();
  };
  for (int round = 0; round < 50; ++round) {
    felix::event arrived;
    felix::stop_source stop;
    std::thread stopper{[&] { felix::sync_wait(stops(arrived, stop)); }};
    CHECK_THROWS_AS(felix::sync_wait(sleeps_there(other.loop(), arrived), stop.get_token()), felix::cancelled);
    stopper.join();
  }
}

static foreign goes_there(felix::scheduler& to, std::thread::id& where, felix::event& done) {
  co_await to.schedule();
  where = co_await own_id();
  done.set();
}

TEST_CASE("task: a coroutine type that is not felix's can move too", "[async][task]") {
  other_thread other;
  std::thread::id where;
  felix::event done;
  goes_there(other.loop(), where, done);
  felix::sync_wait(done);
  CHECK(where == other.id());
}

namespace {

felix::task<int> one_at_once() { co_return 1; }
felix::async_generator<int> three_at_once() {
  for (int i = 1; i <= 3; ++i) co_yield i;
}
/// Whatever does not wait is done when these return, as plain code expects.
foreign add_task(int& sum) { sum += co_await one_at_once(); }
foreign add_all(int& sum) {
  const auto [a, b] = co_await felix::when_all(one_at_once(), one_at_once());
  sum += a + b;
}
foreign add_any(int& sum) {
  const auto first = co_await felix::when_any(one_at_once(), one_at_once());
  sum += first.value;
}
foreign add_generated(int& sum) {
  auto all = three_at_once();
  while (const auto next = co_await all.next()) sum += *next;
}
foreign add_many(int& sum, int times) {
  for (int i = 0; i < times; ++i) {
    const auto [a, b] = co_await felix::when_all(one_at_once(), one_at_once());
    sum += a + b - 1;
  }
}
int computed() {  // a caller that knows nothing of coroutines
  int sum = 0;
  add_task(sum);
  add_all(sum);
  add_any(sum);
  add_generated(sum);
  return sum;
}
felix::task<int> compute_often(int times) {
  int right = 0;
  for (int i = 0; i < times; ++i) right += computed() == 10 ? 1 : 0;
  for (int i = 0; i < 1'000'000; ++i) right += co_await one_at_once();  // and the stack still does not grow
  co_return right;
}

}  // namespace

TEST_CASE("task: a coroutine of another type, resumed inside a task, gets on as far as it can before it returns",
          "[async][task]") {
  CHECK(computed() == 10);
  CHECK(felix::sync_wait(compute_often(1'000)) == 1'001'000);
}

TEST_CASE("task: a coroutine of another type may await in a long loop", "[async][task]") {
  int sum = 0;
  add_many(sum, 1'000);
  CHECK(sum == 1'000);
}

TEST_CASE("task: a coroutine of another type goes on once what it awaits has ended on another thread",
          "[async][task]") {
  felix::test::other_thread other;
  const auto away = [](felix::scheduler& to) -> felix::task<int> {
    co_await to.schedule();
    co_return 1;
  };
  const auto await_away = [](auto work, int& sum, felix::event& done) -> foreign {
    const int came = co_await work();
    sum += came;
    done.set();
  };
  for (int round = 0; round < 300; ++round) {
    int sum = 0;
    felix::event done;
    await_away([&] { return away(other.loop()); }, sum, done);
    felix::sync_wait(done);
    CHECK(sum == 1);
  }
}
