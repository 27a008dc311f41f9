// SPDX-License-Identifier: MIT
#include "support/allocation_count.hpp"

#include "support/catch.hpp"

#include <string>
#include <string_view>

TEST_CASE("freed_text: sees what is freed as it is, and only that", "[support]") {
  const std::string text(40, 'x');
  felix::test::freed_text freed{std::string_view{text}.substr(4)};
  {
    std::string other(100, 'y');
    static_cast<void>(*static_cast<volatile char*>(other.data()));  // else a compiler may leave it out
  }
  CHECK_FALSE(freed.was_seen());
  {
    std::string same{text};
    static_cast<void>(*static_cast<volatile char*>(same.data()));
  }
  CHECK(freed.was_seen());
}
