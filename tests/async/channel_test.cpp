// SPDX-License-Identifier: MIT
#include <felix/async/channel.hpp>

#include <felix/async/as_result.hpp>
#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using ints = std::vector<int>;

static_assert(!std::is_aggregate_v<felix::channel<int>::send_awaiter>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<felix::channel<int>::receive_awaiter>, "g++ 12 would destroy it twice");

namespace {

felix::task<void> send_all(felix::channel<int>& to, ints values, ints& refused) {
  for (const int value : values)
    if (!co_await to.send(value)) refused.push_back(value);
}
felix::task<void> receive_all(felix::channel<int>& from, ints& received) {
  while (const auto value = co_await from.receive()) received.push_back(*value);
}
felix::task<void> receive_one(felix::channel<int>& from, ints& received) {
  if (const auto value = co_await from.receive()) received.push_back(*value);
}
felix::task<std::string> join_words(felix::channel<std::string>& from) {
  std::string all;
  while (auto word = co_await from.receive()) all += *word + " ";
  co_return all;
}
const auto ignore = [](felix::result<void>) {};

/// Says with a value what became of a wait.
class counted {
 public:
  void operator()(const felix::result<void>& ended) { ended ? ++passed : ++cancelled; }
  int passed = 0, cancelled = 0;
};

}  // namespace

TEST_CASE("channel: values arrive in order, to the end", "[async][channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 0, 1, 2, 7, 100);
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  CAPTURE(capacity, seed);
  felix::simulated_loop loop{seed};
  felix::channel<int> channel{capacity};
  CHECK(channel.capacity() == capacity);
  ints received, refused;
  ints values;
  for (int i = 0; i < 50; ++i) values.push_back(i);
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(receive_all(channel, received));
    co_await send_all(channel, values, refused);
    channel.close();
  };
  loop.run(felix::with_nursery(body));
  CHECK(received == values);
  CHECK(refused.empty());
}

TEST_CASE("channel: as many values as it has places are sent without waiting", "[async][channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 0, 1, 3);
  felix::simulated_loop loop;
  felix::channel<int> channel{capacity};
  ints refused, received;
  int ended = 0;
  for (std::size_t i = 0; i < capacity + 2; ++i)
    loop.spawn(send_all(channel, {static_cast<int>(i)}, refused), [&](felix::result<void>) { ++ended; });
  loop.poll();
  CHECK(ended == static_cast<int>(capacity));
  CHECK(channel.size() == capacity);
  for (std::size_t i = 0; i < capacity + 2; ++i) {
    loop.spawn(receive_one(channel, received), ignore);
    loop.poll();
    CHECK(received.size() == i + 1);
    CHECK(received.back() == static_cast<int>(i));
    CHECK(ended == static_cast<int>(std::min(capacity + 2, capacity + i + 1)));
  }
  CHECK(channel.size() == 0);
}

TEST_CASE("channel: receivers are served in the order in which they came", "[async][channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 0, 2);
  felix::simulated_loop loop;
  felix::channel<int> channel{capacity};
  ints first, second;
  loop.spawn(receive_one(channel, first), ignore);
  loop.spawn(receive_one(channel, second), ignore);
  REQUIRE(channel.try_send(1));
  REQUIRE(channel.try_send(2));
  loop.poll();
  CHECK(first == ints{1});
  CHECK(second == ints{2});
}

TEST_CASE("channel: try_send and try_receive never wait", "[async][channel]") {
  felix::channel<std::unique_ptr<int>> channel{2};
  CHECK_FALSE(channel.try_receive());
  CHECK(channel.try_send(std::make_unique<int>(1)));
  CHECK(channel.try_send(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  CHECK_FALSE(channel.try_send(std::move(third)));
  REQUIRE(third);  // untouched
  CHECK(**channel.try_receive() == 1);
  CHECK(channel.try_send(std::move(third)));
  CHECK(**channel.try_receive() == 2);
  channel.close();
  auto late = std::make_unique<int>(4);
  CHECK_FALSE(channel.try_send(std::move(late)));
  CHECK(late);
  CHECK(**channel.try_receive() == 3);  // accepted before
  CHECK_FALSE(channel.try_receive());

  felix::channel<int> rendezvous{0};
  CHECK_FALSE(rendezvous.try_send(1));  // nobody receives
}

TEST_CASE("channel: a value whose copy throws is not sent, and the receiver goes on waiting", "[async][channel]") {
  struct fragile {
    explicit fragile(int n) : number{n} {}
    fragile(const fragile&) { throw std::runtime_error{"no copy"}; }
    fragile(fragile&&) noexcept = default;
    int number = 0;
  };
  felix::simulated_loop loop;
  felix::channel<fragile> channel{1};
  int received = 0;
  const auto receive = [](felix::channel<fragile>& from, int& number) -> felix::task<void> {
    if (auto value = co_await from.receive()) number = value->number;
  };
  loop.spawn(receive(channel, received), ignore);
  const fragile original{7};
  CHECK_THROWS_WITH(channel.try_send(original), "no copy");
  loop.poll();
  CHECK(received == 0);
  CHECK(channel.try_send(fragile{8}));
  loop.poll();
  CHECK(received == 8);
  CHECK_THROWS_WITH(channel.try_send(original), "no copy");
  CHECK(channel.size() == 0);
}

TEST_CASE("channel: close refuses senders that wait, and lets what was accepted be received", "[async][channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 0, 2);
  felix::simulated_loop loop;
  felix::channel<int> channel{capacity};
  ints refused, received;
  loop.spawn(send_all(channel, {1, 2, 3, 4}, refused), ignore);
  loop.poll();
  CHECK_FALSE(channel.is_closed());
  channel.close();
  channel.close();
  CHECK(channel.is_closed());
  loop.poll();
  loop.run(receive_all(channel, received));
  CHECK(received == (capacity == 0 ? ints{} : ints{1, 2}));
  CHECK(refused == (capacity == 0 ? ints{1, 2, 3, 4} : ints{3, 4}));
  loop.run(send_all(channel, {5}, refused));
  CHECK(refused.back() == 5);
}

TEST_CASE("channel: close ends receivers that wait", "[async][channel]") {
  felix::simulated_loop loop;
  felix::channel<int> channel{3};
  ints received;
  counted ends;
  for (int i = 0; i < 3; ++i) loop.spawn(receive_all(channel, received), [&](felix::result<void> r) { ends(r); });
  loop.poll();
  CHECK(ends.passed == 0);
  channel.close();
  loop.poll();
  CHECK(ends.passed == 3);
  CHECK(received.empty());
}

TEST_CASE("channel: a stop takes a waiting sender out, and its value was not sent", "[async][channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 0, 1);
  felix::simulated_loop loop;
  felix::channel<int> channel{capacity};
  ints refused, received;
  counted first, second;
  felix::stop_source stop;
  for (std::size_t i = 0; i < capacity; ++i) REQUIRE(channel.try_send(0));
  loop.spawn(send_all(channel, {1}, refused), [&](felix::result<void> r) { first(r); }, stop.get_token());
  loop.spawn(send_all(channel, {2}, refused), [&](felix::result<void> r) { second(r); });
  stop.request_stop();
  loop.poll();
  CHECK(first.cancelled == 1);
  CHECK(second.passed + second.cancelled == 0);
  if (capacity > 0) CHECK(channel.try_receive() == 0);
  if (capacity == 0) CHECK(channel.try_receive() == 2);
  loop.poll();
  CHECK(second.passed == 1);
  if (capacity > 0) CHECK(channel.try_receive() == 2);
  CHECK_FALSE(channel.try_receive());
  CHECK(refused.empty());
}

TEST_CASE("channel: a stop takes a waiting receiver out, and the value goes to the next", "[async][channel]") {
  felix::simulated_loop loop;
  felix::channel<int> channel{1};
  ints first, second;
  counted ends;
  felix::stop_source stop;
  loop.spawn(receive_one(channel, first), [&](felix::result<void> r) { ends(r); }, stop.get_token());
  loop.spawn(receive_one(channel, second), ignore);
  stop.request_stop();
  REQUIRE(channel.try_send(1));
  loop.poll();
  CHECK(ends.cancelled == 1);
  CHECK(first.empty());
  CHECK(second == ints{1});
}

TEST_CASE("channel: a stop after a value was handed over comes too late, and one before a wait ends it",
          "[async][channel]") {
  felix::simulated_loop loop;
  felix::channel<int> channel{1};
  ints received;
  counted ends;
  felix::stop_source stop;
  loop.spawn(receive_one(channel, received), [&](felix::result<void> r) { ends(r); }, stop.get_token());
  REQUIRE(channel.try_send(1));
  stop.request_stop();
  loop.poll();
  CHECK(ends.passed == 1);
  CHECK(received == ints{1});

  REQUIRE(channel.try_send(2));  // what need not wait is not stopped
  loop.spawn(receive_one(channel, received), [&](felix::result<void> r) { ends(r); }, stop.get_token());
  CHECK(ends.passed == 2);
  loop.spawn(receive_one(channel, received), [&](felix::result<void> r) { ends(r); }, stop.get_token());
  CHECK(ends.cancelled == 1);
  CHECK(received == ints{1, 2});
}

TEST_CASE("channel: a time limit that runs out as a value comes loses none", "[async][channel]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{64}));
  CAPTURE(seed);
  felix::simulated_loop loop{seed};
  felix::channel<int> channel{seed % 3};
  ints received, refused;
  int timed_out = 0;
  const auto impatient = [](felix::channel<int>& from, ints& got, int& late) -> felix::task<void> {
    while (got.size() < 10) {
      const auto value = co_await felix::as_result(felix::timeout(1us, from.receive()));
      value ? got.push_back(value->value()) : void(++late);
    }
  };
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(impatient(channel, received, timed_out));
    for (int i = 0; i < 10; ++i) {
      co_await felix::sleep_for(1us);  // as long as the limit: both are due at once
      n.spawn(send_all(channel, {i}, refused));
    }
  };
  loop.run(felix::with_nursery(body));
  std::sort(received.begin(), received.end());
  CHECK(received == ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(refused.empty());
  CHECK(channel.size() == 0);
}

TEST_CASE("channel: a receive that loses a when_any to a stop leaves the value for others", "[async][channel]") {
  felix::simulated_loop loop;
  felix::channel<int> channel{0};
  felix::event go;
  const auto either = [](felix::channel<int>& from, felix::event& event) -> felix::task<std::size_t> {
    co_return (co_await felix::when_any(from.receive(), event)).index;
  };
  std::size_t winner = 0;
  loop.spawn(either(channel, go), [&](felix::result<std::size_t> r) { winner = r.value(); });
  go.set();
  loop.poll();
  CHECK(winner == 1);
  CHECK_FALSE(channel.try_send(1));  // nobody receives any more
}

// An awaiter is an object: by hand, a test can stand between await_ready and await_suspend.

TEST_CASE("channel: a receiver that comes while a send begins to wait gets the value, and goes on",
          "[async][channel]") {
  felix::simulated_loop loop;
  felix::channel<int> channel{0};
  ints received;
  auto sending = channel.send(1);
  REQUIRE_FALSE(sending.await_ready());
  loop.spawn(receive_one(channel, received), ignore);
  CHECK_FALSE(sending.await_suspend(std::noop_coroutine()));
  CHECK(sending.await_resume());
  loop.poll();
  CHECK(received == ints{1});
}

TEST_CASE("channel: a sender that comes while a receive begins to wait is taken from, and goes on",
          "[async][channel]") {
  felix::simulated_loop loop;
  felix::channel<int> channel{0};
  ints refused;
  int ended = 0;
  auto receiving = channel.receive();
  REQUIRE_FALSE(receiving.await_ready());
  loop.spawn(send_all(channel, {1}, refused), [&](felix::result<void>) { ++ended; });
  CHECK_FALSE(receiving.await_suspend(std::noop_coroutine()));
  CHECK(receiving.await_resume() == 1);
  loop.poll();
  CHECK(ended == 1);
  CHECK(refused.empty());
}

TEST_CASE("channel: one that is closed while a wait begins ends it", "[async][channel]") {
  felix::channel<int> channel{0};
  auto sending = channel.send(1);
  auto receiving = channel.receive();
  REQUIRE_FALSE(sending.await_ready());
  REQUIRE_FALSE(receiving.await_ready());
  channel.close();
  CHECK_FALSE(sending.await_suspend(std::noop_coroutine()));
  CHECK_FALSE(sending.await_resume());
  CHECK_FALSE(receiving.await_suspend(std::noop_coroutine()));
  CHECK_FALSE(receiving.await_resume());
}

TEST_CASE("channel: a send that is stopped before it waits has sent nothing", "[async][channel]") {
  felix::simulated_loop loop;
  felix::channel<int> channel{0};
  ints refused, received;
  counted ends;
  felix::stop_source stop;
  stop.request_stop();
  loop.spawn(send_all(channel, {1}, refused), [&](felix::result<void> r) { ends(r); }, stop.get_token());
  CHECK(ends.cancelled == 1);
  loop.spawn(receive_one(channel, received), ignore);
  loop.poll();
  CHECK(received.empty());
  channel.close();
  loop.poll();
}

TEST_CASE("channel: a temporary of a sent expression lives as long as it must", "[async][channel]") {
  felix::simulated_loop loop;
  felix::channel<std::string> words{1};
  const auto send = [](felix::channel<std::string>& to) -> felix::task<void> {
    for (const char* word : {"a", "b", "c"}) {
      if (!co_await to.send(std::string(40, *word))) co_return;
    }
    to.close();
  };
  std::string all;
  const auto body = [&](felix::nursery& n) -> felix::task<void> {
    n.spawn(send(words));
    all = co_await join_words(words);
  };
  loop.run(felix::with_nursery(body));
  CHECK(all == std::string(40, 'a') + " " + std::string(40, 'b') + " " + std::string(40, 'c') + " ");
}

TEST_CASE("channel: several threads send and receive, and every value arrives once", "[async][channel]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 0, 1, 8);
  constexpr int senders = 2, receivers = 2, each = 500;
  felix::channel<int> channel{capacity};
  std::vector<ints> received(receivers), refused(senders);
  std::vector<std::thread> threads;
  for (int r = 0; r < receivers; ++r)
    threads.emplace_back([&, r] { felix::sync_wait(receive_all(channel, received[static_cast<std::size_t>(r)])); });
  std::atomic<int> sending{senders};
  for (int s = 0; s < senders; ++s) {
    threads.emplace_back([&, s] {
      ints values;
      for (int i = 0; i < each; ++i) values.push_back(s * each + i);
      felix::sync_wait(send_all(channel, values, refused[static_cast<std::size_t>(s)]));
      if (--sending == 0) channel.close();
    });
  }
  for (auto& thread : threads) thread.join();
  ints seen(senders * each, 0);
  for (const ints& got : received) {
    ints last(senders, -1);
    for (const int value : got) {
      ++seen[static_cast<std::size_t>(value)];
      int& before = last[static_cast<std::size_t>(value / each)];
      CHECK(value > before);  // each sender's values in its order
      before = value;
    }
  }
  CHECK(seen == ints(senders * each, 1));
  for (const ints& none : refused) CHECK(none.empty());
}

TEST_CASE("channel: a stop races with a send from another thread, and the value is in one place", "[async][channel]") {
  for (int round = 0; round < 300; ++round) {
    felix::channel<int> channel{static_cast<std::size_t>(round % 2)};
    felix::stop_source stop;
    ints received;
    bool sent = false;
    std::thread sender{[&] { sent = channel.try_send(1); }};
    std::thread stopper{[&] { stop.request_stop(); }};
    bool cancelled = false;
    try {
      felix::sync_wait(receive_one(channel, received), stop.get_token());
    } catch (const felix::cancelled&) {
      cancelled = true;
    }
    sender.join();
    stopper.join();
    const std::size_t left = channel.size();
    CHECK(received.size() + left == (sent ? 1U : 0U));
    CHECK(cancelled == received.empty());
  }
}
