// SPDX-License-Identifier: MIT
// priority_semaphore under groups, levels, what is held back, aging, stops and limits that change: at random against a
// model that says who may go in, and on several threads. A failure prints its seed; that one alone:
//     FELIX_TEST_SEED=42 build/debug/tests/felix_async_tests 'permit_workload: who goes in is who should'
#include <felix/async/priority_semaphore.hpp>

#include <felix/agent/random.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/simulated_loop.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using felix::request_priority;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t levels = felix::request_priority_levels;

/// Who waits or has a permit, written down as plainly as can be.
class model {
 public:
  class guest {
   public:
    guest(std::size_t number, std::size_t of, std::size_t with) : arrival{number}, group{of}, level{with} {}
    std::size_t arrival;
    std::size_t group;  // 0: none
    std::size_t level;
    std::size_t passed = 0;
  };

  felix::priority_semaphore_options options;
  std::vector<felix::permit_share> terms{{}};
  std::vector<guest> waiting;  // in the order of arrival
  std::map<std::size_t, guest> inside;
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> passed;  // by group and level, since it was last served

  [[nodiscard]] std::size_t in_use(std::size_t group) const {
    return static_cast<std::size_t>(
        std::count_if(inside.begin(), inside.end(), [&](const auto& each) { return each.second.group == group; }));
  }
  [[nodiscard]] bool admits(const guest& who) const {
    const auto below = [this](const guest& each) {
      return each.level < static_cast<std::size_t>(options.held_back_for);
    };
    const auto of_these =
        std::count_if(inside.begin(), inside.end(), [&](const auto& each) { return below(each.second); });
    const std::size_t open = options.limit - std::min(options.held_back, options.limit - 1);
    return inside.size() < options.limit && in_use(who.group) < terms[who.group].ceiling &&
           (!below(who) || static_cast<std::size_t>(of_these) < open);
  }
  [[nodiscard]] bool owed(const guest& who) const { return in_use(who.group) < terms[who.group].guaranteed; }
  [[nodiscard]] bool is_first(const guest& who) const {
    return std::none_of(waiting.begin(), waiting.end(), [&](const guest& other) {
      return other.group == who.group && other.level == who.level && other.arrival < who.arrival;
    });
  }
  [[nodiscard]] bool due(const guest& who) const {
    const auto count = passed.find({who.group, who.level});
    return options.aging != 0 && is_first(who) && count != passed.end() && count->second >= options.aging;
  }

  void come(guest who) {
    waiting.push_back(who);
    settle();
  }
  void leave(std::size_t who) {
    inside.erase(who);
    settle();
  }
  void stop(std::size_t who) {
    const auto at = std::find_if(waiting.begin(), waiting.end(), [&](const guest& g) { return g.arrival == who; });
    const guest gone = *at;
    waiting.erase(at);
    forget_if_empty(gone);
  }
  void set_limit(std::size_t limit) {
    options.limit = limit;
    settle();
  }

  std::string failure;  // of what is promised of the model itself

 private:
  void forget_if_empty(const guest& gone) {
    if (std::none_of(waiting.begin(), waiting.end(),
                     [&](const guest& g) { return g.group == gone.group && g.level == gone.level; }))
      passed.erase({gone.group, gone.level});
  }
  /// Lets in, one after the other, who may go in.
  void settle() {
    for (;;) {
      std::vector<guest> may;
      for (const guest& each : waiting)
        if (admits(each)) may.push_back(each);
      if (may.empty()) return;
      if (std::any_of(may.begin(), may.end(), [&](const guest& g) { return owed(g); }))
        std::erase_if(may, [&](const guest& g) { return !owed(g); });
      auto first = may.end();
      for (auto each = may.begin(); each != may.end(); ++each)  // the one due that came first
        if (due(*each) && first == may.end()) first = each;
      if (first == may.end())
        first =
            std::max_element(may.begin(), may.end(), [](const guest& a, const guest& b) { return a.level < b.level; });
      const guest served = *first;
      for (const guest& each : may) {
        if (each.level >= served.level || each.arrival >= served.arrival || !is_first(each)) continue;
        ++passed[{each.group, each.level}];
        auto& waits = *std::find_if(waiting.begin(), waiting.end(), [&](auto& g) { return g.arrival == each.arrival; });
        if (++waits.passed > options.aging && options.aging != 0) failure = "a first one was passed too often";
      }
      passed.erase({served.group, served.level});
      std::erase_if(waiting, [&](const guest& g) { return g.arrival == served.arrival; });
      inside.emplace(served.arrival, served);
    }
  }
};

/// One seed's semaphore beside its model.
class workload {
 public:
  explicit workload(std::uint64_t seed) : random_{felix::derive_seed(seed, "permits", 0)}, loop_{seed} {
    auto& options = expected_.options;
    options.limit = 1 + pick(5);
    options.held_back = pick(std::min<std::size_t>(options.limit, 3));
    options.held_back_for = static_cast<request_priority>(1 + pick(levels - 1));
    options.aging = pick(2) == 0 ? 0 : 1 + pick(4);
    slots_.emplace(options);
    std::size_t left = options.limit - options.held_back;
    for (std::size_t i = 1, count = pick(4); i <= count; ++i) {
      felix::permit_share terms;
      terms.guaranteed = pick(left + 1);
      left -= terms.guaranteed;
      if (pick(2) == 0) terms.ceiling = std::max<std::size_t>(1, terms.guaranteed + pick(2));
      groups_.emplace_back(*slots_, "group " + std::to_string(i), terms);
      expected_.terms.push_back(terms);
    }
  }
  workload(workload&&) = delete;
  ~workload() {
    inside_.clear();
    loop_.poll();
  }

  /// Empty, or what went wrong.
  std::string run(std::size_t steps) {
    for (std::size_t i = 0; i < steps && failure_.empty(); ++i) {
      step();
      compare();
    }
    // In the end all go in, when there is no stop: none is lost.
    while (failure_.empty() && !(inside_.empty() && expected_.inside.empty() && expected_.waiting.empty())) {
      drain();
      if (inside_.empty()) fail("waiters are left, and no permit is in use");
      if (!inside_.empty()) leave();
      compare();
    }
    if (failure_.empty() && slots_->in_use() != 0) fail("a permit was lost");
    if (failure_.empty()) failure_ = expected_.failure;
    return failure_;
  }
  [[nodiscard]] std::size_t granted() const { return granted_; }
  [[nodiscard]] std::size_t stopped() const { return stopped_; }

 private:
  std::size_t pick(std::size_t below) { return static_cast<std::size_t>(random_.next() % below); }
  void fail(std::string what) {
    if (failure_.empty()) failure_ = std::move(what);
  }

  template <class Slots>
  static felix::task<> stay(Slots& to, request_priority level, std::size_t number, workload& of) {
    auto permit = co_await to.acquire(level);
    of.inside_.emplace(number, std::move(permit));
    ++of.granted_;
  }

  void step() {
    const std::size_t kind = pick(10);
    if (kind < 4) come();
    if (kind >= 4 && kind < 7 && !inside_.empty()) leave();
    if (kind == 7 && !expected_.waiting.empty()) stop();
    if (kind == 8) {
      const std::size_t limit = 1 + pick(6);
      slots_->set_limit(limit);
      expected_.set_limit(limit);
    }
    if (kind == 9) drain();
  }
  void come() {
    const std::size_t group = pick(groups_.size() + 1);
    const std::size_t level = pick(levels);
    const std::size_t number = stops_.size();
    const auto priority = static_cast<request_priority>(level);
    auto token = stops_.emplace_back().get_token();
    const auto note = [this, number](felix::result<void> r) {
      if (!r) cancelled_.insert(number);
    };
    if (group == 0) {
      loop_.spawn(stay(*slots_, priority, number, *this), note, token);
    } else {
      loop_.spawn(stay(groups_[group - 1], priority, number, *this), note, token);
    }
    expected_.come({number, group, level});
  }
  void leave() {
    auto who = inside_.begin();
    std::advance(who, static_cast<std::ptrdiff_t>(pick(inside_.size())));
    const std::size_t number = who->first;
    inside_.erase(who);
    expected_.leave(number);
  }
  void stop() {
    // One that waits, or one that has been let in but may not know it yet: then the stop comes too late.
    if (pick(4) == 0 && !expected_.inside.empty()) {
      stops_[expected_.inside.rbegin()->first].request_stop();
      return;
    }
    const std::size_t number = expected_.waiting[pick(expected_.waiting.size())].arrival;
    stops_[number].request_stop();
    expected_.stop(number);
    must_be_cancelled_.insert(number);
    ++stopped_;
  }
  void drain() {
    loop_.poll();
    std::set<std::size_t> have, should;
    for (const auto& each : inside_) have.insert(each.first);
    for (const auto& each : expected_.inside) should.insert(each.first);
    if (have != should) fail("others are inside than should be");
    if (cancelled_ != must_be_cancelled_) fail("others were cancelled than should be");
  }

  void compare() {
    const auto now = slots_->status();
    if (now.limit != expected_.options.limit) fail("the limit");
    if (now.in_use != expected_.inside.size()) fail("permits in use");
    if (now.waiting_in_all() != expected_.waiting.size()) fail("waiters");
    if (now.in_use > most_in_use_ && now.in_use > now.limit) fail("more in use than the limit, that was not lowered");
    most_in_use_ = now.in_use;
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const auto part = groups_[i].status();
      if (part.in_use > groups_[i].terms().ceiling) fail("a group above its ceiling");
      if (part.in_use != expected_.in_use(i + 1)) fail("permits of a group in use");
      for (std::size_t level = 0; level < levels; ++level) {
        const auto waits = [&](const model::guest& g) { return g.group == i + 1 && g.level == level; };
        if (part.waiting[level] !=
            static_cast<std::size_t>(std::count_if(expected_.waiting.begin(), expected_.waiting.end(), waits)))
          fail("waiters of a group");
      }
    }
  }

  felix::seeded_random random_;
  model expected_;
  std::deque<felix::stop_source> stops_;  // by arrival
  std::set<std::size_t> cancelled_, must_be_cancelled_;
  std::optional<felix::priority_semaphore> slots_;
  std::deque<felix::priority_semaphore::group> groups_;
  felix::simulated_loop loop_;
  std::map<std::size_t, felix::priority_semaphore::permit> inside_;
  std::size_t granted_ = 0, stopped_ = 0, most_in_use_ = 0;
  std::string failure_;
};

}  // namespace

TEST_CASE("permit_workload: who goes in is who should, and no permit is lost", "[async][priority_semaphore]") {
  const auto only = felix::test::asked_for("FELIX_TEST_SEED");
  const std::uint64_t first = only.value_or(0), last = only ? *only + 1 : 10'000;
  std::size_t granted = 0, stopped = 0;
  for (std::uint64_t seed = first; seed < last; ++seed) {
    workload w{seed};
    const std::string failure = w.run(60);
    INFO("seed " << seed);
    REQUIRE(failure == "");
    granted += w.granted();
    stopped += w.stopped();
  }
  if (!only) {
    CHECK(granted > 100'000);
    CHECK(stopped > 10'000);
  }
}

namespace {

/// How many are inside, of a group or of all; and the most that were.
class counted {
 public:
  void enter() {
    const int now = ++inside_;
    int seen = most_.load();
    while (seen < now && !most_.compare_exchange_weak(seen, now)) {}
  }
  void leave() { --inside_; }
  [[nodiscard]] int most() const { return most_.load(); }

 private:
  std::atomic<int> inside_{0}, most_{0};
};

template <class Slots>
felix::task<> hammer(Slots& to, counted& own, counted& all, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    const auto permit = co_await to.acquire(static_cast<request_priority>(i % 4));
    own.enter();
    all.enter();
    if (i % 3 == 0) co_await felix::this_task::yield();
    all.leave();
    own.leave();
  }
}

}  // namespace

TEST_CASE("permit_workload: threads that acquire, release, stop and change the limit lose no permit",
          "[async][priority_semaphore]") {
  for (int round = 0; round < 50; ++round) {
    felix::priority_semaphore slots{{.limit = 3, .held_back = 1, .aging = round % 2 == 0 ? std::size_t{0} : 2}};
    counted in_a, in_b, in_none, in_all;
    {
      felix::priority_semaphore::group a{slots, "a", {.guaranteed = 1}}, b{slots, "b", {.guaranteed = 1, .ceiling = 1}};
      felix::stop_source stop;
      std::atomic<bool> done{false};
      std::vector<std::thread> threads;
      for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] { felix::sync_wait(hammer(a, in_a, in_all, 40)); });
        threads.emplace_back([&] { felix::sync_wait(hammer(b, in_b, in_all, 40)); });
        threads.emplace_back([&] {
          static_cast<void>(felix::sync_wait(felix::as_result(hammer(slots, in_none, in_all, 40)), stop.get_token()));
        });
      }
      std::thread adapts{[&] {
        for (std::size_t limit = 1; !done.load(); limit = limit % 4 + 1) {
          slots.set_limit(limit);
          if (limit == 4) stop.request_stop();
          std::this_thread::yield();
        }
      }};
      for (auto& thread : threads) thread.join();
      done.store(true);
      adapts.join();
      CHECK(a.status().waiting_in_all() + b.status().waiting_in_all() == 0);
      CHECK(a.status().in_use + b.status().in_use == 0);
    }
    CHECK(slots.in_use() == 0);
    CHECK(slots.status().waiting_in_all() == 0);
    CHECK(in_b.most() == 1);
    CHECK(in_all.most() <= 4);
  }
}

TEST_CASE("permit_workload: a limit raised from another thread wakes who waits", "[async][priority_semaphore]") {
  for (int round = 0; round < 100; ++round) {
    felix::priority_semaphore slots{1};
    const auto held = felix::sync_wait(slots.acquire());
    std::thread raises{[&] { slots.set_limit(2); }};
    const auto second = felix::sync_wait(slots.acquire());
    raises.join();
    CHECK(slots.in_use() == 2);
  }
}

TEST_CASE("permit_workload: permits of groups under a time limit and in another's hands are not lost",
          "[async][priority_semaphore]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{64}));
  felix::simulated_loop loop{seed};
  felix::priority_semaphore slots{{.limit = 2, .held_back = 1}};
  felix::priority_semaphore::group team{slots, "team", {.guaranteed = 1, .ceiling = 1}};
  const auto hold = [](felix::priority_semaphore::group& of, request_priority level, std::chrono::milliseconds patience,
                       int& ended) -> felix::task<void> {
    try {
      const auto permit = co_await felix::timeout(patience, of.acquire(level));
      co_await felix::sleep_for(2ms);
    } catch (const felix::timed_out&) {}
    ++ended;
  };
  int ended = 0;
  std::vector<felix::task<void>> all;
  for (int i = 0; i < 12; ++i)
    all.push_back(hold(team, static_cast<request_priority>(i % 4), std::chrono::milliseconds{1 + i}, ended));
  loop.run(felix::when_all(std::move(all)));
  CHECK(ended == 12);
  CHECK(slots.in_use() == 0);
  CHECK(team.status().waiting_in_all() == 0);
}
