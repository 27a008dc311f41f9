// SPDX-License-Identifier: MIT
// llm: requests that are paid from a budget before they are sent.
#pragma once

#include <felix/async/async_generator.hpp>
#include <felix/async/task.hpp>
#include <felix/async/waiting_line.hpp>
#include <felix/budget/any_estimator.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/price.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/chat_stream.hpp>
#include <felix/llm/collect_within.hpp>
#include <felix/llm/detail/answer_meter.hpp>
#include <felix/llm/model.hpp>
#include <felix/llm/prompt_size_of.hpp>
#include <felix/priority.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace felix::inline v1 {

template <model Inner>
class budgeted;

/// Whose requests are paid, and how.
struct charge_options {
  /// Its allotment holds, stage by stage. Empty: the budget's cap alone does, for whoever asks.
  agent_id agent = {};
  role_id role = {};
  /// A request that does not fit waits until others have settled, by its priority; it fails at once when it never can.
  bool waits = false;
  any_estimator estimator = {};           ///< what a prompt is planned and bounded with
  std::optional<model_price> price = {};  ///< for scopes that have a cap in money, which refuse what has none
  /// Asks a server how many tokens a prompt has, for an estimator that goes by that (counted_estimator).
  std::function<task<prompt_count>(chat_request)> count = {};
};

/// What users write.
///     felix::strict_budget budget;
///     auto llm = felix::openai_model{loop} | felix::limit{4} | felix::retry{} | felix::charge{budget};
///     auto npc = felix::model_ref{llm} | felix::charge{budget, {.agent = "npc_7", .role = "research"}};
/// Exactly one of a stack charges: a session and its agents do it themselves.
/// Lifetime: the budget outlives the models.
class charge {
 public:
  explicit charge(ledger& budget, charge_options options = {}) : budget_{&budget}, options_{std::move(options)} {}

  template <model Inner>
  friend budgeted<Inner> operator|(Inner inner, charge layer) {
    return {std::move(inner), std::move(layer)};
  }

 private:
  template <model Inner>
  friend class budgeted;
  ledger* budget_;
  charge_options options_;
};

/// A model whose requests are reserved before they are sent, and charged for what they came to. max_tokens is always
/// sent: what was asked for, or without it what the role gets in a stage, as far as the budget has it. Where `Inner`
/// streams, an answer that gets longer than that is cut (finish_reason::length), whatever the server makes of max_tokens.
/// What is not used goes back; what was lost on the way may have been spent, and is charged; before a retry sends such
/// a request once more it is paid once more, or not sent. Where the server has counted a prompt above its bound, one
/// request is sent at a time, until the estimator trusts its bound again: the others wait, whatever `waits` says, so do not ask in the middle of a
/// stream then. Of several answers (`n`) each may be asked for by itself, so that
/// the prompt is paid as often.
/// Threads:  as `Inner`.
/// Stop:     closes the request; what came is charged, and what the server may have made meanwhile.
/// Throws:   budget_exceeded before anything is sent; else what `Inner` throws.
template <model Inner>
class budgeted {
 public:
  budgeted(Inner inner, charge by)
      : inner_{std::move(inner)}, shared_{std::make_unique<shared>(*by.budget_, std::move(by.options_))} {}

  task<chat_response> complete(chat_request request) {
    if constexpr (streaming_model<Inner>) {
      co_return co_await collect(stream(std::move(request)));
    } else {
      payment paid{*shared_, request};
      co_await pay(paid, request);
      try {
        chat_response answer = co_await inner_.complete(std::move(request));
        for (std::size_t i = 0; i < answer.choices().size(); ++i) paid.add(as_delta(answer.choices()[i], i), answer);
        paid.settle(answer);
        co_return answer;
      } catch (const error& failure) {
        paid.failed(failure);
        throw;
      }
    }
  }

  chat_stream stream(chat_request request)
    requires streaming_model<Inner>
  {
    auto whole = std::make_shared<chat_stream::answer>();
    return {relay(std::move(request), whole), whole};
  }

  [[nodiscard]] const ledger& budget() const noexcept { return shared_->budget; }
  [[nodiscard]] Inner& inner() noexcept { return inner_; }
  [[nodiscard]] const Inner& inner() const noexcept { return inner_; }

 private:
  /// What its requests have in common.
  struct shared {
    shared(ledger& paying, charge_options chosen)
        : budget{paying}, options{std::move(chosen)}, estimator{std::move(options.estimator)} {}
    ledger& budget;
    const charge_options options;
    std::mutex mutex;  // guards what follows
    any_estimator estimator;
    int stages = 0;
    int in_flight = 0;
    waiting_line turns;  // of those who wait for one in flight to end
  };

  /// A place among those in flight.
  class turn final : public waiting_line::wait {
   public:
    turn(shared& of, request_priority priority) noexcept : wait{of.turns, priority}, shared_{of} {}
    void await_resume() { finish("waiting for a request to a server that counts more than its bound"); }

   private:
    bool attempt(std::uint64_t) override {
      std::scoped_lock lock{shared_.mutex};
      if (shared_.in_flight > 0 && shared_.estimator.one_at_a_time()) return false;
      ++shared_.in_flight;
      return true;
    }
    shared& shared_;
  };

  /// One request, from its reservation until it is charged.
  class payment {
   public:
    payment(shared& by, const chat_request& request)
        : shared_{by}, size_{prompt_size_of(request)}, answers_{request.n()} {}
    void note(const prompt_count& counted) noexcept { size_.counted = counted; }
    /// What is asked of the budget.
    [[nodiscard]] const reservation_request& asked_for(const chat_request& request) {
      const charge_options& options = shared_.options;
      std::scoped_lock lock{shared_.mutex};
      request_ = {.agent = options.agent,
                  .role = options.role,
                  .stage = shared_.stages + 1,
                  .prompt_tokens_at_most = answers_ * (shared_.estimator.at_most(size_) + tokens_on_the_way),
                  .prompt_tokens_planned = answers_ * shared_.estimator.planned(size_),
                  .size = reservation_size::what_is_left};
      const auto wanted = request.max_tokens();
      if (options.agent.empty()) {
        request_.answer_tokens = answers_ * wanted.value_or(shared_.budget.allotment_of(options.role).stage_max_tokens);
        if (wanted) request_.size = reservation_size::whole;
      } else {
        ++shared_.stages;
        const token_count stage = shared_.budget.stage_tokens(options.agent, options.role, request_.stage);
        if (stage > 0) request_.answer_tokens = std::min(stage, answers_ * wanted.value_or(stage));
      }  // 0: the ledger says what is missing
      if (options.price)
        request_.nano_cost_at_most =
            options.price->at_most(request_.prompt_tokens_at_most, request_.answer_tokens).nano_units();
      return request_;
    }
    /// Changes the request to what was paid for.
    void open(ledger::reservation granted, chat_request& request) {
      const token_count tokens = granted.max_tokens();
      reservation_.emplace(std::move(granted));
      request_.answer_tokens = tokens;
      request_.size = reservation_size::whole;
      meter_ = detail::answer_meter{tokens};
      request.max_tokens(std::max<token_count>(1, tokens / answers_));
      request.repeat_if([this] { return pay_again(); });
    }
    payment(payment&&) = delete;
    /// Left in the middle: what came is charged; where nothing came, all of it may have been spent.
    ~payment() {
      if (reservation_ && meter_.seen() > 0) charge_what_was_seen();
      reservation_.reset();
      if (!has_turn_) return;
      {
        std::scoped_lock lock{shared_.mutex};
        --shared_.in_flight;
      }
      shared_.turns.changed();
    }
    void take_turn() noexcept { has_turn_ = true; }

    void add(const chat_delta& delta, const chat_response& so_far) noexcept {
      meter_.add(delta);
      meter_.server_says(so_far.usage());
    }
    [[nodiscard]] bool is_used_up() const noexcept { return meter_.is_over(); }
    void settle(chat_response& answer) {
      token_usage usage = answer.usage();
      if (is_used_up()) {  // it was cut
        usage = charge_what_was_seen();
        usage.estimated = true;
        for (std::size_t i = 0; i < answer.choices().size(); ++i)
          answer.choice(i).finish_reason = finish_reason::length;
      } else {
        usage = meter_.believed(usage, size_.bytes);
        learn_or_estimate(usage);
        charge(usage);
      }
      answer.usage(usage);
    }
    /// Unless it is known to have cost nothing it is charged at its end, as what was left in the middle.
    void failed(const error& failure) {
      if (!reservation_ || failure.cost() != request_cost::none) return;
      reservation_->release();
      reservation_.reset();
    }

   private:
    /// What was sent may have been spent: the next attempt has to be paid beside it.
    bool pay_again() {
      auto next = shared_.budget.try_reserve(request_);
      if (!next) return false;
      reservation_.reset();  // charges it
      reservation_.emplace(std::move(*next));
      return true;
    }
    /// And what is on the way. Under a hard cap that was reserved; else a guess of ours is no overrun.
    token_usage charge_what_was_seen() {
      const token_count most = reservation_->max_tokens();
      const token_count on_the_way = answers_ * tokens_on_the_way;
      token_usage usage;
      if (shared_.budget.is_hard()) {
        usage.prompt_tokens = request_.prompt_tokens_at_most - on_the_way;
        usage.completion_tokens = std::min(meter_.seen(), most) + on_the_way;
      } else {
        usage.prompt_tokens = request_.prompt_tokens_planned;
        usage.completion_tokens = std::max(meter_.seen(), std::min(meter_.seen() + on_the_way, most));
      }
      usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
      charge(usage);
      return usage;
    }
    void learn_or_estimate(token_usage& usage) {
      if (!usage.estimated) {
        if (answers_ > 1) return;  // it may be the prompt several times
        std::scoped_lock lock{shared_.mutex};
        return shared_.estimator.learn(size_, usage.prompt_tokens);
      }
      usage.prompt_tokens = std::max(usage.prompt_tokens, request_.prompt_tokens_planned);
      usage.total_tokens = std::max(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    }
    void charge(const token_usage& usage) {
      ledger::reservation taken = std::move(*reservation_);
      reservation_.reset();
      const auto& price = shared_.options.price;
      if (price && !usage.estimated) {
        taken.settle(usage, price->cost(usage).nano_units());
      } else {
        taken.settle(usage);
      }
    }

    shared& shared_;
    prompt_size size_;
    const token_count answers_;
    reservation_request request_;
    std::optional<ledger::reservation> reservation_;
    detail::answer_meter meter_{0};
    bool has_turn_ = false;
  };

  task<void> pay(payment& paid, chat_request& request) {
    const charge_options& options = shared_->options;
    co_await turn{*shared_, request.priority()};
    paid.take_turn();
    if (options.count) {
      const prompt_count counted = co_await options.count(request);
      paid.note(counted);
    }
    const reservation_request& asked = paid.asked_for(request);
    if (!options.waits) co_return paid.open(shared_->budget.reserve(asked), request);
    auto granted = co_await shared_->budget.reserve(when_free<reservation_request>{asked, request.priority()});
    paid.open(std::move(granted), request);
  }

  async_generator<chat_delta> relay(chat_request request, std::shared_ptr<chat_stream::answer> whole) {
    payment paid{*shared_, request};
    co_await pay(paid, request);
    std::optional<chat_stream> held{inner_.stream(std::move(request))};  // ends before it is charged
    const auto inner = held->whole();
    whole->refer_to(inner);
    try {
      for (;;) {
        auto delta = co_await held->next();
        if (!delta) break;
        paid.add(*delta, inner->response());
        if (paid.is_used_up()) break;
        co_yield std::move(*delta);
      }
    } catch (const error& failure) {
      paid.failed(failure);
      throw;
    }
    held.reset();
    paid.settle(inner->response());
  }

  Inner inner_;
  std::unique_ptr<shared> shared_;  // on the heap: requests refer to it while the stack is moved in
};

}  // namespace felix::inline v1
