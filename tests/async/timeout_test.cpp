// SPDX-License-Identifier: MIT
#include <felix/async/timeout.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/semaphore.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/thread_pool.hpp>
#include <felix/async/when_all.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/seeds.hpp"

#include <atomic>
#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

using felix::test::foreign;
using felix::test::noted;
using namespace std::chrono_literals;

namespace {

using result_of_int = felix::result<int>;

felix::task<int> after(std::chrono::nanoseconds delay, int n) {
  co_await felix::sleep_for(delay);
  co_return n;
}
felix::task<int> number(int n) { co_return n; }
felix::task<std::unique_ptr<int>> owned(int n) { co_return std::make_unique<int>(n); }
felix::task<int&> refer_to(int& n) { co_return n; }
felix::task<void> wait_for(felix::event& event) { co_await event; }
felix::task<int> fail_after(std::chrono::nanoseconds delay) {
  co_await felix::sleep_for(delay);
  throw std::runtime_error{"failed"};
}
/// Waits on although it was stopped, and gives when that was.
felix::task<std::chrono::nanoseconds> ignores_the_stop(felix::event& until) {
  const auto began = co_await felix::this_task::now();
  std::chrono::nanoseconds stopped_after{-1};
  bool stopped = false;
  try {
    co_await felix::sleep_for(1h);
  } catch (const felix::cancelled&) {
    stopped = true;
  }
  if (stopped) stopped_after = co_await felix::this_task::now() - began;
  until.set();
  co_return stopped_after;
}
felix::task<int> fails_when_stopped() {
  try {
    co_await felix::sleep_for(1h);
  } catch (const felix::cancelled&) {
    throw std::logic_error{"while leaving"};
  }
  co_return 0;
}
felix::task<int> fails_otherwise_when_stopped() {
  try {
    co_await felix::sleep_for(1h);
  } catch (const felix::cancelled&) {
    throw felix::error{felix::errc::protocol, "half an answer"};
  }
  co_return 0;
}
felix::task<void> costs_when_stopped(felix::request_cost cost) {
  try {
    co_await felix::sleep_for(1h);
  } catch (const felix::cancelled&) {
    throw felix::cancelled{"sending", cost};
  }
}

}  // namespace

TEST_CASE("timeout: within the limit it gives the value, and takes no longer", "[async][timeout]") {
  felix::simulated_loop loop;
  CHECK(loop.run(felix::timeout(1s, after(999ms, 7))) == 7);
  CHECK(loop.now() == felix::simulated_loop::start + 999ms);
  loop.run(felix::sleep_for(1h));  // the timer is not in the way any more
  CHECK(loop.now() == felix::simulated_loop::start + 999ms + 1h);
}

TEST_CASE("timeout: over the limit it throws timed_out, once the work has been stopped and has ended",
          "[async][timeout]") {
  felix::simulated_loop loop;
  std::string log;
  const auto body = [](std::string& to) -> felix::task<void> {
    std::string said;
    try {
      co_await felix::timeout(1500ms, noted(felix::sleep_for(1h), "work", to));
    } catch (const felix::timed_out& late) {
      said = late.what();
      to += late.code() == felix::errc::timed_out ? " late" : " wrong code";
    }
    to += ": " + said;
  };
  loop.run(body(log));
  CHECK(log == "(work) late: timeout: not done within 1.5 s");
  CHECK(loop.now() == felix::simulated_loop::start + 1500ms);
}

TEST_CASE("timeout: says its limit as a reader would", "[async][timeout]") {
  felix::simulated_loop loop;
  const auto said = [&](std::chrono::nanoseconds limit) {
    return loop.run(felix::as_result(felix::timeout(limit, after(10h, 0)))).message();
  };
  CHECK(said(20s) == "timeout: not done within 20 s");
  CHECK(said(100s) == "timeout: not done within 100 s");
  CHECK(said(50ms) == "timeout: not done within 0.05 s");
  CHECK(said(1ns) == "timeout: not done within 1e-09 s");
  CHECK(said(0s) == "timeout: not done within 0 s");
}

TEST_CASE("timeout: a limit that is not positive runs out at the first suspension", "[async][timeout]") {
  felix::simulated_loop loop;
  for (const std::chrono::nanoseconds limit : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
    CHECK(loop.run(felix::timeout(limit, number(3))) == 3);  // never suspends
    CHECK_THROWS_AS(loop.run(felix::timeout(limit, after(1ns, 3))), felix::timed_out);
  }
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("timeout: the longest limit is as good as none", "[async][timeout]") {
  felix::simulated_loop loop;
  CHECK(loop.run(felix::timeout(std::chrono::nanoseconds::max(), after(100h, 5))) == 5);
  CHECK(loop.now() == felix::simulated_loop::start + 100h);
}

TEST_CASE("timeout: the longest limit in real time waits for what comes before it", "[async][timeout]") {
  for (int round = 0; round < 20; ++round) {
    felix::event event;
    std::thread setter{[&] { event.set(); }};
    CHECK_NOTHROW(felix::sync_wait(felix::timeout(std::chrono::nanoseconds::max(), event)));
    setter.join();
  }
}

TEST_CASE("timeout: what the work comes to in spite of the stop is given", "[async][timeout]") {
  felix::simulated_loop loop;
  felix::event ended;
  CHECK(loop.run(felix::timeout(2s, ignores_the_stop(ended))) == 2s);  // told to stop when the time was up
  CHECK(ended.is_set());
  CHECK_THROWS_AS(loop.run(felix::timeout(1s, fails_when_stopped())), std::logic_error);
  CHECK_THROWS_WITH(loop.run(felix::timeout(1s, fails_otherwise_when_stopped())), "half an answer");
}

TEST_CASE("timeout: exceptions, move-only values and references pass through", "[async][timeout]") {
  felix::simulated_loop loop;
  CHECK_THROWS_WITH(loop.run(felix::timeout(1s, fail_after(1ms))), "failed");
  CHECK(*loop.run(felix::timeout(1s, owned(6))) == 6);
  int target = 0;
  CHECK(&loop.run(felix::timeout(1s, refer_to(target))) == &target);
  CHECK(loop.now() == felix::simulated_loop::start + 1ms);
}

TEST_CASE("timeout: cancelled that the work throws by itself within the limit stays what it is", "[async][timeout]") {
  const auto gives_up = []() -> felix::task<int> {
    throw felix::cancelled{"giving up"};
    co_return 0;
  };
  felix::simulated_loop loop;
  CHECK_THROWS_AS(loop.run(felix::timeout(1s, gives_up())), felix::cancelled);
}

TEST_CASE("timeout: keeps the cost of what was stopped", "[async][timeout]") {
  felix::simulated_loop loop;
  for (const auto cost : {felix::request_cost::none, felix::request_cost::unknown}) {
    try {
      loop.run(felix::timeout(1s, costs_when_stopped(cost)));
      FAIL("it is not done within its limit");
    } catch (const felix::timed_out& late) {
      CHECK(late.cost() == cost);
    }
  }
}

TEST_CASE("timeout: a stop from outside is cancelled, not timed_out, even when the time is up too",
          "[async][timeout]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{24}));
  const auto order = felix::test::shuffled("wtx", seed);  // w: begin; t: the time is up; x: request a stop
  CAPTURE(seed, order);
  felix::simulated_loop loop{seed};
  felix::event leave;
  felix::stop_source stop;
  std::string ended;
  for (const char step : order) {
    if (step == 'w')
      loop.spawn(
          felix::timeout(1s, wait_for(leave)),
          [&](felix::result<void> r) {
            try {
              r.value();
              ended += "value";
            } catch (const felix::cancelled&) {
              ended += "cancelled";
            } catch (const felix::timed_out&) {
              ended += "timed_out";
            }
          },
          stop.get_token());
    if (step == 't') loop.run(felix::sleep_for(2s));
    if (step == 'x') stop.request_stop();
  }
  if (ended.empty()) loop.run(felix::sleep_for(2s));
  const bool time_was_first = order.find('w') < order.find('t') && order.find('t') < order.find('x');
  CHECK(ended == (time_was_first ? "timed_out" : "cancelled"));
}

TEST_CASE("timeout: a stop that comes while the timed-out work is still leaving wins", "[async][timeout]") {
  felix::simulated_loop loop;
  felix::stop_source stop;
  const auto leaves_slowly = [](felix::stop_source& outer) -> felix::task<void> {
    bool stopped = false;
    try {
      co_await felix::sleep_for(1h);
    } catch (const felix::cancelled&) {
      stopped = true;
    }
    if (stopped) outer.request_stop();
    co_await felix::sleep_for(1s);
  };
  CHECK_THROWS_AS(loop.run(felix::timeout(1s, leaves_slowly(stop)), stop.get_token()), felix::cancelled);
}

TEST_CASE("timeout: work that ends as the time is up gives its value or is late, and nothing else",
          "[async][timeout]") {
  int values = 0, late = 0;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    felix::simulated_loop loop{seed};
    const auto ended = loop.run(felix::as_result(felix::timeout(1s, after(1s, 4))));
    ended ? ++values : ++late;
    if (ended) CHECK(*ended == 4);
    CHECK(loop.now() == felix::simulated_loop::start + 1s);
  }
  // The limit was armed first, so it is first among equals.
  CHECK(values + late == 64);

  // Woken by another coroutine at that instant: both orders occur.
  values = late = 0;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    felix::simulated_loop loop{seed};
    felix::semaphore places{0};
    const auto release_at = [](felix::semaphore& at, std::chrono::milliseconds when) -> felix::task<void> {
      co_await felix::sleep_for(when);
      co_await felix::this_task::yield();
      at.release();
    };
    const auto both = [&](std::chrono::milliseconds when) -> felix::task<bool> {
      auto [in_time, released] =
          co_await felix::when_all(felix::as_result(felix::timeout(5ms, places.acquire())), release_at(places, when));
      co_return in_time.has_value();
    };
    const bool in_time = loop.run(both(5ms));
    in_time ? ++values : ++late;
    CHECK(places.available() == (in_time ? 0U : 1U));  // the permit is held, or it is free: never lost
  }
  CHECK(values + late == 64);
}

TEST_CASE("timeout: nested, the shorter one decides", "[async][timeout]") {
  felix::simulated_loop loop;
  const auto inner = [](std::chrono::nanoseconds limit, std::string& log) -> felix::task<int> {
    std::exception_ptr failure;
    try {
      co_return co_await felix::timeout(limit, after(1h, 0));
    } catch (const felix::timed_out&) {
      log += "inner late";
    } catch (const felix::cancelled&) {
      log += "inner stopped";
      failure = std::current_exception();
    }
    if (failure) std::rethrow_exception(failure);
    co_return 1;
  };
  std::string log;
  CHECK(loop.run(felix::timeout(2s, inner(1s, log))) == 1);
  CHECK(log == "inner late");
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
  log.clear();
  CHECK_THROWS_WITH(loop.run(felix::timeout(1s, inner(2s, log))), "timeout: not done within 1 s");
  CHECK(log == "inner stopped");
  CHECK(loop.now() == felix::simulated_loop::start + 2s);
  log.clear();
  CHECK_THROWS_AS(loop.run(felix::timeout(1s, inner(1s, log))), felix::timed_out);  // the outer was armed first
  CHECK(log == "inner stopped");
}

TEST_CASE("timeout: a coroutine type without a loop names one, and is told so", "[async][timeout]") {
  auto unnamed = felix::timeout(1s, number(1));
  auto wait = std::move(unnamed).operator co_await();
  CHECK_THROWS_AS(wait.await_suspend(std::noop_coroutine()), felix::error);

  felix::simulated_loop loop;
  std::string log;
  const auto in_place = [](felix::simulated_loop& clock, std::string& to) -> foreign {
    try {
      co_await felix::timeout(clock, 2s, noted(felix::sleep_for(1h), "a", to));
    } catch (const felix::timed_out&) {
      to += "late ";
    }
    const int in_time = co_await felix::timeout(clock, 2s, after(1s, 5));
    to += std::to_string(in_time);
  };
  in_place(loop, log);
  loop.run(felix::sleep_for(10s));
  CHECK(log == "(a)late 5");
}

TEST_CASE("timeout: by the clock of a loop on another thread", "[async][timeout]") {
  felix::test::other_thread other;
  for (int round = 0; round < 50; ++round) {
    felix::event never;
    CHECK_THROWS_AS(felix::sync_wait(felix::timeout(other.loop(), round % 2 * 1us, never)), felix::timed_out);
    CHECK(felix::sync_wait(felix::timeout(other.loop(), 1h, number(2))) == 2);
  }
}

TEST_CASE("timeout: by the clock of a pool, what a coroutine without a loop limits runs on the pool",
          "[async][timeout]") {
  felix::thread_pool pool{1};
  felix::event done;
  bool before = false, after_moving = false;
  const auto where = [](felix::thread_pool& on, bool& at_first, bool& then) -> felix::task<void> {
    at_first = on.is_current();
    co_await on.schedule();
    then = on.is_current();
  };
  const auto limited = [](felix::thread_pool& on, felix::task<void> work, felix::event& ended) -> foreign {
    co_await felix::timeout(on, 1h, std::move(work));
    ended.set();
  };
  limited(pool, where(pool, before, after_moving), done);
  felix::sync_wait(done);
  CHECK(before);
  CHECK(after_moving);
}

TEST_CASE("timeout: timer, end of the work and a stop race from three threads, and it ends once", "[async][timeout]") {
  felix::test::other_thread other;
  for (int round = 0; round < 200; ++round) {
    felix::event event;
    felix::stop_source stop;
    std::thread setter{[&] { event.set(); }};
    std::thread stopper{[&] { stop.request_stop(); }};
    int ends = 0;
    try {
      felix::sync_wait(felix::timeout(other.loop(), std::chrono::microseconds{round % 4 * 10}, event),
                       stop.get_token());
      ++ends;
    } catch (const felix::timed_out&) {
      ++ends;
    } catch (const felix::cancelled&) {
      ++ends;
    }
    setter.join();
    stopper.join();
    CHECK(ends == 1);
  }
}

namespace {

class blocks_until {
 public:
  explicit blocks_until(std::atomic<bool>& open) noexcept : open_{&open} {}
  void operator()() const noexcept {
    if (std::this_thread::get_id() != home_) open_->wait(false);  // at home the time was up before it was registered
  }

 private:
  std::atomic<bool>* open_;
  std::thread::id home_ = std::this_thread::get_id();
};
using blocking_callback = std::optional<felix::stop_callback<blocks_until>>;

felix::task<void> ends_when_stopped(blocking_callback& callback, std::atomic<bool>& open, felix::event& almost) {
  const auto token = co_await felix::this_task::stop_token();
  callback.emplace(token, blocks_until{open});
  static_cast<void>(co_await felix::as_result(felix::sleep_for(1h)));
  almost.set();
}
/// Runs once what set `almost` has ended.
felix::task<void> open_after(felix::event& almost, std::atomic<bool>& open, blocking_callback& callback) {
  co_await almost;
  open = true;
  open.notify_all();
  callback.reset();
}

}  // namespace

TEST_CASE("timeout: work that ends while the timer's thread still tells it to stop is handed on by that thread",
          "[async][timeout]") {
  felix::test::other_thread other;
  for (int round = 0; round < 10; ++round) {
    blocking_callback callback;
    std::atomic<bool> open{false};
    felix::event almost;
    felix::sync_wait(felix::when_all(felix::timeout(other.loop(), 100us, ends_when_stopped(callback, open, almost)),
                                     open_after(almost, open, callback)));
    CHECK_FALSE(callback.has_value());
  }
}

TEST_CASE("timeout: work that moved to another thread ends it at home", "[async][timeout]") {
  felix::test::other_thread other;
  const auto away = [](felix::scheduler& to) -> felix::task<std::thread::id> {
    co_await to.schedule();
    co_return std::this_thread::get_id();
  };
  const auto body = [](auto work, felix::test::other_thread& to) -> felix::task<bool> {
    const auto home = std::this_thread::get_id();
    bool right = true;
    for (int round = 0; round < 100; ++round) {
      const auto where = co_await felix::timeout(1h, work(to.loop()));
      right = right && where == to.id() && std::this_thread::get_id() == home;
    }
    co_return right;
  };
  CHECK(felix::sync_wait(body(away, other)));
}
