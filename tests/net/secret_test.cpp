// SPDX-License-Identifier: MIT
#include <felix/net/secret.hpp>

#include "support/catch.hpp"

#include <cstdlib>
#include <ostream>
#include <string>
#include <type_traits>

using Catch::Matchers::ContainsSubstring;

template <class T>
concept streamable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!std::is_convertible_v<felix::secret, std::string>);
static_assert(!std::is_convertible_v<std::string, felix::secret>);
static_assert(!streamable<felix::secret>);

TEST_CASE("secret: holds a key, and reveals it when asked", "[net][secret]") {
  CHECK(felix::secret{}.empty());
  CHECK(felix::secret{"sk-123"}.reveal() == "sk-123");
}

TEST_CASE("secret: bytes that could end a header line are refused, and the value is not repeated", "[net][secret]") {
  for (const std::string& bad : {std::string{"sk-1\r\nX-Evil: 1"}, std::string{"sk 1"}, std::string{"sk\0", 3},
                                 std::string{"sk-\x7f"}, std::string{"sk-\xC3\xA9"}, std::string{"sk\n"}}) {
    try {
      felix::secret{bad};
      FAIL("accepted");
    } catch (const felix::error& refused) {
      CHECK_THAT(refused.what(), !ContainsSubstring("sk"));
    }
  }
  CHECK_THROWS_WITH(felix::secret{""}, ContainsSubstring("empty"));
}

TEST_CASE("secret: from the environment, or an error that names the variable", "[net][secret]") {
  ::setenv("FELIX_TEST_KEY", "sk-env", 1);
  CHECK(felix::secret::from_env("FELIX_TEST_KEY").reveal() == "sk-env");
  ::setenv("FELIX_TEST_KEY", "", 1);
  CHECK_THROWS_WITH(felix::secret::from_env("FELIX_TEST_KEY"), ContainsSubstring("FELIX_TEST_KEY"));
  ::unsetenv("FELIX_TEST_KEY");
  CHECK_THROWS_WITH(felix::secret::from_env("FELIX_TEST_KEY"),
                    ContainsSubstring("FELIX_TEST_KEY") && ContainsSubstring("not set"));
}
