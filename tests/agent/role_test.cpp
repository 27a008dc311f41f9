// SPDX-License-Identifier: MIT
// agent: temperatures fall with depth, by the vectors of the original; who reads whom; a user's role.
#include <felix/agent/role.hpp>

#include "support/catch.hpp"

#include <array>
#include <string>
#include <vector>

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;
using felix::role_id;

static_assert(felix::temperature_range{.low = 0.25, .high = 0.75}.at(0.5) == 0.5);

TEST_CASE("temperature_range: from high at the top to low at the bottom", "[agent][role][D1]") {
  struct row {
    felix::role who;
    std::array<double, 5> at;  // depths 0, 0.25, 0.5, 0.75, 1
  };
  const std::vector<row> rows{{felix::roles::research, {0.9, 0.775, 0.65, 0.525, 0.4}},
                              {felix::roles::analysis, {0.7, 0.575, 0.45, 0.325, 0.2}},
                              {felix::roles::synthesis, {0.5, 0.4, 0.3, 0.2, 0.1}},
                              {felix::roles::critic, {0.6, 0.475, 0.35, 0.225, 0.1}},
                              {felix::role{}, {0.9, 0.7, 0.5, 0.3, 0.1}}};
  for (const auto& [who, at] : rows) {
    CAPTURE(std::string{who.name.name()});
    for (std::size_t quarter = 0; quarter < at.size(); ++quarter)
      CHECK_THAT(who.temperature.at(static_cast<double>(quarter) / 4), WithinAbs(at[quarter], 1e-12));
  }
}

TEST_CASE("temperature_range: nothing outside of it, one that rises included", "[agent][role]") {
  constexpr felix::temperature_range falls{.low = 0.2, .high = 0.4};
  CHECK(falls.at(-1) == 0.4);
  CHECK(falls.at(2) == 0.2);
  constexpr felix::temperature_range rises{.low = 0.8, .high = 0.3};
  CHECK_THAT(rises.at(0), WithinAbs(0.3, 1e-12));
  CHECK(rises.at(1) == 0.8);
  CHECK(rises.at(2) == 0.8);
  constexpr felix::temperature_range flat{.low = 0.5, .high = 0.5};
  CHECK(flat.at(0) == 0.5);
  CHECK(flat.at(1) == 0.5);
}

TEST_CASE("roles: their names, curves and prompts", "[agent][role]") {
  struct row {
    felix::role who;
    std::string name;
    felix::confidence_curve curve;
  };
  const std::vector<row> rows{{felix::roles::research, "research", {.base = 0.3, .span = 0.3, .cap = 0.6}},
                              {felix::roles::analysis, "analysis", {.base = 0.4, .span = 0.3, .cap = 0.7}},
                              {felix::roles::synthesis, "synthesis", {.base = 0.6, .span = 0.35, .cap = 0.95}},
                              {felix::roles::critic, "critic", {.base = 0.5, .span = 0.3, .cap = 0.8}},
                              {felix::role{}, "general", {.base = 0.3, .span = 0.4, .cap = 0.7}}};
  for (const auto& [who, name, curve] : rows) {
    CAPTURE(name);
    CHECK(who.name == role_id{name});
    CHECK(static_cast<role_id>(who) == role_id{name});
    CHECK(who.confidence.base == curve.base);
    CHECK(who.confidence.span == curve.span);
    CHECK(who.confidence.cap == curve.cap);
    CHECK_THAT(who.prompt({}), ContainsSubstring("the " + name + " agent"));
  }
}

TEST_CASE("role: reads whom it names, or everybody", "[agent][role]") {
  const std::array<role_id, 5> others{"research", "analysis", "critic", "synthesis", "translator"};
  const auto read_by = [&](const felix::role& who) {
    std::string letters;
    for (const role_id& other : others) letters += who.reads_from(other) ? other.name().front() : '-';
    return letters;
  };
  CHECK(read_by(felix::roles::research) == "racst");
  CHECK(read_by(felix::roles::analysis) == "r-c--");
  CHECK(read_by(felix::roles::critic) == "ra-s-");
  CHECK(read_by(felix::roles::synthesis) == "racst");
  CHECK(read_by(felix::role{.name = "editor", .reads = {"translator"}}) == "----t");
}

TEST_CASE("role: a user's own is data and one function", "[agent][role]") {
  const felix::role translator{.name = "translator", .temperature = {0.2, 0.4}, .prompt = [](const felix::brief& b) {
                                 return "Translate into French: " + b.task;
                               }};
  CHECK(translator.prompt({.task = "river"}) == "Translate into French: river");
  CHECK(translator.temperature.at(0) == 0.4);
  CHECK(translator.reads_from("research"));
  CHECK(translator.confidence.cap == 0.7);
}
