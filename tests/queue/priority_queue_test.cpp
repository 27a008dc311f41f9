// SPDX-License-Identifier: MIT
#include <felix/queue/priority_queue.hpp>

#include "support/allocation_count.hpp"
#include "support/catch.hpp"
#include "support/queue_threads.hpp"

#include <felix/error.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

// `small` unless the environment says otherwise: FELIX_QUEUE_ROUNDS=1000000 is the whole of it.
std::size_t rounds(std::size_t small) {
  const char* told = std::getenv("FELIX_QUEUE_ROUNDS");
  return told != nullptr ? std::strtoull(told, nullptr, 10) : small;
}

template <class Queue>
std::vector<int> drained(Queue& queue) {
  std::vector<int> values;
  while (auto value = queue.try_pop()) values.push_back(*value);
  return values;
}

}  // namespace

TEST_CASE("priority_queue: level 0 first, and within a level first in, first out", "[queue][priority_queue]") {
  felix::priority_queue<int, 4> queue{16};
  for (int value : {30, 10, 0, 31, 20, 11, 1, 21}) REQUIRE(queue.try_push(static_cast<std::size_t>(value / 10), value));
  CHECK(drained(queue) == std::vector<int>{0, 1, 10, 11, 20, 21, 30, 31});
  CHECK_FALSE(queue.try_pop());
}

TEST_CASE("priority_queue: 1 level and 64", "[queue][priority_queue]") {
  felix::priority_queue<int, 1> one{2};
  REQUIRE(one.try_push(0, 1));
  REQUIRE(one.try_push(0, 2));
  CHECK(drained(one) == std::vector<int>{1, 2});
  felix::priority_queue<int, 64> many{64};
  std::vector<int> all;
  for (int level = 63; level >= 0; --level) REQUIRE(many.try_push(static_cast<std::size_t>(level), level));
  for (int level = 0; level < 64; ++level) all.push_back(level);
  CHECK(drained(many) == all);
}

TEST_CASE("priority_queue: all levels share the capacity, whatever it is", "[queue][priority_queue]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 3, 7, 8, 9, 64, 100);
  CAPTURE(capacity);
  felix::priority_queue<std::size_t, 3> queue{capacity};
  CHECK(queue.capacity() == capacity);
  CHECK(queue.levels() == 3);
  for (std::size_t round = 0; round < 10; ++round) {  // positions wrap after two laps
    for (std::size_t i = 0; i < capacity; ++i) REQUIRE(queue.try_push((i + round) % 3, i));
    for (std::size_t level = 0; level < 3; ++level) CHECK_FALSE(queue.try_push(level, 0));
    CHECK(queue.size_approx() == capacity);
    CHECK(queue.size_approx(0) + queue.size_approx(1) + queue.size_approx(2) == capacity);
    std::optional<std::size_t> before;
    for (std::size_t i = 0; i < capacity; ++i) {
      const auto value = queue.try_pop();
      REQUIRE(value);
      const auto level = (*value + round) % 3;
      if (before) REQUIRE((level > (*before + round) % 3 || (level == (*before + round) % 3 && *value > *before)));
      before = value;
    }
    CHECK_FALSE(queue.try_pop());
    CHECK(queue.size_approx() == 0);
  }
}

TEST_CASE("priority_queue: a capacity that it cannot have is refused", "[queue][priority_queue]") {
  for (const auto capacity : {std::size_t{0}, std::size_t{1} << 24}) {
    try {
      felix::priority_queue<int, 2> queue{capacity};
      FAIL("accepted");
    } catch (const felix::error& failure) {
      CHECK(failure.code() == felix::errc::invalid_option);
      CHECK(std::string{failure.what()} ==
            "priority_queue: a capacity is from 1 to 16777215, not " + std::to_string(capacity));
    }
  }
}

TEST_CASE("priority_queue: a cancelled value comes back, once, and nobody pops it", "[queue][priority_queue]") {
  felix::priority_queue<int, 2> queue{4};
  const auto a = queue.try_push(1, 1), b = queue.try_push(1, 2), c = queue.try_push(0, 3), d = queue.try_push(1, 4);
  REQUIRE((a && b && c && d));
  CHECK(*a != *b);
  CHECK(queue.cancel(*b) == 2);  // in the middle
  CHECK_FALSE(queue.cancel(*b));
  CHECK(queue.size_approx(1) == 2);
  CHECK(queue.cancel(*c) == 3);  // alone in its level
  CHECK(queue.size_approx() == 2);
  CHECK(queue.try_pop() == 1);
  CHECK_FALSE(queue.cancel(*a));  // was popped
  CHECK(queue.cancel(*d) == 4);   // the last
  CHECK(queue.size_approx() == 0);
  CHECK_FALSE(queue.try_pop());
  CHECK(queue.size_approx() == 0);
}

TEST_CASE("priority_queue: a ticket names one push, also after its place was used again", "[queue][priority_queue]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 3);
  felix::priority_queue<int, 2> queue{capacity};
  std::vector<felix::priority_queue<int, 2>::ticket> old;
  for (int i = 0; i < 50; ++i) {
    const auto now = queue.try_push(0, i);
    REQUIRE(now);
    for (const auto& ticket : old) REQUIRE_FALSE(queue.cancel(ticket));
    REQUIRE((i % 2 == 0 ? queue.try_pop() : queue.cancel(*now)) == i);
    old.push_back(*now);
  }
}

TEST_CASE("priority_queue: cancelled values give their places back", "[queue][priority_queue]") {
  felix::priority_queue<int, 2> queue{8};
  std::vector<felix::priority_queue<int, 2>::ticket> tickets;
  SECTION("at once, if nothing that is in was pushed before them") {
    for (int round = 0; round < 10; ++round) {
      tickets.clear();
      for (int i = 0; i < 8; ++i) tickets.push_back(queue.try_push(static_cast<std::size_t>(i % 2), i).value());
      for (const auto& ticket : tickets) REQUIRE(queue.cancel(ticket));
    }
    CHECK(queue.size_approx() == 0);
  }
  SECTION("else when that has left") {
    for (int i = 0; i < 8; ++i) tickets.push_back(queue.try_push(1, i).value());
    for (std::size_t i = 1; i < 8; ++i) REQUIRE(queue.cancel(tickets[i]));
    CHECK(queue.size_approx() == 1);
    CHECK_FALSE(queue.try_push(1, 8));  // as documented: the first one stands before them
    CHECK(queue.try_pop() == 0);
    for (int i = 0; i < 8; ++i) REQUIRE(queue.try_push(0, i));
    CHECK_FALSE(queue.try_push(0, 8));
  }
}

TEST_CASE("priority_queue: what can only be moved is moved, and a value that finds no place is untouched",
          "[queue][priority_queue]") {
  felix::priority_queue<std::unique_ptr<int>, 2> queue{1};
  const auto first = queue.try_push(1, std::make_unique<int>(1));
  auto second = std::make_unique<int>(2);
  CHECK_FALSE(queue.try_push(0, std::move(second)));
  REQUIRE(second);
  CHECK(**queue.cancel(*first) == 1);
  CHECK(queue.try_push(0, std::move(second)));  // after passing the tombstone
  CHECK_FALSE(second);
  CHECK(**queue.try_pop() == 2);
}

TEST_CASE("priority_queue: what is left is destroyed with it, and what was cancelled is not destroyed twice",
          "[queue][priority_queue]") {
  auto alive = std::make_shared<int>(0);
  {
    felix::priority_queue<std::shared_ptr<int>, 2> queue{5};
    std::vector<felix::priority_queue<std::shared_ptr<int>, 2>::ticket> tickets;
    for (std::size_t i = 0; i < 5; ++i) tickets.push_back(queue.try_push(i % 2, alive).value());
    REQUIRE(queue.try_pop());
    REQUIRE(queue.cancel(tickets[3]));
    CHECK(alive.use_count() == 4);
  }
  CHECK(alive.use_count() == 1);
}

TEST_CASE("priority_queue: each value is destroyed as often as it was made", "[queue][priority_queue]") {
  static int alive;
  alive = 0;
  struct counted {
    counted() { ++alive; }
    counted(counted&&) noexcept { ++alive; }
    ~counted() { --alive; }
  };
  {
    felix::priority_queue<counted, 2> queue{5};
    const auto first = queue.try_push(0, counted{});
    const auto second = queue.try_push(0, counted{});
    REQUIRE(queue.try_push(1, counted{}));
    REQUIRE(first);
    REQUIRE(queue.cancel(second.value()));  // behind the first, so it stays a tombstone
    CHECK(alive == 2);
  }
  CHECK(alive == 0);
}

TEST_CASE("priority_queue: a constructor that throws pushes nothing and loses no place", "[queue][priority_queue]") {
  struct fails_when_negative {
    explicit fails_when_negative(int v) : value{v} {
      if (v < 0) throw std::runtime_error{"negative"};
    }
    int value;
  };
  felix::priority_queue<fails_when_negative, 2> queue{2};
  for (int i = 0; i < 10; ++i) CHECK_THROWS_AS(queue.try_push(1, -1), std::runtime_error);
  CHECK(queue.size_approx() == 0);
  CHECK(queue.try_push(1, 1));
  CHECK(queue.try_push(0, 2));
  CHECK_FALSE(queue.try_push(0, -1));
  CHECK(queue.try_pop()->value == 2);
  CHECK(queue.try_pop()->value == 1);
}

TEST_CASE("priority_queue: allocates when it is constructed, as much as bytes() says, and never again",
          "[queue][priority_queue]") {
  using queue_type = felix::priority_queue<std::uint64_t, 4>;
  // With 8 bytes of value: a cell of 16, and four times 8. And 16 lines for the stacks of free cells.
  static_assert(queue_type::bytes(1024) == 1024 * (16 + 4 * 8) + 16 * 64);
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 100, 1024);
  felix::test::allocation_count before;
  queue_type queue{capacity};
  const auto bytes = before.bytes();
  CHECK(bytes >= queue_type::bytes(capacity));
  CHECK(bytes <= queue_type::bytes(capacity) + 128);
  felix::test::allocation_count after;
  for (std::uint64_t i = 0; i < 5 * capacity; ++i) {
    const auto ticket = queue.try_push(i % 4, i);
    (void)queue.try_push((i + 1) % 4, i);
    if (ticket && i % 3 == 0) (void)queue.cancel(*ticket);
    (void)queue.try_pop();
  }
  CHECK(after.calls() == 0);
}

TEST_CASE("priority_queue: cancel races with pop, and each value is delivered or returned exactly once",
          "[queue][priority_queue]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 16);
  const std::size_t all = rounds(30'000) / 3 + 1;
  felix::priority_queue<std::unique_ptr<std::size_t>, 2> queue{capacity};
  std::vector<std::atomic<unsigned char>> times(all);  // no place for any is destroyed elsewhere
  std::atomic<std::size_t> left{all}, returned{0};
  const auto count = [&](const std::unique_ptr<std::size_t>& value) {
    times[*value].fetch_add(1, std::memory_order_relaxed);
    left.fetch_sub(1, std::memory_order_relaxed);
  };
  std::thread popper{[&] {
    while (left.load(std::memory_order_relaxed) > 0) {
      if (auto value = queue.try_pop()) {
        count(*value);
      } else {
        std::this_thread::yield();
      }
    }
  }};
  std::vector<felix::priority_queue<std::unique_ptr<std::size_t>, 2>::ticket> recent;
  for (std::size_t i = 0; i < all; ++i) {
    auto value = std::make_unique<std::size_t>(i);
    auto ticket = queue.try_push(i % 2, std::move(value));
    while (!ticket) {
      for (const auto& old : recent) {
        if (auto back = queue.cancel(old)) {
          count(*back);
          ++returned;
        }
      }
      std::this_thread::yield();
      ticket = queue.try_push(i % 2, std::move(value));
    }
    recent.push_back(*ticket);
    if (recent.size() > capacity) recent.erase(recent.begin());
    if (auto back = queue.cancel(recent[i % recent.size()])) {
      count(*back);
      ++returned;
    }
  }
  popper.join();
  std::size_t wrong = 0;
  for (const auto& each : times) wrong += each.load() != 1;
  CHECK(wrong == 0);
  CHECK(returned.load() > 0);
  CHECK(queue.size_approx() == 0);
  for (std::size_t i = 0; i < capacity; ++i) CHECK(queue.try_push(0, nullptr));  // no place was lost
}

TEST_CASE("priority_queue: between threads everything arrives once, each producer's in order within a level",
          "[queue][priority_queue]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 3, 64);
  felix::priority_queue<int, 3> queue{capacity};
  const auto push = [&queue](int number) {
    while (!queue.try_push(static_cast<std::size_t>(number / 2 % 3), number)) std::this_thread::yield();
  };
  // A number modulo 6 says whose it is, and which level it had.
  felix::test::everything_arrives_in_order(2, 10'000, 6, push, [&queue] { return queue.try_pop(); });
  CHECK(queue.size_approx() == 0);
}

TEST_CASE("priority_queue: an order of one's own is a struct with one function", "[queue][priority_queue]") {
  struct lowest_first {  // as one drains a queue that shall end: the long-waiting first
    std::size_t first_level(std::size_t levels) noexcept { return levels - 1; }
  };
  felix::priority_queue<int, 3, lowest_first> queue{8};
  for (int value : {0, 10, 20, 1, 21, 11}) REQUIRE(queue.try_push(static_cast<std::size_t>(value / 10), value));
  CHECK(drained(queue) == std::vector<int>{20, 21, 0, 1, 10, 11});  // that one first, then from level 0 on
  struct middle_first {
    std::size_t first_level(std::size_t) noexcept { return 1; }
  };
  felix::priority_queue<int, 3, middle_first> other{8};
  for (int value : {0, 10, 20, 1, 21, 11}) REQUIRE(other.try_push(static_cast<std::size_t>(value / 10), value));
  CHECK(drained(other) == std::vector<int>{10, 11, 0, 1, 20, 21});
}
