// SPDX-License-Identifier: MIT
// budget: sums that stay under their caps, between threads, without locks.
#pragma once

#include <felix/queue/atomics.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <limits>

namespace felix::inline v1::detail {

/// No count is above this, whatever a server reports or a caller asks for: sums of a few do not overflow.
inline constexpr token_count most_tokens = std::numeric_limits<token_count>::max() / 4;

[[nodiscard]] constexpr token_count bounded(token_count tokens) noexcept {
  return std::clamp<token_count>(tokens, 0, most_tokens);
}
[[nodiscard]] constexpr token_count bounded_sum(token_count a, token_count b) noexcept {
  return std::min(most_tokens, a + b);
}

/// Adds, and stays at most_tokens. What is real is one instruction; only numbers that no server counts take the loop, so
/// that it needs a thousand million more additions after it to overflow.
template <class Atomic>
void add_bounded(Atomic& sum, token_count more, std::memory_order order) noexcept {
  constexpr token_count real = token_count{1} << 32;
  if (more < real) {
    sum.fetch_add(more, order);
    return;
  }
  token_count seen = sum.load(std::memory_order_relaxed);
  while (!sum.compare_exchange_weak(seen, bounded_sum(seen, more), order, std::memory_order_relaxed)) {}
}

/// What is asked of a sum: something fixed (a prompt), and as much more as there is, from `least` to `wanted` (an answer).
struct sum_request {
  token_count fixed = 0;
  token_count wanted = 0;
  token_count least = 0;
  token_count covered = 0;  ///< what the one who asks holds already, and gives for it
};

/// What was granted, and what the sum holds for it.
struct sum_grant {
  token_count granted = -1;  ///< below 0: nothing
  token_count trimmed = 0;   ///< of what was covered, what the cap no longer had room for

  [[nodiscard]] explicit operator bool() const noexcept { return granted >= 0; }
  /// What the asker holds now: what was granted, and what is left of that which covered it.
  [[nodiscard]] token_count holds(const sum_request& asked) const noexcept {
    return std::max(asked.fixed + granted, asked.covered) - trimmed;
  }
  [[nodiscard]] token_count left_of_cover(const sum_request& asked) const noexcept {
    return holds(asked) - asked.fixed - granted;
  }
};

/// Settled and reserved tokens in one word, so that one exchange decides whether something fits. It grows by take() only
/// as far as the cap, and beyond only by what change() adds for an overrun.
/// Orders: every change is seq_cst, and so is the look that refuses: waiting_line asks for it.
template <class Atomics = std_atomics>
class held_sum {
 public:
  enum class cover : unsigned char { kept, trimmed };

  [[nodiscard]] token_count held() const noexcept { return held_.load(std::memory_order_seq_cst); }

  /// Grants what fits, unless it is less than `asked.least`. What covers the request changes hands within the one
  /// exchange: nobody else can get hold of it. If an overrun has filled the sum, cover::trimmed lets go of what is left of
  /// the cover as far as it is above the cap.
  [[nodiscard]] sum_grant take(token_count cap, const sum_request& asked, cover rest = cover::kept) noexcept {
    token_count seen = held_.load(std::memory_order_seq_cst);
    for (;;) {
      const token_count fits = cap - seen + asked.covered - asked.fixed;
      if (fits < asked.least) return {};
      const token_count granted = std::min(asked.wanted, fits);
      const token_count missing = asked.fixed + granted - asked.covered;
      const token_count next = missing > 0 ? seen + missing : rest == cover::trimmed ? std::min(seen, cap) : seen;
      if (next == seen || held_.compare_exchange_weak(seen, next, std::memory_order_seq_cst, std::memory_order_seq_cst))
        return {granted, missing > 0 ? 0 : seen - next};
    }
  }
  /// Whatever the cap.
  void hold(token_count more) noexcept { add_bounded(held_, more, std::memory_order_seq_cst); }
  void let_go(token_count less) noexcept {
    if (less != 0) held_.fetch_sub(less, std::memory_order_seq_cst);
  }
  /// Of what was granted, only so much is wanted after all.
  void shrink(const sum_request& asked, sum_grant& grant, token_count to) noexcept {
    const token_count before = grant.holds(asked);
    grant.granted = to;
    let_go(before - grant.holds(asked));
  }
  /// As if it had not been granted. What was trimmed comes back too: it was there, above the cap by an overrun, so
  /// held + trimmed <= cap + overrun has held all the time.
  void undo(const sum_request& asked, const sum_grant& grant) noexcept { let_go(grant.holds(asked) - asked.covered); }
  /// What was `reserved` has become `settled`.
  void change(token_count reserved, token_count settled) noexcept {
    if (settled != reserved) add_bounded(held_, settled - reserved, std::memory_order_seq_cst);
  }

 private:
  typename Atomics::template atomic<token_count> held_{0};
};

/// A cap and what is known of it.
///
/// Invariant, for whoever looks, at every instant: 0 <= reserved, and settled + reserved <= cap + overrun. What is held
/// is settled + reserved.
/// - held <= cap + overrun: take() keeps held <= cap; settle() adds to `overrun` what it adds to `held` beyond the
///   reservation, and before. All changes of `held` are read-modify-writes with release, so one who sees a value of it sees
///   all overruns that led to it: so look() reads `held` before `overrun`.
/// - settled <= held: settle() has added to `held` before it adds to `settled`, and what was settled never leaves `held`;
///   so look() reads `settled` before `held`.
template <class Atomics = std_atomics>
class capped_sum {
 public:
  explicit capped_sum(token_count cap) noexcept : cap_{std::min(cap, 2 * most_tokens)} {}

  struct values {
    token_count settled = 0, reserved = 0, overrun = 0;
  };
  [[nodiscard]] values look() const noexcept {
    const token_count settled = settled_.load(std::memory_order_acquire);
    const token_count held = held_.held();
    return {settled, std::max<token_count>(0, held - settled), overrun_.load(std::memory_order_acquire)};
  }
  /// Within range of what can be added to it.
  [[nodiscard]] token_count cap() const noexcept { return cap_; }
  [[nodiscard]] token_count left() const noexcept { return std::max<token_count>(0, cap_ - held_.held()); }
  [[nodiscard]] token_count settled() const noexcept { return settled_.load(std::memory_order_acquire); }
  /// Whether it would fit if everything else that is reserved was given back.
  [[nodiscard]] bool can_ever_hold(token_count tokens) const noexcept { return tokens <= cap_ - settled(); }

  [[nodiscard]] sum_grant take(const sum_request& asked) noexcept { return held_.take(cap_, asked); }
  /// Of which so many are held already.
  [[nodiscard]] bool hold(token_count tokens, token_count covered = 0) noexcept {
    return static_cast<bool>(held_.take(cap_, {.fixed = tokens, .covered = covered}));
  }
  void let_go(token_count tokens) noexcept { held_.let_go(tokens); }

  void settle(token_count reserved, token_count used) noexcept {
    if (used > reserved) add_bounded(overrun_, used - reserved, std::memory_order_release);
    held_.change(reserved, used);
    if (used > 0) add_bounded(settled_, used, std::memory_order_release);
  }

 private:
  const token_count cap_;
  held_sum<Atomics> held_;
  typename Atomics::template atomic<token_count> settled_{0};
  typename Atomics::template atomic<token_count> overrun_{0};
};

}  // namespace felix::inline v1::detail
