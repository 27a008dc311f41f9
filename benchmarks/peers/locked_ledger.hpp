// SPDX-License-Identifier: MIT
// benchmarks: what else one would take as a token budget: a mutex around a few sums and a table of agents.
#pragma once

#include <felix/budget/ledger.hpp>

#include <algorithm>
#include <functional>
#include <mutex>
#include <string_view>
#include <unordered_map>

namespace peers {

/// A cap under a mutex. Aligned: a mutex that lies across two cache lines takes half as long again.
class alignas(64) locked_scope {
 public:
  explicit locked_scope(felix::token_count cap, locked_scope* within = nullptr) : cap_{cap}, within_{within} {}

  bool reserve(felix::token_count tokens) {
    {
      std::scoped_lock lock{mutex_};
      if (settled_ + reserved_ + tokens > cap_) return false;
      reserved_ += tokens;
    }
    if (within_ == nullptr || within_->reserve(tokens)) return true;
    std::scoped_lock lock{mutex_};
    reserved_ -= tokens;
    return false;
  }
  void settle(felix::token_count reserved, felix::token_count used) {
    {
      std::scoped_lock lock{mutex_};
      reserved_ -= reserved;
      settled_ += used;
    }
    if (within_ != nullptr) within_->settle(reserved, used);
  }

 private:
  std::mutex mutex_;
  const felix::token_count cap_;
  locked_scope* const within_;
  felix::token_count settled_ = 0, reserved_ = 0;
};

/// The sums of a session and, by agent, its answers and what it has cost; one lock a call.
template <class Allotment>
class alignas(64) locked_ledger {
 public:
  explicit locked_ledger(felix::token_count cap) : cap_{cap} {}

  /// The answer that is granted; 0: none.
  felix::token_count reserve(const felix::reservation_request& request) {
    const felix::allotment given = allotments_(request.role);
    std::scoped_lock lock{mutex_};
    account& agent = accounts_[request.agent];
    const felix::token_count answer =
        std::min(given.stage_max_tokens, given.base_tokens - agent.answered - agent.answer_reserved);
    if (answer < 1 || settled_ + reserved_ + request.prompt_tokens_at_most + answer > cap_) return 0;
    reserved_ += request.prompt_tokens_at_most + answer;
    agent.reserved += request.prompt_tokens_at_most + answer;
    agent.answer_reserved += answer;
    return answer;
  }
  void settle(const felix::reservation_request& request, felix::token_count answer, const felix::token_usage& used) {
    std::scoped_lock lock{mutex_};
    account& agent = accounts_[request.agent];
    reserved_ -= request.prompt_tokens_at_most + answer;
    settled_ += used.total_tokens;
    agent.reserved -= request.prompt_tokens_at_most + answer;
    agent.answer_reserved -= answer;
    agent.answered += used.completion_tokens;
    agent.settled += used.total_tokens;
    ++agent.stages;
  }

 private:
  struct account {
    felix::token_count answered = 0, answer_reserved = 0, settled = 0, reserved = 0;
    int stages = 0;
  };
  struct by_name {
    std::size_t operator()(const felix::agent_id& id) const noexcept {
      return std::hash<std::string_view>{}(id.name());
    }
  };

  const felix::token_count cap_;
  Allotment allotments_;
  std::mutex mutex_;
  felix::token_count settled_ = 0, reserved_ = 0;
  std::unordered_map<felix::agent_id, account, by_name> accounts_;
};

}  // namespace peers
