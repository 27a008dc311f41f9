// SPDX-License-Identifier: MIT
// llm: a limit that finds out how many slots a server has, from who had to wait.
#pragma once

#include <felix/error.hpp>
#include <felix/llm/detail/expected_prefill.hpp>
#include <felix/llm/detail/token_pace.hpp>
#include <felix/llm/detail/wait_evidence.hpp>
#include <felix/llm/limit_policy.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace felix::inline v1 {

struct gradient_limit_options {
  std::size_t initial = 0;  ///< the slots that the server declares; 0: unknown, found from `min` upwards
  std::size_t min = 1;      ///< never fewer; at least 1
  std::size_t max = 64;     ///< never more; at most 1,024
  /// How many times slower than alone a request may get by the others, where the server shows no slots: the price of a
  /// neighbour. Where a token's time grows linearly, 2 gives half of the server's highest throughput, 3 two thirds, 5 four
  /// fifths, 10 nine tenths. Above 1, at most 1,000.
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
/// It rises only while all that it allows is used. An answer that was not streamed tells nothing without its queue time:
/// for those alone declare `initial`.
/// Overdue requests are seen to at the next event of any kind: there are no timers.
/// Threads:  one call at a time.
/// Cost:     linear in the requests in flight; no allocation once as many have been.
class gradient_limit final : public limit_policy {
 public:
  /// Throws error (invalid_option) for options that are none.
  explicit gradient_limit(const gradient_limit_options& options = {})
      : options_{valid(options)},
        limit_{options.initial != 0 ? options.initial : options.min},
        proven_{options.initial},
        phase_{options.initial != 0 ? phase::hold : phase::ramp},
        pace_{options.max} {}

  [[nodiscard]] std::size_t limit() const noexcept override { return limit_; }

  void sent(std::uint64_t request, token_count estimated_prompt_tokens, time_point now) override {
    pass_time(now);
    label_overdue(now);
    open_.push_back({.request = request,
                     .in_flight = open_.size() + 1,
                     .prompt_tokens = estimated_prompt_tokens,
                     .at = now,
                     .before_decrease = decreases_});
  }

  void first_token(std::uint64_t request, std::optional<duration> queued, time_point now) override {
    pass_time(now);
    if (open_request* const open = find(request); open != nullptr && !open->first) {
      streams_ = true;
      if (buffered_ > 0) --buffered_;
      open->first = now;
      open->load_at_first = load_;
      take_wait(*open, queued, now);
    }
    label_overdue(now);
  }

  void ended(std::uint64_t request, limit_outcome outcome, const token_usage& usage, std::optional<duration> queued,
             time_point now) override {
    pass_time(now);
    if (const open_request* const found = find(request)) {
      open_request ended = *found;
      open_.erase(open_.begin() + (found - open_.data()));
      if (outcome == limit_outcome::overloaded) {
        if (ended.before_decrease == decreases_) lower_for_overload();
      } else if (outcome == limit_outcome::answered) {
        answer(ended, usage, queued, now);
      }
    }
    label_overdue(now);
  }

 private:
  enum class phase : unsigned char {
    ramp,   // up from the least, as long as nobody waits
    hold,   // at the proven level, watching
    probe,  // at a higher one
    dip     // at half of it for a moment, to see how fast the server is with fewer
  };
  struct open_request {
    std::uint64_t request;
    std::size_t in_flight;  // when it was sent, itself included
    token_count prompt_tokens;
    time_point at;
    std::uint64_t before_decrease;  // how many decreases for overload there had been
    std::optional<time_point> first = {};
    double load_at_first = 0;
    std::optional<double> wait = {};
    bool overdue = false;  // its wait was labelled before it ended
  };

  static constexpr double certain = 2.9444389791664403;  // ln 19: one error in twenty
  static constexpr double queue_that_counts = 0.4;       // requests
  static constexpr std::size_t labels_between_probes = 16;
  static constexpr std::size_t most_labels_between_probes = 64;

  static const gradient_limit_options& valid(const gradient_limit_options& options) {
    options.validate();
    return options;
  }
  [[nodiscard]] static double seconds(duration time) noexcept { return std::chrono::duration<double>{time}.count(); }

  [[nodiscard]] open_request* find(std::uint64_t request) noexcept {
    const auto found = std::lower_bound(open_.begin(), open_.end(), request,
                                        [](const open_request& open, std::uint64_t id) { return open.request < id; });
    return found != open_.end() && found->request == request ? &*found : nullptr;
  }
  void pass_time(time_point now) noexcept {
    if (latest_) load_ += seconds(now - *latest_) * static_cast<double>(open_.size());
    latest_ = now;
  }

  // What a request tells.

  [[nodiscard]] double expected_prefill_of(const open_request& open) const noexcept {
    return prefill_.of(open.prompt_tokens, pace_.slowdown(limit_));
  }
  void take_wait(open_request& open, std::optional<duration> queued, time_point now) {
    if (queued) {
      shows_queue_ = true;
      const double wait = std::max(0.0, seconds(*queued));
      least_wait_ = least_wait_ ? std::min(1.02 * *least_wait_, wait) : wait;
      open.wait = wait - *least_wait_;
    } else if (!shows_queue_) {
      const double time = seconds(now - open.at);
      open.wait = prefill_.known() ? std::max(0.0, time - expected_prefill_of(open)) : 0;
    } else {
      return;
    }
    if (open.overdue)
      waits_.correct(*open.wait);
    else
      label(*open.wait, open.in_flight);
  }

  void answer(open_request& ended, const token_usage& usage, std::optional<duration> queued, time_point now) {
    if (!ended.first) {
      buffered_ = 64;
      if (queued) take_wait(ended, queued, now);
    }
    if (ended.wait) {
      const double service = std::max(seconds(now - ended.at) - *ended.wait, 0.001);
      service_ += (service - service_) * (service_ > 0 ? 0.1 : 1);
    }
    if (phase_ != phase::dip) ++answers_since_dip_;
    if (!ended.first) return;

    const double slowdown = pace_.slowdown(limit_);
    const double until_first = seconds(*ended.first - ended.at) - (shows_queue_ ? ended.wait.value_or(0) : 0);
    prefill_.add(ended.prompt_tokens, usage, std::max(until_first, 0.0), slowdown);
    const double streamed = seconds(now - *ended.first);
    if (usage.completion_tokens > 8 && streamed > 0) {
      const auto in_flight = static_cast<std::size_t>(std::lround((load_ - ended.load_at_first) / streamed));
      const double per_token = streamed / static_cast<double>(usage.completion_tokens - 1);
      pace_.add(in_flight, per_token);
      if (reads_pace()) read_pace(in_flight);
    }
    if (phase_ == phase::hold && slowness_binds_ && answers_since_dip_ >= 200 && limit_ > options_.min) {
      answers_since_dip_ = 0;
      go_to(std::max(limit_ / 2, options_.min), phase::dip);
    }
  }

  /// A request that is overdue counts before it is answered, or a full server would be noticed an answer too late. One
  /// that is not streamed looks the same, so this waits until all are.
  void label_overdue(time_point now) {
    if (!streams_ || buffered_ > 0) return;
    for (auto& open : open_) {
      if (open.first || open.overdue || (phase_ != phase::ramp && open.in_flight != limit_)) continue;
      const double wait = seconds(now - open.at) - expected_prefill_of(open);
      if (wait <= longest_in_time(open)) continue;
      open.overdue = true;
      const std::size_t before = limit_;
      label(wait, open.in_flight);
      if (limit_ != before) return;
    }
  }
  [[nodiscard]] double longest_in_time(const open_request& open) const noexcept {
    constexpr double never = 1e9;
    if (phase_ == phase::ramp) return open.in_flight > proven_ ? 4 * ramp_bound() : never;
    if (phase_ == phase::dip || service_ <= 0) return never;
    const double noise = noise_.mean() + (shows_queue_ ? prefill_.error() : 0);  // else it is in the waits already
    return 1.5 * headway(open.in_flight) + 4 * noise;
  }

  // What is made of it.

  [[nodiscard]] double headway(std::size_t in_flight) const noexcept {
    return service_ / static_cast<double>(in_flight);
  }
  [[nodiscard]] double ramp_bound() const noexcept { return std::max(0.050, 8 * noise_.mean()); }
  void learn_noise(double wait, std::size_t in_flight) noexcept {
    noise_.add(wait, service_ > 0 ? headway(in_flight) : ramp_bound(), shows_queue_ ? 0 : 0.25 * prefill_.mean());
  }

  void label(double wait, std::size_t in_flight) {
    if (phase_ == phase::ramp) return label_in_ramp(wait, in_flight);
    if (in_flight != limit_) return;
    if (phase_ == phase::dip || service_ <= 0) return learn_noise(wait, in_flight);
    waits_.add(wait);
    const double evidence = queue_evidence_of(wait, in_flight);
    const double queue = waits_.waiting(limit_, noise_.mean(), service_);
    if (phase_ == phase::hold)
      label_in_hold(wait, evidence, queue);
    else
      label_in_probe(evidence, queue);
  }
  [[nodiscard]] double queue_evidence_of(double wait, std::size_t in_flight) const noexcept {
    return detail::queue_evidence(wait, noise_.mean(), headway(in_flight));
  }

  void label_in_ramp(double wait, std::size_t in_flight) {
    if (in_flight > proven_ && wait > ramp_bound()) {
      proven_ = std::max(proven_, in_flight - 1);
      return hold(proven_, 1);
    }
    if (in_flight != limit_) return;
    proven_ = limit_;
    learn_noise(wait, in_flight);
    if (shows_queue_) ramp_on(limit_ + 1);
  }
  void ramp_on(std::size_t next) {
    if (limit_ == options_.max)
      hold(limit_, labels_between_probes);
    else
      go_to(next, phase::ramp);
  }

  void label_in_hold(double wait, double evidence, double queue) {
    if (queued_ == 0) noise_before_ = noise_;
    queued_ = std::max(0.0, queued_ + evidence);
    if (queued_ >= 1.5 * certain) {
      if (queue >= queue_that_counts && limit_ > options_.min) {
        const double left = static_cast<double>(limit_) - queue;
        slowness_binds_ = false;
        step_ = 1;
        noise_ = noise_before_;  // what was learned since was a queue
        return hold(std::min(limit_ - 1, static_cast<std::size_t>(std::lround(std::max(left, 1.0)))),
                    labels_between_probes);
      }
      queued_ = 0;
      if (queue < queue_that_counts) noise_.widen(1.5, waits_.mean());
    }
    if (queued_ == 0 || noise_.known()) learn_noise(wait, limit_);  // at first a queue could pass for noise
    if (until_probe_ > 0) --until_probe_;
    if (until_probe_ == 0 && limit_ < options_.max) go_to(limit_ + step_, phase::probe);
  }

  void label_in_probe(double evidence, double queue) {
    probed_ += evidence;
    if (probed_ >= certain) {
      if (queue >= queue_that_counts || waits_.count() >= 12) return refuse_probe();
      probed_ = 0;
      noise_.widen(1.3, waits_.mean());
    }
    if (probed_ <= -certain && may_rise()) accept_probe();
  }
  void refuse_probe() {
    const bool far = limit_ - proven_ > std::max<std::size_t>(1, proven_ / 8);
    step_ = 1;
    hold(proven_, far ? 4 : std::clamp<std::size_t>(2 * interval_, labels_between_probes, most_labels_between_probes));
  }
  void accept_probe() {
    proven_ = limit_;
    slowness_binds_ = false;
    step_ = std::min(2 * step_, limit_);
    interval_ = labels_between_probes;
    if (limit_ == options_.max)
      hold(limit_, labels_between_probes);
    else
      go_to(limit_ + step_, phase::probe);
  }

  void lower_for_overload() {
    ++decreases_;
    step_ = 1;
    hold(limit_ * 7 / 10, labels_between_probes);
  }

  // How slow the requests make each other.

  [[nodiscard]] bool reads_pace() const noexcept { return !shows_queue_ && options_.initial == 0; }

  /// A level that is too slow as it is now is not left upwards: two more readings decide about it.
  [[nodiscard]] bool may_rise() const noexcept {
    return !reads_pace() || (readings_ >= 2 && pace_.slowdown(limit_) <= options_.slowdown);
  }
  void read_pace(std::size_t in_flight) {
    if (phase_ == phase::dip) {
      if (4 * in_flight <= 3 * proven_ && ++readings_ >= 4) hold(proven_, interval_);
      return;
    }
    if (in_flight != limit_) return;
    ++readings_;
    const double slowdown = pace_.slowdown(limit_);
    const bool decides = readings_ == 4 || readings_ == 8 || readings_ == 16 || readings_ == 32 || readings_ == 64;
    if (decides && slowdown > options_.slowdown) return too_slow(slowdown);
    if (phase_ == phase::ramp && proven_ == limit_ && may_rise()) ramp_on(2 * limit_);
    if (phase_ == phase::probe && probed_ <= -certain && may_rise()) accept_probe();
  }
  void too_slow(double slowdown) {
    if (phase_ == phase::probe) {
      slowness_binds_ = true;
      refuse_probe();
      step_ = std::max<std::size_t>(1, limit_ / 8);
    } else if (phase_ == phase::ramp || slowdown > 1.1 * options_.slowdown) {
      slowness_binds_ = true;
      step_ = 1;
      hold(std::min(limit_ - 1, detail::level_of_slowdown(limit_, slowdown, options_.slowdown)),
           labels_between_probes);
    }
  }

  // Where the limit goes.

  void hold(std::size_t level, std::size_t labels) {
    interval_ = labels;
    until_probe_ = labels;
    go_to(level, phase::hold);
    proven_ = limit_;
  }
  void go_to(std::size_t level, phase next) {
    phase_ = next;
    limit_ = std::clamp(level, options_.min, options_.max);
    waits_ = {};
    queued_ = 0;
    probed_ = 0;
    readings_ = 0;
  }

  gradient_limit_options options_;
  std::size_t limit_;
  std::size_t proven_;  // the last level where nobody waits, as far as is known
  phase phase_;
  std::size_t until_probe_ = labels_between_probes;  // labels
  std::size_t interval_ = labels_between_probes;     // what until_probe_ began with
  std::size_t step_ = 1;                             // of the next probe

  detail::wait_noise noise_;
  detail::wait_noise noise_before_;  // as it was when the evidence for a queue began
  detail::expected_prefill prefill_;
  detail::token_pace pace_;
  double service_ = 0;  // mean time of a request but for its wait; 0: unknown
  bool shows_queue_ = false;
  std::optional<double> least_wait_;  // as the server shows it

  // Of the present level.
  detail::level_wait waits_;
  double queued_ = 0;         // evidence that the proven level is too high
  double probed_ = 0;         // evidence that the probed level is, or below 0 that it is not
  std::size_t readings_ = 0;  // of the time that a token takes

  bool slowness_binds_ = false;
  std::size_t answers_since_dip_ = 0;
  std::uint64_t decreases_ = 0;  // for overload
  bool streams_ = false;
  std::size_t buffered_ = 0;  // how many streamed answers until the last one that was not is forgotten

  std::vector<open_request> open_;  // in the order of sending
  std::optional<time_point> latest_;
  double load_ = 0;  // requests in flight times seconds
};

}  // namespace felix::inline v1
