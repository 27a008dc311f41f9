// SPDX-License-Identifier: MIT
// A stop against what would end the wait by itself, from two threads at once, while the coroutine lives on one of them or
// on a third. Each race ends once, one way or the other, and nothing is lost. A million of them, under ThreadSanitizer, by
// both compilers:
//     bash cmake/quickstart.sh races
#include <felix/async/stop_token.hpp>

#include <felix/agent/random.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/basic_event_loop.hpp>
#include <felix/async/channel.hpp>
#include <felix/async/event.hpp>
#include <felix/async/mutex.hpp>
#include <felix/async/nursery.hpp>
#include <felix/async/priority_channel.hpp>
#include <felix/async/priority_semaphore.hpp>
#include <felix/async/semaphore.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/thread_pool.hpp>
#include <felix/async/timeout.hpp>
#include <felix/async/when_all.hpp>
#include <felix/async/when_any.hpp>
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

using felix::task;

/// Time that goes on when a race says so.
class race_clock {
 public:
  [[nodiscard]] std::chrono::steady_clock::time_point now() const noexcept {
    return std::chrono::steady_clock::time_point{std::chrono::nanoseconds{ticks.load(std::memory_order_relaxed)}};
  }
  static inline std::atomic<std::int64_t> ticks{1};
};
using loop = felix::basic_event_loop<felix::detail::thread_reactor, race_clock>;

/// Who does what. `home` is the main thread, on whose loop the coroutine lives; the others have loops of their own.
enum class party : unsigned char { home, second, third };
constexpr std::size_t parties = 3;
/// Whether the wait has begun when the race starts, or begins while the others are at it.
enum class start : unsigned char { parked, arriving };
class plan {
 public:
  constexpr plan(party stopper, party completer, start how) : stops{stopper}, completes{completer}, begins{how} {}
  party stops;
  party completes;
  start begins;
};
constexpr std::array plans{
    plan{party::home, party::second, start::parked},   plan{party::second, party::home, start::parked},
    plan{party::home, party::second, start::arriving}, plan{party::second, party::home, start::arriving},
    plan{party::second, party::third, start::parked},  plan{party::second, party::third, start::arriving}};

/// The loops of a race, and who does what in it.
class stage {
 public:
  stage(std::array<loop*, parties> of_parties, plan chosen) : loops_{of_parties}, plan_{chosen} {}
  [[nodiscard]] loop& of(party which) const { return *loops_[static_cast<std::size_t>(which)]; }
  [[nodiscard]] loop& stopping() const { return of(plan_.stops); }
  [[nodiscard]] loop& completing() const { return of(plan_.completes); }
  [[nodiscard]] loop& elsewhere() const { return of(party::second); }  // driven by its thread until the race is over

 private:
  std::array<loop*, parties> loops_;
  plan plan_;
};

/// A wait that two threads end.
class duel {
 public:
  explicit duel(std::string_view called) : name{called} {}
  duel(duel&&) = delete;
  virtual ~duel() = default;

  [[nodiscard]] virtual bool suits(plan) const { return true; }
  /// Returns when it was completed, throws when it was stopped.
  virtual task<void> wait(stage where) = 0;
  virtual void complete(stage where) = 0;
  virtual void stop(felix::stop_source& source, stage) { source.request_stop(); }
  /// After the race: whether nothing was lost. Makes everything as it was.
  virtual bool settle(bool completed) = 0;

  const std::string_view name;
};

class event_duel final : public duel {
 public:
  event_duel() : duel{"event"} {}
  task<void> wait(stage) override { co_await event_; }
  void complete(stage) override { event_.set(); }
  bool settle(bool) override {
    const bool kept = event_.is_set();
    event_.reset();
    return kept;
  }

 private:
  felix::event event_;
};

class semaphore_duel final : public duel {
 public:
  semaphore_duel() : duel{"semaphore"} {}
  task<void> wait(stage) override { co_await semaphore_.acquire(); }
  void complete(stage) override { semaphore_.release(); }
  bool settle(bool completed) override {
    // The one permit went to the coroutine, or is still there.
    return completed ? semaphore_.available() == 0 : semaphore_.available() == 1 && semaphore_.try_acquire();
  }

 private:
  felix::semaphore semaphore_{0};
};

class mutex_duel final : public duel {
 public:
  mutex_duel() : duel{"mutex"} { lock(); }
  task<void> wait(stage) override { const auto held = co_await mutex_.lock(); }
  void complete(stage) override { held_.reset(); }
  bool settle(bool) override {
    lock();
    return held_.has_value();
  }

 private:
  void lock() {
    if (auto taken = mutex_.try_lock()) held_.emplace(std::move(*taken));
  }
  felix::mutex mutex_;
  std::optional<felix::mutex::scoped_lock> held_;
};

class permit_duel final : public duel {
 public:
  permit_duel() : duel{"priority_semaphore"} { take(); }
  task<void> wait(stage) override { const auto permit = co_await slots_.acquire(felix::request_priority::high); }
  void complete(stage) override { held_.reset(); }
  bool settle(bool) override {
    if (slots_.in_use() != 0 || slots_.waiting(felix::request_priority::high) != 0) return false;
    take();
    return true;
  }

 private:
  void take() {
    auto acquiring = slots_.acquire();
    if (acquiring.await_ready()) held_.emplace(acquiring.await_resume());
  }
  felix::priority_semaphore slots_{1};
  std::optional<felix::priority_semaphore::permit> held_;
};

class receive_duel final : public duel {
 public:
  receive_duel() : duel{"channel, receive"} {}
  task<void> wait(stage) override { received_ = co_await texts_.receive(); }
  void complete(stage) override { sent_ = texts_.try_send(std::string(40, 'r')); }
  bool settle(bool completed) override {
    if (!completed) received_ = texts_.try_receive();
    return std::exchange(sent_, false) && std::exchange(received_, {}) == std::string(40, 'r');
  }

 private:
  felix::channel<std::string> texts_{1};
  bool sent_ = false;
  std::optional<std::string> received_;
};

class send_duel final : public duel {
 public:
  send_duel() : duel{"channel, send"} {}
  [[nodiscard]] bool suits(plan of) const override { return of.begins == start::parked; }
  task<void> wait(stage) override {
    const bool accepted = co_await texts_.send(std::string(40, 's'));  // g++ 12: not in the condition
    refused_ = !accepted;
  }
  void complete(stage) override { received_ = texts_.try_receive(); }
  bool settle(bool completed) override {
    return !refused_ && std::exchange(received_, {}).has_value() == completed && !texts_.try_receive();
  }

 private:
  felix::channel<std::string> texts_{0};
  bool refused_ = false;
  std::optional<std::string> received_;
};

class pop_duel final : public duel {
 public:
  pop_duel() : duel{"priority_channel, pop"} {}
  task<void> wait(stage) override { popped_ = co_await texts_.pop(); }
  void complete(stage) override { pushed_ = texts_.try_push(1, std::string(40, 'p')); }
  bool settle(bool completed) override {
    if (!completed) popped_ = texts_.try_pop();
    return std::exchange(pushed_, false) && std::exchange(popped_, {}) == std::string(40, 'p');
  }

 private:
  felix::priority_channel<std::string, 2> texts_{1};
  bool pushed_ = false;
  std::optional<std::string> popped_;
};

/// Waits for the place of another value.
class push_duel final : public duel {
 public:
  push_duel() : duel{"priority_channel, push"} { fill(); }
  task<void> wait(stage) override {
    const bool accepted = co_await texts_.push(0, std::string(40, 'q'));
    refused_ = !accepted;
  }
  void complete(stage) override { popped_ = texts_.try_pop(); }
  bool settle(bool completed) override {
    const bool right = !refused_ && std::exchange(popped_, {}) == std::string(40, '-') &&
                       texts_.try_pop().has_value() == completed && texts_.size_approx() == 0;
    fill();
    return right;
  }

 private:
  void fill() { refused_ = !texts_.try_push(1, std::string(40, '-')); }
  felix::priority_channel<std::string, 2> texts_{1};
  bool refused_ = false;
  std::optional<std::string> popped_;
};

/// A user's own callback on the token: once it is destroyed, it has not begun or has ended. Plain numbers, so that
/// ThreadSanitizer sees when the two threads are not in order.
class callback_duel final : public duel {
 public:
  callback_duel() : duel{"stop_callback"} {}
  task<void> wait(stage) override {
    const felix::stop_token token = co_await felix::this_task::stop_token();
    try {
      const felix::stop_callback on_stop{token, [&] {
                                           token_says_so_ = token.stop_requested();
                                           for (++begun_; steps_ < 2'000; ++steps_)
                                             std::atomic_signal_fence(std::memory_order_seq_cst);
                                           ++ended_;
                                         }};
      co_await event_;
    } catch (const felix::cancelled&) {
      right_ = begun_ == ended_;
      throw;
    }
    right_ = begun_ == ended_;
  }
  void complete(stage) override { event_.set(); }
  bool settle(bool) override {
    event_.reset();
    const bool called = begun_ == 1;
    begun_ = ended_ = steps_ = 0;
    return std::exchange(right_, false) && std::exchange(token_says_so_, false) == called;
  }

 private:
  felix::event event_;
  int begun_ = 0, ended_ = 0, steps_ = 0;
  bool token_says_so_ = false, right_ = false;
};

/// Makes what is armed for one tick from now due, and lets its loop find that out.
void pass_time(loop& on) {
  race_clock::ticks.fetch_add(1, std::memory_order_relaxed);
  on.poll();
}

/// The timer is in the heap of whoever completes: the stop takes it out of there from another thread.
class sleep_duel final : public duel {
 public:
  sleep_duel() : duel{"sleep"} {}
  task<void> wait(stage where) override { co_await where.completing().sleep_until(deadline_); }
  void complete(stage where) override { pass_time(where.completing()); }
  bool settle(bool) override {
    deadline_ = race_clock{}.now() + 1ns;
    return true;
  }

 private:
  std::chrono::steady_clock::time_point deadline_ = race_clock{}.now() + 1ns;
};

/// The limit runs out, or somebody stops the whole.
class time_up_duel final : public duel {
 public:
  time_up_duel() : duel{"timeout, from outside"} {}
  /// A stop by the home thread always wins: it comes before the coroutine goes on.
  [[nodiscard]] bool suits(plan of) const override { return of.begins == start::parked && of.stops != party::home; }
  task<void> wait(stage where) override {
    try {
      co_await felix::timeout(where.completing(), 1ns, never_);
    } catch (const felix::timed_out&) {}
  }
  void complete(stage where) override { pass_time(where.completing()); }
  bool settle(bool) override { return true; }

 private:
  felix::event never_;
};

/// The limit runs out, or the work is done.
class in_time_duel final : public duel {
 public:
  in_time_duel() : duel{"timeout, by itself"} {}
  [[nodiscard]] bool suits(plan of) const override { return of.begins == start::parked; }
  task<void> wait(stage where) override { co_await felix::timeout(where.stopping(), 1ns, event_); }
  void complete(stage) override { event_.set(); }
  void stop(felix::stop_source&, stage where) override { pass_time(where.stopping()); }
  bool settle(bool) override {
    const bool kept = event_.is_set();
    event_.reset();
    return kept;
  }

 private:
  felix::event event_;
};

/// Arrives on another loop, or is stopped on the way. What it has done there comes home with it.
class move_duel final : public duel {
 public:
  move_duel() : duel{"schedule"} {}
  [[nodiscard]] bool suits(plan of) const override {
    return of.begins == start::arriving && of.completes == party::second;
  }
  task<void> wait(stage where) override {
    const std::string text = co_await spell(where.elsewhere());
    arrived_ = static_cast<int>(text.size());
  }
  void complete(stage where) override { where.elsewhere().poll(); }
  bool settle(bool completed) override { return std::exchange(arrived_, 0) == (completed ? 40 : 0); }

 private:
  static task<std::string> spell(loop& there) {
    co_await there.schedule();
    co_return std::string(40, 'x');
  }
  int arrived_ = 0;
};

/// Branches that end on two threads at once.
class joined_duel : public duel {
 public:
  using duel::duel;
  void complete(stage) final {
    near_.set();
    far_.set();
  }
  bool settle(bool completed) final {
    near_.reset();
    far_.reset();
    return right(completed);
  }

 protected:
  virtual bool right(bool completed) = 0;
  /// Not when it arrives on a thread that has requested the stop already.
  static bool far_branch_can_end(plan of) { return of.begins == start::parked || of.stops != party::second; }
  /// A parameter, which dies with the frame. A plain number, so that ThreadSanitizer sees one that dies too late.
  class living {
   public:
    explicit living(int& alive) : alive_{alive} { ++alive_; }
    living(const living& other) : living{other.alive_} {}
    living& operator=(const living&) = delete;
    ~living() { --alive_; }

   private:
    int& alive_;
  };
  [[nodiscard]] bool all_gone() const { return near_alive_ == 0 && far_alive_ == 0; }
  task<std::string> stay() { return stay(living{near_alive_}); }
  task<std::string> go(felix::scheduler& there) { return go(there, living{far_alive_}); }

 private:
  task<std::string> stay(living) {
    co_await near_;
    co_return std::string(40, 'n');
  }
  task<std::string> go(felix::scheduler& there, living) {
    co_await there.schedule();
    co_await far_;
    co_return std::string(40, 'f');
  }

  felix::event near_;
  felix::event far_;
  int near_alive_ = 0;
  int far_alive_ = 0;
};

class all_duel final : public joined_duel {
 public:
  all_duel() : joined_duel{"when_all"} {}
  [[nodiscard]] bool suits(plan of) const override { return far_branch_can_end(of); }
  task<void> wait(stage where) override {
    const auto [near, far] = co_await felix::when_all(stay(), go(where.elsewhere()));
    both_ = near + far;
  }

 private:
  bool right(bool completed) override {
    return std::exchange(both_, {}) == (completed ? std::string(40, 'n') + std::string(40, 'f') : std::string{});
  }
  std::string both_;
};

/// The far branch lives on threads of its own: what wakes it makes them race with everybody else.
class pool_duel final : public joined_duel {
 public:
  pool_duel() : joined_duel{"thread_pool"} {}
  task<void> wait(stage) override {
    const auto [near, far] = co_await felix::when_all(stay(), go(pool_));
    both_ = near + far;
  }

 private:
  bool right(bool completed) override { return std::exchange(both_, {}).size() == (completed ? 80 : 0); }
  felix::thread_pool pool_{2};
  std::string both_;
};

class any_duel final : public joined_duel {
 public:
  any_duel() : joined_duel{"when_any"} {}
  task<void> wait(stage where) override {
    auto first = co_await felix::when_any(stay(), go(where.elsewhere()));
    right_ = first.value == std::string(40, first.index == 0 ? 'n' : 'f');
  }

 private:
  bool right(bool completed) override { return std::exchange(right_, false) == completed; }
  bool right_ = false;
};

class nursery_duel final : public joined_duel {
 public:
  nursery_duel() : joined_duel{"nursery"} {}
  [[nodiscard]] bool suits(plan of) const override { return far_branch_can_end(of); }
  task<void> wait(stage where) override {
    auto body = [this, where](felix::nursery& n) { return spawn(n, where); };
    const auto outcome = co_await felix::as_result(felix::with_nursery(body));
    too_late_ = !all_gone();
    if (!outcome) std::rethrow_exception(outcome.error());
  }

 private:
  bool right(bool) override { return !too_late_; }
  bool too_late_ = false;
  task<void> spawn(felix::nursery& into, stage where) {
    into.spawn(stay());
    into.spawn(go(where.elsewhere()));
    co_return;
  }
};

/// Spins for a moment, then lets other threads have the processor.
class patience {
 public:
  void operator()() {
    if (++spins_ > 200) std::this_thread::yield();
  }

 private:
  int spins_ = 0;
};

/// How long the one who tends to win holds back. It follows the outcomes, so that both sides win about as often, on any
/// machine and under any load.
class handicap {
 public:
  [[nodiscard]] int of_stop() const { return std::max(balance_, 0); }
  [[nodiscard]] int of_completion() const { return std::max(-balance_, 0); }
  void stop_won(bool yes) {
    step_ = yes == stop_won_last_ ? std::min(2 * step_, 1'024) : std::max(step_ / 2, 4);
    stop_won_last_ = yes;
    balance_ = std::clamp(balance_ + (yes ? step_ : -step_), -longest, longest);
  }
  static void hold_back(int steps) {
    for (int i = 0; i < steps; ++i) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (i % 4'096 == 4'095) std::this_thread::yield();  // the other one may have no processor to run on
    }
  }

 private:
  static constexpr int longest = 40'000;
  int balance_ = 0;
  int step_ = 64;
  bool stop_won_last_ = false;
};

/// The part of one thread in a race.
enum class act : unsigned char { none, stop, complete };
class part {
 public:
  duel* in = nullptr;
  std::optional<stage> where;
  felix::stop_source* source = nullptr;
  act what = act::none;
  int delay = 0;

  void play() const {
    handicap::hold_back(delay);
    if (what == act::stop) in->stop(*source, *where);
    if (what == act::complete) in->complete(*where);
  }
};

/// A thread that plays its part in one race after the other, and then drives its loop until the race is over.
class opponent {
 public:
  opponent() : thread_{[this] { live(); }} {}
  opponent(opponent&&) = delete;
  ~opponent() {
    part_ = {};
    tell(told_, ++round_);
    thread_.join();
  }

  [[nodiscard]] loop& own_loop() { return loop_; }
  /// When it returns, the other thread stands at the start.
  void prepare(const part& its) {
    part_ = its;
    tell(told_, ++round_);
    await(ready_, round_);
  }
  void go() { go_.store(round_, std::memory_order_release); }
  void end() {
    over_.store(round_, std::memory_order_release);
    await(done_, round_);
  }

 private:
  using counter = std::atomic<int>;
  static void tell(counter& of, int round) {
    of.store(round, std::memory_order_release);
    of.notify_one();
  }
  static void await(const counter& of, int round) {
    patience wait;
    while (of.load(std::memory_order_acquire) != round) wait();
  }
  void live() {
    for (int round = 1;; ++round) {
      int spins = 0;
      while (told_.load(std::memory_order_acquire) != round) {
        if (++spins > 300) told_.wait(round - 1, std::memory_order_relaxed);
      }
      if (part_.in == nullptr) return;
      loop_.poll();  // whoever moves here has arrived
      ready_.store(round, std::memory_order_release);
      await(go_, round);
      part_.play();
      patience wait;
      while (over_.load(std::memory_order_acquire) != round) {
        loop_.poll();
        wait();
      }
      done_.store(round, std::memory_order_release);
    }
  }

  loop loop_;
  part part_;
  int round_ = 0;
  counter told_{0}, ready_{0}, go_{0}, over_{0}, done_{0};
  std::thread thread_;
};

/// How often each side won.
class score {
 public:
  score& operator+=(const score& other) {
    stopped += other.stopped;
    completed += other.completed;
    return *this;
  }
  [[nodiscard]] std::uint64_t all() const { return stopped + completed; }
  [[nodiscard]] std::string text() const {
    const double share = 100.0 * static_cast<double>(stopped) / static_cast<double>(std::max<std::uint64_t>(all(), 1));
    return fmt::format("{} races, {:.1f} % stopped, {:.1f} % completed", all(), share, 100.0 - share);
  }

  std::uint64_t stopped = 0;
  std::uint64_t completed = 0;
};

/// One race after the other.
class races {
 public:
  /// Empty, or what was wrong.
  std::string run(duel& of, plan chosen, handicap& held_back, score& counted) {
    const stage where{{&home_, &second_.own_loop(), &third_.own_loop()}, chosen};
    felix::stop_source source;
    felix::event over;
    int ends = 0;
    bool completed = false, stopped = false;
    const auto on_end = [&](const felix::result<void>& outcome) {
      ++ends;
      (outcome ? completed : stopped) = true;
      if (!outcome && !is_stop(outcome.error())) ends += 100;
      over.set();
    };
    const auto begin = [&] { home_.spawn(of.wait(where), on_end, source.get_token()); };
    const auto part_of = [&](party who) {
      part its;
      its.in = &of;
      its.where = where;
      its.source = &source;
      if (who == chosen.stops) {
        its.what = act::stop;
        its.delay = held_back.of_stop();
      } else if (who == chosen.completes) {
        its.what = act::complete;
        its.delay = held_back.of_completion();
      }
      its.delay += static_cast<int>(random_.next() % (std::uint64_t{1} << (random_.next() % 13)));  // mostly close
      return its;
    };

    if (chosen.begins == start::parked) begin();
    const bool three = chosen.completes == party::third;
    const part own = part_of(party::home);
    if (three) third_.prepare(part_of(party::third));
    second_.prepare(part_of(party::second));
    if (three) third_.go();
    second_.go();
    if (chosen.begins == start::arriving) begin();
    own.play();
    // Of the other threads nothing is asked until the coroutine has ended: what orders them has to be in felix.
    if (own.what == act::none && random_.next() % 2 == 0) home_.run(over);  // asleep, unless somebody wakes it
    patience wait;
    while (ends == 0) {
      home_.poll();
      wait();
    }
    second_.end();
    if (three) third_.end();
    home_.poll();  // a second wake-up would come now

    held_back.stop_won(stopped);
    ++(stopped ? counted.stopped : counted.completed);
    if (ends != 1 || completed == stopped) return "it ended " + std::to_string(ends) + " times";
    if (!of.settle(completed)) return completed ? "lost after its completion" : "lost after its stop";
    return {};
  }

 private:
  static bool is_stop(const std::exception_ptr& failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const felix::cancelled&) {
      return true;
    } catch (const felix::timed_out&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  loop home_;
  opponent second_;
  opponent third_;
  felix::seeded_random random_{0};
};

}  // namespace

TEST_CASE("stop races: a stop and a completion from two threads, and each side wins, and no wait ends twice",
          "[async][stop_race]") {
  const auto asked = felix::test::asked_for("FELIX_TEST_RACES");
  const std::uint64_t all = asked.value_or(20'000);

  std::vector<std::unique_ptr<duel>> duels;
  duels.push_back(std::make_unique<event_duel>());
  duels.push_back(std::make_unique<semaphore_duel>());
  duels.push_back(std::make_unique<mutex_duel>());
  duels.push_back(std::make_unique<permit_duel>());
  duels.push_back(std::make_unique<receive_duel>());
  duels.push_back(std::make_unique<send_duel>());
  duels.push_back(std::make_unique<pop_duel>());
  duels.push_back(std::make_unique<push_duel>());
  duels.push_back(std::make_unique<callback_duel>());
  duels.push_back(std::make_unique<sleep_duel>());
  duels.push_back(std::make_unique<time_up_duel>());
  duels.push_back(std::make_unique<in_time_duel>());
  duels.push_back(std::make_unique<move_duel>());
  duels.push_back(std::make_unique<all_duel>());
  duels.push_back(std::make_unique<any_duel>());
  duels.push_back(std::make_unique<nursery_duel>());
  duels.push_back(std::make_unique<pool_duel>());

  races race;
  std::vector<std::array<handicap, plans.size()>> handicaps(duels.size());
  std::vector<std::array<score, plans.size()>> scores(duels.size());
  std::uint64_t run = 0;
  while (run < all) {
    for (std::size_t p = 0; p < plans.size(); ++p) {
      for (std::size_t d = 0; d < duels.size() && run < all; ++d) {
        if (!duels[d]->suits(plans[p])) continue;
        const std::string wrong = race.run(*duels[d], plans[p], handicaps[d][p], scores[d][p]);
        ++run;
        if (!wrong.empty()) FAIL("race " << run << ", plan " << p << ", " << duels[d]->name << ": " << wrong);
      }
    }
  }

  score total;
  for (std::size_t d = 0; d < duels.size(); ++d) {
    score sum;
    for (const score& each : scores[d]) sum += each;
    total += sum;
    if (asked) fmt::print("{}: {}\n", duels[d]->name, sum.text());
    CAPTURE(duels[d]->name, sum.text());
    CHECK(10 * sum.stopped >= sum.all());
    CHECK(10 * sum.completed >= sum.all());
  }
  if (asked) fmt::print("all: {}\n", total.text());
  CHECK(total.all() == all);
}
