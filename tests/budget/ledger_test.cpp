// SPDX-License-Identifier: MIT
// budget: what is settled and reserved never exceeds the cap together: by hand, against a model, and from four threads.
#include <felix/budget/ledger.hpp>

#include <felix/agent/random.hpp>
#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using felix::budget_status;
using felix::reservation_request;
using felix::reservation_size;
using felix::token_count;
using felix::token_usage;

namespace {

constexpr token_count most = std::numeric_limits<token_count>::max();

enum class cap_kind : unsigned char { hard, planned };

// Each agent may answer with 1,000 tokens in all and with 100 in a stage, whatever its role: what a test is about is
// the session's cap.
class plain_ledger final : public felix::ledger {
 public:
  plain_ledger(cap_kind kind, token_count cap, token_count min_stage = 1)
      : ledger{{.session_cap_tokens = cap, .min_stage_tokens = min_stage},
               kind == cap_kind::hard ? worst_case_sum::kept : worst_case_sum::not_kept} {}
  [[nodiscard]] felix::allotment allotment_of(const felix::role_id&) const noexcept override { return allotment; }

  felix::allotment allotment{.base_tokens = 1'000, .stage_max_tokens = 100};

 private:
  [[nodiscard]] double taper_at(int) const noexcept override { return 1.0; }
};

reservation_request request(token_count at_most, token_count planned, token_count answer,
                            reservation_size size = reservation_size::whole) {
  return {.agent = "a",
          .role = "r",
          .prompt_tokens_at_most = at_most,
          .prompt_tokens_planned = planned,
          .answer_tokens = answer,
          .size = size};
}

token_usage used(token_count prompt, token_count completion) {
  return {.prompt_tokens = prompt, .completion_tokens = completion, .total_tokens = prompt + completion};
}

token_count overrun(const budget_status& status) { return status.answer_overrun + status.prompt_overrun; }

}  // namespace

static_assert(std::is_trivially_copyable_v<reservation_request> &&
                  std::is_trivially_destructible_v<reservation_request>,
              "it is an aggregate and stands in awaited expressions");
static_assert(!std::is_copy_constructible_v<felix::ledger::reservation>);
static_assert(std::is_nothrow_move_constructible_v<felix::ledger::reservation>);
static_assert(!std::is_move_assignable_v<felix::ledger::reservation>, "what would become of the one that is replaced?");
static_assert(!std::is_copy_constructible_v<felix::ledger::set_aside>);
static_assert(std::is_nothrow_move_constructible_v<felix::ledger::set_aside>);

TEST_CASE("budget_exceeded: says who, how much and what to do, and carries it", "[budget][ledger]") {
  const felix::budget_exceeded refused{"research_001", 300, 120, 2'000};
  CHECK(std::string{refused.what()} ==
        "budget: research_001 asked for 300 tokens, 120 of 2000 are left; ask for less, use a smaller team, or raise "
        "session_cap_tokens");
  CHECK(refused.code() == felix::errc::budget_exceeded);
  CHECK(refused.asked() == 300);
  CHECK(refused.left() == 120);
  CHECK(refused.cost() == felix::request_cost::none);
}

TEST_CASE("ledger: reserve throws what the session's cap cannot pay", "[budget][ledger]") {
  struct row {
    std::string agent;
    cap_kind kind;
    token_count asked;
    std::string who;
  };
  const auto [agent, kind, asked, who] = GENERATE(values<row>(
      {{"a", cap_kind::hard, 450, "a"}, {"", cap_kind::hard, 450, "a request"}, {"b", cap_kind::planned, 150, "b"}}));
  CAPTURE(agent);
  plain_ledger budget{kind, 500};
  auto held = budget.reserve(request(300, 300, 100));
  try {
    auto more =
        budget.reserve({.agent = agent, .role = "r", .prompt_tokens_at_most = 350, .prompt_tokens_planned = 50});
    FAIL("granted " << more.max_tokens());
  } catch (const felix::budget_exceeded& refused) {
    CHECK(std::string{refused.what()} == "budget: " + who + " asked for " + std::to_string(asked) +
                                             " tokens, 100 of 500 are left; ask for less, use a smaller team, or raise "
                                             "session_cap_tokens");
    CHECK(refused.asked() == asked);
    CHECK(refused.left() == 100);
  }
  held.release();
}

TEST_CASE("ledger: a settled reservation charges what was used and gives the rest back", "[budget][ledger]") {
  plain_ledger budget{cap_kind::hard, 1'000};
  auto slice = budget.reserve({.agent = "a", .role = "r", .prompt_tokens_at_most = 300, .prompt_tokens_planned = 80});
  CHECK(slice.max_tokens() == 100);
  budget_status status = budget.system_status();
  CHECK(status.cap == 1'000);
  CHECK(status.settled == 0);
  CHECK(status.reserved == 400);
  CHECK(status.left() == 600);
  CHECK(status.agents.at("a").reserved == 400);
  CHECK(status.roles.at("r").reserved == 400);
  CHECK(status.agents.at("a").stages == 0);

  slice.settle(used(60, 25));
  status = budget.system_status();
  CHECK(status.settled == 85);
  CHECK(status.reserved == 0);
  CHECK(status.left() == 915);
  CHECK(overrun(status) == 0);
  for (const felix::budget_share& share : {status.agents.at("a"), status.roles.at("r")}) {
    CHECK(share.base_tokens == 1'000);
    CHECK(share.answer_tokens == 25);
    CHECK(share.settled == 85);
    CHECK(share.reserved == 0);
    CHECK(share.stages == 1);
  }
  CHECK(budget.stage_tokens("a", "r", 2) == 100);
}

TEST_CASE("ledger: a role's share is the sum of its agents'", "[budget][ledger]") {
  plain_ledger budget{cap_kind::planned, 1'000};
  auto first = budget.reserve({.agent = "a", .role = "r", .prompt_tokens_at_most = 30, .prompt_tokens_planned = 10});
  auto second = budget.reserve({.agent = "b", .role = "r", .prompt_tokens_at_most = 30, .prompt_tokens_planned = 20});
  auto other = budget.reserve({.agent = "c", .role = "s"});
  first.settle(used(10, 50));
  auto again = budget.reserve({.agent = "a", .role = "r", .stage = 2});  // the same agent: nothing is allotted anew
  again.release();
  const budget_status status = budget.system_status();
  CHECK(status.roles.at("r").base_tokens == 2'000);
  CHECK(status.roles.at("r").settled == 60);
  CHECK(status.roles.at("r").answer_tokens == 50);
  CHECK(status.roles.at("r").reserved == 120);
  CHECK(status.roles.at("s").reserved == 100);
  CHECK(status.reserved == 220);
  second.release();
  other.release();
}

TEST_CASE("ledger: unsettled, it charges everything, and released, nothing, and each once", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 1'000};
  SECTION("dropped") {
    { const auto dropped = budget.reserve(request(200, 200, 50)); }
    CHECK(budget.system_status().settled == 250);
    CHECK(budget.system_status().agents.at("a").answer_tokens == 50);
    CHECK(budget.system_status().agents.at("a").stages == 1);
    CHECK(overrun(budget.system_status()) == 0);
  }
  SECTION("dropped: what it held, and never more: an overrun is what a server reported") {
    { const auto dropped = budget.reserve(request(200, 40, 50)); }
    CHECK(budget.system_status().settled == (kind == cap_kind::hard ? 250 : 90));
    CHECK(budget.system_status().prompt_overrun == 0);
    CHECK(budget.system_status().answer_overrun == 0);
  }
  SECTION("released") {
    auto released = budget.reserve(request(200, 40, 50));
    released.release();
    CHECK(budget.system_status().settled == 0);
    CHECK(budget.system_status().agents.at("a").stages == 0);
    CHECK(budget.system_status().left() == 1'000);
  }
  SECTION("moved from, then settled") {
    auto first = budget.reserve(request(200, 200, 50));
    {
      auto second = std::move(first);
      CHECK(second.max_tokens() == 50);
      CHECK(budget.system_status().reserved == 250);
      second.settle(used(100, 20));
    }
    CHECK(budget.system_status().settled == 120);
  }
  SECTION("kept in an optional, as a session does, and dropped") {
    std::optional<felix::ledger::reservation> kept;
    kept.emplace(budget.reserve(request(200, 200, 50)));
    CHECK(budget.system_status().settled == 0);
    kept.reset();
    CHECK(budget.system_status().settled == 250);
  }
  CHECK(budget.system_status().reserved == 0);
  CHECK(budget.system_status().agents.at("a").reserved == 0);
}

TEST_CASE("ledger: what was only estimated is charged in full under a hard cap", "[budget][ledger]") {
  token_usage guessed = used(60, 20);
  guessed.estimated = true;
  SECTION("hard") {
    plain_ledger budget{cap_kind::hard, 1'000};
    auto slice = budget.reserve(request(200, 80, 50));
    slice.settle(guessed);
    CHECK(budget.system_status().settled == 250);
    CHECK(budget.system_status().agents.at("a").answer_tokens == 50);
  }
  SECTION("hard, and the estimate is above what was reserved") {
    plain_ledger budget{cap_kind::hard, 1'000};
    auto slice = budget.reserve(request(200, 80, 50));
    guessed = used(200, 90);
    guessed.estimated = true;
    slice.settle(guessed);
    CHECK(budget.system_status().settled == 290);
    CHECK(budget.system_status().answer_overrun == 40);
    CHECK(budget.system_status().prompt_overrun == 0);
  }
  SECTION("planned") {
    plain_ledger budget{cap_kind::planned, 1'000};
    auto slice = budget.reserve(request(200, 80, 50));
    slice.settle(guessed);
    CHECK(budget.system_status().settled == 80);
    CHECK(budget.system_status().agents.at("a").answer_tokens == 20);
  }
}

TEST_CASE("ledger: an overrun is shown by its cause, and lessens what is left", "[budget][ledger][D7]") {
  struct row {
    token_usage usage;
    token_count answer, prompt;  // of a reservation of 100 for the prompt and 50 for the answer
  };
  const auto [usage, answer, prompt] =
      GENERATE(values<row>({{used(100, 50), 0, 0},
                            {used(0, 0), 0, 0},
                            {used(100, 70), 20, 0},
                            {used(130, 50), 0, 30},
                            {used(130, 70), 20, 30},
                            {used(130, 40), 0, 20},
                            {used(80, 70), 0, 0},  // longer, and paid for by the prompt
                            {used(80, 75), 5, 0},
                            {{.total_tokens = 500}, 0, 350},
                            {{.completion_tokens = 60, .total_tokens = 500}, 10, 340}}));
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  CAPTURE(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens);
  plain_ledger budget{kind, 1'000};
  auto slice = budget.reserve(request(100, 100, 50));
  slice.settle(usage);
  const budget_status status = budget.system_status();
  CHECK(status.settled == usage.total_tokens);
  CHECK(status.answer_overrun == answer);
  CHECK(status.prompt_overrun == prompt);
  CHECK(status.left() == 1'000 - usage.total_tokens);
  CHECK(budget.try_reserve(request(0, 0, 1'000 - usage.total_tokens + 1)) == std::nullopt);
}

TEST_CASE("ledger: an overrun beyond the cap leaves nothing, not less", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 100};
  auto slice = budget.reserve(request(50, 50, 50));
  slice.settle(used(50, 400));
  const budget_status status = budget.system_status();
  CHECK(status.left() == 0);
  CHECK(status.answer_overrun == 350);
  CHECK(status.settled + status.reserved == status.cap + overrun(status));
  CHECK_FALSE(budget.try_reserve(request(0, 0, 1)));
  CHECK_FALSE(budget.try_reserve(request(0, 0, 1, reservation_size::what_is_left)));
  try {
    auto more = budget.reserve(request(0, 0, 1));
    FAIL("granted " << more.max_tokens());
  } catch (const felix::budget_exceeded& refused) {
    CHECK(refused.left() == 0);
  }
}

TEST_CASE("ledger: an answer above its limit is charged to the agent", "[budget][ledger][D6]") {
  plain_ledger budget{cap_kind::hard, 10'000};
  auto slice = budget.reserve({.agent = "a", .role = "r"});
  slice.settle(used(0, 950));
  CHECK(budget.stage_tokens("a", "r", 2) == 50);
  auto last = budget.reserve({.agent = "a", .role = "r", .stage = 2});
  last.settle(used(0, 500));
  CHECK(budget.stage_tokens("a", "r", 3) == 0);
  CHECK_FALSE(budget.try_reserve({.agent = "a", .role = "r", .stage = 3}));
  CHECK(budget.stage_tokens("b", "r", 1) == 100);
}

TEST_CASE("ledger: usages below 0 give nothing back", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 1'000};
  auto first = budget.reserve(request(100, 100, 50));
  first.settle(used(10, 20));
  auto second = budget.reserve(request(100, 100, 50));
  second.settle({.prompt_tokens = -500, .completion_tokens = -500, .total_tokens = -1'000});
  auto third = budget.reserve(request(100, 100, 50));
  third.settle({});
  const budget_status status = budget.system_status();
  CHECK(status.settled == 30);
  CHECK(status.reserved == 0);
  CHECK(status.agents.at("a").answer_tokens == 20);
  CHECK(status.agents.at("a").stages == 1);
  CHECK(overrun(status) == 0);
  auto all = budget.reserve(request(0, 0, 970));
  all.release();
  CHECK_FALSE(budget.try_reserve(request(0, 0, 971)));
}

TEST_CASE("ledger: a prompt below 0 is none, and frees nothing", "[budget][ledger][D8]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 1'000};
  CHECK_FALSE(budget.try_reserve(request(-500, -1, 1'001)));
  auto slice = budget.reserve(request(-500, -1, 1'000));
  CHECK(budget.system_status().reserved == 1'000);
  CHECK_FALSE(budget.try_reserve(request(-500, -1, 1)));
  slice.release();
  CHECK_FALSE(budget.try_reserve(request(0, 0, -5)));  // nor is an answer below 0 anything that can be sent
}

TEST_CASE("ledger: a prompt is planned at its bound when nothing is planned, and never above it", "[budget][ledger]") {
  plain_ledger budget{cap_kind::planned, 1'000};
  auto unplanned = budget.reserve(request(300, -1, 50));
  CHECK(budget.system_status().reserved == 350);
  unplanned.release();
  auto above = budget.reserve(request(300, 900, 50));
  CHECK(budget.system_status().reserved == 350);
  above.release();
  auto free_of_charge = budget.reserve(request(300, 0, 50));
  CHECK(budget.system_status().reserved == 50);
  free_of_charge.release();
}

TEST_CASE("ledger: a hard cap keeps worst cases, a planned cap what is planned", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 600};
  std::vector<felix::ledger::reservation> held;
  while (auto slice = budget.try_reserve(request(100, 25, 25))) held.push_back(std::move(*slice));
  CHECK(held.size() == (kind == cap_kind::hard ? 4U : 12U));  // 125 each, or 50
  CHECK(budget.system_status().reserved == (kind == cap_kind::hard ? 500 : 600));
  for (auto& slice : held) slice.settle(used(100, 25));
  const budget_status status = budget.system_status();
  CHECK(overrun(status) == (kind == cap_kind::hard ? 0 : 12 * 75));
  CHECK(status.settled <= status.cap + overrun(status));
}

TEST_CASE("ledger: exactly what fits is granted, and not one token more", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 500, 20};
  auto first = budget.reserve(request(100, 100, 100));  // 300 are left
  SECTION("as a whole") {
    CHECK_FALSE(budget.try_reserve(request(201, 201, 100)));
    CHECK_FALSE(budget.try_reserve(request(200, 200, 101)));
    auto fits = budget.try_reserve(request(200, 200, 100));
    REQUIRE(fits);
    CHECK(fits->max_tokens() == 100);
    fits->release();
  }
  SECTION("what is left: as much as there is, but not below the smallest stage") {
    auto part = budget.try_reserve(request(250, 250, 100, reservation_size::what_is_left));
    REQUIRE(part);
    CHECK(part->max_tokens() == 50);
    CHECK(budget.system_status().left() == 0);
    part->release();
    auto least = budget.try_reserve(request(280, 280, 100, reservation_size::what_is_left));
    REQUIRE(least);
    CHECK(least->max_tokens() == 20);
    least->release();
    CHECK_FALSE(budget.try_reserve(request(281, 281, 100, reservation_size::what_is_left)));
    auto whole = budget.try_reserve(request(100, 100, 100, reservation_size::what_is_left));
    REQUIRE(whole);
    CHECK(whole->max_tokens() == 100);  // never more than was asked
    whole->release();
  }
  SECTION("what is left: an answer that is meant to be smaller than a stage") {
    auto tiny = budget.try_reserve(request(295, 295, 5, reservation_size::what_is_left));
    REQUIRE(tiny);
    CHECK(tiny->max_tokens() == 5);
    tiny->release();
    CHECK_FALSE(budget.try_reserve(request(296, 296, 5, reservation_size::what_is_left)));
  }
  SECTION("what is left, by the policies") {
    auto part = budget.try_reserve(
        {.agent = "b", .role = "r", .prompt_tokens_at_most = 260, .size = reservation_size::what_is_left});
    REQUIRE(part);
    CHECK(part->max_tokens() == 40);
    part->release();
  }
  first.release();
}

TEST_CASE("ledger: a final text may exceed its agent's allotment, and counts to it", "[budget][ledger]") {
  plain_ledger budget{cap_kind::hard, 5'000};
  auto text = budget.reserve(request(0, 0, 3'000));
  CHECK(text.max_tokens() == 3'000);
  CHECK(budget.stage_tokens("a", "r", 1) == 0);
  text.settle(used(0, 940));
  CHECK(budget.stage_tokens("a", "r", 2) == 60);
}

TEST_CASE("ledger: a stage of fewer tokens than the least is not called", "[budget][ledger]") {
  plain_ledger budget{cap_kind::planned, 1'000, 20};
  budget.allotment = {.base_tokens = 1'000, .stage_max_tokens = 19};
  CHECK(budget.stage_tokens("a", "r", 1) == 0);
  CHECK_FALSE(budget.try_reserve({.agent = "a", .role = "r"}));
  try {
    auto slice = budget.reserve({.agent = "a", .role = "r"});
    FAIL("granted " << slice.max_tokens());
  } catch (const felix::budget_exceeded& refused) {
    CHECK(refused.asked() == 20);
    CHECK(refused.left() == 19);
  }
}

TEST_CASE("ledger: a refusal leaves no trace", "[budget][ledger]") {
  plain_ledger budget{cap_kind::hard, 50};
  CHECK_FALSE(budget.try_reserve(request(100, 100, 50)));
  CHECK_THROWS_AS(budget.reserve(request(100, 100, 50)), felix::budget_exceeded);
  const budget_status status = budget.system_status();
  CHECK(status.agents.empty());
  CHECK(status.roles.empty());
  CHECK(status.left() == 50);
}

TEST_CASE("ledger: no number, of a server or a caller, makes a sum overflow", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  SECTION("usages") {
    plain_ledger budget{kind, most};
    for (int i = 0; i < 8; ++i) {
      auto slice = budget.reserve({.agent = "a", .role = "r", .answer_tokens = 10});
      slice.settle({.prompt_tokens = most, .completion_tokens = most, .total_tokens = most});
    }
    const budget_status status = budget.system_status();
    CHECK(status.settled > most / 8);
    CHECK(status.left() < most);
    CHECK(status.left() > 0);
    CHECK(overrun(status) > most / 8);
    CHECK(budget.stage_tokens("a", "r", 9) == 0);
  }
  SECTION("usages, with a small cap: nothing is ever left again") {
    plain_ledger budget{kind, 1'000};
    auto first = budget.reserve(request(10, 10, 10));
    auto second = budget.reserve(request(10, 10, 10));
    first.settle({.completion_tokens = most, .total_tokens = most});
    second.settle({.completion_tokens = most, .total_tokens = most});
    CHECK(budget.system_status().left() == 0);
    CHECK_FALSE(budget.try_reserve(request(0, 0, 1)));
  }
  SECTION("requests") {
    plain_ledger budget{kind, 1'000};
    CHECK_FALSE(budget.try_reserve(request(most, most, 10)));
    CHECK_THROWS_AS(budget.reserve(request(most, most, most)), felix::budget_exceeded);
    auto all = budget.reserve(request(0, 0, most, reservation_size::what_is_left));
    CHECK(all.max_tokens() == 1'000);
    CHECK_THROWS_AS(budget.reserve(request(0, 0, most, reservation_size::what_is_left)), felix::budget_exceeded);
    CHECK_THROWS_AS(budget.keep_aside(most, most), felix::budget_exceeded);
    all.release();
  }
}

TEST_CASE("ledger: a status is a copy of one instant", "[budget][ledger]") {
  plain_ledger budget{cap_kind::hard, 1'000};
  auto slice = budget.reserve(request(100, 100, 50));
  const budget_status before = budget.system_status();
  slice.settle(used(100, 50));
  CHECK(before.reserved == 150);
  CHECK(before.agents.at("a").reserved == 150);
  CHECK(before.settled == 0);
}

TEST_CASE("set_aside: what is kept is granted to nobody else, and given back at the end", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 1'000};
  {
    auto kept = budget.keep_aside(300, 400);
    const token_count taken = kind == cap_kind::hard ? 400 : 300;
    CHECK(kept.tokens() == taken);
    CHECK(budget.system_status().reserved == taken);
    CHECK(budget.system_status().left() == 1'000 - taken);
    CHECK_FALSE(budget.try_reserve(request(0, 0, 1'000 - taken + 1)));
    auto rest = budget.try_reserve(request(0, 0, 1'000 - taken));
    REQUIRE(rest);
    rest->release();
    auto moved = std::move(kept);
    CHECK(moved.tokens() == taken);
    CHECK(kept.tokens() == 0);  // NOLINT(bugprone-use-after-move): that is what is asked
    kept.release();             // NOLINT(bugprone-use-after-move): has nothing to give back
    CHECK(budget.system_status().reserved == taken);
  }
  CHECK(budget.system_status().reserved == 0);
  CHECK(budget.system_status().left() == 1'000);
  auto kept = budget.keep_aside(1'000, 1'000);
  kept.release();
  kept.release();
  CHECK(budget.system_status().left() == 1'000);
  const auto less_than_nothing = budget.keep_aside(-500, -500);  // is nothing, and lends nothing
  CHECK(less_than_nothing.tokens() == 0);
  CHECK_FALSE(budget.try_reserve(request(0, 0, 1'001)));
}

TEST_CASE("set_aside: is refused as a whole when a sum has no room for it", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 1'000};
  auto held = budget.reserve(request(500, 100, 100));  // planned 200, worst 600
  try {
    auto kept = budget.keep_aside(801, 0);
    FAIL("kept " << kept.tokens());
  } catch (const felix::budget_exceeded& refused) {
    CHECK(refused.asked() == 801);
    CHECK(refused.left() == (kind == cap_kind::hard ? 400 : 800));
  }
  { const auto kept = budget.keep_aside(800, 0); }
  if (kind == cap_kind::hard) {
    try {
      auto kept = budget.keep_aside(0, 401);
      FAIL("kept " << kept.tokens());
    } catch (const felix::budget_exceeded& refused) {
      CHECK(refused.asked() == 401);
      CHECK(refused.left() == 400);
    }
  } else {
    const auto kept = budget.keep_aside(0, 401);  // its worst case is nobody's concern
    CHECK(kept.tokens() == 0);
  }
  { const auto kept = budget.keep_aside(0, 400); }
  CHECK(budget.system_status().reserved == (kind == cap_kind::hard ? 600 : 200));
  held.release();
}

TEST_CASE("set_aside: a hard cap keeps its planned sum too", "[budget][ledger]") {
  plain_ledger budget{cap_kind::hard, 1'000};
  const auto kept = budget.keep_aside(700, 100);
  CHECK_FALSE(budget.try_reserve(request(100, 100, 201)));
  auto fits = budget.try_reserve(request(100, 100, 200));
  REQUIRE(fits);
  CHECK_FALSE(budget.try_reserve(request(0, 0, 1)));
  fits->release();
}

TEST_CASE("set_aside: grows and shrinks, and what does not fit changes nothing", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 1'000};
  auto held = budget.reserve(request(200, 200, 100));
  auto kept = budget.keep_aside(300, 300);
  CHECK(kept.resize(700, 700));
  CHECK(kept.tokens() == 700);
  CHECK(budget.system_status().left() == 0);
  CHECK_FALSE(kept.resize(701, 700));
  CHECK(kept.tokens() == 700);
  CHECK(kept.resize(700, 701) == (kind == cap_kind::planned));
  CHECK(kept.resize(100, 100));
  CHECK(budget.system_status().left() == 600);
  CHECK_FALSE(kept.resize(100, 701) == (kind == cap_kind::hard));
  CHECK(kept.resize(100, 100));
  CHECK(kept.resize(-100, -100));  // below 0 is 0: nothing is to be gained
  CHECK(kept.tokens() == 0);
  CHECK(budget.system_status().left() == 700);
  CHECK(kept.resize(50, 50));
  held.settle(used(200, 900));  // beyond the cap
  CHECK(budget.system_status().left() == 0);
  CHECK_FALSE(kept.resize(51, 51));
  CHECK(kept.resize(50, 50));
  CHECK(kept.resize(20, 20));
}

TEST_CASE("set_aside: a reservation takes from it first, and the rest stays", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 1'000};
  auto kept = budget.keep_aside(400, 400);
  auto held = budget.reserve(request(300, 300, 300));  // all but what is aside
  CHECK(budget.system_status().left() == 0);

  auto first = budget.try_reserve(request(50, 50, 100), kept);
  REQUIRE(first);
  CHECK(first->max_tokens() == 100);
  CHECK(kept.tokens() == 250);
  CHECK(budget.system_status().reserved == 1'000);
  CHECK_FALSE(budget.try_reserve(request(0, 0, 1)));  // what is left of it is still nobody else's

  CHECK_FALSE(budget.try_reserve(request(51, 51, 200), kept));
  CHECK(kept.tokens() == 250);
  CHECK(budget.system_status().reserved == 1'000);

  auto second = budget.try_reserve(request(50, 50, 300, reservation_size::what_is_left), kept);
  REQUIRE(second);
  CHECK(second->max_tokens() == 200);
  CHECK(kept.tokens() == 0);

  held.settle(used(300, 100));                                  // 200 are free again
  auto third = budget.try_reserve(request(50, 50, 150), kept);  // nothing is aside: out of what is free
  REQUIRE(third);
  CHECK(budget.system_status().left() == 0);
  first->release();
  second->release();
  third->release();
  CHECK(budget.system_status().reserved == 0);
  CHECK(budget.system_status().settled == 400);
}

TEST_CASE("set_aside: what it lacks is taken from what is free", "[budget][ledger]") {
  plain_ledger budget{cap_kind::hard, 1'000};
  auto kept = budget.keep_aside(400, 100);
  auto text = budget.try_reserve(request(300, 50, 200), kept);  // planned 250, worst 500
  REQUIRE(text);
  CHECK(kept.tokens() == 0);
  CHECK(budget.system_status().reserved == 500);
  CHECK(kept.resize(150, 0));  // of what was planned 150 stayed
  CHECK_FALSE(budget.try_reserve(request(0, 0, 601)));
  text->release();
}

TEST_CASE("set_aside: what an overrun has eaten of it does not stay", "[budget][ledger]") {
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  plain_ledger budget{kind, 1'000};
  auto kept = budget.keep_aside(400, 400);
  auto held = budget.reserve(request(300, 300, 300));
  held.settle(used(300, 400));  // 100 too many: 300 are left for what is aside
  CHECK(kept.tokens() == 400);
  auto text = budget.try_reserve(request(50, 50, 50), kept);
  REQUIRE(text);
  CHECK(kept.tokens() == 200);
  CHECK(budget.system_status().settled + budget.system_status().reserved == 1'000);
  CHECK_FALSE(budget.try_reserve(request(50, 50, 151), kept));
  text->release();
}

// --- Against a model: the sums recomputed from scratch, in the simplest way there is ---

namespace {

// What a ledger has to know, kept as plain lists.
struct book {
  struct open_request {
    felix::ledger::reservation slice;
    reservation_request asked;
    token_count answer;
    [[nodiscard]] token_count planned() const {
      const token_count prompt =
          asked.prompt_tokens_planned < 0 ? asked.prompt_tokens_at_most : asked.prompt_tokens_planned;
      return std::min(prompt, asked.prompt_tokens_at_most) + answer;
    }
    [[nodiscard]] token_count worst() const { return asked.prompt_tokens_at_most + answer; }
  };

  cap_kind kind;
  token_count cap;
  token_count min_stage;
  std::list<open_request> open = {};  // a reservation is not assigned, so a vector could not erase
  token_count settled = 0, answer_overrun = 0, prompt_overrun = 0;
  token_count aside_planned = 0, aside_worst = 0;
  std::map<felix::agent_id, token_count> answered = {};
  std::map<felix::agent_id, token_count> charged = {};

  [[nodiscard]] token_count planned() const {
    token_count sum = aside_planned;
    for (const auto& each : open) sum += each.planned();
    return sum;
  }
  [[nodiscard]] token_count worst() const {
    token_count sum = aside_worst;
    for (const auto& each : open) sum += each.worst();
    return sum;
  }
  [[nodiscard]] token_count reserved() const { return kind == cap_kind::hard ? worst() : planned(); }

  // What a ledger may grant: 0 for nothing.
  [[nodiscard]] token_count grant(const reservation_request& asked) const {
    token_count wanted = asked.answer_tokens;
    if (wanted == 0) {
      token_count left = 1'000;
      if (const auto found = answered.find(asked.agent); found != answered.end()) left -= found->second;
      for (const auto& each : open) left -= each.asked.agent == asked.agent ? each.answer : 0;
      wanted = std::min<token_count>(100, left);
      if (wanted < min_stage) return 0;
    }
    const token_count prompt = asked.prompt_tokens_planned < 0
                                   ? asked.prompt_tokens_at_most
                                   : std::min(asked.prompt_tokens_planned, asked.prompt_tokens_at_most);
    token_count room = cap - settled - planned() - prompt;
    if (kind == cap_kind::hard) room = std::min(room, cap - settled - worst() - asked.prompt_tokens_at_most);
    if (room >= wanted) return wanted;
    return asked.size == reservation_size::what_is_left && room >= std::min(min_stage, wanted) ? room : 0;
  }

  void close(const open_request& ended, const token_usage& usage) {
    const token_count over = usage.total_tokens - (kind == cap_kind::hard ? ended.worst() : ended.planned());
    if (over > 0) {
      const token_count by_answer = std::clamp<token_count>(usage.completion_tokens - ended.answer, 0, over);
      answer_overrun += by_answer;
      prompt_overrun += over - by_answer;
    }
    settled += usage.total_tokens;
    answered[ended.asked.agent] += usage.completion_tokens;
    charged[ended.asked.agent] += usage.total_tokens;
  }
};

// The first way in which a status is not what the book says, or breaks the invariant; "" if none.
std::string difference(const budget_status& status, const book& kept) {
  if (status.settled != kept.settled) return "settled";
  if (status.reserved != kept.reserved()) return "reserved";
  if (status.answer_overrun != kept.answer_overrun) return "answer_overrun";
  if (status.prompt_overrun != kept.prompt_overrun) return "prompt_overrun";
  if (status.settled + status.reserved > status.cap + overrun(status)) return "the invariant";
  token_count by_agents = 0;
  token_count by_roles = 0;
  for (const auto& [id, share] : status.agents) {
    by_agents += share.reserved;
    const auto of = [&](const std::map<felix::agent_id, token_count>& sums) {
      const auto found = sums.find(id);
      return found != sums.end() ? found->second : 0;
    };
    if (share.settled != of(kept.charged)) return "settled of " + std::string{id.name()};
    if (share.answer_tokens != of(kept.answered)) return "answers of " + std::string{id.name()};
  }
  for (const auto& [id, share] : status.roles) by_roles += share.reserved;
  const token_count aside = kept.kind == cap_kind::hard ? kept.aside_worst : kept.aside_planned;
  if (by_agents != status.reserved - aside) return "reserved by agents";
  if (by_roles != status.reserved - aside) return "reserved by roles";
  return "";
}

}  // namespace

TEST_CASE("ledger: thousands of random operations match the model at every step", "[budget][ledger]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{8}));
  const auto kind = GENERATE(cap_kind::hard, cap_kind::planned);
  const bool honest = GENERATE(true, false);  // honest: no answer beyond max_tokens, no prompt beyond its bound
  CAPTURE(seed, kind == cap_kind::hard, honest);
  felix::seeded_random random{seed};
  const auto up_to = [&](token_count limit) {  // 0 … limit
    return static_cast<token_count>(random.next() % static_cast<std::uint64_t>(limit + 1));
  };
  constexpr std::array agents{"a", "b", "c", "d", "e", "f"};
  book kept{.kind = kind, .cap = 20'000, .min_stage = 15};
  plain_ledger budget{kind, kept.cap, kept.min_stage};
  std::optional<felix::ledger::set_aside> aside;
  int granted_requests = 0;
  int refused_requests = 0;

  for (int step = 0; step < 1'500; ++step) {
    CAPTURE(step);
    const token_count what = up_to(9);
    if (what <= 4) {
      const std::string agent = agents[static_cast<std::size_t>(up_to(5))];
      const reservation_request asked{.agent = agent,
                                      .role = agent < "d" ? "r" : "s",
                                      .prompt_tokens_at_most = up_to(500),
                                      .prompt_tokens_planned = up_to(3) == 0 ? -1 : up_to(300),
                                      .answer_tokens = up_to(2) == 0 ? 0 : up_to(300),
                                      .size = up_to(1) == 0 ? reservation_size::whole : reservation_size::what_is_left};
      const bool from_aside = aside && what == 0;
      const token_count planned_before = kept.aside_planned;
      const token_count worst_before = kept.aside_worst;
      if (from_aside) kept.aside_planned = kept.aside_worst = 0;
      const token_count expected = kept.grant(asked);
      auto slice = from_aside ? budget.try_reserve(asked, *aside) : budget.try_reserve(asked);
      REQUIRE((slice ? slice->max_tokens() : 0) == expected);
      ++(slice ? granted_requests : refused_requests);
      if (slice) kept.open.push_back({std::move(*slice), asked, expected});
      if (from_aside && expected == 0) {
        kept.aside_planned = planned_before;
        kept.aside_worst = worst_before;
      } else if (from_aside) {
        const auto stays = [](token_count before, token_count taken, token_count room) {
          return std::max<token_count>(0, std::min(before - taken, room));
        };
        const token_count planned_room = kept.cap - kept.settled - kept.planned();
        const token_count worst_room = kept.cap - kept.settled - kept.worst();
        kept.aside_planned = stays(planned_before, kept.open.back().planned(), planned_room);
        kept.aside_worst = stays(worst_before, kept.open.back().worst(), worst_room);
      }
    } else if (what <= 7 && !kept.open.empty()) {
      const auto which = std::next(kept.open.begin(), up_to(static_cast<token_count>(kept.open.size()) - 1));
      book::open_request ended = std::move(*which);
      kept.open.erase(which);
      const token_count more = honest ? 0 : up_to(40);
      // Mostly small, so that a session takes long to end.
      const token_count prompt = up_to((ended.asked.prompt_tokens_at_most + more) / 8);
      const token_count answer = up_to((ended.answer + more) / 4);
      const token_usage usage = used(prompt, answer);  // drawn before: arguments have no order
      const token_count how = up_to(9);
      if (how == 0) {
        kept.close(ended, {.completion_tokens = ended.answer,
                           .total_tokens = kept.kind == cap_kind::hard ? ended.worst() : ended.planned()});
        const auto dropped = std::move(ended.slice);
      } else if (how <= 3) {
        ended.slice.release();
      } else if (how == 4) {
        const token_usage all = used(ended.asked.prompt_tokens_at_most + more, ended.answer + more / 2);
        kept.close(ended, all);
        ended.slice.settle(all);
      } else {
        kept.close(ended, usage);
        ended.slice.settle(usage);
      }
    } else if (what == 8 && !aside) {
      const token_count planned = up_to(2'000);
      const token_count worst = up_to(2'000);
      const bool fits = planned <= kept.cap - kept.settled - kept.planned() &&
                        (kind == cap_kind::planned || worst <= kept.cap - kept.settled - kept.worst());
      if (fits) {
        aside.emplace(budget.keep_aside(planned, worst));
        kept.aside_planned = planned;
        kept.aside_worst = worst;
      } else {
        REQUIRE_THROWS_AS(budget.keep_aside(planned, worst), felix::budget_exceeded);
      }
    } else if (aside && up_to(3) == 0) {
      aside.reset();
      kept.aside_planned = kept.aside_worst = 0;
    } else if (aside) {
      const token_count planned = up_to(2'500);
      const token_count worst = up_to(2'500);
      const bool fits =
          (planned <= kept.aside_planned || planned - kept.aside_planned <= kept.cap - kept.settled - kept.planned()) &&
          (kind == cap_kind::planned || worst <= kept.aside_worst ||
           worst - kept.aside_worst <= kept.cap - kept.settled - kept.worst());
      REQUIRE(aside->resize(planned, worst) == fits);
      if (fits) {
        kept.aside_planned = planned;
        kept.aside_worst = worst;
      }
    }
    const budget_status status = budget.system_status();
    REQUIRE(difference(status, kept) == "");
    if (honest && kind == cap_kind::hard) REQUIRE(status.settled + status.reserved <= status.cap);
  }
  CHECK(granted_requests > 50);
  CHECK(refused_requests > 50);
  if (honest && kind == cap_kind::hard) CHECK(overrun(budget.system_status()) == 0);
  if (!honest) CHECK(overrun(budget.system_status()) > 0);
}

// --- From several threads: Catch2's assertions are for one thread, so the others count ---

namespace {

struct tally {
  std::map<felix::agent_id, token_count> charged = {};
  std::map<felix::agent_id, token_count> answered = {};
  std::map<felix::agent_id, int> stages = {};
  int refused = 0;
};

void spend(plain_ledger& budget, std::uint64_t seed, tally& mine) {
  felix::seeded_random random{seed};
  const auto up_to = [&](token_count limit) {
    return static_cast<token_count>(random.next() % static_cast<std::uint64_t>(limit + 1));
  };
  constexpr std::array agents{"a", "b", "c", "d"};
  const auto charge = [&](const felix::agent_id& agent, const token_usage& usage) {
    if (usage.total_tokens == 0) return;
    mine.charged[agent] += usage.total_tokens;
    mine.answered[agent] += usage.completion_tokens;
    ++mine.stages[agent];
  };
  std::vector<std::pair<felix::ledger::reservation, reservation_request>> held;
  for (int step = 0; step < 1'500; ++step) {
    if (held.size() < 4 && up_to(2) != 0) {
      const reservation_request asked{.agent = agents[static_cast<std::size_t>(up_to(3))],
                                      .role = "r",
                                      .prompt_tokens_at_most = up_to(200),
                                      .prompt_tokens_planned = up_to(100)};
      if (auto slice = budget.try_reserve(asked)) {
        held.emplace_back(std::move(*slice), asked);
      } else {
        ++mine.refused;
      }
    } else if (!held.empty()) {
      auto [slice, asked] = std::move(held.back());
      held.pop_back();
      const token_count answer = slice.max_tokens();
      const token_count how = up_to(19);
      if (how == 0) {
        charge(asked.agent, used(asked.prompt_tokens_at_most, answer));
        const auto dropped = std::move(slice);
      } else if (how <= 9) {
        slice.release();
      } else {
        const token_count prompt = up_to(asked.prompt_tokens_at_most);
        const token_usage usage = used(prompt, up_to(answer));
        charge(asked.agent, usage);
        slice.settle(usage);
      }
    }
  }
  for (auto& [slice, asked] : held) slice.release();
}

// How often an instant of the ledger broke a promise.
int watch(const plain_ledger& budget, const std::atomic<bool>& done, int& looks) {
  int broken = 0;
  token_count settled_before = 0;
  do {
    const budget_status status = budget.system_status();
    broken += status.settled + status.reserved > status.cap;
    broken += status.reserved < 0;
    broken += status.settled < settled_before;
    settled_before = status.settled;
    token_count settled = 0;
    for (const auto& [id, share] : status.agents) {
      settled += share.settled;
      broken += share.answer_tokens > share.base_tokens;
      broken += share.reserved < 0;
    }
    broken += settled != status.settled;
    ++looks;
  } while (!done);
  return broken;
}

}  // namespace

TEST_CASE("ledger: four threads reserve, settle, drop and release, and the invariant holds at every instant",
          "[budget][ledger][threads]") {
  plain_ledger budget{cap_kind::hard, 60'000};
  budget.allotment = {.base_tokens = 30'000, .stage_max_tokens = 80};
  std::array<tally, 4> tallies;
  std::atomic<bool> done{false};
  int broken = 0;
  int looks = 0;
  std::thread watcher{[&] { broken = watch(budget, done, looks); }};
  std::vector<std::thread> spenders;
  for (std::size_t i = 0; i < tallies.size(); ++i)
    spenders.emplace_back([&budget, &mine = tallies[i], i] { spend(budget, 100 + i, mine); });
  for (auto& spender : spenders) spender.join();
  done = true;
  watcher.join();

  CHECK(broken == 0);
  CHECK(looks > 0);
  const budget_status status = budget.system_status();
  token_count charged = 0;
  int refused = 0;
  for (const auto& [id, share] : status.agents) {
    token_count of_agent = 0;
    token_count answered = 0;
    int stages = 0;
    for (auto& each : tallies) {
      of_agent += each.charged[id];
      answered += each.answered[id];
      stages += each.stages[id];
    }
    CHECK(share.settled == of_agent);
    CHECK(share.answer_tokens == answered);
    CHECK(share.stages == stages);
    charged += of_agent;
  }
  for (const auto& each : tallies) refused += each.refused;
  CHECK(status.settled == charged);
  CHECK(status.roles.at("r").settled == charged);
  CHECK(status.reserved == 0);
  CHECK(overrun(status) == 0);
  CHECK(refused > 0);  // the cap was reached, or nothing was tested
}

TEST_CASE("ledger: threads that want the last tokens get each of them once", "[budget][ledger][threads]") {
  plain_ledger budget{cap_kind::hard, 1'000};
  std::array<int, 4> got{};
  std::vector<std::thread> threads;
  for (int& mine : got) {
    threads.emplace_back([&budget, &mine] {
      while (auto slice = budget.try_reserve(request(0, 0, 1))) {
        slice->settle(used(0, 1));
        ++mine;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(got[0] + got[1] + got[2] + got[3] == 1'000);
  CHECK(budget.system_status().left() == 0);
}
