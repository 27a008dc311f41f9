// SPDX-License-Identifier: MIT
// llm: small values as text for people, by fmt: the names of kinds and levels, tokens, limits, histograms.
#pragma once

#include <felix/async/priority_semaphore.hpp>
#include <felix/error_kind.hpp>
#include <felix/llm/chat_message.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/priority.hpp>
#include <felix/telemetry/histogram.hpp>
#include <felix/usage.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cmath>

namespace felix::inline v1 {
namespace detail {

/// For "{}" alone.
struct plain_formatter {
  // No base class of fmt's: g++ 12 warns of its string formatter.
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
};

/// What has a name: the same as to_string(), which also has a width: `fmt::print("{:>12}", to_string(kind))`.
struct name_formatter : plain_formatter {
  template <class Named, class Context>
  auto format(const Named& value, Context& context) const {
    return fmt::format_to(context.out(), "{}", to_string(value));
  }
};

}  // namespace detail
}  // namespace felix::inline v1

/// `fmt::print("{}\n", failure.kind())`
template <>
struct fmt::formatter<felix::error_kind> : felix::detail::name_formatter {};
/// `fmt::print("{}\n", request.priority())`
template <>
struct fmt::formatter<felix::request_priority> : felix::detail::name_formatter {};
/// `fmt::print("{}\n", answer.finish_reason())`
template <>
struct fmt::formatter<felix::finish_reason> : felix::detail::name_formatter {};
/// `fmt::print("{}\n", message.role)`
template <>
struct fmt::formatter<felix::chat_role> : felix::detail::name_formatter {};

/// `fmt::print("{}\n", answer.usage())`: `12 tokens (8 prompt, 4 answer)`, and what of them was special.
template <>
struct fmt::formatter<felix::token_usage> : felix::detail::plain_formatter {
  template <class Context>
  auto format(const felix::token_usage& usage, Context& context) const {
    auto out = fmt::format_to(context.out(), "{} tokens ({} prompt", usage.total_tokens, usage.prompt_tokens);
    if (usage.cached_prompt_tokens != 0) out = fmt::format_to(out, ", of which {} cached", usage.cached_prompt_tokens);
    out = fmt::format_to(out, ", {} answer", usage.completion_tokens);
    if (usage.reasoning_tokens != 0) out = fmt::format_to(out, ", of which {} reasoning", usage.reasoning_tokens);
    return fmt::format_to(out, "{}", usage.estimated ? ", in part estimated)" : ")");
  }
};

/// `fmt::print("{}\n", llm.status())` of a limit.
template <>
struct fmt::formatter<felix::limit_status> : felix::detail::plain_formatter {
  template <class Context>
  auto format(const felix::limit_status& status, Context& context) const {
    return fmt::format_to(context.out(), "{} of {} slots in use, {} waiting", status.in_use, status.limit,
                          status.waiting_in_all());
  }
};

/// `fmt::print("{}\n", llm.usage_stats().rate)`: one line.
template <>
struct fmt::formatter<felix::rate_limit_status> : felix::detail::plain_formatter {
  template <class Context>
  auto format(const felix::rate_limit_status& status, Context& context) const {
    auto out = bucket(context.out(), "requests", status.requests);
    out = bucket(fmt::format_to(out, "; "), "tokens", status.tokens);
    return fmt::format_to(out, "{}", status.blocked_until ? "; the server asked to wait" : "");
  }

 private:
  template <class Out>
  static Out bucket(Out out, const char* name, const felix::rate_limit_status::bucket& one) {
    if (!std::isfinite(one.per_minute)) return fmt::format_to(out, "{} not limited", name);
    return fmt::format_to(out, "{:.1f} of {:.1f} {} left, {:.1f} a minute{}", one.level, one.capacity, name,
                          one.per_minute, one.learned ? " as the server says" : "");
  }
};

/// `fmt::print("{}\n", felix::histogram{…})`: percentiles in milliseconds.
template <>
struct fmt::formatter<felix::histogram> : felix::detail::plain_formatter {
  template <class Context>
  auto format(const felix::histogram& lengths, Context& context) const {
    const auto ms = [](std::chrono::nanoseconds d) { return std::chrono::duration<double, std::milli>(d).count(); };
    return fmt::format_to(context.out(), "p50 {:.1f} ms, p90 {:.1f}, p99 {:.1f}, max {:.1f}",
                          ms(lengths.percentile(50)), ms(lengths.percentile(90)), ms(lengths.percentile(99)),
                          ms(lengths.max()));
  }
};
