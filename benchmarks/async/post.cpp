// SPDX-License-Identifier: MIT
// What does it cost to wake a coroutine that lives on another thread: while that has nothing else to do, and while it is
// at work?
#include "peers/locked_queue.hpp"
#include "questions.hpp"
#include "support/processor.hpp"

#include <felix/async/continuation.hpp>
#include <felix/async/event.hpp>
#include <felix/async/sync_wait.hpp>
#include <felix/async/task.hpp>

#include <coroutine>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <semaphore>
#include <thread>

namespace {

/// A coroutine of the other thread, which goes one round each time it is woken.
class listener {
 public:
  struct promise_type {
    listener get_return_object() noexcept { return listener{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
  listener(listener&&) = delete;
  ~listener() { coroutine_.destroy(); }
  [[nodiscard]] std::coroutine_handle<> coroutine() const noexcept { return coroutine_; }

  /// Tells the poster when it was woken `times` times.
  static listener count(int times, std::binary_semaphore& all_came) {
    for (int came = 0;;) {
      if (++came == times) {
        came = 0;
        all_came.release();
      }
      co_await std::suspend_always{};
    }
  }
  /// Keeps its thread, so that others have to wait.
  static listener hold(std::binary_semaphore& holding, std::binary_semaphore& let_go) {
    for (;;) {
      holding.release();
      let_go.acquire();
      co_await std::suspend_always{};
    }
  }

 private:
  explicit listener(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_{coroutine} {}
  std::coroutine_handle<promise_type> coroutine_;
};

felix::task<> serve(std::promise<felix::scheduler*>& where, felix::event& end) {
  where.set_value(co_await felix::this_task::scheduler());
  co_await end;
}

/// A felix loop on a thread of its own.
class felix_thread {
 public:
  felix_thread() : loop_{where_.get_future().get()} {}
  felix_thread(felix_thread&&) = delete;
  ~felix_thread() {
    end_.set();
    thread_.join();
  }

  /// What is posted lives in the awaiter of a suspended coroutine, which is woken once at a time: `count` of them.
  class posts {
   public:
    posts(std::coroutine_handle<> woken, int count)
        : continuations_{std::make_unique<felix::continuation[]>(static_cast<std::size_t>(count))} {
      for (int i = 0; i < count; ++i) (*this)[i].set(woken);
    }
    felix::continuation& operator[](int i) const noexcept { return continuations_[static_cast<std::size_t>(i)]; }

   private:
    std::unique_ptr<felix::continuation[]> continuations_;
  };
  void post(felix::continuation& item) { loop_->post(item); }

 private:
  felix::event end_;
  std::promise<felix::scheduler*> where_;
  std::thread thread_{[this] {
    const bench::on_processor second{1};
    felix::sync_wait(serve(where_, end_));
  }};
  felix::scheduler* loop_;
};

/// The floor: handles in a deque.
class locked_thread {
 public:
  locked_thread() = default;
  locked_thread(locked_thread&&) = delete;
  ~locked_thread() {
    queue_.push(nullptr);
    thread_.join();
  }

  class posts {
   public:
    posts(std::coroutine_handle<> woken, int) noexcept : woken_{woken} {}
    std::coroutine_handle<> operator[](int) const noexcept { return woken_; }

   private:
    std::coroutine_handle<> woken_;
  };
  void post(std::coroutine_handle<> item) { queue_.push(item); }

 private:
  void serve() {
    const bench::on_processor second{1};
    std::deque<std::coroutine_handle<>> taken;
    for (;;) {
      queue_.take_all(taken);
      for (; !taken.empty(); taken.pop_front()) {
        if (!taken.front()) return;
        taken.front().resume();
      }
    }
  }

  peers::locked_queue<std::coroutine_handle<>> queue_;
  std::thread thread_{[this] { serve(); }};
};

/// One post after the other, and a pause until all have come.
template <class Thread, int burst>
void post(benchmark::State& state) {
  Thread thread;
  const bench::on_processor first{0};
  std::binary_semaphore all_came{0};
  const listener woken = listener::count(burst, all_came);
  const typename Thread::posts posts{woken.coroutine(), burst};
  for (auto _ : state) {
    for (int i = 0; i < burst; ++i) thread.post(posts[i]);
    all_came.acquire();
  }
  state.SetItemsProcessed(state.iterations() * burst);
}

/// The same while the thread is at work, and not to be woken. The burst is long, because its items share what it takes to
/// hold the thread and to let it go.
template <class Thread, int burst>
void post_to_busy(benchmark::State& state) {
  Thread thread;
  const bench::on_processor first{0};
  std::binary_semaphore all_came{0}, holding{0}, let_go{0};
  const listener woken = listener::count(burst, all_came), held = listener::hold(holding, let_go);
  const typename Thread::posts posts{woken.coroutine(), burst}, hold{held.coroutine(), 1};
  for (auto _ : state) {
    thread.post(hold[0]);
    holding.acquire();
    for (int i = 0; i < burst; ++i) thread.post(posts[i]);
    let_go.release();
    all_came.acquire();
  }
  state.SetItemsProcessed(state.iterations() * burst);
}

}  // namespace

void questions::post(bench::suite& suite) {
  // The whole process: what the poster saves must not be paid by the other thread.
  constexpr auto both_threads = bench::clock::whole_process;
  const auto bursts = suite.measure(
      "post_1000", {{"felix", ::post<felix_thread, 1'000>}, {"mutex_deque_condition", ::post<locked_thread, 1'000>}},
      both_threads);
  suite.goal("post_1000 / mutex_deque_condition", bench::at_most{0.5}, "times",
             bursts.ratio("felix", "mutex_deque_condition"));
  const auto busy = suite.measure(
      "post_to_busy_thread",
      {{"felix", post_to_busy<felix_thread, 10'000>}, {"mutex_deque_condition", post_to_busy<locked_thread, 10'000>}},
      both_threads);
  suite.goal("post_to_busy_thread / mutex_deque_condition", bench::at_most{0.5}, "times",
             busy.ratio("felix", "mutex_deque_condition"));
}
