// SPDX-License-Identifier: MIT
// Tests: a model server with so many slots and a queue, simulated, and a client that a limit holds back.
#pragma once

#include <felix/llm/limit_policy.hpp>
#include <felix/random.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

namespace felix::test {

/// Times are in seconds. Lengths of prompts and answers are lognormal.
struct slot_server_options {
  std::size_t slots = 4;
  double token_time = 0.020;  // of a request that is alone
  double slowed_by = 0.05;    // by each other one, as a share of token_time
  double prompt_tokens = 250;
  double prompt_tokens_per_second = 1'500;
  bool prompts_slowed = false;  // by the other requests, as the answers are
  double answer_tokens = 120;
  double spread = 0.7;
  double latency = 0;     // of the way there and back
  double jitter = 0.005;  // mean of an exponential, before each first token
  double spikes = 0.01;   // share of the requests whose first token is late by another 50 to 400 ms
  bool shows_queue = true;
  std::size_t others = 0;  // requests of another client that are there all the time
};

/// What a client has seen that kept a server at work.
struct slot_server_report {
  double limit = 0;  // means over the second half of the answers, weighed by time
  double busy = 0;   // share of the slots
  double queue = 0;  // of the client's requests, in the server
  double seconds = 0;
  std::size_t most_in_flight = 0;
  std::size_t least_limit = std::numeric_limits<std::size_t>::max();
  std::size_t most_limit = 0;
  std::vector<std::size_t> limits;  // after each answer

  /// How many answers it took from `begin` until the limit was in [low, high] and stayed.
  [[nodiscard]] std::size_t settled(std::size_t low, std::size_t high, std::size_t begin = 0) const noexcept {
    std::size_t last = limits.size();
    while (last > begin && limits[last - 1] >= low && limits[last - 1] <= high) --last;
    return last - begin;
  }
};

/// One server and one client. A slot takes the request that came first, reads its prompt, and writes its answer; all
/// slots in use slow each other down.
class slot_server {
 public:
  using time_point = limit_policy::time_point;

  slot_server(const slot_server_options& options, std::uint64_t seed) : options_{options}, random_{seed} {
    for (std::size_t i = 0; i < options_.others; ++i) arrive(job{.ours = false});
  }

  /// How many requests the client has to send, the ones in flight included; called with the number of answers so far.
  std::function<std::size_t(std::size_t)> demand = [](std::size_t) { return std::numeric_limits<std::size_t>::max(); };
  /// How many slots there are, by the number of answers so far; none: as in the options.
  std::function<std::size_t(std::size_t)> slots;

  /// Until so many answers have come, the means over those after the first `from`.
  slot_server_report run(limit_policy& limit, std::size_t answers, std::size_t from) {
    slot_server_report report;
    double begin = 0;
    while (report.limits.size() < answers) {
      if (slots) options_.slots = slots(report.limits.size());
      start_queued();
      for (; in_flight_ < limit.limit() && in_flight_ < demand(report.limits.size()); ++in_flight_) send(limit);
      note_limit(report, limit);
      const std::size_t level = limit.limit();
      const double before = now_;
      const auto waiting = std::count_if(queue_.begin(), queue_.end(), [](const job& each) { return each.ours; });
      const double busy = static_cast<double>(running_.size()) / static_cast<double>(options_.slots);
      step(limit, report);
      note_limit(report, limit);
      if (report.limits.size() < from) {
        begin = now_;
        continue;
      }
      report.limit += (now_ - before) * static_cast<double>(level);
      report.queue += (now_ - before) * static_cast<double>(waiting);
      report.busy += (now_ - before) * busy;
    }
    for (double* mean : {&report.limit, &report.queue, &report.busy}) *mean /= now_ - begin;
    report.seconds = now_;
    return report;
  }
  slot_server_report run(limit_policy& limit, std::size_t answers) { return run(limit, answers, answers / 2); }

 private:
  static constexpr double never = std::numeric_limits<double>::infinity();

  struct job {
    bool ours = true;
    std::uint64_t id = 0;
    double prompt = 0;
    double answer = 0;
    double arrived = 0;
    double started = 0;
    double read_at = never;   // when its prompt is read
    double first_at = never;  // the same for its first token, but on the clock of the work
    double ends_at = never;
    bool first = false;
    double seen_first = 0;
  };
  struct delivery {
    double at;
    bool end;
    job of;
  };

  double normal() {
    const double angle = random_.uniform(0, 6.283185307179586);
    return std::sqrt(-2 * std::log(random_.uniform(1e-12, 1))) * std::cos(angle);
  }
  double lognormal(double median) { return median * std::exp(options_.spread * normal()); }
  double lateness() {
    double late = options_.latency - options_.jitter * std::log(random_.uniform(1e-12, 1));
    if (random_.uniform(0, 1) < options_.spikes) late += random_.uniform(0.050, 0.400);
    return late;
  }
  [[nodiscard]] time_point clock() const {
    return time_point{std::chrono::duration_cast<limit_policy::duration>(std::chrono::duration<double>{now_ + 1'000})};
  }

  void send(limit_policy& limit) {
    job made{.id = ++sent_};
    arrive(made);
    limit.sent(made.id, static_cast<token_count>(latest_prompt_), clock());
    start_queued();
  }
  void arrive(job each) {
    each.prompt = latest_prompt_ = std::max(1.0, std::round(lognormal(options_.prompt_tokens)));
    each.answer = std::max(2.0, std::round(lognormal(options_.answer_tokens)));
    each.arrived = now_;
    queue_.push_back(each);
  }
  void start_queued() {
    while (!queue_.empty() && running_.size() < options_.slots) {
      job each = queue_.front();
      queue_.pop_front();
      each.started = now_;
      const double reading = each.prompt / options_.prompt_tokens_per_second;
      if (options_.prompts_slowed)
        each.first_at = work_ + reading / options_.token_time + 1;
      else
        each.read_at = now_ + reading;
      running_.push_back(each);
    }
  }

  /// To the next thing that happens, at the server or at the client.
  void step(limit_policy& limit, slot_server_report& report) {
    const double pace = options_.token_time *
                        (1 + options_.slowed_by * (static_cast<double>(std::max<std::size_t>(running_.size(), 1)) - 1));
    const auto due = [&](const job& each) {
      if (each.read_at != never) return each.read_at;
      return now_ + ((each.first ? each.ends_at : each.first_at) - work_) * pace;
    };
    const auto next =
        std::min_element(running_.begin(), running_.end(), [&](const job& a, const job& b) { return due(a) < due(b); });
    const auto seen = std::min_element(deliveries_.begin(), deliveries_.end(),
                                       [](const delivery& a, const delivery& b) { return a.at < b.at; });
    const double at_server = next == running_.end() ? never : std::max(due(*next), now_);
    if (seen != deliveries_.end() && seen->at <= at_server) {
      const delivery each = *seen;
      *seen = deliveries_.back();
      deliveries_.pop_back();
      pass(each.at, pace);
      deliver(each, limit, report);
      return;
    }
    pass(at_server, pace);
    if (next->read_at != never) {
      next->read_at = never;
      next->first_at = work_ + 1;
      return;
    }
    if (!next->first) {
      next->first = true;
      next->ends_at = work_ + next->answer - 1;
      next->seen_first = now_ + lateness();
      if (next->ours) deliveries_.push_back({next->seen_first, false, *next});
      return;
    }
    const job ended = *next;
    running_.erase(next);
    if (ended.ours)
      deliveries_.push_back({std::max(now_, ended.seen_first + 1e-6), true, ended});
    else
      arrive(job{.ours = false});
    start_queued();
  }
  void pass(double until, double pace) {
    work_ += (until - now_) / pace;
    now_ = until;
  }

  void deliver(const delivery& each, limit_policy& limit, slot_server_report& report) {
    const job& of = each.of;
    if (!each.end) {
      std::optional<limit_policy::duration> queued;
      if (options_.shows_queue) {  // headers leave with the next token of the others
        const double wait = of.started - of.arrived + lateness() + random_.uniform(0, options_.token_time);
        queued = std::chrono::duration_cast<limit_policy::duration>(
            std::chrono::duration<double>{std::min(wait, each.at - of.arrived)});
      }
      limit.first_token(of.id, queued, clock());
      return;
    }
    const auto prompt = static_cast<token_count>(of.prompt);
    const auto answer = static_cast<token_count>(of.answer);
    --in_flight_;
    limit.ended(of.id, limit_outcome::answered,
                {.prompt_tokens = prompt, .completion_tokens = answer, .total_tokens = prompt + answer}, std::nullopt,
                clock());
    report.limits.push_back(limit.limit());
  }
  void note_limit(slot_server_report& report, const limit_policy& limit) const {
    report.most_in_flight = std::max(report.most_in_flight, in_flight_);
    report.least_limit = std::min(report.least_limit, limit.limit());
    report.most_limit = std::max(report.most_limit, limit.limit());
  }

  slot_server_options options_;
  seeded_random random_;
  double now_ = 0;
  double work_ = 0;  // tokens that each slot in use has written since the start
  std::uint64_t sent_ = 0;
  std::size_t in_flight_ = 0;
  double latest_prompt_ = 0;
  std::deque<job> queue_;
  std::vector<job> running_;
  std::vector<delivery> deliveries_;
};

}  // namespace felix::test
