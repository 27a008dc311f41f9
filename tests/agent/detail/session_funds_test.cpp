// SPDX-License-Identifier: MIT
// agent: what a session may still spend, and what each of its requests has come to.
#include <felix/agent/detail/session_funds.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <exception>
#include <string>
#include <utility>

using felix::reservation_size;
using felix::session_options;
using felix::token_count;
using felix::detail::running_stage;
using felix::detail::session_funds;
using namespace std::chrono_literals;

namespace {

template <class Budget = felix::normal_budget>
struct rig {
  explicit rig(session_options chosen = {}, token_count cap = 10'000)
      : budget{{.session_cap_tokens = cap, .min_stage_tokens = 20}}, options{std::move(chosen)} {
    funds.set_aside({1'000, 1'500});
  }

  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::agent who{model, felix::roles::research, {.id = "research_001"}};
  Budget budget;
  session_options options;
  session_funds funds{budget, options};

  bool reserve(running_stage& stage, token_count answer) {
    loop.run(funds.prepare(stage, who, {.task = "Write about tea", .max_tokens = answer}));
    return funds.reserve(stage, who, answer, reservation_size::whole);
  }
  token_count answered(running_stage& stage, felix::token_usage usage) {
    felix::chat_response answer{"Tea is old."};
    answer.usage(usage);
    stage.answer = std::move(answer);
    stage.end = felix::simulated_loop::start + 2s;
    return funds.settle(stage);
  }
  token_count failed(running_stage& stage, std::exception_ptr error) {
    stage.answer = felix::result<felix::chat_response>::failure(std::move(error));
    return funds.settle(stage);
  }
};

const felix::token_usage reported{.prompt_tokens = 60, .completion_tokens = 40, .total_tokens = 100};

}  // namespace

TEST_CASE("session_funds: what grows under normalisation is planned in full", "[agent][session_funds]") {
  rig with;
  const felix::prompt_size plain{.bytes = 100, .text_bound = 102, .messages = 2};
  const felix::prompt_size growing{.bytes = 100, .text_bound = 152, .messages = 2};
  CHECK(with.funds.planned(growing) == with.funds.planned(plain) + 50);
}

TEST_CASE("session_funds: under a hard cap what is on the way is bounded, too", "[agent][session_funds]") {
  rig planned;
  rig<felix::strict_budget> hard{{}, 10'000};
  const felix::prompt_size size{.bytes = 100, .text_bound = 102, .messages = 2};
  CHECK(hard.funds.at_most(size) == planned.funds.at_most(size) + felix::tokens_on_the_way);
}

TEST_CASE("session_funds: what is in flight counts as planned, then as it was charged", "[agent][session_funds]") {
  rig with;
  CHECK(with.funds.left_for_stages() == 9'000);
  running_stage stage;
  REQUIRE(with.reserve(stage, 300));
  CHECK(with.funds.left_for_stages() == 9'000 - stage.planned());
  CHECK(with.answered(stage, reported) == 100);
  CHECK(with.funds.left_for_stages() == 8'900);
  CHECK(with.budget.system_status().settled == 100);
  CHECK_FALSE(stage.reservation.has_value());
}

TEST_CASE("session_funds: an answer without a report is charged by estimate, one that had to be cut at the bound",
          "[agent][session_funds]") {
  rig with;
  running_stage quiet, cut;
  REQUIRE(with.reserve(quiet, 300));
  const token_count planned = quiet.planned_prompt;
  with.answered(quiet, {.estimated = true});
  CHECK(quiet.answer->usage().prompt_tokens == planned);
  CHECK(quiet.answer->usage().completion_tokens == 4);  // 11 bytes
  REQUIRE(with.reserve(cut, 300));
  with.answered(cut, {.completion_tokens = 301, .total_tokens = 301, .estimated = true});
  CHECK(cut.answer->usage().prompt_tokens == with.funds.at_most(cut.size));
  CHECK(cut.answer->usage().total_tokens == with.funds.at_most(cut.size) + 301);
}

TEST_CASE("session_funds: what cost nothing is given back, what may have cost something is charged",
          "[agent][session_funds]") {
  rig with;
  running_stage refused, lost;
  REQUIRE(with.reserve(refused, 300));
  CHECK(with.failed(refused, std::make_exception_ptr(felix::api_error{"busy", {.status = 503}})) == 0);
  CHECK(with.budget.system_status().settled == 0);
  REQUIRE(with.reserve(lost, 300));
  const token_count planned = lost.planned();
  CHECK(with.failed(lost, std::make_exception_ptr(felix::transport_error{"reset", 56})) == planned);
  CHECK(with.budget.system_status().settled == planned);
  CHECK(with.funds.left_for_stages() == 9'000 - planned);
}

TEST_CASE("session_funds: until the first answer, all at its worst fits under the cap", "[agent][session_funds]") {
  rig with{{}, 3'000};  // 1,500 at the worst for the text
  running_stage first, second;
  REQUIRE(with.reserve(first, 300));
  CHECK(with.funds.is_proven_for(1'500 - first.worst));
  CHECK_FALSE(with.funds.is_proven_for(1'501 - first.worst));
  with.answered(first, reported);
  CHECK(with.funds.is_proven_for(100'000));
}

TEST_CASE("session_funds: from the soft line on no more begins, all in flight counted", "[agent][session_funds]") {
  rig with{{.limits = {.tokens = 2'000}}};  // the line is at 1,600
  CHECK(with.funds.is_before_soft_line(1'600));
  CHECK_FALSE(with.funds.is_before_soft_line(1'601));
  CHECK(with.funds.left_for_stages() == 1'600);
  running_stage stage;
  REQUIRE(with.reserve(stage, 300));
  CHECK(with.funds.is_before_soft_line(1'600 - stage.planned()));
  CHECK_FALSE(with.funds.is_before_soft_line(1'601 - stage.planned()));
  CHECK(with.funds.left_for_stages() == 1'600 - stage.planned());
  CHECK(with.funds.reason() == felix::run_end{felix::run_limit::tokens, felix::limit_line::soft});
  with.answered(stage, {.prompt_tokens = 1'600, .total_tokens = 1'600});
  CHECK_FALSE(with.funds.is_before_soft_line(0));
}

TEST_CASE("session_funds: what was lost is charged and paid once more, if there is enough for that",
          "[agent][session_funds]") {
  const bool enough = GENERATE(true, false);
  rig with{{.limits = {.tokens = enough ? 10'000 : 500}}};
  running_stage stage;
  REQUIRE(with.reserve(stage, 300));
  const token_count planned = stage.planned();
  CHECK(with.funds.pay_again(stage, with.who) == enough);
  CHECK(with.budget.system_status().settled == (enough ? planned : 0));
  CHECK(with.funds.left_for_stages() == (enough ? 8'000 - 2 * planned : 400 - planned));
  if (enough) CHECK_FALSE(with.funds.is_proven_for(8'500 - planned - stage.worst + 1));
  REQUIRE(stage.reservation.has_value());
  CHECK(stage.reservation->max_tokens() == 300);
  with.answered(stage, reported);
  CHECK(with.budget.system_status().settled == (enough ? planned : 0) + 100);
  CHECK(with.budget.system_status().reserved == 1'000);  // what is set aside
}

TEST_CASE("session_funds: parts of the final text share what is left and what was set aside",
          "[agent][session_funds]") {
  rig with{{.limits = {.tokens = 4'000}}};
  CHECK(with.funds.room_for_part(2) == 2'000);
  running_stage part;
  with.loop.run(with.funds.prepare(part, with.who, {.task = "Write about tea", .max_tokens = 900, .final_text = true}));
  REQUIRE(with.funds.reserve_part(part, with.who, 900));
  CHECK(with.funds.room_for_part(1) == 4'000 - part.planned());
  with.answered(part, reported);
  with.funds.give_aside_back();
  CHECK(with.budget.system_status().reserved == 0);
}

TEST_CASE("session_funds: the time of a request ends at the soft line, that of the final text at the limit",
          "[agent][session_funds]") {
  const auto start = felix::simulated_loop::start;
  rig with{{.limits = {.time = 10s}}};
  CHECK(with.funds.time_left(start + 1h, false) == 8s);  // nothing was sent yet
  with.funds.begin(start);
  CHECK(with.funds.began() == start);
  CHECK(with.funds.time_left(start + 3s, false) == 5s);
  CHECK(with.funds.time_left(start + 3s, true) == 7s);
  CHECK(with.funds.time_left(start + 9s, false) == 0s);
  CHECK(rig{}.funds.time_left(start, false) == std::chrono::nanoseconds::max());
}
