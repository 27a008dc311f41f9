// SPDX-License-Identifier: MIT
// budget: who has spent, and who may still spend; settled and reserved tokens never exceed the cap together.
#pragma once

#include <felix/async/waiting_line.hpp>
#include <felix/budget/allotment.hpp>
#include <felix/budget/budget_exceeded.hpp>
#include <felix/budget/budget_scope.hpp>
#include <felix/budget/budget_status.hpp>
#include <felix/budget/detail/account_table.hpp>
#include <felix/budget/detail/held_sum.hpp>
#include <felix/budget/detail/session_sums.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {

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
  std::int64_t nano_cost_at_most = -1;  ///< of the whole request; below 0: unknown, which a cap in money refuses
};

/// Counts what a session spends. Its policies come from token_budget, which derives from it.
/// Invariant: settled + reserved <= cap + overrun, at every instant and for every thread that looks, and nothing is
///            granted while settled + reserved + asked > cap. The same in every scope around it (options().within). An
///            agent's answers, settled and reserved, are at most its allotment and what servers answered beyond
///            max_tokens, unless it writes a final text.
///
/// Two sums are kept. The planned one takes a prompt at its probable size; the worst case takes it at its bound. A
/// budget with a hard cap keeps both under the cap, another one the planned one.
///
/// An agent keeps the role that it was first seen with: a request that names another one is measured and counted by the
/// first. Asking again in any name never refills an agent, nor changes the limits of another.
/// Threads:  every member, from any thread; a set_aside and a reservation, one thread at a time. Lock-free as long as
///           nobody waits, as budget_scope is; memory is allocated when an agent is first seen, and when it has more
///           requests in flight in one stage than ever before.
/// Waiting:  as for budget_scope, in one line with all of its scopes. Who asks for more than the agent's allotment has
///           left waits for other requests of this agent, and keeps nothing from other agents.
/// Lifetime: outlives its reservations, its waiters, and every call under way; the scope around it outlives it.
/// Cost:     five exchanges for a request (two more under a hard cap), and a look-up among the agents.
class ledger {
 public:
  class reservation;
  class set_aside;
  class waiter;

  ledger(ledger&&) = delete;

  /// Throws budget_exceeded: the agent's allotment is used up, or the session's cap or a scope leaves no room.
  [[nodiscard]] inline reservation reserve(const reservation_request& request);
  /// The same; empty instead of an exception.
  [[nodiscard]] inline std::optional<reservation> try_reserve(const reservation_request& request);
  /// The same, out of what was set aside first: what is not taken of it stays set aside. What is taken of it belongs to
  /// somebody at every instant: nobody else can be granted it in between.
  [[nodiscard]] inline std::optional<reservation> try_reserve(const reservation_request& request, set_aside& from);
  /// Waits until it is granted: `auto slice = co_await budget.reserve(felix::when_free{request, priority})`.
  [[nodiscard("nothing is reserved until it is awaited")]] inline waiter reserve(
      when_free<reservation_request> asked) noexcept;

  /// Keeps tokens for later, and in scopes with a cap in money what they cost: nobody else is granted them. Throws
  /// budget_exceeded when they are not there.
  [[nodiscard]] inline set_aside keep_aside(token_count planned, token_count worst_case, std::int64_t nano_cost = 0);

  /// The answer tokens that a stage would get by the policies: the role's stage maximum, tapered and truncated, and
  /// never more than the agent has left. 0: it may not be called.
  [[nodiscard]] token_count stage_tokens(const agent_id& agent, const role_id& role, int stage) const {
    const token_count tokens = answer_limit(accounts_.find(agent), role, stage).left();
    return tokens >= options_.min_stage_tokens ? tokens : 0;
  }
  [[nodiscard]] virtual allotment allotment_of(const role_id& role) const noexcept = 0;

  /// cap, settled, reserved and overruns are one consistent look: they satisfy the invariant, settled is the sum of what
  /// the shares in it say, and settled + reserved is what was held at one instant within the call. Each number of a share
  /// was true at some instant within the call; together they are exact when no call is under way.
  [[nodiscard]] inline budget_status system_status() const;
  /// As in system_status(). All zeros: nothing was granted to it.
  [[nodiscard]] inline budget_share agent_status(const agent_id& agent) const;
  [[nodiscard]] const budget_options& options() const noexcept { return options_; }
  /// Whether the worst case, too, is kept under the cap.
  [[nodiscard]] bool is_hard() const noexcept { return sums_.is_hard(); }

 protected:
  enum class worst_case_sum : unsigned char { kept, not_kept };
  ledger(budget_options options, worst_case_sum keeps)
      : options_{options},
        line_{options.within != nullptr ? options.within->line() : own_line_},
        sums_{options.session_cap_tokens, keeps == worst_case_sum::kept, options.within} {
    if (options.session_cap_tokens < 1)
      throw error{errc::invalid_option, "budget: session_cap_tokens is " + std::to_string(options.session_cap_tokens) +
                                            "; it has to be at least 1"};
    if (options.min_stage_tokens < 1)
      throw error{errc::invalid_option, "budget: min_stage_tokens is " + std::to_string(options.min_stage_tokens) +
                                            "; it has to be at least 1: 0 tokens mean no call, never no limit"};
  }
  ~ledger() {
    assert(asides_.load() == 0 && !has_open_request() && "felix::token_budget: destroyed while a reservation is open");
  }

  [[nodiscard]] virtual double taper_at(int stage) const noexcept = 0;

 private:
  /// A request that was granted, and what is held for it.
  struct open_request {
    detail::account& agent;
    detail::tally& tally;
    detail::session_tokens held;
    token_count answer;
    std::int64_t nano_cost;
  };
  struct refusal {
    token_count asked = 0, left = 0, of = 0;
    budget_scope::refusal scope = {};
    bool of_allotment = false;
  };

  /// What the policies give to a stage of an agent: at most `stage`, and not more than is left of `base`.
  struct limit {
    token_count base = 0, stage = 0, held = 0;
    [[nodiscard]] token_count left() const noexcept { return std::max<token_count>(0, std::min(stage, base - held)); }
  };
  [[nodiscard]] limit answer_limit(const detail::account* agent, const role_id& role, int stage) const noexcept {
    const allotment given = allotment_of(agent != nullptr ? agent->role() : role);
    return {.base = given.base_tokens,
            .stage = static_cast<token_count>(static_cast<double>(given.stage_max_tokens) * taper_at(stage)),
            .held = agent != nullptr ? agent->answers.held() : 0};
  }

  /// Requests in nobody's name share none.
  [[nodiscard]] token_count allotted_to(const detail::account& agent) const noexcept {
    return agent.id().empty() ? 0 : allotment_of(agent.role()).base_tokens;
  }
  [[nodiscard]] static token_count prompt_bound(const reservation_request& request) noexcept {
    return detail::bounded(request.prompt_tokens_at_most);
  }
  [[nodiscard]] static token_count planned_prompt(const reservation_request& request) noexcept {
    return request.prompt_tokens_planned < 0 ? prompt_bound(request)
                                             : std::min(request.prompt_tokens_planned, prompt_bound(request));
  }
  [[nodiscard]] static detail::session_tokens prompt_of(const reservation_request& request) noexcept {
    return {planned_prompt(request), prompt_bound(request)};
  }
  /// More than any cap, where nobody has said it.
  [[nodiscard]] static std::int64_t cost_of(const reservation_request& request) noexcept {
    return request.nano_cost_at_most < 0 ? budget_scope::unknown_cost : detail::bounded(request.nano_cost_at_most);
  }
  [[nodiscard]] token_count left() const noexcept { return std::max<token_count>(0, sums_.left()); }
  /// Of all agents; what is held was held before, so looked at first it is never more than what is held.
  [[nodiscard]] token_count settled() const noexcept {
    token_count sum = 0;
    accounts_.for_each([&](const detail::account& agent) {
      agent.for_each_tally([&](const detail::tally& each) { sum = detail::bounded_sum(sum, each.settled()); });
    });
    return sum;
  }
  [[nodiscard]] bool has_open_request() const noexcept {
    bool open = false;
    accounts_.for_each([&](const detail::account& agent) {
      agent.for_each_tally([&](const detail::tally& each) { open = open || each.is_claimed(); });
    });
    return open;
  }

  /// Grants it or not; `why` may be null. `pass` is 0 outside the passes of the line. What it held for a moment and gave
  /// back may have refused somebody who waits: he tries again.
  inline std::optional<open_request> open(const reservation_request& request, set_aside* from, std::uint64_t pass,
                                          refusal* why);
  inline void close(const open_request& request, const token_usage& used, std::int64_t nano_cost) noexcept;
  inline void throw_if_hopeless(const reservation_request& request, std::uint64_t pass);
  [[nodiscard]] inline budget_exceeded exceeded(const refusal& why, const reservation_request& request) const;

  const budget_options options_;
  waiting_line own_line_;  // without a scope around it
  waiting_line& line_;
  std::uint64_t settled_in_ = 0;  // the pass in which settled_then_ was summed up; guarded by the line
  token_count settled_then_ = 0;
  detail::account_table accounts_;
  detail::session_sums sums_;
  std::atomic<token_count> answer_overrun_{0}, prompt_overrun_{0};
  std::atomic<int> asides_{0};  // that live
};

/// The right to send one request. settle() it with what the server reported; a reservation that is destroyed unsettled
/// charges all it holds, because all of it may have been spent.
class [[nodiscard("a reservation that is dropped charges all it holds")]] ledger::reservation {
 public:
  reservation(reservation&& other) noexcept : ledger_{std::exchange(other.ledger_, nullptr)}, held_{other.held_} {}
  reservation& operator=(reservation&&) = delete;
  ~reservation() {
    if (ledger_ != nullptr) ledger_->close(held_, all_it_holds(*ledger_), held_.nano_cost);
  }

  /// What to send as max_tokens: at least 1.
  [[nodiscard]] token_count max_tokens() const noexcept { return held_.answer; }

  /// Charges what was used and returns the rest. Once. A usage that was estimated is charged in full under a hard cap.
  /// In money it charges all that was reserved.
  void settle(const token_usage& used) { settle(used, held_.nano_cost); }
  /// The same, and in money what it has cost.
  void settle(const token_usage& used, std::int64_t nano_cost) {
    assert(ledger_ != nullptr && "felix::reservation: settled twice, or moved from");
    ledger* const from = std::exchange(ledger_, nullptr);
    token_usage charged = used;
    if (used.estimated && from->is_hard()) {
      charged = all_it_holds(*from);
      charged.completion_tokens = std::max(charged.completion_tokens, used.completion_tokens);
      charged.total_tokens = std::max(charged.total_tokens, used.total_tokens);
      nano_cost = std::max(nano_cost, held_.nano_cost);
    }
    from->close(held_, charged, nano_cost);
  }
  /// Nothing was sent, or the server refused it before it did anything: nothing is charged.
  void release() {
    assert(ledger_ != nullptr && "felix::reservation: settled twice, or moved from");
    std::exchange(ledger_, nullptr)->close(held_, {}, 0);
  }

 private:
  friend class ledger;
  reservation(ledger& from, const open_request& held) noexcept : ledger_{&from}, held_{held} {}
  /// A guess of ours never charges more than was reserved: an overrun is what a server reported.
  [[nodiscard]] token_usage all_it_holds(const ledger& from) const noexcept {
    const token_count all = from.sums_.kept(held_.held);
    return {
        .prompt_tokens = all - held_.answer, .completion_tokens = held_.answer, .total_tokens = all, .estimated = true};
  }

  ledger* ledger_;  // null: settled or moved from
  open_request held_;
};

/// Tokens kept for later. Its destructor gives them back.
class [[nodiscard("what was set aside is given back at once")]] ledger::set_aside {
 public:
  set_aside(set_aside&& other) noexcept : ledger_{std::exchange(other.ledger_, nullptr)}, held_{other.held_} {}
  set_aside& operator=(set_aside&&) = delete;
  ~set_aside() { release(); }

  /// Changes how much is kept. False, and nothing changes: more was asked than is left.
  [[nodiscard]] inline bool resize(token_count planned, token_count worst_case, std::int64_t nano_cost = 0);
  /// What it takes of the sum that the cap is kept for: the worst case of a hard budget, else the planned one.
  [[nodiscard]] token_count tokens() const noexcept { return ledger_ != nullptr ? ledger_->sums_.kept(held_) : 0; }
  inline void release() noexcept;

 private:
  friend class ledger;
  explicit set_aside(ledger& from) noexcept : ledger_{&from} { from.asides_.fetch_add(1, std::memory_order_relaxed); }
  ledger* ledger_;  // null: moved from or released
  detail::session_tokens held_;
};

class ledger::waiter final : public waiting_line::wait {
 public:
  reservation await_resume() {
    finish("waiting for a budget");
    return std::move(*got_);
  }

 private:
  friend class ledger;
  waiter(ledger& from, const when_free<reservation_request>& asked) noexcept
      : wait{from.line_, asked.priority()}, ledger_{from}, asked_{asked.what()} {}

  bool attempt(std::uint64_t pass) override {
    if (pass != 0) ledger_.throw_if_hopeless(asked_, pass);  // first: who leaves keeps nothing from those behind him
    const auto opened = ledger_.open(asked_, nullptr, pass, nullptr);
    if (opened) got_.emplace(reservation{ledger_, *opened});
    return opened.has_value();
  }

  ledger& ledger_;
  const reservation_request asked_;
  std::optional<reservation> got_;
};

inline std::optional<ledger::open_request> ledger::open(const reservation_request& request, set_aside* from,
                                                        std::uint64_t pass, refusal* why) {
  // What may allocate comes first, while nothing is held.
  detail::account& agent = accounts_.find_or_add(request.agent, request.role);
  const bool by_policy = request.answer_tokens == 0;
  if (pass != 0 && (sums_.is_closed_in(pass) || (by_policy && agent.closed_in == pass))) return std::nullopt;
  detail::tally& tally = agent.claim(request.stage);

  token_count wanted = detail::bounded(request.answer_tokens);
  limit of;
  if (by_policy) {
    of = answer_limit(&agent, request.role, request.stage);
    if (of.stage >= options_.min_stage_tokens)
      wanted = agent.answers.take(detail::bounded(of.base), {.wanted = of.stage, .least = options_.min_stage_tokens})
                   .granted;
  } else {
    agent.answers.hold(wanted);
  }
  if (wanted <= 0) {
    if (pass != 0) agent.closed_in = pass;
    if (!by_policy) of = answer_limit(&agent, request.role, request.stage);
    if (why != nullptr)
      *why = {by_policy ? options_.min_stage_tokens : request.answer_tokens, of.left(), of.base, {}, by_policy};
    tally.unclaim();
    return std::nullopt;
  }

  const bool whole = request.size == reservation_size::whole;
  const detail::session_request asked{.prompt = prompt_of(request),
                                      .wanted = wanted,
                                      .least = whole ? wanted : std::min(options_.min_stage_tokens, wanted),
                                      .nano_cost = cost_of(request)};
  budget_scope::refusal refused_by;
  const token_count answer = sums_.take(asked, from != nullptr ? &from->held_ : nullptr, pass, refused_by);
  agent.answers.let_go(wanted - answer);
  if (answer == 0) {
    if (why != nullptr)
      *why = {sums_.kept(asked.prompt) + wanted, left(), options_.session_cap_tokens, refused_by, false};
    tally.unclaim();
    if (pass == 0) line_.changed();
    return std::nullopt;
  }
  if (answer < wanted && pass == 0) line_.changed();
  const detail::session_tokens held{asked.prompt.planned + answer, asked.prompt.worst + answer};
  tally.open(sums_.kept(held), answer);
  return open_request{agent, tally, held, answer, asked.nano_cost};
}

// The order of the sums is that of held_sum.hpp: overruns before what is held, that before what is settled.
inline void ledger::close(const open_request& request, const token_usage& used, std::int64_t nano_cost) noexcept {
  const token_count charged = detail::bounded(used.total_tokens);
  const token_count answered = detail::bounded(used.completion_tokens);
  if (const token_count over = charged - sums_.kept(request.held); over > 0) {
    const token_count in_answer = std::clamp<token_count>(answered - request.answer, 0, over);
    request.tally.add_overrun({in_answer, over - in_answer});
    detail::add_bounded(answer_overrun_, in_answer, std::memory_order_release);
    detail::add_bounded(prompt_overrun_, over - in_answer, std::memory_order_release);
  }
  sums_.settle(request.held, request.nano_cost, charged, detail::bounded(nano_cost));
  request.agent.answers.change(request.answer, answered);
  request.tally.close(charged, answered);
  line_.changed();
}

inline std::optional<ledger::reservation> ledger::try_reserve(const reservation_request& request) {
  if (const auto opened = open(request, nullptr, 0, nullptr)) return reservation{*this, *opened};
  return std::nullopt;
}

inline ledger::reservation ledger::reserve(const reservation_request& request) {
  refusal why;
  if (const auto opened = open(request, nullptr, 0, &why)) return {*this, *opened};
  throw exceeded(why, request);
}

inline std::optional<ledger::reservation> ledger::try_reserve(const reservation_request& request, set_aside& from) {
  assert(from.ledger_ == this && "felix::token_budget: the tokens were set aside in another budget");
  if (const auto opened = open(request, &from, 0, nullptr)) return reservation{*this, *opened};
  return std::nullopt;
}

inline ledger::waiter ledger::reserve(when_free<reservation_request> asked) noexcept { return {*this, asked}; }

inline budget_exceeded ledger::exceeded(const refusal& why, const reservation_request& request) const {
  if (why.scope.by != nullptr)
    return options_.within->exceeded(why.scope, request.agent.name(), {why.asked, cost_of(request)});
  if (why.of_allotment) return budget_exceeded::of_allotment(request.agent.name(), why.asked, why.left, why.of);
  return {request.agent.name(), why.asked, why.left, why.of};
}

inline void ledger::throw_if_hopeless(const reservation_request& request, std::uint64_t pass) {
  const auto for_ever = [&](const refusal& why) { return budget_exceeded::for_ever(exceeded(why, request)); };
  const detail::account* const agent = accounts_.find(request.agent);
  const limit of = answer_limit(agent, request.role, request.stage);
  const token_count least_stage = options_.min_stage_tokens;
  token_count wanted = request.answer_tokens;
  if (wanted == 0) {
    if (std::min(of.stage, of.base - (agent != nullptr ? agent->answered() : 0)) < least_stage)
      throw for_ever({least_stage, of.left(), of.base, {}, true});
    wanted = std::max(least_stage, of.left());
  }
  if (wanted < 0) throw for_ever({wanted, of.left(), of.base, {}, true});
  wanted = detail::bounded(wanted);
  if (settled_in_ != pass) {
    settled_then_ = settled();
    settled_in_ = pass;
  }
  const token_count prompt = sums_.kept(prompt_of(request));
  const token_count least = prompt + (request.size == reservation_size::whole ? wanted : std::min(least_stage, wanted));
  if (!sums_.can_ever_hold(least, settled_then_))
    throw for_ever({prompt + wanted, left(), options_.session_cap_tokens, {}, false});
  if (options_.within == nullptr) return;
  const auto never = options_.within->hopeless({least, cost_of(request)});
  if (never.by != nullptr) throw for_ever({prompt + wanted, 0, 0, never, false});
}

inline budget_status ledger::system_status() const {
  budget_status status{.cap = options_.session_cap_tokens};
  accounts_.for_each([&](const detail::account& agent) {
    bool seen = false;
    budget_share sum{.base_tokens = allotted_to(agent)};
    agent.for_each_tally([&](const detail::tally& each) {
      if (!each.seen()) return;
      seen = true;
      const budget_share share = each.share();
      sum += share;
      status.stages[each.stage()] += share;
      status.settled = detail::bounded_sum(status.settled, share.settled);
    });
    if (!seen) return;
    status.agents[agent.id()] = sum;
    status.roles[agent.role()] += sum;
  });
  status.reserved = std::max<token_count>(0, sums_.held() - status.settled);
  status.answer_overrun = answer_overrun_.load(std::memory_order_acquire);
  status.prompt_overrun = prompt_overrun_.load(std::memory_order_acquire);
  return status;
}

inline budget_share ledger::agent_status(const agent_id& agent) const {
  budget_share sum;
  const detail::account* const found = accounts_.find(agent);
  if (found == nullptr) return sum;
  bool seen = false;
  found->for_each_tally([&](const detail::tally& each) {
    seen = seen || each.seen();
    sum += each.share();
  });
  if (seen) sum.base_tokens = allotted_to(*found);
  return sum;
}

inline ledger::set_aside ledger::keep_aside(token_count planned, token_count worst_case, std::int64_t nano_cost) {
  const detail::session_tokens wanted{detail::bounded(planned), detail::bounded(worst_case),
                                      detail::bounded(nano_cost)};
  budget_scope::refusal refused_by;
  if (sums_.left() < 0 || !sums_.grow(wanted, refused_by)) {
    const token_count asked = is_hard() ? std::max(wanted.planned, wanted.worst) : wanted.planned;
    line_.changed();
    throw exceeded({asked, left(), options_.session_cap_tokens, refused_by, false},
                   {.agent = "the final text", .nano_cost_at_most = wanted.nano_cost});
  }
  set_aside kept{*this};
  kept.held_ = wanted;
  return kept;
}

inline bool ledger::set_aside::resize(token_count planned, token_count worst_case, std::int64_t nano_cost) {
  assert(ledger_ != nullptr && "felix::set_aside: resized after it was released or moved from");
  const detail::session_tokens wanted{detail::bounded(planned), detail::bounded(worst_case),
                                      detail::bounded(nano_cost)};
  const auto above = [](const detail::session_tokens& a, const detail::session_tokens& b) {
    const auto more = [](std::int64_t x, std::int64_t y) { return std::max<std::int64_t>(0, x - y); };
    return detail::session_tokens{more(a.planned, b.planned), more(a.worst, b.worst), more(a.nano_cost, b.nano_cost)};
  };
  budget_scope::refusal refused_by;
  const bool fits = ledger_->sums_.grow(above(wanted, held_), refused_by);
  if (fits) {
    ledger_->sums_.shrink(above(held_, wanted));
    held_ = wanted;
  }
  ledger_->line_.changed();
  return fits;
}

inline void ledger::set_aside::release() noexcept {
  if (ledger_ == nullptr) return;
  ledger_->sums_.shrink(held_);
  ledger& from = *std::exchange(ledger_, nullptr);
  from.asides_.fetch_sub(1, std::memory_order_relaxed);
  from.line_.changed();
}

}  // namespace felix::inline v1
