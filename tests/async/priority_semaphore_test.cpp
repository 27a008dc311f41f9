// SPDX-License-Identifier: MIT
#include <felix/async/priority_semaphore.hpp>

#include <felix/async/event.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using felix::request_priority;
using namespace std::chrono_literals;
using group = felix::priority_semaphore::group;
constexpr auto low = request_priority::low, normal = request_priority::normal, high = request_priority::high,
               urgent = request_priority::urgent;

static_assert(!std::is_aggregate_v<felix::priority_semaphore::awaiter>, "g++ 12 would destroy it twice");
static_assert(!std::is_aggregate_v<felix::priority_semaphore::permit>, "g++ 12 would destroy it twice");
static_assert(!std::is_copy_constructible_v<felix::priority_semaphore::permit>);

template <class Slots>  // a semaphore, or a group of one
static felix::task<> enter(Slots& slots, request_priority level, std::string name, std::string& entered,
                           felix::event& leave) {
  const auto permit = co_await slots.acquire(level);
  entered += name;
  co_await leave;
}

TEST_CASE("priority_semaphore: refuses to let nobody through", "[async][priority_semaphore]") {
  CHECK_THROWS_AS(felix::priority_semaphore{0}, felix::error);
}

TEST_CASE("priority_semaphore: a freed permit goes to the highest level, first come first served within it",
          "[async][priority_semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  felix::simulated_loop loop{seed};
  felix::priority_semaphore slots{1};
  felix::event hold, go;
  go.set();
  std::string entered;
  const auto ignore = [](felix::result<void>) {};
  loop.spawn(enter(slots, request_priority::low, "0", entered, hold), ignore);
  const std::string arrivals = felix::test::shuffled("abcdefgh", seed);
  for (char name : arrivals) {
    const auto level = static_cast<request_priority>((name - 'a') / 2);  // ab low, cd normal, ef high, gh urgent
    loop.spawn(enter(slots, level, std::string(1, name), entered, go), ignore);
  }
  CHECK(slots.in_use() == 1);
  CHECK(slots.waiting(request_priority::urgent) == 2);
  loop.poll();
  CHECK(entered == "0");
  hold.set();
  loop.poll();
  std::string expected = "0";
  for (const char* pair : {"gh", "ef", "cd", "ab"}) {
    for (char name : arrivals) {
      if (name == pair[0] || name == pair[1]) expected += name;
    }
  }
  CHECK(entered == expected);
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: urgent overtakes forty waiting low ones and is next, not before those inside",
          "[async][priority_semaphore]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{4};
  felix::event hold;
  std::string entered;
  const auto ignore = [](felix::result<void>) {};
  for (int i = 0; i < 44; ++i) loop.spawn(enter(slots, request_priority::low, "l", entered, hold), ignore);
  loop.spawn(enter(slots, request_priority::urgent, "U", entered, hold), ignore);
  loop.poll();
  CHECK(entered == "llll");
  hold.set();
  loop.poll();
  CHECK(entered == "llllU" + std::string(40, 'l'));
}

TEST_CASE("priority_semaphore: a stopped waiter leaves at once, and its permit goes to the next",
          "[async][priority_semaphore]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{1};
  felix::event hold;
  std::string entered;
  felix::stop_source stop;
  int cancelled = 0;
  const auto ignore = [](felix::result<void>) {};
  loop.spawn(enter(slots, request_priority::normal, "a", entered, hold), ignore);
  loop.spawn(
      enter(slots, request_priority::high, "b", entered, hold), [&](felix::result<void> r) { cancelled += !r; },
      stop.get_token());
  loop.spawn(enter(slots, request_priority::low, "c", entered, hold), ignore);
  stop.request_stop();
  loop.poll();
  CHECK(cancelled == 1);
  CHECK(slots.waiting(request_priority::high) == 0);
  hold.set();
  loop.poll();
  CHECK(entered == "ac");
  CHECK(slots.in_use() == 0);
}

namespace {

/// Coroutines that enter and stay until they are told to leave, by name.
class crowd {
 public:
  explicit crowd(std::uint64_t seed = 0) : loop_{seed} {}
  template <class Slots>
  void come(Slots& to, std::string name, request_priority level = request_priority::normal) {
    loop_.spawn(
        stay(to, name, level, *this),
        [this, name](felix::result<void> r) {
          if (!r) entered += "(" + name + ")";
        },
        stops_[name].get_token());
    loop_.poll();
  }
  void leave(const std::string& name) {
    REQUIRE(inside_.erase(name) == 1);
    loop_.poll();
  }
  void stop(const std::string& name) {
    stops_[name].request_stop();
    loop_.poll();
  }
  void poll() { loop_.poll(); }
  std::string entered;  // names in order; in brackets, who was stopped

 private:
  template <class Slots>
  static felix::task<> stay(Slots& to, std::string name, request_priority level, crowd& among) {
    auto permit = co_await to.acquire(level);
    among.entered += name;
    among.inside_.emplace(name, std::move(permit));
  }
  std::map<std::string, felix::stop_source> stops_;
  felix::simulated_loop loop_;
  std::map<std::string, felix::priority_semaphore::permit> inside_;
};

std::string refusal(auto build) {
  try {
    build();
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    return refused.what();
  }
  return "";
}

// Between await_ready and await_suspend another permit comes back; and a stop comes before that, or after it.
struct between {
  between(felix::priority_semaphore& of, std::optional<felix::priority_semaphore::permit>& comes_back,
          felix::stop_source* stop)
      : wait{of.acquire()}, held{&comes_back}, late_stop{stop} {}
  bool await_ready() { return wait.await_ready(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> waiting) {
    held->reset();
    const bool waits = wait.await_suspend(waiting);
    if (late_stop != nullptr) late_stop->request_stop();
    return waits;
  }
  felix::priority_semaphore::permit await_resume() { return wait.await_resume(); }
  felix::priority_semaphore::awaiter wait;
  std::optional<felix::priority_semaphore::permit>* held;
  felix::stop_source* late_stop;
};
felix::task<void> come_between(felix::priority_semaphore& to,
                               std::optional<felix::priority_semaphore::permit>& comes_back, felix::stop_source* stop) {
  const auto permit = co_await between{to, comes_back, stop};
}

}  // namespace

static felix::task<> hammer(felix::priority_semaphore& slots, std::atomic<int>& inside, std::atomic<int>& most,
                            int rounds) {
  for (int i = 0; i < rounds; ++i) {
    const auto permit = co_await slots.acquire(static_cast<request_priority>(i % 4));
    const int now = ++inside;
    int seen = most.load();
    while (seen < now && !most.compare_exchange_weak(seen, now)) {}
    --inside;
  }
}

TEST_CASE("priority_semaphore: several threads never exceed the limit and lose no permit",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{2};
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back([&] { felix::sync_wait(hammer(slots, inside, most, 500)); });
  for (auto& thread : threads) thread.join();
  CHECK(most.load() <= 2);
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: stops race with releases from other threads, and no permit is lost",
          "[async][priority_semaphore]") {
  for (int round = 0; round < 100; ++round) {
    felix::priority_semaphore slots{1};
    std::atomic<int> inside{0}, most{0};
    felix::stop_source stop;
    std::thread other{[&] { felix::sync_wait(hammer(slots, inside, most, 20)); }};
    std::thread stopped{[&] {
      try {
        felix::sync_wait(hammer(slots, inside, most, 20), stop.get_token());
      } catch (const felix::cancelled&) {}
    }};
    stop.request_stop();
    other.join();
    stopped.join();
    CHECK(slots.in_use() == 0);
    CHECK(most.load() == 1);
  }
}

TEST_CASE("priority_semaphore: a permit freed between await_ready and await_suspend is not lost",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{1};
  auto first = slots.acquire();
  REQUIRE(first.await_ready());
  auto second = slots.acquire();
  {
    const auto held = first.await_resume();
    REQUIRE_FALSE(second.await_ready());
  }
  CHECK_FALSE(second.await_suspend(std::noop_coroutine()));
  {
    const auto permit = second.await_resume();
    CHECK(slots.in_use() == 1);
  }
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: a stop after the permit was granted changes nothing", "[async][priority_semaphore]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{1};
  felix::event hold, stay;
  std::string entered;
  felix::stop_source stop;
  int cancelled = 0;
  loop.spawn(enter(slots, request_priority::normal, "a", entered, hold), [](felix::result<void>) {});
  loop.spawn(
      enter(slots, request_priority::normal, "b", entered, stay), [&](felix::result<void> r) { cancelled += !r; },
      stop.get_token());
  loop.spawn(enter(slots, request_priority::normal, "c", entered, hold), [](felix::result<void>) {});
  hold.set();
  while (slots.waiting(request_priority::normal) == 2) loop.poll();
  stop.request_stop();  // b has the permit: it enters, and only then its next wait is cancelled
  loop.poll();
  CHECK(entered == "abc");
  CHECK(cancelled == 1);
  CHECK(slots.in_use() == 0);
  CHECK(slots.waiting(request_priority::normal) == 0);
}

TEST_CASE("priority_semaphore: a permit that is moved is given back once, at the end of the last",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{2};
  std::optional<felix::priority_semaphore::permit> outer;
  {
    auto inner = felix::sync_wait(slots.acquire());
    outer.emplace(std::move(inner));
  }
  CHECK(slots.in_use() == 1);
  CHECK(slots.limit() == 2);
  outer.reset();
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: a free permit is taken even by a task that was stopped", "[async][priority_semaphore]") {
  felix::simulated_loop loop;
  felix::priority_semaphore slots{1};
  felix::stop_source stop;
  stop.request_stop();
  const auto held = loop.run(slots.acquire(), stop.get_token());
  CHECK_THROWS_WITH(loop.run(slots.acquire(request_priority::urgent), stop.get_token()),
                    "cancelled while waiting for a permit");
  CHECK(slots.waiting(request_priority::urgent) == 0);
  CHECK(slots.in_use() == 1);
}

TEST_CASE("priority_semaphore: raced for in when_any and under a time limit no permit is lost",
          "[async][priority_semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{32}));
  felix::simulated_loop loop{seed};
  felix::priority_semaphore a{1}, b{1};
  const auto hold = [](felix::priority_semaphore& of) -> felix::task<void> {
    const auto permit = co_await of.acquire();
    co_await felix::sleep_for(1ms);
  };
  const auto race = [](felix::priority_semaphore& first, felix::priority_semaphore& second,
                       int& won) -> felix::task<void> {
    const auto winner =
        co_await felix::when_any(first.acquire(request_priority::low), second.acquire(request_priority::urgent));
    won += (winner.index == 0 ? first : second).in_use() == 1;
    co_await felix::this_task::yield();
  };
  const auto limited = [](felix::priority_semaphore& of, int& ended) -> felix::task<void> {
    try {
      const auto permit = co_await felix::timeout(1ms, of.acquire());
      ended += of.in_use() == 1;
    } catch (const felix::timed_out&) {
      ++ended;
    }
  };
  int won = 0, ended = 0;
  loop.run(felix::when_all(hold(a), hold(b), race(a, b, won), race(b, a, won), limited(a, ended), limited(b, ended)));
  CHECK(won == 2);
  CHECK(ended == 2);
  CHECK(a.in_use() == 0);
  CHECK(b.in_use() == 0);
  for (const auto level : {request_priority::low, request_priority::normal, request_priority::urgent})
    CHECK(a.waiting(level) + b.waiting(level) == 0);
}

TEST_CASE("priority_semaphore: a raised limit lets waiters in, in their order", "[async][priority_semaphore]") {
  felix::priority_semaphore slots{1};
  crowd all;
  all.come(slots, "a");
  all.come(slots, "b", low);
  all.come(slots, "c");
  all.come(slots, "d", high);
  all.come(slots, "e");
  slots.set_limit(3);
  all.poll();
  CHECK(all.entered.size() == 3);
  CHECK(slots.status().waiting == std::array<std::size_t, 4>{1, 1, 0, 0});  // d and c have gone in
  slots.set_limit(5);
  all.poll();
  CHECK(slots.in_use() == 5);
  CHECK(slots.limit() == 5);
}

TEST_CASE("priority_semaphore: a lowered limit takes effect as permits come back", "[async][priority_semaphore]") {
  felix::priority_semaphore slots{3};
  crowd all;
  for (const char* name : {"a", "b", "c", "d"}) all.come(slots, name);
  slots.set_limit(1);
  CHECK(slots.in_use() == 3);
  all.leave("a");
  all.leave("b");
  CHECK(slots.in_use() == 1);
  CHECK(all.entered == "abc");
  all.leave("c");
  CHECK(all.entered == "abcd");
  all.come(slots, "e");
  CHECK(slots.waiting(normal) == 1);
  all.stop("e");
  all.leave("d");
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: a limit of 0 is refused and changes nothing", "[async][priority_semaphore]") {
  felix::priority_semaphore slots{2};
  CHECK(refusal([&] { slots.set_limit(0); }) ==
        "priority_semaphore: 0 permits would let nobody through; use at least 1");
  CHECK(slots.limit() == 2);
}

TEST_CASE("priority_semaphore: with a permit held back urgent starts at once", "[async][priority_semaphore]") {
  felix::priority_semaphore slots{{.limit = 3, .held_back = 1}};
  crowd all;
  all.come(slots, "a", low);
  all.come(slots, "b", high);
  all.come(slots, "c", high);
  CHECK(all.entered == "ab");
  all.come(slots, "U", urgent);
  CHECK(all.entered == "abU");
  all.come(slots, "V", urgent);  // that was the last one
  CHECK(all.entered == "abU");
  all.leave("a");
  CHECK(all.entered == "abUV");
  all.leave("b");
  CHECK(all.entered == "abUVc");  // what urgent ones have is not taken from the others: 2 of them may be in
  all.come(slots, "d", low);
  all.leave("U");
  CHECK(all.entered == "abUVcd");
  all.come(slots, "e", low);
  all.leave("V");
  CHECK(all.entered == "abUVcd");  // but not 3
  CHECK(slots.in_use() == 2);
  all.leave("c");
  CHECK(all.entered == "abUVcde");
  all.leave("d");
  all.leave("e");
}

TEST_CASE("priority_semaphore: an endless stream of urgent ones starves neither who is due nor who is owed",
          "[async][priority_semaphore]") {
  const auto aging = GENERATE(as<std::size_t>{}, 0, 1, 3);
  CAPTURE(aging);
  felix::priority_semaphore slots{{.limit = 2, .held_back = 1, .aging = aging}};
  group team{slots, "team", {.guaranteed = aging == 0 ? std::size_t{1} : 0}};
  crowd all;
  std::string urgent_ones = "ABCDEFGH";
  all.come(slots, "A", urgent);
  all.come(slots, "B", urgent);
  all.come(team, "l", low);
  for (std::size_t i = 2; i < urgent_ones.size(); ++i) {  // each comes before one leaves
    all.come(slots, urgent_ones.substr(i, 1), urgent);
    all.leave(all.entered.substr(i - 2, 1));
  }
  CHECK(all.entered.find('l') == 2 + aging);
  for (std::size_t i = urgent_ones.size() - 2; i <= urgent_ones.size(); ++i) all.leave(all.entered.substr(i, 1));
}

TEST_CASE("priority_semaphore: a permit that is taken while its coroutine is just being suspended is not lost",
          "[async][priority_semaphore]") {
  const bool late = GENERATE(false, true);
  CAPTURE(late);
  felix::simulated_loop loop;
  felix::priority_semaphore slots{1};
  felix::stop_source stop;
  std::optional<felix::priority_semaphore::permit> held;
  held.emplace(felix::sync_wait(slots.acquire()));
  if (!late) stop.request_stop();
  std::optional<bool> served;
  loop.spawn(
      come_between(slots, held, late ? &stop : nullptr), [&](felix::result<void> ended) { served = ended.has_value(); },
      stop.get_token());
  loop.poll();
  CHECK(served == late);  // a permit that was granted stays granted
  CHECK(slots.in_use() == 0);
}

TEST_CASE("priority_semaphore: permits are held back for the level that is asked and those above",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{{.limit = 3, .held_back = 2, .held_back_for = high}};
  crowd all;
  all.come(slots, "a", normal);
  all.come(slots, "b", normal);
  all.come(slots, "H", high);
  all.come(slots, "U", urgent);
  CHECK(all.entered == "aHU");
  all.stop("b");
  for (const char* name : {"a", "H", "U"}) all.leave(name);
}

TEST_CASE("priority_semaphore: the last permit is never held back", "[async][priority_semaphore]") {
  CHECK_THAT(refusal([] { felix::priority_semaphore{{.limit = 2, .held_back = 2}}; }),
             Catch::Matchers::ContainsSubstring("2 of 2 permits held back"));
  CHECK_THAT(refusal([] { felix::priority_semaphore{{.limit = 2, .held_back = 2, .held_back_for = high}}; }),
             Catch::Matchers::ContainsSubstring("2 of 2 permits held back"));
  CHECK_THAT(refusal([] { felix::priority_semaphore{{.limit = 2, .held_back = 1, .held_back_for = low}}; }),
             Catch::Matchers::ContainsSubstring("held back from nobody"));
  felix::priority_semaphore slots{{.limit = 3, .held_back = 2}};
  crowd all;
  all.come(slots, "a", low);
  all.come(slots, "b", low);
  slots.set_limit(1);
  all.leave("a");
  CHECK(all.entered == "ab");
  all.leave("b");
  slots.set_limit(3);  // and then it is held back again
  all.come(slots, "c", low);
  all.come(slots, "d", low);
  CHECK(all.entered == "abc");
  all.stop("d");
  all.leave("c");
}

TEST_CASE("priority_semaphore: a group never exceeds its ceiling, and holds up nobody when it waits there",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{4};
  group team{slots, "team", {.ceiling = 2}};
  crowd all;
  for (const char* name : {"a", "b", "c", "d"}) all.come(team, name, urgent);
  CHECK(all.entered == "ab");
  CHECK(team.status().waiting_in_all() == 2);
  all.come(slots, "x", low);
  CHECK(all.entered == "abx");
  slots.set_limit(8);
  all.poll();
  CHECK(all.entered == "abx");
  all.leave("a");
  CHECK(all.entered == "abxc");
  all.stop("d");
  for (const char* name : {"b", "c", "x"}) all.leave(name);
}

TEST_CASE("priority_semaphore: a permit that comes back may serve one and free another from a ceiling",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{{.limit = 3, .held_back = 1}};
  group team{slots, "team", {.ceiling = 1}};
  group owed{slots, "owed", {.guaranteed = 1}};
  crowd all;
  all.come(team, "a", urgent);
  all.come(slots, "b", low);
  all.come(team, "c", urgent);  // waits at the ceiling, while a permit is held back
  all.come(owed, "d", low);     // waits because it is held back
  all.leave("a");               // d may go in now, and c too
  CHECK(slots.in_use() == 3);
  CHECK(slots.status().waiting_in_all() == 0);
  for (const char* name : {"b", "c", "d"}) all.leave(name);
}

TEST_CASE("priority_semaphore: what a group does not use is lent and comes back first", "[async][priority_semaphore]") {
  felix::priority_semaphore slots{3};
  group a{slots, "a", {.guaranteed = 2}}, b{slots, "b", {.guaranteed = 1}};
  crowd all;
  for (const char* name : {"1", "2", "3"}) all.come(b, name);  // 2 of them lent
  CHECK(all.entered == "123");
  all.come(b, "4", urgent);
  all.come(slots, "5", urgent);
  for (const char* name : {"x", "y", "z"}) all.come(a, name, low);
  all.leave("1");
  all.leave("2");
  CHECK(all.entered == "123xy");  // though they are low and came last
  CHECK(a.status().in_use == 2);
  all.leave("3");  // now b has none: its next one goes before 5, the urgent one of no group
  CHECK(all.entered == "123xy4");
  all.leave("4");  // b is owed one, but nobody of it waits
  CHECK(all.entered == "123xy45");
  all.leave("5");
  CHECK(all.entered == "123xy45z");
  for (const char* name : {"x", "y", "z"}) all.leave(name);
}

TEST_CASE("priority_semaphore: groups beside each other are served by level, then by arrival",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{1};
  group a{slots, "a"}, b{slots, "b"};
  crowd all;
  all.come(slots, "0");
  all.come(b, "1");
  all.come(a, "2");
  all.come(slots, "3");
  all.come(a, "4");
  all.come(b, "5", high);
  all.come(a, "6", low);
  CHECK(slots.status().waiting == std::array<std::size_t, 4>{1, 4, 1, 0});
  for (const char* name : {"0", "5", "1", "2", "3", "4", "6"}) all.leave(name);  // each is inside when it has to leave
  CHECK(all.entered == "0512346");
}

TEST_CASE("priority_semaphore: of groups below their guarantee the one with the higher level goes first",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{3};
  group a{slots, "a", {.guaranteed = 2}}, b{slots, "b", {.guaranteed = 1}};
  crowd all;
  for (const char* name : {"0", "1", "2"}) all.come(slots, name);
  slots.set_limit(1);  // below the sum of the guarantees: allowed
  all.come(a, "a", low);
  all.come(b, "b", low);
  all.come(a, "A", normal);
  all.come(slots, "3", urgent);
  for (const char* name : {"0", "1", "2", "A", "a", "b", "3"}) all.leave(name);
  CHECK(all.entered == "012Aab3");
}

TEST_CASE("priority_semaphore: shares that cannot be kept are refused, with what would do",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{{.limit = 5, .held_back = 1}};
  const group a{slots, "a", {.guaranteed = 1}};
  CHECK(refusal([&] { group{slots, "b", {.guaranteed = 4}}; }) ==
        "priority_semaphore: group 'b' asks for a guarantee of 4; of 5 permits 1 are guaranteed to others and 1 held "
        "back: guarantee at most 3, or raise the limit");
  for (int i = 0; i < 2; ++i) CHECK_NOTHROW(group{slots, "b", {.guaranteed = 3}});  // it ends: its share is free again
  slots.set_limit(6);
  CHECK_NOTHROW(group{slots, "b", {.guaranteed = 4}});
  {
    const group most{slots, "most", {.guaranteed = 4}};
    CHECK_THAT(refusal([&] { group{slots, "b", {.guaranteed = 1}}; }), Catch::Matchers::ContainsSubstring("at most 0"));
    slots.set_limit(1);  // 5 are guaranteed: nothing is left, and not less than that
    CHECK_THAT(refusal([&] { group{slots, "b", {.guaranteed = 1}}; }), Catch::Matchers::ContainsSubstring("at most 0"));
  }
  CHECK_THAT(refusal([&] { group{slots, "b", {.guaranteed = 1}}; }),
             Catch::Matchers::ContainsSubstring("at most 0"));  // 1 is guaranteed to a
  CHECK_NOTHROW(group{slots, "b"});
  CHECK_THAT(refusal([&] { group{slots, "b", {.ceiling = 0}}; }), Catch::Matchers::ContainsSubstring("ceiling of 0"));
  CHECK_THAT(refusal([&] { group{slots, "b", {.guaranteed = 1, .ceiling = 0}}; }),
             Catch::Matchers::ContainsSubstring("ceiling of 0"));
  slots.set_limit(5);
  CHECK_THAT(refusal([&] { group{slots, "b", {.guaranteed = 2, .ceiling = 1}}; }),
             Catch::Matchers::ContainsSubstring("a guarantee of 2 and a ceiling of 1"));
}

TEST_CASE("priority_semaphore: a group tells its part, the semaphore the whole", "[async][priority_semaphore]") {
  felix::priority_semaphore slots{2};
  group team{slots, "team", {.guaranteed = 1, .ceiling = 3}};
  CHECK(team.name() == "team");
  CHECK(team.terms().guaranteed == 1);
  CHECK(team.terms().ceiling == 3);
  CHECK(&team.semaphore() == &slots);
  crowd all;
  all.come(slots, "a");
  all.come(team, "b");
  all.come(team, "c", high);
  all.come(slots, "d", high);
  CHECK(team.status().limit == 2);
  CHECK(team.status().in_use == 1);
  CHECK(team.status().waiting == std::array<std::size_t, 4>{0, 0, 1, 0});
  CHECK(slots.status().in_use == 2);
  CHECK(slots.status().waiting == std::array<std::size_t, 4>{0, 0, 2, 0});
  CHECK(slots.waiting(high) == 2);
  slots.set_limit(8);
  all.poll();
  CHECK(team.status().limit == 3);
  for (const char* name : {"a", "b", "c", "d"}) all.leave(name);
}

/// A low one waits while each permit that comes back meets a new high one. How many of them went before it.
static int passed_by_a_stream(felix::priority_semaphore_options options, int stream) {
  felix::priority_semaphore slots{options};
  crowd all;
  all.come(slots, "<");
  all.come(slots, "l", low);
  std::string inside = "<";
  int passed = 0;
  for (; passed < stream && all.entered.find('l') == std::string::npos; ++passed) {
    const std::string next = "h" + std::to_string(passed);
    all.come(slots, next, high);
    all.leave(inside);
    if (all.entered.back() == 'l') break;
    inside = next;
  }
  if (all.entered.back() == 'l') {
    all.leave("l");
    all.leave("h" + std::to_string(passed));
  } else {
    all.leave(inside);
    all.leave("l");
  }
  return passed;
}

TEST_CASE("priority_semaphore: with aging N an endless stream of higher ones passes a waiter N times at most",
          "[async][priority_semaphore]") {
  CHECK(passed_by_a_stream({.limit = 1}, 100) == 100);  // strict
  CHECK(passed_by_a_stream({.limit = 1, .aging = 1}, 100) == 1);
  CHECK(passed_by_a_stream({.limit = 1, .aging = 15}, 100) == 15);
}

TEST_CASE("priority_semaphore: with aging each position is passed anew, so that urgent ones still get most",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{{.limit = 1, .aging = 3}};
  crowd all;
  all.come(slots, "0");
  for (const char* name : {"a", "b", "c"}) all.come(slots, name, low);
  std::string urgents;
  for (char name = 'A'; name <= 'L'; ++name) all.come(slots, std::string(1, name), urgent);
  for (std::size_t i = 0; i < 16; ++i) all.leave(all.entered.substr(i, 1));
  CHECK(all.entered == "0ABCaDEFbGHIcJKL");
}

TEST_CASE("priority_semaphore: with aging, those passed often enough go in the order in which they came",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{{.limit = 1, .aging = 1}};
  group team{slots, "team"};
  crowd all;
  all.come(slots, "0");
  all.come(team, "a", low);
  all.come(slots, "b", high);
  all.come(slots, "c", low);
  for (const char* name : {"U", "V"}) all.come(slots, name, urgent);
  for (std::size_t i = 0; i < 6; ++i) all.leave(all.entered.substr(i, 1));
  CHECK(all.entered == "0UabcV");  // c was passed by U as well, and by nobody later since
}

TEST_CASE("priority_semaphore: with aging only later ones count, and only who could have had the permit",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{{.limit = 2, .held_back = 1, .aging = 1}};
  group team{slots, "team", {.guaranteed = 1}};
  crowd all;
  all.come(slots, "0");
  SECTION("earlier ones do not") {
    for (const char* name : {"h", "i"}) all.come(slots, name, high);
    all.come(slots, "l", low);
    for (const char* name : {"0", "h", "i", "l"}) all.leave(name);
    CHECK(all.entered == "0hil");
  }
  SECTION("what is held back does not") {
    all.come(slots, "l", low);
    for (const char* name : {"U", "V"}) {
      all.come(slots, name, urgent);
      all.leave(name);
    }
    all.come(slots, "W", urgent);  // takes what is held back; the next waits
    all.come(slots, "X", urgent);
    all.come(slots, "h", high);
    all.leave("0");  // for X: nobody has passed l before
    all.leave("W");  // for l, which X has passed
    for (const char* name : {"X", "l", "h"}) all.leave(name);
    CHECK(all.entered == "0UVWXlh");
  }
  SECTION("a guarantee does not") {
    all.come(slots, "l", low);
    all.come(team, "t", high);
    all.come(slots, "h", high);
    for (const char* name : {"0", "t", "h", "l"}) all.leave(name);
    CHECK(all.entered == "0thl");
  }
}

TEST_CASE("priority_semaphore: who comes to an empty level was passed by nobody yet", "[async][priority_semaphore]") {
  felix::priority_semaphore slots{{.limit = 1, .aging = 1}};
  crowd all;
  all.come(slots, "0");
  all.come(slots, "a", low);
  all.come(slots, "U", urgent);
  all.leave("0");
  const bool stopped = GENERATE(true, false);
  if (stopped) {
    all.stop("a");
    all.come(slots, "b", low);
    all.come(slots, "V", urgent);
    for (const char* name : {"U", "V", "b"}) all.leave(name);
    CHECK(all.entered == "0U(a)Vb");
  } else {
    all.come(slots, "b", low);
    all.stop("a");  // the level stays: what it was passed counts for the next one, who would else wait for ever
    all.come(slots, "V", urgent);
    for (const char* name : {"U", "b", "V"}) all.leave(name);
    CHECK(all.entered == "0U(a)bV");
  }
}

TEST_CASE("priority_semaphore: a stopped waiter of a group leaves, and its permit goes to the next",
          "[async][priority_semaphore]") {
  felix::priority_semaphore slots{1};
  group team{slots, "team", {.guaranteed = 1}};
  crowd all;
  all.come(slots, "a");
  all.come(team, "b");
  all.come(slots, "c");
  all.stop("b");
  CHECK(all.entered == "a(b)");
  CHECK(team.status().waiting_in_all() == 0);
  all.leave("a");
  CHECK(all.entered == "a(b)c");
  all.leave("c");
}
