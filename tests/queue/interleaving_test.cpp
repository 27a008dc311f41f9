// SPDX-License-Identifier: MIT
// Small programs on the queues, in every order of their atomic steps within a bound, or in many by chance: is what the
// calls return what a sequential queue could have returned?
#include <felix/queue/bounded_queue.hpp>
#include <felix/queue/priority_queue.hpp>

#include "support/catch.hpp"

#if defined(__SANITIZE_THREAD__)
#define FELIX_TEST_NO_FIBERS  // there is one thread only; ThreadSanitizer would have to be told of each switch
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FELIX_TEST_NO_FIBERS
#endif
#endif

#ifndef FELIX_TEST_NO_FIBERS
#include "support/interleaving.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace model = felix::test::model;

namespace {

struct model_atomics {
  template <class T>
  using atomic = model::atomic<T>;
  // A lane for each thread of the model, the same in each execution.
  static felix::queue_lane& lane() noexcept { return lanes()[model::execution::current()->thread()]; }
  static std::array<felix::queue_lane, 8>& lanes() noexcept {
    static std::array<felix::queue_lane, 8> all;
    return all;
  }
};

// A value that reports each access, so that the model sees a data race on it, and that must not be used when it is gone.
class tracked {
 public:
  static inline int alive = 0;

  explicit tracked(int value) : value_{value} {
    ++alive;
    touch(this);
  }
  tracked(tracked&& other) noexcept : value_{other.value_} {
    ++alive;
    touch(&other);
    touch(this);
    if (value_ == gone) model::execution::current()->fail("a value is moved that is not there");
    other.value_ = gone;
  }
  tracked& operator=(tracked&&) = delete;
  ~tracked() {
    --alive;
    touch(this);
    value_ = gone;
  }
  [[nodiscard]] int value() const { return value_; }

 private:
  static constexpr int gone = -1;
  static void touch([[maybe_unused]] const void* place) {
#ifndef FELIX_TEST_FIBERS_UNDER_ASAN  // its fake stacks give the same address to locals of different fibers
    model::execution::current()->touch(place);
#endif
  }
  int value_;
};

enum class kind : unsigned char { push, pop, cancel, size };
struct operation {
  kind what;
  std::size_t level = 0;
  int value = 0;  // pushed, or the one whose ticket is cancelled; a pop: what it got, or -1
  bool done = true;
  std::uint64_t called = 0, returned = 0;
};
using program = std::vector<std::vector<operation>>;  // for each thread

operation push(std::size_t level, int value) { return {kind::push, level, value}; }
operation pop() { return {kind::pop}; }
operation cancel(int value) { return {kind::cancel, 0, value}; }
operation size() { return {kind::size}; }

/// The sequential queue, and the search for an order of the calls in which it returns what was returned. A call that
/// returned before another began comes before it.
class sequential {
 public:
  sequential(std::vector<operation> history, std::size_t levels, std::size_t capacity, std::size_t first)
      : history_{std::move(history)}, used_(history_.size()), lists_(levels), capacity_{capacity}, first_{first} {
    std::sort(history_.begin(), history_.end(), [](auto& a, auto& b) { return a.returned < b.returned; });
  }
  [[nodiscard]] bool explains() {
    std::uint64_t until = ~std::uint64_t{0};  // the first return among those that are left
    bool left = false;
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if (used_[i]) continue;
      left = true;
      until = std::min(until, history_[i].returned);
    }
    if (!left) return true;
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if (used_[i] || history_[i].called > until) continue;
      const auto before = lists_;
      used_[i] = true;
      if (could_return(i) && explains()) return true;
      used_[i] = false;
      lists_ = before;
    }
    return false;
  }

 private:
  struct item {
    int value;
    bool cancelled;
  };

  void pass_cancelled() {
    for (auto& list : lists_)
      while (!list.empty() && list.front().cancelled) list.erase(list.begin());
  }
  bool could_return(std::size_t index) {
    const operation& call = history_[index];
    if (call.what == kind::push) {
      if (call.done) {
        lists_[call.level].push_back({call.value, false});
        return true;
      }
      pass_cancelled();
      std::size_t held = 0;
      for (const auto& list : lists_) held += list.size();
      for (const auto& other : history_)
        held += &other != &call && other.called < call.returned && call.called < other.returned;
      return held >= capacity_;
    }
    if (call.what == kind::cancel) {
      for (auto& list : lists_) {
        for (auto& each : list) {
          if (each.value != call.value || each.cancelled) continue;
          each.cancelled = call.done;
          return call.done;
        }
      }
      return !call.done;
    }
    pass_cancelled();
    for (std::size_t i = 0; i <= lists_.size(); ++i) {
      auto& list = lists_[i == 0 ? first_ : i - 1];
      if (list.empty()) continue;
      const bool same = list.front().value == call.value;
      list.erase(list.begin());
      return same;
    }
    return call.value == -1;
  }

  std::vector<operation> history_;
  std::vector<bool> used_;
  std::vector<std::vector<item>> lists_;
  std::size_t capacity_, first_;
};

struct second_level_first {
  std::size_t first_level(std::size_t) noexcept { return 1; }
};

// The queue that is tested, in words that both kinds know.
template <std::size_t Levels, class Order = felix::strict_order>
struct with_levels {
  static constexpr std::size_t levels = Levels;
  static constexpr std::size_t first = std::is_same_v<Order, second_level_first> ? 1 : 0;
  using queue = felix::priority_queue<tracked, Levels, Order, model_atomics>;
  queue under_test;
  std::vector<std::optional<typename queue::ticket>> tickets = std::vector<std::optional<typename queue::ticket>>(32);

  explicit with_levels(std::size_t capacity) : under_test{capacity} {}
  bool push(std::size_t level, int value) {
    tracked pushed{value};
    auto ticket = under_test.try_push(level, std::move(pushed));
    if (!ticket && pushed.value() != value) model::execution::current()->fail("full, but the value was touched");
    tickets[static_cast<std::size_t>(value)] = ticket;
    return ticket.has_value();
  }
  std::optional<tracked> pop() { return under_test.try_pop(); }
  bool can_cancel(int value) const { return tickets[static_cast<std::size_t>(value)].has_value(); }
  bool cancel(int value) {
    auto back = under_test.cancel(*tickets[static_cast<std::size_t>(value)]);
    if (back && back->value() != value) model::execution::current()->fail("cancel returned another value");
    return back.has_value();
  }
};
struct without_levels {
  static constexpr std::size_t levels = 1, first = 0;
  felix::bounded_queue<tracked, model_atomics> under_test;

  explicit without_levels(std::size_t capacity) : under_test{capacity} {}
  bool push(std::size_t, int value) { return under_test.try_push(tracked{value}); }
  std::optional<tracked> pop() { return under_test.try_pop(); }
  static bool can_cancel(int) { return false; }
  static bool cancel(int) { return false; }
};

std::string to_text(const std::vector<operation>& history) {
  std::string text;
  for (const auto& call : history) {
    const std::string value = std::to_string(call.value);
    text += "\n  [" + std::to_string(call.called) + ", " + std::to_string(call.returned) + "] ";
    text += call.what == kind::push     ? "push " + value + " to level " + std::to_string(call.level)
            : call.what == kind::cancel ? "cancel " + value
                                        : "pop: " + value;
    if (!call.done) text += ": no";
  }
  return text;
}

template <class Queue>
void run_once(model::execution& run, const program& threads, const std::vector<operation>& before,
              std::size_t capacity) {
  model_atomics::lanes().fill({});
  std::vector<operation> history;
  {
    Queue queue{capacity};
    const auto perform = [&](operation call) {
      if (call.what == kind::cancel && !queue.can_cancel(call.value)) return;  // not pushed yet: nobody has a ticket
      if (call.what == kind::size) {  // exact at rest only, but never out of reach
        if (queue.under_test.size_approx() > Queue::levels * capacity) run.fail("it says that more is in than can be");
        return;
      }
      call.called = run.now();
      if (call.what == kind::push) call.done = queue.push(call.level, call.value);
      if (call.what == kind::cancel) call.done = queue.cancel(call.value);
      if (call.what == kind::pop) {
        const auto value = queue.pop();
        call.value = value ? value->value() : -1;
      }
      call.returned = run.now();
      history.push_back(call);
    };
    for (const auto& call : before) perform(call);
    std::vector<std::function<void()>> bodies;
    for (const auto& thread : threads)
      bodies.push_back([&] {
        for (const auto& call : thread) perform(call);
      });
    run.run(std::move(bodies));
    std::size_t in = 0;
    for (const auto& call : history) {
      if (call.what == kind::push) in += call.done;
      if (call.what == kind::cancel) in -= call.done;
      if (call.what == kind::pop) in -= call.value != -1;
    }
    if (queue.under_test.size_approx() != in) run.fail("at rest, its size is not what is in");
    do perform(pop());
    while (history.back().value != -1);
    // Nothing was lost, no place either.
    for (std::size_t i = 0; i < capacity; ++i)
      if (!queue.push(i % Queue::levels, 20 + static_cast<int>(i))) run.fail("a place was lost");
    if (queue.push(0, 30)) run.fail("one more than the capacity went in");
  }
  if (std::exchange(tracked::alive, 0) != 0) run.fail("a value is not destroyed, or twice");
  if (!sequential{history, Queue::levels, capacity, Queue::first}.explains()) run.fail("no sequential queue does this");
  if (!run.failure().empty()) UNSCOPED_INFO(to_text(history));
}

// FELIX_QUEUE_ROUNDS: how many executions of each program, at most.
std::uint64_t at_most(std::uint64_t usually) {
  const char* told = std::getenv("FELIX_QUEUE_ROUNDS");
  return told != nullptr ? std::strtoull(told, nullptr, 10) : usually;
}

template <class Queue>
void every_interleaving(std::size_t capacity, const std::vector<operation>& before, const program& threads) {
  const std::uint64_t limit = at_most(1'500);
  std::string failure;
  std::uint64_t executions = 0;
  const auto once = [&](model::execution& run) { run_once<Queue>(run, threads, before, capacity); };
  // The bugs that need few preemptions first.
  bool all = true;
  for (int preemptions = 1; preemptions <= 3 && all && failure.empty(); ++preemptions) {
    model::every_way ways;
    const auto more = model::explore(ways, {preemptions, 1, limit}, failure, once);
    all = more < limit;
    executions += more;
  }
  CHECK(failure == "");
  if (std::getenv("FELIX_QUEUE_ROUNDS") != nullptr)
    WARN(executions << (all ? " executions: all with 3 preemptions" : " executions"));
  if (all || !failure.empty()) return;
  model::at_random some{capacity};  // depth first changes the end of the program first: the rest by chance
  model::explore(some, {8, 3, limit}, failure, once);
  CHECK(failure == "");
}

}  // namespace

TEST_CASE("interleavings: the model finds a stale load, a lost update and a data race", "[queue][interleaving]") {
  const auto outcomes = [](std::memory_order store, std::memory_order load) {
    std::string failure;
    model::every_way all;
    int stale = 0;
    model::explore(all, {}, failure, [&](model::execution& run) {
      model::atomic<unsigned> x{0}, y{0};
      unsigned a = 9, b = 9;
      run.run({[&] {
                 x.store(1, store);
                 a = y.load(load);
               },
               [&] {
                 y.store(1, store);
                 b = x.load(load);
               }});
      stale += a == 0 && b == 0;
    });
    return stale;
  };
  CHECK(outcomes(std::memory_order_release, std::memory_order_acquire) > 0);  // store buffering
  CHECK(outcomes(std::memory_order_seq_cst, std::memory_order_seq_cst) == 0);
  const auto message = [](std::memory_order store, std::memory_order load) {
    std::string failure;
    model::every_way all;
    model::explore(all, {}, failure, [&](model::execution& run) {
      model::atomic<unsigned> ready{0};
      const int content = 0;
      run.run({[&] {
                 run.touch(&content);
                 ready.store(1, store);
               },
               [&] {
                 if (ready.load(load) == 1) run.touch(&content);
               }});
    });
    return failure;
  };
  CHECK(message(std::memory_order_release, std::memory_order_acquire) == "");
  CHECK(message(std::memory_order_relaxed, std::memory_order_acquire) == "a data race");
  CHECK(message(std::memory_order_release, std::memory_order_relaxed) == "a data race");
}

TEST_CASE("interleavings: bounded_queue", "[queue][interleaving]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 3);
  CAPTURE(capacity);
  using queue = without_levels;
  every_interleaving<queue>(capacity, {}, {{push(0, 1), push(0, 2)}, {pop(), pop()}});
  every_interleaving<queue>(capacity, {}, {{push(0, 1), pop()}, {push(0, 2), pop()}});
  every_interleaving<queue>(capacity, {push(0, 1)}, {{pop(), push(0, 2)}, {pop(), push(0, 3)}, {pop()}});
  every_interleaving<queue>(capacity, {push(0, 1)}, {{push(0, 2)}, {push(0, 3)}, {pop(), pop()}});
}

TEST_CASE("interleavings: levels, and empty", "[queue][interleaving]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 3);
  CAPTURE(capacity);
  using queue = with_levels<2>;
  // One thread pushes what is urgent and then what is not: nobody gets the second while the first is in.
  every_interleaving<queue>(capacity, {}, {{push(0, 1), push(1, 2)}, {pop(), pop()}});
  // Two threads push it, and only the clock on the wall says which was first: the same holds.
  every_interleaving<queue>(capacity, {}, {{pop()}, {push(0, 1)}, {push(1, 2)}});
  // Something is in at each instant: empty would be wrong.
  every_interleaving<queue>(capacity, {push(1, 1)}, {{push(0, 2), cancel(1)}, {pop()}});
  every_interleaving<queue>(capacity, {push(1, 1)}, {{push(0, 2), pop()}, {pop()}, {push(1, 3)}});
  every_interleaving<queue>(capacity, {push(1, 1)}, {{pop(), push(0, 2)}, {pop(), push(1, 3)}});
  every_interleaving<with_levels<3>>(capacity, {push(2, 1)}, {{push(1, 2), push(0, 3)}, {pop(), pop()}, {pop()}});
  every_interleaving<queue>(capacity, {push(0, 1)}, {{cancel(1)}, {pop()}, {size()}});
  every_interleaving<with_levels<2, second_level_first>>(capacity, {push(0, 1)},
                                                         {{push(1, 2), push(0, 3)}, {pop(), pop()}});
}

TEST_CASE("interleavings: cancel", "[queue][interleaving]") {
  const auto capacity = GENERATE(as<std::size_t>{}, 1, 2, 3);
  CAPTURE(capacity);
  using queue = with_levels<2>;
  every_interleaving<queue>(capacity, {push(0, 1)}, {{cancel(1)}, {pop()}, {push(0, 2)}});
  every_interleaving<queue>(capacity, {push(0, 1)}, {{cancel(1), push(1, 2)}, {cancel(1), pop()}});
  every_interleaving<queue>(capacity, {push(0, 1), push(0, 2)}, {{cancel(2), push(0, 3)}, {pop(), pop()}});
  every_interleaving<queue>(capacity, {push(1, 1)}, {{push(0, 2), cancel(2)}, {pop()}, {cancel(1), pop()}});
  // The place is used again, in each lap, while an old ticket is cancelled.
  every_interleaving<queue>(capacity, {push(0, 1)}, {{pop(), push(0, 2), pop(), push(0, 3)}, {cancel(1), cancel(2)}});
  every_interleaving<queue>(capacity, {push(0, 1), push(0, 2), push(0, 3)},
                            {{cancel(2), cancel(1)}, {push(1, 4), pop()}});
}

TEST_CASE("interleavings: programs by chance", "[queue][interleaving]") {
  // Each of three threads has one to three calls; how they are mixed is by chance too.
  const auto programs = at_most(3'000) / 10;
  std::mt19937_64 random{7};
  const auto below = [&](std::uint64_t n) { return static_cast<std::size_t>(random() % n); };
  for (std::uint64_t i = 0; i < programs; ++i) {
    int next = 0;
    const auto some_call = [&] {
      const auto what = below(5);
      if (what < 2) return push(below(2), ++next);
      if (what == 2 && next > 0) return cancel(1 + static_cast<int>(below(static_cast<std::uint64_t>(next))));
      return pop();
    };
    std::vector<operation> before;
    for (auto n = below(3); n > 0; --n) before.push_back(some_call());
    program threads(3);
    for (auto& thread : threads)
      for (auto n = 1 + below(3); n > 0; --n) thread.push_back(some_call());
    const std::size_t capacity = 1 + below(3);
    CAPTURE(i, capacity);
    std::string failure;
    model::at_random some{random()};
    model::explore(some, {6, 2, 20}, failure,
                   [&](model::execution& run) { run_once<with_levels<2>>(run, threads, before, capacity); });
    REQUIRE(failure == "");
  }
}
#endif
