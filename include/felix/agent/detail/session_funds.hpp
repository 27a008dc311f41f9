// SPDX-License-Identifier: MIT
// agent: what a session may still spend, and what each of its requests has come to.
#pragma once

#include <felix/agent/detail/running_stage.hpp>
#include <felix/agent/session_options.hpp>
#include <felix/async/as_result.hpp>
#include <felix/async/task.hpp>
#include <felix/budget/any_estimator.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/budget/run_limits.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/collect_within.hpp>
#include <felix/llm/prompt_size_of.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

namespace felix::inline v1 {
namespace detail {

/// The budget, what prompts cost by estimate, the limits of the run, and what is set aside for the final text. All that it
/// says changes only when a request is reserved or settled, never when an answer comes: so it does not depend on time.
class session_funds {
 public:
  /// Both are referred to.
  session_funds(ledger& budget, const session_options& options)
      : budget_{budget}, options_{options}, estimator_{options.estimator}, meter_{options.limits} {}
  session_funds(session_funds&&) = delete;

  [[nodiscard]] const ledger& budget() const noexcept { return budget_; }
  [[nodiscard]] token_count least_answer() const noexcept { return budget_.options().min_stage_tokens; }

  // --- What a prompt costs ---

  /// Probably. What grows under Unicode normalisation can be more tokens than bytes, and is planned in full.
  [[nodiscard]] token_count planned(const prompt_size& size) const {
    const token_count probable = estimator_.planned(size);
    if (size.counted.tokens > 0) return probable;
    if (probable >= size.bytes) return std::max(probable, size.text_bound);
    return probable + std::max<token_count>(0, size.text_bound - size.bytes - size.messages);
  }
  /// All that is spent on a prompt, and on what a server makes that ignores max_tokens.
  [[nodiscard]] token_count at_most(const prompt_size& size) const {
    return estimator_.at_most(size) + (budget_.is_hard() ? tokens_on_the_way : 0);
  }
  /// Writes the request of a stage, and what its prompt is planned to cost.
  template <class = void>  // see CONTRIBUTING.md, "Coroutines in headers"
  task<void> prepare(running_stage& stage, const agent& who, brief about) const {
    stage.about = std::move(about);
    stage.request = who.request_for(stage.about);
    stage.size = prompt_size_of(stage.request);
    if (options_.count) {
      const auto counted = co_await as_result(count(stage.request));
      if (counted) stage.size.counted = *counted;
    }
    stage.planned_prompt = planned(stage.size);
  }
  /// A server that has counted more than the bound may do so again: what it does is to be seen before it gets more.
  [[nodiscard]] bool one_at_a_time() const noexcept { return estimator_.one_at_a_time(); }

  // --- What is set aside for the final text ---

  struct aside_cost {
    token_count planned = 0;
    token_count worst = 0;
    std::int64_t nano_cost = 0;
  };
  /// In nano-units of money, at most; 0 without a price.
  [[nodiscard]] std::int64_t cost_at_most(token_count prompt_tokens, token_count answer_tokens) const {
    return options_.price ? options_.price->at_most(prompt_tokens, answer_tokens).nano_units() : 0;
  }
  /// Throws budget_exceeded when it is not there.
  void set_aside(const aside_cost& cost) {
    aside_cost_ = cost;
    aside_.emplace(budget_.keep_aside(cost.planned, cost.worst, cost.nano_cost));
  }
  void resize_aside(const aside_cost& cost) {
    aside_cost_ = cost;
    // Refused only when an estimate has grown beyond what is left: then what was set aside so far stays so.
    static_cast<void>(aside_->resize(cost.planned, cost.worst, cost.nano_cost));
  }
  void give_aside_back() noexcept { aside_.reset(); }

  // --- Who may send what ---

  /// Whether as many tokens more than all in flight still leave enough for a turn that hands back.
  [[nodiscard]] bool is_before_soft_line(token_count more) const {
    return meter_.next() == next_turn::go_on &&
           more + in_flight_ <= meter_.left_for_inner().tokens.value_or(more + in_flight_);
  }
  /// Why the run is not before it.
  [[nodiscard]] std::optional<run_end> reason() const {
    return meter_.next() == next_turn::go_on ? run_end{run_limit::tokens, limit_line::soft} : meter_.reason();
  }

  /// Until an answer has shown what prompts cost here, no more is sent than fits under the cap at its worst.
  [[nodiscard]] bool is_proven_for(token_count more) const {
    return estimator_.answers_seen() > 0 ||
           more + unproven_ + aside_cost_.worst <= budget_.options().session_cap_tokens;
  }

  /// What stages can still be planned with: without what is set aside, and up to the soft line of the run.
  [[nodiscard]] token_count left_for_stages() const {
    const token_count left = budget_.options().session_cap_tokens - aside_cost_.planned - charged_ - in_flight_;
    return std::min(left, meter_.left_for_inner().tokens.value_or(left + in_flight_) - in_flight_);
  }

  /// Reserves `answer` tokens and the stage's prompt. False: they are not there.
  [[nodiscard]] bool reserve(running_stage& stage, const agent& who, token_count answer, reservation_size size) {
    stage.worst = at_most(stage.size) + answer;
    if (!is_proven_for(stage.worst)) return false;
    auto granted = budget_.try_reserve(request_for(stage, who, answer, size));
    if (!granted) return false;
    unproven_ += stage.worst;
    stage.accept(std::move(*granted), who);
    in_flight_ += stage.planned();
    return true;
  }

  /// What the final text may cost in all, `parts` of which are still to be reserved: an equal share for each.
  [[nodiscard]] token_count room_for_part(std::size_t parts) const {
    const budget_status status = budget_.system_status();
    token_count free = status.cap - status.settled - status.reserved + aside_->tokens();
    if (const auto left = meter_.left().tokens) free = std::min(free, *left - in_flight_);
    return free / static_cast<token_count>(parts);
  }
  /// The same for a part of the final text, out of what is set aside.
  [[nodiscard]] bool reserve_part(running_stage& part, const agent& who, token_count answer) {
    auto granted = budget_.try_reserve(request_for(part, who, answer, reservation_size::what_is_left), *aside_);
    if (!granted) return false;
    part.accept(std::move(*granted), who);
    in_flight_ += part.planned();
    return true;
  }

  /// A request that was lost on the way, and may have cost all that was reserved for it, is charged, and paid once more.
  /// False, and nothing changes: there is not enough for that.
  [[nodiscard]] bool pay_again(running_stage& stage, const agent& who) {
    const token_count lost = stage.planned();
    if (!is_before_soft_line(lost) || !is_proven_for(lost)) return false;
    auto paid = budget_.try_reserve(request_for(stage, who, stage.reservation->max_tokens(), reservation_size::whole));
    if (!paid) return false;
    stage.reservation.reset();  // charges it
    stage.reservation.emplace(std::move(*paid));
    meter_.add({.tokens = lost, .nano_cost = cost_of_lost(stage, lost), .time = stage.end - began()});
    charged_ += lost;
    unproven_ += lost;
    return true;
  }

  // --- When it has ended ---

  /// Charges a request that has ended. An answer gets the usage that it is charged for. Gives the tokens in all.
  token_count settle(running_stage& stage) {
    in_flight_ -= stage.planned();
    token_count charged = 0;
    std::int64_t nano_cost = 0;
    if (stage.answer) {
      with_usage(*stage.answer, stage);
      const token_usage& usage = stage.answer->usage();
      charged = usage.total_tokens;
      nano_cost = options_.price ? options_.price->cost(usage).nano_units() : 0;
      if (options_.price && !usage.estimated) {
        stage.reservation->settle(usage, nano_cost);
      } else {
        stage.reservation->settle(usage);
      }
      if (!usage.estimated) estimator_.learn(stage.size, usage.prompt_tokens);
    } else {
      const bool cost_nothing = stage.why_it_failed().cost == request_cost::none;
      if (cost_nothing) stage.reservation->release();
      charged = cost_nothing ? 0 : stage.planned();
      nano_cost = cost_of_lost(stage, charged);
    }
    stage.reservation.reset();  // what was not released: it charges what may have been spent
    meter_.add({.tokens = charged, .nano_cost = nano_cost, .time = stage.end - began()});
    charged_ += charged;
    unproven_ += charged - stage.worst;
    return charged;
  }

  // --- Time ---

  /// The first request is sent.
  void begin(std::chrono::steady_clock::time_point now) noexcept { begin_ = now; }
  [[nodiscard]] std::chrono::steady_clock::time_point began() const noexcept { return begin_.value_or(never); }
  /// What is left for a request that begins `now`, up to the limit of the run, or for a stage of the team its soft line:
  /// then the answer is cut.
  [[nodiscard]] std::chrono::nanoseconds time_left(std::chrono::steady_clock::time_point now, bool final_text) const {
    const run_limits& limits = options_.limits;
    if (!limits.time) return std::chrono::nanoseconds::max();
    const double share = final_text ? 1.0 : limits.hand_back_at;
    const auto all = std::chrono::nanoseconds{std::llround(share * static_cast<double>(limits.time->count()))};
    return std::max(std::chrono::nanoseconds{0}, all - (now - begin_.value_or(now)));
  }

 private:
  static constexpr std::chrono::steady_clock::time_point never{};

  /// A coroutine of its own: so what is thrown before there is a task is a count that failed, too.
  template <class = void>
  task<prompt_count> count(chat_request request) const {
    co_return co_await options_.count(std::move(request));
  }

  [[nodiscard]] reservation_request request_for(const running_stage& stage, const agent& who, token_count answer,
                                                reservation_size size) const {
    return {
        .agent = who.id(),
        .role = who.role().name,
        .stage = stage.about.stage,
        .prompt_tokens_at_most = at_most(stage.size),
        .prompt_tokens_planned = stage.planned_prompt,
        .answer_tokens = answer,
        .size = size,
        .nano_cost_at_most = options_.price ? options_.price->at_most(at_most(stage.size), answer).nano_units() : -1};
  }

  /// In nano-units of money, when nothing came back.
  [[nodiscard]] std::int64_t cost_of_lost(const running_stage& stage, token_count charged) const {
    if (!options_.price || charged == 0) return 0;
    return options_.price->at_most(stage.planned_prompt, charged - stage.planned_prompt).nano_units();
  }

  /// A server that sends no usage is charged by estimate: the planned prompt, and a token for three bytes of the answer.
  /// One that had to be cut does not keep to what it was told: its prompt is charged at its bound.
  void with_usage(chat_response& answer, const running_stage& stage) const {
    token_usage usage = answer.usage();
    if (!usage.estimated) return;
    const token_count most = stage.request.max_tokens().value_or(0);
    const bool cut = usage.completion_tokens > most;
    const auto visible = static_cast<token_count>((answer.text().size() + 2) / 3);
    usage.prompt_tokens = std::max(usage.prompt_tokens, cut ? estimator_.at_most(stage.size) : stage.planned_prompt);
    usage.completion_tokens = std::max(usage.completion_tokens, std::min(visible, most));
    usage.total_tokens = std::max(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    answer.usage(usage);
  }

  ledger& budget_;
  const session_options& options_;
  any_estimator estimator_;  // learns in the order of the view
  run_meter meter_;
  std::optional<ledger::set_aside> aside_;
  aside_cost aside_cost_;
  token_count charged_ = 0;
  token_count in_flight_ = 0;  // as planned
  token_count unproven_ = 0;   // spent, and in flight at its worst; until the first answer
  std::optional<std::chrono::steady_clock::time_point> begin_;
};

}  // namespace detail
}  // namespace felix::inline v1
