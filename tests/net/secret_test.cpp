// SPDX-License-Identifier: MIT
#include <felix/net/secret.hpp>

#include "support/allocation_count.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

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

// ---- what is left of it

namespace {

const std::string long_key = "sk-0123456789-0123456789-0123456789";  // in memory of its own
const std::string short_key = "sk-012345";                           // inside the object
const std::string bad_key = long_key + "\n";

/// What a string holds on to, behind its end too.
bool is_wiped(const std::string& text) {
  return std::all_of(text.data(), text.data() + text.capacity(), [](char c) { return c == 0; });
}

}  // namespace

TEST_CASE("secret: what held a key is overwritten before it is freed", "[net][secret]") {
  felix::test::freed_text freed{std::string_view{long_key}.substr(4)};
  SECTION("made, copied and moved") {
    felix::secret key{long_key};
    const felix::secret copy = key;
    const felix::secret moved = std::move(key);
    CHECK(moved.reveal() == copy.reveal());
  }
  SECTION("assigned to") {
    felix::secret key{long_key};
    key = felix::secret{std::string(100, 'x')};
    CHECK_FALSE(freed.was_seen());
    key = felix::secret{};
  }
  SECTION("refused") { CHECK_THROWS_AS(felix::secret{bad_key}, felix::error); }
  SECTION("from the environment") {
    ::setenv("FELIX_TEST_KEY", long_key.c_str(), 1);
    CHECK(felix::secret::from_env("FELIX_TEST_KEY").reveal() == long_key);
    ::unsetenv("FELIX_TEST_KEY");
  }
  CHECK_FALSE(freed.was_seen());
}

TEST_CASE("secret: nothing is left where it was moved from", "[net][secret]") {
  for (const std::string& value : {long_key, short_key}) {
    felix::secret key{value};
    const std::string& left = key.reveal();
    const felix::secret moved = std::move(key);
    CHECK(moved.reveal() == value);
    CHECK(left.empty());
    CHECK(is_wiped(left));
  }
}

TEST_CASE("secret: a short one is overwritten in its place", "[net][secret]") {
  alignas(felix::secret) std::array<char, sizeof(felix::secret)> place{};
  felix::secret* const key = new (place.data()) felix::secret{short_key};
  const auto has_key = [&] {
    std::string bytes;
    for (const volatile char& byte : place) bytes += byte;
    return bytes.find(short_key) != std::string::npos;
  };
  CHECK(has_key());
  key->~secret();
  CHECK_FALSE(has_key());
}

TEST_CASE("secret: what was behind the end of a string is wiped too", "[net][secret]") {
  for (std::string text : {long_key, short_key}) {
    text.resize(2);
    felix::detail::wipe(text);
    CHECK(text.empty());
    CHECK(is_wiped(text));
  }
}
