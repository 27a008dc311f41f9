// SPDX-License-Identifier: MIT
#include <felix/async/priority_channel.hpp>

#include <felix/agent/random.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_any.hpp>
#include <felix/error.hpp>
#include "support/catch.hpp"
#include "support/coroutines.hpp"
#include "support/seeds.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using ints = std::vector<int>;
using channel_of_ints = felix::priority_channel<int, 3>;

static_assert(!std::is_aggregate_v<channel_of_ints::push_awaiter>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<channel_of_ints::pop_awaiter>, "g++ 12 would destroy it twice");
static_assert(!std::is_move_constructible_v<channel_of_ints>);
static_assert(channel_of_ints::levels() == 3);

namespace {

/// A value's level is its number of tens.
std::size_t level_of(int value) { return static_cast<std::size_t>(value) / 10; }

felix::task<void> push_all(channel_of_ints& to, ints values, ints& refused) {
  for (const int value : values) {
    const bool accepted = co_await to.push(level_of(value), value);
    if (!accepted) refused.push_back(value);
  }
}
template <class Channel>
felix::task<void> pop_all(Channel& from, ints& popped) {
  while (const auto value = co_await from.pop()) popped.push_back(*value);
}
felix::task<void> pop_one(channel_of_ints& from, ints& popped) {
  if (const auto value = co_await from.pop()) popped.push_back(*value);
}
template <class Channel>
ints drained(Channel& channel) {
  ints values;
  while (const auto value = channel.try_pop()) values.push_back(*value);
  return values;
}
const auto ignore = [](felix::result<void>) {};

/// Says what became of waits.
class counted {
 public:
  void operator()(const felix::result<void>& ended) { ended ? ++passed : ++cancelled; }
  int passed = 0, cancelled = 0;
};

/// How a `made` comes about. By then its place is taken, and it is not yet in the queue.
class recipe {
 public:
  recipe(int n, std::function<void()> meanwhile) : number{n}, during{std::move(meanwhile)} {}
  int number;
  std::function<void()> during;
};
/// A value that lets a test stand in the middle of a call: while it is made, and while it is moved.
class made {
 public:
  explicit made(const recipe& of) : number{of.number} { of.during(); }
  explicit made(int n) noexcept : number{n} {}
  made(made&& other) noexcept : number{std::exchange(other.number, -1)} {
    if (on_move && moves_before-- == 0) std::exchange(on_move, {})();
  }
  made& operator=(made&& other) noexcept {
    number = std::exchange(other.number, -1);
    return *this;
  }
  ~made() = default;
  int number;

  /// The next move but `before` of them runs `what`.
  static void when_moved(int before, std::function<void()> what) {
    moves_before = before;
    on_move = std::move(what);
  }

 private:
  static inline int moves_before = 0;
  static inline std::function<void()> on_move;
};
using channel_of_made = felix::priority_channel<made, 2>;

felix::task<void> push_made(channel_of_made& to, std::size_t level, int number, std::string& outcome) {
  const bool accepted = co_await to.push(level, made{number});
  outcome = accepted ? "pushed" : "refused";
}
felix::task<void> pop_made(channel_of_made& from, std::string& outcome) {
  const auto value = co_await from.pop();
  outcome = value ? std::to_string(value->number) : "end";
}

}  // namespace

TEST_CASE("priority_channel: a level computed from the value in the same call is of the value as it was",
          "[async][priority_channel]") {
  using boxed = felix::priority_channel<std::unique_ptr<int>, 2>;
  struct sender {
    static felix::task<void> send(boxed& to) {
      auto value = std::make_unique<int>(1);
      const auto level_of_it = [](const std::unique_ptr<int>& of) { return std::size_t{of == nullptr ? 1u : 0u}; };
      const bool accepted = co_await to.push(level_of_it(value), std::move(value));
      CHECK(accepted);
    }
  };
  boxed channel{2};
  felix::sync_wait(sender::send(channel));
  CHECK(channel.size_approx(0) == 1);
}

TEST_CASE("priority_channel: a value that a waiting push brings serves the pop that waits behind it",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{1};
  REQUIRE(channel.try_push(0, made{1}));
  std::string pushed, popped;
  made::when_moved(0, [&] {  // in the middle of try_pop: the queue is empty, and the place not yet free
    loop.spawn(push_made(channel, 0, 2, pushed), [](felix::result<void>) {});
    loop.spawn(pop_made(channel, popped), [](felix::result<void>) {});
    loop.poll();
  });
  CHECK(channel.try_pop());
  loop.poll();
  CHECK(pushed == "pushed");
  CHECK(popped == "2");
  channel.close();
  loop.poll();
}

TEST_CASE("priority_channel: a capacity that cannot be is refused in its name", "[async][priority_channel]") {
  CHECK_THROWS_WITH(channel_of_ints{0}, Catch::Matchers::ContainsSubstring("priority_channel: a capacity is from 1"));
}

TEST_CASE("priority_channel: by level, and within a level in the order of the pushes", "[async][priority_channel]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  CAPTURE(seed);
  channel_of_ints channel{9};
  CHECK(channel.capacity() == 9);
  ints next{0, 10, 20};
  for (const char level : felix::test::shuffled("000111222", seed)) {
    int& value = next[static_cast<std::size_t>(level - '0')];
    REQUIRE(channel.try_push(level_of(value), value));
    ++value;
  }
  CHECK(channel.size_approx() == 9);
  CHECK(channel.size_approx(1) == 3);
  CHECK(drained(channel) == ints{0, 1, 2, 10, 11, 12, 20, 21, 22});
  CHECK(channel.size_approx() == 0);
}

TEST_CASE("priority_channel: values pass through, to the end", "[async][priority_channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 7, 100);
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  CAPTURE(capacity, seed);
  felix::simulated_loop loop{seed};
  channel_of_ints channel{capacity};
  ints popped, refused;
  const ints values{10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(pop_all(channel, popped));
    co_await push_all(channel, values, refused);
    channel.close();
  };
  loop.run(felix::with_nursery(body));
  CHECK(popped == values);
  CHECK(refused.empty());
}

TEST_CASE("priority_channel: as many values as it has places are pushed without waiting", "[async][priority_channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 3, 20);
  felix::simulated_loop loop;
  channel_of_ints channel{capacity};
  ints refused;
  counted ends;
  for (std::size_t i = 0; i < capacity + 2; ++i)
    loop.spawn(push_all(channel, {static_cast<int>(i)}, refused), [&](felix::result<void> r) { ends(r); });
  loop.poll();
  CHECK(ends.passed == static_cast<int>(capacity));
  for (std::size_t i = 0; i < capacity + 2; ++i) {
    CHECK(channel.try_pop() == static_cast<int>(i));
    loop.poll();
    CHECK(ends.passed == static_cast<int>(std::min(capacity + 2, capacity + i + 1)));
  }
  CHECK_FALSE(channel.try_pop());
}

TEST_CASE("priority_channel: a place goes to the waiting push of the highest level that came first",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{1};
  ints refused, order;
  REQUIRE(channel.try_push(2, 29));
  for (const int value : {20, 10, 21, 0, 11, 1})
    loop.spawn(push_all(channel, {value}, refused), [&order, value](felix::result<void>) { order.push_back(value); });
  CHECK_FALSE(channel.try_push(0, 2));
  CHECK(drained(channel) == ints{29, 0, 1, 10, 11, 20, 21});
  loop.poll();
  CHECK(order == ints{0, 1, 10, 11, 20, 21});
  CHECK(refused.empty());
}

TEST_CASE("priority_channel: every place that becomes free is given away at once", "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{2};
  ints refused, popped;
  for (const int value : {0, 1, 10, 11}) loop.spawn(push_all(channel, {value}, refused), ignore);
  loop.spawn(pop_all(channel, popped), ignore);  // takes what is there, and what the others then push
  CHECK(popped == ints{0, 1, 10, 11});
  CHECK(channel.size_approx() == 0);
  REQUIRE(channel.try_push(2, 20));
  CHECK(channel.size_approx() == 0);  // handed over, though the other has not run yet
  loop.poll();
  CHECK(popped.back() == 20);
  channel.close();
  loop.poll();
}

TEST_CASE("priority_channel: pops that wait are served in the order in which they came", "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{2};
  ints first, second, third;
  loop.spawn(pop_one(channel, first), ignore);
  loop.spawn(pop_one(channel, second), ignore);
  REQUIRE(channel.try_push(2, 20));
  REQUIRE(channel.try_push(0, 0));
  CHECK_FALSE(channel.try_pop());  // both are promised
  loop.spawn(pop_one(channel, third), ignore);
  loop.poll();
  CHECK(first == ints{20});
  CHECK(second == ints{0});
  CHECK(third.empty());
  channel.close();
  loop.poll();
}

TEST_CASE("priority_channel: try_push and try_pop never wait, and refuse untouched values",
          "[async][priority_channel]") {
  felix::priority_channel<std::unique_ptr<int>, 2> channel{2};
  CHECK_FALSE(channel.try_pop());
  CHECK(channel.try_push(1, std::make_unique<int>(1)));
  CHECK(channel.try_push(0, std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  CHECK_FALSE(channel.try_push(0, std::move(third)));
  REQUIRE(third);
  CHECK(**channel.try_pop() == 2);
  CHECK(channel.try_push(1, std::move(third)));
  CHECK(**channel.try_pop() == 1);
  CHECK_FALSE(channel.is_closed());
  channel.close();
  channel.close();
  CHECK(channel.is_closed());
  auto late = std::make_unique<int>(4);
  CHECK_FALSE(channel.try_push(0, std::move(late)));
  CHECK(late);
  CHECK(**channel.try_pop() == 3);  // accepted before
  CHECK_FALSE(channel.try_pop());
}

TEST_CASE("priority_channel: no capacity is refused with a reason", "[async][priority_channel]") {
  CHECK_THROWS_WITH(channel_of_ints{0}, ContainsSubstring("capacity"));
}

TEST_CASE("priority_channel: a waiting pop gets what comes between its two looks, and so does a push",
          "[async][priority_channel]") {
  channel_of_ints channel{1};
  {
    auto wait = channel.pop();
    REQUIRE_FALSE(wait.await_ready());
    REQUIRE(channel.try_push(1, 10));
    CHECK_FALSE(wait.await_suspend(std::noop_coroutine()));
    CHECK(wait.await_resume() == 10);
  }
  REQUIRE(channel.try_push(1, 11));
  {
    auto wait = channel.push(0, 0);
    REQUIRE_FALSE(wait.await_ready());
    CHECK(channel.try_pop() == 11);
    CHECK_FALSE(wait.await_suspend(std::noop_coroutine()));
    CHECK(wait.await_resume());
  }
  CHECK(channel.size_approx() == 1);
  {
    auto wait = channel.push(0, 1);
    REQUIRE_FALSE(wait.await_ready());
    channel.close();
    CHECK_FALSE(wait.await_suspend(std::noop_coroutine()));
    CHECK_FALSE(wait.await_resume());
  }
  CHECK(channel.try_pop() == 0);
  channel_of_ints other{1};
  auto wait = other.pop();
  REQUIRE_FALSE(wait.await_ready());
  other.close();
  CHECK_FALSE(wait.await_suspend(std::noop_coroutine()));
  CHECK_FALSE(wait.await_resume());
}

TEST_CASE("priority_channel: a push that begins to wait while a pop holds its place gets it",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{1};
  std::string outcome;
  REQUIRE(channel.try_push(1, made{1}));
  made::when_moved(0, [&] {  // out of the cell, which is not free before the move has ended
    loop.spawn(push_made(channel, 1, 2, outcome), ignore);
    CHECK(channel.size_approx() == 0);
    CHECK(outcome.empty());
  });
  CHECK(channel.try_pop()->number == 1);
  CHECK(channel.size_approx() == 1);
  loop.poll();
  CHECK(outcome == "pushed");
}

TEST_CASE("priority_channel: a push that begins to wait while another has the place gets it when that one fails",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{1};
  std::string outcome;
  const recipe bad{1, [&] {
                     loop.spawn(push_made(channel, 1, 2, outcome), ignore);
                     CHECK(outcome.empty());
                     throw std::runtime_error{"not made"};
                   }};
  CHECK_THROWS_WITH(channel.try_push(0, bad), "not made");
  CHECK(channel.size_approx() == 1);
  loop.poll();
  CHECK(outcome == "pushed");
  CHECK(channel.try_pop()->number == 2);

  CHECK_THROWS(channel.try_push(0, recipe{1, [] { throw std::runtime_error{"again"}; }}));
  CHECK(channel.try_push(0, made{3}));  // no place was lost
  CHECK(channel.try_pop()->number == 3);
}

TEST_CASE("priority_channel: a push that only tries does not take the place of one that waits",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{1};
  std::string outcome;
  REQUIRE(channel.try_push(1, made{1}));
  made::when_moved(0, [&] {
    loop.spawn(push_made(channel, 1, 2, outcome), ignore);
    made::when_moved(0, [&] {  // out of the queue's hands: the cell is free, and nobody has been served yet
      CHECK_FALSE(channel.try_push(1, recipe{3, [] { FAIL("there was a place"); }}));
      CHECK(channel.size_approx() == 1);  // but it has given the place to the one who waits
    });
  });
  CHECK(channel.try_pop()->number == 1);
  CHECK(channel.try_pop()->number == 2);
  CHECK_FALSE(channel.try_pop());
  loop.poll();
}

TEST_CASE("priority_channel: a push that only tries finds the place that those who wait have left",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{2};
  std::string outcome;
  REQUIRE(channel.try_push(1, made{1}));
  REQUIRE(channel.try_push(1, made{2}));
  loop.spawn(push_made(channel, 1, 3, outcome), ignore);
  made::when_moved(1, [&] {  // a place is free, and nobody has been served yet
    made::when_moved(1, [&] { CHECK(channel.try_push(1, made{4})); });  // two are
    CHECK(channel.try_pop()->number == 2);
  });
  CHECK(channel.try_pop()->number == 1);
  CHECK(channel.try_pop()->number == 3);
  CHECK(channel.try_pop()->number == 4);
  loop.poll();
  CHECK(outcome == "pushed");
}

TEST_CASE("priority_channel: a pop that begins to wait while a value is made gets it", "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{1};
  std::string popped, pushed;
  CHECK(channel.try_push(1, recipe{7, [&] {
                                     loop.spawn(pop_made(channel, popped), ignore);
                                     loop.spawn(push_made(channel, 1, 8, pushed), ignore);
                                   }}));
  loop.poll();
  CHECK(popped == "7");
  CHECK(pushed == "pushed");  // in the place of the one that was handed over
  CHECK(channel.try_pop()->number == 8);
}

TEST_CASE("priority_channel: a pop waits on after a value that could not be made", "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{1};
  std::string popped;
  loop.spawn(pop_made(channel, popped), ignore);
  CHECK_THROWS(channel.try_push(0, recipe{1, [] { throw std::runtime_error{"not made"}; }}));
  loop.poll();
  CHECK(popped.empty());
  CHECK(channel.try_push(0, made{2}));
  loop.poll();
  CHECK(popped == "2");
}

TEST_CASE("priority_channel: a push that is overtaken by close is accepted, or taken back once the end was told",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{4};
  std::string outcome;
  SECTION("nobody was told the end: the value is still popped") {
    CHECK(channel.try_push(0, recipe{1, [&] { channel.close(); }}));
    CHECK(channel.size_approx() == 1);
    loop.spawn(pop_made(channel, outcome), ignore);
    CHECK(outcome == "1");
  }
  SECTION("a pop was told the end") {
    CHECK_FALSE(channel.try_push(0, recipe{1, [&] {
                                             channel.close();
                                             loop.spawn(pop_made(channel, outcome), ignore);
                                             CHECK(outcome == "end");
                                           }}));
    CHECK(channel.size_approx() == 0);
  }
  SECTION("a pop that waited was told the end") {
    loop.spawn(pop_made(channel, outcome), ignore);
    CHECK_FALSE(channel.try_push(0, recipe{1, [&] { channel.close(); }}));
    CHECK(channel.size_approx() == 0);
    loop.poll();
    CHECK(outcome == "end");
  }
  SECTION("a pop that began to wait before was told the end") {
    auto wait = channel.pop();
    REQUIRE_FALSE(wait.await_ready());
    CHECK_FALSE(channel.try_push(0, recipe{1, [&] {
                                             channel.close();
                                             REQUIRE_FALSE(wait.await_suspend(std::noop_coroutine()));
                                             CHECK_FALSE(wait.await_resume());
                                           }}));
    CHECK(channel.size_approx() == 0);
  }
  SECTION("what was moved comes back") {
    made value{7};
    made::when_moved(0, [&] {
      channel.close();
      CHECK_FALSE(channel.try_pop());
    });
    CHECK_FALSE(channel.try_push(0, std::move(value)));
    CHECK(value.number == 7);
  }
  SECTION("a push that is awaited is refused") {
    auto push = channel.push(0, made{1});
    made::when_moved(0, [&] {
      channel.close();
      CHECK_FALSE(channel.try_pop());
    });
    CHECK(push.await_ready());
    CHECK_FALSE(push.await_resume());
    CHECK(channel.size_approx() == 0);
  }
  CHECK_FALSE(channel.try_pop());
  CHECK_FALSE(channel.try_push(0, made{2}));
}

TEST_CASE("priority_channel: close refuses pushes that wait, and lets what was accepted be popped",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{2};
  ints refused, popped;
  counted ends;
  loop.spawn(push_all(channel, {20, 10, 0, 1}, refused), [&](felix::result<void> r) { ends(r); });
  loop.spawn(push_all(channel, {21}, refused), [&](felix::result<void> r) { ends(r); });
  channel.close();
  channel.close();
  CHECK_FALSE(channel.try_push(0, 5));
  loop.poll();
  CHECK(ends.passed == 2);
  std::sort(refused.begin(), refused.end());
  CHECK(refused == ints{0, 1, 21});
  loop.run(pop_all(channel, popped));
  CHECK(popped == ints{10, 20});
  loop.run(push_all(channel, {3}, refused));
  CHECK(refused.back() == 3);
}

TEST_CASE("priority_channel: close ends pops that wait", "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{3};
  ints popped;
  counted ends;
  for (int i = 0; i < 3; ++i) loop.spawn(pop_all(channel, popped), [&](felix::result<void> r) { ends(r); });
  loop.poll();
  CHECK(ends.passed == 0);
  channel.close();
  loop.poll();
  CHECK(ends.passed == 3);
  CHECK(popped.empty());
}

TEST_CASE("priority_channel: a push that waits is refused even if a place is about to become free",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_made channel{1};
  std::string outcome;
  REQUIRE(channel.try_push(0, made{1}));
  made::when_moved(0, [&] {
    loop.spawn(push_made(channel, 0, 2, outcome), ignore);
    made::when_moved(0, [&] { channel.close(); });  // the cell is free
  });
  CHECK(channel.try_pop()->number == 1);
  loop.poll();
  CHECK(outcome == "refused");
  CHECK_FALSE(channel.try_pop());
}

TEST_CASE("priority_channel: a stop takes a waiting push out, and its value was not pushed",
          "[async][priority_channel]") {
  const auto stopped = GENERATE(0, 1, 2);
  felix::simulated_loop loop;
  channel_of_ints channel{1};
  ints refused;
  std::vector<counted> ends(3);
  felix::stop_source stop;
  REQUIRE(channel.try_push(0, 9));
  for (int i = 0; i < 3; ++i) {
    auto& mine = ends[static_cast<std::size_t>(i)];
    loop.spawn(
        push_all(channel, {10 + i}, refused), [&mine](felix::result<void> r) { mine(r); },
        i == stopped ? stop.get_token() : felix::stop_token{});
  }
  stop.request_stop();
  loop.poll();
  ints expected{9};
  for (int i = 0; i < 3; ++i) {
    CHECK(ends[static_cast<std::size_t>(i)].cancelled == (i == stopped ? 1 : 0));
    if (i != stopped) expected.push_back(10 + i);
  }
  CHECK(drained(channel) == expected);
  loop.poll();
  CHECK(refused.empty());
}

TEST_CASE("priority_channel: after the only push that waited was stopped, others find the place",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{1};
  ints refused, popped;
  counted ends;
  felix::stop_source stop;
  REQUIRE(channel.try_push(0, 0));
  loop.spawn(push_all(channel, {1}, refused), [&](felix::result<void> r) { ends(r); }, stop.get_token());
  stop.request_stop();
  CHECK(channel.try_pop() == 0);
  CHECK(channel.try_push(2, 20));
  CHECK(channel.try_pop() == 20);
  loop.spawn(pop_one(channel, popped), [&](felix::result<void> r) { ends(r); }, stop.get_token());
  loop.poll();
  CHECK(ends.cancelled == 2);
  CHECK(channel.try_push(0, 2));
  CHECK(channel.try_pop() == 2);
}

TEST_CASE("priority_channel: a stop takes a waiting pop out, and the value goes to the next",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{1};
  ints first, second;
  counted ends;
  felix::stop_source stop;
  loop.spawn(pop_one(channel, first), [&](felix::result<void> r) { ends(r); }, stop.get_token());
  loop.spawn(pop_one(channel, second), ignore);
  stop.request_stop();
  REQUIRE(channel.try_push(1, 10));
  loop.poll();
  CHECK(ends.cancelled == 1);
  CHECK(first.empty());
  CHECK(second == ints{10});
}

TEST_CASE("priority_channel: a stop after a value was handed over comes too late, and one before a wait ends it",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{1};
  ints popped, refused;
  counted ends;
  felix::stop_source stop;
  const auto note = [&](felix::result<void> r) { ends(r); };
  loop.spawn(pop_one(channel, popped), note, stop.get_token());
  REQUIRE(channel.try_push(1, 10));
  stop.request_stop();
  loop.poll();
  CHECK(ends.passed == 1);
  CHECK(popped == ints{10});

  loop.spawn(push_all(channel, {11}, refused), note, stop.get_token());  // what need not wait is not stopped
  loop.spawn(pop_one(channel, popped), note, stop.get_token());
  CHECK(ends.passed == 3);
  CHECK(popped == ints{10, 11});
  loop.spawn(pop_one(channel, popped), note, stop.get_token());
  CHECK(ends.cancelled == 1);
  REQUIRE(channel.try_push(0, 0));
  loop.spawn(push_all(channel, {1}, refused), note, stop.get_token());
  CHECK(ends.cancelled == 2);

  felix::stop_source later;  // admitted before the stop, resumed after it
  loop.spawn(push_all(channel, {2}, refused), note, later.get_token());
  CHECK(channel.try_pop() == 0);
  later.request_stop();
  loop.poll();
  CHECK(ends.passed == 4);
  CHECK(channel.try_pop() == 2);
  channel.close();
  loop.spawn(pop_one(channel, popped), note, stop.get_token());
  loop.spawn(push_all(channel, {3}, refused), note, stop.get_token());
  CHECK(ends.passed == 6);
}

TEST_CASE("priority_channel: a time limit that runs out as a value comes loses none", "[async][priority_channel]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{64}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  channel_of_ints channel{1 + seed % 3};
  ints popped, refused;
  int timed_out = 0;
  const auto impatient = [](channel_of_ints& from, ints& got, int& late) -> felix::task<void> {
    while (got.size() < 10) {
      const auto value = co_await felix::as_result(felix::timeout(1us, from.pop()));
      value ? got.push_back(value->value()) : void(++late);
    }
  };
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(impatient(channel, popped, timed_out));
    for (int i = 0; i < 10; ++i) {
      co_await felix::sleep_for(1us);  // as long as the limit: both are due at once
      n.spawn(push_all(channel, {i}, refused));
    }
  };
  loop.run(felix::with_nursery(body));
  std::sort(popped.begin(), popped.end());
  CHECK(popped == ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(refused.empty());
  CHECK(channel.size_approx() == 0);
}

TEST_CASE("priority_channel: a pop that loses a when_any leaves the value for others, and so does a push its place",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  channel_of_ints channel{1};
  felix::event go;
  const auto either_pop = [](channel_of_ints& from, felix::event& event) -> felix::task<std::size_t> {
    co_return (co_await felix::when_any(from.pop(), event)).index;
  };
  const auto either_push = [](channel_of_ints& to, felix::event& event) -> felix::task<std::size_t> {
    co_return (co_await felix::when_any(to.push(0, 7), event)).index;
  };
  std::size_t winner = 0;
  loop.spawn(either_pop(channel, go), [&](felix::result<std::size_t> r) { winner = r.value(); });
  go.set();
  loop.poll();
  CHECK(winner == 1);
  REQUIRE(channel.try_push(1, 10));
  CHECK(channel.size_approx() == 1);  // nobody pops any more
  go.reset();
  winner = 0;
  loop.spawn(either_push(channel, go), [&](felix::result<std::size_t> r) { winner = r.value(); });
  go.set();
  loop.poll();
  CHECK(winner == 1);
  CHECK(drained(channel) == ints{10});
}

TEST_CASE("priority_channel: with aging, neither a value nor a push that waits is starved",
          "[async][priority_channel]") {
  felix::simulated_loop loop;
  SECTION("inside, one pop in four begins with level 1") {
    felix::priority_channel<int, 2, felix::aging_order<3>> channel{100};
    for (int i = 0; i < 40; ++i) REQUIRE(channel.try_push(0, i));
    for (int i = 0; i < 4; ++i) REQUIRE(channel.try_push(1, 100 + i));
    ints popped;
    for (int i = 0; i < 16; ++i) popped.push_back(channel.try_pop().value());
    CHECK(popped == ints{0, 1, 2, 100, 3, 4, 5, 101, 6, 7, 8, 102, 9, 10, 11, 103});
  }
  SECTION("outside, one place in two is offered to level 1 first") {
    felix::priority_channel<int, 2, felix::aging_order<1>> channel{1};
    const auto push = [](auto& to, std::size_t level, int value, ints& order) -> felix::task<void> {
      const bool accepted = co_await to.push(level, value);
      if (accepted) order.push_back(value);
    };
    ints order;
    REQUIRE(channel.try_push(0, 99));
    for (const int value : {0, 1, 2, 3, 4, 10, 11}) loop.spawn(push(channel, level_of(value), value, order), ignore);
    for (int i = 0; i < 8; ++i) {
      CHECK(channel.try_pop());
      CHECK_FALSE(channel.try_push(0, 50) != (i == 7));  // a place that nobody got costs nobody his turn
      loop.poll();
    }
    CHECK(order == ints{0, 10, 1, 11, 2, 3, 4});
  }
}

namespace {

felix::test::foreign pop_foreign(channel_of_ints& from, ints& popped) {
  while (const auto value = co_await from.pop()) popped.push_back(*value);
  popped.push_back(-1);
}
felix::test::foreign push_foreign(channel_of_ints& to, int value, std::string& outcome) {
  const bool accepted = co_await to.push(level_of(value), value);
  outcome = accepted ? "pushed" : "refused";
}

}  // namespace

TEST_CASE("priority_channel: a coroutine that is not felix's goes on inside the call that serves it",
          "[async][priority_channel]") {
  channel_of_ints channel{1};
  ints popped;
  pop_foreign(channel, popped);
  REQUIRE(channel.try_push(2, 20));
  REQUIRE(channel.try_push(0, 0));
  CHECK(popped == ints{20, 0});
  channel.close();
  CHECK(popped == ints{20, 0, -1});

  channel_of_ints other{1};
  std::string first, second;
  push_foreign(other, 1, first);
  push_foreign(other, 2, second);
  CHECK(first == "pushed");
  CHECK(second.empty());
  CHECK(other.try_pop() == 1);
  CHECK(second == "pushed");
  CHECK(other.try_pop() == 2);
}

// The channel as a list of rules. On one thread what a call hands over is decided by the end of the call.
namespace {

class rules {
 public:
  explicit rules(std::size_t capacity) : capacity_{capacity} {}

  /// Each gives what becomes of operation `which`, empty while it waits; `outcomes` has what it means for others.
  void push(std::size_t which, std::size_t level, int value, bool may_wait) {
    if (closed_) return is(which, "refused");
    if (!poppers_.empty()) {
      is(take(poppers_), std::to_string(value));
      return is(which, "pushed");
    }
    if (size() < capacity_) {
      inside_[level].push_back(value);
      return is(which, "pushed");
    }
    if (!may_wait) return is(which, "would wait");
    pushers_[level].push_back({which, value});
  }
  void pop(std::size_t which, bool may_wait) {
    for (auto& level : inside_) {
      if (level.empty()) continue;
      is(which, std::to_string(take(level)));
      for (std::size_t i = 0; i < pushers_.size(); ++i) {
        if (pushers_[i].empty()) continue;
        const auto [admitted, value] = take(pushers_[i]);
        inside_[i].push_back(value);
        return is(admitted, "pushed");
      }
      return;
    }
    if (closed_) return is(which, "end");
    if (!may_wait) return is(which, "would wait");
    poppers_.push_back(which);
  }
  void stop(std::size_t which) {
    if (which >= outcomes.size() || !outcomes[which].empty()) return;
    is(which, "cancelled");
    std::erase(poppers_, which);
    for (auto& level : pushers_) std::erase_if(level, [&](const auto& each) { return each.first == which; });
  }
  void close() {
    closed_ = true;
    while (!poppers_.empty()) is(take(poppers_), "end");
    for (auto& level : pushers_) {
      while (!level.empty()) is(take(level).first, "refused");
    }
  }
  [[nodiscard]] std::size_t size() const { return inside_[0].size() + inside_[1].size() + inside_[2].size(); }
  std::vector<std::string> outcomes;

 private:
  void is(std::size_t which, std::string outcome) {
    outcomes.resize(std::max(outcomes.size(), which + 1));
    outcomes[which] = std::move(outcome);
  }
  template <class D>
  static typename D::value_type take(D& from) {
    auto front = from.front();
    from.pop_front();
    return front;
  }

  std::size_t capacity_;
  bool closed_ = false;
  std::vector<std::deque<int>> inside_{3};
  std::vector<std::deque<std::pair<std::size_t, int>>> pushers_{3};
  std::deque<std::size_t> poppers_;
};

felix::task<void> push_noted(channel_of_ints& to, std::size_t level, int value, std::string& outcome) {
  try {
    const bool accepted = co_await to.push(level, value);
    outcome = accepted ? "pushed" : "refused";
  } catch (const felix::cancelled&) {
    outcome = "cancelled";
  }
}
felix::task<void> pop_noted(channel_of_ints& from, std::string& outcome) {
  try {
    const auto value = co_await from.pop();
    outcome = value ? std::to_string(*value) : "end";
  } catch (const felix::cancelled&) {
    outcome = "cancelled";
  }
}

/// Empty, or the first thing that was not as the rules say.
std::string play(std::uint64_t seed) {
  felix::seeded_random random{felix::derive_seed(seed, "priority_channel", 0)};
  const auto draw = [&](std::size_t below) { return static_cast<std::size_t>(random.next() % below); };
  const std::size_t capacity = 1 + draw(4);
  const std::size_t steps = 20 + draw(30);
  const std::size_t pops_in_8 = 2 + draw(5);  // more pushes than pops, or fewer
  rules expected{capacity};
  channel_of_ints channel{capacity};
  std::vector<std::string> seen(steps);
  std::deque<felix::stop_source> stops(steps);
  felix::simulated_loop loop{seed};
  std::string log = "capacity " + std::to_string(capacity) + ": ";
  for (std::size_t i = 0; i < steps; ++i) {
    expected.outcomes.resize(i + 1);
    const bool tries = draw(4) == 0;
    const bool stopped = draw(16) == 0;
    const std::size_t level = draw(3);
    const int value = static_cast<int>(i);
    if (stopped) stops[i].request_stop();
    if (draw(40) == 0) {
      log += "close ";
      channel.close();
      expected.close();
    }
    if (draw(8) < pops_in_8) {
      log += (tries ? "try_pop " : "pop ") + std::to_string(i) + ' ';
      expected.pop(i, !tries);
      if (tries) {
        const auto got = channel.try_pop();
        seen[i] = got ? std::to_string(*got) : expected.outcomes[i] == "end" ? "end" : "would wait";
      } else {
        loop.spawn(pop_noted(channel, seen[i]), ignore, stops[i].get_token());
      }
    } else {
      log += (tries ? "try_push " : "push ") + std::to_string(i) + '@' + std::to_string(level) + ' ';
      expected.push(i, level, value, !tries);
      if (tries) {
        const bool accepted = channel.try_push(level, value);
        seen[i] = accepted ? "pushed" : expected.outcomes[i] == "refused" ? "refused" : "would wait";
      } else {
        loop.spawn(push_noted(channel, level, value, seen[i]), ignore, stops[i].get_token());
      }
    }
    if (stopped) expected.stop(i);
    if (draw(6) == 0) {
      const std::size_t other = draw(i + 1);
      log += "stop " + std::to_string(other) + ' ';
      stops[other].request_stop();
      expected.stop(other);
    }
    if (channel.size_approx() != expected.size()) return log + "and then there are not as many values in";
    if (draw(3) != 0) continue;
    loop.poll();
    for (std::size_t k = 0; k <= i; ++k) {
      if (seen[k] != expected.outcomes[k])
        return log + "and then " + std::to_string(k) + " is \"" + seen[k] + "\", not \"" + expected.outcomes[k] + '"';
    }
  }
  channel.close();
  expected.close();
  loop.poll();
  return seen == expected.outcomes ? "" : log + "and close, and then they ended in another way";
}

}  // namespace

TEST_CASE("priority_channel: 10,000 random programs do what the rules say", "[async][priority_channel]") {
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    const std::string wrong = play(seed);
    if (!wrong.empty()) FAIL("seed " << seed << ": " << wrong);
  }
}

TEST_CASE("priority_channel: several threads push and pop, and every value arrives once, in its sender's order",
          "[async][priority_channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 8);
  constexpr int senders = 3, receivers = 2, each = 600;
  felix::priority_channel<int, 3> channel{capacity};
  std::vector<ints> popped(receivers);
  const auto send = [](felix::priority_channel<int, 3>& to, int sender, bool& all) -> felix::task<void> {
    for (int i = 0; i < each; ++i) {
      const bool accepted = co_await to.push(static_cast<std::size_t>(i % 3), sender * each + i);
      all = all && accepted;
    }
  };
  std::vector<std::thread> threads;
  for (int r = 0; r < receivers; ++r)
    threads.emplace_back([&, r] { felix::sync_wait(pop_all(channel, popped[static_cast<std::size_t>(r)])); });
  std::atomic<int> sending{senders};
  std::deque<bool> accepted(senders, true);
  for (int s = 0; s < senders; ++s) {
    threads.emplace_back([&, s] {
      felix::sync_wait(send(channel, s, accepted[static_cast<std::size_t>(s)]));
      if (--sending == 0) channel.close();
    });
  }
  for (auto& thread : threads) thread.join();
  ints seen(senders * each, 0);
  for (const ints& got : popped) {
    ints last(senders * 3, -1);
    bool in_order = true;
    for (const int value : got) {
      ++seen[static_cast<std::size_t>(value)];
      int& before = last[static_cast<std::size_t>(value / each * 3 + value % each % 3)];
      in_order = in_order && value > before;
      before = value;
    }
    CHECK(in_order);
  }
  CHECK(seen == ints(senders * each, 1));
  CHECK(accepted == std::deque<bool>(senders, true));
  CHECK(channel.size_approx() == 0);
}

namespace {

/// Two threads rush through many channels. The one begins to wait at each; the other does what it waits for.
template <class Wait, class Serve>
void rush(const Wait& wait, const Serve& serve) {
  std::atomic<int> ready{0};
  const auto start = [&ready] {
    for (++ready; ready < 2;) std::this_thread::yield();
  };
  std::thread other{[&] {
    start();
    serve();
  }};
  start();
  wait();
  other.join();
}

}  // namespace

TEST_CASE("priority_channel: nobody who begins to wait misses what comes at that moment", "[async][priority_channel]") {
  constexpr std::size_t size = 256;
  int missed_pops = 0, missed_pushes = 0;
  for (int round = 0; round < 200; ++round) {
    {
      std::deque<channel_of_ints> channels;
      std::deque<channel_of_ints::pop_awaiter> waits;
      for (std::size_t i = 0; i < size; ++i) waits.push_back(channels.emplace_back(std::size_t{1}).pop());
      const auto wait = [&] {
        for (auto& each : waits) {
          if (!each.await_ready()) static_cast<void>(each.await_suspend(std::noop_coroutine()));
        }
      };
      const auto serve = [&] {
        for (auto& each : channels) static_cast<void>(each.try_push(2, 20));
      };
      rush(wait, serve);
      for (auto& each : channels) {
        missed_pops += each.size_approx() == 0 ? 0 : 1;
        each.close();
      }
      for (auto& each : waits) missed_pops += each.await_resume() == 20 ? 0 : 1;
    }
    std::deque<channel_of_ints> channels;
    std::deque<channel_of_ints::push_awaiter> waits;
    for (std::size_t i = 0; i < size; ++i) {
      REQUIRE(channels.emplace_back(std::size_t{1}).try_push(1, 10));
      waits.push_back(channels.back().push(2, 20));
    }
    const auto wait = [&] {
      for (auto& each : waits) {
        if (!each.await_ready()) static_cast<void>(each.await_suspend(std::noop_coroutine()));
      }
    };
    const auto serve = [&] {
      for (auto& each : channels) static_cast<void>(each.try_pop());
    };
    rush(wait, serve);
    for (auto& each : channels) {
      if (each.size_approx() != 1) ++missed_pushes;
      each.close();
    }
    for (auto& each : waits) static_cast<void>(each.await_resume());
  }
  CHECK(missed_pops == 0);
  CHECK(missed_pushes == 0);
}

TEST_CASE("priority_channel: close races with pushes from other threads, and what was accepted is popped",
          "[async][priority_channel]") {
  for (int round = 0; round < 200; ++round) {
    felix::priority_channel<int, 2> channel{static_cast<std::size_t>(1 + round % 4)};
    ints accepted, popped, stolen;
    std::atomic<int> ready{0};
    const auto start = [&ready] {
      for (++ready; ready < 3;) std::this_thread::yield();
    };
    std::thread pusher{[&] {
      start();
      for (int i = 0; i < 20; ++i) {
        if (channel.try_push(static_cast<std::size_t>(i % 2), i)) accepted.push_back(i);
      }
    }};
    std::thread thief{[&] {
      start();
      while (!channel.is_closed()) {
        const auto value = channel.try_pop();
        value ? stolen.push_back(*value) : std::this_thread::yield();
      }
    }};
    start();
    for (int spins = round * 7 % 1'000; spins > 0; --spins) std::atomic_signal_fence(std::memory_order_seq_cst);
    channel.close();
    felix::sync_wait(pop_all(channel, popped));
    pusher.join();
    thief.join();
    popped.insert(popped.end(), stolen.begin(), stolen.end());
    std::sort(popped.begin(), popped.end());
    CHECK(popped == accepted);
    CHECK(channel.size_approx() == 0);
  }
}

TEST_CASE("priority_channel: once the end was told, a late value is not seen before it is taken back",
          "[async][priority_channel]") {
  int seen = 0, accepted = 0;
  for (int round = 0; round < 200; ++round) {
    channel_of_made channel{1};
    std::atomic<int> step{0};
    std::thread pusher{[&] {
      const recipe late{1, [&] {
                          for (step = 1; step != 2;) std::this_thread::yield();
                        }};
      if (channel.try_push(0, late)) ++accepted;
      step = 3;
    }};
    while (step != 1) std::this_thread::yield();
    if (round % 2 == 0) {
      channel.close();
      if (channel.try_pop()) ++seen;
    } else {
      auto wait = channel.pop();
      REQUIRE_FALSE(wait.await_ready());
      REQUIRE(wait.await_suspend(std::noop_coroutine()));
      channel.close();
      if (wait.await_resume()) ++seen;
    }
    int looks = 0;  // a look that took the mutex would hold up the pusher, who needs it, and so would find the value
    for (step = 2; step != 3;) {
      if (channel.try_pop()) ++seen;
      if (++looks % 64 == 0) std::this_thread::yield();
    }
    pusher.join();
  }
  CHECK(seen == 0);
  CHECK(accepted == 0);
}

TEST_CASE("priority_channel: a stop races with a push from another thread, and the value is in one place",
          "[async][priority_channel]") {
  for (int round = 0; round < 300; ++round) {
    channel_of_ints channel{1};
    felix::stop_source stop;
    ints popped;
    bool pushed = false;
    std::thread pusher{[&] { pushed = channel.try_push(0, 1); }};
    std::thread stopper{[&] { stop.request_stop(); }};
    bool cancelled = false;
    try {
      felix::sync_wait(pop_one(channel, popped), stop.get_token());
    } catch (const felix::cancelled&) {
      cancelled = true;
    }
    pusher.join();
    stopper.join();
    CHECK(pushed);
    CHECK(popped.size() + channel.size_approx() == 1);
    CHECK(cancelled == popped.empty());
  }
}

TEST_CASE("priority_channel: a stop races with the pop that makes room, and the value is in one place",
          "[async][priority_channel]") {
  for (int round = 0; round < 300; ++round) {
    channel_of_ints channel{1};
    felix::stop_source stop;
    ints refused;
    REQUIRE(channel.try_push(0, 1));
    std::optional<int> first;
    std::thread popper{[&] { first = channel.try_pop(); }};
    std::thread stopper{[&] { stop.request_stop(); }};
    bool cancelled = false;
    try {
      felix::sync_wait(push_all(channel, {2}, refused), stop.get_token());
    } catch (const felix::cancelled&) {
      cancelled = true;
    }
    popper.join();
    stopper.join();
    CHECK(first == 1);
    CHECK(refused.empty());
    CHECK(channel.try_pop() == (cancelled ? std::optional<int>{} : std::optional<int>{2}));
  }
}
