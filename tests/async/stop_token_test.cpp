// SPDX-License-Identifier: MIT
#include <felix/async/stop_token.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
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
