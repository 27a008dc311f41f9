// SPDX-License-Identifier: MIT
#include <felix/async/basic_event_loop.hpp>

#include <felix/async/event.hpp>
#include <felix/async/posted_call.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
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
