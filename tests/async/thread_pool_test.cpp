// SPDX-License-Identifier: MIT
#include <felix/async/thread_pool.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/mutex.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/posted_call.hpp>
#include <felix/async/semaphore.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <exception>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

static_assert(!std::is_move_constructible_v<felix::thread_pool>);

namespace {

/// Counts what other threads announce. Unlike std's semaphore it may end as soon as the last one has been heard.
class baton {
 public:
  void release() {
    std::scoped_lock lock{mutex_};
    ++count_;
    changed_.notify_all();
  }
  void acquire(int count = 1) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return count_ >= count; });
    count_ -= count;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

/// Holds one thread of a pool until it is opened, so that a test can say what is posted before anything runs.
class blocker {
 public:
  explicit blocker(felix::thread_pool& pool) {
    pool.post(call_);
    begun_.acquire();
  }
  void open() {
    go_.release();
    ended_.acquire();
  }

 private:
  baton begun_, go_, ended_;
  felix::posted_call call_{[this] {
    begun_.release();
    go_.acquire();
    ended_.release();
  }};
};

const auto ignore = [](felix::result<void>) {};

felix::task<std::thread::id> id_on(felix::thread_pool& pool) {
  co_await pool.schedule();
  co_return std::this_thread::get_id();
}
felix::task<int> fail_on(felix::thread_pool& pool) {
  co_await pool.schedule();
  throw std::runtime_error{"on the pool"};
}
felix::task<std::unique_ptr<int>> seven_on(felix::thread_pool& pool) {
  co_await pool.schedule();
  co_return std::make_unique<int>(7);
}
felix::task<void> sleep_on(felix::thread_pool& pool, std::chrono::nanoseconds duration) {
  co_await pool.schedule();
  co_await felix::sleep_for(duration);
}
felix::task<void> note_after(std::chrono::milliseconds delay, std::string name, std::string& log) {
  co_await felix::sleep_for(delay);
  log += name;
}
felix::task<void> wait_for(felix::event& event) { co_await event; }
felix::task<void> wait_on(felix::thread_pool& pool, felix::event& event) {
  co_await pool.schedule();
  co_await event;
}
felix::task<int> seven() { co_return 7; }

}  // namespace

TEST_CASE("thread pool: 0 threads are an error that says what to pass", "[async][thread_pool]") {
  try {
    felix::thread_pool none{0};
    FAIL("a pool that runs nothing");
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    CHECK_THAT(refused.what(), ContainsSubstring("pass 1 or more"));
  }
  CHECK(felix::thread_pool{}.size() >= 1);
  CHECK(felix::thread_pool{3}.size() == 3);
}

TEST_CASE("thread pool: what is posted runs on its threads, in order, and never inside post", "[async][thread_pool]") {
  std::string log;
  std::thread::id ran_on;
  bool current = false;
  {
    felix::thread_pool pool{1};
    CHECK_FALSE(pool.is_current());
    felix::posted_call a{[&] { log += 'a'; }}, b{[&] { log += 'b'; }}, c{[&] {
      ran_on = std::this_thread::get_id();
      current = pool.is_current();
      pool.post(a);
      log += 'c';
    }};
    {
      blocker hold{pool};
      pool.post(c);
      pool.post(b);
      CHECK(log.empty());
      hold.open();
    }
    sync_wait(pool.sleep_for(0ns));  // fired by the only thread
    baton done;
    felix::posted_call last{[&] { done.release(); }};
    pool.post(last);
    done.acquire();
    CHECK(log == "cba");
  }
  CHECK(ran_on != std::thread::id{});
  CHECK(ran_on != std::this_thread::get_id());
  CHECK(current);
}

TEST_CASE("thread pool: a yield lets the others go first", "[async][thread_pool]") {
  std::string log;
  const auto twice = [](std::string name, std::string& into) -> felix::task<void> {
    into += name;
    co_await felix::this_task::yield();
    into += name;
  };
  {
    felix::thread_pool pool{1};
    baton ended;
    blocker hold{pool};
    for (const char* name : {"a", "b", "c"})
      pool.spawn(twice(name, log), [&](felix::result<void>) { ended.release(); });
    CHECK(log.empty());
    hold.open();
    ended.acquire(3);
  }
  CHECK(log == "abcabc");
}

TEST_CASE("thread pool: nothing that many threads post is lost, and each runs once", "[async][thread_pool]") {
  constexpr std::size_t posters = 4, each = 2'000;
  std::vector<std::atomic<int>> runs(posters * each);
  std::deque<felix::posted_call> calls;
  for (auto& count : runs) calls.emplace_back([&count] { count.fetch_add(1); });
  {
    felix::thread_pool pool{3};
    std::vector<std::thread> threads;
    for (std::size_t p = 0; p < posters; ++p) {
      threads.emplace_back([&, p] {
        for (std::size_t i = 0; i < each; ++i) pool.post(calls[p * each + i]);
      });
    }
    for (auto& thread : threads) thread.join();
  }
  std::size_t once = 0;
  for (auto& count : runs) once += count.load() == 1 ? 1U : 0U;
  CHECK(once == runs.size());
}

TEST_CASE("thread pool: as many items run at once as there are threads", "[async][thread_pool]") {
  // Each waits for all the others, so a wake-up that is not passed on would leave them waiting for ever.
  constexpr int threads = 5;
  felix::thread_pool pool{threads};
  for (int round = 0; round < 50; ++round) {
    std::latch all_there{threads};
    baton done;
    std::deque<felix::posted_call> calls;
    for (int i = 0; i < threads; ++i) {
      calls.emplace_back([&] {
        all_there.arrive_and_wait();
        done.release();
      });
    }
    felix::posted_call from_inside{[&] {
      for (auto& call : calls) pool.post(call);
      done.release();
    }};
    if (round % 2 == 0) {
      for (auto& call : calls) pool.post(call);
      done.acquire(threads);
    } else {
      pool.post(from_inside);
      done.acquire(threads + 1);
    }
  }
}

TEST_CASE("thread pool: a task moves there and back, and its awaiter is not moved", "[async][thread_pool]") {
  const auto there_and_back = [](felix::thread_pool& pool, std::vector<std::thread::id>& seen) -> felix::task<void> {
    felix::scheduler& home = *co_await felix::this_task::scheduler();
    for (int i = 0; i < 3; ++i) {
      co_await pool.schedule();
      CHECK(co_await felix::this_task::scheduler() == &pool);
      CHECK(pool.is_current());
      seen.push_back(std::this_thread::get_id());
      co_await home.schedule();
      CHECK(co_await felix::this_task::scheduler() == &home);
      seen.push_back(std::this_thread::get_id());
    }
    co_await pool.schedule();  // ends there
  };
  const auto awaiter = [&](felix::thread_pool& pool, std::vector<std::thread::id>& seen) -> felix::task<void> {
    felix::scheduler* const home = co_await felix::this_task::scheduler();
    co_await there_and_back(pool, seen);
    CHECK(co_await felix::this_task::scheduler() == home);
    seen.push_back(std::this_thread::get_id());
    const auto inner = co_await id_on(pool);
    CHECK(inner != std::this_thread::get_id());
  };
  felix::thread_pool pool{1};
  std::vector<std::thread::id> seen;
  felix::sync_wait(awaiter(pool, seen));
  REQUIRE(seen.size() == 7);
  const auto here = std::this_thread::get_id();
  for (std::size_t i = 0; i < seen.size(); ++i) CHECK((seen[i] == here) == (i % 2 == 1 || i == 6));
}

TEST_CASE("thread pool: what a task awaits there lives there too", "[async][thread_pool]") {
  const auto outer = [](felix::thread_pool& pool) -> felix::task<bool> {
    co_await pool.schedule();
    const auto inner = [](felix::thread_pool& on) -> felix::task<bool> {
      const bool inherited = co_await felix::this_task::scheduler() == &on;
      co_await on.schedule();  // it is there
      co_await felix::this_task::yield();
      co_return inherited&& on.is_current();
    };
    co_return co_await inner(pool) && pool.is_current();
  };
  felix::thread_pool pool{2};
  CHECK(felix::sync_wait(outer(pool)));
}

TEST_CASE("thread pool: exceptions and move-only results come home", "[async][thread_pool]") {
  felix::thread_pool pool{2};
  CHECK_THROWS_WITH(felix::sync_wait(fail_on(pool)), "on the pool");
  CHECK(*felix::sync_wait(seven_on(pool)) == 7);
  CHECK(felix::sync_wait(id_on(pool)) != std::this_thread::get_id());
}

TEST_CASE("thread pool: a task hops between two pools", "[async][thread_pool]") {
  const auto hop = [](felix::thread_pool& a, felix::thread_pool& b) -> felix::task<int> {
    int right = 0;
    for (int i = 0; i < 200; ++i) {
      co_await a.schedule();
      right += a.is_current() && !b.is_current() ? 1 : 0;
      co_await b.schedule();
      right += b.is_current() && !a.is_current() ? 1 : 0;
    }
    co_return right;
  };
  felix::thread_pool a{1}, b{2};
  CHECK(felix::sync_wait(hop(a, b)) == 400);
}

TEST_CASE("thread pool: a stop before, while and after", "[async][thread_pool]") {
  felix::thread_pool pool{2};
  felix::stop_source stop;
  SECTION("before it comes: cancelled as soon as it has arrived") {
    stop.request_stop();
    CHECK_THROWS_AS(felix::sync_wait(seven_on(pool), stop.get_token()), felix::cancelled);
  }
  SECTION("while it sleeps there") {
    const auto sleeper = [](felix::thread_pool& on, baton& begun) -> felix::task<void> {
      co_await on.schedule();
      begun.release();
      co_await felix::sleep_for(24h);
    };
    baton begun;
    std::thread stopper{[&] {
      begun.acquire();
      stop.request_stop();
    }};
    CHECK_THROWS_AS(felix::sync_wait(sleeper(pool, begun), stop.get_token()), felix::cancelled);
    stopper.join();
  }
  SECTION("after it has ended") {
    CHECK(*felix::sync_wait(seven_on(pool), stop.get_token()) == 7);
    CHECK(stop.request_stop());
  }
}

TEST_CASE("thread pool: a stop races with a timer, and the sleep ends once", "[async][thread_pool]") {
  felix::thread_pool pool{2};
  int slept = 0, cancelled = 0;
  for (int round = 0; round < 300; ++round) {
    felix::stop_source stop;
    std::thread stopper{[&] { stop.request_stop(); }};
    try {
      felix::sync_wait(sleep_on(pool, std::chrono::microseconds{round % 100}), stop.get_token());
      ++slept;
    } catch (const felix::cancelled&) {
      ++cancelled;
    }
    stopper.join();
  }
  CHECK(slept + cancelled == 300);
}

TEST_CASE("thread pool: with one thread, timers fire in the order of their deadlines", "[async][thread_pool]") {
  const auto all = [](felix::thread_pool& pool, std::string& log) -> felix::task<void> {
    co_await pool.schedule();  // all are armed before the thread looks at the first
    co_await felix::when_all(note_after(3ms, "c", log), note_after(1ms, "a", log), note_after(2ms, "b", log),
                             note_after(-1ms, "0", log));
  };
  felix::thread_pool pool{1};
  std::string log;
  felix::sync_wait(all(pool, log));
  CHECK(log == "0abc");
}

TEST_CASE("thread pool: an earlier timer from elsewhere wakes a thread that waits for a later one",
          "[async][thread_pool]") {
  const auto threads = GENERATE(std::size_t{1}, std::size_t{3});
  felix::thread_pool pool{threads};
  felix::stop_source stop;
  baton ended;
  std::atomic<bool> was_cancelled{false};
  pool.spawn(
      felix::sleep_for(24h),
      [&](felix::result<void> slept) {
        was_cancelled = !slept;
        ended.release();
      },
      stop.get_token());
  for (int i = 0; i < 20; ++i) felix::sync_wait(pool.sleep_for(1ms));  // armed by this thread, would come tomorrow
  CHECK_FALSE(was_cancelled);
  stop.request_stop();
  ended.acquire();
  CHECK(was_cancelled);
}

TEST_CASE("thread pool: a busy thread does not hold up the timers of the others", "[async][thread_pool]") {
  felix::thread_pool pool{2};
  baton fired, ended;
  const auto fire = [&](felix::result<void>) { fired.release(); };
  felix::posted_call busy{[&] {
    fired.acquire();
    ended.release();
  }};
  SECTION("armed by the one that is busy") {
    felix::posted_call arm_and_wait{[&] {
      struct detached {
        struct promise_type {
          promise_type() noexcept = default;
          detached get_return_object() noexcept { return {}; }
          std::suspend_never initial_suspend() const noexcept { return {}; }
          std::suspend_never final_suspend() const noexcept { return {}; }
          void return_void() const noexcept {}
          void unhandled_exception() const noexcept { std::terminate(); }
        };
      };
      const auto sleep = [](felix::thread_pool& on, baton& then) -> detached {
        co_await on.sleep_for(1ms);
        then.release();
      };
      for (int round = 0; round < 20; ++round) {
        sleep(pool, fired);
        fired.acquire();
      }
      ended.release();
    }};
    pool.post(arm_and_wait);
    ended.acquire();
  }
  SECTION("the one that waited for the deadline gets other work") {
    for (int round = 0; round < 20; ++round) {
      pool.spawn(felix::sleep_for(2ms), fire);
      pool.post(busy);
      ended.acquire();
    }
  }
  SECTION("a time limit runs a stop callback that takes its time, and posts nothing to the pool") {
    struct wait_until {
      baton& released;
      void operator()() const noexcept { released.acquire(); }
    };
    using callback = std::optional<felix::stop_callback<wait_until>>;
    const auto put = [](callback& into, felix::stop_token token, baton& released) -> felix::task<void> {
      into.emplace(token, wait_until{released});
      co_return;
    };
    const auto limited = [&](baton& released) -> felix::task<void> {
      const felix::stop_token token = co_await felix::this_task::stop_token();
      callback runs_first;  // the latest to come is the first to be called
      co_await felix::when_all(felix::sleep_for(24h), put(runs_first, token, released));
    };
    pool.spawn(felix::sleep_for(5ms), fire);
    CHECK_THROWS_AS(felix::sync_wait(felix::timeout(pool, 1ms, limited(fired))), felix::timed_out);
  }
  SECTION("all are busy, and look at the clock between two items") {
    felix::thread_pool one{1};
    std::atomic<bool> over{false};
    one.spawn(felix::sleep_for(2ms), [&](felix::result<void>) { over = true; });
    const auto spin = [](std::atomic<bool>& until) -> felix::task<void> {
      while (!until) co_await felix::this_task::yield();
    };
    one.spawn(spin(over), fire);
    fired.acquire();
    CHECK(over);
  }
}

TEST_CASE("thread pool: a thousand timers on several threads, half of them stopped", "[async][thread_pool]") {
  std::atomic<int> fired{0}, cancelled{0};
  baton ended;
  felix::stop_source stop;
  felix::thread_pool pool{4};
  for (int i = 0; i < 1000; ++i) {
    const bool stopped = i % 2 == 0;
    pool.spawn(
        felix::sleep_for(stopped ? std::chrono::nanoseconds{24h} : std::chrono::microseconds{i * 7919 % 5000}),
        [&](felix::result<void> slept) {
          (slept ? fired : cancelled).fetch_add(1);
          ended.release();
        },
        stopped ? stop.get_token() : felix::stop_token{});
  }
  stop.request_stop();
  ended.acquire(1000);
  CHECK(fired == 500);
  CHECK(cancelled == 500);
}

TEST_CASE("thread pool: a counter guarded by a mutex stays exact", "[async][thread_pool]") {
  constexpr int tasks = 20, times = 100;
  const auto count = [](felix::thread_pool& pool, felix::mutex& mutex, int& counter) -> felix::task<void> {
    co_await pool.schedule();
    for (int i = 0; i < times; ++i) {
      auto lock = co_await mutex.lock();
      const int seen = counter;
      if (i % 3 == 0) co_await felix::this_task::yield();
      counter = seen + 1;
    }
  };
  felix::thread_pool pool{4};
  felix::mutex mutex;
  int counter = 0;
  std::vector<felix::task<void>> all;
  for (int i = 0; i < tasks; ++i) all.push_back(count(pool, mutex, counter));
  felix::sync_wait(felix::when_all(std::move(all)));
  CHECK(counter == tasks * times);
}

TEST_CASE("thread pool: a semaphore and an event across its threads", "[async][thread_pool]") {
  struct shared {
    felix::semaphore permits{2};
    felix::event start, full;
    std::atomic<int> inside{0}, most{0}, passed{0};
  };
  const auto enter = [](felix::thread_pool& pool, shared& s) -> felix::task<void> {
    co_await pool.schedule();
    co_await s.start;
    for (int i = 0; i < 20; ++i) {
      co_await s.permits.acquire();
      const int now_inside = s.inside.fetch_add(1) + 1;
      int seen = s.most.load();
      while (seen < now_inside && !s.most.compare_exchange_weak(seen, now_inside)) {}
      co_await felix::this_task::yield();
      s.inside.fetch_sub(1);
      s.permits.release();
    }
    if (s.passed.fetch_add(1) + 1 == 30) s.full.set();
  };
  const auto start = [](felix::thread_pool& pool, shared& s) -> felix::task<void> {
    co_await pool.schedule();
    s.start.set();
    co_await s.full;
  };
  felix::thread_pool pool{4};
  shared s;
  std::vector<felix::task<void>> all;
  for (int i = 0; i < 30; ++i) all.push_back(enter(pool, s));
  all.push_back(start(pool, s));
  felix::sync_wait(felix::when_all(std::move(all)));
  CHECK(s.passed == 30);
  CHECK(s.inside == 0);
  CHECK(s.most <= 2);
}

TEST_CASE("thread pool: when_all joins branches from different threads", "[async][thread_pool]") {
  const auto square = [](felix::thread_pool& pool, int n) -> felix::task<int> {
    co_await pool.schedule();
    if (n % 2 == 0) co_await felix::this_task::yield();
    co_return n* n;
  };
  const auto squares = [&](felix::thread_pool& pool, bool from_pool) -> felix::task<int> {
    if (from_pool) co_await pool.schedule();
    std::vector<felix::task<int>> all;
    for (int i = 0; i < 100; ++i) all.push_back(square(pool, i));
    int sum = 0;
    for (const int each : co_await felix::when_all(std::move(all))) sum += each;
    co_return sum;
  };
  felix::thread_pool pool{4};
  for (int round = 0; round < 20; ++round) {
    CHECK(felix::sync_wait(squares(pool, false)) == 328'350);
    CHECK(felix::sync_wait(squares(pool, true)) == 328'350);
  }
}

TEST_CASE("thread pool: the first failure of a when_all stops the branches on other threads", "[async][thread_pool]") {
  felix::thread_pool pool{3};
  for (int round = 0; round < 50; ++round) {
    CHECK_THROWS_WITH(felix::sync_wait(felix::when_all(sleep_on(pool, 24h), fail_on(pool), sleep_on(pool, 24h))),
                      "on the pool");
  }
}

TEST_CASE("thread pool: when_any has one winner, and the losers are joined", "[async][thread_pool]") {
  const auto race = [](felix::thread_pool& pool, bool from_pool) -> felix::task<std::size_t> {
    if (from_pool) co_await pool.schedule();
    felix::event never;  // asserts at its end that the loser has left it
    std::vector<felix::task<void>> all;
    all.push_back(wait_on(pool, never));
    all.push_back(sleep_on(pool, 24h));
    for (int i = 0; i < 4; ++i) all.push_back(sleep_on(pool, std::chrono::nanoseconds{i}));
    auto first = co_await felix::when_any(std::move(all));
    co_return first.index;
  };
  felix::thread_pool pool{4};
  for (int round = 0; round < 50; ++round) CHECK(felix::sync_wait(race(pool, round % 2 == 0)) >= 2);
}

TEST_CASE("thread pool: a nursery on it joins what its tasks spawn from different threads", "[async][thread_pool]") {
  const auto grow = [](auto& self, felix::nursery& into, std::atomic<int>& count, int depth) -> felix::task<void> {
    co_await felix::this_task::yield();
    count.fetch_add(1);
    if (depth == 0) co_return;
    into.spawn(self(self, into, count, depth - 1));
    into.spawn(self(self, into, count, depth - 1));
  };
  const auto plant = [&](felix::thread_pool& pool, std::atomic<int>& count) -> felix::task<void> {
    co_await pool.schedule();
    const auto body = [&](felix::nursery& into) -> felix::task<void> {
      into.spawn(grow(grow, into, count, 7));
      co_return;
    };
    co_await felix::with_nursery(body);
  };
  felix::thread_pool pool{4};
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> count{0};
    felix::sync_wait(plant(pool, count));
    CHECK(count == 255);
  }
}

TEST_CASE("thread pool: a time limit runs on its clock", "[async][thread_pool]") {
  const auto limited = [](felix::thread_pool& pool, std::chrono::nanoseconds limit,
                          std::chrono::nanoseconds work) -> felix::task<void> {
    co_await pool.schedule();
    co_await felix::timeout(limit, sleep_on(pool, work));
  };
  felix::thread_pool pool{3};
  CHECK_THROWS_AS(felix::sync_wait(limited(pool, 1ms, 24h)), felix::timed_out);
  CHECK_NOTHROW(felix::sync_wait(limited(pool, 24h, 1ms)));
  for (int round = 0; round < 200; ++round) {  // the limit and the work end at the same time, on two threads
    try {
      felix::sync_wait(limited(pool, 30us, 30us));
    } catch (const felix::timed_out&) {}
  }
}

TEST_CASE("thread pool: the destructor runs everything that was posted, and what that posts", "[async][thread_pool]") {
  const auto threads = GENERATE(std::size_t{1}, std::size_t{3});
  std::atomic<int> runs{0};
  std::deque<felix::posted_call> calls, more;
  std::unique_ptr<felix::thread_pool> pool = std::make_unique<felix::thread_pool>(threads);
  for (int i = 0; i < 1000; ++i) {
    more.emplace_back([&] { runs.fetch_add(1); });
    calls.emplace_back([&, i, on = pool.get()] {
      runs.fetch_add(1);
      on->post(more[static_cast<std::size_t>(i)]);
    });
  }
  {
    blocker hold{*pool};
    for (auto& call : calls) pool->post(call);
    hold.open();
    pool.reset();
  }
  CHECK(runs == 2000);
}

TEST_CASE("thread pool: a task that goes on posting itself while the pool ends is run to its end",
          "[async][thread_pool]") {
  const auto long_one = [](int& turns) -> felix::task<void> {
    for (; turns < 1000; ++turns) {
      static_cast<void>(co_await felix::as_result(felix::this_task::yield()));  // even if it is stopped
    }
  };
  const auto threads = GENERATE(std::size_t{1}, std::size_t{4});
  for (int round = 0; round < 20; ++round) {
    int turns = 0;
    bool done = false;
    {
      felix::thread_pool pool{threads};
      pool.spawn(long_one(turns), [&](felix::result<void>) { done = true; });
    }
    CHECK(turns == 1000);
    CHECK(done);
  }
}

TEST_CASE("thread pool: it can be destroyed as soon as its last task has ended", "[async][thread_pool]") {
  for (int round = 0; round < 200; ++round) {
    auto pool = std::make_unique<felix::thread_pool>(std::size_t{2});
    felix::sync_wait(id_on(*pool));
    pool.reset();
  }
}

TEST_CASE("thread pool: it can be destroyed while the thread that posted last is still in post",
          "[async][thread_pool]") {
  for (int round = 0; round < 200; ++round) {
    auto pool = std::make_unique<felix::thread_pool>(std::size_t{2});
    baton ran;
    felix::posted_call last{[&] { ran.release(); }};
    felix::event set;
    std::thread poster{[&, on = pool.get()] {
      if (round % 2 == 0) {
        on->post(last);
      } else {
        set.set();
      }
    }};
    round % 2 == 0 ? ran.acquire() : felix::sync_wait(wait_on(*pool, set));
    pool.reset();
    poster.join();
  }
}

TEST_CASE("thread pool: spawned tasks run on it and tell their outcome there", "[async][thread_pool]") {
  felix::thread_pool pool{2};
  baton done;
  std::string outcome;
  const auto tell = [&](auto got) {
    outcome = !pool.is_current() ? "elsewhere" : got ? "value" : "failure";
    done.release();
  };
  SECTION("a value") {
    pool.spawn(seven(), tell);
    done.acquire();
    CHECK(outcome == "value");
  }
  SECTION("a failure") {
    pool.spawn(fail_on(pool), tell);
    done.acquire();
    CHECK(outcome == "failure");
  }
  SECTION("a stop by its token, while it waits") {
    felix::stop_source stop;
    felix::event never;
    pool.spawn(wait_for(never), tell, stop.get_token());
    stop.request_stop();
    done.acquire();
    CHECK(outcome == "failure");
  }
}

TEST_CASE("thread pool: shut_down stops and joins what was spawned, and the pool can be used again",
          "[async][thread_pool]") {
  felix::thread_pool pool{2};
  for (int round = 0; round < 20; ++round) {
    felix::event never;
    std::atomic<int> cancelled{0};
    const auto note = [&](felix::result<void> got) { cancelled.fetch_add(got ? 0 : 1); };
    pool.spawn(wait_for(never), note);
    pool.spawn(felix::sleep_for(24h), note);
    pool.spawn(felix::when_all(sleep_on(pool, 24h), wait_for(never)),
               [&](auto got) { cancelled.fetch_add(got ? 0 : 1); });
    pool.shut_down();
    CHECK(cancelled == 3);
    CHECK(*felix::sync_wait(seven_on(pool)) == 7);
    baton slept;
    pool.spawn(felix::sleep_for(1ns), [&](felix::result<void> got) {
      note(std::move(got));
      slept.release();
    });
    slept.acquire();
    CHECK(cancelled == 3);
  }
}

TEST_CASE("thread pool: a task that is spawned while it shuts down is stopped too", "[async][thread_pool]") {
  const auto spawner = [](felix::thread_pool& pool, std::atomic<int>& ended) -> felix::task<void> {
    static_cast<void>(co_await felix::as_result(felix::sleep_for(24h)));  // until the shut_down
    pool.spawn(felix::sleep_for(24h), [&](felix::result<void> slept) { ended.fetch_add(slept ? 0 : 1); });
  };
  std::atomic<int> ended{0};
  felix::thread_pool pool{2};
  pool.spawn(spawner(pool, ended), ignore);
  pool.shut_down();
  CHECK(ended == 1);
}

TEST_CASE("thread pool: the destructor stops and joins what was spawned", "[async][thread_pool]") {
  felix::event never;  // asserts at its end that nobody waits
  std::atomic<int> cancelled{0};
  const auto note = [&](felix::result<void> got) { cancelled.fetch_add(got ? 0 : 1); };
  {
    felix::thread_pool pool{2};
    for (int i = 0; i < 10; ++i) {
      pool.spawn(wait_for(never), note);
      pool.spawn(felix::sleep_for(24h), note);
    }
  }
  CHECK(cancelled == 20);
}

TEST_CASE("thread pool: what still sleeps on its clock when it is destroyed wakes with cancelled",
          "[async][thread_pool]") {
  felix::basic_event_loop<felix::detail::thread_reactor, felix::steady_clock_source> loop;
  felix::event never;
  int cancelled = 0;
  const auto note = [&](felix::result<void> got) {
    if (!got) CHECK_THROWS_AS(got.value(), felix::cancelled);
    cancelled += got ? 0 : 1;
  };
  const auto limited = [](felix::thread_pool& pool, felix::event& event) -> felix::task<void> {
    co_await pool.schedule();
    co_await felix::timeout(24h, wait_for(event));
  };
  const auto sleeps_again = [](felix::thread_pool& pool) -> felix::task<void> {
    co_await pool.schedule();
    static_cast<void>(co_await felix::as_result(felix::sleep_for(24h)));
    co_await felix::sleep_for(24h);  // begins when the pool ends
  };
  {
    felix::thread_pool pool{2};
    loop.spawn(sleep_on(pool, 24h), note);
    loop.spawn(pool.sleep_for(24h), note);
    loop.spawn(limited(pool, never), note);
    loop.spawn(sleeps_again(pool), note);
  }
  loop.poll();
  CHECK(cancelled == 4);
}

TEST_CASE("thread pool: what would block one of its threads, or a loop, for ever is refused", "[async][thread_pool]") {
  const auto wrong = [](felix::thread_pool& pool, bool there) -> felix::task<void> {
    if (there) co_await pool.schedule();
    CHECK_THROWS_AS(pool.shut_down(), felix::deadlock_error);
    CHECK_THROWS_AS(felix::sync_wait(seven()), felix::deadlock_error);
  };
  felix::thread_pool pool{1};
  felix::sync_wait(wrong(pool, true));
  felix::sync_wait(wrong(pool, false));
}
