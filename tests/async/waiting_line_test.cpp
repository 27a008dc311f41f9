// SPDX-License-Identifier: MIT
#include <felix/async/waiting_line.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/async/thread_pool.hpp>
#include <felix/async/timeout.hpp>
#include "support/catch.hpp"
#include "support/seeds.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using felix::request_priority;
using namespace std::chrono_literals;

namespace {

// Room that is taken and given back without a lock; a party of more than `most` will never get in.
struct room {
  explicit room(int places) : free{places} {}
  static constexpr int most = 5;
  std::atomic<int> free;
  std::uint64_t closed_in = 0;  // the pass in which a party did not get in
  felix::waiting_line line;

  bool take(int party) {
    int seen = free.load();
    while (seen >= party)
      if (free.compare_exchange_weak(seen, seen - party)) return true;
    return false;
  }
  void give_back(int party) {
    free.fetch_add(party);
    line.changed();
  }

  class seats;
  seats wait_for(int party, request_priority priority = request_priority::normal);
};

class room::seats final : public felix::waiting_line::wait {
 public:
  void await_resume() { finish("waiting for a room"); }

 private:
  friend struct room;
  seats(room& of, int party, request_priority priority) noexcept : wait{of.line, priority}, of_{of}, party_{party} {}
  bool attempt(std::uint64_t pass) override {
    if (party_ > most) throw std::runtime_error{"the party is too large"};
    if (pass != 0 && of_.closed_in == pass) return false;
    if (of_.take(party_)) return true;
    if (pass != 0) of_.closed_in = pass;  // pass 0 is tried outside the line, by several threads at once
    return false;
  }
  room& of_;
  int party_;
};

room::seats room::wait_for(int party, request_priority priority) { return {*this, party, priority}; }

felix::task<> enter(room& where, int party, request_priority priority, std::string name, std::string& entered) {
  co_await where.wait_for(party, priority);
  entered += name;
}

felix::task<> pass_time(std::chrono::milliseconds time) { co_await felix::sleep_for(time); }

const auto ignore = [](felix::result<void>) {};

felix::task<> visit(room& where, int party, request_priority priority, std::atomic<int>& inside,
                    std::atomic<int>& too_many) {
  co_await where.wait_for(party, priority);
  too_many += (inside += party) > 4;
  inside -= party;
  where.give_back(party);
}

}  // namespace

static_assert(!std::is_aggregate_v<room::seats>, "g++ 12 would destroy it twice");
static_assert(!std::is_move_constructible_v<felix::waiting_line>);

TEST_CASE("waiting_line: what is there is taken at once", "[async][waiting_line]") {
  felix::simulated_loop loop;
  room where{3};
  std::string entered;
  loop.run(enter(where, 3, request_priority::normal, "a", entered));
  CHECK(entered == "a");
  CHECK(where.free == 0);
  CHECK_FALSE(where.line.anybody());
}

TEST_CASE("waiting_line: the most urgent goes first, then who came first", "[async][waiting_line]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{16}));
  felix::simulated_loop loop{seed};
  room where{0};
  std::string entered;
  const std::string arrivals = felix::test::shuffled("abcdefgh", seed);
  for (const char name : arrivals) {
    const auto level = static_cast<request_priority>((name - 'a') / 2);  // ab low, cd normal, ef high, gh urgent
    loop.spawn(enter(where, 1, level, std::string(1, name), entered), ignore);
    loop.poll();  // they come in this order
  }
  CHECK(where.line.waiting() == 8);
  for (int i = 0; i < 8; ++i) {
    where.give_back(1);
    loop.poll();
    CHECK(entered.size() == static_cast<std::size_t>(i + 1));
  }
  std::string expected;
  for (int level = 3; level >= 0; --level)
    for (const char name : arrivals)
      if ((name - 'a') / 2 == level) expected += name;
  CHECK(entered == expected);
  CHECK(where.line.waiting() == 0);
}

TEST_CASE("waiting_line: one change serves as many as it can, and a refused one keeps its place",
          "[async][waiting_line]") {
  felix::simulated_loop loop;
  room where{0};
  std::string entered;
  for (const auto& [party, name] : {std::pair{1, "a"}, {3, "b"}, {1, "c"}, {1, "d"}}) {
    loop.spawn(enter(where, party, request_priority::normal, name, entered), ignore);
    loop.poll();
  }
  where.give_back(2);
  loop.poll();
  CHECK(entered == "a");  // b needs 3, and c and d let it go first
  where.give_back(1);
  loop.poll();
  CHECK(entered == "a");
  where.give_back(1);
  loop.poll();
  CHECK(entered == "ab");
  where.give_back(2);
  loop.poll();
  CHECK(entered == "abcd");
}

TEST_CASE("waiting_line: who comes later does not pass those who wait", "[async][waiting_line]") {
  felix::simulated_loop loop;
  room where{2};
  std::string entered;
  loop.spawn(enter(where, 3, request_priority::normal, "a", entered), ignore);
  loop.poll();
  loop.spawn(enter(where, 1, request_priority::normal, "b", entered), ignore);
  loop.poll();
  CHECK(entered.empty());
  loop.spawn(enter(where, 1, request_priority::high, "c", entered), ignore);  // before all of them
  loop.poll();
  CHECK(entered == "c");
  where.give_back(2);
  loop.poll();
  CHECK(entered == "ca");
  where.give_back(1);
  loop.poll();
  CHECK(entered == "cab");
}

TEST_CASE("waiting_line: a wait that can never succeed fails", "[async][waiting_line]") {
  felix::simulated_loop loop;
  room where{0};
  std::string entered;
  CHECK_THROWS_AS(loop.run(enter(where, 6, request_priority::normal, "a", entered)), std::runtime_error);
  loop.spawn(enter(where, 1, request_priority::normal, "b", entered), ignore);
  loop.poll();
  CHECK_THROWS_AS(loop.run(enter(where, 6, request_priority::normal, "c", entered)), std::runtime_error);
  CHECK(where.line.waiting() == 1);
  where.give_back(1);
  loop.poll();
  CHECK(entered == "b");
}

TEST_CASE("waiting_line: a stopped wait leaves at once, and those behind it try", "[async][waiting_line]") {
  felix::simulated_loop loop;
  room where{1};
  std::string entered;
  bool stopped = false;
  auto impatient = [](room& of, std::string& log, bool& gave_up) -> felix::task<> {
    try {
      co_await felix::timeout(1s, enter(of, 3, request_priority::high, "a", log));
    } catch (const felix::timed_out&) {
      gave_up = true;
    }
  };
  loop.spawn(impatient(where, entered, stopped), ignore);
  loop.poll();
  loop.spawn(enter(where, 1, request_priority::normal, "b", entered), ignore);
  loop.poll();
  CHECK(entered.empty());
  CHECK(where.line.waiting() == 2);
  loop.run(pass_time(1s));
  CHECK(stopped);
  CHECK(entered == "b");
  CHECK(where.line.waiting() == 0);
  CHECK(where.free == 0);
}

TEST_CASE("waiting_line: a stop request that came before the wait ends it, unless it need not wait",
          "[async][waiting_line]") {
  felix::simulated_loop loop;
  room where{1};
  std::string entered;
  felix::stop_source stop;
  stop.request_stop();
  loop.run(enter(where, 1, request_priority::normal, "a", entered), stop.get_token());
  CHECK(entered == "a");
  CHECK_THROWS_AS(loop.run(enter(where, 1, request_priority::normal, "b", entered), stop.get_token()),
                  felix::cancelled);
  CHECK(where.line.waiting() == 0);
}

namespace {

// Notes whether a change that is made while it tries would find it.
class seen_when_tried final : public felix::waiting_line::wait {
 public:
  seen_when_tried(felix::waiting_line& line, std::string& log) noexcept
      : wait{line, request_priority::normal}, line_{line}, log_{log} {}
  void await_resume() { finish("waiting to be seen"); }

 private:
  bool attempt(std::uint64_t pass) override {
    log_ += pass == 0 ? '0' : line_.anybody() ? '+' : '-';
    return log_.size() == 3;
  }
  felix::waiting_line& line_;
  std::string& log_;
};

felix::task<> be_seen(felix::waiting_line& line, std::string& log) { co_await seen_when_tried{line, log}; }

}  // namespace

TEST_CASE("waiting_line: who tries in the line is seen by whoever makes a change", "[async][waiting_line]") {
  felix::simulated_loop loop;
  felix::waiting_line line;
  std::string log;
  line.changed();  // nobody is there
  loop.spawn(be_seen(line, log), ignore);
  CHECK(log == "0+");
  line.changed();
  loop.poll();
  CHECK(log == "0++");
  CHECK_FALSE(line.anybody());
}

TEST_CASE("waiting_line: no wake-up is lost between threads, and all leave as they came",
          "[async][waiting_line][threads]") {
  constexpr int parties = 400;
  felix::thread_pool pool{3};
  room where{4};
  std::atomic<int> inside{0};
  std::atomic<int> too_many{0};
  std::atomic<int> left{parties};
  std::vector<std::thread> comers;
  for (int comer = 0; comer < 2; ++comer)
    comers.emplace_back([&] {
      for (int i = 0; i < parties / 2; ++i)
        pool.spawn(visit(where, 1 + i % 4, static_cast<request_priority>(i % 3), inside, too_many),
                   [&](felix::result<void>) { --left; });
    });
  for (auto& comer : comers) comer.join();
  while (left != 0) std::this_thread::yield();  // for ever, if one was lost
  CHECK(too_many == 0);
  CHECK(where.free == 4);
  CHECK(where.line.waiting() == 0);
}
