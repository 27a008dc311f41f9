// SPDX-License-Identifier: MIT
// budget: amounts are exact, and what does not fit stays at the most.
#include <felix/budget/money.hpp>

#include <felix/error.hpp>
#include "support/catch.hpp"

#include <limits>
#include <string>
#include <type_traits>

using Catch::Matchers::ContainsSubstring;
using felix::money;

static_assert(money{"0.15"}.nano_units() == 150'000'000);
static_assert(std::is_trivially_copyable_v<money>);

namespace {

constexpr auto most = std::numeric_limits<std::int64_t>::max();
constexpr auto least = std::numeric_limits<std::int64_t>::min();

}  // namespace

TEST_CASE("money: decimal numbers", "[budget][money]") {
  CHECK(money{}.nano_units() == 0);
  CHECK(money{"0"}.nano_units() == 0);
  CHECK(money{"2"}.nano_units() == 2'000'000'000);
  CHECK(money{"0.000000001"}.nano_units() == 1);
  CHECK(money{"12.345678901"}.nano_units() == 12'345'678'901);
  CHECK(money{"007.50"}.nano_units() == 7'500'000'000);
  CHECK(money{"8999999999.999999999"}.nano_units() == 8'999'999'999'999'999'999);
}

TEST_CASE("money: what is no amount", "[budget][money]") {
  for (const char* text : {"",           ".",    "1.",
                           ".5",         "-1",   "+1",
                           "1e3",        "0,15", "0.1.5",
                           " 1",         "1 ",   "0.0000000001",
                           "9000000000", "$1",   "99999999999999999999999999",
                           "0.1x",       "x",    "1/2",
                           "1:2",        "0./",  "0.:"}) {
    CAPTURE(text);
    CHECK_FALSE(money::parse(text).has_value());
    CHECK_THROWS_AS(money{text}, felix::error);
  }
  CHECK_THROWS_WITH(money{"0,15"}, ContainsSubstring("money \"0,15\": is not an amount"));
  try {
    (void)money{"x"};
    FAIL("no exception");
  } catch (const felix::error& failure) {
    CHECK(failure.code() == felix::errc::invalid_argument);
  }
}

TEST_CASE("money: reads as it was written", "[budget][money]") {
  for (const std::string text : {"0", "0.15", "3", "0.000000001", "10.5", "8999999999.999999999"})
    CHECK(money{text}.text() == text);
  CHECK(money::of_nano_units(-1).text() == "-0.000000001");
  CHECK(money::of_nano_units(-2'500'000'000).text() == "-2.5");
  CHECK(money::of_nano_units(most).text() == "9223372036.854775807");
  CHECK(money::of_nano_units(least).text() == "-9223372036.854775808");
}

TEST_CASE("money: sums and differences", "[budget][money]") {
  CHECK(money{"0.1"} + money{"0.2"} == money{"0.3"});
  CHECK((money{"0.1"} - money{"0.3"}).text() == "-0.2");
  CHECK(money{"0.1"} < money{"0.11"});
  const auto all = money::of_nano_units(most), none = money::of_nano_units(least), one = money::of_nano_units(1);
  CHECK(all + one == all);
  CHECK(none - one == none);
  CHECK(all - none == all);
  CHECK(none - none == money{});
  CHECK((money{} - none) == all);
  CHECK((money::of_nano_units(-1) - none).nano_units() == most);
  CHECK((money::of_nano_units(-2) - none).nano_units() == most - 1);
}
