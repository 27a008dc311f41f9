// SPDX-License-Identifier: MIT
#include <felix/async/posted_call.hpp>

#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

static_assert(!std::is_move_constructible_v<felix::posted_call>, "a loop's queue points to it");

TEST_CASE("posted_call: runs once for each time it is posted, on the loop", "[async][posted_call]") {
  felix::simulated_loop loop;
  int calls = 0;
  felix::posted_call call{[&calls] { ++calls; }};
  loop.poll();
  CHECK(calls == 0);
  for (int posted = 1; posted <= 3; ++posted) {
    loop.post(call);
    CHECK(calls == posted - 1);  // never inside post
    loop.poll();
    loop.poll();
    CHECK(calls == posted);
  }
}

TEST_CASE("posted_call: keeps its function with what that captured, and ends it with itself", "[async][posted_call]") {
  felix::simulated_loop loop;
  auto shared = std::make_shared<int>(0);
  {
    felix::posted_call call{[shared, own = std::make_unique<int>(2)] { *shared += *own; }};
    CHECK(shared.use_count() == 2);
    loop.post(call);
    loop.poll();
    CHECK(*shared == 2);
    const felix::posted_call never_posted{[shared] { *shared = 100; }};
    CHECK(shared.use_count() == 3);
  }
  CHECK(shared.use_count() == 1);
  CHECK(*shared == 2);
}

TEST_CASE("posted_call: may post itself again, and others", "[async][posted_call]") {
  felix::simulated_loop loop;
  std::string log;
  std::optional<felix::posted_call> again, other;
  other.emplace([&] { log += "o"; });
  again.emplace([&] {
    log += "a";
    if (log.size() < 4) loop.post(*again);
    if (log.size() == 1) loop.post(*other);
  });
  loop.post(*again);
  loop.poll();
  CHECK(log == "aaoa");
}

TEST_CASE("posted_call: may end itself", "[async][posted_call]") {
  felix::simulated_loop loop;
  std::unique_ptr<felix::posted_call> call;
  auto shared = std::make_shared<int>(0);
  call = std::make_unique<felix::posted_call>([&call, shared] {
    ++*shared;
    call.reset();  // and touches nothing of its own any more
  });
  loop.post(*call);
  loop.poll();
  CHECK(call == nullptr);
  CHECK(*shared == 1);
  CHECK(shared.use_count() == 1);
}

TEST_CASE("posted_call: posted by another thread it runs on the loop's", "[async][posted_call]") {
  std::vector<std::unique_ptr<felix::posted_call>> calls;  // outlive the thread, which may not have left them yet
  felix::test::other_thread other;
  for (int round = 0; round < 100; ++round) {
    felix::event called;
    std::thread::id where;
    calls.push_back(std::make_unique<felix::posted_call>([&] {
      where = std::this_thread::get_id();
      called.set();
    }));
    other.loop().post(*calls.back());
    felix::sync_wait(called);
    CHECK(where == other.id());
  }
}
