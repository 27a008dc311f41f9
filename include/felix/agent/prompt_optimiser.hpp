// SPDX-License-Identifier: MIT
// agent: which of a role's prompts to use: the one that brings most for its tokens, as far as is known, and now and then another.
#pragma once

#include <felix/agent/contribution.hpp>
#include <felix/agent/helix.hpp>  // detail::third_of
#include <felix/agent/prompt.hpp>
#include <felix/agent/prompt_score.hpp>
#include <felix/agent/random.hpp>  // detail::fnv1a
#include <felix/agent/role.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace felix::inline v1 {

/// A prompt where it is used. Prompts are told apart by their text, so that a changed one is learned anew.
struct prompt_kind {
  role_id role = {};
  int third = 0;  ///< of the helix: 0 down to depth 0.3, 1 to 0.7, 2 to the bottom
  bool final_text = false;
  std::uint64_t text = 0;  ///< its FNV-1a, as it is for a brief of that style in the middle of the third, and no task
  friend constexpr auto operator<=>(const prompt_kind&, const prompt_kind&) noexcept = default;
};

/// What a prompt has brought: numbers, to be kept across sessions.
struct prompt_record {
  prompt_kind kind = {};
  std::uint32_t answers = 0;
  double worth = 0;  ///< score per 1,000 tokens, in sum
  double best = 0;   ///< of one answer
};

namespace detail {

/// The natural logarithm of a count, the same on every machine: that of the standard library differs in its last bits.
/// n = m * 2^e with m in [1/2, 1); ln m = 2 artanh s, s = (m - 1) / (m + 1), whose series ends below 1e-16 at s^33.
[[nodiscard]] inline double log_of(std::uint64_t n) noexcept {
  int exponent = 0;
  const double m = std::frexp(static_cast<double>(n), &exponent);
  const double s = (m - 1) / (m + 1);
  double sum = 0;
  for (int k = 33; k >= 1; k -= 2) sum = std::fma(sum, s * s, 1.0 / k);
  constexpr double ln2 = 0.6931471805599453;
  return std::fma(static_cast<double>(exponent), ln2, 2 * s * sum);
}

}  // namespace detail

/// Chooses among the prompts of a role (with_variants), for each role and third of the helix apart, by UCB1: each is tried
/// once, then the one with the highest mean worth plus what it may still be worth, sqrt(2 ln n / n_i) of the best answer so far.
///     about.variant = prompts.choose(role, about);                       // the agent's request says that prompt
///     prompts.started(role, about);
///     prompts.learn(role, about, made);                                  // in the order of the view
/// Worth is prompt_score per 1,000 tokens, the prompt's included, without the time: confidence alone hardly knows the text.
/// What is not answered yet counts as tried, so that requests side by side try different prompts. The same calls in the same
/// order give the same choices, on every machine.
/// Threads: none of its own; the owner guards it. A value.
/// Cost:    each call makes the prompts of the role once.
/// See: P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time analysis of the multiarmed bandit problem", Machine Learning 47
/// (2002). Its bound is for rewards up to a known limit; here the limit is the largest reward that was seen.
class prompt_optimiser {
 public:
  prompt_optimiser() = default;
  /// Goes on from what former sessions have learned. Throws error (invalid_argument) for a record that none can have.
  explicit prompt_optimiser(std::span<const prompt_record> learned) {
    for (const auto& [kind, answers, worth, best] : learned) {
      // Also no NaN.
      const bool has_numbers = best >= 0 && best <= most_worth && worth >= best && worth <= most_worth * answers;
      if (!has_numbers || kind.third < 0 || kind.third > 2)
        throw error{errc::invalid_argument, "prompt_optimiser: a record of role \"" + std::string{kind.role.name()} +
                                                "\" is damaged; leave it out, and it is learned again"};
      arms_[kind] = {.answers = answers, .worth = worth, .best = best};
    }
  }

  /// What has been learned, in the order of the kinds.
  [[nodiscard]] std::vector<prompt_record> learned() const {
    std::vector<prompt_record> records;
    for (const auto& [kind, known] : arms_)
      if (known.answers > 0) records.push_back({kind, known.answers, known.worth, known.best});
    return records;
  }

  /// For brief::variant. A role without variants has 0 only.
  [[nodiscard]] std::size_t choose(const role& who, const brief& about) const {
    if (who.variants < 2) return 0;
    std::vector<arm> arms;
    std::uint64_t tries = 0;
    double best = 0;
    for (std::size_t variant = 0; variant < who.variants; ++variant) {
      const auto known = arms_.find(kind_of(who, about, variant));
      arms.push_back(known != arms_.end() ? known->second : arm{});
      if (arms.back().tries() == 0) return variant;
      tries += arms.back().tries();
      best = std::max(best, arms.back().best);
    }
    std::size_t chosen = 0;
    double highest = -1;
    for (std::size_t variant = 0; variant < arms.size(); ++variant) {
      const double bound = upper_bound(arms[variant], best, tries);
      if (!(bound > highest)) continue;  // of equals the first
      highest = bound;
      chosen = variant;
    }
    return chosen;
  }

  /// The request with about.variant is on its way.
  void started(const role& who, const brief& about) { ++arms_[kind_of(who, about)].pending; }
  /// It will not be answered: it failed, or was dropped.
  void failed(const role& who, const brief& about) { settle(arms_[kind_of(who, about)]); }
  /// What has come of it. One that cost nothing teaches nothing.
  void learn(const role& who, const brief& about, const contribution& made) {
    arm& used = arms_[kind_of(who, about)];
    settle(used);
    if (made.usage.total_tokens <= 0) return;
    const double worth =
        1'000 * prompt_score(measure_of(made, about.max_tokens)) / static_cast<double>(made.usage.total_tokens);
    ++used.answers;
    used.worth += worth;
    used.best = std::max(used.best, worth);
  }

 private:
  struct arm {
    std::uint32_t answers = 0;
    std::uint32_t pending = 0;
    double worth = 0;
    double best = 0;
    [[nodiscard]] std::uint64_t tries() const noexcept { return std::uint64_t{answers} + pending; }
  };
  static constexpr double most_worth = 1'000;  // a whole score for one token

  static void settle(arm& used) noexcept {
    if (used.pending > 0) --used.pending;
  }
  // What has no answer yet may be as good as the best.
  static double upper_bound(const arm& each, double best, std::uint64_t tries) noexcept {
    const double mean = each.answers > 0 ? each.worth / each.answers : best;
    const double scale = best > 0 ? best : 1;  // while nothing has brought anything, all are tried in turn
    return std::fma(scale, std::sqrt(2 * detail::log_of(tries) / static_cast<double>(each.tries())), mean);
  }
  static prompt_kind kind_of(const role& who, const brief& about) { return kind_of(who, about, about.variant); }
  static prompt_kind kind_of(const role& who, const brief& about, std::size_t variant) {
    constexpr std::array<double, 3> middle{0.15, 0.5, 0.85};
    const int third = detail::third_of(about.depth);
    brief sample;
    sample.depth = middle[static_cast<std::size_t>(third)];
    sample.style = about.style;
    sample.final_text = about.final_text;
    sample.variant = variant;
    return {who.name, third, about.final_text, detail::fnv1a(who.prompt(sample))};
  }

  std::map<prompt_kind, arm> arms_;
};

}  // namespace felix::inline v1
