// SPDX-License-Identifier: MIT
#include <felix/async/basic_event_loop.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/posted_call.hpp>
#include <felix/async/semaphore.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

felix::task<void> note_after(std::chrono::milliseconds delay, std::string name, std::string& log) {
  co_await felix::sleep_for(delay);
  log += name;
}
felix::task<void> wait_for(felix::event& event) { co_await event; }
felix::task<int> seven() { co_return 7; }
felix::task<int> nested(felix::simulated_loop& loop) { co_return loop.run(seven()); }

/// Its wake() returns late: not before the loop that it woke is being destroyed.
struct late_waker {
  std::atomic<bool> asleep{false}, woken{false}, loop_ends{false}, left{false};

  class reactor {
   public:
    explicit reactor(late_waker& shared) noexcept : shared_{shared} {}
    void wait(std::optional<std::chrono::nanoseconds>) {
      shared_.asleep = true;
      shared_.asleep.notify_one();
      shared_.woken.wait(false);
    }
    void poll() const noexcept {}
    void wake() noexcept {
      shared_.woken = true;
      shared_.woken.notify_one();
      shared_.loop_ends.wait(false);
      for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
      shared_.left = true;
    }

   private:
    late_waker& shared_;
  };
};

}  // namespace

TEST_CASE("event loop: timers fire in the order of their deadlines, and in the order of arming among equals",
          "[async][loop]") {
  felix::simulated_loop loop;
  std::string log;
  const auto ignore = [](felix::result<void>) {};
  for (const auto& [delay, name] :
       {std::pair{30ms, "c"}, {10ms, "a"}, {20ms, "b"}, {20ms, "B"}, {0ms, "0"}, {20ms, "β"}})
    loop.spawn(note_after(delay, name, log), ignore);
  loop.run(felix::sleep_for(1s));
  CHECK(log == "0abBβc");
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
}

TEST_CASE("event loop: ten thousand timers, half of them stopped, keep their order", "[async][loop]") {
  felix::simulated_loop loop;
  felix::stop_source stop;
  std::vector<int> fired;
  int cancelled = 0;
  const auto note = [](felix::simulated_loop& on, int at, std::vector<int>& into) -> felix::task<void> {
    co_await on.sleep_for(std::chrono::milliseconds{at});
    into.push_back(at);
  };
  for (int i = 0; i < 10'000; ++i) {
    const int at = (i * 7919) % 10'007;
    loop.spawn(
        note(loop, at, fired), [&](felix::result<void> r) { cancelled += !r; },
        i % 2 == 0 ? stop.get_token() : felix::stop_token{});
  }
  stop.request_stop();
  loop.run(felix::sleep_for(20s));
  CHECK(cancelled == 5'000);
  CHECK(fired.size() == 5'000);
  CHECK(std::is_sorted(fired.begin(), fired.end()));
}

TEST_CASE("event loop: run inside a running loop is refused", "[async][loop]") {
  felix::simulated_loop loop;
  CHECK_THROWS_AS(loop.run(nested(loop)), felix::deadlock_error);
}

TEST_CASE("event loop: poll never blocks, and says nothing is done when nothing is", "[async][loop]") {
  felix::basic_event_loop<felix::detail::thread_reactor, felix::steady_clock_source> loop;
  felix::event event;
  bool ended = false;
  loop.spawn(wait_for(event), [&](felix::result<void>) { ended = true; });
  loop.poll();
  CHECK_FALSE(ended);
  event.set();
  loop.poll();
  CHECK(ended);
}

TEST_CASE("event loop: shut_down stops and joins what was spawned", "[async][loop]") {
  felix::basic_event_loop<felix::detail::thread_reactor, felix::steady_clock_source> loop;
  felix::event never;
  int cancelled = 0;
  const auto count = [&](felix::result<void> r) { cancelled += !r; };
  loop.spawn(wait_for(never), count);
  loop.spawn(felix::sleep_for(1h), count);
  loop.shut_down();
  CHECK(cancelled == 2);
}

TEST_CASE("event loop: a spawned task's own token stops it alone", "[async][loop]") {
  felix::simulated_loop loop;
  felix::event event;
  felix::stop_source stop;
  int passed = 0, cancelled = 0;
  const auto count = [&](felix::result<void> r) { (r ? passed : cancelled) += 1; };
  loop.spawn(wait_for(event), count, stop.get_token());
  loop.spawn(wait_for(event), count);
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
  event.set();
  loop.poll();
  CHECK(passed == 1);
}

TEST_CASE("event loop: posts from many threads all run, on the loop", "[async][loop]") {
  felix::basic_event_loop<felix::detail::thread_reactor, felix::steady_clock_source> loop;
  constexpr int threads = 4, each = 2'000;
  std::atomic<int> ran{0};
  std::vector<std::unique_ptr<felix::posted_call>> items;
  for (int i = 0; i < threads * each; ++i) items.push_back(std::make_unique<felix::posted_call>([&ran] { ++ran; }));
  std::vector<std::thread> posters;
  for (int t = 0; t < threads; ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) loop.post(*items[static_cast<std::size_t>(t * each + i)]);
    });
  }
  const auto until_all_ran = [](std::atomic<int>& count, int all) -> felix::task<void> {
    while (count.load() < all) co_await felix::sleep_for(1ms);
  };
  loop.run(until_all_ran(ran, threads * each));
  for (auto& poster : posters) poster.join();
  CHECK(ran == threads * each);
}

TEST_CASE("event loop: its end waits for a thread that is still inside the wake-up of a post", "[async][loop]") {
  late_waker waker;
  felix::event event;
  std::optional<felix::basic_event_loop<late_waker::reactor, felix::steady_clock_source>> loop{std::in_place,
                                                                                               std::in_place, waker};
  std::thread setter{[&] {
    waker.asleep.wait(false);
    event.set();
  }};
  loop->run(event);
  waker.loop_ends = true;
  waker.loop_ends.notify_one();
  loop.reset();
  CHECK(waker.left.load());
  setter.join();
}

TEST_CASE("event loop: can be used again after shut_down", "[async][loop]") {
  felix::simulated_loop loop;
  int cancelled = 0;
  loop.spawn(felix::sleep_for(1h), [&](felix::result<void> r) { cancelled += !r; });
  loop.shut_down();
  CHECK(cancelled == 1);
  loop.run(felix::sleep_for(1s));
  CHECK(loop.now() == felix::simulated_loop::start + 1s);
}

namespace {

using real_loop = felix::basic_event_loop<felix::detail::thread_reactor, felix::steady_clock_source>;

felix::task<void> acquires(felix::semaphore& places) { co_await places.acquire(); }
felix::task<void> yields_for_ever() {
  for (;;) co_await felix::this_task::yield();
}
felix::task<bool> shuts_down(felix::simulated_loop& loop) {
  try {
    loop.shut_down();
  } catch (const felix::deadlock_error&) {
    co_return true;
  }
  co_return false;
}
felix::task<void> waits_in_a_nursery(felix::event& on) {
  auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(felix::sleep_for(1h));
    n.spawn(on);
    co_return;
  };
  co_await felix::with_nursery(body);
}

}  // namespace

TEST_CASE("event loop: shut_down ends work wherever it waits, and calls each on_done", "[async][loop]") {
  felix::event never;
  felix::semaphore places{0};
  real_loop loop;
  for (int round = 0; round < 3; ++round) {  // and the loop can be used again
    int cancelled = 0;
    const auto count = [&](auto r) { cancelled += !r && r.message().substr(0, 9) == "cancelled"; };
    loop.spawn(felix::sleep_for(1h), count);
    loop.spawn(acquires(places), count);
    loop.spawn(felix::when_any(never, felix::sleep_for(2h)), count);
    loop.spawn(felix::when_all(never, acquires(places)), count);
    loop.spawn(felix::timeout(1h, never), count);
    loop.spawn(waits_in_a_nursery(never), count);
    loop.spawn(yields_for_ever(), count);
    loop.poll();
    CHECK(cancelled == 0);
    loop.shut_down();
    CHECK(cancelled == 7);
    CHECK(loop.run(seven()) == 7);
  }
}

TEST_CASE("event loop: what an on_done spawns while the loop is shut down is stopped too", "[async][loop]") {
  felix::simulated_loop loop;
  std::string log;
  loop.spawn(felix::sleep_for(1h), [&](felix::result<void>) {
    log += "a";
    loop.spawn(felix::sleep_for(1h), [&](felix::result<void> r) { log += r ? "?" : "b"; });
  });
  loop.shut_down();
  CHECK(log == "ab");
  CHECK(loop.now() == felix::simulated_loop::start);
  loop.shut_down();  // with nothing to do
}

#ifdef NDEBUG  // else it is asserted that there are none
TEST_CASE("event loop: destroyed while tasks run on it, it stops and joins them", "[async][loop]") {
  felix::event never;
  int cancelled = 0;
  {
    felix::simulated_loop loop;
    loop.spawn(never, [&](felix::result<void> r) { cancelled += !r; });
    loop.spawn(felix::sleep_for(1h), [&](felix::result<void> r) { cancelled += !r; });
  }
  CHECK(cancelled == 2);
}
#endif

TEST_CASE("event loop: shut_down inside a running loop is refused", "[async][loop]") {
  felix::simulated_loop loop, other;
  CHECK(loop.run(shuts_down(loop)));
  CHECK(loop.run(shuts_down(other)));  // which would block this one
  bool refused = false;
  loop.spawn(shuts_down(loop), [&](felix::result<bool> r) { refused = r.value(); });
  CHECK(refused);  // spawn runs it inside the loop
}

TEST_CASE("event loop: poll gives up when coroutines wake each other for ever", "[async][loop]") {
  real_loop loop;
  felix::stop_source stop;
  bool ended = false;
  loop.spawn(yields_for_ever(), [&](felix::result<void>) { ended = true; }, stop.get_token());
  CHECK(loop.poll());
  CHECK(loop.poll());
  CHECK_FALSE(ended);
  stop.request_stop();
  CHECK_FALSE(loop.poll());
  CHECK(ended);
  CHECK_FALSE(loop.poll());
}

TEST_CASE("event loop: poll does not make time pass", "[async][loop]") {
  felix::simulated_loop loop;
  int woken = 0;
  loop.spawn(felix::sleep_for(1s), [&](felix::result<void>) { ++woken; });
  loop.spawn(felix::sleep_for(0s), [&](felix::result<void>) { ++woken; });
  CHECK_FALSE(loop.poll());
  CHECK(woken == 1);
  CHECK(loop.now() == felix::simulated_loop::start);
  loop.shut_down();
}

TEST_CASE("event loop: spawn runs until the first wait, and calls on_done inside when there is none", "[async][loop]") {
  felix::simulated_loop loop;
  std::string log;
  felix::event go;
  loop.spawn(seven(), [&](felix::result<int> r) { log += std::to_string(*r); });
  CHECK(log == "7");
  loop.spawn(wait_for(go), [&](felix::result<void>) { log += "on"; });
  go.set();
  CHECK(log == "7");
  loop.poll();
  CHECK(log == "7on");
}

TEST_CASE("event loop: on_done may be move-only, and gets failures", "[async][loop]") {
  felix::simulated_loop loop;
  std::string said;
  const auto fails = []() -> felix::task<std::unique_ptr<int>> {
    co_await felix::sleep_for(1s);
    throw std::runtime_error{"no"};
  };
  loop.spawn(fails(), [&said, own = std::make_unique<int>(1)](felix::result<std::unique_ptr<int>> r) {
    said = r.message() + std::to_string(*own);
  });
  loop.run(felix::sleep_for(2s));
  CHECK(said == "no1");
}

TEST_CASE("event loop: run goes on with what was spawned before, and leaves what is not done", "[async][loop]") {
  felix::simulated_loop loop;
  std::string log;
  loop.spawn(note_after(10ms, "a", log), [](felix::result<void>) {});
  loop.spawn(note_after(30ms, "c", log), [](felix::result<void>) {});
  loop.run(note_after(20ms, "b", log));
  CHECK(log == "ab");
  loop.run(felix::sleep_for(1s));
  CHECK(log == "abc");
}

TEST_CASE("event loop: a task that nothing can wake is stopped first, and may clean up", "[async][loop]") {
  felix::simulated_loop loop;
  felix::event never;
  std::string log;
  CHECK_THROWS_AS(loop.run(felix::test::noted(felix::as_task(never), "a", log)), felix::deadlock_error);
  CHECK(log == "(a)");
  const auto cleans_up = [](felix::event& on, std::string& to) -> felix::task<int> {
    bool stopped = false;
    try {
      co_await on;
    } catch (const felix::cancelled&) {
      stopped = true;
    }
    to += stopped ? " cleaned" : "?";
    co_return 1;
  };
  CHECK_THROWS_AS(loop.run(cleans_up(never, log)), felix::deadlock_error);
  CHECK(log == "(a) cleaned");
  CHECK(loop.run(seven()) == 7);
}

TEST_CASE("event loop: a loop inside another's task is its own, and the outer goes on after it", "[async][loop]") {
  felix::simulated_loop outer, inner;
  std::string log;
  const auto body = [](felix::simulated_loop& other, std::string& to) -> felix::task<void> {
    felix::scheduler* const mine = co_await felix::this_task::scheduler();
    other.spawn(note_after(0ms, "inner ", to), [](felix::result<void>) {});
    to += other.is_current() ? "? " : "outer ";
    other.poll();
    co_await felix::sleep_for(1ms);
    to += co_await felix::this_task::scheduler() == mine ? "outer" : "?";
  };
  outer.run(body(inner, log));
  CHECK(log == "outer inner outer");
}

TEST_CASE("event loop: stops from another thread end many tasks, each of them once", "[async][loop]") {
  for (int round = 0; round < 20; ++round) {
    real_loop loop;
    felix::event never;
    felix::stop_source stop;
    int cancelled = 0;
    for (int i = 0; i < 50; ++i)
      loop.spawn(wait_for(never), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
    std::thread stopper{[&] { stop.request_stop(); }};
    while (cancelled < 50) loop.poll();
    stopper.join();
    CHECK(cancelled == 50);
  }
}

TEST_CASE("event loop: knows whose thread may act for it", "[async][loop]") {
  felix::simulated_loop loop{1};
  CHECK(loop.is_here());  // it runs nowhere, and was made here
  bool inside = false, elsewhere = true;
  const auto look = [](felix::simulated_loop& on, bool& here, bool& there) -> felix::task<void> {
    here = on.is_here();
    std::thread{[&] { there = on.is_here(); }}.join();
    co_return;
  };
  loop.run(look(loop, inside, elsewhere));
  CHECK(inside);
  CHECK_FALSE(elsewhere);
  std::thread{[&] {
    CHECK_FALSE(loop.is_here());
    loop.poll();
    CHECK(loop.is_here());  // it ran here last
  }}.join();
  CHECK_FALSE(loop.is_here());
}
