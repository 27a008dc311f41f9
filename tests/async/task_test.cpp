// SPDX-License-Identifier: MIT
#include <felix/async/task.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <string>

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
