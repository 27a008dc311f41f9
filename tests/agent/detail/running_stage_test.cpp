// SPDX-License-Identifier: MIT
// agent: a request of an agent, from its reservation until its answer is part of the view.
#include <felix/agent/detail/running_stage.hpp>

#include <felix/async/simulated_loop.hpp>
#include <felix/budget/token_budget.hpp>
#include <felix/llm/scripted_model.hpp>
#include "support/catch.hpp"

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

using Catch::Matchers::ContainsSubstring;
using felix::detail::running_stage;
using namespace std::chrono_literals;

namespace {

struct rig {
  felix::simulated_loop loop;
  felix::scripted_model model{loop};
  felix::agent who{model, felix::roles::research, {.id = "research_001"}};
  felix::normal_budget budget;

  void prepare(running_stage& stage, felix::token_count asked) const {
    stage.about = {.task = "tea", .stage = 2, .max_tokens = asked};
    stage.request = who.request_for(stage.about);
    stage.size = felix::prompt_size_of(stage.request);
    stage.planned_prompt = 100;
  }
  felix::ledger::reservation granted(felix::token_count answer) {
    return budget.reserve(
        {.agent = who.id(), .role = who.role(), .prompt_tokens_at_most = 100, .answer_tokens = answer});
  }
};

std::exception_ptr failure(const auto& what) { return std::make_exception_ptr(what); }

}  // namespace

TEST_CASE("running_stage: what was granted is sent, and the prompt speaks of it", "[agent][running_stage]") {
  rig with;
  running_stage all, less;
  with.prepare(all, 200);
  CHECK(all.planned() == 100);  // nothing was granted
  all.accept(with.granted(200), with.who);
  CHECK(all.request.max_tokens() == 200);
  CHECK(all.planned() == 300);
  CHECK_THAT(all.request.messages().front().content, ContainsSubstring("(200 tokens)"));
  with.prepare(less, 200);
  less.accept(with.granted(160), with.who);
  CHECK(less.request.max_tokens() == 160);
  CHECK(less.planned() == 260);
  CHECK_THAT(less.request.messages().front().content, ContainsSubstring("(160 tokens)"));
}

TEST_CASE("running_stage: a prompt that would get longer by the smaller number stays as it is",
          "[agent][running_stage]") {
  rig with;
  felix::role longer = felix::roles::research;
  longer.prompt = [](const felix::brief& about) { return std::string(about.max_tokens < 200 ? 60 : 50, 'x'); };
  const felix::agent who{with.model, longer, {.id = "research_001"}};
  running_stage stage;
  stage.about = {.task = "tea", .max_tokens = 200};
  stage.request = who.request_for(stage.about);
  stage.size = felix::prompt_size_of(stage.request);
  stage.accept(with.granted(160), who);
  CHECK(stage.request.max_tokens() == 160);
  CHECK(stage.request.messages().front().content == std::string(50, 'x'));  // it was paid for
}

TEST_CASE("running_stage: says why it failed", "[agent][running_stage]") {
  running_stage stage;
  CHECK(stage.why_it_failed().was_cancelled);  // it was never asked
  CHECK(stage.why_it_failed().cost == felix::request_cost::none);
  const auto of = [&](std::exception_ptr error) {
    stage.answer = felix::result<felix::chat_response>::failure(std::move(error));
    return stage.why_it_failed();
  };
  CHECK(of(failure(felix::cancelled{"waiting"})).was_cancelled);
  CHECK(of(failure(felix::timed_out{"waiting"})).has_timed_out);
  const auto refused = of(failure(felix::api_error{"busy", {.status = 503}}));
  CHECK_FALSE(refused.was_cancelled);
  CHECK_FALSE(refused.has_timed_out);
  CHECK(refused.cost == felix::request_cost::none);
  CHECK(of(failure(felix::transport_error{"reset", 56})).cost == felix::request_cost::unknown);
  CHECK(of(failure(std::runtime_error{"a model of the user"})).cost == felix::request_cost::unknown);
}

TEST_CASE("running_stage: its span says who, when and how it ended", "[agent][running_stage]") {
  rig with;
  running_stage stage;
  with.prepare(stage, 200);
  stage.request.priority(felix::request_priority::low);
  stage.begin = felix::simulated_loop::start + 1s;
  stage.end = felix::simulated_loop::start + 2s;
  stage.about.final_text = true;
  stage.answer = felix::result<felix::chat_response>::failure(failure(felix::transport_error{"reset", 56}));
  const auto failed = stage.span_of(with.who);
  CHECK(failed.agent == "research_001");
  CHECK(failed.role == "research");
  CHECK(failed.stage == 2);
  CHECK(failed.priority == felix::request_priority::low);
  CHECK(failed.end - failed.begin == 1s);
  CHECK(failed.final_text);
  CHECK_THAT(failed.failure, ContainsSubstring("reset"));
  stage.answer = felix::chat_response{"Tea is old."};
  CHECK(stage.span_of(with.who).failure.empty());
}
