// SPDX-License-Identifier: MIT
// observe: what a run has used, as text for people.
#pragma once

#include <felix/agent/agent.hpp>
#include <felix/agent/central_post.hpp>
#include <felix/agent/session_result.hpp>
#include <felix/budget/budget_scope.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/money.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>

/// `fmt::print("{}\n", budget.system_status())`: the session, then a line a role.
template <>
struct fmt::formatter<felix::budget_status> {
  // Without a base class: g++ 12 warns of fmt's own string formatter at -O3.
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const felix::budget_status& status, Context& context) const {
    auto out = fmt::format_to(context.out(), "{} of {} tokens used, {} reserved, {} left", status.settled, status.cap,
                              status.reserved, status.left());
    if (status.answer_overrun + status.prompt_overrun > 0)
      out = fmt::format_to(out, "; the server charged {} more than was reserved (answers {}, prompts {})",
                           status.answer_overrun + status.prompt_overrun, status.answer_overrun, status.prompt_overrun);
    for (const auto& [name, role] : status.roles)
      out = fmt::format_to(out, "\n  {:<10} {:>6} tokens in {:>2} requests, answers {:>5} of {:>5} {}",
                           name.empty() ? "-" : name.name(), role.settled, role.stages, role.answer_tokens,
                           role.allotted(), role.base_tokens > 0 ? "allotted" : "granted");
    return out;
  }
};

/// `fmt::print("{}\n", budget.agent_status(id))`: one line.
template <>
struct fmt::formatter<felix::budget_share> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const felix::budget_share& share, Context& context) const {
    auto out = fmt::format_to(context.out(), "{} of {} answer tokens used, {} reserved; {} tokens in {} requests",
                              share.used(), share.allotted(), share.answer_reserved, share.settled, share.stages);
    if (share.overruns > 0)
      out = fmt::format_to(out, "; {} were charged more than was reserved (answers {}, prompts {})", share.overruns,
                           share.answer_overrun, share.prompt_overrun);
    return out;
  }
};

/// `fmt::print("{}\n", company.status())`: one line, money in its currency.
template <>
struct fmt::formatter<felix::scope_status> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const felix::scope_status& scope, Context& context) const {
    auto out = fmt::format_to(context.out(), "{}: {} of {} tokens used, {} reserved, {} left", scope.name,
                              scope.tokens.settled, scope.tokens.cap, scope.tokens.reserved, scope.tokens.left());
    const auto money = [](std::int64_t nano_units) { return felix::money::of_nano_units(nano_units).text(); };
    if (const auto& cost = scope.nano_cost)
      out = fmt::format_to(out, "; {} of {} in money, {} reserved, {} left", money(cost->settled), money(cost->cap),
                           money(cost->reserved), money(cost->left()));
    return out;
  }
};

/// `fmt::print("{}\n", agent.usage_stats())`: one line.
template <>
struct fmt::formatter<felix::agent_usage> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const felix::agent_usage& used, Context& context) const {
    return fmt::format_to(
        context.out(), "{} answers, {} failed, {} tokens, {:.1f} s a task, confidence {:.2f} ({:+.2f})", used.answers,
        used.failed, used.usage.total_tokens, std::chrono::duration<double>{used.mean_time()}.count(), used.confidence,
        used.confidence_trend);
  }
};

/// `fmt::print("{}\n", post.stats())`: one line.
template <>
struct fmt::formatter<felix::central_post_stats> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const felix::central_post_stats& post, Context& context) const {
    const auto ms = [](std::chrono::nanoseconds d) { return std::chrono::duration<double, std::milli>(d).count(); };
    auto out = fmt::format_to(
        context.out(), "{} agents, {} messages published, {} processed ({:.0f}/s), {} queued (at most {})", post.agents,
        post.published, post.processed, post.throughput(), post.queued, post.most_queued);
    if (post.subscribers + post.delivered > 0)
      out = fmt::format_to(out, "; {} subscribers, {} delivered", post.subscribers, post.delivered);
    if (post.dropped + post.rejected > 0)
      out = fmt::format_to(out, "; {} dropped, {} rejected", post.dropped, post.rejected);
    return fmt::format_to(out, "; waits {:.1f} ms, deliveries {:.1f} ms (p99)", ms(post.waits.percentile(99)),
                          ms(post.deliveries.percentile(99)));
  }
};

/// `fmt::print("{}\n", price.cost(usage))`: `0.0023`, in its currency.
template <>
struct fmt::formatter<felix::money> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const felix::money& amount, Context& context) const {
    return fmt::format_to(context.out(), "{}", amount.text());
  }
};

/// `fmt::print("{}\n", result)`: one line.
template <>
struct fmt::formatter<felix::session_result> {
  // Without a base class: g++ 12 warns of fmt's own string formatter at -O3.
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const felix::session_result& result, Context& context) const {
    const auto seconds = [](std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); };
    return fmt::format_to(
        context.out(),
        "{}: {} requests ({} failed, {} stages dropped), {} tokens, {:.1f} s, of which the team {:.1f} s",
        result.complete ? "complete" : "not complete", result.requests, result.failed, result.dropped,
        result.usage.total_tokens, seconds(result.duration), seconds(result.team_duration));
  }
};
