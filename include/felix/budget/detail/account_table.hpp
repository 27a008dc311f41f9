// SPDX-License-Identifier: MIT
// budget: what each agent has spent, found and written between threads without locks.
#pragma once

#include <felix/budget/budget_status.hpp>
#include <felix/budget/detail/held_sum.hpp>
#include <felix/budget/role_id.hpp>
#include <felix/queue/atomics.hpp>
#include <felix/usage.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace felix::inline v1::detail {

/// Whose something is, for a while.
template <class Atomics = std_atomics>
class claim_flag {
 public:
  explicit claim_flag(bool claimed) noexcept : claimed_{claimed} {}

  /// Acquires what the owner before has released. Looks first: a look does not take the cache line from the owner.
  [[nodiscard]] bool claim() noexcept {
    bool seen = is_claimed();
    return !seen && claimed_.compare_exchange_strong(seen, true, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void give_back() noexcept { claimed_.store(false, std::memory_order_release); }
  [[nodiscard]] bool is_claimed() const noexcept { return claimed_.load(std::memory_order_relaxed); }

 private:
  typename Atomics::template atomic<bool> claimed_;
};

/// What requests of one stage of an agent have cost. A reservation has one to itself, from claim() to close(), so all but
/// `owner_` is written by plain stores: a count of ten things for one exchange. As many are made as requests were
/// in flight at once.
/// Orders: claim() acquires what the last owner has released by `owner_`. Whoever sums up reads from any thread: each
/// number is right by itself, and `settled` and `answered` are released last, after the sums that the cap is kept for.
/// Aligned: threads write to tallies of their own, on cache lines of their own.
class alignas(64) tally {
 public:
  explicit tally(int stage) noexcept : stage_{stage} {}

  [[nodiscard]] bool claim(int stage) noexcept { return stage_ == stage && owner_.claim(); }
  void unclaim() noexcept { owner_.give_back(); }
  [[nodiscard]] bool is_claimed() const noexcept { return owner_.is_claimed(); }

  /// A request was granted: `kept` tokens in all, `answer` of them for its answer.
  void open(token_count kept, token_count answer) noexcept {
    reserved_.store(kept, std::memory_order_relaxed);
    answer_reserved_.store(answer, std::memory_order_relaxed);
    seen_.store(true, std::memory_order_relaxed);
  }
  struct overrun {
    token_count answer = 0, prompt = 0;
  };
  /// Before the sums change.
  void add_overrun(const overrun& by) noexcept {
    overruns_.store(overruns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    add(answer_overrun_, by.answer);
    add(prompt_overrun_, by.prompt);
  }
  /// After them. Charged nothing, it was no stage.
  void close(token_count charged, token_count answered) noexcept {
    if (charged > 0) {
      const token_count answer = answer_reserved_.load(std::memory_order_relaxed);
      add(granted_, answer);
      if (answered > answer) add(beyond_, answered - answer);
      stages_.store(stages_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    reserved_.store(0, std::memory_order_relaxed);
    answer_reserved_.store(0, std::memory_order_relaxed);
    if (answered > 0) add(answered_, answered);
    if (charged > 0) add(settled_, charged);
    unclaim();
  }

  [[nodiscard]] bool seen() const noexcept { return seen_.load(std::memory_order_relaxed); }
  [[nodiscard]] int stage() const noexcept { return stage_; }
  [[nodiscard]] token_count settled() const noexcept { return settled_.load(std::memory_order_acquire); }
  [[nodiscard]] token_count answered() const noexcept { return answered_.load(std::memory_order_acquire); }
  [[nodiscard]] budget_share share() const noexcept {
    const token_count all = settled();
    const token_count answers = answered();
    const token_count in_flight = answer_reserved_.load(std::memory_order_relaxed);
    return {.answer_tokens = answers,
            .settled = all,
            .reserved = reserved_.load(std::memory_order_relaxed),
            .stages = stages_.load(std::memory_order_relaxed),
            .answer_reserved = in_flight,
            .granted = granted_.load(std::memory_order_relaxed) + in_flight,
            .answers_beyond = beyond_.load(std::memory_order_relaxed),
            .overruns = overruns_.load(std::memory_order_relaxed),
            .answer_overrun = answer_overrun_.load(std::memory_order_relaxed),
            .prompt_overrun = prompt_overrun_.load(std::memory_order_relaxed)};
  }

 private:
  friend class account;
  using count = std::atomic<token_count>;
  static void add(count& sum, token_count more) noexcept {
    sum.store(bounded_sum(sum.load(std::memory_order_relaxed), more), std::memory_order_release);
  }

  const int stage_;
  tally* next_ = nullptr;  // written before it is published
  claim_flag<> owner_{true};
  std::atomic<bool> seen_{false};  // a request was granted once
  std::atomic<int> stages_{0}, overruns_{0};
  count reserved_{0}, answer_reserved_{0}, settled_{0}, answered_{0}, granted_{0}, beyond_{0}, answer_overrun_{0},
      prompt_overrun_{0};
};

/// An agent: its answer tokens, settled and reserved, under the cap of its allotment; and its tallies.
class alignas(64) account {
 public:
  /// Stages are told apart up to this one; it stands for later ones too.
  static constexpr int last_stage = 16;

  account(const agent_id& id, const role_id& role) noexcept : id_{id}, role_{role} {}
  account(account&&) = delete;
  ~account() {
    for (const tally* each = tallies_.load(std::memory_order_relaxed); each != nullptr;) {
      const tally* const next = each->next_;
      delete each;
      each = next;
    }
  }

  [[nodiscard]] const agent_id& id() const noexcept { return id_; }
  [[nodiscard]] const role_id& role() const noexcept { return role_; }

  /// A tally for one request. Allocates when more are in flight, in this stage of the agent, than ever before.
  [[nodiscard]] tally& claim(int stage) {
    stage = std::clamp(stage, 1, last_stage);
    tally* first = tallies_.load(std::memory_order_acquire);
    for (tally* each = first; each != nullptr; each = each->next_)
      if (each->claim(stage)) return *each;
    auto* const fresh = new tally{stage};
    do {
      fresh->next_ = first;
    } while (!tallies_.compare_exchange_weak(first, fresh, std::memory_order_acq_rel, std::memory_order_acquire));
    return *fresh;
  }

  template <class F>
  void for_each_tally(F visit) const {
    for (const tally* each = tallies_.load(std::memory_order_acquire); each != nullptr; each = each->next_)
      visit(*each);
  }
  [[nodiscard]] token_count answered() const noexcept {
    token_count sum = 0;
    for_each_tally([&](const tally& each) { sum = bounded_sum(sum, each.answered()); });
    return sum;
  }

  held_sum<> answers;           // settled and reserved
  std::uint64_t closed_in = 0;  // the pass of the waiting line in which a waiter was refused here; guarded by the line

 private:
  friend class account_table;
  const agent_id id_;
  const role_id role_;
  account* next_ = nullptr;  // in its bucket; written before it is published
  std::atomic<tally*> tallies_{nullptr};
};

/// All agents that were seen. They are added in front of the list of their bucket and never leave, so whoever looks needs
/// no lock, and no reclamation.
class account_table {
 public:
  account_table() = default;
  account_table(account_table&&) = delete;
  ~account_table() {
    for (const auto& bucket : buckets_)
      for (const account* each = bucket.load(std::memory_order_relaxed); each != nullptr;) {
        const account* const next = each->next_;
        delete each;
        each = next;
      }
  }

  [[nodiscard]] account* find(const agent_id& id) const noexcept {
    return find_before(buckets_[bucket_of(id)].load(std::memory_order_acquire), nullptr, id);
  }
  /// An agent keeps the role that it was first seen with.
  [[nodiscard]] account& find_or_add(const agent_id& id, const role_id& role) {
    auto& bucket = buckets_[bucket_of(id)];
    account* first = bucket.load(std::memory_order_acquire);
    if (account* const found = find_before(first, nullptr, id)) return *found;
    auto* const fresh = new account{id, role};
    for (;;) {
      account* const seen = first;
      fresh->next_ = seen;
      if (bucket.compare_exchange_weak(first, fresh, std::memory_order_acq_rel, std::memory_order_acquire))
        return *fresh;
      if (account* const found = find_before(first, seen, id)) {  // somebody else was first
        delete fresh;
        return *found;
      }
    }
  }

  template <class F>
  void for_each(F visit) const {
    for (const auto& bucket : buckets_)
      for (const account* each = bucket.load(std::memory_order_acquire); each != nullptr; each = each->next_)
        visit(*each);
  }

 private:
  static constexpr std::size_t bucket_bits = 6;

  [[nodiscard]] static std::size_t bucket_of(const agent_id& id) noexcept {
    std::uint64_t mixed = 0;
    for (const std::uint64_t word : std::bit_cast<std::array<std::uint64_t, 4>>(id))
      mixed = (std::rotl(mixed, 29) ^ word) * 0x9E37'79B9'7F4A'7C15;  // 2^64 / golden ratio: the upper bits are mixed
    return static_cast<std::size_t>(mixed >> (64 - bucket_bits));
  }
  static_assert(sizeof(agent_id) == 32, "its bytes, those behind the name being 0, are its key");

  static account* find_before(account* first, const account* end, const agent_id& id) noexcept {
    using words = std::array<std::uint64_t, 4>;
    const auto wanted = std::bit_cast<words>(id);
    while (first != end && std::bit_cast<words>(first->id_) != wanted) first = first->next_;
    return first != end ? first : nullptr;
  }

  std::array<std::atomic<account*>, std::size_t{1} << bucket_bits> buckets_{};
};

}  // namespace felix::inline v1::detail
