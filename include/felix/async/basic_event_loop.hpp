// SPDX-License-Identifier: MIT
// async: one thread that runs coroutines, timers and whatever its reactor waits for.
#pragma once

#include <felix/async/awaitable.hpp>
#include <felix/async/detail/root.hpp>
#include <felix/async/detail/running_loop.hpp>
#include <felix/async/detail/timer_heap.hpp>
#include <felix/async/detail/work_queue.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/async/sleep.hpp>
#include <felix/async/stop_token.hpp>
#include <felix/async/task.hpp>
#include <felix/async/work_item.hpp>
#include <felix/error.hpp>
#include <felix/result.hpp>

#include <atomic>
#include <cassert>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

namespace felix::inline v1 {

/// What a loop waits with. wait() blocks until something happened, wake() was called, or `at_most` is over (empty: no
/// limit); poll() looks without blocking; wake() is called by any thread, and by signal handlers that use
/// post_from_signal_handler.
template <class R>
concept reactor_policy = requires(R& reactor, std::optional<std::chrono::nanoseconds> at_most) {
  reactor.wait(at_most);
  reactor.poll();
  { reactor.wake() } noexcept;
};

/// What time it is. `skip_to` exists for clocks that are not real: the loop then never waits, it skips.
template <class C>
concept clock_policy = requires(const C& clock) {
  { clock.now() } noexcept -> std::same_as<std::chrono::steady_clock::time_point>;
};

/// Runs tasks on one thread. `event_loop`, `simulated_loop` and the loop inside `sync_wait` are three settings of it.
///     felix::event_loop loop;
///     auto answer = loop.run(llm.complete(request));
/// Threads:  post() (and what wakes coroutines) from any thread; the other members from the loop's thread only.
/// Stop:     run and spawn take a token; shut_down() stops and joins what was spawned.
/// Lifetime: outlives what runs on it. Call shut_down() before anything dies that spawned tasks refer to. The destructor
///           asserts that nothing is left, and without assertions shuts down.
template <reactor_policy Reactor, clock_policy Clock>
class basic_event_loop : public scheduler {
 public:
  basic_event_loop() = default;
  template <class... Args>
    requires std::is_constructible_v<Reactor, Args...>
  explicit basic_event_loop(std::in_place_t, Args&&... reactor) : reactor_(std::forward<Args>(reactor)...) {}
  ~basic_event_loop() {
    assert(spawned_ == 0 && "felix: a loop is destroyed while tasks run on it; call shut_down() first");
    if (spawned_ != 0) shut_down();  // without the assert: better late than never
    // Whoever posted the last item may still be inside wake(), although it has been run.
    while (wakes_.load(std::memory_order_acquire) != wakes_expected_) std::this_thread::yield();
  }

  /// Runs the loop until `work` has ended; gives its value or throws its exception. The stop token is felix's, that of a
  /// std::jthread, or another one.
  /// Throws deadlock_error when a loop runs on this thread already, and in simulated time when nothing is left that could
  /// end the task: it is then stopped first. If it ignores even that, the program is terminated, since the task refers
  /// to this call. In real time another thread may always come: a task that nobody wakes waits for ever.
  template <awaitable A, stoppable_token Token = stop_token>
  awaited_t<A> run(A&& work, Token stop = {}) {
    using T = awaited_t<A>;
    if (detail::running_loop() != nullptr)
      throw deadlock_error{"run: a loop is already running on this thread; co_await the task instead"};
    std::optional<result<T>> outcome;
    bool stuck = false;
    auto keep = [&](result<T>&& got) {
      try {
        outcome.emplace(std::move(got));
      } catch (...) {  // by the value's move constructor
        outcome.emplace(result<T>::failure(std::current_exception()));
      }
    };
    const driving here{*this};
    stop_source stuck_stop;
    const stop_callback_for_t<Token, detail::stop_forward> forwarded{stop, detail::stop_forward{stuck_stop}};
    spawn(std::forward<A>(work), keep, stuck_stop.get_token());
    while (!outcome) {
      if (turn(waiting::allowed)) continue;
      if (std::exchange(stuck, true))
        give_up("run: the task waits for what nobody on this loop can end, and ignores its stop token");
      stuck_stop.request_stop();
    }
    if (stuck) throw deadlock_error{"run: the task waits, and no timer, post or transfer is left that could wake it"};
    return std::move(*outcome).value();
  }

  /// Starts `work` now: it runs inside spawn until it first suspends. It belongs to the loop. `on_done(result<T>)` is
  /// called on the loop when it has ended (inside spawn, if it never suspends), and must not throw. Drive the loop with
  /// run() or poll().
  template <awaitable A, std::invocable<result<awaited_t<A>>> OnDone, stoppable_token Token = stop_token>
  void spawn(A&& work, OnDone on_done, Token stop = {}) {
    const work_item& start =
        detail::root<basic_event_loop>::make(*this, std::forward<A>(work), std::move(on_done), std::move(stop));
    const detail::entered inside{*this};
    start();
  }

  /// Does everything that can be done now, and never blocks: for applications with a loop of their own. True: it gave up
  /// after 10,000 rounds, because coroutines go on waking each other; call it again when there is time.
  bool poll() {
    const driving here{*this};
    constexpr int at_most = 10'000;
    for (int rounds = 0; rounds < at_most; ++rounds) {
      if (!turn(waiting::refused)) return false;
    }
    return true;
  }

  /// Asks everything that was spawned to stop, and runs the loop until it has ended; each on_done is called, with
  /// `cancelled` where the task was waiting. The loop can be used again afterwards.
  /// Throws deadlock_error when a loop runs on this thread: a task cannot wait for its own end.
  void shut_down() {
    if (detail::running_loop() != nullptr)
      throw deadlock_error{"shut_down: called by a task or a callback of a running loop, which would wait for itself"};
    const driving here{*this};
    shut_down_->request_stop();
    while (spawned_ != 0) {
      if (!turn(waiting::allowed))
        give_up("shut_down: a task ignores its stop token, so that joining it would never end");
    }
    shut_down_.emplace();
  }

  /// Throws what run() throws.
  bool run_if_idle(task<void>& work) override {
    if (is_current() || !is_here()) return false;
    run(std::move(work));
    return true;
  }

  [[nodiscard]] time_point now() const noexcept override { return clock_.now(); }
  [[nodiscard]] detail::sleep_awaiter sleep_until(time_point deadline) noexcept {
    return detail::sleep_awaiter{this, deadline};
  }
  [[nodiscard]] detail::sleep_awaiter sleep_for(std::chrono::nanoseconds duration) noexcept {
    return detail::sleep_awaiter{this, duration};
  }

  void post(work_item& item) noexcept override {
    if (is_current()) return ready_.push_back(item);
    post_from_signal_handler(item);
  }
  /// The same without a look at the thread: safe where only async-signal-safe calls are.
  void post_from_signal_handler(work_item& item) noexcept {
    if (!inbox_.push(item)) return;
    reactor_.wake();
    // release pairs with the acquire in the destructor: our last access comes before the loop ends.
    wakes_.fetch_add(1, std::memory_order_release);
  }

  bool arm(detail::timer& item) override {
    std::scoped_lock lock{timers_mutex_};
    const auto before = timers_.next_deadline();
    if (!timers_.arm(item)) return false;
    if (!is_current() && (!before || item.deadline() < *before)) reactor_.wake();
    return true;
  }
  bool disarm(detail::timer& item) noexcept override {
    std::scoped_lock lock{timers_mutex_};
    return timers_.disarm(item);
  }

  /// Whether the loop runs on this thread now.
  [[nodiscard]] bool is_current() const noexcept { return detail::running_loop() == this; }
  /// Whether this thread may do what is the loop's to do: the loop runs on it, or it runs nowhere now and ran here last.
  [[nodiscard]] bool is_here() const noexcept {
    return is_current() || (!driven_.load(std::memory_order_acquire) &&
                            driver_.load(std::memory_order_relaxed) == std::this_thread::get_id());
  }
  /// It is here nowhere until some thread drives it: before it is handed over to a thread that is going to.
  void leave_thread() noexcept { driver_.store({}, std::memory_order_relaxed); }
  [[nodiscard]] Reactor& reactor() noexcept { return reactor_; }

 private:
  /// std::terminate, and its handler can say why.
  [[noreturn]] static void give_up(const char* why) noexcept {
    std::rethrow_exception(std::make_exception_ptr(deadlock_error{why}));
  }

  enum class waiting : unsigned char { allowed, refused };

  /// While run(), poll() or shut_down() turns the loop.
  class driving {
   public:
    explicit driving(basic_event_loop& loop) noexcept
        : loop_{loop}, outer_{loop.driven_.load(std::memory_order_relaxed)} {
      loop_.driver_.store(std::this_thread::get_id(), std::memory_order_relaxed);
      loop_.driven_.store(true, std::memory_order_relaxed);
    }
    driving(driving&&) = delete;
    ~driving() { loop_.driven_.store(outer_, std::memory_order_release); }

   private:
    basic_event_loop& loop_;
    bool outer_;
  };

  /// Ends a sleep, and remembers whether a post did.
  class waking_up {
   public:
    explicit waking_up(basic_event_loop& loop) noexcept : loop_{loop} {}
    waking_up(waking_up&&) = delete;
    ~waking_up() {
      if (!loop_.inbox_.wake_up()) ++loop_.wakes_expected_;
    }

   private:
    basic_event_loop& loop_;
  };

  friend class detail::root<basic_event_loop>;
  [[nodiscard]] stop_token adopt() noexcept {
    ++spawned_;
    return shut_down_->get_token();
  }
  void disown() noexcept { --spawned_; }

  /// One round: what is ready, what is due, what the reactor has. False: nothing was done, and (when waiting is
  /// allowed) nothing is left that could wake anything.
  bool turn(waiting wait) {
    const detail::entered inside{*this};
    bool done = inbox_.take(ready_);
    done = run_ready() || done;
    done = fire_due() || done;
    if (wait == waiting::refused || done || !ready_.empty()) {
      reactor_.poll();
      return done || !ready_.empty();
    }
    const auto next = next_deadline();
    if constexpr (requires { clock_.skip_to(*next); }) {  // simulated time: nothing else can happen before `next`
      if (!next) return false;
      clock_.skip_to(*next);
    } else if (inbox_.fall_asleep()) {
      const waking_up at_end{*this};
      reactor_.wait(next ? std::optional<std::chrono::nanoseconds>{*next - clock_.now()} : std::nullopt);
    }
    return true;
  }

  bool run_ready() {
    if constexpr (requires { reactor_.next(ready_); }) {  // a simulated loop chooses the order
      work_item* const chosen = reactor_.next(ready_);
      if (chosen == nullptr) return false;
      (*chosen)();
      return true;
    } else {
      detail::work_list batch = std::exchange(ready_, {});  // what these post runs in the next turn: I/O is not starved
      const bool any = !batch.empty();
      while (work_item* const item = batch.pop_front()) (*item)();
      return any;
    }
  }

  bool fire_due() {
    bool any = false;
    const auto time = clock_.now();
    while (detail::timer* const due = pop_due(time)) {
      detail::timer_heap::fire(*due);
      any = true;
    }
    return any;
  }
  detail::timer* pop_due(time_point time) noexcept {
    std::scoped_lock lock{timers_mutex_};
    return timers_.pop_due(time);
  }
  std::optional<time_point> next_deadline() noexcept {
    std::scoped_lock lock{timers_mutex_};
    return timers_.next_deadline();
  }

  Reactor reactor_;
  Clock clock_;
  detail::work_inbox inbox_;        // posted by other threads and signal handlers
  std::atomic<unsigned> wakes_{0};  // how often a post has called wake()
  unsigned wakes_expected_ = 0;     // how often it had to; the loop's thread only
  detail::work_list ready_;         // the loop's thread only
  std::mutex timers_mutex_;
  detail::timer_heap timers_;
  std::atomic<bool> driven_{false};
  std::atomic<std::thread::id> driver_{std::this_thread::get_id()};
  std::size_t spawned_ = 0;                              // how many of them have not ended
  std::optional<stop_source> shut_down_{std::in_place};  // a new one after each shut_down()
};

/// Real time.
struct steady_clock_source {
  [[nodiscard]] std::chrono::steady_clock::time_point now() const noexcept { return std::chrono::steady_clock::now(); }
};

}  // namespace felix::inline v1
