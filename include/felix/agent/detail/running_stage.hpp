// SPDX-License-Identifier: MIT
// agent: a request of an agent in a session, from its reservation until its answer is part of the view.
#pragma once

#include <felix/agent/agent.hpp>
#include <felix/agent/motion.hpp>
#include <felix/agent/prompt.hpp>
#include <felix/async/event.hpp>
#include <felix/budget/adaptive.hpp>
#include <felix/budget/ledger.hpp>
#include <felix/budget/prompt_size.hpp>
#include <felix/error.hpp>
#include <felix/llm/chat_request.hpp>
#include <felix/llm/chat_response.hpp>
#include <felix/llm/prompt_size_of.hpp>
#include <felix/result.hpp>
#include <felix/telemetry/timeline.hpp>
#include <felix/usage.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace felix::inline v1 {
namespace detail {

struct running_stage {
  std::size_t member = 0;
  std::size_t index = 0;  // its place among all stages
  tick_count tick = 0;
  brief about = {};
  chat_request request = {};
  prompt_size size = {};
  token_count planned_prompt = 0;
  token_count worst = 0;                        // of prompt and answer, until it is settled
  std::optional<call_kind> kind = {};           // with an adaptive allotment: what it is to that,
  std::optional<token_count> most_tokens = {};  // and what an answer is worth
  std::optional<ledger::reservation> reservation = {};
  result<chat_response> answer = result<chat_response>::failure(nullptr);
  std::chrono::steady_clock::time_point begin = {}, end = {};
  event ended = {};
  bool settled = false;
  bool repeat_wanted = false;  // a retry would have sent it again, but for what that may cost
  bool is_repeated = false;    // it was paid twice

  [[nodiscard]] token_count planned() const { return planned_prompt + request.max_tokens().value_or(0); }

  /// Takes the reservation over. Where less was granted than the prompt speaks of, the prompt is told, if it gets no
  /// longer.
  void accept(ledger::reservation granted, const agent& who) {
    const token_count tokens = granted.max_tokens();
    reservation.emplace(std::move(granted));
    if (tokens < about.max_tokens) {
      brief shorter = about;
      shorter.max_tokens = tokens;
      chat_request again = who.request_for(shorter);
      const prompt_size less = prompt_size_of(again);
      if (less.bytes <= size.bytes && less.text_bound <= size.text_bound) request = std::move(again);
    }
    request.max_tokens(tokens);
  }

  struct failure {
    request_cost cost = request_cost::unknown;
    bool was_cancelled = false;
    bool has_timed_out = false;
  };
  /// What its error says. Not when it was answered.
  [[nodiscard]] failure why_it_failed() const {
    if (!answer.error()) return {.cost = request_cost::none, .was_cancelled = true};  // it was never asked
    try {
      std::rethrow_exception(answer.error());
    } catch (const error& known) {
      return {known.cost(), known.code() == errc::cancelled, known.code() == errc::timed_out};
    } catch (...) {
      return {};
    }
  }

  [[nodiscard]] request_span span_of(const agent& who) const {
    return {.agent = std::string{who.id().name()},
            .role = std::string{who.role().name.name()},
            .stage = about.stage,
            .priority = request.priority(),
            .begin = begin,
            .end = end,
            .failure = answer ? std::string{} : answer.message(),
            .final_text = about.final_text};
  }
};

}  // namespace detail
}  // namespace felix::inline v1
