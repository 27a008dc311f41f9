// SPDX-License-Identifier: MIT
// llm: so many requests and tokens per minute, as set or as a server says. Values alone: no clock, no waiting.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/detail/per_minute_limit.hpp>
#include <felix/llm/rate_limit_report.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace felix::inline v1 {

/// What may be sent per minute. Neither is limited by default, until a server says so.
struct rate_limit_options {
  static constexpr double unlimited = detail::per_minute_limit::unlimited;

  double requests_per_minute = unlimited;
  /// Of prompts, and of the longest answers that were asked for: servers count max_tokens, not what came.
  double tokens_per_minute = unlimited;
  /// Keep to the limits in the headers of answers too. They only ever lower what is set here.
  bool learn = true;
  /// How much of it may be sent at once after a pause; 1 s to 1 h. Of requests never more than what a second gives, or
  /// one: servers look at shorter times than a minute.
  std::chrono::seconds burst{60};

  /// Throws error (invalid_option) that names the field.
  void validate() const {
    check("requests_per_minute", requests_per_minute);
    check("tokens_per_minute", tokens_per_minute);
    if (burst < std::chrono::seconds{1} || burst > std::chrono::hours{1})
      throw error{errc::invalid_option,
                  "rate_limit: burst is " + std::to_string(burst.count()) + " s; use 1 s to 3600 s"};
  }

 private:
  static void check(std::string_view field, double value) {
    using limit = detail::per_minute_limit;
    if (value == unlimited || (value >= limit::least && value <= limit::most)) return;
    throw error{errc::invalid_option, "rate_limit: " + std::string{field} + " is " + std::to_string(value) +
                                          "; use a number from 0.001 to 10^12, or leave it out for no limit"};
  }
};

/// How a rate_limiter stands.
struct rate_limit_status {
  struct bucket {
    double per_minute = 0;  ///< what it gets; infinite: not limited
    double capacity = 0;    ///< the most that goes at once
    double level = 0;       ///< of that, what is there; below 0 when a server has been asked for more
    bool learned = false;   ///< a server's headers made it less than what is set
  };
  bucket requests = {};
  bucket tokens = {};
  std::optional<std::chrono::steady_clock::time_point> blocked_until = {};  ///< a server asked to wait
  std::size_t unanswered = 0;                                               ///< sent; only counted to learn
};

/// What rate_limiter::try_take says: taken, or how long to wait.
struct rate_limit_take {
  std::uint64_t ticket = 0;          ///< what the request is called from now on; 0: it was not taken
  std::chrono::nanoseconds wait{0};  ///< before asking again

  [[nodiscard]] explicit constexpr operator bool() const noexcept { return ticket != 0; }
  friend constexpr bool operator==(const rate_limit_take&, const rate_limit_take&) noexcept = default;
};

/// Limits of requests and of tokens per minute for one key of one server. In any time t no more tokens are taken than
/// limit * (t + burst) / 60 s, and no more requests than limit * (t + 1 s) / 60 s, or limit * t / 60 s + 1.
///     if (const auto taken = limiter.try_take(prompt_tokens + max_tokens, now)) send(taken.ticket);
///     else wait_for(taken.wait);
/// Each ticket is closed: by answered() with the headers of an answer, else by ended(). Nothing is given back, not even
/// by failures: servers count those too.
/// Threads: one call at a time. Time comes from the caller; one that is behind counts as the latest.
/// Cost:    a take O(1), with one allocation while it learns; an answer that reports limits is linear in the requests
///          that were sent after its own and are unanswered.
class rate_limiter {
 public:
  using time_point = detail::per_minute_limit::time_point;
  using duration = detail::per_minute_limit::duration;

  /// Throws error (invalid_option) for options that are none.
  explicit rate_limiter(const rate_limit_options& options = {})
      : options_{checked(options)},
        requests_{options.requests_per_minute, options.burst, longest_of_requests},
        tokens_{options.tokens_per_minute, options.burst, rate_limit_options::unlimited} {}

  /// Takes a request of so many tokens, prompt and longest answer, or says how long it has to wait: asking again then
  /// succeeds, if nobody else took and no answer came in between; after an answer it may be sooner.
  /// One of more tokens than a server says it ever lets through waits until all of them are there, and goes: it is for
  /// the server to refuse. Throws error (invalid_argument) for one of more than what is set lets through, ever.
  [[nodiscard]] rate_limit_take try_take(token_count tokens, time_point now) {
    const auto need = static_cast<double>(std::max<token_count>(tokens, 0));
    if (need > tokens_.own_capacity()) refuse(tokens);
    const duration wait = std::max({requests_.wait(1, now), tokens_.wait(need, now), blocked_for(now)});
    if (wait > duration{0}) return {.wait = wait};
    const std::uint64_t ticket = ++latest_;
    if (options_.learn) unanswered_.emplace_hint(unanswered_.end(), ticket, sent_request{now, need});
    requests_.take(1, now);
    tokens_.take(need, now);
    return {.ticket = ticket};
  }

  /// An answer of any status came, with these headers. Whether a server counts when a request comes or when its answer
  /// goes is not known. So there is what it says, or that with the time since and without what was sent later and is
  /// unanswered, whichever is less. It can be more than was thought, if no request that was sent later has an answer.
  void answered(std::uint64_t ticket, const rate_limit_report& report, time_point now) noexcept {
    const auto found = unanswered_.find(ticket);
    if (found == unanswered_.end()) return;
    const time_point sent = found->second.at;
    const auto later = unanswered_.erase(found);
    if (report.empty()) return;
    const bool newest = ticket > newest_answered_;
    newest_answered_ = std::max(newest_answered_, ticket);
    const auto learn = [&](detail::per_minute_limit& limit, const rate_limit_report::bucket& said, auto need_of) {
      limit.learn(said, now);
      if (!said.remaining) return;
      auto server = limit.servers_bucket(*said.remaining, sent);
      for (auto each = later; each != unanswered_.end(); ++each) server.take(need_of(each->second), each->second.at);
      limit.correct(std::min(*said.remaining, server.level_at(now)), newest, now);
    };
    learn(requests_, report.requests, [](const sent_request&) { return 1.0; });
    learn(tokens_, report.tokens, [](const sent_request& request) { return request.tokens; });
  }
  /// The server refused it with 429: when it said for how long, what is there is lost, and nothing is taken before
  /// that; at most for 1 h. Comes after answered(), if the refusal had headers of limits. Holds without `learn` too.
  void refused(std::uint64_t ticket, std::optional<std::chrono::milliseconds> hint, time_point now) noexcept {
    ended(ticket);
    if (!hint || hint->count() <= 0) return;
    const auto until = now + std::min<std::chrono::milliseconds>(*hint, longest_hint);
    blocked_until_ = std::max(blocked_until_.value_or(until), until);
    requests_.lower(0, now);
    tokens_.lower(0, now);
  }
  /// It ended in another way: no answer, or none that reports limits.
  void ended(std::uint64_t ticket) noexcept { unanswered_.erase(ticket); }

  [[nodiscard]] rate_limit_status status(time_point now) const noexcept {
    const auto of = [now](const detail::per_minute_limit& one) noexcept {
      return rate_limit_status::bucket{one.per_minute(), one.capacity(), one.level_at(now), one.is_learned()};
    };
    return {.requests = of(requests_),
            .tokens = of(tokens_),
            .blocked_until = blocked_for(now) > duration{0} ? blocked_until_ : std::nullopt,
            .unanswered = unanswered_.size()};
  }
  [[nodiscard]] const rate_limit_options& options() const noexcept { return options_; }

 private:
  static constexpr double longest_of_requests = 1;  // seconds
  static constexpr std::chrono::hours longest_hint{1};

  [[nodiscard]] static const rate_limit_options& checked(const rate_limit_options& options) {
    options.validate();
    return options;
  }
  [[noreturn]] void refuse(token_count tokens) const {
    const auto whole = [](double value) { return std::to_string(static_cast<std::int64_t>(value)); };
    throw error{errc::invalid_argument, "rate_limit: the request is for " + std::to_string(tokens) +
                                            " tokens, its prompt and max_tokens; tokens_per_minute of " +
                                            whole(options_.tokens_per_minute) + " never lets more than " +
                                            whole(tokens_.own_capacity()) +
                                            " through at once; lower max_tokens, or raise tokens_per_minute or burst"};
  }
  [[nodiscard]] duration blocked_for(time_point now) const noexcept {
    return blocked_until_ && *blocked_until_ > now ? *blocked_until_ - now : duration{0};
  }

  struct sent_request {
    time_point at;
    double tokens;
  };

  rate_limit_options options_;
  detail::per_minute_limit requests_;
  detail::per_minute_limit tokens_;
  std::optional<time_point> blocked_until_;
  std::uint64_t latest_ = 0;                          // ticket
  std::uint64_t newest_answered_ = 0;                 // ticket of the latest request whose answer reported limits
  std::map<std::uint64_t, sent_request> unanswered_;  // by ticket; empty without learn
};

}  // namespace felix::inline v1
