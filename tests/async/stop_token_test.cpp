// SPDX-License-Identifier: MIT
#include <felix/async/stop_token.hpp>

#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

TEST_CASE("stop_token: a default one is never stopped", "[async][stop_token]") {
  const felix::stop_token none;
  CHECK_FALSE(none.stop_possible());
  CHECK_FALSE(none.stop_requested());
  int calls = 0;
  felix::stop_callback callback{none, [&] { ++calls; }};
  CHECK(calls == 0);
}

TEST_CASE("stop_source: callbacks run once, and only the first request counts", "[async][stop_token]") {
  felix::stop_source source;
  int calls = 0;
  auto count = [&] { ++calls; };
  std::optional<felix::stop_callback<decltype(count)>> gone{std::in_place, source.get_token(), count};
  felix::stop_callback stays{source.get_token(), count};
  gone.reset();
  CHECK(source.request_stop());
  CHECK(calls == 1);
  CHECK_FALSE(source.request_stop());
  CHECK(calls == 1);
  CHECK(source.get_token().stop_requested());
  felix::stop_callback late{source.get_token(), count};  // runs in its constructor
  CHECK(calls == 2);
}

TEST_CASE("stop_source: a callback may deregister itself and others", "[async][stop_token]") {
  felix::stop_source source;
  int calls = 0;
  std::function<void()> on_first, on_second;
  using callback = felix::stop_callback<std::function<void()>>;
  auto first = std::make_unique<callback>(source.get_token(), [&] { on_first(); });
  auto second = std::make_unique<callback>(source.get_token(), [&] { on_second(); });
  // Whichever runs first destroys both, itself included.
  on_first = on_second = [&] {
    ++calls;
    auto keep_function_alive = on_first;
    first.reset();
    second.reset();
  };
  source.request_stop();
  CHECK(calls == 1);
}

TEST_CASE("stop_source: deregistering waits for a callback that runs on another thread", "[async][stop_token]") {
  for (int round = 0; round < 200; ++round) {
    felix::stop_source source;
    std::atomic<bool> inside{false}, left{false};
    auto work = [&] {
      inside = true;
      for (int i = 0; i < 1000; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
      left = true;
    };
    std::optional<felix::stop_callback<decltype(work)>> callback{std::in_place, source.get_token(), work};
    std::thread stopper{[&] { source.request_stop(); }};
    if (round % 2 == 0) {
      while (!inside) std::this_thread::yield();
    }
    callback.reset();
    CHECK(inside.load() == left.load());  // it has not begun, or it has ended
    stopper.join();
  }
}

TEST_CASE("stop_source: a callback that begins to be deregistered ends before that does", "[async][stop_token]") {
  for (int round = 0; round < 50; ++round) {
    felix::stop_source source;
    std::atomic<bool> inside{false}, leaving{false}, left{false};
    const auto work = [&] {
      inside = true;
      inside.notify_one();
      leaving.wait(false);
      for (int i = 0; i < 20; ++i) std::this_thread::yield();  // whoever does not wait is seen to be early
      left = true;
    };
    std::optional<felix::stop_callback<decltype(work)>> callback{std::in_place, source.get_token(), work};
    std::thread stopper{[&] { source.request_stop(); }};
    inside.wait(false);
    leaving = true;
    leaving.notify_one();
    callback.reset();
    CHECK(left);
    stopper.join();
  }
}

TEST_CASE("stop_source: registering races with a request, and each callback runs exactly once or is gone",
          "[async][stop_token]") {
  for (int round = 0; round < 200; ++round) {
    felix::stop_source source;
    std::atomic<int> calls{0};
    std::vector<std::thread> threads;
    std::atomic<int> kept{0};
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          std::atomic<int> mine{0};
          {
            felix::stop_callback callback{source.get_token(), [&] {
                                            ++mine;
                                            ++calls;
                                          }};
            if (source.get_token().stop_requested()) ++kept;
          }
          CHECK(mine <= 1);
        }
      });
    }
    source.request_stop();
    for (auto& thread : threads) thread.join();
    CHECK(calls >= kept - 3);  // one that saw the request right after it registered may have left before its turn
  }
}

namespace {

/// The smallest token that is neither felix's nor the standard's: a list of functions.
class list_of_callbacks {
 public:
  void stop() {
    stopped_ = true;
    for (auto& [key, call] : std::exchange(calls_, {})) call();
  }

 private:
  friend class list_token;
  template <class F>
  friend class list_callback;
  bool stopped_ = false;
  std::map<const void*, std::function<void()>> calls_;
};
template <class F>
class list_callback;
class list_token {
 public:
  template <class F>
  using callback_type = list_callback<F>;
  explicit list_token(list_of_callbacks& of) noexcept : of_{&of} {}
  [[nodiscard]] bool stop_requested() const noexcept { return of_->stopped_; }
  [[nodiscard]] static bool stop_possible() noexcept { return true; }

 private:
  template <class F>
  friend class list_callback;
  list_of_callbacks* of_;
};
template <class F>
class list_callback {
 public:
  list_callback(list_token token, F function) : of_{token.of_} {
    if (of_->stopped_) {
      function();
    } else {
      of_->calls_.emplace(this, function);
    }
  }
  list_callback(list_callback&&) = delete;
  ~list_callback() { of_->calls_.erase(this); }

 private:
  list_of_callbacks* of_;
};

class only_asks {  // no callback_type
 public:
  [[nodiscard]] bool stop_requested() const noexcept { return false; }
  [[nodiscard]] bool stop_possible() const noexcept { return false; }
};
static_assert(felix::stoppable_token<list_token>);
static_assert(!felix::stoppable_token<only_asks> && !felix::stoppable_token<int>);
static_assert(std::is_same_v<felix::stop_token::callback_type<int (*)()>, felix::stop_callback<int (*)()>>);
static_assert(std::is_trivially_copyable_v<felix::stop_token> && sizeof(felix::stop_token) == sizeof(void*));

felix::task<void> wait_for(felix::event& event) { co_await event; }
felix::task<int> number() { co_return 5; }

}  // namespace

TEST_CASE("stop_token: two are equal when they are of one source", "[async][stop_token]") {
  felix::stop_source a, b;
  CHECK(a.get_token() == a.get_token());
  CHECK_FALSE(a.get_token() == b.get_token());
  CHECK_FALSE(a.get_token() == felix::stop_token{});
  CHECK(felix::stop_token{} == felix::stop_token{});
  CHECK(a.get_token().stop_possible());
  CHECK_FALSE(a.stop_requested());
  a.request_stop();
  CHECK(a.stop_requested());
  CHECK_FALSE(b.stop_requested());
}

TEST_CASE("stop_source: many callbacks leave in any order, and those that are left run once", "[async][stop_token]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  const auto leaving = felix::test::shuffled("abcdefgh", seed).substr(0, static_cast<std::size_t>(seed % 9));
  CAPTURE(seed, leaving);
  felix::stop_source source;
  std::string called;
  using callback = felix::stop_callback<std::function<void()>>;
  std::map<char, std::unique_ptr<callback>> callbacks;
  for (char name = 'a'; name <= 'h'; ++name)
    callbacks[name] = std::make_unique<callback>(source.get_token(), [&called, name] { called += name; });
  for (const char name : leaving) callbacks.erase(name);
  source.request_stop();
  std::string expected = "abcdefgh";
  for (const char name : leaving) expected.erase(expected.find(name), 1);
  std::sort(called.begin(), called.end());
  CHECK(called == expected);
}

TEST_CASE("stop_source: a callback may request the stop again, and register others", "[async][stop_token]") {
  felix::stop_source source;
  int calls = 0;
  const auto again = [&] {
    ++calls;
    CHECK_FALSE(source.request_stop());
    CHECK(source.stop_requested());
    const felix::stop_callback late{source.get_token(), [&] { ++calls; }};
    CHECK(calls == 2);  // at once: the request is there
  };
  const felix::stop_callback callback{source.get_token(), again};
  CHECK(source.request_stop());
  CHECK(calls == 2);
}

TEST_CASE("stop_source: a callback that ends itself is not touched afterwards", "[async][stop_token]") {
  felix::stop_source source;
  using callback = felix::stop_callback<std::function<void()>>;
  std::unique_ptr<callback> first, second;
  int calls = 0;
  first = std::make_unique<callback>(source.get_token(), [&] {
    ++calls;
    const std::unique_ptr<callback> ends_here = std::move(first);
  });
  second = std::make_unique<callback>(source.get_token(), [&] {
    ++calls;
    const std::unique_ptr<callback> ends_here = std::move(second);
  });
  source.request_stop();
  CHECK(calls == 2);
  CHECK(first == nullptr);
  CHECK(second == nullptr);
}

TEST_CASE("stop_token: run and spawn take a std::stop_token", "[async][stop_token]") {
  felix::simulated_loop loop;
  felix::event never;
  std::stop_source stop;
  CHECK(loop.run(number(), stop.get_token()) == 5);
  CHECK(loop.run(number(), std::stop_token{}) == 5);  // one that can never be stopped
  int cancelled = 0;
  loop.spawn(wait_for(never), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
  loop.poll();
  CHECK(cancelled == 0);
  stop.request_stop();
  CHECK(cancelled == 0);
  loop.poll();
  CHECK(cancelled == 1);
  CHECK_THROWS_AS(loop.run(wait_for(never), stop.get_token()), felix::cancelled);  // requested before
}

TEST_CASE("stop_token: a jthread's token ends what it waits for", "[async][stop_token]") {
  for (int round = 0; round < 50; ++round) {
    felix::event never;
    bool cancelled = false;
    {
      std::jthread waiting{[&](std::stop_token stop) {
        try {
          felix::sync_wait(never, stop);
        } catch (const felix::cancelled&) {
          cancelled = true;
        }
      }};
    }  // asks it to stop, and joins it
    CHECK(cancelled);
  }
}

TEST_CASE("stop_token: a user's own token stops, and is left alone once the work has ended", "[async][stop_token]") {
  felix::simulated_loop loop;
  felix::event event, never;
  {
    list_of_callbacks source;
    int cancelled = 0;
    loop.spawn(wait_for(never), [&](felix::result<void> r) { cancelled += !r; }, list_token{source});
    loop.poll();
    source.stop();
    loop.poll();
    CHECK(cancelled == 1);
    CHECK_THROWS_AS(felix::sync_wait(never, list_token{source}), felix::cancelled);  // requested before
  }
  list_of_callbacks source;
  CHECK(loop.run(number(), list_token{source}) == 5);
  source.stop();  // nobody is registered there any more
}

TEST_CASE("stop_token: a stop from another thread reaches what is deep inside", "[async][stop_token]") {
  for (int round = 0; round < 100; ++round) {
    felix::event never;
    felix::stop_source stop;
    std::thread stopper{[&] { stop.request_stop(); }};
    const auto deep = [](felix::event& on) -> felix::task<void> {
      co_await felix::when_all(felix::when_any(on, on), felix::timeout(std::chrono::hours{1}, on));
    };
    CHECK_THROWS_AS(felix::sync_wait(deep(never), stop.get_token()), felix::cancelled);
    stopper.join();
  }
}
