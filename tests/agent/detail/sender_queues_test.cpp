// SPDX-License-Identifier: MIT
// agent: messages that wait at the central post: the most urgent first, and each sender's in their order.
#include <felix/agent/detail/sender_queues.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

using felix::request_priority;
using felix::detail::posted;
using felix::detail::sender_queues;

namespace {

struct queue {
  sender_queues waiting;
  std::uint64_t numbers = 0;

  queue& push(std::string_view from, request_priority urgency = request_priority::normal) {
    posted next;
    next.message.from = from;
    next.message.urgency = urgency;
    next.number = numbers++;
    waiting.push(std::move(next));
    return *this;
  }
  std::string take() {
    const auto next = waiting.take();
    return next ? std::string{next->message.from.name()} + std::to_string(next->number) : "none";
  }
  std::string take_all() {
    std::string all;
    while (const auto next = waiting.take()) {
      all += std::string{next->message.from.name()} + std::to_string(next->number) + " ";
      waiting.done(next->message.from);
    }
    return all;
  }
};

constexpr auto low = request_priority::low, high = request_priority::high, urgent = request_priority::urgent;

}  // namespace

TEST_CASE("sender_queues: the most urgent goes first, and of these the oldest", "[agent][sender_queues]") {
  queue all;
  all.push("a", low).push("b").push("c", high).push("d").push("e", urgent).push("f", high);
  CHECK(all.take_all() == "e4 c2 f5 b1 d3 a0 ");
  CHECK(all.waiting.empty());
}

TEST_CASE("sender_queues: what a sender said before something urgent goes with it", "[agent][sender_queues]") {
  queue all;
  all.push("a", low).push("b", high).push("a", low).push("a", urgent).push("a", low);
  CHECK(all.take_all() == "a0 a2 a3 b1 a4 ");
}

TEST_CASE("sender_queues: of a sender one is at work at a time", "[agent][sender_queues]") {
  queue all;
  all.push("a").push("a", urgent).push("b");
  CHECK(all.take() == "a0");
  CHECK(all.take() == "b2");
  CHECK(all.take() == "none");
  CHECK_FALSE(all.waiting.empty());
  all.push("a", low);
  CHECK(all.take() == "none");
  all.waiting.done("a");
  CHECK(all.take() == "a1");
  all.waiting.done("a");
  CHECK(all.take() == "a3");
  all.waiting.done("a");
  all.waiting.done("b");
  CHECK(all.waiting.empty());
}

TEST_CASE("sender_queues: what is put back is next", "[agent][sender_queues]") {
  queue all;
  all.push("a", high).push("a").push("b");
  auto taken = all.waiting.take();
  REQUIRE(taken);
  CHECK(all.waiting.sizes()[static_cast<std::size_t>(high)] == 0);
  all.waiting.put_back(std::move(*taken));
  CHECK(all.waiting.sizes()[static_cast<std::size_t>(high)] == 1);
  CHECK(all.take_all() == "a0 a1 b2 ");
}

TEST_CASE("sender_queues: the oldest of the least urgent ones is dropped, and none that is more urgent",
          "[agent][sender_queues]") {
  queue all;
  all.push("a", high).push("a").push("b").push("b", low);
  const auto drop = [&](request_priority than) {
    const auto gone = all.waiting.drop_oldest(than);
    return gone ? static_cast<int>(gone->number) : -1;
  };
  CHECK(drop(urgent) == 3);
  CHECK(drop(low) == -1);
  CHECK(drop(request_priority::normal) == 1);
  CHECK(drop(request_priority::normal) == 2);
  CHECK(drop(request_priority::normal) == -1);
  CHECK(all.waiting.sizes()[static_cast<std::size_t>(high)] == 1);
  CHECK(drop(high) == 0);
  CHECK(all.waiting.empty());
  CHECK(drop(urgent) == -1);
}

TEST_CASE("sender_queues: what some subscribers have got already is not dropped", "[agent][sender_queues]") {
  queue all;
  all.push("a").push("b");
  auto taken = all.waiting.take();
  REQUIRE(taken);
  taken->is_readable = true;
  all.waiting.put_back(std::move(*taken));
  const auto gone = all.waiting.drop_oldest(urgent);
  REQUIRE(gone);
  CHECK(gone->number == 1);
  CHECK_FALSE(all.waiting.drop_oldest(urgent));
  CHECK(all.take_all() == "a0 ");
}

TEST_CASE("sender_queues: a sender whose last message is dropped while one is at work is remembered",
          "[agent][sender_queues]") {
  queue all;
  all.push("a").push("a");
  CHECK(all.take() == "a0");
  CHECK(all.waiting.drop_oldest(urgent));
  all.push("a");
  CHECK(all.take() == "none");
  all.waiting.done("a");
  CHECK(all.take() == "a2");
}
