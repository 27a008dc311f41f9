// SPDX-License-Identifier: MIT
// A thread that stops before any of its atomic steps stops nobody else.
#include <felix/queue/bounded_queue.hpp>
#include <felix/queue/priority_queue.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

// Where a thread of a test stands: it stops before the step that was agreed on, until it is let go.
class parking_place {
 public:
  explicit parking_place(std::size_t step) noexcept : step_{step} {}
  void before_step() noexcept {
    if (taken_++ != step_) return;
    parked_.store(true);
    parked_.notify_all();
    free_.wait(false);
  }
  void leave() noexcept {  // the call is over: it had fewer steps
    ended_ = true;
    parked_.store(true);
    parked_.notify_all();
  }
  /// Waits until the thread stands. False: its call ended before.
  [[nodiscard]] bool wait() const noexcept {
    parked_.wait(false);
    return !ended_.load();
  }
  [[nodiscard]] std::size_t taken() const noexcept { return taken_; }
  void let_go() noexcept {
    free_.store(true);
    free_.notify_all();
  }

 private:
  std::size_t step_;
  std::size_t taken_ = 0;
  std::atomic<bool> parked_{false}, free_{false}, ended_{false};
};

thread_local parking_place* my_place = nullptr;

template <class T>
class parking_atomic {
 public:
  explicit(false) parking_atomic(T value) noexcept : value_{value} {}
  T load(std::memory_order order) const noexcept { return step().load(order); }
  void store(T value, std::memory_order order) noexcept { step().store(value, order); }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order, std::memory_order failure) noexcept {
    return step().compare_exchange_strong(expected, desired, order, failure);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order order, std::memory_order failure) noexcept {
    return step().compare_exchange_weak(expected, desired, order, failure);
  }
  T fetch_add(T more, std::memory_order order) noexcept { return step().fetch_add(more, order); }
  T fetch_sub(T less, std::memory_order order) noexcept { return step().fetch_sub(less, order); }

 private:
  std::atomic<T>& step() const noexcept {
    if (my_place != nullptr) my_place->before_step();
    return value_;
  }
  mutable std::atomic<T> value_;
};

struct parking_atomics {
  template <class T>
  using atomic = parking_atomic<T>;
  static felix::queue_lane& lane() noexcept { return felix::std_atomics::lane(); }
};

constexpr std::size_t capacity = 8, operations = 100'000, threads = 2;

// Stops `victim(queue)` before its first atomic step, its second, and so on, each time on a new queue after
// `prepare(queue)`, while `other(queue)` is called until it has succeeded 100,000 times. `after(queue)` checks.
template <class Queue, class Prepare, class Victim, class Other, class After>
std::size_t stop_at_each_step(Prepare prepare, Victim victim, Other other, After after) {
  for (std::size_t step = 0;; ++step) {
    Queue queue{capacity};
    auto prepared = prepare(queue);
    parking_place place{step};
    std::thread parked{[&] {
      my_place = &place;
      victim(queue, prepared);
      my_place = nullptr;
      place.leave();
    }};
    const bool stands = place.wait();
    if (stands) {
      std::vector<std::thread> others;
      for (std::size_t i = 0; i < threads; ++i)
        others.emplace_back([&] {
          for (std::size_t done = 0; done < operations / threads;) done += other(queue);
        });
      for (auto& thread : others) thread.join();  // for ever, if the parked one holds them up
    }
    place.let_go();
    parked.join();
    after(queue);
    if (!stands) return step;
  }
}

using queue_type = felix::priority_queue<std::unique_ptr<int>, 2, felix::strict_order, parking_atomics>;
using tickets = std::vector<queue_type::ticket>;

tickets three_values(queue_type& queue) {
  tickets all;
  for (int i = 0; i < 3; ++i) all.push_back(queue.try_push(1, std::make_unique<int>(i)).value());
  return all;
}

std::size_t push_cancel_pop(queue_type& queue) {
  std::size_t done = 0;
  auto ticket = queue.try_push(0, std::make_unique<int>(5));
  done += ticket.has_value();
  if (ticket) done += queue.cancel(*ticket).has_value();
  done += queue.try_push(1, std::make_unique<int>(6)).has_value();
  done += queue.try_pop().has_value();
  return done;
}

// Whatever the parked call did, nothing and no place was lost.
void all_places_are_there(queue_type& queue) {
  while (queue.try_pop()) {}
  CHECK(queue.size_approx() == 0);
  for (std::size_t i = 0; i < capacity; ++i) CHECK(queue.try_push(i % 2, nullptr));
  CHECK_FALSE(queue.try_push(0, nullptr));
}

}  // namespace

TEST_CASE("lock-freedom: a push that stops", "[queue][lock_freedom]") {
  const auto steps = stop_at_each_step<queue_type>(
      three_values, [](auto& queue, auto&) { CHECK(queue.try_push(0, std::make_unique<int>(7))); }, push_cancel_pop,
      all_places_are_there);
  CHECK(steps == 7);  // take a cell: 3; find the end: 2; fill it; move the tail
}

TEST_CASE("lock-freedom: a push that stops while it passes tombstones", "[queue][lock_freedom]") {
  const auto steps = stop_at_each_step<queue_type>(
      [](queue_type& queue) {
        tickets all;
        while (auto ticket = queue.try_push(all.size() % 2, std::make_unique<int>(1))) all.push_back(*ticket);
        for (std::size_t i = 0; i < 4; ++i) (void)queue.cancel(all[i]);
        return all;
      },
      [](auto& queue, auto&) { CHECK(queue.try_push(0, std::make_unique<int>(7))); },
      [](queue_type& queue) {
        (void)queue.try_pop();  // makes room, should it be full
        return push_cancel_pop(queue);
      },
      all_places_are_there);
  CHECK(steps > 20);
}

TEST_CASE("lock-freedom: a pop that stops", "[queue][lock_freedom]") {
  const auto steps = stop_at_each_step<queue_type>(
      three_values, [](auto& queue, auto&) { (void)queue.try_pop(); }, push_cancel_pop, all_places_are_there);
  CHECK(steps == 10);  // two fronts: 4; second collect: 1; take it; move the head; put the cell: 3
}

TEST_CASE("lock-freedom: a pop that stops while it passes tombstones", "[queue][lock_freedom]") {
  const auto steps = stop_at_each_step<queue_type>(
      [](queue_type& queue) {
        auto all = three_values(queue);
        (void)queue.cancel(all[0]);
        (void)queue.cancel(all[1]);
        return all;
      },
      [](auto& queue, auto&) { (void)queue.try_pop(); }, push_cancel_pop, all_places_are_there);
  CHECK(steps > 20);
}

TEST_CASE("lock-freedom: a cancel that stops", "[queue][lock_freedom]") {
  const auto steps = stop_at_each_step<queue_type>(
      three_values, [](auto& queue, tickets& all) { (void)queue.cancel(all[1]); }, push_cancel_pop,
      all_places_are_there);
  CHECK(steps == 4);  // look at the slot; begin; count the tombstone; finish
}

TEST_CASE("lock-freedom: a thread that stops costs the others one place", "[queue][lock_freedom]") {
  std::atomic<bool> asked{false};
  std::size_t least = capacity, most = 0;
  const auto steps = stop_at_each_step<queue_type>(
      [&](queue_type&) {
        asked = false;
        return tickets{};
      },
      [](auto& queue, auto&) { (void)queue.try_push(0, std::make_unique<int>(7)); },
      [&](queue_type& queue) {
        if (asked.exchange(true)) return operations;  // one of the threads is enough
        std::size_t room = 0;
        while (queue.try_push(1, nullptr)) ++room;
        least = std::min(least, room);
        most = std::max(most, room);
        return operations;
      },
      all_places_are_there);
  CHECK(steps == 7);
  CHECK(least == capacity - 1);
  CHECK(most == capacity);
}

TEST_CASE("lock-freedom: each cancelled value costs one later call a few steps", "[queue][lock_freedom]") {
  constexpr std::size_t many = 1000;
  queue_type queue{many};
  const auto steps_of = [&](auto call) {
    parking_place counter{~std::size_t{0}};  // a step that never comes
    my_place = &counter;
    call();
    my_place = nullptr;
    return counter.taken();
  };
  tickets all;
  for (std::size_t i = 0; i < many; ++i) all.push_back(queue.try_push(i % 2, nullptr).value());
  for (const auto& ticket : all) CHECK(steps_of([&] { (void)queue.cancel(ticket); }) == 4);
  const std::size_t first = steps_of([&] { (void)queue.try_pop(); });
  CHECK(first > many);
  CHECK(first < 7 * many);  // see it, pass it, count it, put its cell back
  CHECK(steps_of([&] { (void)queue.try_pop(); }) < 10);
  CHECK(steps_of([&] { (void)queue.try_push(0, nullptr); }) < 10);
}

TEST_CASE("lock-freedom: bounded_queue", "[queue][lock_freedom]") {
  using bounded = felix::bounded_queue<std::unique_ptr<int>, parking_atomics>;
  const auto prepare = [](bounded& queue) {
    for (int i = 0; i < 3; ++i) CHECK(queue.try_push(std::make_unique<int>(i)));
    return 0;
  };
  const auto other = [](bounded& queue) {
    std::size_t done = queue.try_push(std::make_unique<int>(5));
    done += queue.try_pop().has_value();
    return done;
  };
  const auto after = [](bounded& queue) {
    while (queue.try_pop()) {}
    for (std::size_t i = 0; i < capacity; ++i) CHECK(queue.try_push(nullptr));
    CHECK_FALSE(queue.try_push(nullptr));
  };
  CHECK(stop_at_each_step<bounded>(
            prepare, [](bounded& queue, int&) { CHECK(queue.try_push(std::make_unique<int>(7))); }, other, after) == 7);
  CHECK(stop_at_each_step<bounded>(prepare, [](bounded& queue, int&) { (void)queue.try_pop(); }, other, after) == 7);
}
