// SPDX-License-Identifier: MIT
// agent: which tick each stage has, in one order for all, and how roles share the cap.
#include <felix/agent/detail/stage_plan.hpp>

#include <felix/budget/token_budget.hpp>
#include "support/catch.hpp"

#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using felix::team_member;
using felix::tick_count;
using felix::token_count;
using felix::detail::last_tick;
using felix::detail::planned_stage;
using felix::detail::role_shares;
using felix::detail::spawn_tick;
using felix::detail::stage_order;

namespace {

team_member member(const felix::role& who, double spawn_time) { return {.role = who, .spawn_time = spawn_time}; }

// "tick:member" of each stage.
std::string shown(const std::vector<planned_stage>& stages) {
  std::string text;
  for (const auto& stage : stages) {
    if (!text.empty()) text += ' ';
    text += std::to_string(stage.tick) + ":" + std::to_string(stage.member);
  }
  return text;
}

// 100 tokens for each role's agent, or more for those that the test names.
struct sized_allotment {
  felix::allotment operator()(const felix::role_id& role) const noexcept {
    if (role.name() == "research") return {.base_tokens = 300, .stage_max_tokens = 50};
    if (role.name() == "none") return {};
    return {.base_tokens = 100, .stage_max_tokens = 50};
  }
};
using sized_budget = felix::token_budget<sized_allotment, felix::no_taper, felix::planned_cap>;

// Two researchers, an analyst and a writer, each with `stages` stages: shares of 600, 100 and 100 parts of 800.
struct plan {
  explicit plan(token_count cap, std::size_t stages)
      : budget{{.session_cap_tokens = cap}},
        members{member(felix::roles::research, 0), member(felix::roles::research, 0), member(felix::roles::analysis, 0),
                member(felix::roles::synthesis, 0)} {
    for (std::size_t i = 0; i < stages; ++i) {
      for (std::size_t who = 0; who < members.size(); ++who) order.push_back({who, static_cast<tick_count>(4 * i)});
    }
  }
  sized_budget budget;
  std::vector<team_member> members;
  std::vector<planned_stage> order;
};

token_count room(const role_shares& shares, const char* name, token_count dearest) {
  return shares.room(name, [dearest](const felix::role_id&) { return dearest; });
}

}  // namespace

TEST_CASE("last_tick: the time in ticks of 0.05, rounded down but for what binary fractions lose",
          "[agent][stage_plan]") {
  struct row {
    double time;
    tick_count last;
  };
  const auto [time, last] = GENERATE(values<row>({{0.01, 0},
                                                  {0.049, 0},
                                                  {0.05, 1},
                                                  {0.099, 1},
                                                  {0.1, 2},
                                                  {0.15, 3},
                                                  {0.3, 6},  // 0.3 / 0.05 is below 6 in binary
                                                  {0.34, 6},
                                                  {0.35, 7},
                                                  {0.7, 14},
                                                  {1.0, 20},
                                                  {1.04, 20},
                                                  {2.0, 40},
                                                  {1e6, 20'000'000}}));
  CAPTURE(time);
  CHECK(last_tick(time) == last);
}

TEST_CASE("last_tick: every whole number of ticks is that number", "[agent][stage_plan]") {
  for (tick_count tick = 0; tick <= 2'000; ++tick) {
    REQUIRE(last_tick(static_cast<double>(tick) * 0.05) == tick);
    REQUIRE(last_tick(static_cast<double>(tick) / 20) == tick);
  }
}

TEST_CASE("spawn_tick: rounded up, and in proportion in a run below 1", "[agent][stage_plan]") {
  struct row {
    double spawn, time;
    tick_count tick;
  };
  const auto [spawn, time, tick] = GENERATE(values<row>({{0.0, 1.0, 0},
                                                         {0.001, 1.0, 1},
                                                         {0.05, 1.0, 1},
                                                         {0.051, 1.0, 2},
                                                         {0.15, 1.0, 3},
                                                         {0.35, 1.0, 7},
                                                         {0.8, 1.0, 16},
                                                         {0.98, 1.0, 20},
                                                         {1.0, 1.0, 20},
                                                         {0.8, 2.0, 16},  // a longer run does not spawn later
                                                         {0.8, 0.5, 8},
                                                         {0.75, 0.8, 12},  // 0.75 * 0.8 / 0.05 is above 12 in binary
                                                         {0.81, 0.5, 9},
                                                         {0.5, 0.3, 3},
                                                         {0.8, 0.3, 5},
                                                         {0.98, 0.3, 6},
                                                         {0.02, 0.05, 1},
                                                         {0.98, 0.05, 1},
                                                         {0.5, 0.01, 0}}));  // never after the last tick
  CAPTURE(spawn, time);
  CHECK(spawn_tick(spawn, time) == tick);
}

TEST_CASE("spawn_tick: everyone has a stage, however short the run", "[agent][stage_plan]") {
  for (const double time : {0.01, 0.05, 0.07, 0.3, 0.55, 0.999, 1.0, 2.0}) {
    for (int hundredth = 0; hundredth <= 100; ++hundredth) {
      CAPTURE(time, hundredth);
      REQUIRE(spawn_tick(hundredth / 100.0, time) >= 0);
      REQUIRE(spawn_tick(hundredth / 100.0, time) <= last_tick(time));
    }
  }
}

TEST_CASE("stage_order: from the spawn tick on every fourth, by tick and then by place in the team",
          "[agent][stage_plan][D19]") {
  const std::vector<team_member> members{member(felix::roles::research, 0.1), member(felix::roles::critic, 0.0),
                                         member(felix::roles::analysis, 0.28), member(felix::roles::research, 0.1)};
  CHECK(shown(stage_order(members, 0.5)) == "0:1 1:0 1:3 3:2 4:1 5:0 5:3 7:2 8:1 9:0 9:3");
  CHECK(shown(stage_order(members, 1.0)) ==
        "0:1 2:0 2:3 4:1 6:0 6:2 6:3 8:1 10:0 10:2 10:3 12:1 14:0 14:2 14:3 16:1 18:0 18:2 18:3 20:1");
  CHECK(shown(stage_order(members, 0.05)) == "0:1 1:0 1:2 1:3");
  CHECK(shown(stage_order(members, 0.01)) == "0:0 0:1 0:2 0:3");
  CHECK(stage_order({}, 1.0).empty());
}

TEST_CASE("stage_order: a run of 2 spawns as one of 1 does, and goes on", "[agent][stage_plan]") {
  const auto members = felix::teams::complex().draw(5);
  const auto once = stage_order(members, 1.0);
  const auto twice = stage_order(members, 2.0);
  REQUIRE(twice.size() > once.size());
  CHECK(shown({twice.begin(), twice.begin() + static_cast<std::ptrdiff_t>(once.size())}) == shown(once));
  CHECK(twice.back().tick > 36);
  CHECK(twice.back().tick <= 40);
}

TEST_CASE("role_shares: the cap is shared by base budget times agents", "[agent][stage_plan]") {
  const plan made{8'000, 2};
  const role_shares shares{made.members, made.order, made.budget};
  CHECK(shares.share_of("research") == 6'000);
  CHECK(shares.share_of("analysis") == 1'000);
  CHECK(shares.share_of("synthesis") == 1'000);
  CHECK(shares.share_of("critic") == 0);
}

TEST_CASE("role_shares: the guide's teams under the guide's caps", "[agent][stage_plan]") {
  const felix::strict_budget strict;
  const auto medium = felix::teams::medium().draw(0);
  const role_shares tight{medium, {}, strict};  // 2 × 400, 2 × 350, 250, 300: 2,050 in all
  CHECK(tight.share_of("research") == 780);
  CHECK(tight.share_of("analysis") == 682);
  CHECK(tight.share_of("critic") == 243);
  CHECK(tight.share_of("synthesis") == 292);
  const felix::normal_budget normal;
  const auto simple = felix::teams::simple().draw(0);
  const role_shares wide{simple, {}, normal};  // 1,440, 1,200 and 960
  CHECK(wide.share_of("research") == 4'000);
  CHECK(wide.share_of("analysis") == 3'333);
  CHECK(wide.share_of("synthesis") == 2'666);
}

TEST_CASE("role_shares: of the largest cap there is, too, exact shares", "[agent][stage_plan]") {
  constexpr token_count most = std::numeric_limits<token_count>::max();
  const plan made{most, 1};
  const role_shares shares{made.members, made.order, made.budget};
  CHECK(shares.share_of("research") == most / 4 * 3 + 2);  // most = 4n + 3, so three quarters are 3n + 2.25
  CHECK(shares.share_of("analysis") == most / 8);
}

TEST_CASE("role_shares: roles without a budget, and teams without any, get nothing", "[agent][stage_plan]") {
  const felix::role idle{.name = "none"};
  const sized_budget budget{{.session_cap_tokens = 1'000}};
  const std::vector<team_member> nobody_pays{member(idle, 0)};
  const role_shares broke{nobody_pays, {{0, 0}}, budget};
  CHECK(broke.share_of("none") == 0);
  CHECK(room(broke, "none", 100) == 0);
  const std::vector<team_member> mixed{member(idle, 0), member(felix::roles::critic, 0)};
  const role_shares shares{mixed, {}, budget};
  CHECK(shares.share_of("none") == 0);
  CHECK(shares.share_of("critic") == 1'000);
}

TEST_CASE("role_shares: a role has its share, and what others can no longer use", "[agent][stage_plan]") {
  const plan made{8'000, 2};  // 4 stages of research, 2 of analysis, 2 of synthesis
  role_shares shares{made.members, made.order, made.budget};
  CHECK(room(shares, "research", 1'500) == 6'000);        // 2 × 1,500 exceed what the others have
  CHECK(room(shares, "analysis", 1'500) == 1'000);        // 4 × 1,500 are all that research has
  CHECK(room(shares, "analysis", 1'400) == 1'000 + 400);  // 4 × 1,400 leave 400 of it
  CHECK(room(shares, "research", 400) == 6'000 + 200 + 200);
  CHECK(room(shares, "critic", 400) == 4'400 + 200 + 200);  // no share: the pool alone

  const auto by_name = [](const felix::role_id& name) { return name == "synthesis" ? 100 : 1'400; };
  CHECK(shares.room("analysis", by_name) == 1'000 + 400 + 800);  // each by its own dearest stage

  shares.change_stages_left("research", -1);
  CHECK(room(shares, "analysis", 1'400) == 1'000 + 1'800);
  shares.add("research", 1'400);
  CHECK(room(shares, "analysis", 1'400) == 1'000 + 400);
  CHECK(room(shares, "research", 400) == 4'600 + 200 + 200);
  shares.add("research", -600);  // settled below what was planned
  CHECK(room(shares, "research", 400) == 5'200 + 200 + 200);
  CHECK(shares.share_of("research") == 6'000);
}

TEST_CASE("role_shares: what a role has drawn from the pool is not there twice", "[agent][stage_plan]") {
  const plan made{8'000, 1};  // 2 stages of research, 1 of analysis, 1 of synthesis
  role_shares shares{made.members, made.order, made.budget};
  CHECK(room(shares, "analysis", 500) == 1'000 + 5'000 + 500);
  shares.add("analysis", 3'000);  // 2,000 of it from the pool
  CHECK(room(shares, "analysis", 500) == 0 + 5'000 + 500 - 2'000);
  CHECK(room(shares, "research", 500) == 6'000 + 0);  // the pool of others is overdrawn, its own share is not
  CHECK(room(shares, "synthesis", 500) == 1'000 + 5'000 - 2'000);
  shares.add("analysis", 5'000);  // far beyond everything
  CHECK(room(shares, "analysis", 500) == 0);
  CHECK(room(shares, "synthesis", 500) == 1'000);
}

TEST_CASE("role_shares: a share that is set aside is neither its role's nor the pool's", "[agent][stage_plan]") {
  const plan made{8'000, 1};
  role_shares shares{made.members, made.order, made.budget};
  shares.set_aside("synthesis");
  CHECK(shares.share_of("synthesis") == 1'000);
  CHECK(room(shares, "research", 100) == 6'000 + 900);
  CHECK(room(shares, "synthesis", 1'000) == 0 + 4'000 + 0);  // its stages draw on the pool alone
  shares.add("synthesis", 300);
  CHECK(room(shares, "synthesis", 1'000) == 4'000 - 300);
  CHECK(room(shares, "analysis", 1'000) == 1'000 + 4'000 - 300);
}
