// SPDX-License-Identifier: MIT
// llm: a limit that finds out how many slots a server has, from who had to wait.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/detail/expected_prefill.hpp>
#include <felix/llm/detail/requests_in_flight.hpp>
#include <felix/llm/detail/slot_search.hpp>
#include <felix/llm/detail/token_pace.hpp>
#include <felix/llm/limit_policy.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace felix::inline v1 {

struct gradient_limit_options {
  std::size_t initial = 0;  ///< the slots that the server declares; 0: unknown, found from `min` upwards
  std::size_t min = 1;      ///< never fewer; at least 1
  std::size_t max = 64;     ///< never more; at most 1,024
  /// How many times slower than alone the others may make a request, where the server shows neither slots nor queue:
  /// the price of a neighbour. Where a token's time grows linearly, 2 gives half of the server's highest throughput, 3
  /// two thirds, 5 four fifths, 10 nine tenths. Above 1, at most 1,000.
  double slowdown = 3;

  /// Throws error (invalid_option) that names the field.
  void validate() const {
    const auto refuse = [](const std::string& what) { throw error{errc::invalid_option, "gradient_limit: " + what}; };
    if (min < 1) refuse("min is 0; use at least 1");
    if (max < min || max > 1'024)
      refuse("max is " + std::to_string(max) + "; use min (" + std::to_string(min) + ") to 1024");
    if (initial != 0 && (initial < min || initial > max))
      refuse("initial is " + std::to_string(initial) + "; use 0 for unknown, or min (" + std::to_string(min) +
             ") to max (" + std::to_string(max) + ")");
    if (!(slowdown > 1 && slowdown <= 1'000))
      refuse("slowdown is " + std::to_string(slowdown) + "; use a number above 1, at most 1000");
  }
};

/// Finds the slots of a server that takes requests in order. A request that was sent as the m-th in flight waits there
/// if and only if the server has fewer than m slots: how long those waited which were sent as the last that may be says
/// whether the limit is too high, and, tried with one request more now and then, whether it is too low.
/// The wait is the server's queue time where that shows. Else it is the time to the first token but for what the prompt
/// should take, and then the limit also stays where `slowdown` says, for servers that batch all they are sent.
/// It rises only while all that it allows is used. An answer that was not streamed tells nothing without its queue
/// time: where all are such, declare `initial`.
/// Overdue requests are seen to at the next event of any kind: there are no timers.
/// Threads:  one call at a time.
/// Cost:     linear in the requests in flight; no allocation once as many have been.
class gradient_limit final : public limit_policy {
 public:
  /// Throws error (invalid_option) for options that are none.
  explicit gradient_limit(const gradient_limit_options& options = {}) : search_{valid(options)}, pace_{options.max} {}

  [[nodiscard]] std::size_t limit() const noexcept override { return search_.limit(); }

  void sent(std::uint64_t request, token_count estimated_prompt_tokens, time_point now) override {
    pass_time(now);
    label_overdue(now);
    open_.add({.request = request,
               .in_flight = open_.size() + 1,
               .prompt_tokens = estimated_prompt_tokens,
               .at = now,
               .after_decreases = decreases_});
  }

  void first_token(std::uint64_t request, std::optional<duration> queued, time_point now) override {
    pass_time(now);
    if (open_request* const open = open_.find(request); open != nullptr && !open->first) {
      if (not_streamed_ > 0) --not_streamed_;
      open->first = now;
      open->load_at_first = load_;
      take_wait(*open, queued, now);
    }
    label_overdue(now);
  }

  void ended(std::uint64_t request, limit_outcome outcome, const token_usage& usage, std::optional<duration> queued,
             time_point now) override {
    pass_time(now);
    if (std::optional<open_request> ended = open_.take(request)) {
      if (outcome == limit_outcome::answered) take_answer(*ended, usage, queued, now);
      // Of those in flight at once, one tells that it was too many.
      if (outcome == limit_outcome::overloaded && ended->after_decreases == decreases_) {
        ++decreases_;
        search_.overloaded();
      }
    }
    label_overdue(now);
  }

 private:
  struct open_request {
    std::uint64_t request;
    std::size_t in_flight;  // when it was sent, itself included
    token_count prompt_tokens;
    time_point at;
    std::uint64_t after_decreases;  // for overload
    std::optional<time_point> first = {};
    double load_at_first = 0;
    std::optional<double> wait = {};
    bool overdue = false;  // its wait counted before it ended
  };
  /// Streams that are too short to be read alone are read together.
  struct streamed {
    double seconds = 0;
    double tokens = 0;  // but for the first of each
    double load = 0;
  };

  static detail::slot_search::bounds valid(const gradient_limit_options& options) {
    options.validate();
    return {.initial = options.initial, .min = options.min, .max = options.max, .slowdown = options.slowdown};
  }
  [[nodiscard]] static double seconds(duration time) noexcept { return std::chrono::duration<double>{time}.count(); }

  void pass_time(time_point now) noexcept {
    if (latest_) load_ += seconds(now - *latest_) * static_cast<double>(open_.size());
    latest_ = now;
  }
  [[nodiscard]] double slowdown() const noexcept { return pace_.slowdown(search_.limit()); }

  /// The wait is the server's queue time, less the least there is, or what the prompt does not explain.
  void take_wait(open_request& open, std::optional<duration> queued, time_point now) noexcept {
    if (queued) {
      shows_queue_ = true;
      search_.waits_are_exact();
      const double wait = std::max(0.0, seconds(*queued));
      least_wait_ = least_wait_ ? std::min(1.02 * *least_wait_, wait) : wait;
      open.wait = wait - *least_wait_;
    } else if (!shows_queue_) {
      const double expected = prefill_.of(open.prompt_tokens, slowdown());
      open.wait = prefill_.known() ? std::max(0.0, seconds(now - open.at) - expected) : 0;
    } else {
      return;
    }
    if (open.overdue)
      search_.correct(*open.wait, open.in_flight);
    else
      search_.label(*open.wait, open.in_flight);
  }

  void take_answer(open_request& ended, const token_usage& usage, std::optional<duration> queued,
                   time_point now) noexcept {
    if (!ended.first) {
      not_streamed_ = forgotten_after;
      if (queued) take_wait(ended, queued, now);
    }
    if (ended.wait) {
      search_.served(std::max(seconds(now - ended.at) - *ended.wait, 0.001));
      if (ended.first) {
        const double reading = seconds(*ended.first - ended.at) - (shows_queue_ ? *ended.wait : 0);
        prefill_.add(ended.prompt_tokens, usage, std::max(reading, 0.0), slowdown());
        search_.allow_noise(0.25 * prefill_.mean());
        read_stream(ended, usage.completion_tokens, now);
      }
    }
    search_.answered();
  }

  void read_stream(const open_request& ended, token_count tokens, time_point now) noexcept {
    if (tokens < 2) {  // slow or not, it would not show
      if (search_.reads_pace()) search_.read(open_.size() + 1, slowdown());
      return;
    }
    streamed_.seconds += seconds(now - *ended.first);
    streamed_.tokens += static_cast<double>(tokens - 1);
    streamed_.load += load_ - ended.load_at_first;
    if (streamed_.tokens < 8 || streamed_.seconds <= 0) return;
    const auto in_flight = static_cast<std::size_t>(std::lround(streamed_.load / streamed_.seconds));
    pace_.add(in_flight, streamed_.seconds / streamed_.tokens);
    streamed_ = {};
    if (search_.reads_pace()) search_.read(in_flight, slowdown());
  }

  /// A request that is overdue counts before it is answered, or a full server would show an answer too late. One that
  /// is not streamed looks the same, so this waits until all are.
  void label_overdue(time_point now) noexcept {
    if (!prefill_.known() || not_streamed_ > 0) return;
    const double margin = shows_queue_ ? prefill_.error() : 0;  // else it is a part of the noise
    for (open_request& open : open_) {
      if (open.first || open.overdue) continue;
      const double wait = seconds(now - open.at) - prefill_.of(open.prompt_tokens, slowdown());
      if (wait <= search_.patience(open.in_flight, margin)) continue;
      open.overdue = true;
      search_.label(wait, open.in_flight);
    }
  }

  static constexpr std::size_t forgotten_after = 64;  // streamed answers

  detail::slot_search search_;
  detail::expected_prefill prefill_;
  detail::token_pace pace_;
  detail::requests_in_flight<open_request> open_;
  std::optional<time_point> latest_;
  double load_ = 0;  // requests in flight times seconds
  streamed streamed_;
  bool shows_queue_ = false;
  std::optional<double> least_wait_;  // as the server shows it
  std::uint64_t decreases_ = 0;       // for overload
  std::size_t not_streamed_ = 0;      // above 0: there was an answer that was not streamed
};

}  // namespace felix::inline v1
