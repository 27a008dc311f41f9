// SPDX-License-Identifier: MIT
#include <felix/queue/bounded_queue.hpp>

#include "support/allocation_count.hpp"
#include "support/catch.hpp"
#include "support/queue_threads.hpp"

#include <felix/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

TEST_CASE("bounded_queue: first in, first out, and full at its capacity", "[queue][bounded_queue]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 3, 5, 7, 8, 9, 63, 64, 65, 1000);
  CAPTURE(capacity);
  felix::bounded_queue<std::size_t> queue{capacity};
  CHECK(queue.capacity() == capacity);
  CHECK_FALSE(queue.try_pop());
  for (std::size_t round = 0; round < 5; ++round) {  // more laps than two: positions wrap on the way
    for (std::size_t i = 0; i < capacity; ++i) REQUIRE(queue.try_push(i));
    CHECK(queue.size_approx() == capacity);
    CHECK_FALSE(queue.try_push(capacity));
    for (std::size_t i = 0; i < capacity; ++i) {
      REQUIRE(queue.try_pop() == i);
      REQUIRE(queue.size_approx() == capacity - i - 1);
    }
    CHECK_FALSE(queue.try_pop());
  }
}

TEST_CASE("bounded_queue: never full and never empty, it goes round", "[queue][bounded_queue]") {
  felix::bounded_queue<int> queue{3};
  REQUIRE(queue.try_push(0));
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(queue.try_push(i + 1));
    REQUIRE(queue.try_pop() == i);
  }
}

TEST_CASE("bounded_queue: a capacity that it cannot have is refused", "[queue][bounded_queue]") {
  const auto refused = [](std::size_t capacity) {
    try {
      felix::bounded_queue<int> queue{capacity};
    } catch (const felix::error& failure) {
      CHECK(std::string{failure.what()}.find("bounded_queue: a capacity is from 1 to 16777215, not ") == 0);
      return failure.code() == felix::errc::invalid_option;
    }
    return false;
  };
  CHECK(refused(0));
  CHECK(refused(std::size_t{1} << 24));
  CHECK(refused(~std::size_t{0}));
}

TEST_CASE("bounded_queue: what can only be moved is moved, and a value that finds no place is untouched",
          "[queue][bounded_queue]") {
  felix::bounded_queue<std::unique_ptr<int>> queue{1};
  REQUIRE(queue.try_push(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  CHECK_FALSE(queue.try_push(std::move(second)));
  REQUIRE(second);
  CHECK(**queue.try_pop() == 1);
  CHECK(queue.try_push(std::move(second)));
  CHECK_FALSE(second);
}

TEST_CASE("bounded_queue: what is left is destroyed with it", "[queue][bounded_queue]") {
  auto alive = std::make_shared<int>(0);
  {
    felix::bounded_queue<std::shared_ptr<int>> queue{5};
    for (int i = 0; i < 5; ++i) REQUIRE(queue.try_push(alive));
    for (int i = 0; i < 3; ++i) REQUIRE(queue.try_pop());
    for (int i = 0; i < 2; ++i) REQUIRE(queue.try_push(alive));
    CHECK(alive.use_count() == 5);
  }
  CHECK(alive.use_count() == 1);
}

TEST_CASE("bounded_queue: a constructor that throws pushes nothing and loses no place", "[queue][bounded_queue]") {
  struct fails_when_negative {
    explicit fails_when_negative(int v) : value{v} {
      if (v < 0) throw std::runtime_error{"negative"};
    }
    int value;
  };
  felix::bounded_queue<fails_when_negative> queue{2};
  for (int i = 0; i < 10; ++i) CHECK_THROWS_AS(queue.try_push(-1), std::runtime_error);
  CHECK(queue.size_approx() == 0);
  CHECK(queue.try_push(1));
  CHECK_THROWS_AS(queue.try_push(-1), std::runtime_error);
  CHECK(queue.try_push(2));
  CHECK_FALSE(queue.try_push(-1));  // no place: nothing is constructed
  CHECK(queue.try_pop()->value == 1);
  CHECK(queue.try_pop()->value == 2);
}

TEST_CASE("bounded_queue: allocates when it is constructed, as much as bytes() says, and never again",
          "[queue][bounded_queue]") {
  using queue_type = felix::bounded_queue<std::uint64_t>;
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 100, 1024);
  felix::test::allocation_count before;
  queue_type queue{capacity};
  const auto bytes = before.bytes();
  CHECK(bytes >= queue_type::bytes(capacity));
  CHECK(bytes <= queue_type::bytes(capacity) + 128);  // of which the array itself may need a few
  felix::test::allocation_count after;
  for (std::uint64_t i = 0; i < 5 * capacity; ++i) {
    (void)queue.try_push(i);
    (void)queue.try_push(i);
    (void)queue.try_pop();
  }
  CHECK(after.calls() == 0);
}

TEST_CASE("bounded_queue: between threads everything arrives once, each producer's in order",
          "[queue][bounded_queue]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 3, 64);
  felix::bounded_queue<std::unique_ptr<int>> queue{capacity};
  const auto push = [&queue](int number) {
    auto value = std::make_unique<int>(number);
    while (!queue.try_push(std::move(value))) std::this_thread::yield();
  };
  const auto pop = [&queue]() -> std::optional<int> {
    if (const auto value = queue.try_pop()) return **value;
    return std::nullopt;
  };
  felix::test::everything_arrives_in_order(2, 20'000, 2, push, pop);
  CHECK(queue.size_approx() == 0);
}
