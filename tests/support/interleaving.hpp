// SPDX-License-Identifier: MIT
// Tests: small programs on threads of our own, in every order of their atomic steps, on a memory that may be stale.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define FELIX_TEST_FIBERS_UNDER_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FELIX_TEST_FIBERS_UNDER_ASAN
#endif
#endif
#ifdef FELIX_TEST_FIBERS_UNDER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace felix::test::model {

/// What the schedule is allowed to do. `deviations` are the steps at which it leaves the running thread, or lets a load
/// see an old value; most bugs need two or three (M. Musuvathi, S. Qadeer, "Iterative Context Bounding", PLDI 2007).
struct bounds {
  int preemptions = 3;
  int stale_loads = 2;
  std::uint64_t executions = std::numeric_limits<std::uint64_t>::max();  // at most
};

/// Decides: every alternative once, depth first, or at random.
class chooser {
 public:
  virtual ~chooser() = default;
  virtual std::size_t choose(std::size_t alternatives) = 0;  // 0: go on as usual
  virtual bool next() = 0;                                   // false: that was the last execution
};

class every_way final : public chooser {
 public:
  std::size_t choose(std::size_t alternatives) override {
    if (depth_ == path_.size()) path_.push_back({0, alternatives});
    if (path_[depth_].of != alternatives) throw std::logic_error{"model: the program does not repeat itself"};
    return path_[depth_++].taken;
  }
  bool next() override {
    depth_ = 0;
    while (!path_.empty() && path_.back().taken + 1 == path_.back().of) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
  }

 private:
  struct step {
    std::size_t taken, of;
  };
  std::vector<step> path_;
  std::size_t depth_ = 0;
};

class at_random final : public chooser {
 public:
  explicit at_random(std::uint64_t seed) : random_{seed} {}
  std::size_t choose(std::size_t alternatives) override {
    const auto drawn = random_();
    return drawn % 4 != 0 ? 0 : static_cast<std::size_t>(drawn >> 8) % alternatives;
  }
  bool next() override { return true; }

 private:
  std::mt19937_64 random_;
};

/// Of each location, how much of its history a thread knows.
class view {
 public:
  std::uint16_t& operator[](std::size_t location) { return known_.at(location); }
  void join(const view& other, std::size_t locations) {
    auto* mine = known_.data();  // by pointer: without optimisation this is where the time goes
    const auto* theirs = other.known_.data();
    for (const auto* const end = mine + locations; mine != end; ++mine, ++theirs)
      if (*mine < *theirs) *mine = *theirs;
  }

 private:
  std::array<std::uint16_t, 128> known_{};
};

/// One run. Atomics and plain data register here; threads are fibers that switch at atomic steps only.
/// The memory: each location keeps its history. A load may see any value that is not older than what its thread knows of
/// the location. A release attaches what its thread knows, an acquire learns it, a read-modify-write sees the newest
/// value and hands on what was attached to it. A seq_cst load sees no value older than the newest seq_cst one. Not
/// modelled: stores that take effect in another order than they are made in, and loads from the future.
class execution {
 public:
  execution(chooser& decides, bounds limits) : decides_{decides}, limits_{limits} { current() = this; }
  execution(execution&&) = delete;
  ~execution() { current() = nullptr; }
  static execution*& current() {
    static execution* running = nullptr;
    return running;
  }

  /// Runs them all to the end. What the caller did before, each knows; afterwards the caller knows all.
  void run(std::vector<std::function<void()>> bodies) {
    const view main = known_[0];
    bodies_ = std::move(bodies);
    left_ = bodies_.size();
    known_.assign(bodies_.size() + 1, main);
    if (stacks().size() < left_) stacks().resize(left_);
    fibers_ = std::vector<ucontext_t>(left_ + 1);
    for (std::size_t i = 1; i <= left_; ++i) {
      getcontext(&fibers_[i]);
      fibers_[i].uc_stack.ss_sp = stacks()[i - 1].data();
      fibers_[i].uc_stack.ss_size = stacks()[i - 1].size();
      fibers_[i].uc_link = nullptr;
      makecontext(&fibers_[i], &execution::fiber_main, 0);
    }
    done_.assign(left_ + 1, false);
    done_[0] = true;
    threaded_ = true;
    switch_to(pick_other());
    threaded_ = false;
    for (const view& each : known_) known_[0].join(each, locations_.size());
  }

  /// Which thread runs: 0 is the caller of run().
  [[nodiscard]] std::size_t thread() const { return running_; }
  /// A moment: grows with each step.
  [[nodiscard]] std::uint64_t now() { return ++clock_; }
  /// The first thing that went wrong, else empty. A run that has failed goes on to its end.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  void fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
  }

  std::size_t add(std::uint64_t value) {
    locations_.push_back({});
    write(locations_.size() - 1, value, std::memory_order_relaxed, nullptr);
    return locations_.size() - 1;
  }
  std::uint64_t load(std::size_t at, std::memory_order order) {
    step();
    auto& history = locations_[at].history;
    const std::size_t newest = history.size() - 1;
    std::size_t oldest = known_[running_][at];
    if (order == std::memory_order_seq_cst && oldest < locations_[at].newest_seq_cst)
      oldest = locations_[at].newest_seq_cst;
    std::size_t back = 0;
    if (threaded_ && stale_ < limits_.stale_loads && newest > oldest) back = decides_.choose(newest - oldest + 1);
    if (back != 0) ++stale_;
    learn(at, newest - back, order);
    return history[newest - back].value;
  }
  void store(std::size_t at, std::uint64_t value, std::memory_order order) {
    step();
    write(at, value, order, nullptr);
  }
  /// `change` says what to write for what is there, or nothing: then it was a load.
  template <class Change>
  std::uint64_t exchange(std::size_t at, std::memory_order order, std::memory_order failure, Change change) {
    step();
    auto& history = locations_[at].history;
    const message before = history.back();
    std::uint64_t value = before.value;
    const bool changed = change(value);
    learn(at, history.size() - 1, changed ? order : failure);
    if (changed) write(at, value, order, &before.attached);
    return before.value;
  }

  /// A plain access: a data race, unless all earlier ones are known to this thread.
  void touch(const void* place) {
    auto [found, added] = plain_.try_emplace(place, 0);
    if (added) {
      locations_.push_back({});
      locations_.back().history.push_back({0, {}});
      found->second = locations_.size() - 1;
    }
    auto& history = locations_[found->second].history;
    if (known_[running_][found->second] + 1u < history.size()) fail("a data race");
    known_[running_][found->second] = static_cast<std::uint16_t>(history.size());
    history.push_back({0, {}});
  }

 private:
  using stack = std::vector<char>;
  struct message {
    std::uint64_t value;
    view attached;
  };
  struct location {
    std::vector<message> history{};
    std::size_t newest_seq_cst = 0;
  };
  static constexpr std::uint64_t too_many_steps = 20'000;

  static std::vector<stack>& stacks() {
    static std::vector<stack> all(4, stack(256 * 1024));
    return all;
  }
  static bool acquires(std::memory_order order) {
    return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
  }
  static bool releases(std::memory_order order) {
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
  }
  void learn(std::size_t at, std::size_t index, std::memory_order order) {
    known_[running_][at] = static_cast<std::uint16_t>(index);
    if (acquires(order)) known_[running_].join(locations_[at].history[index].attached, locations_.size());
  }
  void write(std::size_t at, std::uint64_t value, std::memory_order order, const view* handed_on) {
    auto& where = locations_[at];
    known_[running_][at] = static_cast<std::uint16_t>(where.history.size());
    message next{value, {}};
    if (releases(order)) next.attached = known_[running_];
    if (handed_on != nullptr) next.attached.join(*handed_on, locations_.size());
    next.attached[at] = known_[running_][at];
    if (order == std::memory_order_seq_cst) where.newest_seq_cst = where.history.size();
    where.history.push_back(next);
  }

  /// Before each atomic step, another thread may run.
  void step() {
    ++clock_;
    if (!threaded_) return;
    if (++steps_ > too_many_steps) {
      fail("it goes round in circles");
      throw std::runtime_error{"model: " + failure_};  // ends the program: there is no way out of noexcept code
    }
    if (preemptions_ == limits_.preemptions || left_ == 1) return;
    const std::size_t other = decides_.choose(left_);
    if (other == 0) return;
    ++preemptions_;
    switch_to(nth_other(other));
  }
  std::size_t nth_other(std::size_t n) const {
    for (std::size_t i = 1;; ++i)
      if (!done_[i] && i != running_ && --n == 0) return i;
  }
  std::size_t pick_other() { return left_ == 0 ? 0 : nth_other(1 + (left_ > 1 ? decides_.choose(left_) : 0)); }
  void switch_to(std::size_t other) {
    const std::size_t self = running_;
    running_ = other;
#ifdef FELIX_TEST_FIBERS_UNDER_ASAN
    void* fake = nullptr;
    const bool last = self != 0 && done_[self];
    if (other == 0)
      __sanitizer_start_switch_fiber(last ? nullptr : &fake, main_stack_, main_size_);
    else
      __sanitizer_start_switch_fiber(last ? nullptr : &fake, stacks()[other - 1].data(), stacks()[other - 1].size());
#endif
    swapcontext(&fibers_[self], &fibers_[other]);
#ifdef FELIX_TEST_FIBERS_UNDER_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }
  static void fiber_main() {
    execution& self = *current();
#ifdef FELIX_TEST_FIBERS_UNDER_ASAN
    const void* from = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(nullptr, &from, &size);
    if (self.main_stack_ == nullptr) {
      self.main_stack_ = from;
      self.main_size_ = size;
    }
#endif
    self.bodies_[self.running_ - 1]();
    self.done_[self.running_] = true;
    --self.left_;
    self.switch_to(self.pick_other());
  }

  chooser& decides_;
  bounds limits_;
  std::vector<std::function<void()>> bodies_;
  std::vector<ucontext_t> fibers_;
  std::vector<bool> done_;
  std::vector<location> locations_;
  std::unordered_map<const void*, std::size_t> plain_;
  std::vector<view> known_ = std::vector<view>(1);
  std::size_t running_ = 0, left_ = 0;
  std::uint64_t clock_ = 0, steps_ = 0;
  int preemptions_ = 0, stale_ = 0;
  bool threaded_ = false;
  std::string failure_;
#ifdef FELIX_TEST_FIBERS_UNDER_ASAN
  const void* main_stack_ = nullptr;
  std::size_t main_size_ = 0;
#endif
};

/// Stands where std::atomic stands, in code that takes its atomics as a parameter.
template <std::integral T>
class atomic {
 public:
  explicit(false) atomic(T value) : at_{run().add(static_cast<std::uint64_t>(value))} {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(std::memory_order order = std::memory_order_seq_cst) const { return static_cast<T>(run().load(at_, order)); }
  void store(T value, std::memory_order order = std::memory_order_seq_cst) {
    run().store(at_, static_cast<std::uint64_t>(value), order);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order, std::memory_order failure) {
    const T wanted = expected;
    expected = static_cast<T>(run().exchange(at_, order, failure, [&](std::uint64_t& value) {
      if (value != static_cast<std::uint64_t>(wanted)) return false;
      value = static_cast<std::uint64_t>(desired);
      return true;
    }));
    return expected == wanted;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order order, std::memory_order failure) {
    return compare_exchange_strong(expected, desired, order, failure);
  }
  T fetch_add(T more, std::memory_order order = std::memory_order_seq_cst) {
    return static_cast<T>(run().exchange(at_, order, order, [&](std::uint64_t& value) {
      value = static_cast<std::uint64_t>(static_cast<T>(static_cast<T>(value) + more));
      return true;
    }));
  }
  T fetch_sub(T less, std::memory_order order = std::memory_order_seq_cst) {
    return fetch_add(static_cast<T>(T{0} - less), order);
  }

 private:
  static execution& run() { return *execution::current(); }
  std::size_t at_;
};

/// Runs `once(execution&)` in every way, or `limits.executions` times. Gives the number of executions; `failure` gets
/// the first thing that went wrong.
template <class Once>
std::uint64_t explore(chooser& decides, bounds limits, std::string& failure, Once once) {
  std::uint64_t executions = 0;
  do {
    execution run{decides, limits};
    once(run);
    ++executions;
    failure = run.failure();
  } while (failure.empty() && executions < limits.executions && decides.next());
  return executions;
}

}  // namespace felix::test::model
