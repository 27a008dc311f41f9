// SPDX-License-Identifier: MIT
// budget: who has spent, and who may still spend; settled and reserved tokens never exceed the cap together.
#pragma once

#include <felix/budget/allotment.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace felix::inline v1 {

/// The tokens that were asked for are not left.
class budget_exceeded : public error {
 public:
  budget_exceeded(std::string_view who, token_count asked, token_count left, token_count cap)
      : error{errc::budget_exceeded, "budget: " + std::string{who} + " asked for " + std::to_string(asked) +
                                         " tokens, " + std::to_string(left) + " of " + std::to_string(cap) +
                                         " are left; ask for less, use a smaller team, or raise session_cap_tokens"},
        asked_{asked},
        left_{left} {}

  [[nodiscard]] token_count asked() const noexcept { return asked_; }
  [[nodiscard]] token_count left() const noexcept { return left_; }

 private:
  token_count asked_, left_;
};

/// Whether a reservation that does not fit as a whole may be granted in part.
enum class reservation_size : unsigned char { whole, what_is_left };

/// What a request may cost. Trivially destructible, so that it may stand in an awaited expression.
struct reservation_request {
  agent_id agent = {};
  role_id role = {};
  int stage = 1;                           ///< the agent's n-th call, from 1
  token_count prompt_tokens_at_most = 0;   ///< a bound that the prompt cannot exceed; below 0 reads as 0
  token_count prompt_tokens_planned = -1;  ///< what it will probably be; below 0: the bound
  token_count answer_tokens = 0;           ///< 0: what the policies give; else this many, for a final text
  reservation_size size = reservation_size::whole;
};

/// What an agent or a role has used, in one snapshot.
struct budget_share {
  token_count base_tokens = 0;    ///< answer tokens allotted in all (an agent's; a role's: of its agents)
  token_count answer_tokens = 0;  ///< of these, settled
  token_count settled = 0;        ///< prompts and answers
  token_count reserved = 0;       ///< by requests in flight
  int stages = 0;                 ///< requests that were charged
};

struct budget_status {
  token_count cap = 0;
  token_count settled = 0;         ///< prompts and answers, as servers reported them
  token_count reserved = 0;        ///< by requests in flight, and set aside
  token_count answer_overrun = 0;  ///< what servers answered beyond max_tokens
  token_count prompt_overrun = 0;  ///< what prompts cost beyond their reservation
  std::map<role_id, budget_share> roles = {};
  std::map<agent_id, budget_share> agents = {};

  /// What can still be granted.
  [[nodiscard]] token_count left() const noexcept { return std::max<token_count>(0, cap - settled - reserved); }
};

/// Counts what a session spends. Its policies come from token_budget, which derives from it.
/// Invariant, at every instant: settled + reserved <= cap + overrun, and nothing is granted while
/// settled + reserved + asked > cap.
///
/// Two sums are kept. The planned one takes a prompt at its probable size; the worst case takes it at its bound. A
/// budget with a hard cap keeps both under the cap, another one the planned one.
/// Threads:  every member, from any thread. One lock a call, O(log agents).
/// Lifetime: outlives its reservations.
class ledger {
 public:
  class reservation;
  class set_aside;

  ledger(ledger&&) = delete;

  /// Throws budget_exceeded: the agent's allotment is used up, or the session's cap leaves no room.
  [[nodiscard]] inline reservation reserve(const reservation_request& request);
  /// The same; empty instead of an exception.
  [[nodiscard]] inline std::optional<reservation> try_reserve(const reservation_request& request);
  /// The same, out of what was set aside first: what is not taken of it stays set aside.
  [[nodiscard]] inline std::optional<reservation> try_reserve(const reservation_request& request, set_aside& from);

  /// Keeps tokens for later: nobody else is granted them. Throws budget_exceeded when they are not there.
  [[nodiscard]] inline set_aside keep_aside(token_count planned, token_count worst_case);

  /// The answer tokens that a stage would get by the policies: the role's stage maximum, tapered and truncated, and
  /// never more than the agent has left. 0: it may not be called.
  [[nodiscard]] token_count stage_tokens(const agent_id& agent, const role_id& role, int stage) const {
    std::scoped_lock lock{mutex_};
    return stage_tokens_locked(agent, role, stage);
  }
  [[nodiscard]] virtual allotment allotment_of(const role_id& role) const noexcept = 0;

  [[nodiscard]] budget_status system_status() const {
    std::scoped_lock lock{mutex_};
    budget_status status = status_;
    status.reserved = kept({planned_, worst_});
    return status;
  }
  [[nodiscard]] const budget_options& options() const noexcept { return options_; }
  /// Whether the worst case, too, is kept under the cap.
  [[nodiscard]] bool is_hard() const noexcept { return keeps_worst_case_; }

 protected:
  enum class worst_case_sum : unsigned char { kept, not_kept };
  ledger(budget_options options, worst_case_sum keeps)
      : options_{options}, keeps_worst_case_{keeps == worst_case_sum::kept} {
    if (options.session_cap_tokens < 1)
      throw error{errc::invalid_option, "budget: session_cap_tokens is " + std::to_string(options.session_cap_tokens) +
                                            "; it has to be at least 1"};
    if (options.min_stage_tokens < 1)
      throw error{errc::invalid_option, "budget: min_stage_tokens is " + std::to_string(options.min_stage_tokens) +
                                            "; it has to be at least 1: 0 tokens mean no call, never no limit"};
    status_.cap = options.session_cap_tokens;
  }
  ~ledger() { assert(open_ == 0 && "felix::token_budget: destroyed while a reservation is open"); }

  [[nodiscard]] virtual double taper_at(int stage) const noexcept = 0;

 private:
  struct cost {
    token_count planned = 0;
    token_count worst = 0;
  };

  [[nodiscard]] token_count stage_tokens_locked(const agent_id& agent, const role_id& role, int stage) const {
    const token_count tokens = stage_tokens_left(agent, role, stage);
    return tokens >= options_.min_stage_tokens ? tokens : 0;
  }
  /// The same, however few they are.
  [[nodiscard]] token_count stage_tokens_left(const agent_id& agent, const role_id& role, int stage) const {
    const allotment given = allotment_of(role);
    const auto account = accounts_.find(agent);
    const token_count left = given.base_tokens - (account != accounts_.end() ? account->second : 0);
    const auto tapered = static_cast<token_count>(static_cast<double>(given.stage_max_tokens) * taper_at(stage));
    return std::max<token_count>(0, std::min(tapered, left));
  }

  /// How many tokens more may be granted, by the sum that leaves less.
  [[nodiscard]] cost room() const noexcept {
    return {status_.cap - status_.settled - planned_, status_.cap - status_.settled - worst_};
  }
  // No count is above this, whatever a server reports or a caller asks for: sums of a few do not overflow.
  static constexpr token_count highest = std::numeric_limits<token_count>::max() / 4;
  [[nodiscard]] static token_count bounded(token_count tokens) noexcept {
    return std::clamp<token_count>(tokens, 0, highest);
  }
  [[nodiscard]] static token_count sum(token_count a, token_count b) noexcept { return std::min(highest, a + b); }

  [[nodiscard]] static token_count prompt_bound(const reservation_request& request) noexcept {
    return bounded(request.prompt_tokens_at_most);
  }
  [[nodiscard]] static token_count planned_prompt(const reservation_request& request) noexcept {
    return request.prompt_tokens_planned < 0 ? prompt_bound(request)
                                             : std::min(request.prompt_tokens_planned, prompt_bound(request));
  }

  /// What would be granted now, and what is missing if nothing is.
  struct grant {
    token_count answer = 0;  // 0: refused
    token_count asked = 0;
    token_count left = 0;
    token_count of = 0;
  };
  [[nodiscard]] grant decide(const reservation_request& request) const {
    const bool by_policy = request.answer_tokens == 0;
    const token_count wanted = by_policy ? stage_tokens_locked(request.agent, request.role, request.stage)
                                         : std::min(highest, request.answer_tokens);
    if (wanted <= 0)
      return {.asked = by_policy ? options_.min_stage_tokens : request.answer_tokens,
              .left = stage_tokens_left(request.agent, request.role, request.stage),
              .of = allotment_of(request.role).base_tokens};
    const cost free = room();
    token_count fits = free.planned - planned_prompt(request);
    if (keeps_worst_case_) fits = std::min(fits, free.worst - prompt_bound(request));
    const token_count least = request.size == reservation_size::whole ? wanted : options_.min_stage_tokens;
    if (fits < std::min(least, wanted)) {
      const token_count prompt = keeps_worst_case_ ? prompt_bound(request) : planned_prompt(request);
      return {.asked = prompt + wanted,
              .left = std::max<token_count>(0, keeps_worst_case_ ? std::min(free.planned, free.worst) : free.planned),
              .of = status_.cap};
    }
    return {.answer = std::min(wanted, fits)};
  }

  inline reservation open(const reservation_request& request, token_count answer);
  inline void close(const reservation_request& request, token_count answer, const token_usage& used);
  void hold(cost held, token_count sign) noexcept {
    planned_ += sign * held.planned;
    worst_ += sign * held.worst;
  }
  [[nodiscard]] static cost cost_of(const reservation_request& request, token_count answer) noexcept {
    return {planned_prompt(request) + answer, prompt_bound(request) + answer};
  }
  /// Of the two sums, the one that the cap is kept for: the worst case of a hard budget, else the planned one.
  [[nodiscard]] token_count kept(cost held) const noexcept { return keeps_worst_case_ ? held.worst : held.planned; }

  const budget_options options_;
  const bool keeps_worst_case_;
  mutable std::mutex mutex_;                  // guards what follows
  budget_status status_;                      // settled and overruns, in all and by role and agent
  token_count planned_ = 0;                   // reserved, prompts as planned
  token_count worst_ = 0;                     // reserved, prompts at their bounds
  std::map<agent_id, token_count> accounts_;  // answer tokens settled and reserved, by agent
  int open_ = 0;                              // reservations and set-asides that live
};

/// The right to send one request. settle() it with what the server reported; a reservation that is destroyed unsettled
/// charges all it holds, because all of it may have been spent.
class [[nodiscard("a reservation that is dropped charges all it holds")]] ledger::reservation {
 public:
  reservation(reservation&& other) noexcept
      : ledger_{std::exchange(other.ledger_, nullptr)}, request_{other.request_}, answer_{other.answer_} {}
  reservation& operator=(reservation&&) = delete;
  ~reservation() {
    if (ledger_ != nullptr) ledger_->close(request_, answer_, all_it_holds(*ledger_));
  }

  /// What to send as max_tokens: at least 1.
  [[nodiscard]] token_count max_tokens() const noexcept { return answer_; }

  /// Charges what was used and returns the rest. Once. A usage that was estimated is charged in full under a hard cap.
  void settle(const token_usage& used) {
    assert(ledger_ != nullptr && "felix::reservation: settled twice, or moved from");
    ledger* const from = std::exchange(ledger_, nullptr);
    token_usage charged = used;
    if (used.estimated && from->keeps_worst_case_) {
      charged = all_it_holds(*from);
      charged.completion_tokens = std::max(charged.completion_tokens, used.completion_tokens);
      charged.total_tokens = std::max(charged.total_tokens, used.total_tokens);
    }
    from->close(request_, answer_, charged);
  }
  /// Nothing was sent, or the server refused it before it did anything: nothing is charged.
  void release() {
    assert(ledger_ != nullptr && "felix::reservation: settled twice, or moved from");
    std::exchange(ledger_, nullptr)->close(request_, answer_, {});
  }

 private:
  friend class ledger;
  reservation(ledger& from, const reservation_request& request, token_count answer) noexcept
      : ledger_{&from}, request_{request}, answer_{answer} {}
  /// A guess of ours never charges more than was reserved: an overrun is what a server reported.
  [[nodiscard]] token_usage all_it_holds(const ledger& from) const noexcept {
    const token_count prompt = from.keeps_worst_case_ ? prompt_bound(request_) : planned_prompt(request_);
    return {.prompt_tokens = prompt, .completion_tokens = answer_, .total_tokens = prompt + answer_, .estimated = true};
  }

  ledger* ledger_;  // null: settled or moved from
  reservation_request request_;
  token_count answer_;
};

/// Tokens kept for later. Its destructor gives them back.
class [[nodiscard("what was set aside is given back at once")]] ledger::set_aside {
 public:
  set_aside(set_aside&& other) noexcept : ledger_{std::exchange(other.ledger_, nullptr)}, held_{other.held_} {}
  set_aside& operator=(set_aside&&) = delete;
  ~set_aside() { release(); }

  /// Changes how much is kept. False, and nothing changes: more was asked than is left.
  [[nodiscard]] bool resize(token_count planned, token_count worst_case) {
    assert(ledger_ != nullptr && "felix::set_aside: resized after it was released or moved from");
    planned = bounded(planned);
    worst_case = bounded(worst_case);
    std::scoped_lock lock{ledger_->mutex_};
    const cost free = ledger_->room();
    if (planned > held_.planned && planned - held_.planned > free.planned) return false;
    if (ledger_->keeps_worst_case_ && worst_case > held_.worst && worst_case - held_.worst > free.worst) return false;
    ledger_->hold(held_, -1);
    held_ = {planned, worst_case};
    ledger_->hold(held_, 1);
    return true;
  }
  /// What it takes of the sum that the cap is kept for: the worst case of a hard budget, else the planned one.
  [[nodiscard]] token_count tokens() const noexcept { return ledger_ != nullptr ? ledger_->kept(held_) : 0; }
  void release() noexcept {
    if (ledger_ == nullptr) return;
    std::scoped_lock lock{ledger_->mutex_};
    ledger_->hold(held_, -1);
    --std::exchange(ledger_, nullptr)->open_;
  }

 private:
  friend class ledger;
  set_aside(ledger& from, cost held) noexcept : ledger_{&from}, held_{held} {}
  ledger* ledger_;  // null: moved from or released
  cost held_;
};

inline ledger::reservation ledger::open(const reservation_request& request, token_count answer) {
  // The accounts first: they may allocate, and nothing is held yet.
  token_count& account = accounts_[request.agent];
  budget_share& agent = status_.agents[request.agent];
  budget_share& role = status_.roles[request.role];
  account += answer;
  if (agent.base_tokens == 0) {
    agent.base_tokens = allotment_of(request.role).base_tokens;
    role.base_tokens += agent.base_tokens;
  }
  const cost held = cost_of(request, answer);
  agent.reserved += kept(held);
  role.reserved += kept(held);
  hold(held, 1);
  ++open_;
  return {*this, request, answer};
}

inline void ledger::close(const reservation_request& request, token_count answer, const token_usage& used) {
  std::scoped_lock lock{mutex_};
  const cost held = cost_of(request, answer);
  hold(held, -1);
  --open_;
  const token_count charged = bounded(used.total_tokens);
  const token_count answered = bounded(used.completion_tokens);
  token_count& account = accounts_[request.agent];
  account = sum(account - answer, answered);
  status_.settled = sum(status_.settled, charged);
  for (budget_share* share : {&status_.agents[request.agent], &status_.roles[request.role]}) {
    share->reserved -= kept(held);
    share->settled = sum(share->settled, charged);
    share->answer_tokens = sum(share->answer_tokens, answered);
    share->stages += charged > 0 ? 1 : 0;
  }
  const token_count over = charged - kept(held);
  if (over > 0) {
    const token_count in_answer = std::clamp<token_count>(answered - answer, 0, over);
    status_.answer_overrun = sum(status_.answer_overrun, in_answer);
    status_.prompt_overrun = sum(status_.prompt_overrun, over - in_answer);
  }
}

inline std::optional<ledger::reservation> ledger::try_reserve(const reservation_request& request) {
  std::scoped_lock lock{mutex_};
  const grant granted = decide(request);
  if (granted.answer == 0) return std::nullopt;
  return open(request, granted.answer);
}

inline ledger::reservation ledger::reserve(const reservation_request& request) {
  std::scoped_lock lock{mutex_};
  const grant granted = decide(request);
  if (granted.answer == 0)
    throw budget_exceeded{request.agent.empty() ? "a request" : request.agent.name(), granted.asked, granted.left,
                          granted.of};
  return open(request, granted.answer);
}

inline std::optional<ledger::reservation> ledger::try_reserve(const reservation_request& request, set_aside& from) {
  assert(from.ledger_ == this && "felix::token_budget: the tokens were set aside in another budget");
  std::scoped_lock lock{mutex_};
  hold(from.held_, -1);
  const grant granted = decide(request);
  hold(from.held_, 1);  // until it is open: that may throw
  if (granted.answer == 0) return std::nullopt;
  auto opened = open(request, granted.answer);
  hold(from.held_, -1);
  const cost taken = cost_of(request, granted.answer);
  const cost free = room();
  from.held_ = {std::clamp<token_count>(from.held_.planned - taken.planned, 0, std::max<token_count>(0, free.planned)),
                std::clamp<token_count>(from.held_.worst - taken.worst, 0, std::max<token_count>(0, free.worst))};
  hold(from.held_, 1);
  return opened;
}

inline ledger::set_aside ledger::keep_aside(token_count planned, token_count worst_case) {
  planned = bounded(planned);
  worst_case = bounded(worst_case);
  std::scoped_lock lock{mutex_};
  const cost free = room();
  const token_count asked = keeps_worst_case_ ? std::max(planned, worst_case) : planned;
  const token_count left = keeps_worst_case_ ? std::min(free.planned, free.worst) : free.planned;
  if (planned > free.planned || (keeps_worst_case_ && worst_case > free.worst))
    throw budget_exceeded{"the final text", asked, std::max<token_count>(0, left), status_.cap};
  const cost held{planned, worst_case};
  hold(held, 1);
  ++open_;
  return {*this, held};
}

}  // namespace felix::inline v1
