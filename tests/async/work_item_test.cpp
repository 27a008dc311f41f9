// SPDX-License-Identifier: MIT
#include <felix/async/work_item.hpp>

#include <felix/async/detail/work_queue.hpp>
#include <felix/async/posted_call.hpp>
#include "support/catch.hpp"

#include <coroutine>
#include <memory>
#include <thread>
#include <vector>

namespace {

/// Notes its number when it is run.
std::unique_ptr<felix::posted_call> noting(std::vector<int>& log, int number) {
  return std::make_unique<felix::posted_call>([&log, number] { log.push_back(number); });
}

}  // namespace

TEST_CASE("work_item: goes on with its coroutine", "[async][work_item]") {
  std::vector<int> log;
  const auto call = noting(log, 7);
  const felix::work_item item{call->coroutine()};
  item();
  CHECK(log == std::vector{7});
}

TEST_CASE("work_inbox: gives back in the order of posting", "[async][work_item]") {
  std::vector<int> log;
  const auto a = noting(log, 1), b = noting(log, 2), c = noting(log, 3), d = noting(log, 4);
  felix::detail::work_inbox inbox;
  felix::detail::work_list list;
  CHECK_FALSE(inbox.take(list));
  list.push_back(*a);
  for (felix::work_item* item : {b.get(), c.get()}) CHECK_FALSE(inbox.push(*item));
  CHECK(inbox.take(list));
  CHECK_FALSE(inbox.take(list));
  list.push_back(*d);
  while (felix::work_item* const next = list.pop_front()) (*next)();
  CHECK(log == std::vector{1, 2, 3, 4});
  CHECK(list.empty());
}

TEST_CASE("work_inbox: a consumer that sleeps is woken by the first post, and by no other", "[async][work_item]") {
  std::vector<int> log;
  const auto a = noting(log, 1), b = noting(log, 2);
  felix::detail::work_inbox inbox;
  felix::detail::work_list list;
  REQUIRE(inbox.fall_asleep());
  CHECK_FALSE(inbox.take(list));
  CHECK(inbox.wake_up());  // nobody posted
  REQUIRE(inbox.fall_asleep());
  CHECK(inbox.push(*a));
  CHECK_FALSE(inbox.push(*b));
  CHECK_FALSE(inbox.wake_up());
  CHECK_FALSE(inbox.fall_asleep());  // there is work
  CHECK(inbox.take(list));
  while (felix::work_item* const next = list.pop_front()) (*next)();
  CHECK(log == std::vector{1, 2});
}

TEST_CASE("work_inbox: what several threads post is all there, and each thread's in its order", "[async][work_item]") {
  constexpr int threads = 4, each = 1'000;
  std::vector<int> log;
  std::vector<std::unique_ptr<felix::posted_call>> items;
  for (int i = 0; i < threads * each; ++i) items.push_back(noting(log, i));
  felix::detail::work_inbox inbox;
  std::vector<std::thread> posters;
  for (int t = 0; t < threads; ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) static_cast<void>(inbox.push(*items[static_cast<std::size_t>(t * each + i)]));
    });
  }
  felix::detail::work_list list;
  while (log.size() < items.size()) {
    inbox.take(list);
    while (felix::work_item* const next = list.pop_front()) (*next)();
  }
  for (auto& poster : posters) poster.join();
  std::vector<int> last(threads, -1);
  for (const int number : log) {
    CHECK(number > last[static_cast<std::size_t>(number / each)]);
    last[static_cast<std::size_t>(number / each)] = number;
  }
}
