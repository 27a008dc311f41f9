// SPDX-License-Identifier: MIT
// budget: which calls are worth their tokens, and how large they are to be, learned from the confidence they brought.
#pragma once

#include <felix/budget/role_id.hpp>
#include <felix/error.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <compare>
#include <cstddef>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace felix::inline v1 {

/// A call that the rest of a session may still make, at the size that it would have without adapting.
struct possible_call {
  role_id role = {};
  double depth = 0;               ///< of its agent, 0 at the top of the helix to 1 at the bottom
  token_count base_tokens = 0;    ///< of its answer
  token_count prompt_tokens = 0;  ///< as planned
  token_count min_tokens = 1;     ///< fewer answer tokens are no call
  token_count max_tokens = 0;     ///< what the ledger would grant: no call is sized above it
};

/// Calls that are alike: of one role, in one third of the helix, and as often repeated in the session.
struct call_kind {
  role_id role = {};
  int third = 0;       ///< 0 down to depth 0.3, 1 to 0.7, 2 to the bottom
  int repetition = 0;  ///< 0 for the first; from 15 on all are alike
  friend constexpr auto operator<=>(const call_kind&, const call_kind&) noexcept = default;
};

/// What calls of one kind have brought and cost, older ones at a discount: plain numbers, to be kept across sessions.
struct call_record {
  call_kind kind = {};
  double confidence = 0;  ///< gained, in sum
  double tokens = 0;      ///< spent, prompts included
};

/// Why a call runs or does not.
enum class funding_reason : unsigned char {
  worth_it,    ///< among the calls that bring most for what is left
  floor,       ///< it runs whatever it is worth: a role's first call, or the role has been skipped three times in a row
  worth_less,  ///< what is left goes to calls that bring more, and to floors
  too_dear     ///< what is left does not pay for its prompt and the smallest answer
};

/// What is proposed for the call at hand. The ledger decides.
struct call_funding {
  token_count tokens = 0;  ///< of the answer; 0: skip it
  funding_reason reason = funding_reason::too_dear;
  call_kind kind = {};     ///< what started() and learn() want back
  double worth = 0;        ///< confidence per token that is expected of it
  double water_level = 0;  ///< the least worth that is funded without a floor; 0 when nothing is
};

/// Moves tokens to the roles and depths where confidence per token is best, within the same caps. It decides first whether
/// a call runs, then how large it is: every call pays its prompt, so that to leave out the right ones gains much more than
/// sizes do. What a call that is left out would have cost is there for the others.
///     felix::adaptive_allotment adaptive{kept_from_last_session};
///     auto call = adaptive.fund(still_possible, left);     // still_possible.front() is the call at hand
///     if (call.tokens == 0) adaptive.skipped(call.kind);   // else reserve that many; the ledger decides, and then
///     adaptive.started(call.kind);
///     adaptive.learn(call.kind, confidence_gained, usage.total_tokens);  // when it has answered
/// It believes that a repetition brings less until it has seen otherwise. Simulated with the stages of the ready-made teams,
/// under a cap for half of them, that gains a third to a half of the confidence (medium, complex; simple 4 to 18 %). Where
/// repetitions bring as much as first calls it gains a tenth at most, and under a cap for a quarter of the stages its
/// floors cost a tenth or more in simple and medium teams.
/// The same calls in the same order give the same numbers, on every machine.
/// Threads: none of its own; the owner guards it. A value: a copy goes on by itself.
/// Cost:    fund allocates, and takes O(calls log calls) and the square of the kinds; the others are logarithmic in the
///          kinds seen.
class adaptive_allotment {
 public:
  adaptive_allotment() = default;
  /// Goes on from what former sessions have learned. Throws error (invalid_argument) for a record that none can have.
  explicit adaptive_allotment(std::span<const call_record> learned) {
    for (const auto& [kind, confidence, tokens] : learned) {
      const bool has_numbers = confidence >= 0 && confidence <= highest && tokens >= 0 && tokens <= highest;
      if (!has_numbers || kind.third < 0 || kind.third > 2 || kind.repetition < 0 || kind.repetition > last_repetition)
        throw error{errc::invalid_argument, "adaptive_allotment: a record of role \"" + std::string{kind.role.name()} +
                                                "\" is damaged; leave it out, and it is learned again"};
      seen_[kind] = {confidence, tokens};
    }
  }

  /// What has been learned, in the order of the kinds.
  [[nodiscard]] std::vector<call_record> learned() const {
    std::vector<call_record> records;
    for (const auto& [kind, sum] : seen_) records.push_back({kind, sum.gained, sum.spent});
    return records;
  }

  /// Proposes whether and how large the first of `calls` runs, when all of them share `tokens_left`: without what is set
  /// aside for the final text. All that is funded costs no more than that, prompts as planned.
  [[nodiscard]] inline call_funding fund(std::span<const possible_call> calls, token_count tokens_left) const;

  /// The call is on its way.
  void started(const call_kind& kind) {
    ++runs_[arm_of(kind)];
    roles_[kind.role] = {.has_run = true};
  }
  /// The call was left out: it was not funded, or the ledger refused it.
  void skipped(const call_kind& kind) {
    int& in_a_row = roles_[kind.role].skips;
    in_a_row = std::min(in_a_row + 1, most_skips);
  }
  /// What a call has gained, from 0 to 1, and cost with its prompt. In the order in which answers are settled. One that
  /// cost nothing teaches nothing.
  void learn(const call_kind& kind, double confidence_gained, token_count tokens_spent) {
    if (tokens_spent <= 0) return;
    sums& known = seen_[kind];
    // fma, here and below: one rounding on every machine, where a + b * c would have one or two, as the compiler likes.
    known.gained = std::fma(known.gained, discount, confidence_gained > 0 ? std::min(confidence_gained, 1.0) : 0.0);
    known.spent = std::fma(known.spent, discount, as_double(bounded(tokens_spent)));
  }

 private:
  struct sums {
    double gained = 0;
    double spent = 0;
  };
  struct role_state {
    bool has_run = false;
    int skips = 0;  // in a row
  };
  struct candidate {
    std::size_t index = 0;  // among the calls
    call_kind kind = {};
    double worth = 0;
    token_count size = 0, prompt = 0, min = 0, max = 0;
    bool is_floor = false;

    [[nodiscard]] token_count scaled(token_count factor) const noexcept {
      return std::clamp(size * factor / one, min, max);
    }
  };

  static constexpr double discount = 0.97;                    // of what is known, with each answer of the kind
  static constexpr double repetition_fades = 0.7;             // what a repetition is thought to bring of the one before
  static constexpr double first_gain = 1.4, first_calls = 4;  // as if four calls had gained 0.35 each
  // How many tokens of evidence weigh as much as what is believed beforehand.
  static constexpr double repetition_weight = 1'500, arm_weight = 800, kind_weight = 500;
  static constexpr int last_repetition = 15;
  static constexpr int most_skips = 3;
  static constexpr token_count one = 1'024;  // factors are integers in units of 1 / 1,024
  static constexpr token_count most_scaled = 6 * one;
  static constexpr double highest = 1e15;

  // No count is above this, whatever a caller says: the sums of a session do not overflow.
  [[nodiscard]] static constexpr token_count bounded(token_count tokens) noexcept {
    return std::clamp<token_count>(tokens, 0, token_count{1} << 40);
  }
  [[nodiscard]] static constexpr double as_double(token_count n) noexcept { return static_cast<double>(n); }
  [[nodiscard]] static int third_of(double depth) noexcept { return depth > 0.7 ? 2 : depth > 0.3 ? 1 : 0; }
  [[nodiscard]] static call_kind arm_of(call_kind kind) noexcept {
    kind.repetition = 0;
    return kind;
  }

  /// Gain per token: what was seen, and `weight` tokens of what is believed.
  [[nodiscard]] static double rate(const sums& seen, double belief, double weight) noexcept {
    return std::fma(belief, weight, seen.gained) / (seen.spent + weight);
  }
  template <class Predicate>
  [[nodiscard]] sums sum_if(Predicate&& counts) const {
    sums all;
    for (const auto& [kind, sum] : seen_) {
      if (!counts(kind)) continue;
      all.gained += sum.gained;
      all.spent += sum.spent;
    }
    return all;
  }
  /// What a call of the kind is thought to gain per token, given what all calls do: a repetition and an arm each apart from
  /// the rest, then both together.
  [[nodiscard]] double worth_of(const call_kind& kind, double overall) const {
    double faded = overall;
    for (int i = 0; i < kind.repetition; ++i) faded *= repetition_fades;
    const auto is_repetition = [&](const call_kind& other) { return other.repetition == kind.repetition; };
    const auto is_arm = [&](const call_kind& other) { return arm_of(other) == arm_of(kind); };
    const double repetition = rate(sum_if(is_repetition), faded, repetition_weight);
    const double arm = rate(sum_if(is_arm), overall, arm_weight);
    const auto known = seen_.find(kind);
    return rate(known != seen_.end() ? known->second : sums{}, repetition * arm / overall, kind_weight);
  }

  inline std::vector<candidate> rated(std::span<const possible_call> calls) const;
  inline void mark_floors(std::vector<candidate>& candidates) const;

  std::map<call_kind, sums> seen_;
  std::map<call_kind, int> runs_;        // in this session, by arm
  std::map<role_id, role_state> roles_;  // in this session
};

/// All calls with their worth, and their size by it.
inline std::vector<adaptive_allotment::candidate> adaptive_allotment::rated(
    std::span<const possible_call> calls) const {
  token_count demand = 0;
  for (const auto& call : calls) demand += bounded(call.base_tokens) + bounded(call.prompt_tokens);
  const double usual = std::max(1.0, as_double(demand) / static_cast<double>(calls.size()));
  const sums all = sum_if([](const call_kind&) { return true; });
  const double overall = (all.gained + first_gain) / (all.spent + first_calls * usual);

  std::vector<candidate> candidates;
  candidates.reserve(calls.size());
  std::map<call_kind, int> runs = runs_;
  std::map<call_kind, double> worths;
  double sum = 0;
  for (const auto& call : calls) {
    call_kind kind{.role = call.role, .third = third_of(call.depth)};
    kind.repetition = std::min(runs[kind]++, last_repetition);
    const auto [worth, is_new] = worths.try_emplace(kind, 0.0);
    if (is_new) worth->second = worth_of(kind, overall);
    candidates.push_back({.index = candidates.size(),
                          .kind = kind,
                          .worth = worth->second,
                          .prompt = bounded(call.prompt_tokens),
                          .min = std::max<token_count>(1, bounded(call.min_tokens)),
                          .max = bounded(call.max_tokens)});
    sum += candidates.back().worth;
  }
  const double mean = sum / static_cast<double>(calls.size());
  for (auto& each : candidates) {
    // Returns are concave: the square root, and at most half or double of the base, since confidence is the agents' own figure.
    const double share = std::clamp(std::sqrt(each.worth / mean), 0.5, 2.0);
    each.size = static_cast<token_count>(as_double(bounded(calls[each.index].base_tokens)) * share);
  }
  return candidates;
}

/// The first call of each role that has not run yet, or not for too long.
inline void adaptive_allotment::mark_floors(std::vector<candidate>& candidates) const {
  std::set<role_id> met;
  for (auto& each : candidates) {
    if (!met.insert(each.kind.role).second) continue;
    const auto role = roles_.find(each.kind.role);
    each.is_floor = role == roles_.end() || !role->second.has_run || role->second.skips >= most_skips;
  }
}

inline call_funding adaptive_allotment::fund(std::span<const possible_call> calls, token_count tokens_left) const {
  assert(!calls.empty() && "felix::adaptive_allotment: the first call is the one to decide");
  const token_count left = bounded(tokens_left);
  std::vector<candidate> candidates = rated(calls);
  call_funding proposed{.kind = candidates.front().kind, .worth = candidates.front().worth};
  std::erase_if(candidates,
                [&](const candidate& each) { return each.max < each.min || each.prompt + each.min > left; });
  if (candidates.empty() || candidates.front().index != 0) return proposed;
  mark_floors(candidates);
  std::sort(candidates.begin(), candidates.end(), [](const candidate& a, const candidate& b) {
    if (a.is_floor != b.is_floor) return a.is_floor;
    if (!a.is_floor && a.worth != b.worth) return a.worth > b.worth;
    return a.index < b.index;  // not left to a stable sort: clang 19 warns of the one in libstdc++ 12
  });

  std::vector<candidate> funded;
  token_count cost = 0;
  for (const auto& each : candidates) {
    // A little less than its size is enough: all are scaled afterwards. A floor is funded if it fits at all.
    const token_count least = each.is_floor ? each.min : each.scaled(one - one / 4);
    if (cost + each.prompt + least > left) {
      if (each.is_floor) continue;
      break;
    }
    cost += each.prompt + least;
    funded.push_back(each);
    if (!each.is_floor) proposed.water_level = each.worth;
  }
  const auto at_hand =
      std::find_if(funded.begin(), funded.end(), [](const candidate& each) { return each.index == 0; });
  if (at_hand == funded.end()) {
    proposed.reason = funding_reason::worth_less;
    return proposed;
  }

  const auto fits = [&](token_count factor) {
    token_count sum = 0;
    for (const auto& each : funded) sum += each.prompt + each.scaled(factor);
    return sum <= left;
  };
  token_count factor = 0, too_much = most_scaled + 1;  // at 0 each is at its minimum, which fits
  while (too_much - factor > 1) {
    const token_count middle = std::midpoint(factor, too_much);
    (fits(middle) ? factor : too_much) = middle;
  }
  proposed.tokens = at_hand->scaled(factor);
  proposed.reason = at_hand->is_floor ? funding_reason::floor : funding_reason::worth_it;
  return proposed;
}

}  // namespace felix::inline v1
