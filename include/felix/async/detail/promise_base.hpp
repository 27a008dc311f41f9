// SPDX-License-Identifier: MIT
// async: what the promises of felix's coroutines share: who awaits them, what they inherit, and where they go at the end.
#pragma once

#include <felix/async/continuation.hpp>
#include <felix/async/detail/driver.hpp>
#include <felix/async/detail/frame_pool.hpp>
#include <felix/async/scheduler.hpp>
#include <felix/error.hpp>

#include <atomic>
#include <coroutine>
#include <exception>
#include <utility>

namespace felix::inline v1 {
namespace detail {

class promise_base;

/// The context of coroutines that nobody awaits one by one: the branches of a when_all, a nursery, a time limit.
class scope : public task_context {
 public:
  scope(scope&&) = delete;

  /// `ended` has run to its end; `failure` is null or points to what it threw. Gives what its thread goes on with. The
  /// coroutine runs on the scope's own scheduler, unless it was moved elsewhere.
  enum class ended_on : unsigned char { own_scheduler, another };
  virtual std::coroutine_handle<> ended(std::coroutine_handle<> ended, const std::exception_ptr* failure,
                                        ended_on on) noexcept = 0;

 protected:
  enum class kind : unsigned char { branches, migration };
  explicit scope(kind of = kind::branches) noexcept : kind_{of} {}
  virtual ~scope() = default;

 private:
  friend class migration;
  kind kind_;
};

class promise_base : public pooled_frame {
 public:
  promise_base() noexcept : context_{nullptr} {}  // declared: an aggregate would be initialised from the parameters
  promise_base(promise_base&&) = delete;

  [[nodiscard]] const task_context& context() const noexcept { return *context_; }

  template <class Promise>
  void awaited_by(std::coroutine_handle<Promise> caller) noexcept {
    awaited_by_ = caller;
    context_ = &context_of(caller);
  }
  void belongs_to(const scope& owner) noexcept { context_ = &owner; }
  /// What it awaits then inherits `other`. Its own is handed down again before it ends, moves, or yields.
  void hands_down(const task_context& other) noexcept { context_ = &other; }

  /// What goes on when the coroutine, which is suspended, has ended or yielded.
  template <class Promise>
  std::coroutine_handle<> next(std::coroutine_handle<Promise> self) noexcept {
    if (awaited_by_) [[likely]]
      return driver::transfer(awaited_by_);
    return owner().ended(self, self.promise().failure(), scope::ended_on::own_scheduler);
  }

  /// From here on the coroutine, and what it awaits, lives on `target`; its awaiter does not.
  inline void move_to(scheduler& target);

  /// Destroys a coroutine that never ran. Such coroutines can own each other as parameters, without limit, so from a
  /// certain depth on they are put off until the outermost one is gone. Parameters below that depth hence end after all
  /// those above, and not among them.
  [[gnu::noinline]] static void destroy_unrun(std::coroutine_handle<> self, promise_base& promise) noexcept {
    constexpr int deepest = 256;
    unrun& here = local_unrun();
    if (here.depth == deepest) {
      promise.awaited_by_ = self;
      promise.next_unrun_ = std::exchange(here.put_off, &promise);
      return;
    }
    ++here.depth;
    self.destroy();
    if (here.depth == 1) {
      while (promise_base* const next = here.put_off) {
        here.put_off = next->next_unrun_;
        next->awaited_by_.destroy();
      }
    }
    --here.depth;
  }

 private:
  struct unrun {
    int depth;
    promise_base* put_off;
  };
  static unrun& local_unrun() noexcept {
    static thread_local constinit unrun here{};
    return here;
  }

  /// Whoever began this coroutine without awaiting it. Scopes are not const, only seen so by those who inherit.
  [[nodiscard]] scope& owner() const noexcept { return const_cast<scope&>(static_cast<const scope&>(*context_)); }

  std::coroutine_handle<> awaited_by_;  // null: a branch, whose context is a scope
  union {
    const task_context* context_;  // null until it is started
    promise_base* next_unrun_;     // while its destruction is put off
  };
};

/// Takes a task that was moved to another scheduler back to where its awaiter lives. It is a coroutine, so that it can be
/// posted there; it holds the context that the task has in the meantime.
class migration {
 public:
  class promise_type final : public pooled_frame, public scope {
   public:
    promise_type() noexcept : scope{kind::migration} {}
    migration get_return_object() noexcept { return migration{*this}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    struct final_awaiter {
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
        const std::coroutine_handle<> awaiter = self.promise().awaiter_;
        self.destroy();
        return driver::transfer(awaiter);
      }
      void await_resume() const noexcept {}
    };
    [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept {}

    /// The moved coroutine has ended.
    std::coroutine_handle<> ended(std::coroutine_handle<> ended, const std::exception_ptr* failure,
                                  ended_on) noexcept override {
      const auto self = std::coroutine_handle<promise_type>::from_promise(*this);
      scheduler* const here = where;
      if (!awaiter_) {  // a branch: its scope can be told from anywhere
        const task_context& home = *home_;
        self.destroy();
        return const_cast<scope&>(static_cast<const scope&>(home))
            .ended(ended, failure, here == home.where ? ended_on::own_scheduler : ended_on::another);
      }
      if (home_->where == nullptr || home_->where == here) return self;
      post_ = work_item{self};
      home_->where->post(post_);
      return std::noop_coroutine();
    }

   private:
    friend class migration;
    std::coroutine_handle<> awaiter_;
    const task_context* home_ = nullptr;
    work_item post_;
  };

  /// The context that a coroutine has while it lives on `target`.
  static scope& begin(scheduler& target, std::coroutine_handle<> awaiter, const task_context& home) {
    promise_type& state = migrate().state_;
    state.where = &target;
    state.stop = home.stop;
    state.awaiter_ = awaiter;
    state.home_ = &home;
    return state;
  }
  /// If `context` is that of a coroutine that was moved before.
  static promise_type* of(scope& context) noexcept {
    return context.kind_ == scope::kind::migration ? static_cast<promise_type*>(&context) : nullptr;
  }

 private:
  explicit migration(promise_type& state) noexcept : state_{state} {}
  static migration migrate() { co_return; }
  promise_type& state_;
};

inline void promise_base::move_to(scheduler& target) {
  if (!awaited_by_) {
    if (migration::promise_type* const moved = migration::of(owner())) {
      moved->where = &target;
      return;
    }
  }
  context_ = &migration::begin(target, awaited_by_, *context_);
  awaited_by_ = nullptr;
}

/// Stands between felix's coroutines and one of another type that awaits them. That one may have been resumed by code that
/// wants the control back as soon as nothing more can be done now, and not a transfer earlier; so what it awaits is begun
/// by a driver of its own, inside await_suspend. What ends in there lets await_suspend go on with the awaiter, which the
/// stack does not grow by.
class foreign_link {
 public:
  class promise_type final : public pooled_frame {
   public:
    promise_type() noexcept {}  // declared: an aggregate would be initialised from the parameters
    foreign_link get_return_object() noexcept { return foreign_link{*this}; }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    struct final_awaiter {
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
        const std::coroutine_handle<> awaiter = self.promise().awaiter_;
        if (!self.promise().comes_second()) return std::noop_coroutine();
        self.destroy();
        return driver::transfer(awaiter);
      }
      void await_resume() const noexcept {}
    };
    [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept {}
    [[nodiscard]] const task_context& context() const noexcept { return no_context; }

   private:
    friend class foreign_link;
    /// acq_rel: whoever comes second sees what the other has done, and destroys the link.
    [[nodiscard]] bool comes_second() noexcept { return came_.exchange(true, std::memory_order_acq_rel); }
    std::coroutine_handle<> awaiter_;
    std::atomic<bool> came_{false};  // the end of what is awaited, or the end of run()
  };
  using handle = std::coroutine_handle<promise_type>;

  /// `begin(handle)` begins what `awaiter` awaits, on its behalf awaited by the link. Gives what await_suspend returns.
  template <class Begin>
  static std::coroutine_handle<> run(std::coroutine_handle<> awaiter, Begin begin) {
    promise_type& link = wait().promise_;
    link.awaiter_ = awaiter;
    const handle self = handle::from_promise(link);
    try {
      begin(self);
    } catch (...) {  // nothing has begun
      self.destroy();
      throw;
    }
    if (!link.comes_second()) return std::noop_coroutine();
    self.destroy();
    return awaiter;
  }

 private:
  explicit foreign_link(promise_type& promise) noexcept : promise_{promise} {}
  static foreign_link wait() { co_return; }
  promise_type& promise_;
};

/// Suspends a task until a scheduler runs it; see scheduler::schedule.
class schedule_awaiter {
 public:
  explicit schedule_awaiter(scheduler& target) noexcept : target_{target} {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> caller) {
    stop_ = context_of(caller).stop;
    if constexpr (has_task_context<Promise>) {
      static_assert(
          requires { caller.promise().move_to(target_); }, "schedule: only felix's tasks and generators can move");
      if (context_of(caller).where == &target_) return false;
      caller.promise().move_to(target_);
    }
    item_ = work_item{caller};
    target_.post(item_);
    return true;
  }
  void await_resume() const {
    if (stop_.stop_requested()) throw cancelled{"moving to another scheduler"};
  }

 private:
  scheduler& target_;
  stop_token stop_;
  work_item item_;
};

}  // namespace detail

inline detail::schedule_awaiter scheduler::schedule() noexcept { return detail::schedule_awaiter{*this}; }

}  // namespace felix::inline v1
