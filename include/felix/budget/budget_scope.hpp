// SPDX-License-Identifier: MIT
// budget: caps within caps: an organisation, its sessions, their teams, and what is reserved holds in all of them.
#pragma once

#include <felix/async/waiting_line.hpp>
#include <felix/budget/budget_exceeded.hpp>
#include <felix/budget/detail/held_sum.hpp>
#include <felix/error.hpp>
#include <felix/priority.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace felix::inline v1 {

namespace detail {

class session_sums;

}  // namespace detail

/// Tokens, and what they cost in nano-units of a currency. The cost counts where a scope has a cap in money.
struct budget_amount {
  token_count tokens = 0;
  std::int64_t nano_cost = 0;
};

/// What a scope may spend.
struct scope_caps {
  token_count tokens = 0;
  std::int64_t nano_cost = -1;  ///< below 0: no cap in money
};

/// What a scope has spent, of one unit. `settled + reserved <= cap + overrun` at every instant.
struct scope_share {
  token_count cap = 0;
  token_count settled = 0;
  token_count reserved = 0;
  token_count overrun = 0;  ///< what was settled beyond reservations

  [[nodiscard]] token_count left() const noexcept { return std::max<token_count>(0, cap - settled - reserved); }
};

struct scope_status {
  std::string name = {};
  scope_share tokens = {};
  std::optional<scope_share> nano_cost = {};  ///< if the scope has a cap in money
};

/// Asks to wait until `what` is free, instead of failing: `co_await budget.reserve(felix::when_free{request})`.
template <class What>
class when_free {
 public:
  explicit(false) when_free(const What& what, request_priority priority = request_priority::normal) noexcept
      : what_{what}, priority_{priority} {}
  [[nodiscard]] const What& what() const noexcept { return what_; }
  [[nodiscard]] request_priority priority() const noexcept { return priority_; }

 private:
  What what_;
  request_priority priority_;
};

/// One level of a budget. What is reserved in it is reserved in every scope around it too, from the inside out, and given
/// back there when one of them has no room.
///     felix::budget_scope company{"company", 1'000'000};
///     felix::budget_scope team{company, "team", 50'000};
///     felix::strict_budget budget{{.session_cap_tokens = 2'000, .within = &team}};
///     auto some = team.reserve({.tokens = 500});                       // or a part of it directly
///     some.settle({.tokens = 380});
/// Invariant: settled + reserved <= cap + overrun, in every scope, at every instant and for every thread that looks. Nothing
///            is granted where settled + reserved + asked > cap.
/// Threads:   every member, from any thread. Lock-free as long as nobody waits: a thread that stops, wherever, stops
///            nobody else; but it keeps what it holds, and while an outer scope refuses it, what it holds in inner ones
///            for that moment may refuse another. With waiters, whoever gives something back takes the lock of their line.
/// Waiting:   one line for a whole tree of scopes. The most urgent goes first, then who came first. Who is refused keeps
///            what he lacks from those behind him, in the scope that has refused him and in no other; a reserve() that
///            does not wait may take it. A wait fails with budget_exceeded as soon as it is sure that it can never succeed:
///            more is asked for than would be left if everything reserved was given back.
/// Stop:      a wait throws `cancelled` at once and leaves nothing behind.
/// Lifetime:  outlives the scopes and ledgers within it, its reservations and waiters, and every call under way.
/// Cost:      one exchange a level to reserve, two to settle; one more of each for a cap in money.
class budget_scope {
 public:
  class reservation;
  class waiter;

  /// Throws error (invalid_option) for a cap of tokens below 1.
  budget_scope(std::string name, token_count cap) : budget_scope{nullptr, std::move(name), {.tokens = cap}} {}
  budget_scope(std::string name, const scope_caps& caps) : budget_scope{nullptr, std::move(name), caps} {}
  budget_scope(budget_scope& within, std::string name, token_count cap)
      : budget_scope{&within, std::move(name), {.tokens = cap}} {}
  budget_scope(budget_scope& within, std::string name, const scope_caps& caps)
      : budget_scope{&within, std::move(name), caps} {}
  budget_scope(budget_scope&&) = delete;
  ~budget_scope() {
    assert(tokens_.look().reserved == 0 && "felix::budget_scope: destroyed while something is reserved in it");
  }

  /// Throws budget_exceeded, with the name of the scope that has no room. Amounts below 0 are 0.
  [[nodiscard]] inline reservation reserve(const budget_amount& asked);
  /// The same; empty instead of an exception.
  [[nodiscard]] inline std::optional<reservation> try_reserve(const budget_amount& asked);
  /// Waits until it fits: `co_await scope.reserve(felix::when_free{amount, felix::request_priority::high})`.
  [[nodiscard("nothing is reserved until it is awaited")]] inline waiter reserve(
      when_free<budget_amount> asked) noexcept;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// The scope around it; null: it is the outermost.
  [[nodiscard]] budget_scope* within() const noexcept { return within_; }
  /// Whether this one or one around it has a cap in money: then what has no price is refused.
  [[nodiscard]] bool caps_money() const noexcept { return cost_ || (within_ != nullptr && within_->caps_money()); }
  /// Each unit is one consistent look: what it says was never worse. Between two calls, or two scopes, time passes.
  [[nodiscard]] scope_status status() const {
    const auto share = [](const detail::capped_sum<>& sum, token_count cap) {
      const auto seen = sum.look();
      return scope_share{.cap = cap, .settled = seen.settled, .reserved = seen.reserved, .overrun = seen.overrun};
    };
    scope_status status{.name = name_, .tokens = share(tokens_, caps_.tokens)};
    if (cost_) status.nano_cost = share(*cost_, caps_.nano_cost);
    return status;
  }

 private:
  friend class ledger;
  friend class detail::session_sums;

  budget_scope(budget_scope* within, std::string name, const scope_caps& caps)
      : name_{std::move(name)}, caps_{caps}, within_{within}, tokens_{caps.tokens} {
    if (caps.tokens < 1)
      throw error{errc::invalid_option, "budget_scope \"" + name_ + "\": its cap is " + std::to_string(caps.tokens) +
                                            " tokens; it has to be at least 1"};
    if (caps.nano_cost >= 0) cost_.emplace(caps.nano_cost);
  }

  /// Who has no room, and of what.
  struct refusal {
    budget_scope* by = nullptr;  // null: nobody
    bool of_money = false;
  };
  /// Holds it in this scope and in all around it, or in none. `asked.wanted` becomes what is granted. Of the money so
  /// much is held already.
  inline refusal hold(detail::sum_request& asked, std::int64_t nano_cost, std::int64_t covered_cost = 0) noexcept;
  /// Gives back what hold() has taken, in this scope and in those around it up to `end`, which keeps it.
  inline void let_go(token_count tokens, std::int64_t nano_cost, const budget_scope* end = nullptr) noexcept;
  inline void settle(const budget_amount& reserved, const budget_amount& used) noexcept;
  /// The first scope that will never have room for it.
  [[nodiscard]] inline refusal hopeless(const budget_amount& asked) noexcept;
  [[nodiscard]] inline budget_exceeded exceeded(const refusal& why, std::string_view who,
                                                const budget_amount& asked) const;
  /// In a pass of the line: whether somebody who goes before lacks something here or further out.
  [[nodiscard]] bool is_closed_in(std::uint64_t pass) const noexcept {
    for (const budget_scope* each = this; each != nullptr; each = each->within_)
      if (each->closed_in_ == pass) return true;
    return false;
  }
  [[nodiscard]] waiting_line& line() noexcept { return within_ != nullptr ? within_->line() : line_; }

  static constexpr std::int64_t unknown_cost = detail::most_tokens;

  const std::string name_;
  const scope_caps caps_;
  budget_scope* const within_;
  detail::capped_sum<> tokens_;
  std::optional<detail::capped_sum<>> cost_;  // none: there is no cap in money
  waiting_line line_;                         // of an outermost scope, for all within it
  std::uint64_t closed_in_ = 0;               // the pass in which a waiter was refused here; guarded by the line
};

/// A part of a scope. settle() it with what was used; one that is destroyed unsettled charges all it holds.
class [[nodiscard("a reservation that is dropped charges all it holds")]] budget_scope::reservation {
 public:
  reservation(reservation&& other) noexcept : scope_{std::exchange(other.scope_, nullptr)}, held_{other.held_} {}
  reservation& operator=(reservation&&) = delete;
  ~reservation() {
    if (scope_ != nullptr) close(held_);
  }

  [[nodiscard]] const budget_amount& amount() const noexcept { return held_; }
  /// Charges what was used and gives the rest back. Once.
  void settle(const budget_amount& used) noexcept {
    assert(scope_ != nullptr && "felix::budget_scope::reservation: settled twice, or moved from");
    close({detail::bounded(used.tokens), detail::bounded(used.nano_cost)});
  }
  /// Nothing was used.
  void release() noexcept { settle({}); }

 private:
  friend class budget_scope;
  reservation(budget_scope& scope, const budget_amount& held) noexcept : scope_{&scope}, held_{held} {}
  void close(const budget_amount& used) noexcept {
    budget_scope& scope = *std::exchange(scope_, nullptr);
    scope.settle(held_, used);
    scope.line().changed();
  }

  budget_scope* scope_;  // null: settled or moved from
  budget_amount held_;
};

class budget_scope::waiter final : public waiting_line::wait {
 public:
  reservation await_resume() {
    finish("waiting for a budget");
    return std::move(*got_);
  }

 private:
  friend class budget_scope;
  waiter(budget_scope& scope, const when_free<budget_amount>& asked) noexcept
      : wait{scope.line(), asked.priority()},
        scope_{scope},
        asked_{detail::bounded(asked.what().tokens), detail::bounded(asked.what().nano_cost)} {}

  bool attempt(std::uint64_t pass) override {
    if (pass != 0) {
      // First: who leaves the line keeps nothing from those behind him.
      if (const refusal never = scope_.hopeless(asked_); never.by != nullptr)
        throw budget_exceeded::for_ever(scope_.exceeded(never, scope_.name(), asked_));
      if (scope_.is_closed_in(pass)) return false;
    }
    detail::sum_request tokens{.fixed = asked_.tokens};
    const refusal why = scope_.hold(tokens, asked_.nano_cost);
    if (why.by == nullptr) {
      got_.emplace(reservation{scope_, asked_});
      return true;
    }
    if (pass != 0) why.by->closed_in_ = pass;
    return false;
  }

  budget_scope& scope_;
  const budget_amount asked_;
  std::optional<reservation> got_;
};

inline budget_scope::refusal budget_scope::hold(detail::sum_request& asked, std::int64_t nano_cost,
                                                std::int64_t covered_cost) noexcept {
  const std::int64_t missing_cost = std::max<std::int64_t>(0, nano_cost - covered_cost);
  for (budget_scope* each = this; each != nullptr; each = each->within_) {
    const auto missing = [&] { return std::max<token_count>(0, asked.fixed + asked.wanted - asked.covered); };
    const token_count before = missing();
    const detail::sum_grant granted = each->tokens_.take(asked);
    if (!granted) {
      let_go(before, missing_cost, each);
      return {each, false};
    }
    asked.wanted = granted.granted;
    if (const token_count less = before - missing(); less > 0) let_go(less, 0, each);
    if (each->cost_ && !each->cost_->hold(nano_cost, covered_cost)) {
      each->tokens_.let_go(missing());
      let_go(missing(), missing_cost, each);
      return {each, true};
    }
  }
  return {};
}

inline void budget_scope::let_go(token_count tokens, std::int64_t nano_cost, const budget_scope* end) noexcept {
  for (budget_scope* each = this; each != end; each = each->within_) {
    each->tokens_.let_go(tokens);
    if (each->cost_) each->cost_->let_go(nano_cost);
  }
}

inline void budget_scope::settle(const budget_amount& reserved, const budget_amount& used) noexcept {
  for (budget_scope* each = this; each != nullptr; each = each->within_) {
    each->tokens_.settle(reserved.tokens, used.tokens);
    if (each->cost_) each->cost_->settle(reserved.nano_cost, used.nano_cost);
  }
}

inline budget_scope::refusal budget_scope::hopeless(const budget_amount& asked) noexcept {
  for (budget_scope* each = this; each != nullptr; each = each->within_) {
    if (!each->tokens_.can_ever_hold(asked.tokens)) return {each, false};
    if (each->cost_ && !each->cost_->can_ever_hold(asked.nano_cost)) return {each, true};
  }
  return {};
}

inline budget_exceeded budget_scope::exceeded(const refusal& why, std::string_view who,
                                              const budget_amount& asked) const {
  const budget_scope& by = *why.by;
  if (why.of_money && asked.nano_cost == unknown_cost)
    return budget_exceeded::without_price(by.name_, who, by.cost_->left());
  if (why.of_money)
    return budget_exceeded::cost_in_scope(by.name_, who, asked.nano_cost, by.cost_->left(), by.caps_.nano_cost);
  return budget_exceeded::in_scope(by.name_, who, asked.tokens, by.tokens_.left(), by.caps_.tokens);
}

inline budget_scope::reservation budget_scope::reserve(const budget_amount& asked) {
  const budget_amount held{detail::bounded(asked.tokens), detail::bounded(asked.nano_cost)};
  detail::sum_request tokens{.fixed = held.tokens};
  if (const refusal why = hold(tokens, held.nano_cost); why.by != nullptr) {
    budget_exceeded failure = exceeded(why, name_, asked);
    line().changed();  // what it held in inner scopes for a moment
    throw failure;
  }
  return {*this, held};
}

inline std::optional<budget_scope::reservation> budget_scope::try_reserve(const budget_amount& asked) {
  const budget_amount held{detail::bounded(asked.tokens), detail::bounded(asked.nano_cost)};
  detail::sum_request tokens{.fixed = held.tokens};
  if (hold(tokens, held.nano_cost).by == nullptr) return reservation{*this, held};
  line().changed();
  return std::nullopt;
}

inline budget_scope::waiter budget_scope::reserve(when_free<budget_amount> asked) noexcept { return {*this, asked}; }

}  // namespace felix::inline v1
