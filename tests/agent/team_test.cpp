// SPDX-License-Identifier: MIT
// agent: the guide's teams, and draws that depend on the seed, the role and the number alone.
#include <felix/agent/team.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

using felix::team;
using felix::team_member;

namespace {

struct expected_member {
  std::string id, role, focus;
  double from, to;
};

const std::vector<expected_member> simple{{"research_001", "research", "general", 0.05, 0.25},
                                          {"analysis_001", "analysis", "general", 0.30, 0.70},
                                          {"synthesis_001", "synthesis", "general", 0.70, 0.95}};
const std::vector<expected_member> medium{
    {"research_001", "research", "general", 0.02, 0.20}, {"research_002", "research", "technical", 0.02, 0.20},
    {"analysis_001", "analysis", "general", 0.25, 0.65}, {"analysis_002", "analysis", "critical", 0.25, 0.65},
    {"critic_001", "critic", "accuracy", 0.60, 0.80},    {"synthesis_001", "synthesis", "general", 0.80, 0.95}};
const std::vector<expected_member> complex{{"research_001", "research", "general", 0.01, 0.25},
                                           {"research_002", "research", "technical", 0.01, 0.25},
                                           {"research_003", "research", "creative", 0.01, 0.25},
                                           {"analysis_001", "analysis", "general", 0.20, 0.70},
                                           {"analysis_002", "analysis", "technical", 0.20, 0.70},
                                           {"analysis_003", "analysis", "critical", 0.20, 0.70},
                                           {"critic_001", "critic", "accuracy", 0.60, 0.80},
                                           {"critic_002", "critic", "completeness", 0.60, 0.80},
                                           {"synthesis_001", "synthesis", "report", 0.80, 0.98},
                                           {"synthesis_002", "synthesis", "executive summary", 0.80, 0.98}};

std::vector<double> times_and_velocities(const std::vector<team_member>& members) {
  std::vector<double> drawn;
  for (const auto& member : members) {
    drawn.push_back(member.spawn_time);
    drawn.push_back(member.velocity);
  }
  return drawn;
}

std::string refusal(felix::role who, std::size_t count, felix::member_options options = {}) {
  team kept;
  try {
    kept.add(std::move(who), count, std::move(options));
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_option);
    CHECK(kept.size() == 0);
    return refused.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("teams: ids, roles, focus and spawn ranges of the guide's three", "[agent][team]") {
  struct row {
    team made;
    const std::vector<expected_member>* expected;
  };
  const std::vector<row> rows{
      {felix::teams::simple(), &simple}, {felix::teams::medium(), &medium}, {felix::teams::complex(), &complex}};
  for (const auto& [made, expected] : rows) {
    REQUIRE(made.size() == expected->size());
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      CAPTURE(seed);
      const auto members = made.draw(seed);
      REQUIRE(members.size() == expected->size());
      for (std::size_t i = 0; i < members.size(); ++i) {
        const auto& member = members[i];
        const auto& wanted = (*expected)[i];
        REQUIRE(member.id == felix::agent_id{wanted.id});
        REQUIRE(member.role.name == felix::role_id{wanted.role});
        REQUIRE(member.focus == wanted.focus);
        REQUIRE(member.spawn_time >= wanted.from);
        REQUIRE(member.spawn_time <= wanted.to);
        REQUIRE(member.velocity >= 0.7);
        REQUIRE(member.velocity <= 1.3);
        const bool same_role = i > 0 && members[i - 1].role.name == member.role.name;
        if (same_role) REQUIRE(members[i - 1].spawn_time <= member.spawn_time);
      }
    }
  }
}

TEST_CASE("teams: spawn times and velocities use their whole ranges", "[agent][team]") {
  struct row {
    team made;
    const std::vector<expected_member>* expected;
  };
  const std::vector<row> rows{
      {felix::teams::simple(), &simple}, {felix::teams::medium(), &medium}, {felix::teams::complex(), &complex}};
  for (const auto& [made, expected] : rows) {
    std::map<std::string, double> earliest, latest;  // by role
    double slowest = 2;
    double fastest = 0;
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
      const auto members = made.draw(seed);
      for (std::size_t i = 0; i < members.size(); ++i) {
        const std::string& role = (*expected)[i].role;
        earliest[role] = std::min(earliest.try_emplace(role, 1).first->second, members[i].spawn_time);
        latest[role] = std::max(latest[role], members[i].spawn_time);
        slowest = std::min(slowest, members[i].velocity);
        fastest = std::max(fastest, members[i].velocity);
      }
    }
    for (const auto& wanted : *expected) {
      CAPTURE(wanted.id);
      CHECK(earliest[wanted.role] < wanted.from + 0.02 * (wanted.to - wanted.from));
      CHECK(latest[wanted.role] > wanted.to - 0.02 * (wanted.to - wanted.from));
    }
    CHECK(slowest < 0.71);
    CHECK(fastest > 1.29);
  }
}

TEST_CASE("team: a seed repeats a draw, another gives another", "[agent][team]") {
  const team made = felix::teams::complex();
  std::set<std::vector<double>> draws;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto drawn = times_and_velocities(made.draw(seed));
    CHECK(drawn == times_and_velocities(made.draw(seed)));
    draws.insert(drawn);
  }
  CHECK(draws.size() == 50);
  const auto members = made.draw(7);
  std::set<double> velocities;
  for (const auto& member : members) velocities.insert(member.velocity);
  CHECK(velocities.size() == members.size());  // nor do two agents of a team draw the same
}

TEST_CASE("team: an agent's draw does not depend on who else is in the team", "[agent][team]") {
  const auto alone = team{}.add(felix::roles::critic, 1, {.spawn = {0.6, 0.8}}).draw(11);
  const auto among_others = team{}
                                .add(felix::roles::research, 3)
                                .add(felix::roles::critic, 1, {.spawn = {0.6, 0.8}})
                                .add(felix::roles::synthesis, 2)
                                .draw(11);
  CHECK(among_others[3].id == alone[0].id);
  CHECK(among_others[3].spawn_time == alone[0].spawn_time);
  CHECK(among_others[3].velocity == alone[0].velocity);
}

TEST_CASE("team: groups of one role are numbered on, each with its own range and focus", "[agent][team]") {
  const auto members = team{}
                           .add(felix::roles::research, 2, {.spawn = {0.5, 0.5}, .focus = {"early"}})
                           .add(felix::roles::critic, 1)
                           .add(felix::roles::research, 3, {.spawn = {0.9, 0.9}, .focus = {"late", "last"}})
                           .draw(3);
  std::vector<std::string> shown;
  for (const auto& member : members)
    shown.push_back(std::string{member.id.name()} + " " + member.focus + (member.spawn_time == 0.9 ? "!" : ""));
  CHECK(shown == std::vector<std::string>{"research_001 early", "research_002 early", "critic_001 ",
                                          "research_003 late!", "research_004 last!", "research_005 last!"});
  CHECK(members[0].spawn_time == 0.5);
}

TEST_CASE("team: numbers have three digits, up to 999 agents in a group", "[agent][team]") {
  const auto members = team{}.add(felix::roles::research, 999).draw(0);
  CHECK(members[8].id == "research_009");
  CHECK(members[9].id == "research_010");
  CHECK(members[99].id == "research_100");
  CHECK(members[998].id == "research_999");
}

TEST_CASE("team: is a value: add changes a named one, and makes a new one of a temporary", "[agent][team]") {
  team named;
  CHECK(named.size() == 0);
  CHECK(named.draw(0).empty());
  team& same = named.add(felix::roles::research, 2).add(felix::roles::critic, 1);
  CHECK(&same == &named);
  CHECK(named.size() == 3);

  const team copy = named;
  named.add(felix::roles::synthesis, 1);
  CHECK(copy.size() == 3);
  CHECK(named.size() == 4);

  static_assert(std::is_same_v<decltype(team{}.add(felix::roles::critic, 1)), team>, "a reference would dangle");
  const auto& bound = team{}.add(felix::roles::research, 1).add(felix::roles::critic, 2);
  CHECK(bound.size() == 3);
}

TEST_CASE("team: what cannot be a group is refused, and adds nothing", "[agent][team]") {
  const felix::role nameless{.name = ""};
  felix::role mute = felix::roles::critic;
  mute.prompt = nullptr;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string range = "team: role \"critic\": spawn has to be a range inside 0 to 1, such as {0.2, 0.7}";
  CHECK(refusal(felix::roles::critic, 1) == "accepted");
  CHECK(refusal(felix::roles::critic, 1, {.spawn = {0, 1}}) == "accepted");
  CHECK(refusal(felix::roles::critic, 1, {.spawn = {0.5, 0.5}}) == "accepted");
  CHECK(refusal(nameless, 1) == "team: role \"\": has no name; set role::name");
  CHECK(refusal(mute, 1) == "team: role \"critic\": has no prompt; set role::prompt");
  CHECK(refusal(felix::roles::critic, 0) == "team: role \"critic\": count is 0; use 1 to 999");
  CHECK(refusal(felix::roles::critic, 1'000) == "team: role \"critic\": count is 1000; use 1 to 999");
  CHECK(refusal(felix::roles::critic, 1, {.spawn = {-0.1, 0.5}}) == range);
  CHECK(refusal(felix::roles::critic, 1, {.spawn = {0.5, 1.1}}) == range);
  CHECK(refusal(felix::roles::critic, 1, {.spawn = {0.6, 0.5}}) == range);
  CHECK(refusal(felix::roles::critic, 1, {.spawn = {nan, 0.5}}) == range);
  CHECK(refusal(felix::roles::critic, 1, {.spawn = {0.1, nan}}) == range);
  CHECK(refusal({.name = std::string(27, 'x')}, 1) == "accepted");
  CHECK(refusal({.name = std::string(28, 'x')}, 1) ==
        "team: role \"" + std::string(28, 'x') + "\": is longer than 27 bytes, agents' names add 4");
  CHECK(team{}.add({.name = std::string(27, 'x')}, 1).draw(0)[0].id == felix::agent_id{std::string(27, 'x') + "_001"});
}

TEST_CASE("team: the prompt of a role can be another one, in all of its groups", "[agent][team]") {
  auto who = felix::teams::medium();
  CHECK(who.set_prompt("research", [](const felix::brief& about) { return "Find " + about.task; }));
  CHECK_FALSE(who.set_prompt("translator", felix::prompts::general));
  int found = 0;
  for (const auto& member : who.draw(1)) {
    const std::string told = member.role.prompt({.task = "tea"});
    if (member.role.name == felix::role_id{"research"}) {
      ++found;
      CHECK(told == "Find tea");
    } else {
      CHECK(told.find("You are the ") == 0);
    }
  }
  CHECK(found == 2);
}

TEST_CASE("team: a role is changed for all of its agents", "[agent][team]") {
  felix::team who = felix::teams::medium();
  felix::role changed = felix::roles::research;
  changed.temperature = {0.1, 0.2};
  CHECK(who.set_role(changed));
  int found = 0;
  for (const auto& member : who.draw(1)) {
    const bool is_research = member.role.name == felix::roles::research.name;
    found += is_research && member.role.temperature.high == 0.2 ? 1 : 0;
  }
  CHECK(found == 2);
  CHECK(who.size() == 6);
  CHECK_FALSE(who.set_role({.name = "translator"}));
  changed.prompt = nullptr;
  CHECK_THROWS_AS(who.set_role(changed), felix::error);
}
