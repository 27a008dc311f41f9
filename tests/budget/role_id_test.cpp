// SPDX-License-Identifier: MIT
// budget: names that are copied as plain bytes, compared by their letters, and never longer than their place.
#include <felix/budget/role_id.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <concepts>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

using felix::agent_id;
using felix::role_id;

static_assert(std::is_trivially_copyable_v<role_id> && std::is_trivially_destructible_v<role_id>,
              "it stands in awaited expressions: g++ 12 destroys what is not trivial twice");
static_assert(std::is_trivially_copyable_v<agent_id> && std::is_trivially_destructible_v<agent_id>);
static_assert(std::is_nothrow_default_constructible_v<role_id>);
static_assert(std::totally_ordered<role_id> && std::totally_ordered<agent_id>);
static_assert(!std::is_constructible_v<role_id, agent_id> && !std::is_constructible_v<agent_id, role_id>,
              "an agent is no role");
static_assert(!std::equality_comparable_with<role_id, agent_id>);
static_assert(std::is_convertible_v<const char*, role_id> && std::is_convertible_v<std::string, role_id> &&
              std::is_convertible_v<std::string_view, role_id>);
static_assert(role_id{"critic"}.name() == "critic" && role_id{}.empty());

TEST_CASE("role_id: holds the name itself, not a view of it", "[budget][role_id]") {
  std::string text = "research";
  const role_id by_string = text;
  const role_id by_view = std::string_view{text};
  const agent_id agent = text;
  text = "overwritten";
  CHECK(by_string.name() == "research");
  CHECK(by_view.name() == "research");
  CHECK(agent.name() == "research");
  CHECK_FALSE(by_string.empty());
}

TEST_CASE("role_id: no name is empty, and equals every other way to say so", "[budget][role_id]") {
  const role_id none;
  CHECK(none.empty());
  CHECK(none.name().empty());
  CHECK(none == role_id{""});
  CHECK(none != role_id{"a"});
  CHECK(none < role_id{"a"});
}

TEST_CASE("role_id: up to 31 bytes fit, and one more is refused, never cut", "[budget][role_id]") {
  const std::string fits(31, 'x');
  CHECK(role_id{fits}.name() == fits);
  CHECK(agent_id{fits}.name() == fits);
  const std::string too_long(32, 'x');
  try {
    const role_id name{too_long};
    FAIL("accepted " << name.name());
  } catch (const felix::error& refused) {
    CHECK(refused.code() == felix::errc::invalid_argument);
    CHECK(std::string{refused.what()} == "name \"" + too_long + "\": is longer than 31 bytes; shorten it");
  }
  CHECK_THROWS_AS(agent_id{too_long.c_str()}, felix::error);
  CHECK_THROWS_AS(agent_id{std::string_view{too_long}}, felix::error);
}

TEST_CASE("role_id: is compared by its letters, all of them and no more", "[budget][role_id]") {
  CHECK(role_id{"research"} == "research");
  CHECK(role_id{"research"} != "researcher");  // a prefix is another name
  CHECK(role_id{"Research"} != role_id{"research"});
  const role_id with_zero{std::string_view{"a\0", 2}};
  CHECK(with_zero != role_id{"a"});
  CHECK(with_zero.name().size() == 2);
  CHECK_FALSE(role_id{std::string_view{"\0", 1}}.empty());
  CHECK(role_id{"re"} < role_id{"research"});
  CHECK(role_id{"analysis"} < role_id{"critic"});
  CHECK((role_id{"critic"} <=> role_id{"critic"}) == std::strong_ordering::equal);

  role_id reused = "a much longer name";
  reused = "short";
  CHECK(reused == role_id{"short"});  // what is left of the longer name does not count
}

TEST_CASE("agent_id: is a key in the order of its letters", "[budget][role_id]") {
  std::map<agent_id, int> counts;
  for (const char* name : {"research_010", "research_002", "analysis_001", "research_002"}) ++counts[name];
  std::vector<std::string> names;
  for (const auto& [id, count] : counts) names.emplace_back(id.name());
  CHECK(names == std::vector<std::string>{"analysis_001", "research_002", "research_010"});
  CHECK(counts["research_002"] == 2);
}
