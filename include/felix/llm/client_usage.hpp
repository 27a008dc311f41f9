// SPDX-License-Identifier: MIT
// llm: what a client has done, at one moment, and as text for people.
#pragma once

#include <felix/async/priority_semaphore.hpp>
#include <felix/llm/format.hpp>
#include <felix/llm/limit_usage.hpp>
#include <felix/llm/openai_model.hpp>
#include <felix/llm/rate_limit.hpp>
#include <felix/llm/request_usage.hpp>
#include <felix/llm/retrying.hpp>
#include <felix/telemetry/histogram.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstdint>

namespace felix::inline v1 {

/// What a client has done: of its requests, and below that of each layer.
struct client_usage : request_usage {
  std::uint64_t refused = 0;    ///< found the queue of the limit full, or waited there too long
  limit_status slots = {};      ///< when shared, of all who share the limit, or its group
  bool shares_slots = false;    ///< limit_by was given a limit, or a group, that others may use too
  rate_limit_status rate = {};  ///< requests and tokens per minute; as it was at the latest request
  histogram waits = {};         ///< in our queue, of all attempts
  retry_usage retries = {};
  server_usage server = {};  ///< of each attempt
};

}  // namespace felix::inline v1

/// `fmt::print("{}\n", llm.usage_stats())`: one line, and one more for each histogram that is not empty.
template <>
struct fmt::formatter<felix::client_usage> : felix::detail::plain_formatter {
  template <class Context>
  auto format(const felix::client_usage& usage, Context& context) const {
    const auto seconds = [](std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); };
    auto out = fmt::format_to(
        context.out(),
        "{} requests, {} failed, {} left, {} retried, {} refused, {} in flight, {}; "
        "{} of {} {}slots in use, {} waiting; {} connections ({} idle, {} opened); mean wait {:.2f} s, mean answer "
        "{:.2f} s",
        usage.requests, usage.failed, usage.left, usage.retries.retries, usage.refused, usage.in_flight, usage.tokens,
        usage.slots.in_use, usage.slots.limit, usage.shares_slots ? "shared " : "", usage.slots.waiting_in_all(),
        usage.server.connections.in_use + usage.server.connections.idle, usage.server.connections.idle,
        usage.server.connections.opened, seconds(usage.waits.mean()), seconds(usage.answers.mean()));
    if (usage.waits.count() != 0) out = fmt::format_to(out, "\n  waits:       {}", usage.waits);
    if (usage.first_tokens.count() != 0) out = fmt::format_to(out, "\n  first token: {}", usage.first_tokens);
    if (usage.answers.count() != 0) out = fmt::format_to(out, "\n  answers:     {}", usage.answers);
    return out;
  }
};

/// `fmt::print("{}\n", stack.usage_stats())` of a retry layer: one line.
template <>
struct fmt::formatter<felix::retry_usage> : felix::detail::plain_formatter {
  template <class Context>
  auto format(const felix::retry_usage& usage, Context& context) const {
    return fmt::format_to(context.out(), "{} requests, {} retried, {} given up; waited {:.2f} s, budget {:.1f}",
                          usage.requests, usage.retries, usage.given_up,
                          std::chrono::duration<double>(usage.waited).count(), usage.budget);
  }
};

/// Of a limit: one line.
template <>
struct fmt::formatter<felix::limit_usage> : felix::detail::plain_formatter {
  template <class Context>
  auto format(const felix::limit_usage& usage, Context& context) const {
    const auto& waiting = usage.slots.waiting;
    return fmt::format_to(context.out(),
                          "{} admitted, {} refused; {} of {} slots in use, waiting {} urgent, {} high, {} normal, {} "
                          "low; waits: {}",
                          usage.admitted, usage.refused, usage.slots.in_use, usage.slots.limit, waiting[3], waiting[2],
                          waiting[1], waiting[0], usage.waits);
  }
};

/// Of a server: one line.
template <>
struct fmt::formatter<felix::server_usage> : felix::detail::plain_formatter {
  template <class Context>
  auto format(const felix::server_usage& usage, Context& context) const {
    return fmt::format_to(
        context.out(),
        "{} requests, {} failed, {} left, {} in flight, {} tokens; {} connections in use, {} idle, {} "
        "opened; answers: {}",
        usage.requests, usage.failed, usage.left, usage.in_flight, usage.tokens.total_tokens, usage.connections.in_use,
        usage.connections.idle, usage.connections.opened, usage.answers);
  }
};
