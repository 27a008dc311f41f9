// SPDX-License-Identifier: MIT
#include <felix/async/async_generator.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/channel.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/task.hpp>
#include <felix/async/timeout.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using ints = std::vector<int>;

static_assert(!std::is_aggregate_v<felix::async_generator<int>>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<felix::async_generator<int>::next_awaiter>, "g++ 12 would destroy it twice");
static_assert(!std::is_copy_constructible_v<felix::async_generator<int>>);

namespace {

felix::async_generator<int> count_to(int last) {
  for (int i = 1; i <= last; ++i) co_yield i;
}
felix::async_generator<int> count_slowly(int last) {
  for (int i = 1; i <= last; ++i) {
    co_await felix::sleep_for(10ms);
    co_yield i;
  }
}
felix::async_generator<int> fail_after(int last) {
  for (int i = 1; i <= last; ++i) co_yield i;
  throw std::runtime_error{"out of numbers"};
}
felix::async_generator<int> doubled(felix::async_generator<int> from) {
  while (auto value = co_await from.next()) co_yield 2 * *value;
}
felix::task<ints> collect(felix::async_generator<int> from) {
  ints all;
  while (auto value = co_await from.next()) all.push_back(*value);
  co_return all;
}

/// Notes its own end.
class noted {
 public:
  noted(std::string& log, char name) : log_{log}, name_{name} {}
  noted(noted&&) = delete;
  ~noted() { log_ += name_; }

 private:
  std::string& log_;
  char name_;
};
felix::async_generator<int> with_locals(std::string& log) {
  const noted outer{log, 'o'};
  for (int i = 0;; ++i) {
    const noted inner{log, 'i'};
    co_yield i;
  }
}
felix::task<void> take(felix::async_generator<int> from, int count) {
  for (int i = 0; i < count; ++i) static_cast<void>(co_await from.next());
}

}  // namespace

TEST_CASE("async_generator: gives its values in order, then nothing, however often it is asked",
          "[async][async_generator]") {
  CHECK(felix::sync_wait(collect(count_to(3))) == ints{1, 2, 3});
  CHECK(felix::sync_wait(collect(count_to(0))).empty());
  const auto ask_on = [](felix::async_generator<int> from) -> felix::task<int> {
    int nothings = 0;
    while (co_await from.next()) {}
    for (int i = 0; i < 3; ++i) nothings += (co_await from.next()).has_value() ? 0 : 1;
    co_return nothings;
  };
  CHECK(felix::sync_wait(ask_on(count_to(2))) == 3);
}

TEST_CASE("async_generator: runs only as far as it is asked", "[async][async_generator]") {
  felix::simulated_loop loop;
  int made = 0;
  const auto counting = [](int& count) -> felix::async_generator<int> {
    for (;;) co_yield ++count;
  };
  loop.run(take(counting(made), 0));
  CHECK(made == 0);
  loop.run(take(counting(made), 3));
  CHECK(made == 3);
}

TEST_CASE("async_generator: may wait between its values", "[async][async_generator]") {
  felix::simulated_loop loop;
  CHECK(loop.run(collect(doubled(count_slowly(3)))) == ints{2, 4, 6});
  CHECK(loop.now() == felix::simulated_loop::start + 30ms);
}

TEST_CASE("async_generator: yields what can only be moved, what is copied, and what is converted",
          "[async][async_generator]") {
  const auto pointers = []() -> felix::async_generator<std::unique_ptr<int>> {
    co_yield std::make_unique<int>(1);
    auto named = std::make_unique<int>(2);
    co_yield std::move(named);
  };
  const auto sum = [](felix::async_generator<std::unique_ptr<int>> from) -> felix::task<int> {
    int all = 0;
    while (auto next = co_await from.next()) all += **next;
    co_return all;
  };
  CHECK(felix::sync_wait(sum(pointers())) == 3);

  const auto words = [](const std::string& kept) -> felix::async_generator<std::string> {
    co_yield kept;
    co_yield "literal";
    co_yield std::string(40, 'x');
  };
  const auto join = [](felix::async_generator<std::string> from) -> felix::task<std::string> {
    std::string all;
    while (auto next = co_await from.next()) all += *next + "|";
    co_return all;
  };
  const std::string kept = "a text that is long enough to be on the heap";
  CHECK(felix::sync_wait(join(words(kept))) == kept + "|literal|" + std::string(40, 'x') + "|");
}

TEST_CASE("async_generator: an exception comes out of next once, and ends it", "[async][async_generator]") {
  const auto tolerate = [](felix::async_generator<int> from) -> felix::task<std::string> {
    std::string log;
    for (int i = 0; i < 5; ++i) {
      const auto next = co_await felix::as_result(from.next());
      log += !next ? next.message() : *next ? std::to_string(**next) : std::string{"-"};
      log += ' ';
    }
    co_return log;
  };
  CHECK(felix::sync_wait(tolerate(fail_after(2))) == "1 2 out of numbers - - ");
  CHECK_THROWS_WITH(felix::sync_wait(collect(doubled(fail_after(1)))), "out of numbers");
}

TEST_CASE("async_generator: a value whose copy throws is the generator's failure to handle",
          "[async][async_generator]") {
  struct fragile {
    fragile() = default;
    fragile(const fragile&) { throw std::runtime_error{"no copy"}; }
  };
  const auto yielding = [](std::string& log) -> felix::async_generator<fragile> {
    const fragile original;
    try {
      co_yield original;
    } catch (const std::runtime_error& failure) {
      log = failure.what();
    }
  };
  const auto drain = [](felix::async_generator<fragile> from) -> felix::task<void> {
    while (co_await from.next()) {}
  };
  std::string log;
  felix::sync_wait(drain(yielding(log)));
  CHECK(log == "no copy");
}

TEST_CASE("async_generator: left before its end it destroys what it holds at once", "[async][async_generator]") {
  felix::simulated_loop loop;
  std::string log;
  loop.run(take(with_locals(log), 3));
  CHECK(log == "iiio");
  log.clear();
  loop.run(take(with_locals(log), 0));  // never begun
  CHECK(log.empty());
}

TEST_CASE("async_generator: moved and assigned, it goes on where it was", "[async][async_generator]") {
  const auto moving = [](std::string& log) -> felix::task<int> {
    auto first = with_locals(log);
    co_await first.next();
    auto second = std::move(first);
    const auto value = co_await second.next();
    second = with_locals(log);  // destroys the old one
    co_return *value;
  };
  std::string log;
  CHECK(felix::sync_wait(moving(log)) == 1);
  CHECK(log == "iio");
}

TEST_CASE("async_generator: a stop reaches what it waits for, and ends it", "[async][async_generator]") {
  felix::simulated_loop loop;
  std::string log;
  const auto waiting = [](std::string& noted_in) -> felix::async_generator<int> {
    const noted local{noted_in, 'x'};
    co_yield 1;
    co_await felix::sleep_for(1h);
    co_yield 2;
  };
  const auto impatient = [](felix::async_generator<int> from, std::string& noted_in) -> felix::task<void> {
    co_await from.next();
    const auto late = co_await felix::as_result(felix::timeout(5s, from.next()));
    noted_in += late ? "value" : "late";
    noted_in += (co_await from.next()) ? " goes on" : " ended";
  };
  loop.run(impatient(waiting(log), log));
  CHECK(log == "xlate ended");
  CHECK(loop.now() == felix::simulated_loop::start + 5s);

  felix::stop_source stop;
  int cancelled = 0;
  loop.spawn(collect(count_slowly(3)), [&](felix::result<ints> r) { cancelled += !r; }, stop.get_token());
  loop.poll();
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
}

TEST_CASE("async_generator: inherits anew from each coroutine that asks", "[async][async_generator]") {
  // Two loops take turns with one generator.
  const auto schedulers = []() -> felix::async_generator<felix::scheduler*> {
    for (;;) {
      co_await felix::this_task::yield();
      co_yield co_await felix::this_task::scheduler();
    }
  };
  const auto ask = [](felix::async_generator<felix::scheduler*>& from) -> felix::task<felix::scheduler*> {
    co_return (co_await from.next()).value();
  };
  felix::simulated_loop one, other;
  auto shared = schedulers();
  CHECK(one.run(ask(shared)) == &one);
  CHECK(other.run(ask(shared)) == &other);
  CHECK(one.run(ask(shared)) == &one);
}

TEST_CASE("async_generator: one that moved to another scheduler lets its consumer stay", "[async][async_generator]") {
  felix::simulated_loop home;
  felix::basic_event_loop<felix::detail::thread_reactor, felix::steady_clock_source> away;
  felix::event end;
  std::thread other{[&] { away.run(end); }};
  std::vector<bool> made_away, taken_at_home;
  const auto away_each_time = [](auto& where, std::vector<bool>& log) -> felix::async_generator<int> {
    for (int i = 0; i < 3; ++i) {
      co_await where.schedule();
      log.push_back(where.is_current());
      co_yield i;
    }
  };
  felix::basic_event_loop<felix::detail::thread_reactor, felix::steady_clock_source> loop;
  const auto consume = [](felix::async_generator<int> from, auto& own, std::vector<bool>& log) -> felix::task<int> {
    int sum = 0;
    while (auto next = co_await from.next()) {
      log.push_back(own.is_current());
      sum += *next;
    }
    co_return sum;
  };
  CHECK(loop.run(consume(away_each_time(away, made_away), loop, taken_at_home)) == 3);
  CHECK(made_away == std::vector<bool>{true, true, true});
  CHECK(taken_at_home == std::vector<bool>{true, true, true});
  end.set();
  other.join();
}

TEST_CASE("async_generator: takes its frame from an allocator", "[async][async_generator]") {
  class counting : public std::pmr::memory_resource {
   public:
    std::size_t in_use = 0, all = 0;

   private:
    void* do_allocate(std::size_t bytes, std::size_t alignment) override {
      in_use += bytes;
      all += bytes;
      return std::pmr::new_delete_resource()->allocate(bytes, alignment);
    }
    void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
      in_use -= bytes;
      std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
    }
    [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
  };
  const auto counted = [](std::allocator_arg_t, std::pmr::polymorphic_allocator<>,
                          int last) -> felix::async_generator<int> {
    for (int i = 1; i <= last; ++i) co_yield i;
  };
  counting memory;
  CHECK(felix::sync_wait(collect(counted(std::allocator_arg, &memory, 3))) == ints{1, 2, 3});
  felix::sync_wait(take(counted(std::allocator_arg, &memory, 3), 1));
  CHECK(memory.all > 0);
  CHECK(memory.in_use == 0);
}

TEST_CASE("async_generator: a million values do not overflow the stack", "[async][async_generator]") {
  const auto sum = [](felix::async_generator<int> from) -> felix::task<long long> {
    long long all = 0;
    while (auto next = co_await from.next()) all += *next;
    co_return all;
  };
  CHECK(felix::sync_wait(sum(doubled(count_to(1'000'000)))) == 1'000'001'000'000);
}

TEST_CASE("async_generator: feeds a channel that several coroutines read", "[async][async_generator]") {
  felix::simulated_loop loop{3};
  felix::channel<int> channel{2};
  ints received;
  const auto feed = [](felix::async_generator<int> from, felix::channel<int>& to) -> felix::task<void> {
    while (auto next = co_await from.next())
      if (!co_await to.send(*next)) break;
    to.close();
  };
  const auto read = [](felix::channel<int>& from, ints& got) -> felix::task<void> {
    while (auto next = co_await from.receive()) got.push_back(*next);
  };
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(feed(count_slowly(10), channel));
    n.spawn(read(channel, received));
    n.spawn(read(channel, received));
    co_return;
  };
  loop.run(felix::with_nursery(body));
  CHECK(received == ints{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
}
