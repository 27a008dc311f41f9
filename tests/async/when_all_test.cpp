// SPDX-License-Identifier: MIT
#include <felix/async/when_all.hpp>

#include <felix/async/event.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sync_wait.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

felix::task<std::string> after(std::chrono::milliseconds delay, std::string text) {
  co_await felix::sleep_for(delay);
  co_return text;
}
felix::task<void> fail_after(std::chrono::milliseconds delay, std::string why) {
  co_await felix::sleep_for(delay);
  throw std::runtime_error{why};
}
felix::task<void> note_end(felix::task<void> work, std::string name, std::string& log) {
  try {
    co_await std::move(work);
    log += name + " ";
  } catch (const felix::cancelled&) {
    log += name + "(cancelled) ";
    throw;
  }
}
felix::task<int> immediate(int n) { co_return n; }
felix::task<void> wait_for(felix::event& event) { co_await event; }

felix::task<void> nothing() { co_return; }
felix::task<std::unique_ptr<int>> owned() { co_return std::make_unique<int>(5); }

felix::task<std::string> pack() {
  auto [a, none, n, p] = co_await felix::when_all(after(20ms, "a"), nothing(), immediate(7), owned());
  static_assert(std::is_same_v<decltype(none), std::monostate>);
  co_return a + std::to_string(n) + std::to_string(*p);
}

}  // namespace

TEST_CASE("when_all: a pack runs at the same time and gives a tuple in order", "[async][when_all]") {
  felix::simulated_loop loop;
  CHECK(loop.run(pack()) == "a75");
  CHECK(loop.now() == felix::simulated_loop::start + 20ms);
}

TEST_CASE("when_all: a range gives its values in order, whatever ends first", "[async][when_all]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  felix::simulated_loop loop{seed};
  std::vector<felix::task<std::string>> work;
  for (int i = 0; i < 5; ++i) work.push_back(after(std::chrono::milliseconds{50 - 10 * i}, std::to_string(i)));
  CHECK(loop.run(felix::when_all(std::move(work))) == std::vector<std::string>{"0", "1", "2", "3", "4"});
  CHECK(loop.now() == felix::simulated_loop::start + 50ms);
}

TEST_CASE("when_all: nothing to wait for ends at once", "[async][when_all]") {
  CHECK(felix::sync_wait(felix::when_all(std::vector<felix::task<int>>{})).empty());
  felix::sync_wait(felix::when_all(std::vector<felix::task<void>>{}));
  CHECK(felix::sync_wait(felix::when_all()) == std::tuple<>{});
}

TEST_CASE("when_all: ten thousand tasks", "[async][when_all]") {
  std::vector<felix::task<int>> work;
  for (int i = 0; i < 10'000; ++i) work.push_back(immediate(i));
  const auto values = felix::sync_wait(felix::when_all(std::move(work)));
  REQUIRE(values.size() == 10'000);
  for (int i = 0; i < 10'000; ++i) REQUIRE(values[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("when_all: the first failure stops the others, and is rethrown after all have ended", "[async][when_all]") {
  felix::simulated_loop loop;
  std::string log;
  std::vector<felix::task<void>> work;
  work.push_back(note_end(felix::as_task(felix::sleep_for(1h)), "long", log));
  work.push_back(fail_after(10ms, "first"));
  work.push_back(note_end(felix::as_task(felix::sleep_for(5ms)), "short", log));
  work.push_back(fail_after(20ms, "second"));
  CHECK_THROWS_WITH(loop.run(felix::when_all(std::move(work))), "first");
  CHECK(log == "short long(cancelled) ");
  CHECK(loop.now() == felix::simulated_loop::start + 10ms);
}

TEST_CASE("when_all: a failure before the others have started stops them too", "[async][when_all]") {
  felix::simulated_loop loop;
  CHECK_THROWS_AS(loop.run(felix::when_all(fail_after(0ms, "early"), after(1h, "late"))), std::runtime_error);
  CHECK(loop.now() == felix::simulated_loop::start);
}

TEST_CASE("when_all: a stop reaches every task, and the whole is cancelled", "[async][when_all]") {
  felix::simulated_loop loop;
  felix::event never;
  felix::stop_source stop;
  std::string log;
  std::vector<felix::task<void>> work;
  work.push_back(note_end(wait_for(never), "a", log));
  work.push_back(note_end(felix::as_task(felix::sleep_for(1h)), "b", log));
  int cancelled = 0;
  loop.spawn(felix::when_all(std::move(work)), [&](felix::result<void> r) { cancelled += !r; }, stop.get_token());
  loop.poll();
  CHECK(log.empty());
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
  CHECK(log.size() == std::string{"a(cancelled) b(cancelled) "}.size());
}
